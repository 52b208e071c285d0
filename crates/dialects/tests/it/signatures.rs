//! Recorded requests verify at their moment, and with any signed byte changed they do not.

use std::time::{Duration, SystemTime};

use http::Method;
use keystow_dialects::{ALL, Dialect, Fault, Secret, Workings, recognise};

use crate::capture::{self, Capture, Parts};

fn window(capture: &Capture) -> Duration {
    Duration::from_mins(if capture.dialect == "alibaba" { 15 } else { 5 })
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
        let (at, window) = (capture.signed_at, window(&capture));
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

/// Names and values after decoding, written apart from the code under test.
fn decoded(raw: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
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
        .map(|pair| {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            (decode(halves.next().unwrap_or_default()), decode(halves.next().unwrap_or_default()))
        })
        .collect();
    pairs.sort();
    pairs
}

/// Whether a changed request says provably the same: its parameters decode to the same, where the
/// scheme signs decoded parameters; or only the port changed that the client never signed.
fn says_the_same(capture: &Capture, changed: &Parts) -> bool {
    let original = &capture.parts;
    let signs_decoded = capture.dialect == "alibaba" || capture.expected["canonical_request"].is_null();
    let same_query = changed.target == original.target
        || (signs_decoded && decoded(&changed.target[2..]) == decoded(&original.target[2..]));
    // Under V3 the body is signed as it is.
    let signs_form = capture.expected["canonical_request"].is_null();
    let same_body =
        changed.body == original.body || (signs_form && decoded(&changed.body) == decoded(&original.body));
    let host = |parts: &Parts| {
        let (_, value) = parts.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host")).unwrap();
        let host = String::from_utf8_lossy(value).into_owned();
        let (name, port) = host.rsplit_once(':').unwrap_or((&host, ""));
        (name.to_owned(), port.to_owned())
    };
    let (name, port) = host(original);
    let port_unsigned = capture.expected["signed_host"] == name;
    let (new_name, new_port) = host(changed);
    let digits = new_port.bytes().all(|byte| byte.is_ascii_digit());
    let same_host = new_name == name && (new_port == port || (port_unsigned && digits));
    same_query && same_body && same_host
}

/// Headers that a signature covers or that it is made of.
fn is_signed(capture: &Capture, name: &str) -> bool {
    let name = name.to_lowercase();
    let by_headers = !capture.expected["canonical_request"].is_null();
    let named = || {
        let headers = capture.parts.headers.iter();
        let mut authorization = headers.filter(|(name, _)| name == "Authorization");
        let text = String::from_utf8_lossy(&authorization.next().unwrap().1).into_owned();
        let list = text.split_once("SignedHeaders=").unwrap().1.split(',').next().unwrap().to_owned();
        list.split(';').any(|signed| signed == name)
    };
    match capture.dialect {
        "alibaba" => by_headers && (name == "authorization" || named()),
        _ if by_headers => {
            let made_of = ["authorization", "x-tc-timestamp", "x-tc-content-sha256", "x-tc-token"];
            made_of.contains(&name.as_str()) || named()
        }
        _ => name == "host",
    }
}

#[test]
fn any_changed_signed_byte_is_refused() {
    let mut changes = 0;
    for capture in capture::all().into_iter().filter(|capture| capture.valid) {
        let mut check = |changed: &Parts, place: &str| {
            changes += 1;
            let good = accepted(&capture, changed, capture.signed_at);
            assert!(
                !good || says_the_same(&capture, changed),
                "{}: accepted with {place} changed",
                capture.name
            );
        };
        for mask in [0x01, 0x20, 0x07] {
            for at in 0..capture.parts.target.len() {
                let mut parts = capture.parts.clone();
                parts.target[at] ^= mask;
                check(&parts, &format!("byte {at} of the target"));
            }
            let unsigned_body = capture.parts.headers.iter().any(|(_, value)| value == b"UNSIGNED-PAYLOAD");
            for at in 0..if unsigned_body { 0 } else { capture.parts.body.len() } {
                let mut parts = capture.parts.clone();
                parts.body[at] ^= mask;
                check(&parts, &format!("byte {at} of the body"));
            }
            for (header, (name, value)) in capture.parts.headers.iter().enumerate() {
                for at in 0..if is_signed(&capture, name) { value.len() } else { 0 } {
                    let mut parts = capture.parts.clone();
                    parts.headers[header].1[at] ^= mask;
                    check(&parts, &format!("byte {at} of {name}"));
                }
            }
        }
    }
    assert!(changes > 30_000, "only {changes} changes were tried");
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
        let signed: Vec<_> =
            capture.parts.headers.iter().filter(|(name, _)| is_signed(&capture, name)).collect();
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
