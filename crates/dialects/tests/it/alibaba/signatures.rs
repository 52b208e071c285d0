//! Ways to sign that the recorded requests do not show.

use std::time::Duration;

use http::Method;
use keystow_dialects::{Dialect, Fault, alibaba::Alibaba, recognise};

use crate::capture::{self, Parts};
use crate::signatures::{accepted, dialect, headers, signed_by_hand};

#[test]
fn nonces_are_handed_on_where_the_scheme_has_one() {
    let verified = |name| {
        let capture = capture::one(name);
        dialect(&capture).verify(&capture.request(), &capture.secret, capture.signed_at).unwrap()
    };
    assert_eq!(verified("alibaba/01").nonce.as_deref(), Some("keystowfakenonce0000000000000001"));
    assert_eq!(verified("alibaba/08").nonce.as_deref(), Some("keystowfakenonce0000000000000008"));
    assert_eq!(verified("alibaba/08").nonce_ttl, Duration::from_mins(30));
}

#[test]
fn an_unsigned_vendor_header_is_refused() {
    let capture = capture::one("alibaba/08");
    let mut parts = capture.parts.clone();
    parts.headers.push(("x-acs-security-token".to_owned(), b"x".to_vec()));
    let request = parts.request().unwrap();
    let verdict = Alibaba.verify(&request, &capture.secret, capture.signed_at);
    assert!(matches!(verdict, Err(Fault::MalformedSignature(_))), "{verdict:?}");
}

#[test]
fn parameters_may_all_be_in_the_form_signature_included() {
    let capture = capture::one("alibaba/01");
    let query = String::from_utf8(capture.parts.target[2..].to_vec()).unwrap();
    let unsigned = query.split("&Signature=").next().unwrap();
    let parts = Parts {
        method: Method::POST,
        target: b"/".to_vec(),
        headers: headers(&[("content-type", "application/x-www-form-urlencoded;charset=utf-8")]),
        body: format!("{unsigned}&Signature=PLACEHOLDER").into_bytes(),
    };
    assert!(signed_by_hand(&parts, &capture.secret, capture.signed_at, |_| true));
    let plain = Parts { headers: headers(&[("content-type", "text/plain")]), ..parts };
    assert!(recognise(&plain.request().unwrap()).is_none(), "a body of another type is no form");
}

#[test]
fn marks_that_a_client_leaves_bare_are_signed_encoded() {
    let capture = capture::one("alibaba/09");
    let mut parts = capture.parts.clone();
    let target = String::from_utf8(parts.target).unwrap();
    parts.target = ["'", "(", ")", "!", "*"]
        .iter()
        .zip(["%27", "%28", "%29", "%21", "%2A"])
        .fold(target, |target, (bare, encoded)| target.replace(encoded, bare))
        .into_bytes();
    assert_ne!(parts.target, capture.parts.target);
    assert!(accepted(&capture, &parts, capture.signed_at));
}
