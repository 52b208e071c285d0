//! One `RESTORE` command, with its payload put together in place.

use crate::{
    dump,
    format::{Encoding, Format},
    packed::Digits,
    source::{GROWTH_BYTES, give_back},
};

/// Room for all of a command's head but the key: two lines of its own, four lengths and a number, of at most twenty
/// digits each.
const HEAD_BYTES: usize = 136;

/// A command as it comes about. Its head names the payload's length, which is known last, so that the payload is
/// written behind room for it.
pub(super) struct Command {
    bytes: Vec<u8>,
    /// Where the payload begins.
    start: usize,
    head: Vec<u8>,
}

/// What stands in a command beside the payload.
#[derive(Clone, Copy)]
pub(super) struct Terms<'a> {
    pub(super) key: &'a [u8],
    pub(super) expires_ms: Option<i64>,
    pub(super) idle_seconds: Option<u64>,
    pub(super) frequency: Option<u8>,
    pub(super) replace: bool,
    /// The format of the servers that it is for.
    pub(super) to: Format,
}

impl Command {
    pub(super) fn new() -> Self {
        Self { bytes: Vec::new(), start: 0, head: Vec::new() }
    }

    /// Begins the payload of a value of that type.
    #[inline]
    pub(super) fn begin(&mut self, key: &[u8], encoding: Encoding) {
        give_back(&mut self.bytes);
        self.start = HEAD_BYTES + key.len();
        self.bytes.resize(self.start, 0);
        self.bytes.push(encoding.number);
    }

    /// Where the value's bytes go, behind its type.
    #[inline]
    pub(super) fn payload(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// The bytes of the value so far.
    #[inline]
    pub(super) fn value(&self) -> &[u8] {
        &self.bytes[self.start + 1..]
    }

    /// Forgets the value's bytes so far, but not those of a large one for long: its memory is given back.
    pub(super) fn clear(&mut self) {
        self.bytes.truncate(self.start + 1);
        self.bytes.shrink_to(GROWTH_BYTES);
    }

    /// The whole command.
    pub(super) fn finish(&mut self, terms: &Terms<'_>) -> &[u8] {
        dump::seal_from(&mut self.bytes, self.start, terms.to);
        let payload_bytes = self.bytes.len() - self.start;
        self.bytes.extend_from_slice(b"\r\n");
        // Servers take a time of zero for none, and none below it.
        let expires_ms = terms.expires_ms.map_or(0, |ms| if ms < 0 { 0 } else { ms.max(1) });
        let idle = terms.idle_seconds.and_then(|seconds| i64::try_from(seconds).ok());
        // One of the two: both are an error.
        let frequency = terms.frequency.filter(|_| idle.is_none());
        let usage = idle.is_some() || frequency.is_some();
        let words = 4 + u8::from(terms.replace) + u8::from(expires_ms > 0) + 2 * u8::from(usage);

        if terms.replace {
            self.bytes.extend_from_slice(b"$7\r\nREPLACE\r\n");
        }
        if expires_ms > 0 {
            self.bytes.extend_from_slice(b"$6\r\nABSTTL\r\n");
        }
        if let Some(seconds) = idle {
            self.bytes.extend_from_slice(b"$8\r\nIDLETIME\r\n");
            number_word(&mut self.bytes, seconds);
        }
        if let Some(frequency) = frequency {
            self.bytes.extend_from_slice(b"$4\r\nFREQ\r\n");
            number_word(&mut self.bytes, frequency.into());
        }

        let head = &mut self.head;
        head.clear();
        head.extend_from_slice(&[b'*', b'0' + words]);
        head.extend_from_slice(b"\r\n$7\r\nRESTORE\r\n");
        length_line(head, terms.key.len());
        head.extend_from_slice(terms.key);
        head.extend_from_slice(b"\r\n");
        number_word(head, expires_ms);
        length_line(head, payload_bytes);
        let begin = self.start - head.len();
        self.bytes[begin..self.start].copy_from_slice(head);
        &self.bytes[begin..]
    }
}

fn number_word(out: &mut Vec<u8>, number: i64) {
    let mut digits = Digits::default();
    let digits = digits.write(number);
    length_line(out, digits.len());
    out.extend_from_slice(digits);
    out.extend_from_slice(b"\r\n");
}

fn length_line(out: &mut Vec<u8>, length: usize) {
    out.push(b'$');
    out.extend_from_slice(Digits::default().write(length.cast_signed() as i64));
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, dump::Payload};

    fn terms(key: &[u8]) -> Terms<'_> {
        let to = Format::REDIS_11;
        Terms { key, expires_ms: None, idle_seconds: None, frequency: None, replace: false, to }
    }

    /// The words of a command, which must end with the last of them.
    fn words(mut command: &[u8]) -> Vec<Vec<u8>> {
        fn line(command: &mut &[u8], mark: u8) -> usize {
            let end = command.windows(2).position(|pair| pair == b"\r\n").unwrap();
            let line = &command[..end];
            *command = &command[end + 2..];
            assert_eq!(line[0], mark);
            std::str::from_utf8(&line[1..]).unwrap().parse().unwrap()
        }
        let count = line(&mut command, b'*');
        let words = (0..count).map(|_| {
            let length = line(&mut command, b'$');
            let (word, rest) = command.split_at(length);
            command = rest.strip_prefix(b"\r\n").unwrap();
            word.to_vec()
        });
        let words = words.collect();
        assert!(command.is_empty());
        words
    }

    fn finished(terms: &Terms<'_>, value: &[u8]) -> Vec<String> {
        let mut command = Command::new();
        // What was there before does not show.
        command.begin(b"longer than any other key", Encoding::default());
        command.payload().extend_from_slice(b"what was there before");
        command.begin(terms.key, Encoding::default());
        command.payload().extend_from_slice(value);
        let mut words = words(command.finish(terms));
        let payload = words.remove(3);
        let payload = Payload::open(&payload).unwrap();
        payload.check_sum().unwrap();
        assert_eq!((payload.value(), payload.format()), (value, terms.to));
        payload.check(Limits::default()).unwrap();
        words.into_iter().map(|word| String::from_utf8(word).unwrap()).collect()
    }

    #[test]
    fn words_are_those_that_are_wanted() {
        let plain = terms(b"k");
        assert_eq!(finished(&plain, b"\x01v"), ["RESTORE", "k", "0"]);
        assert_eq!(finished(&terms(b""), b"\x01v"), ["RESTORE", "", "0"]);
        let all =
            Terms { expires_ms: Some(77), idle_seconds: Some(5), frequency: Some(9), replace: true, ..plain };
        let expected = ["RESTORE", "k", "77", "REPLACE", "ABSTTL", "IDLETIME", "5"];
        assert_eq!(finished(&all, b"\x01v"), expected);
        let used = Terms { idle_seconds: Some(u64::MAX), frequency: Some(0), ..plain };
        assert_eq!(finished(&used, b"\x01v"), ["RESTORE", "k", "0", "FREQ", "0"]);
    }

    #[test]
    fn longest_numbers_have_room() {
        let idle_seconds = Some(i64::MAX.cast_unsigned());
        let long = Terms { expires_ms: Some(i64::MAX), idle_seconds, replace: true, ..terms(b"key") };
        let value = [&b"\x80\0\x10\0\0"[..], &vec![b'x'; 1 << 20]].concat();
        assert_eq!(finished(&long, &value)[2], i64::MAX.to_string());
    }

    #[test]
    fn times_that_servers_take_for_none_are_told_apart() {
        let at = |ms| finished(&Terms { expires_ms: Some(ms), ..terms(b"k") }, b"\x01v")[2].clone();
        // The first millisecond of 1970 is over, and zero would be none.
        assert_eq!([-5, -1, 0, 1].map(at), ["0", "0", "1", "1"]);
    }
}
