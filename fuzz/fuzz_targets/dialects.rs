//! Any bytes as a request: every dialect answers it, signs nothing in, and never panics.
#![no_main]

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::Request;
use keystow_dialects::{ALL, Exchange, Secret, recognise};
use libfuzzer_sys::fuzz_target;

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

fuzz_target!(|bytes: &[u8]| {
    let Some(request) = request(bytes) else { return };
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_601);
    let exchange = Exchange { request_id: "0b9d8ba8-3a4f-4f1c-9d2a-3c1f6b0d7e11", now };
    let _ = recognise(&request);
    let stranger = Secret::new("a secret that signed none of the seeds");
    for dialect in ALL {
        let _ = (dialect.action(&request), dialect.claim(&request), dialect.bearer(&request));
        let _ = dialect.open_answer(&request, &exchange);
        // No fuzzed request can carry a signature made with this secret.
        assert!(dialect.verify(&request, &stranger, now).is_err());
        let _ = dialect.workings(&request, &stranger);
        if let Err(fault) = dialect.decode(&request) {
            assert!(!dialect.encode(&request, &exchange, &Err(fault)).body().is_empty());
        }
    }
});
