//! Large values are rewritten without being held, whether they pass through or are converted.
//! A program of its own, because it looks at the whole process.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    fs,
    io::{self, BufReader, Read, Write},
};

use keystow_rdb::{Format, Kind, RewriteOptions, rewrite};

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
        Case("elements that pass through", Box::new(value(b"\x01\x01k", 120, plain)), false),
        Case("nodes that are converted", Box::new(value(b"\x12\x01k", 1_000_000, node())), true),
        Case("large elements that are converted", Box::new(value(b"\x12\x01k", 40, large)), true),
    ];
    for Case(name, file, is_converted) in cases {
        let mut out = Counted(0);
        let source = BufReader::with_capacity(1 << 16, file);
        let rewritten = rewrite(source, &mut out, &RewriteOptions::new(Format::REDIS_9)).unwrap();
        let moves = rewritten.kinds[&Kind::List];
        assert_eq!((moves.kept, moves.converted), if is_converted { (0, 1) } else { (1, 0) }, "{name}");
        assert!(out.0 > ALLOWED_BYTES, "{name}: {} bytes", out.0);
        assert_eq!(out.0, rewritten.bytes_written, "{name}");
    }
    let grown = peak_memory_bytes() - before;
    assert!(grown < ALLOWED_BYTES, "grew by {grown} bytes");
}
