//! Whatever happens to a good file on its way: an error, never a panic, never a clean bill.

use keystow_rdb::{Checksum, Failure, Limits, Report, verify};
use proptest::prelude::*;

use super::{check, fixture, fixture_names};

/// Longer files are damaged at every so many bytes only.
const EVERY_BYTE_UP_TO: usize = 1500;
const STRIDE: usize = 97;

fn good_files() -> impl Iterator<Item = (String, Vec<u8>)> {
    fixture_names().into_iter().filter_map(|name| {
        let bytes = fixture(&name);
        let is_whole = check(&bytes).is_ok_and(|report| report.trailing_bytes == 0);
        (is_whole && bytes.len() < 110_000).then_some((name, bytes))
    })
}

fn stride(bytes: &[u8]) -> usize {
    // A large file at 97 places more or less, whatever its size.
    if bytes.len() <= EVERY_BYTE_UP_TO { 1 } else { STRIDE.max(bytes.len() / 97) }
}

#[test]
fn file_cut_anywhere_is_truncated() {
    for (name, bytes) in good_files() {
        for end in (0..bytes.len()).step_by(stride(&bytes)) {
            let failure = check(&bytes[..end]).unwrap_err();
            let code = failure.fault.reason.code();
            assert_eq!(code, "RDB_TRUNCATED", "{name} cut at {end}: {failure}");
        }
    }
}

/// Every bit of these is flipped.
const EVERY_BIT_UP_TO: usize = 2048;

#[test]
fn flipped_bit_is_found_where_there_is_a_checksum() {
    for (name, mut bytes) in good_files() {
        let has_checksum = check(&bytes).unwrap().checksum == Checksum::Ok;
        let every_bit = bytes.len() <= EVERY_BIT_UP_TO;
        for at in (0..bytes.len()).step_by(if every_bit { 1 } else { stride(&bytes) }) {
            let bits = if every_bit { 0..8 } else { at % 8..at % 8 + 1 };
            for bit in bits {
                bytes[at] ^= 1 << bit;
                match check(&bytes) {
                    // Versions below 5 have no checksum: a flip in the header can make one of those.
                    Ok(report) if has_checksum => {
                        assert!(report.rdb_version < 5, "{name}: bit {bit} of byte {at}");
                    }
                    Ok(_) | Err(_) => {}
                }
                bytes[at] ^= 1 << bit;
            }
        }
    }
}

/// Headers of all layouts there are.
const MAGICS: [&[u8; 9]; 5] = [b"REDIS0003", b"REDIS0009", b"REDIS0011", b"REDIS0013", b"VALKEY080"];

/// Lower numbers are types of values, or unknown.
const FIRST_OPCODE: u8 = 240;

#[test]
fn largest_lengths_are_refused_everywhere() {
    for magic in MAGICS {
        for opcode in 0..=u8::MAX {
            for claimed in [1 << 32, i64::MAX.cast_unsigned(), u64::MAX] {
                let claim = [&[0x81][..], &claimed.to_be_bytes()].concat();
                for places_before in 0..4 {
                    // A key, and counts or strings of one byte before the claim.
                    let before = [&b"\x01k"[..], &b"\x01x".repeat(places_before)].concat();
                    let body = [&before[..], &claim, &[0; 40]].concat();
                    let file = [&magic[..], &[opcode], &body].concat();
                    let is_refused = verify_within(1 << 20, &file).is_err();
                    // Opcodes may carry hints, where any number will do.
                    assert!(is_refused || opcode >= FIRST_OPCODE, "opcode {opcode}: {claimed}");
                }
            }
        }
    }
}

fn verify_within(max_blob_bytes: u64, bytes: &[u8]) -> Result<Report, Failure> {
    verify(bytes, Limits { max_blob_bytes, ..Limits::default() })
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = check(&bytes);
    }

    #[test]
    fn arbitrary_records_never_panic(
        magic in prop::sample::select(&MAGICS[..]),
        kind in prop_oneof![0u8..28, 240u8..=255],
        body in proptest::collection::vec(prop_oneof![0u8..8, any::<u8>()], 0..300),
    ) {
        let mut bytes = [&magic[..], b"\xfe\x00"].concat();
        bytes.extend([kind, 1, b'k']);
        bytes.extend(&body);
        let _ = check(&bytes);
    }

    #[test]
    fn damaged_blobs_never_panic(
        name in prop::sample::select(&DAMAGED[..]),
        at: prop::sample::Index,
        damage in proptest::collection::vec(any::<u8>(), 1..4),
    ) {
        let mut bytes = fixture(name);
        let at = 9 + at.index(bytes.len() - 9 - damage.len());
        bytes[at..at + damage.len()].copy_from_slice(&damage);
        let _ = verify_within(1 << 20, &bytes);
    }
}

/// Together they hold every encoding and every opcode.
const DAMAGED: [&str; 9] = [
    "srv-redis-6.2.14-all.rdb",
    "srv-redis-7.0.15-nochecksum.rdb",
    "srv-redis-7.0.15-nocompress.rdb",
    "srv-redis-7.4.1-cluster.rdb",
    "srv-redis-7.4.1-modules.rdb",
    "srv-redis-8.2.3-all.rdb",
    "srv-valkey-9.1.2-all.rdb",
    "librdb--stream_v13_idmp.rdb",
    "redis--encodings.rdb",
];
