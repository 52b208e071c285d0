//! Recorded requests verify at their moment, and with any signed byte changed they do not.

use std::time::{Duration, SystemTime};

use http::Method;
use keystow_dialects::{ALL, Dialect, Fault, Secret, Workings, recognise};

use crate::capture::{self, Capture, Parts};
use crate::{alibaba, huawei, tencent_v2, tencent_v3, ucloud};

/// What the tests have to know of a vendor's scheme.
pub(crate) struct Rules {
    /// How far the time of a request may be off; [`Duration::MAX`] where no time is signed.
    pub(crate) window: Duration,
    /// Whether a header is covered by the signature or is a part of it.
    pub(crate) signs_header: fn(&Capture, &str) -> bool,
    /// Whether the body is covered.
    pub(crate) signs_body: fn(&Capture) -> bool,
    /// Whether a changed request says provably the same as the recorded one.
    pub(crate) says_the_same: fn(&Capture, &Parts) -> bool,
}

fn rules(capture: &Capture) -> Rules {
    match capture.dialect {
        "alibaba" => alibaba::signatures::RULES,
        "huawei" => huawei::signatures::RULES,
        "tencent_v2" => tencent_v2::signatures::RULES,
        "tencent_v3" => tencent_v3::signatures::RULES,
        "ucloud" => ucloud::signatures::RULES,
        other => panic!("no rules for {other}"),
    }
}

pub(crate) fn dialect(capture: &Capture) -> &'static dyn Dialect {
    *ALL.iter().find(|dialect| dialect.name() == capture.dialect).unwrap()
}

/// What the server does before it trusts a request, with one known key.
pub(crate) fn accepted(capture: &Capture, parts: &Parts, now: SystemTime) -> bool {
    let Some(request) = parts.request() else { return false };
    let Some(dialect) = recognise(&request) else { return false };
    let Ok(claim) = dialect.claim(&request) else { return false };
    claim.access_key_id == capture.access_key_id
        && claim.session_token == capture.token
        && dialect.verify(&request, &capture.secret, now).is_ok()
}

#[test]
fn every_recorded_request_verifies_at_its_moment() {
    for capture in capture::all() {
        let request = capture.request();
        assert_eq!(recognise(&request).map(Dialect::name), Some(capture.dialect), "{}", capture.name);
        assert_eq!(accepted(&capture, &capture.parts, capture.signed_at), capture.valid, "{}", capture.name);
        let claims = ALL.iter().filter(|dialect| dialect.recognises(&request)).count();
        assert_eq!(claims, 1, "{} is taken by one dialect", capture.name);
    }
}

#[test]
fn every_intermediate_text_is_the_recorded_one() {
    for capture in capture::all().into_iter().filter(|capture| capture.valid) {
        let request = capture.request();
        let readings = dialect(&capture).workings(&request, &capture.secret).unwrap();
        let text = |name: &str| capture.expected[name].as_str().map(str::to_owned);
        let expected = Workings {
            canonical_request: text("canonical_request"),
            string_to_sign: text("string_to_sign").unwrap(),
            signature: text("signature").unwrap(),
        };
        assert!(readings.contains(&expected), "{}: {expected:#?} is none of {readings:#?}", capture.name);
    }
}

#[test]
fn the_window_ends_where_the_vendor_says() {
    for capture in capture::all().into_iter().filter(|capture| capture.valid) {
        let (at, window) = (capture.signed_at, rules(&capture).window);
        if window == Duration::MAX {
            continue;
        }
        let verify = |now| dialect(&capture).verify(&capture.request(), &capture.secret, now).map(|_| ());
        for inside in [at - window, at + window] {
            assert_eq!(verify(inside), Ok(()), "{}", capture.name);
        }
        let beyond = window + Duration::from_millis(1);
        for outside in [at - beyond, at + beyond, SystemTime::UNIX_EPOCH] {
            assert_eq!(verify(outside), Err(Fault::Stale), "{}", capture.name);
        }
    }
}

#[test]
fn another_secret_gives_another_signature() {
    for capture in capture::all() {
        for other in ["", "x", "fakeSecretKeystow0001NotReaL"] {
            let verdict =
                dialect(&capture).verify(&capture.request(), &Secret::new(other), capture.signed_at);
            let Err(Fault::BadSignature { string_to_sign }) = verdict else {
                panic!("{}: {verdict:?}", capture.name)
            };
            assert!(!string_to_sign.is_empty());
        }
    }
}

#[test]
fn a_changed_method_is_refused() {
    for capture in capture::all() {
        for method in [Method::GET, Method::POST, Method::PUT, Method::HEAD] {
            if method != capture.parts.method {
                let parts = Parts { method, ..capture.parts.clone() };
                assert!(!accepted(&capture, &parts, capture.signed_at), "{}", capture.name);
            }
        }
    }
}

/// Names and values of a query or form after decoding, written apart from the code under test.
pub(crate) fn decoded(raw: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let decode = |text: &[u8]| {
        let mut bytes = text.iter().copied();
        let mut decoded = Vec::new();
        while let Some(byte) = bytes.next() {
            match byte {
                b'+' => decoded.push(b' '),
                b'%' => {
                    let digits: Vec<u8> = bytes.by_ref().take(2).collect();
                    let digits = String::from_utf8_lossy(&digits).into_owned();
                    match u8::from_str_radix(&digits, 16) {
                        Ok(byte) => decoded.push(byte),
                        Err(_) => decoded.extend_from_slice(digits.as_bytes()),
                    }
                }
                other => decoded.push(other),
            }
        }
        decoded
    };
    let mut pairs: Vec<_> = raw
        .split(|byte| *byte == b'&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            (decode(halves.next().unwrap_or_default()), decode(halves.next().unwrap_or_default()))
        })
        .collect();
    pairs.sort();
    pairs
}

/// The value of a recorded header.
pub(crate) fn header<'a>(parts: &'a Parts, wanted: &str) -> Option<&'a [u8]> {
    parts.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| &value[..])
}

/// Whether a header is named in the `SignedHeaders` list of the Authorization header.
pub(crate) fn is_listed(capture: &Capture, name: &str) -> bool {
    let text = String::from_utf8_lossy(header(&capture.parts, "authorization").unwrap()).into_owned();
    let list = text.split_once("SignedHeaders=").unwrap().1.split(',').next().unwrap().to_owned();
    list.split(';').any(|signed| signed == name)
}

/// Ways to flip bits of a byte, the single ones first.
const MASKS: [u8; 24] = [
    0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x03, 0x05, 0x06, 0x07, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e,
    0x0f, 0x11, 0x12, 0x14, 0x18, 0x1f, 0x21,
];
/// Changes tried with each vendor's requests.
const CHANGES: usize = 100_000;

/// Changes, drops, doubles and joins each byte of a text in so many ways.
fn changed_texts(text: &[u8], ways: usize, mut check: impl FnMut(Vec<u8>, usize)) {
    for (at, &byte) in text.iter().enumerate() {
        // Blanks around a header's fields mean nothing: there may be fewer or more.
        let blank = byte == b' ';
        let mut dropped = text.to_vec();
        if !blank {
            dropped.remove(at);
            check(dropped, at);
        }
        for more in [if blank { b'b' } else { byte }, b'&', b'%', b'a'] {
            let mut joined = text.to_vec();
            joined.insert(at, more);
            check(joined, at);
        }
        for mask in &MASKS[..ways.saturating_sub(4)] {
            let mut changed = text.to_vec();
            changed[at] ^= mask;
            check(changed, at);
        }
    }
}

/// The signed texts of a request, all together.
fn signed_bytes(capture: &Capture) -> usize {
    let rules = rules(capture);
    let headers = capture.parts.headers.iter();
    let headers = headers.filter(|(name, _)| (rules.signs_header)(capture, &name.to_lowercase()));
    let body = if (rules.signs_body)(capture) { capture.parts.body.len() } else { 0 };
    capture.parts.target.len() + body + headers.map(|(_, value)| value.len()).sum::<usize>()
}

/// Changes every signed byte of every recorded request of a vendor in many ways; a changed request is
/// accepted only when it says the same.
pub(crate) fn changes_are_refused(dialect: &str) {
    let mut changes = 0;
    let captures = capture::all().into_iter().filter(|capture| capture.dialect == dialect && capture.valid);
    let captures: Vec<_> = captures.collect();
    let ways = CHANGES.div_ceil(captures.iter().map(signed_bytes).sum());
    for capture in &captures {
        let rules = rules(capture);
        let mut parts = capture.parts.clone();
        let mut check = |parts: &Parts, at: usize, place: &str| {
            changes += 1;
            let good = accepted(capture, parts, capture.signed_at);
            assert!(
                !good || (rules.says_the_same)(capture, parts),
                "{}: accepted with byte {at} of {place} changed: {parts:?}",
                capture.name
            );
        };
        changed_texts(&capture.parts.target, ways, |target, at| {
            parts.target = target;
            check(&parts, at, "the target");
        });
        parts.target.clone_from(&capture.parts.target);
        if (rules.signs_body)(capture) {
            changed_texts(&capture.parts.body, ways, |body, at| {
                parts.body = body;
                check(&parts, at, "the body");
            });
            parts.body.clone_from(&capture.parts.body);
        }
        for (place, (name, value)) in capture.parts.headers.iter().enumerate() {
            if (rules.signs_header)(capture, &name.to_lowercase()) {
                changed_texts(value, ways, |value, at| {
                    parts.headers[place].1 = value;
                    check(&parts, at, name);
                });
                parts.headers[place].1.clone_from(value);
            }
        }
    }
    assert!(changes >= CHANGES, "only {changes} changes were tried");
}

#[test]
fn added_and_removed_pieces_are_refused() {
    for capture in capture::all().into_iter().filter(|capture| capture.valid) {
        let refused = |parts: &Parts, what: &str| {
            assert!(!accepted(&capture, parts, capture.signed_at), "{}: accepted with {what}", capture.name);
        };
        let by_headers = !capture.expected["canonical_request"].is_null();
        let mut more = capture.parts.clone();
        let mark = if more.target.contains(&b'?') { '&' } else { '?' };
        more.target.extend_from_slice(format!("{mark}InstanceId2=x").as_bytes());
        refused(&more, "one more parameter");
        let rules = rules(&capture);
        let is_signed = |name: &str| (rules.signs_header)(&capture, &name.to_lowercase());
        let signed: Vec<_> = capture.parts.headers.iter().filter(|(name, _)| is_signed(name)).collect();
        for (name, value) in signed {
            let mut fewer = capture.parts.clone();
            fewer.headers.retain(|(other, _)| other != name);
            refused(&fewer, &format!("{name} removed"));
            if by_headers {
                let mut twice = capture.parts.clone();
                twice.headers.push((name.clone(), value.clone()));
                refused(&twice, &format!("{name} given twice"));
            }
        }
        if by_headers {
            let mut both = capture.parts.clone();
            both.target = b"/?AccessKeyId=x&SecretId=x&Signature=x".to_vec();
            refused(&both, "credentials in two places");
        } else {
            let mut both = capture.parts.clone();
            both.headers.push(("Authorization".to_owned(), b"Basic eDp5".to_vec()));
            refused(&both, "credentials in two places");
        }
    }
}

/// Puts the signature that a reading gives in place of a placeholder, and verifies the request.
pub(crate) fn signed_by_hand(
    parts: &Parts,
    secret: &Secret,
    now: SystemTime,
    reading: impl Fn(&Workings) -> bool,
) -> bool {
    let request = parts.request().unwrap();
    let dialect = recognise(&request).unwrap();
    let readings = dialect.workings(&request, secret).unwrap();
    let chosen = readings.iter().find(|workings| reading(workings)).expect("such a reading");
    let escaped = chosen.signature.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    let put = |bytes: &[u8], signature: &str| {
        String::from_utf8_lossy(bytes).replace("PLACEHOLDER", signature).into_bytes()
    };
    let mut signed = parts.clone();
    signed.target = put(&signed.target, &escaped);
    signed.body = put(&signed.body, &escaped);
    signed.headers.iter_mut().for_each(|(_, value)| *value = put(value, &chosen.signature));
    assert_ne!((&signed.target, &signed.body, &signed.headers), (&parts.target, &parts.body, &parts.headers));
    dialect.verify(&signed.request().unwrap(), secret, now).is_ok()
}

pub(crate) fn headers(pairs: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect()
}
