//! Ways to sign that the recorded requests do not show.

use std::time::Duration;

use keystow_dialects::{Dialect, Fault, Workings, tencent_v3::TencentV3};

use crate::capture::{self, Capture, Parts};
use crate::signatures::{Rules, changes_are_refused, decoded, dialect, header, is_listed, signed_by_hand};

pub(crate) const RULES: Rules =
    Rules { window: Duration::from_mins(5), signs_header, signs_body, says_the_same };

fn is_tc3(capture: &Capture) -> bool {
    !capture.expected["canonical_request"].is_null()
}

fn signs_body(capture: &Capture) -> bool {
    header(&capture.parts, "x-tc-content-sha256").is_none()
}

fn signs_header(capture: &Capture, name: &str) -> bool {
    if !is_tc3(capture) {
        return name == "host";
    }
    let made_of = ["authorization", "x-tc-timestamp", "x-tc-content-sha256", "x-tc-token"];
    made_of.contains(&name) || is_listed(capture, name)
}

/// TC3 signs query and body as they are, v1 decoded parameters; the port may be one that the client
/// never signed.
fn says_the_same(capture: &Capture, changed: &Parts) -> bool {
    let original = &capture.parts;
    let same =
        |one: &[u8], other: &[u8]| one == other || (!is_tc3(capture) && decoded(one) == decoded(other));
    let query = |parts: &Parts| parts.target.strip_prefix(b"/?").unwrap_or_default().to_vec();
    let same_query = changed.target == original.target
        || (changed.target.starts_with(b"/?") && same(&query(changed), &query(original)));
    let host = |parts: &Parts| {
        let host = String::from_utf8_lossy(header(parts, "host").unwrap()).into_owned();
        let (name, port) = host.trim().rsplit_once(':').unwrap_or((&host, ""));
        (name.to_owned(), port.to_owned())
    };
    let ((name, port), (new_name, new_port)) = (host(original), host(changed));
    let port_unsigned = capture.expected["signed_host"] == name;
    let digits = new_port.bytes().all(|byte| byte.is_ascii_digit());
    let same_host = new_name == name && (new_port == port || (port_unsigned && digits));
    let others = |parts: &Parts| {
        let headers = parts.headers.clone().into_iter();
        headers.filter(|(name, _)| !name.eq_ignore_ascii_case("host")).collect::<Vec<_>>()
    };
    same_query && same(&changed.body, &original.body) && same_host && others(changed) == others(original)
}

#[test]
fn any_changed_signed_byte_is_refused() {
    changes_are_refused("tencent_v3");
}

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
