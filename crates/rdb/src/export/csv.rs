//! One row of facts per key.

use std::io::{self, Write};

use super::{Chosen, Exported, Writer, sink::Sink};
use crate::{
    event::{Entry, Event},
    filter::Filter,
    inspect::{cluster_slot, memory_estimate},
    packed::Digits,
    part::{Head, Part, Visitor, Want},
};

const HEADER: &[u8] =
    b"db,key,type,encoding,elements,stored_bytes,memory_bytes,expires_at_ms,idle_seconds,frequency,slot\r\n";

/// Writes [`Form::Csv`](super::Form::Csv).
pub(super) struct Csv<'f, W> {
    chosen: Chosen<'f>,
    sink: Sink<W>,
}

impl<'f, W: Write> Csv<'f, W> {
    pub(super) fn new(filter: &'f Filter, out: W, with_header: bool) -> Self {
        let mut sink = Sink::new(out);
        if with_header {
            sink.buffer().extend_from_slice(HEADER);
        }
        Self { chosen: Chosen::new(filter), sink }
    }

    fn row(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        let out = self.sink.buffer();
        unsigned(out, entry.database);
        out.push(b',');
        key(out, entry.key);
        for name in [entry.kind.name(), entry.encoding.name().unwrap_or_default()] {
            out.push(b',');
            out.extend_from_slice(name.as_bytes());
        }
        for number in [entry.elements, entry.stored_bytes, memory_estimate(entry)] {
            out.push(b',');
            unsigned(out, number);
        }
        out.push(b',');
        if let Some(expiry) = entry.expires_ms {
            out.extend_from_slice(Digits::default().write(expiry));
        }
        for number in [entry.idle_seconds, entry.frequency.map(u64::from)] {
            out.push(b',');
            if let Some(number) = number {
                unsigned(out, number);
            }
        }
        out.push(b',');
        unsigned(out, cluster_slot(entry.key).into());
        out.extend_from_slice(b"\r\n");
        self.chosen.exported.keys += 1;
        self.sink.settle()
    }
}

impl<W: Write> Visitor for Csv<'_, W> {
    #[inline]
    fn begin(&mut self, head: &Head<'_>) -> Want {
        self.chosen.begin(head)
    }

    fn part(&mut self, _part: Part<'_>) -> io::Result<()> {
        Ok(())
    }
}

impl<W: Write> Writer for Csv<'_, W> {
    fn event(&mut self, event: &Event<'_>) -> io::Result<()> {
        match event {
            Event::Entry(entry) if self.chosen.is_wanted => self.row(entry),
            _ => Ok(()),
        }
    }

    fn end(&mut self, _is_sound: bool) -> io::Result<()> {
        // A row is only begun once its key is proven.
        self.sink.finish()
    }

    fn exported(&self) -> Exported {
        self.chosen.exported
    }
}

fn unsigned(out: &mut Vec<u8>, number: u64) {
    match i64::try_from(number) {
        Ok(number) => out.extend_from_slice(Digits::default().write(number)),
        Err(_) => out.extend_from_slice(number.to_string().as_bytes()),
    }
}

/// A key, in quotes where RFC 4180 asks for them.
fn key(out: &mut Vec<u8>, key: &[u8]) {
    let is_quoted = key.iter().any(|byte| matches!(byte, b'"' | b',' | b'\r' | b'\n'));
    if is_quoted {
        out.push(b'"');
    }
    for chunk in key.utf8_chunks() {
        for byte in chunk.valid().bytes() {
            if matches!(byte, b'"' | b'\\') {
                out.push(byte);
            }
            out.push(byte);
        }
        for byte in chunk.invalid() {
            out.extend_from_slice(format!("\\x{byte:02x}").as_bytes());
        }
    }
    if is_quoted {
        out.push(b'"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_quoted_and_reversible() {
        for (plain, written) in [
            (&b"user:1"[..], "user:1"),
            (b"", ""),
            (b"a,b", "\"a,b\""),
            (b"say \"hi\"", "\"say \"\"hi\"\"\""),
            (b"two\nlines", "\"two\nlines\""),
            (b"back\\slash", "back\\\\slash"),
            (b"\xff\xfe!", "\\xff\\xfe!"),
            ("Größe".as_bytes(), "Größe"),
        ] {
            let mut out = Vec::new();
            key(&mut out, plain);
            assert_eq!(String::from_utf8(out).unwrap(), written);
        }
    }
}
