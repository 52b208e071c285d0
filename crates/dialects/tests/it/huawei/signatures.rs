//! Ways to sign that the recorded requests do not show, tokens and passwords.

use std::time::Duration;

use http::Method;
use keystow_dialects::{Claim, Dialect, Fault, Request, Secret, huawei::Huawei, recognise};

use super::{MOMENT, PROJECT, get, request, unsigned};
use crate::capture::{self, Capture, Parts};
use crate::shared::at;
use crate::signatures::{Rules, accepted, changes_are_refused, decoded, headers, is_listed, signed_by_hand};

pub(crate) const RULES: Rules =
    Rules { window: Duration::from_mins(15), signs_header, signs_body: |_| true, says_the_same };

fn signs_header(capture: &Capture, name: &str) -> bool {
    name == "authorization" || is_listed(capture, name)
}

/// Parameters are signed decoded and in order.
fn says_the_same(capture: &Capture, changed: &Parts) -> bool {
    let original = &capture.parts;
    let split = |target: &[u8]| {
        let mut halves = target.splitn(2, |byte| *byte == b'?');
        let path = halves.next().unwrap_or_default().to_vec();
        (path, decoded(halves.next().unwrap_or_default()))
    };
    split(&changed.target) == split(&original.target)
        && changed.body == original.body
        && changed.headers == original.headers
}

#[test]
fn any_changed_signed_byte_is_refused() {
    changes_are_refused("huawei");
}

fn secret() -> Secret {
    Secret::new("keystow-fake-secret-key-0000000000000001")
}

/// A request signed by hand; the signature is put in where a reading of it shows it.
fn parts(method: Method, target: &str, names: &str, body: &str) -> Parts {
    let authorization = format!("SDK-HMAC-SHA256 Access=A,SignedHeaders={names},Signature=PLACEHOLDER");
    Parts {
        method,
        target: target.replace("{p}", PROJECT).into_bytes(),
        headers: headers(&[
            ("host", "127.0.0.1:1"),
            ("x-sdk-date", "20261121T080000Z"),
            ("authorization", &authorization),
        ]),
        body: body.as_bytes().to_vec(),
    }
}

fn works(parts: &Parts, canonical: &str) -> bool {
    let reading = |workings: &keystow_dialects::Workings| {
        workings.canonical_request.as_ref().unwrap().contains(canonical)
    };
    signed_by_hand(parts, &secret(), at(MOMENT), reading)
}

/// The vectors of the Go SDK's own tests, with the last step worked out.
#[test]
fn the_go_sdks_own_vectors_come_out() {
    for (method, target, body, signature) in [
        (
            Method::GET,
            "/path?limit=1",
            "",
            "5a2ce64c865e0e6046321c6f3d5a77ba8413eeaf355c3166c03d58d02ac79624",
        ),
        (
            Method::POST,
            "/path?key=value",
            "{\"Name\":\"test\",\"Id\":1}\n",
            "cecc2af119b18ab70b4d094c0750f3b42c02f254903179a0fc2cc72fc9db4f59",
        ),
    ] {
        let mut parts = parts(method, target, "x-sdk-date", body);
        parts.headers[1].1 = b"20060102T150405Z".to_vec();
        let request = parts.request().unwrap();
        let workings = Huawei.workings(&request, &Secret::new("SecretKey")).unwrap();
        assert_eq!(workings[0].signature, signature);
    }
}

#[test]
fn clients_that_sign_the_date_alone_are_served() {
    let mut parts = parts(Method::POST, "/v3/{p}/backups", "x-sdk-date", "{\"a\":1}\n");
    assert!(works(&parts, "\nx-sdk-date:20261121T080000Z\n\nx-sdk-date\n"));
    parts.headers[2].1 = b"SDK-HMAC-SHA256 Signature=PLACEHOLDER,Access=A,SignedHeaders=x-sdk-date".to_vec();
    assert!(works(&parts, "POST"), "the fields may come in any order");
}

#[test]
fn queries_may_be_unsorted_and_under_escaped() {
    let target = "/v3/{p}/instances?offset=0&name=*a!'()&limit&datastore_type=redis";
    let parts = parts(Method::GET, target, "host;x-sdk-date", "");
    assert!(works(&parts, "\ndatastore_type=redis&limit=&name=%2Aa%21%27%28%29&offset=0\n"));
}

#[test]
fn a_get_may_have_a_body() {
    let parts = parts(Method::GET, "/v3/projects?name=cn-north-4", "host;x-sdk-date", "{}");
    assert!(works(&parts, "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"));
    let request = parts.request().unwrap();
    assert!(Huawei.decode(&request).is_ok());
}

#[test]
fn a_bare_plus_in_a_time_may_be_a_plus_or_a_blank() {
    let target = "/v3/{p}/backups?begin_time=2026-11-01+00:00:00&end_time=2026-11-20T00:00:00+0000";
    let parts = parts(Method::GET, target, "host;x-sdk-date", "");
    assert!(works(&parts, "begin_time=2026-11-01%2B00%3A00%3A00"));
    assert!(works(&parts, "begin_time=2026-11-01%2000%3A00%3A00"));
    assert!(Huawei.decode(&parts.request().unwrap()).is_ok());
}

#[test]
fn a_bare_plus_elsewhere_is_a_plus_only() {
    let parts = parts(Method::GET, "/v3/{p}/instances?name=a+b", "host;x-sdk-date", "");
    let readings = Huawei.workings(&parts.request().unwrap(), &secret()).unwrap();
    assert_eq!(readings.len(), 1, "two readings would be two names");
    assert!(readings[0].canonical_request.as_ref().unwrap().contains("name=a%2Bb"));
}

#[test]
fn a_path_may_be_escaped_once_or_twice() {
    let parts = parts(Method::DELETE, "/v3/{p}/backups/a%20b", "host;x-sdk-date", "");
    assert!(works(&parts, "/backups/a%20b/\n"));
    assert!(works(&parts, "/backups/a%2520b/\n"));
}

#[test]
fn paths_that_a_signature_cannot_tell_apart_are_refused() {
    for target in
        ["/v3/{p}/backups/a%2Fb", "/v3/{p}/backups/a%2520b", "/v3/{p}/backups/%zz", "/v3/{p}/backups/%ff"]
    {
        let request = request(&Method::DELETE, target, "");
        assert!(matches!(Huawei.claim(&request), Err(Fault::MalformedRequest(_))), "{target}");
        assert!(Huawei.verify(&request, &secret(), at(MOMENT)).is_err());
        assert!(Huawei.decode(&request).is_err());
    }
}

#[test]
fn a_slash_at_the_end_changes_nothing() {
    let parts = parts(Method::GET, "/v3/{p}/backups/", "host;x-sdk-date", "");
    assert!(works(&parts, &format!("GET\n/v3/{PROJECT}/backups/\n")));
    assert_eq!(Huawei.decode(&parts.request().unwrap()), Huawei.decode(&get("/v3/{p}/backups")));
}

#[test]
fn the_host_of_http2_is_signed_too() {
    let mut parts = parts(Method::GET, "http://keystow.test:8443/v3/{p}/backups", "host;x-sdk-date", "");
    parts.headers.remove(0);
    assert!(works(&parts, "\nhost:keystow.test:8443\n"));
}

#[test]
fn values_are_signed_as_bytes() {
    let mut parts = parts(Method::GET, "/v3/{p}/backups", "user-agent;x-sdk-date", "");
    parts.headers.push(("user-agent".to_owned(), "  přes; A  B ".as_bytes().to_vec()));
    assert!(works(&parts, "\nuser-agent:přes; A  B\n"));
}

#[test]
fn a_named_hash_of_the_body_must_be_right() {
    let hash = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    for (named, good) in [(hash, true), ("UNSIGNED-PAYLOAD", false), (&hash.to_uppercase(), false)] {
        let mut parts = parts(Method::GET, "/v3/{p}/backups", "x-sdk-content-sha256;x-sdk-date", "{}");
        parts.headers.push(("x-sdk-content-sha256".to_owned(), named.as_bytes().to_vec()));
        assert_eq!(works(&parts, "x-sdk"), good, "{named}");
    }
}

#[test]
fn broken_signatures_say_what_is_wrong() {
    let claim = |authorization: &str, date: Option<&str>| {
        let mut request = get("/v3/{p}/backups");
        request.headers_mut().insert("authorization", authorization.parse().unwrap());
        if let Some(date) = date {
            request.headers_mut().insert("x-sdk-date", date.parse().unwrap());
        }
        Huawei.claim(&request)
    };
    let good = "SDK-HMAC-SHA256 Access=A, SignedHeaders=host;x-sdk-date, Signature=x";
    let date = Some("20261121T080000Z");
    assert!(claim(good, date).is_ok());
    assert_eq!(claim(good, None), Err(Fault::Unsigned("X-Sdk-Date")));
    for broken in [
        "SDK-HMAC-SM3 Access=A, SignedHeaders=x-sdk-date, Signature=x",
        "SDK-HMAC-SHA256",
        "SDK-HMAC-SHA256 Access=A, SignedHeaders=host, Signature=x",
        "SDK-HMAC-SHA256 Access=A, SignedHeaders=x-sdk-date;x-sdk-date, Signature=x",
        "SDK-HMAC-SHA256 Access=A, Access=B, SignedHeaders=x-sdk-date, Signature=x",
        "SDK-HMAC-SHA256 Credential=A, SignedHeaders=x-sdk-date, Signature=x",
        "SDK-HMAC-SHA256 Access=, SignedHeaders=x-sdk-date, Signature=x",
        "V11-HMAC-SHA256 Access=A, SignedHeaders=x-sdk-date, Signature=x",
        "V11-HMAC-SHA256 Credential=A/20261121/r, SignedHeaders=x-sdk-date, Signature=x",
        "V11-HMAC-SHA256 Credential=A/20261121//s, SignedHeaders=x-sdk-date, Signature=x",
    ] {
        assert!(matches!(claim(broken, date), Err(Fault::MalformedSignature(_))), "{broken}");
    }
    let verify = |date: &str| {
        let mut request = get("/v3/{p}/backups");
        request.headers_mut().insert("authorization", good.parse().unwrap());
        request.headers_mut().insert("x-sdk-date", date.parse().unwrap());
        Huawei.verify(&request, &secret(), at(MOMENT)).unwrap_err()
    };
    for date in
        ["", "20261121", "2026-11-21T08:00:00Z", "20261121T080000", "20261321T080000Z", "20261121t080000Z"]
    {
        assert_eq!(verify(date), Fault::MalformedTime, "{date}");
    }
    assert_eq!(verify("20261121T074400Z"), Fault::Stale);
}

#[test]
fn a_derived_key_is_of_the_day_of_the_date() {
    let capture = capture::one("huawei/05");
    let mut parts = capture.parts.clone();
    for (_, value) in &mut parts.headers {
        *value = String::from_utf8_lossy(value).replace("/20261121/", "/20261120/").into_bytes();
    }
    let verdict = Huawei.verify(&parts.request().unwrap(), &capture.secret, capture.signed_at);
    assert!(matches!(verdict, Err(Fault::MalformedSignature(_))), "{verdict:?}");
}

#[test]
fn there_is_no_nonce() {
    let capture = capture::one("huawei/01");
    let verified = Huawei.verify(&capture.request(), &capture.secret, capture.signed_at).unwrap();
    assert_eq!(verified.nonce, None);
}

#[test]
fn a_temporary_key_shows_its_token() {
    let capture = capture::one("huawei/04");
    let claim = Huawei.claim(&capture.request()).unwrap();
    assert_eq!(claim.session_token.as_deref(), Some("keystow-fake-sts-token/AAAA+BBBB=="));
    let mut without = capture.parts.clone();
    without.headers.retain(|(name, _)| name != "X-Security-Token");
    assert!(!accepted(&capture, &without, capture.signed_at));
}

fn bearer(request: &Request) -> Result<Option<Secret>, Fault> {
    Huawei.bearer(request)
}

#[test]
fn a_token_stands_in_for_a_signature() {
    let request = unsigned("07");
    assert_eq!(recognise(&request).map(Dialect::name), Some("huawei"));
    assert_eq!(bearer(&request), Ok(Some(Secret::new("MIIFAKEKEYSTOWTOKEN-not-a-real-token-0001"))));
    let mut twice = unsigned("07");
    twice.headers_mut().append("x-auth-token", "y".parse().unwrap());
    assert!(matches!(bearer(&twice), Err(Fault::MalformedRequest(_))));
    let mut empty = unsigned("07");
    empty.headers_mut().insert("x-auth-token", "".parse().unwrap());
    assert_eq!(bearer(&empty), Ok(None));
    assert_eq!(Huawei.claim(&empty), Err(Fault::Unsigned("X-Auth-Token")));
    let mut other = unsigned("07");
    other.headers_mut().insert("authorization", "Bearer x".parse().unwrap());
    assert!(bearer(&other).unwrap().is_some(), "another scheme's header is not looked at");
    let mut signed = capture::one("huawei/01").request();
    signed.headers_mut().insert("x-auth-token", "x".parse().unwrap());
    assert_eq!(bearer(&signed), Ok(None), "a signature is verified, whatever stands beside it");
}

#[test]
fn a_route_that_is_not_there_is_told_before_anything_else() {
    let mut request = get("/v3/{p}/nothing");
    assert!(matches!(Huawei.claim(&request), Err(Fault::UnknownAction(_))));
    request.headers_mut().insert("x-auth-token", "x".parse().unwrap());
    assert!(matches!(bearer(&request), Err(Fault::UnknownAction(_))));
}

#[test]
fn a_password_is_the_secret_of_the_key_that_the_name_is() {
    let request = unsigned("13");
    assert_eq!(recognise(&request).map(Dialect::name), Some("huawei"));
    assert_eq!(bearer(&request), Ok(None));
    let claim = Claim { access_key_id: "backup-user".to_owned(), session_token: None };
    assert_eq!(Huawei.claim(&request), Ok(claim));
    let verify =
        |secret: &str| Huawei.verify(&request, &Secret::new(secret), at(0)).map(|verified| verified.nonce);
    assert_eq!(verify("keystow-fake-password"), Ok(None));
    for wrong in ["", "keystow-fake-passwor", "keystow-fake-password ", "Keystow-fake-password"] {
        assert_eq!(verify(wrong), Err(Fault::WrongPassword));
    }
    let mut both = unsigned("13");
    let authorization = "SDK-HMAC-SHA256 Access=A, SignedHeaders=x-sdk-date, Signature=x";
    both.headers_mut().insert("authorization", authorization.parse().unwrap());
    assert!(matches!(Huawei.claim(&both), Err(Fault::MalformedSignature(_))), "credentials in two places");
}
