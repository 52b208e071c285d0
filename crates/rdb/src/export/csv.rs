//! One row of facts per key.

use std::io::{BufRead, Write};

use super::{ExportOptions, Exported, for_each_key};
use crate::{
    event::Entry,
    fault::{Fault, Reason},
    inspect::memory_estimate,
    limits::Limits,
    packed::Digits,
    sink::Sink,
    slots::slot,
};

const HEADER: &[u8] =
    b"db,key,type,encoding,elements,stored_bytes,memory_bytes,expires_at_ms,idle_seconds,frequency,slot\r\n";

/// Writes [`Form::Csv`](super::Form::Csv).
pub(super) fn write<R: BufRead>(
    source: R,
    limits: Limits,
    options: &ExportOptions,
    out: impl Write,
) -> Result<Exported, Fault> {
    let mut sink = Sink::new(out);
    if !options.without_header {
        sink.buffer().extend_from_slice(HEADER);
    }
    let mut exported = Exported::default();
    let outcome = for_each_key(source, limits, &options.filter, |entry| {
        exported.keys += 1;
        write_row(sink.buffer(), entry);
        sink.settle()
    });
    // A row is only begun once its key is proven, so what was written before a fault is whole.
    let finished =
        sink.finish().map_err(|error| Fault { offset: 0, key: None, reason: Reason::output(&error) });
    outcome.and(finished).map(|()| exported)
}

fn write_row(out: &mut Vec<u8>, entry: &Entry<'_>) {
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
    unsigned(out, slot(entry.key).into());
    out.extend_from_slice(b"\r\n");
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
    escape(key, |byte| {
        if byte == b'"' {
            out.push(byte);
        }
        out.push(byte);
    });
    if is_quoted {
        out.push(b'"');
    }
}

/// A key as text: a backslash is written `\\`, a byte that is not UTF-8 as `\xff`, the rest as it is.
pub fn written_key(key: &[u8]) -> String {
    let mut out = Vec::with_capacity(key.len());
    escape(key, |byte| out.push(byte));
    // Nothing that is not UTF-8 is left.
    String::from_utf8(out).unwrap_or_default()
}

fn escape(key: &[u8], mut put: impl FnMut(u8)) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for chunk in key.utf8_chunks() {
        for byte in chunk.valid().bytes() {
            if byte == b'\\' {
                put(byte);
            }
            put(byte);
        }
        for byte in chunk.invalid() {
            [b'\\', b'x', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]
                .into_iter()
                .for_each(&mut put);
        }
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
