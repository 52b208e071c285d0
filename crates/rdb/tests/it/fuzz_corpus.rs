//! What fuzzing found stays found: the invariants that the fuzz targets check hold for every input that was kept.

use std::{fs, path::PathBuf};

#[path = "../../../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "a crate of its own, where it is public")]
mod invariants;

use invariants::{packed, whole};

/// Hands every kept input of a target to its check.
fn replay(target: &str, check: fn(&[u8])) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut inputs = 0;
    for entry in fs::read_dir(folder).unwrap() {
        check(&fs::read(entry.unwrap().path()).unwrap());
        inputs += 1;
    }
    assert!(inputs > 5, "the corpus of {target} is there");
}

#[test]
fn files_hold() {
    replay("rdb", whole::rdb);
}

#[test]
fn payloads_hold() {
    replay("dump", whole::dump);
}

#[test]
fn streams_hold() {
    replay("stream", whole::stream);
}

#[test]
fn compressed_strings_hold() {
    replay("lzf", packed::lzf);
}

#[test]
fn packed_collections_hold() {
    replay("listpack", packed::listpack);
    replay("ziplist", packed::ziplist);
    replay("intset", packed::intset);
}
