//! Files that claim enormous things fail quickly, and honest large values pass, in bounded memory.
//! A program of its own, because it looks at the whole process.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    fs,
    io::{BufReader, Read, repeat},
};

use keystow_rdb::{Limits, verify};

/// What the test program may grow by, buffers and its own code's data included.
const ALLOWED_BYTES: u64 = 32 << 20;

fn peak_memory_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    kib * 1024
}

fn file(record: &[u8]) -> Vec<u8> {
    [b"REDIS0011\xfe\x00", record].concat()
}

#[test]
fn claims_are_not_believed_and_large_values_not_held() {
    let before = peak_memory_bytes();
    let huge = [&[0x81][..], &(1u64 << 62).to_be_bytes()].concat();
    let bombs: [(&str, Vec<u8>); 7] = [
        ("string of 2^62 bytes", [b"\x00\x01k", &huge[..]].concat()),
        ("key of 400 MB", b"\x00\x80\x17\xd7\x84\x00abc".to_vec()),
        ("set of 2^40", b"\x02\x01k\x81\x00\x00\x01\x00\x00\x00\x00\x00\x01a".to_vec()),
        ("LZF of 2 GiB", b"\x00\x01k\xc3\x03\x80\x80\x00\x00\x00\x00aa".to_vec()),
        ("listpack of 400 MB", b"\x10\x01k\x80\x17\xd7\x84\x00\x0b\x00\x00".to_vec()),
        ("LZF listpack of 400 MB", b"\x10\x01k\xc3\x80\x00\xff\xff\xff\x80\x17\xd7\x84\x00aa".to_vec()),
        ("stream of 2^62 nodes", [b"\x13\x01k", &huge[..]].concat()),
    ];
    for (name, record) in bombs {
        assert!(verify(&file(&record)[..], Limits::default()).is_err(), "{name}");
    }
    // An honest 256 MiB: one string, then its end.
    let bytes = 256u64 << 20;
    let head = [&file(b"\x00\x01k\x81")[..], &bytes.to_be_bytes()].concat();
    let tail = [0xff, 0, 0, 0, 0, 0, 0, 0, 0];
    let large = head.chain(repeat(7).take(bytes)).chain(&tail[..]);
    let report = verify(BufReader::with_capacity(1 << 16, large), Limits::default()).unwrap();
    assert_eq!(report.keys, 1);
    let grown = peak_memory_bytes() - before;
    assert!(grown < ALLOWED_BYTES, "grew by {grown} bytes");
}
