//! What fuzzing found stays found: `fuzz/fuzz_targets/dialects.rs` without the fuzzer.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::Request;
use keystow_dialects::{ALL, Exchange, Secret, recognise};

/// Request line, header lines, an empty line, the body.
fn request(bytes: &[u8]) -> Option<Request<Bytes>> {
    let end = bytes.windows(2).position(|window| window == b"\n\n")?;
    let (head, body) = (std::str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 2..]);
    let mut lines = head.split('\n');
    let mut words = lines.next()?.split(' ');
    let mut builder = Request::builder().method(words.next()?).uri(words.next()?);
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        builder = builder.header(name, value);
    }
    builder.body(Bytes::copy_from_slice(body)).ok()
}

#[test]
fn every_input_of_the_fuzz_corpus_is_answered_without_panic() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/dialects");
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_601);
    let exchange = Exchange { request_id: "0b9d8ba8-3a4f-4f1c-9d2a-3c1f6b0d7e11", now };
    let stranger = Secret::new("a secret that signed none of the seeds");
    let mut known = BTreeMap::new();
    for entry in std::fs::read_dir(corpus).unwrap() {
        let Some(request) = request(&std::fs::read(entry.unwrap().path()).unwrap()) else { continue };
        if let Some(dialect) = recognise(&request) {
            *known.entry(dialect.name()).or_insert(0) += 1;
        }
        for dialect in ALL {
            let _ = (dialect.action(&request), dialect.claim(&request), dialect.bearer(&request));
            let _ = (dialect.open_answer(&request, &exchange), dialect.workings(&request, &stranger));
            assert!(dialect.verify(&request, &stranger, now).is_err());
            if let Err(fault) = dialect.decode(&request) {
                assert!(!dialect.encode(&request, &exchange, &Err(fault)).body().is_empty());
            }
        }
    }
    assert_eq!(known.len(), ALL.len(), "the corpus has requests of every dialect: {known:?}");
    assert!(known.values().all(|&seeds| seeds > 5), "{known:?}");
}
