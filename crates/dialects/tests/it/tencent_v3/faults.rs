//! Every fault has a code of the vendor's.

use keystow_dialects::{
    Fault,
    tencent_v3::{NEVER_RAISED, TencentV3},
};

use crate::capture;
use crate::shared::{REQUEST_ID, content_type, encode, every_fault, json};

#[test]
fn every_fault_has_a_code() {
    for name in ["tencent_v3/01", "tencent_v3/02", "tencent_v3/07", "tencent_v3/12", "tencent_v3/17"] {
        let request = capture::one(name).request();
        for fault in every_fault() {
            let response = encode(&TencentV3, &request, fault.clone());
            assert_eq!(response.status(), 200);
            assert_eq!(content_type(&response), "application/json");
            let envelope = &json(&response)["Response"];
            assert_eq!(envelope["RequestId"], REQUEST_ID);
            let code = envelope["Error"]["Code"].as_str().unwrap();
            assert!(!code.is_empty() && !NEVER_RAISED.contains(&code), "{fault:?}");
            assert!(!envelope["Error"]["Message"].as_str().unwrap().is_empty(), "{fault:?}");
        }
    }
}

#[test]
fn codes_are_the_vendors() {
    let request = capture::one("tencent_v3/02").request();
    let bad = |why: &str| Fault::BadParameter { name: "Limit".to_owned(), why: why.to_owned() };
    let text = || "x".to_owned();
    for (fault, code) in [
        (Fault::Unsigned("SecretId"), "MissingParameter"),
        (Fault::MalformedSignature(text()), "AuthFailure.InvalidAuthorization"),
        (Fault::UnknownKey, "AuthFailure.SecretIdNotFound"),
        (Fault::BadToken, "AuthFailure.TokenFailure"),
        (Fault::TokenOver, "AuthFailure.TokenFailure"),
        (Fault::AddressDenied, "IpNotInWhitelist"),
        (Fault::BackupBusy(text()), "ResourceUnavailable.BackupStatusInvalid"),
        (Fault::InstanceAbnormal(text()), "ResourceUnavailable.InstanceStatusAbnormal"),
        (Fault::BadSignature { string_to_sign: text() }, "AuthFailure.SignatureFailure"),
        (Fault::Stale, "AuthFailure.SignatureExpire"),
        (Fault::ActionDenied, "UnauthorizedOperation.NoCAMAuthed"),
        (Fault::InstanceDenied, "InvalidParameter.PermissionDenied"),
        (Fault::NotAllowListed, "UnauthorizedOperation.UserNotInWhiteList"),
        (Fault::ClusterOnly, "UnsupportedOperation.OnlyClusterInstanceCanExportBackup"),
        (Fault::Throttled, "RequestLimitExceeded"),
        (Fault::UnknownAction(text()), "InvalidAction"),
        (Fault::NotSupported(text()), "UnsupportedOperation"),
        (Fault::UnknownVersion(text()), "NoSuchVersion"),
        (Fault::UnsupportedRegion(text()), "UnsupportedRegion"),
        (Fault::NoSuchInstance(text()), "ResourceNotFound.InstanceNotExists"),
        (Fault::NoSuchBackup(text()), "InvalidParameterValue.BackupNotExists"),
        (Fault::BackupNotReady(text()), "ResourceUnavailable.BackupStatusInvalid"),
        (Fault::InstanceBusy(text()), "ResourceUnavailable.InstanceLockedError"),
        (bad("must be 1 to 100"), "InvalidParameterValue"),
        (bad("must not be empty"), "InvalidParameter.EmptyParam"),
        (bad("has the wrong type"), "InvalidParameter"),
    ] {
        let error = &json(&encode(&TencentV3, &request, fault))["Response"]["Error"];
        assert_eq!(error["Code"], code);
        assert!(error["Message"].as_str().unwrap().is_ascii(), "English was asked for");
    }
    let chinese = capture::one("tencent_v3/01").request();
    let error =
        &json(&encode(&TencentV3, &chinese, Fault::NoSuchInstance("crs-1".to_owned())))["Response"]["Error"];
    assert_eq!(error["Message"], "实例 crs-1 不存在。");
    let by_parameter = capture::one("tencent_v3/05").request();
    let error = &json(&encode(&TencentV3, &by_parameter, Fault::UnknownKey))["Response"]["Error"];
    assert_eq!(error["Message"], "SecretId 不存在。");
    let error = &json(&encode(&TencentV3, &chinese, Fault::AddressDenied))["Response"]["Error"];
    assert_eq!(error["Message"], "调用地址不在白名单中。");
    let odd = crate::shared::get("Action=DescribeInstances&Version=2018-04-12&SecretId=a%20b&Signature=x");
    let error = &json(&encode(&TencentV3, &odd, Fault::UnknownKey))["Response"]["Error"];
    assert_eq!(error["Code"], "AuthFailure.InvalidSecretId");
}

#[test]
fn codes_depend_on_the_action_where_the_vendors_pages_do() {
    let code = |action: &str, fault: Fault| {
        let request =
            http::Request::post("/").header("x-tc-action", action).header("x-tc-version", "2018-04-12");
        let request = request.body(bytes::Bytes::new()).unwrap();
        json(&encode(&TencentV3, &request, fault))["Response"]["Error"]["Code"].as_str().unwrap().to_owned()
    };
    let bad = |name: &str| Fault::BadParameter { name: name.to_owned(), why: "no".to_owned() };
    let policy = "ModifyAutoBackupConfig";
    for (action, fault, expected) in [
        (policy, bad("WeekDays"), "InvalidParameterValue.WeekDaysIsInvalid"),
        (policy, bad("TimePeriod"), "InvalidParameter.Period"),
        (policy, bad("AutoBackupType"), "InvalidParameter.NotSupported"),
        (policy, bad("BackupStorageDays"), "InvalidParameterValue"),
        ("ModifyBackupDownloadRestriction", bad("LimitType"), "InvalidParameter.InvalidParameter"),
        ("DescribeBackupUrl", bad("LimitType"), "InvalidParameterValue"),
        ("DescribeTaskInfo", Fault::NoSuchJob("7".to_owned()), "InvalidParameter.InvalidParameter"),
        ("RestoreInstance", Fault::WrongPassword, "InvalidParameterValue.PasswordError"),
        (
            "RestoreInstance",
            Fault::BackupNotReady("b".to_owned()),
            "ResourceUnavailable.BackupStatusAbnormal",
        ),
        ("RestoreInstance", Fault::BackupBusy("b".to_owned()), "ResourceUnavailable.BackupLockedError"),
        ("RestoreInstance", Fault::BackupProtected("b".to_owned()), "ResourceUnavailable.BackupLockedError"),
        ("RestoreInstance", Fault::NotSupported("restore".to_owned()), "UnsupportedOperation"),
    ] {
        assert_eq!(code(action, fault), expected);
    }
}
