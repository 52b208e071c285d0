//! Every fault has a number, a name and a text of the vendor's.

use keystow_dialects::{Dialect, Fault, Request, Secret, tencent_v2::TencentV2};
use serde_json::json;

use crate::capture;
use crate::shared::{content_type, encode, every_fault, json};

#[test]
fn every_fault_has_a_code() {
    for name in ["tencent_v2/01", "tencent_v2/02", "tencent_v2/10", "tencent_v2/14"] {
        let request = capture::one(name).request();
        for fault in every_fault() {
            let response = encode(&TencentV2, &request, fault.clone());
            assert_eq!(response.status(), 200);
            assert_eq!(content_type(&response), "application/json");
            let answer = json(&response);
            let code = answer["code"].as_i64().unwrap();
            assert!(code >= 4000, "{fault:?}");
            let message = answer["message"].as_str().unwrap();
            assert!(message.starts_with(&format!("({code})")) && message.len() > 12, "{message}");
            let name = answer["codeDesc"].as_str().unwrap();
            assert!(!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphabetic()), "{name}");
            assert_eq!(answer.as_object().unwrap().len(), 3, "no data beside an error");
        }
    }
}

#[test]
fn codes_are_the_vendors() {
    let request = |action: &str| -> Request {
        http::Request::get(format!("/v2/index.php?Action={action}")).body(bytes::Bytes::new()).unwrap()
    };
    let text = || "x".to_owned();
    for (fault, code, name) in [
        (Fault::Unsigned("SecretId"), 4000, "InvalidParameter"),
        (Fault::MissingParameter(text()), 4000, "InvalidParameter"),
        (Fault::BadSignature { string_to_sign: text() }, 4100, "AuthFailure"),
        (Fault::ActionDenied, 4101, "UnauthorizedOperation"),
        (Fault::InstanceDenied, 4102, "UnauthorizedOperation"),
        (Fault::UnknownKey, 4104, "SecretIdNotFound"),
        (Fault::BadToken, 4105, "AuthFailure"),
        (Fault::AddressDenied, 4300, "AccessDenied"),
        (Fault::InstanceAbnormal(text()), 10702, "InstanceStatusAbnormal"),
        (Fault::BackupBusy(text()), 10710, "BackupLockedError"),
        (Fault::Throttled, 4400, "RequestLimitExceeded"),
        (Fault::Stale, 4500, "ReplayAttack"),
        (Fault::Replayed, 4500, "ReplayAttack"),
        (Fault::Internal, 6000, "InternalError"),
        (Fault::UnknownAction(text()), 6100, "InvalidAction"),
        (Fault::NotSupported(text()), 6100, "UnsupportedOperation"),
        (Fault::BadParameter { name: text(), why: text() }, 11201, "InvalidParameter"),
        (Fault::UnknownParameter(text()), 11201, "InvalidParameter"),
        (Fault::NoSuchJob(text()), 11201, "InvalidParameter"),
        (Fault::NoSuchInstance(text()), 10701, "InstanceNotExists"),
        (Fault::InstanceBusy(text()), 10707, "InstanceLockedError"),
        (Fault::BackupProtected(text()), 10710, "BackupLockedError"),
        (Fault::BackupNotReady(text()), 10711, "BackupStatusAbnormal"),
        (Fault::WrongPassword, 10712, "PasswordError"),
        (Fault::NoSuchBackup(text()), 11213, "BackupNotExists"),
        (Fault::ClusterOnly, 11214, "OnlyClusterInstanceCanExportBackup"),
    ] {
        let answer = json(&encode(&TencentV2, &request("RestoreInstance"), fault));
        assert_eq!((answer["code"].as_i64(), answer["codeDesc"].as_str()), (Some(code), Some(name)));
    }
    let not_ready = json(&encode(&TencentV2, &request("ExportRedisBackup"), Fault::BackupNotReady(text())));
    assert_eq!(not_ready["codeDesc"], "BackupStatusInvalid");
    let unknown = json(&encode(&TencentV2, &request("x"), Fault::NoSuchBackup("b".to_owned())));
    let expected =
        json!({"code": 11213, "message": "(11213)No such backup: b.", "codeDesc": "BackupNotExists"});
    assert_eq!(unknown, expected);
}

#[test]
fn a_request_with_another_secret_is_refused() {
    let capture = capture::one("tencent_v2/12");
    let fault = TencentV2.verify(&capture.request(), &capture.secret, capture.signed_at).unwrap_err();
    assert_eq!(json(&encode(&TencentV2, &capture.request(), fault))["code"], 4100);
}

#[test]
fn no_error_keeps_a_password() {
    let restore = capture::one("tencent_v2/10");
    let fault = TencentV2.verify(&restore.request(), &Secret::new("other"), restore.signed_at).unwrap_err();
    let text = format!("{fault:?}");
    assert!(text.contains("password=***") && !text.contains("12D3E"), "{text}");
    let with_token = capture::one("tencent_v2/06");
    let fault =
        TencentV2.verify(&with_token.request(), &Secret::new("other"), with_token.signed_at).unwrap_err();
    assert!(!format!("{fault:?}").contains("FAKE-STS"));
}
