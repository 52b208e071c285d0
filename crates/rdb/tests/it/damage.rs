//! Whatever happens to a good file on its way: an error, never a panic, never a clean bill.

use keystow_rdb::{Checksum, Limits, verify};
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

#[test]
fn flipped_bit_is_found_where_there_is_a_checksum() {
    for (name, mut bytes) in good_files() {
        let has_checksum = check(&bytes).unwrap().checksum == Checksum::Ok;
        for at in (0..bytes.len()).step_by(stride(&bytes)) {
            let bit = 1 << (at % 8);
            bytes[at] ^= bit;
            match check(&bytes) {
                // Versions below 5 have no checksum: a flip in the header can make one of those.
                Ok(report) if has_checksum => {
                    assert!(report.rdb_version < 5, "{name}: bit {bit} of byte {at}");
                }
                Ok(_) | Err(_) => {}
            }
            bytes[at] ^= bit;
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = check(&bytes);
    }

    #[test]
    fn arbitrary_records_never_panic(
        kind in prop_oneof![0u8..22, 240u8..=255],
        body in proptest::collection::vec(prop_oneof![0u8..8, any::<u8>()], 0..300),
    ) {
        let mut bytes = b"REDIS0011\xfe\x00".to_vec();
        bytes.extend([kind, 1, b'k']);
        bytes.extend(&body);
        let _ = check(&bytes);
    }

    #[test]
    fn damaged_blobs_never_panic(
        at in 0usize..19_000,
        damage in proptest::collection::vec(any::<u8>(), 1..4),
        which in 0usize..3,
    ) {
        // Without a checksum, so that the structure alone is what is judged.
        let name = [
            "srv-redis-7.0.15-nochecksum.rdb",
            "srv-redis-6.2.14-all.rdb",
            "srv-redis-7.0.15-nocompress.rdb",
        ][which];
        let mut bytes = fixture(name);
        bytes[at..at + damage.len()].copy_from_slice(&damage);
        let _ = verify(&bytes[..], Limits { max_blob_bytes: 1 << 20, ..Limits::default() });
    }
}
