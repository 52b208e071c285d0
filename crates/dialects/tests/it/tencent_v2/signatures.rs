//! Ways to sign that the recorded requests do not show, and what a signature leaves open.

use std::time::Duration;

use http::Method;
use keystow_dialects::{Dialect, Fault, Secret, tencent_v2::TencentV2};

use crate::capture::{self, Capture, Parts};
use crate::signatures::{Rules, accepted, changes_are_refused, decoded, header, headers, signed_by_hand};

pub(crate) const RULES: Rules = Rules {
    window: Duration::from_mins(5),
    signs_header: |_, name| name == "host",
    signs_body: |_| true,
    says_the_same,
};

const PREFIX: &[u8] = b"/v2/index.php?";
const SECRET: &str = "FakeKeystowSecretKey000000000001";
const NOW: u64 = 1_767_225_600;

/// The scheme signs decoded parameters, an underscore of a name as a dot; by POST, a remark that
/// begins with @ not at all.
fn says_the_same(capture: &Capture, changed: &Parts) -> bool {
    let original = &capture.parts;
    let signed = |raw: &[u8]| -> Vec<_> {
        let file = |name: &[u8], value: &[u8]| {
            original.method == Method::POST && name == b"remark" && value.starts_with(b"@")
        };
        let pairs = decoded(raw).into_iter().filter(|(name, value)| !file(name, value));
        pairs.map(|(name, value)| (String::from_utf8_lossy(&name).replace('_', "."), value)).collect()
    };
    let query = |parts: &Parts| parts.target.strip_prefix(PREFIX).map(signed);
    let same_query =
        changed.target == original.target || (query(changed).is_some() && query(changed) == query(original));
    same_query && signed(&changed.body) == signed(&original.body) && changed.headers == original.headers
}

#[test]
fn any_changed_signed_byte_is_refused() {
    changes_are_refused("tencent_v2");
}

#[test]
fn a_nonce_is_of_its_key_and_second() {
    for (name, expected) in [
        ("tencent_v2/01", "AKIDFAKEKEYSTOWEXAMPLE000000000001 1767225700 1337553057424449607"),
        ("tencent_v2/13", "AKIDFAKEKEYSTOWEXAMPLE000000000001 1767225640 59142"),
    ] {
        let capture = capture::one(name);
        let verified = TencentV2.verify(&capture.request(), &capture.secret, capture.signed_at).unwrap();
        assert_eq!(verified.nonce.as_deref(), Some(expected));
        assert_eq!(verified.nonce_ttl, Duration::from_mins(10));
    }
}

fn common(more: &str) -> String {
    format!("Action=ManualBackupInstance&Nonce=1&SecretId=x&Timestamp={NOW}{more}&Signature=PLACEHOLDER")
}

fn post(more: &str) -> Parts {
    Parts {
        method: Method::POST,
        target: b"/v2/index.php".to_vec(),
        headers: headers(&[("Host", "h:1"), ("Content-Type", "application/x-www-form-urlencoded")]),
        body: common(more).into_bytes(),
    }
}

fn good(parts: &Parts, line: &str) -> bool {
    let now = std::time::UNIX_EPOCH + Duration::from_secs(NOW);
    signed_by_hand(parts, &Secret::new(SECRET), now, |workings| workings.string_to_sign.contains(line))
}

#[test]
fn names_with_underscores_are_signed_as_each_sdk_writes_them() {
    let parts = post("&a_b=1&a.a=2&_c=3");
    assert!(good(&parts, "?.c=3&Action=ManualBackupInstance&"), "Python's way");
    assert!(good(&parts, "&_c=3&a.a=2&a.b=1"), "Node's way");
    let readings = TencentV2.workings(&post("&a.a=2").request().unwrap(), &Secret::new("x")).unwrap();
    assert_eq!(readings.len(), 4, "four spellings of the host, one of the rest");
}

#[test]
fn hosts_may_be_signed_as_each_client_spells_them() {
    for host in ["POSTh:1/v2/", "POSTh/v2/", "POSTh:443/v2/", "POSTh:80/v2/"] {
        assert!(good(&post(""), host), "{host}");
    }
}

#[test]
fn only_a_remark_may_be_left_out_of_a_signature() {
    let remark = post("&redisId=r&remark=%40x");
    let readings = TencentV2.workings(&remark.request().unwrap(), &Secret::new("x")).unwrap();
    assert!(readings.iter().any(|reading| !reading.string_to_sign.contains("remark")));
    for more in ["&redisId=%40r&remark=x", "&redisId=%40r&remark=%40x", "&redisId=r&backupId=%40b"] {
        let request = post(more).request().unwrap();
        for reading in TencentV2.workings(&request, &Secret::new("x")).unwrap() {
            assert!(reading.string_to_sign.contains("=@"), "{more}: {}", reading.string_to_sign);
        }
    }
    let by_get = Parts {
        method: Method::GET,
        target: format!("/v2/index.php?{}", common("&remark=%40x")).into_bytes(),
        headers: headers(&[("Host", "h:1")]),
        body: Vec::new(),
    };
    for reading in TencentV2.workings(&by_get.request().unwrap(), &Secret::new("x")).unwrap() {
        assert!(reading.string_to_sign.contains("remark=@x"));
    }
}

#[test]
fn an_unsigned_remark_may_change_and_nothing_else() {
    let capture = capture::one("tencent_v2/07");
    let put = |from: &str, to: &str| {
        let mut parts = capture.parts.clone();
        parts.body = String::from_utf8(parts.body).unwrap().replace(from, to).into_bytes();
        assert_ne!(parts.body, capture.parts.body);
        accepted(&capture, &parts, capture.signed_at)
    };
    assert!(put("%40nightly", "%40weekly"), "no server can tell");
    assert!(!put("%40nightly", "weekly"));
    assert!(!put("remark=%40nightly", "redisName=%40nightly"));
    assert!(!put("redisId=crs-ks000002", "redisId=%40crs-ks000003"));
    assert!(!put("&remark=%40nightly", "&remark=%40nightly&backupId=%40b"));
}

#[test]
fn credentials_and_parameters_come_from_one_place() {
    let claim = |parts: &Parts| TencentV2.claim(&parts.request().unwrap());
    assert!(claim(&post("")).is_ok());
    let mut with_query = post("");
    with_query.target = b"/v2/index.php?redisId=r".to_vec();
    assert!(matches!(claim(&with_query), Err(Fault::MalformedRequest(_))));
    let twice = post("&redisId=a&redisId=b");
    assert!(matches!(claim(&twice), Err(Fault::MalformedRequest(_))));
    let mut json = post("");
    json.headers = headers(&[("Host", "h:1"), ("Content-Type", "application/json")]);
    assert!(matches!(claim(&json), Err(Fault::MalformedRequest(_))));
    for name in ["Action", "Nonce", "SecretId", "Timestamp", "Signature"] {
        let mut without = post("");
        without.body =
            String::from_utf8(without.body).unwrap().replace(&format!("{name}="), "other=").into_bytes();
        assert_eq!(claim(&without), Err(Fault::Unsigned(name)));
    }
    assert!(header(&post(""), "authorization").is_none());
}
