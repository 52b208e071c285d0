//! What fuzzing found stays found.

use std::{fs, path::Path};

use keystow_rdb::{Limits, verify};

#[test]
fn every_input_of_the_fuzz_corpus_is_judged_without_panic() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/rdb");
    let mut inputs = 0;
    for entry in fs::read_dir(corpus).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        let limits = Limits { max_blob_bytes: 1 << 20, ..Limits::default() };
        let _ = verify(&bytes[..], limits);
        inputs += 1;
    }
    assert!(inputs > 5, "the corpus is there");
}
