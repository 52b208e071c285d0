//! Ways to sign that the recorded requests do not show.

use std::time::Duration;

use http::Method;
use keystow_dialects::{Dialect, Fault, alibaba::Alibaba, recognise};

use crate::capture::{self, Capture, Parts};
use crate::signatures::{
    Rules, accepted, changes_are_refused, decoded, dialect, headers, is_listed, signed_by_hand,
};

pub(crate) const RULES: Rules =
    Rules { window: Duration::from_mins(15), signs_header, signs_body: |_| true, says_the_same };

fn is_v3(capture: &Capture) -> bool {
    !capture.expected["canonical_request"].is_null()
}

fn signs_header(capture: &Capture, name: &str) -> bool {
    is_v3(capture) && (name == "authorization" || is_listed(capture, name))
}

/// Both schemes sign decoded parameters of the query, V1 those of a form too.
fn says_the_same(capture: &Capture, changed: &Parts) -> bool {
    let original = &capture.parts;
    let same_query = changed.target == original.target
        || (changed.target.starts_with(b"/?")
            && decoded(&changed.target[2..]) == decoded(&original.target[2..]));
    let same_body = changed.body == original.body
        || (!is_v3(capture) && decoded(&changed.body) == decoded(&original.body));
    same_query && same_body && changed.headers == original.headers
}

#[test]
fn any_changed_signed_byte_is_refused() {
    changes_are_refused("alibaba");
}

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
