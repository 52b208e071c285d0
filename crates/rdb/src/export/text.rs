//! How numbers and bytes are spelled: scores, base64, and what stands in JSON between quotes.

use std::io::{self, Write};

use crate::{
    packed::{Digits, Item},
    sink::{LONG_BYTES, Sink},
};

/// A score with the fewest digits that read as the same double again, as servers since Redis 7 write it
/// (`fpconv_dtoa`): plain from 10⁻⁵ up to 10¹⁷, else with an exponent; `inf` and `-inf`.
pub(crate) fn score(out: &mut Vec<u8>, score: f64) -> io::Result<()> {
    /// Whole numbers up to here are written without looking for the shortest form.
    const WHOLE: f64 = 1e15;
    const LEAST_PLAIN: f64 = 1e-5;
    const MOST_PLAIN: f64 = 1e17;
    let magnitude = score.abs();
    if magnitude < WHOLE && score.fract() == 0.0 && (magnitude > 0.0 || score.is_sign_positive()) {
        #[expect(clippy::cast_possible_truncation, reason = "a whole number below 10^15")]
        out.extend_from_slice(Digits::default().write(score as i64));
        return Ok(());
    }
    if magnitude == 0.0 || magnitude.is_infinite() || (LEAST_PLAIN..MOST_PLAIN).contains(&magnitude) {
        write!(out, "{score}")
    } else {
        write!(out, "{score:e}")
    }
}

/// A score in JSON, where the infinite ones are strings.
pub(super) fn json_score(out: &mut Vec<u8>, number: f64) -> io::Result<()> {
    if number.is_infinite() {
        out.extend_from_slice(if number > 0.0 { b"\"inf\"" } else { b"\"-inf\"" });
        return Ok(());
    }
    score(out, number)
}

/// An element in JSON: a string always, also where the file has it as a number.
#[inline]
pub(super) fn json_item<W: Write>(sink: &mut Sink<W>, item: Item<'_>) -> io::Result<()> {
    match item {
        Item::Text(bytes) => json_bytes(sink, bytes),
        Item::Integer(number) => {
            let out = sink.buffer();
            out.push(b'"');
            out.extend_from_slice(Digits::default().write(number));
            out.push(b'"');
            sink.settle()
        }
    }
}

/// Bytes in JSON: a string if they are UTF-8, else `{"base64":"…"}`.
#[inline]
pub(super) fn json_bytes<W: Write>(sink: &mut Sink<W>, bytes: &[u8]) -> io::Result<()> {
    if bytes.len() < LONG_BYTES && is_plain(bytes) {
        let out = sink.buffer();
        out.push(b'"');
        out.extend_from_slice(bytes);
        out.push(b'"');
        return sink.settle();
    }
    json_odd_bytes(sink, bytes)
}

/// The same for bytes that are long or hold something else than plain ASCII.
#[inline(never)]
fn json_odd_bytes<W: Write>(sink: &mut Sink<W>, bytes: &[u8]) -> io::Result<()> {
    let is_text = std::str::from_utf8(bytes).is_ok();
    sink.buffer().extend_from_slice(if is_text { b"\"" } else { b"{\"base64\":\"" });
    // A multiple of three, so that base64 needs no padding in between.
    for piece in bytes.chunks(LONG_BYTES) {
        if is_text {
            escape(sink.buffer(), piece);
        } else {
            let mut base64 = Base64::default();
            base64.put(sink.buffer(), piece);
            base64.finish(sink.buffer());
        }
        sink.settle()?;
    }
    sink.buffer().extend_from_slice(if is_text { b"\"" } else { b"\"}" });
    Ok(())
}

/// Whether bytes are ASCII that stands in a JSON string as it is. Eight at a time: this is most of an export's work.
#[inline]
fn is_plain(bytes: &[u8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = ONES * 0x80;
    const QUOTES: u64 = ONES * 0x22;
    const BACKSLASHES: u64 = ONES * 0x5c;
    /// The high bits of bytes that are zero; those above one that is may be wrong, but then one was found anyway.
    const fn zeros(word: u64) -> u64 {
        word.wrapping_sub(ONES) & !word & HIGH
    }
    let (words, rest) = bytes.as_chunks::<8>();
    let odd = words.iter().fold(0, |odd, word| {
        let word = u64::from_le_bytes(*word);
        let quotes = zeros(word ^ QUOTES) | zeros(word ^ BACKSLASHES);
        let controls = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        odd | quotes | controls | (word & HIGH)
    });
    odd == 0 && rest.iter().all(|byte| matches!(byte, 0x20..0x80 if !matches!(byte, b'"' | b'\\')))
}

/// Bytes of UTF-8 with the escapes that JSON asks for.
fn escape(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| matches!(byte, 0..0x20 | b'"' | b'\\')) {
        let (plain, tail) = rest.split_at(at);
        out.extend_from_slice(plain);
        let short = match tail[0] {
            byte @ (b'"' | b'\\') => byte,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            byte => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.extend([HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
                rest = &tail[1..];
                continue;
            }
        };
        out.extend([b'\\', short]);
        rest = &tail[1..];
    }
    out.extend_from_slice(rest);
}

/// Base64 with padding (RFC 4648, section 4), of bytes that come in pieces.
#[derive(Default)]
pub(super) struct Base64 {
    /// Up to two bytes that wait for a third.
    held: [u8; 2],
    holding: usize,
}

impl Base64 {
    pub(super) fn put(&mut self, out: &mut Vec<u8>, mut bytes: &[u8]) {
        while self.holding > 0 {
            let [first, second] = self.held;
            match (self.holding, bytes) {
                (2, [third, rest @ ..]) => {
                    out.extend(four([first, second, *third]));
                    (self.holding, bytes) = (0, rest);
                }
                (1, [second, rest @ ..]) => {
                    self.held[1] = *second;
                    (self.holding, bytes) = (2, rest);
                }
                _ => return,
            }
        }
        let (threes, rest) = bytes.as_chunks::<3>();
        for three in threes {
            out.extend(four(*three));
        }
        self.held[..rest.len()].copy_from_slice(rest);
        self.holding = rest.len();
    }

    /// The last letters and the padding.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        let [first, second] = self.held;
        match self.holding {
            0 => {}
            1 => {
                out.extend_from_slice(&four([first, 0, 0])[..2]);
                out.extend_from_slice(b"==");
            }
            _ => {
                out.extend_from_slice(&four([first, second, 0])[..3]);
                out.push(b'=');
            }
        }
        self.holding = 0;
    }
}

fn four([first, second, third]: [u8; 3]) -> [u8; 4] {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits = u32::from_be_bytes([0, first, second, third]);
    [18, 12, 6, 0].map(|shift| LETTERS[(bits >> shift & 63) as usize])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn json(bytes: &[u8]) -> serde_json::Value {
        let mut out = Vec::new();
        let mut sink = Sink::new(&mut out);
        json_bytes(&mut sink, bytes).unwrap();
        sink.finish().unwrap();
        serde_json::from_slice(&out).unwrap()
    }

    fn spelled(number: f64) -> String {
        let mut out = Vec::new();
        score(&mut out, number).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn scores_are_short() {
        for (number, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (17.0, "17"),
            (-3.5, "-3.5"),
            (0.1, "0.1"),
            (1e16, "10000000000000000"),
            (1e300, "1e300"),
            (-2.5e-9, "-2.5e-9"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(spelled(number), text);
        }
    }

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (plain, coded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            for step in 1..=6 {
                let (mut out, mut base64) = (Vec::new(), Base64::default());
                plain.as_bytes().chunks(step).for_each(|piece| base64.put(&mut out, piece));
                base64.finish(&mut out);
                assert_eq!(out, coded.as_bytes(), "in steps of {step}");
            }
        }
    }

    #[test]
    fn long_strings_are_written_in_pieces() {
        let text = "zwölf \"Boxkämpfer\"\n".repeat(20_000);
        assert_eq!(json(text.as_bytes()), text);
        let mut bytes = vec![b'a'; 200_000];
        bytes[150_001] = 0xff;
        let coded = json(&bytes)["base64"].as_str().unwrap().to_owned();
        assert_eq!(coded.len(), 200_000usize.div_ceil(3) * 4);
        assert!(!coded.trim_end_matches('=').contains('='), "padding in between");
    }

    proptest! {
        #[test]
        fn every_text_is_its_json(text in "\\PC*|[\\x00-\\x7f]*") {
            prop_assert_eq!(json(text.as_bytes()), text);
        }

        #[test]
        fn only_what_needs_no_escape_is_plain(bytes: Vec<u8>) {
            let expected = bytes.iter().all(|byte| (0x20..0x80).contains(byte) && !b"\"\\".contains(byte));
            prop_assert_eq!(is_plain(&bytes), expected);
        }

        #[test]
        fn every_score_reads_as_itself(bits: u64) {
            let number = f64::from_bits(bits);
            prop_assume!(!number.is_nan());
            prop_assert_eq!(spelled(number).parse::<f64>().unwrap().to_bits(), number.to_bits());
        }
    }
}
