//! How the source hands out its bytes makes no difference.

use std::io::{self, BufRead, Read};

use keystow_rdb::{Limits, Reader};

use super::{fixture, fixture_names};

/// Lends so many bytes at a time, and is interrupted now and then.
struct Drip<'a> {
    bytes: &'a [u8],
    step: usize,
    calls: usize,
}

impl BufRead for Drip<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.calls += 1;
        Ok(&self.bytes[..self.step.min(self.bytes.len())])
    }

    fn consume(&mut self, amount: usize) {
        assert!(amount <= self.step.min(self.bytes.len()), "consumes only what was lent");
        self.bytes = &self.bytes[amount..];
    }
}

impl Read for Drip<'_> {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        unreachable!("the reader uses the buffer")
    }
}

/// All events as text, with the offset after each, up to the end or the fault.
fn story(source: impl BufRead) -> Vec<String> {
    let mut reader = Reader::new(source, Limits::default());
    let mut story = Vec::new();
    loop {
        let told = match reader.next_event() {
            Ok(None) => return story,
            Ok(Some(event)) => format!("{event:?}"),
            Err(fault) => {
                story.push(format!("{fault:?}"));
                return story;
            }
        };
        story.push(format!("{told} up to {}", reader.offset()));
    }
}

#[test]
fn events_are_the_same_in_any_pieces() {
    for name in fixture_names() {
        let bytes = fixture(&name);
        let whole = story(&bytes[..]);
        for step in [1, 2, 3, 7, 4096] {
            let drip = Drip { bytes: &bytes, step, calls: 0 };
            assert_eq!(story(drip), whole, "{name} in pieces of {step}");
        }
    }
}

/// The file under a version that is not read, with the checksum that it then has.
fn relabelled(mut bytes: Vec<u8>, name: &str) -> Vec<u8> {
    bytes[7..9].copy_from_slice(b"99");
    let mut reader = Reader::new(&bytes[..], Limits::default());
    while reader.next_event().is_ok() {}
    let keystow_rdb::Checksum::Bad { computed, .. } = reader.finish_unparsed().unwrap() else {
        panic!("{name}: the checksum has changed");
    };
    let end = bytes.len() - 8;
    bytes[end..].copy_from_slice(&computed.to_le_bytes());
    bytes
}

#[test]
fn checksum_of_the_unparsed_is_the_same_in_any_pieces() {
    for name in ["srv-redis-8.2.3-all.rdb", "srv-valkey-9.1.2-all.rdb", "lp-hash-odd.rdb"] {
        let mut bytes = fixture(name);
        if name != "lp-hash-odd.rdb" {
            // A version to come; the checksum follows suit.
            bytes = relabelled(bytes, name);
        }
        for step in [1, 3, 8, 4096] {
            let mut reader = Reader::new(Drip { bytes: &bytes, step, calls: 0 }, Limits::default());
            while reader.next_event().is_ok_and(|event| event.is_some()) {}
            assert_eq!(reader.finish_unparsed().unwrap(), keystow_rdb::Checksum::Ok, "{name}");
        }
    }
}

#[test]
fn source_is_read_no_further_than_the_end() {
    let mut bytes = fixture("librdb--single_key.rdb");
    let length = bytes.len();
    bytes.extend_from_slice(b"next");
    let mut reader = Reader::new(Drip { bytes: &bytes, step: length, calls: 0 }, Limits::default());
    while reader.next_event().unwrap().is_some() {}
    let calls = {
        let drip = reader.into_inner();
        assert_eq!(drip.bytes, b"next");
        drip.calls
    };
    assert!(calls > 0);
}

#[test]
fn failing_source_is_told_from_a_short_one() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::new(io::ErrorKind::ConnectionReset, "reset by peer"))
        }
    }
    let bytes = fixture("srv-redis-7.0.15-all.rdb");
    let source = io::BufReader::new((&bytes[..5000]).chain(Broken));
    let failure = keystow_rdb::verify(source, Limits::default()).unwrap_err();
    assert_eq!(failure.fault.reason.code(), "RDB_IO");
    assert!(!failure.fault.reason.is_unvouched());
    assert!(failure.to_string().starts_with("cannot read: reset by peer at byte 5000"), "{failure}");
}
