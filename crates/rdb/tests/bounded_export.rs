//! Long values are neither inspected nor exported in one piece.
//! A program of its own, because it looks at the whole process.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    fs,
    io::{BufReader, Read, sink},
};

use keystow_rdb::{ExportOptions, Form, InspectOptions, Limits, export, inspect};

/// What the test program may grow by, its own code's data included; the value is three times as long.
const ALLOWED_BYTES: u64 = 20 << 20;
const ELEMENTS: u32 = 1 << 20;
/// An element of 60 bytes, as it stands in a file.
const ELEMENT: &[u8; 61] = b"\x3conce upon a time there was a list that had no end, they said";

fn peak_memory_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    kib * 1024
}

/// The same bytes again and again.
struct Cycle(usize);

impl Read for Cycle {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        for byte in buffer.iter_mut() {
            *byte = ELEMENT[self.0 % ELEMENT.len()];
            self.0 += 1;
        }
        Ok(buffer.len())
    }
}

/// A file with one list.
fn file() -> impl std::io::BufRead {
    let head = [b"REDIS0011\xfe\x00\x01\x01k\x80", &ELEMENTS.to_be_bytes()[..]].concat();
    let body = Cycle(0).take(u64::from(ELEMENTS) * ELEMENT.len() as u64);
    let tail: &[u8] = &[0xff, 0, 0, 0, 0, 0, 0, 0, 0];
    BufReader::with_capacity(1 << 16, std::io::Cursor::new(head).chain(body).chain(tail))
}

#[test]
fn long_list_passes_through() {
    let before = peak_memory_bytes();
    let found = inspect(file(), Limits::default(), &InspectOptions::default()).unwrap();
    assert_eq!(found.all.elements, ELEMENTS.into());
    for form in [Form::JsonLines, Form::Commands, Form::Csv] {
        let options = ExportOptions { form, ..ExportOptions::default() };
        assert_eq!(export(file(), Limits::default(), &options, sink()).unwrap().keys, 1);
    }
    let grown = peak_memory_bytes() - before;
    assert!(grown < ALLOWED_BYTES, "grew by {grown} bytes");
}
