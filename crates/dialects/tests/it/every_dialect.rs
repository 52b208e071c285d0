//! What holds for every dialect: who takes a request, and that nothing makes one fail.

use http::Method;
use keystow_dialects::{ALL, Dialect, Fault, Request, Response, recognise, tencent_v3::TencentV3};
use proptest::prelude::*;

use crate::capture;
use crate::shared::{create_backup, encode, get, link_backup, list_backups, list_instances};

#[test]
fn requests_are_recognised_by_their_marks_signed_or_not() {
    let name = |request: &Request| recognise(request).map(Dialect::name);
    for (query, expected) in [
        ("Action=DescribeBackups&Version=2015-01-01", Some("alibaba")),
        ("AccessKeyId=x&SignatureVersion=1.0", Some("alibaba")),
        ("AccessKeyId=x", None),
        ("Action=DescribeBackupUrl&Version=2018-04-12", Some("tencent_v3")),
        ("SecretId=x", Some("tencent_v3")),
        ("Action=DescribeBackupUrl", None),
        ("PublicKey=x&Signature=y", Some("ucloud")),
        ("Action=DescribeUMem&PublicKey=x", Some("ucloud")),
        ("PublicKey=x", None),
        ("PublicKey=x&Signature=y&AccessKeyId=z", None),
        ("", None),
    ] {
        assert_eq!(name(&get(query)), expected, "{query}");
    }
    let with = |header: &str, value: &str, path: &str| {
        let request = http::Request::builder().method(Method::POST).uri(path).header(header, value);
        request.body(bytes::Bytes::new()).unwrap()
    };
    assert_eq!(name(&with("authorization", "ACS3-RSA-SHA256 x", "/")), Some("alibaba"));
    assert_eq!(name(&with("x-acs-version", "2015-01-01", "/")), Some("alibaba"));
    assert_eq!(name(&with("x-tc-action", "X", "/")), Some("tencent_v3"));
    assert_eq!(name(&with("authorization", "TC3-HMAC-SHA256 x", "/")), Some("tencent_v3"));
    assert_eq!(name(&with("authorization", "Basic eDp5", "/")), None);
    let older = with("x-tc-action", "X", "/v2/index.php?SecretId=x");
    assert_eq!(name(&older), Some("tencent_v2"), "the older API has its own path");
    assert_eq!(name(&with("x-tc-action", "X", "/api/v1/backups")), None);
}

#[test]
fn unsigned_requests_name_what_is_missing() {
    let claim = |query: &str| recognise(&get(query)).unwrap().claim(&get(query));
    let alibaba = "Action=DescribeBackups&Version=2015-01-01";
    assert_eq!(claim(alibaba), Err(Fault::Unsigned("AccessKeyId")));
    assert_eq!(claim(&format!("{alibaba}&AccessKeyId=x")), Err(Fault::Unsigned("Signature")));
    assert_eq!(claim("AccessKeyId=x&SignatureVersion=1.0"), Err(Fault::Unsigned("Action")));
    assert_eq!(claim("Action=DescribeBackupUrl&Version=2018-04-12"), Err(Fault::Unsigned("SecretId")));
    let v1 = "Action=a&Version=2018-04-12&SecretId=x&Timestamp=1";
    assert_eq!(claim(v1), Err(Fault::Unsigned("Nonce")));
    for dialect in ALL {
        assert!(dialect.claim(&get("")).is_err());
    }
    let skipped = http::Request::post("/").header("authorization", "SKIP").header("x-tc-action", "a");
    let skipped = TencentV3.claim(&skipped.body(bytes::Bytes::new()).unwrap());
    assert!(matches!(skipped, Err(Fault::MalformedSignature(_))));
}

#[test]
fn no_answer_to_a_wrong_secret_shows_it() {
    for capture in capture::all() {
        let request = capture.request();
        let dialect = keystow_dialects::recognise(&request).unwrap();
        let secret = keystow_dialects::Secret::new("anotherSecretOfTheServer");
        let fault = dialect.verify(&request, &secret, capture.signed_at).unwrap_err();
        let body = encode(dialect, &request, fault.clone()).body().to_vec();
        assert!(!String::from_utf8_lossy(&body).contains("anotherSecret"));
        assert!(!format!("{fault:?} {secret:?}").contains("anotherSecret"));
    }
}

proptest! {
    #[test]
    fn any_answer_is_read_without_panic(body in r#"(\{|\}|\[|\]|"Response":|"Error":|"Code":|"BackupSet":|"Backups":|"code":0|"data":|"redisSet":|"Tasks":|:|,|1|1.5|-1|null|"x"){0,30}"#, status in 200_u16..600) {
        let mut response = Response::new(body.into());
        *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
        for call in [list_backups(), list_instances(), create_backup(), link_backup()] {
            for dialect in ALL {
                let _ = dialect.read(&call, &response);
            }
        }
    }
}
