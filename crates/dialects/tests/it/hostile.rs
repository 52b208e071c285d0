//! Requests of any bytes are answered, never panicked on.

use std::time::{Duration, SystemTime};

use http::Method;
use keystow_dialects::{ALL, Exchange, Request, Secret, recognise};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::capture::{self, Parts};

fn at() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_601)
}

/// Everything that the server does with a request, whatever came before.
fn handle(request: &Request) {
    let secret = Secret::new("FakeKeystowSecretKey000000000001");
    let exchange = Exchange { request_id: "0b9d8ba8-3a4f-4f1c-9d2a-3c1f6b0d7e11", now: at() };
    let _ = recognise(request);
    for dialect in ALL {
        let _ = dialect.recognises(request);
        let _ = dialect.action(request);
        let outcomes = [
            dialect.claim(request).err(),
            dialect.verify(request, &secret, at()).err(),
            dialect.decode(request).err(),
        ];
        for fault in outcomes.into_iter().flatten() {
            assert!(!dialect.encode(request, &exchange, &Err(fault)).body().is_empty());
        }
    }
}

fn marked_header() -> impl Strategy<Value = (String, Vec<u8>)> {
    let name = prop::sample::select(vec![
        "authorization",
        "host",
        "content-type",
        "x-acs-action",
        "x-acs-version",
        "x-acs-date",
        "x-acs-signature-nonce",
        "x-acs-content-sha256",
        "x-acs-security-token",
        "x-tc-action",
        "x-tc-version",
        "x-tc-timestamp",
        "x-tc-region",
        "x-tc-language",
        "x-tc-content-sha256",
        "x-sdk-date",
        "x-sdk-content-sha256",
        "x-auth-token",
        "x-project-id",
    ]);
    let known = prop::sample::select(vec![
        "ACS3-HMAC-SHA256 Credential=a,SignedHeaders=;;,Signature=x",
        "TC3-HMAC-SHA256 Credential=a/2026-01-01/r/tc3_request, SignedHeaders=content-type;host, Signature=x",
        "SDK-HMAC-SHA256 Access=a, SignedHeaders=host;x-sdk-date, Signature=x",
        "V11-HMAC-SHA256 Credential=a/20260101/r/s, SignedHeaders=x-sdk-date, Signature=x",
        "20260101T000000Z",
        "application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=b",
        "DescribeBackupUrl",
        "DescribeInstances",
        "DescribeBackups",
        "2018-04-12",
        "2015-01-01",
        "1767225600",
        "2026-01-01T00:00:00Z",
        "99999999999999999999",
        "UNSIGNED-PAYLOAD",
        "http://[::1]:80",
        ":",
        "",
    ]);
    let value = prop_oneof![known.prop_map(|text| text.as_bytes().to_vec()), vec(any::<u8>(), 0..40)];
    (name.prop_map(str::to_owned), value)
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..200),
        r#"(\{|\}|\[|\]|"Limit"|"LimitIp"|"LimitVpc"|"PublicKey"|"Action"|:|,|1|-1|null|"x"){0,30}"#.prop_map(String::into_bytes),
        r"((Status|LimitVpc|taskStatus|remark|Action|Version|PageSize|Format)(\.[0-9]{1,10}|\.[A-Z]){0,12}=[%0-9A-Za-z+]{0,6}&){0,20}"
            .prop_map(String::into_bytes),
        r#"(--b|\r\n|--| name="|"|; |content-type: application/json|x|\{){0,30}"#.prop_map(String::into_bytes),
    ]
}

proptest! {
    #[test]
    fn any_request_is_answered(
        get in any::<bool>(),
        path in prop::sample::select(vec!["/", "/v2/index.php"]),
        query in r"((Action|Version|AccessKeyId|SecretId|PublicKey|redisId|taskType|limit|Signature|SignatureMethod|Timestamp|Nonce|[A-Z]{1,3})(\.[0-9]{1,12}){0,3}=[-%0-9A-Za-z+:]{0,20}&){0,12}",
        headers in vec(marked_header(), 0..12),
        body in body(),
    ) {
        let method = if get { Method::GET } else { Method::POST };
        let parts = Parts { method, target: format!("{path}?{query}").into_bytes(), headers, body };
        if let Some(request) = parts.request() {
            handle(&request);
        }
    }

    #[test]
    fn a_spoilt_recorded_request_is_answered(
        which in any::<prop::sample::Index>(),
        cuts in vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), vec(any::<u8>(), 0..4)), 1..4),
    ) {
        let captures = capture::all();
        let mut parts = which.get(&captures).parts.clone();
        for (place, at, bytes) in cuts {
            let count = parts.headers.len() + 2;
            let text = match place.index(count) {
                0 => &mut parts.target,
                1 => &mut parts.body,
                header => &mut parts.headers[header - 2].1,
            };
            if !text.is_empty() {
                let at = at.index(text.len());
                text.splice(at..=at, bytes);
            }
        }
        if let Some(request) = parts.request() {
            handle(&request);
        }
    }
}

#[test]
fn deep_and_wide_input_is_refused_quickly() {
    let json = |body: String| Parts {
        method: Method::POST,
        target: b"/".to_vec(),
        headers: [
            ("content-type", "application/json"),
            ("x-tc-action", "DescribeBackupUrl"),
            ("x-tc-version", "2018-04-12"),
        ]
        .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()))
        .to_vec(),
        body: body.into_bytes(),
    };
    handle(&json("[".repeat(1_000_000)).request().unwrap());
    handle(&json(format!("{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000))).request().unwrap());
    let mut form = json("A.999999999.B=1&".repeat(60_000));
    form.headers[0].1 = b"application/x-www-form-urlencoded".to_vec();
    handle(&form.request().unwrap());
    form.body = format!("{}=1", "A.0.".repeat(200_000)).into_bytes();
    handle(&form.request().unwrap());
    form.headers[0].1 = b"multipart/form-data; boundary=b".to_vec();
    form.body = "--b\r\n".repeat(200_000).into_bytes();
    handle(&form.request().unwrap());
}
