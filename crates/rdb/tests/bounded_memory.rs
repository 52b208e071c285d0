//! Files that claim enormous things fail quickly, and honest large values pass, in bounded memory.
//! A program of its own, because it looks at the whole process.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, repeat},
};

use keystow_rdb::{Fault, Head, Limits, NotCompared, Part, Reader, Visitor, Want, verify};

/// What the test program may grow by, buffers and its own code's data included.
const ALLOWED_BYTES: u64 = 32 << 20;
/// The same where as many keys and members are compared as ever are.
const ALLOWED_COMPARING_BYTES: u64 = 48 << 20;
const END: [u8; 9] = [0xff, 0, 0, 0, 0, 0, 0, 0, 0];

fn peak_memory_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    kib * 1024
}

fn file(magic: &str, record: &[u8]) -> Vec<u8> {
    [magic.as_bytes(), b"\xfe\x00", record].concat()
}

/// Takes what it is given and keeps nothing.
struct Taker(Want);

impl Visitor for Taker {
    fn begin(&mut self, _: &Head<'_>) -> Want {
        self.0
    }

    fn part(&mut self, _: Part<'_>) -> io::Result<()> {
        Ok(())
    }
}

/// Reads to the end or the first fault. Gives the keys.
fn read(source: impl BufRead, want: Want, limits: Limits) -> Result<u64, Fault> {
    let mut reader = Reader::new(source, limits);
    let mut keys = 0;
    while let Some(event) = reader.next_event_with(&mut Taker(want))? {
        keys += u64::from(matches!(event, keystow_rdb::Event::Entry(_)));
    }
    Ok(keys)
}

/// Bytes that are made as they are read.
struct Made<I> {
    pieces: I,
    piece: Vec<u8>,
    taken: usize,
}

impl<I: Iterator<Item = Vec<u8>>> Read for Made<I> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.piece.len() {
            (self.piece, self.taken) = (self.pieces.next().unwrap_or_default(), 0);
        }
        let bytes = buffer.len().min(self.piece.len() - self.taken);
        buffer[..bytes].copy_from_slice(&self.piece[self.taken..self.taken + bytes]);
        self.taken += bytes;
        Ok(bytes)
    }
}

fn made(pieces: impl Iterator<Item = Vec<u8>>) -> impl BufRead {
    BufReader::with_capacity(1 << 16, Made { pieces, piece: Vec::new(), taken: 0 })
}

/// A string of eight bytes that tells its number.
fn numbered(number: u32) -> Vec<u8> {
    [&[8][..], format!("{number:08x}").as_bytes()].concat()
}

#[test]
fn claims_are_not_believed_and_large_values_not_held() {
    let before = peak_memory_bytes();
    let grown = || peak_memory_bytes() - before;
    bombs();
    assert!(grown() < ALLOWED_BYTES, "bombs: grew by {} bytes", grown());
    long_string();
    assert!(grown() < ALLOWED_BYTES, "a long string: grew by {} bytes", grown());
    many_small();
    assert!(grown() < ALLOWED_COMPARING_BYTES, "many keys: grew by {} bytes", grown());
}

/// Small files that promise to be large.
fn bombs() {
    let huge = [&[0x81][..], &(1u64 << 62).to_be_bytes()].concat();
    let expiring = [b"\x18\x01k\0\0\0\0\0\0\0\0", &huge[..]].concat();
    // Four bytes of LZF that give 264: a run from the one byte before.
    let run = [0x00, b'a', 0xe0, 0xff, 0x00].repeat(4000);
    let lying_run = [&b"\x00\x01k\xc3\x80\0\0\x4e\x20\x81\x7f"[..], &[0xff; 7], &run].concat();
    let bombs: [(&str, &str, Vec<u8>); 14] = [
        ("string of 2^62 bytes", "REDIS0011", [b"\x00\x01k", &huge[..]].concat()),
        ("key of 400 MB", "REDIS0011", b"\x00\x80\x17\xd7\x84\x00abc".to_vec()),
        ("set of 2^40", "REDIS0011", b"\x02\x01k\x81\x00\x00\x01\x00\x00\x00\x00\x00\x01a".to_vec()),
        ("LZF of 2 GiB", "REDIS0011", b"\x00\x01k\xc3\x03\x80\x80\x00\x00\x00\x00aa".to_vec()),
        ("LZF of 2^63", "REDIS0011", lying_run),
        ("listpack of 400 MB", "REDIS0011", b"\x10\x01k\x80\x17\xd7\x84\x00\x0b\x00\x00".to_vec()),
        (
            "LZF listpack of 400 MB",
            "REDIS0011",
            b"\x10\x01k\xc3\x80\x00\xff\xff\xff\x80\x17\xd7\x84\x00aa".to_vec(),
        ),
        ("stream of 2^62 nodes", "REDIS0011", [b"\x13\x01k", &huge[..]].concat()),
        ("stream of 2^62 nodes", "REDIS0013", [b"\x1a\x01k", &huge[..]].concat()),
        ("2^62 expiring fields", "REDIS0012", expiring),
        ("2^62 expiring fields", "VALKEY080", [b"\x16\x01k", &huge[..]].concat()),
        ("2^62 slots", "VALKEY080", [b"\xf3\x28", &[b'a'; 40][..], &huge].concat()),
        ("data of 2^62 modules", "REDIS0013", [&[0xf3][..], &huge].concat()),
        ("function of 2^62 bytes", "REDIS0012", [&[0xf5][..], &huge].concat()),
    ];
    for (name, magic, record) in &bombs {
        for want in [Want::Nothing, Want::Parts, Want::Raw] {
            let outcome = read(&file(magic, record)[..], want, Limits::default());
            assert!(outcome.is_err(), "{name}");
        }
    }
}

/// An honest 512 MiB, the longest string that servers take.
fn long_string() {
    let bytes = 512u64 << 20;
    let head = [&file("REDIS0011", b"\x00\x01k\x81")[..], &bytes.to_be_bytes()].concat();
    let large = || {
        let all = head.chain(repeat(7).take(bytes)).chain(&END[..]);
        BufReader::with_capacity(1 << 16, all)
    };
    assert_eq!(verify(large(), Limits::default()).unwrap().keys, 1);
    let limits = Limits { max_blob_bytes: 8 << 20, ..Limits::default() };
    assert_eq!(read(large(), Want::Raw, limits).unwrap(), 1);
    let fault = read(large(), Want::Parts, limits).unwrap_err();
    assert_eq!(fault.reason.code(), "RDB_TOO_LARGE");
}

/// More keys and members than are compared.
fn many_small() {
    let many = 1_100_000u32;
    let head = file("REDIS0011", b"");
    let keys = (0..many).map(|key| [&[0][..], &numbered(key), b"\x01v"].concat());
    let source = made([head.clone()].into_iter().chain(keys).chain([END.to_vec()]));
    let report = verify(source, Limits::default()).unwrap();
    let not_compared = u64::from(many) - NotCompared::KEYS_COMPARED;
    assert_eq!((report.keys, report.not_compared.keys), (u64::from(many), not_compared));

    let set = [&b"\x02\x01k\x80"[..], &many.to_be_bytes()].concat();
    let members = (0..many).map(numbered);
    let source = made([head, set].into_iter().chain(members).chain([END.to_vec()]));
    assert_eq!(read(source, Want::Parts, Limits::default()).unwrap(), 1);
}
