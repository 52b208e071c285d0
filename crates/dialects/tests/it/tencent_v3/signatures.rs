//! Ways to sign that the recorded requests do not show.

use keystow_dialects::{Dialect, Fault, Workings, tencent_v3::TencentV3};

use crate::capture::{self, Parts};
use crate::signatures::{dialect, signed_by_hand};

#[test]
fn nonces_are_handed_on_where_the_scheme_has_one() {
    let verified = |name| {
        let capture = capture::one(name);
        dialect(&capture).verify(&capture.request(), &capture.secret, capture.signed_at).unwrap()
    };
    assert_eq!(verified("tencent_v3/01").nonce, None);
    assert!(verified("tencent_v3/05").nonce.is_some());
}

#[test]
fn a_scope_of_another_day_is_refused() {
    let capture = capture::one("tencent_v3/10");
    let text =
        |parts: &Parts| parts.headers.iter().map(|(_, v)| String::from_utf8_lossy(v)).collect::<String>();
    assert!(text(&capture.parts).contains("/2026-01-01/"), "20:30 UTC is another day in Beijing");
    let mut parts = capture.parts.clone();
    for (_, value) in &mut parts.headers {
        *value = String::from_utf8_lossy(value).replace("/2026-01-01/", "/2026-01-02/").into_bytes();
    }
    let request = parts.request().unwrap();
    let verdict = TencentV3.verify(&request, &capture.secret, capture.signed_at);
    assert_eq!(verdict, Err(Fault::Stale));
}

#[test]
fn values_of_more_signed_headers_may_be_lower_case() {
    let capture = capture::one("tencent_v3/01");
    let mut parts = capture.parts.clone();
    for (name, value) in &mut parts.headers {
        if name == "Authorization" {
            let text =
                String::from_utf8_lossy(value).replace("content-type;host", "content-type;host;x-tc-action");
            *value =
                format!("{}Signature=PLACEHOLDER", text.split("Signature=").next().unwrap()).into_bytes();
        }
    }
    let has = |workings: &Workings, line: &str| workings.canonical_request.as_ref().unwrap().contains(line);
    for line in ["\nx-tc-action:DescribeBackupUrl\n", "\nx-tc-action:describebackupurl\n"] {
        let reading = |workings: &Workings| has(workings, line);
        assert!(signed_by_hand(&parts, &capture.secret, capture.signed_at, reading), "{line}");
    }
}

#[test]
fn hosts_may_be_signed_as_each_client_spells_them() {
    let capture = capture::one("tencent_v3/01");
    let mut parts = capture.parts.clone();
    for (name, value) in &mut parts.headers {
        match name.as_str() {
            "Host" => *value = b"https://[::1]:8443".to_vec(),
            "Authorization" => {
                let text = String::from_utf8_lossy(value).into_owned();
                *value =
                    format!("{}Signature=PLACEHOLDER", text.split("Signature=").next().unwrap()).into_bytes();
            }
            _ => {}
        }
    }
    for host in ["https://[::1]:8443", "[::1]", "[::1]:443", "[::1]:80"] {
        let line = format!("\nhost:{host}\n");
        let reading = |workings: &Workings| workings.canonical_request.as_ref().unwrap().contains(&line);
        assert!(signed_by_hand(&parts, &capture.secret, capture.signed_at, reading), "{host}");
    }
}
