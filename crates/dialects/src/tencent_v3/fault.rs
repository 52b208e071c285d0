//! Tencent's codes for what can go wrong ("Common error codes" and the error lists of each action).

use http::Method;

use super::sign;
use crate::canonical::{is_form, media_type};
use crate::vocabulary::{Claim, Fault, Request};

/// Codes of `DescribeBackupUrl` that have no cause here: there are neither security groups nor
/// renewals. Known, so that nobody adds them twice; never raised.
pub const NEVER_RAISED: [&str; 2] =
    ["UnsupportedOperation.ClusterInstanceAccessedDeny", "UnsupportedOperation.IsAutoRenewError"];

/// Why a value does not fit: it is empty, or of another type than the action's. These two have
/// their own codes.
pub(super) const EMPTY: &str = "must not be empty";
/// See [`EMPTY`].
pub(super) const WRONG_TYPE: &str = "has the wrong type";

/// What the vendor would say to a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Error code.
    pub(super) code: &'static str,
    /// Message for a person.
    pub(super) message: String,
}

/// Finds code and message of a fault; some depend on the action or the request.
pub(super) fn verdict(fault: &Fault, action: &str, request: &Request, chinese: bool) -> Verdict {
    let code = match (fault, action) {
        (Fault::MalformedRequest(_), _) => malformed_code(request),
        (Fault::UnknownKey, _) if !has_a_key_id(request) => "AuthFailure.InvalidSecretId",
        (Fault::BackupNotReady(_), "RestoreInstance") => "ResourceUnavailable.BackupStatusAbnormal",
        (Fault::BackupBusy(_), "RestoreInstance") => "ResourceUnavailable.BackupLockedError",
        (Fault::BadParameter { name, .. }, "ModifyAutoBackupConfig") => {
            policy_code(name).unwrap_or_else(|| code(fault))
        }
        (Fault::BadParameter { .. }, "ModifyBackupDownloadRestriction") => {
            "InvalidParameter.InvalidParameter"
        }
        (other, _) => code(other),
    };
    let message = chinese.then(|| in_chinese(fault)).flatten().unwrap_or_else(|| in_english(fault));
    Verdict { code, message }
}

/// The codes that the vendor's page `ModifyAutoBackupConfig` has for some of its parameters.
fn policy_code(parameter: &str) -> Option<&'static str> {
    match parameter {
        "WeekDays" => Some("InvalidParameterValue.WeekDaysIsInvalid"),
        "TimePeriod" => Some("InvalidParameter.Period"),
        "AutoBackupType" => Some("InvalidParameter.NotSupported"),
        _ => None,
    }
}

/// The code of each fault, as far as it does not depend on the request.
fn code(fault: &Fault) -> &'static str {
    match fault {
        Fault::Unsigned(_) | Fault::MissingParameter(_) => "MissingParameter",
        Fault::MalformedSignature(_) => "AuthFailure.InvalidAuthorization",
        Fault::UnknownKey => "AuthFailure.SecretIdNotFound",
        Fault::BadToken | Fault::TokenOver => "AuthFailure.TokenFailure",
        Fault::AddressDenied => "IpNotInWhitelist",
        Fault::BadSignature { .. } | Fault::Replayed => "AuthFailure.SignatureFailure",
        Fault::Stale => "AuthFailure.SignatureExpire",
        Fault::ActionDenied => "UnauthorizedOperation.NoCAMAuthed",
        Fault::InstanceDenied => "InvalidParameter.PermissionDenied",
        Fault::NotAllowListed => "UnauthorizedOperation.UserNotInWhiteList",
        Fault::ClusterOnly => "UnsupportedOperation.OnlyClusterInstanceCanExportBackup",
        Fault::WrongPassword => "InvalidParameterValue.PasswordError",
        Fault::NoSuchJob(_) | Fault::NoSuchProject(_) => "InvalidParameter.InvalidParameter",
        Fault::BackupProtected(_) => "ResourceUnavailable.BackupLockedError",
        Fault::Throttled => "RequestLimitExceeded",
        Fault::UnknownAction(_) => "InvalidAction",
        Fault::DownloadClosed | Fault::NotSupported(_) => "UnsupportedOperation",
        Fault::UnknownVersion(_) => "NoSuchVersion",
        Fault::UnsupportedRegion(_) => "UnsupportedRegion",
        Fault::UnknownParameter(_) => "UnknownParameter",
        Fault::BadParameter { why, .. } => match why.as_str() {
            EMPTY => "InvalidParameter.EmptyParam",
            WRONG_TYPE => "InvalidParameter",
            _ => "InvalidParameterValue",
        },
        Fault::MalformedTime | Fault::MalformedRequest(_) => "InvalidParameter",
        Fault::TooLarge => "RequestSizeLimitExceeded",
        Fault::NoSuchInstance(_) => "ResourceNotFound.InstanceNotExists",
        Fault::NoSuchBackup(_) => "InvalidParameterValue.BackupNotExists",
        Fault::BackupNotReady(_) | Fault::BackupBusy(_) => "ResourceUnavailable.BackupStatusInvalid",
        Fault::InstanceAbnormal(_) => "ResourceUnavailable.InstanceStatusAbnormal",
        Fault::InstanceBusy(_) => "ResourceUnavailable.InstanceLockedError",
        Fault::Unavailable(_) => "FailedOperation.SystemError",
        Fault::Internal => "InternalError.InternalError",
    }
}

/// Whether the key's id is made of what ids are made of.
fn has_a_key_id(request: &Request) -> bool {
    let fits = |byte: u8| byte.is_ascii_graphic() && !b",;&:\"\\".contains(&byte);
    sign::claim(request).is_ok_and(|Claim { access_key_id: id, .. }| id.len() <= 128 && id.bytes().all(fits))
}

/// A wrong method or Content-Type, a broken multipart body, or a broken body of another kind.
fn malformed_code(request: &Request) -> &'static str {
    let known_method = matches!(*request.method(), Method::GET | Method::POST);
    match media_type(request).to_ascii_lowercase().as_str() {
        _ if !known_method => "UnsupportedProtocol",
        "multipart/form-data" => "InvalidRequest",
        "application/json" => "InvalidParameter",
        _ if is_form(request) => "InvalidParameter",
        _ if request.body().is_empty() => "InvalidParameter",
        _ => "UnsupportedProtocol",
    }
}

fn in_english(fault: &Fault) -> String {
    match fault {
        Fault::Unsigned(name) => missing(name),
        Fault::MissingParameter(name) => missing(name),
        Fault::UnknownParameter(name) => format!("The parameter `{name}` is not recognized."),
        Fault::UnknownKey => {
            "The SecretId is not found, please ensure that your SecretId is correct.".to_owned()
        }
        Fault::Stale => "The request has expired: the timestamp is more than 5 minutes off.".to_owned(),
        Fault::BadSignature { .. } => {
            "The provided credentials could not be validated. Please check your signature is correct."
                .to_owned()
        }
        other => {
            let text = other.to_string();
            let mut letters = text.chars();
            let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
            format!("{first}{}.", letters.as_str())
        }
    }
}

fn missing(name: &str) -> String {
    format!("The request is missing a required parameter `{name}`.")
}

/// Chinese texts for the codes of the actions' own tables and for signing in.
fn in_chinese(fault: &Fault) -> Option<String> {
    let text = match fault {
        Fault::Unsigned(name) => format!("缺少参数 `{name}`。"),
        Fault::MissingParameter(name) => format!("缺少参数 `{name}`。"),
        Fault::BadParameter { name, .. } => format!("参数 `{name}` 的值无效。"),
        Fault::UnknownParameter(name) => format!("未知参数 `{name}`。"),
        Fault::UnknownAction(action) => format!("接口 `{action}` 不存在。"),
        Fault::NotSupported(action) => format!("暂不支持接口 `{action}`。"),
        Fault::UnsupportedRegion(region) => format!("不支持的地域 `{region}`。"),
        Fault::NoSuchInstance(id) => format!("实例 {id} 不存在。"),
        Fault::NoSuchBackup(id) => format!("备份 {id} 不存在。"),
        Fault::BackupNotReady(id) => format!("备份 {id} 的状态不可用。"),
        Fault::BackupBusy(id) => format!("备份 {id} 正在生成。"),
        Fault::InstanceAbnormal(_) => "实例状态异常。".to_owned(),
        Fault::InstanceBusy(id) => format!("实例 {id} 正在执行其他流程。"),
        Fault::UnknownKey => "SecretId 不存在。".to_owned(),
        Fault::BadToken | Fault::TokenOver => "Token 错误或已过期。".to_owned(),
        Fault::AddressDenied => "调用地址不在白名单中。".to_owned(),
        Fault::BadSignature { .. } => "签名错误，请检查签名计算过程。".to_owned(),
        Fault::Stale => "签名过期，请求时间与服务器时间相差超过五分钟。".to_owned(),
        Fault::ActionDenied => "未授权该接口的访问权限。".to_owned(),
        Fault::InstanceDenied => "没有该实例的访问权限。".to_owned(),
        Fault::NotAllowListed => "用户不在白名单中。".to_owned(),
        Fault::ClusterOnly => "只有集群版实例可以导出备份。".to_owned(),
        Fault::WrongPassword => "密码错误。".to_owned(),
        Fault::DownloadClosed => "公网下载已关闭。".to_owned(),
        Fault::NoSuchJob(id) => format!("任务 {id} 不存在。"),
        Fault::NoSuchProject(id) => format!("项目 {id} 不存在。"),
        Fault::BackupProtected(id) => format!("备份 {id} 受保护。"),
        Fault::Throttled => "请求频率超过限制。".to_owned(),
        Fault::Unavailable(_) => "系统错误，请稍后重试。".to_owned(),
        Fault::Internal => "内部错误。".to_owned(),
        Fault::MalformedSignature(_)
        | Fault::MalformedTime
        | Fault::Replayed
        | Fault::UnknownVersion(_)
        | Fault::MalformedRequest(_)
        | Fault::TooLarge => return None,
    };
    Some(text)
}
