//! Large values are rewritten and restored without being held, whether they pass through, are converted or become
//! commands.
//! A program of its own, because it looks at the whole process.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    fs,
    io::{self, BufReader, Read, Write},
};

use keystow_rdb::{Format, RestoreEntry, RestoreOptions, RestoreSink, RewriteOptions, restore, rewrite};

/// What the test program may grow by, buffers and its own code's data included.
const ALLOWED_BYTES: u64 = 32 << 20;

fn peak_memory_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    kib * 1024
}

/// Gives a piece over and over.
struct Repeated {
    piece: Vec<u8>,
    at: usize,
}

impl Read for Repeated {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = &self.piece[self.at..];
        let bytes = rest.len().min(buffer.len());
        buffer[..bytes].copy_from_slice(&rest[..bytes]);
        self.at = (self.at + bytes) % self.piece.len();
        Ok(bytes)
    }
}

/// Counts what it is given.
struct Counted(u64);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl RestoreSink for Counted {
    fn database(&mut self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn entry(&mut self, entry: RestoreEntry<'_>) -> io::Result<()> {
        self.0 += entry.command.len() as u64;
        Ok(())
    }

    fn function(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

/// Gives a piece for each number up to a last one.
struct Numbered<F> {
    piece: F,
    numbers: std::ops::Range<u64>,
    rest: Vec<u8>,
}

impl<F: FnMut(u64) -> Vec<u8>> Read for Numbered<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty()
            && let Some(number) = self.numbers.next()
        {
            self.rest = (self.piece)(number);
        }
        let bytes = self.rest.len().min(buffer.len());
        buffer[..bytes].copy_from_slice(&self.rest[..bytes]);
        self.rest.drain(..bytes);
        Ok(bytes)
    }
}

/// A stream without entries, of which as many are pending for one consumer.
fn pending(count: u32) -> impl Read {
    let numbers = 0..u64::from(count);
    let id = |number: u64| [number.to_be_bytes(), [0; 8]].concat();
    let in_group = Numbered {
        piece: move |number| [&id(number)[..], &[0; 8], &[1]].concat(),
        numbers: numbers.clone(),
        rest: Vec::new(),
    };
    let count = [&[0x80][..], &count.to_be_bytes()].concat();
    let head = [b"REDIS0011\x0f\x01k\0\0\0\0\x01\x01g\0\0", &count[..]].concat();
    let consumer = [b"\x01\x01c\0\0\0\0\0\0\0\0", &count[..]].concat();
    io::Cursor::new(head)
        .chain(in_group)
        .chain(io::Cursor::new(consumer))
        .chain(Numbered { piece: id, numbers, rest: Vec::new() })
        .chain(&[0xff, 0, 0, 0, 0, 0, 0, 0, 0][..])
}

/// One string that begins a value, of so many bytes.
fn long_string(head: &[u8], bytes: u32) -> impl Read {
    let start = [b"REDIS0011", head, &[0x80], &bytes.to_be_bytes()].concat();
    io::Cursor::new(start)
        .chain(io::repeat(b's').take(bytes.into()))
        .chain(&[0xff, 0, 0, 0, 0, 0, 0, 0, 0][..])
}

/// A file with one value: a count and so many times the same piece. Without a checksum.
fn value(head: &[u8], count: u32, piece: Vec<u8>) -> impl Read {
    let start = [b"REDIS0011", head, &[0x80], &count.to_be_bytes()].concat();
    let bytes = u64::from(count) * piece.len() as u64;
    io::Cursor::new(start)
        .chain(Repeated { piece, at: 0 }.take(bytes))
        .chain(&[0xff, 0, 0, 0, 0, 0, 0, 0, 0][..])
}

/// A string with its length in 32 bits.
fn string(bytes: &[u8]) -> Vec<u8> {
    [&[0x80][..], &u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

/// A quicklist node: a listpack of one element of 30 bytes.
fn node() -> Vec<u8> {
    let listpack = [&[6 + 1 + 30 + 1 + 1, 0, 0, 0, 1, 0, 0x80 + 30][..], &[b'e'; 30], &[31, 0xff]].concat();
    [&[2][..], &string(&listpack)].concat()
}

/// What is rewritten: its name, the file, and whether the value is converted.
struct Case(&'static str, Box<dyn Read>, bool);

#[test]
fn large_values_are_not_held() {
    let before = peak_memory_bytes();
    let plain = string(&vec![b'e'; 1 << 20]);
    let large = [&[1][..], &string(&vec![b'e'; 2 << 20])].concat();
    let cases = [
        Case("elements that pass through", Box::new(value(b"\x01\x01k", 120, plain.clone())), false),
        Case("nodes that are converted", Box::new(value(b"\x12\x01k", 1_000_000, node())), true),
        Case("large elements that are converted", Box::new(value(b"\x12\x01k", 40, large)), true),
        Case("a long member", Box::new(long_string(b"\x02\x01k\x01", 100 << 20)), false),
        Case("pending entries", Box::new(pending(2_500_000)), false),
    ];
    for Case(name, file, is_converted) in cases {
        let mut out = Counted(0);
        let source = BufReader::with_capacity(1 << 16, file);
        let rewritten = rewrite(source, &mut out, &RewriteOptions::new(Format::REDIS_9)).unwrap();
        let moves = rewritten.kinds.into_values().next().unwrap();
        assert_eq!((moves.kept, moves.converted), if is_converted { (0, 1) } else { (1, 0) }, "{name}");
        assert!(out.0 > ALLOWED_BYTES, "{name}: {} bytes", out.0);
        assert_eq!(out.0, rewritten.bytes_written, "{name}");
    }
    let in_pieces: [(&str, Box<dyn Read>); 3] = [
        ("elements", Box::new(value(b"\x01\x01k", 120, plain))),
        ("nodes that are converted", Box::new(value(b"\x12\x01k", 1_000_000, node()))),
        ("a string", Box::new(long_string(b"\0\x01k", 100 << 20))),
    ];
    let options =
        RestoreOptions { replace: true, max_value_bytes: 1 << 20, ..RestoreOptions::new(Format::REDIS_9) };
    for (name, file) in in_pieces {
        let mut out = Counted(0);
        let restored = restore(BufReader::with_capacity(1 << 16, file), &mut out, &options).unwrap();
        assert_eq!(restored.in_pieces, 1, "{name}");
        assert!(out.0 > ALLOWED_BYTES, "{name}: {} bytes", out.0);
    }
    let grown = peak_memory_bytes() - before;
    assert!(grown < ALLOWED_BYTES, "grew by {grown} bytes");
}
