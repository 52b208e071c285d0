//! What fuzzing found stays found: `fuzz/fuzz_targets/age.rs` without the fuzzer.

use std::path::Path;

#[path = "../../../../fuzz/src/age.rs"]
#[expect(unreachable_pub, clippy::expect_used, reason = "a crate of its own, where it is public")]
mod invariants;

#[test]
fn every_input_of_the_fuzz_corpus_is_taken_without_panic() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/age");
    let inputs: Vec<_> = std::fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(inputs.len() > 5, "the corpus is there");
    for input in inputs {
        invariants::age(&std::fs::read(&input).unwrap());
    }
}
