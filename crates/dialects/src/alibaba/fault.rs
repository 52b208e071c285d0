//! Alibaba's codes for what can go wrong ("Common error codes" and the error lists of R-kvstore).

use http::{Method, StatusCode};

use crate::canonical::{peek_header, peek_parameter};
use crate::vocabulary::{Fault, Request};

/// What the vendor would say to a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    /// HTTP status.
    pub(super) status: StatusCode,
    /// Error code.
    pub(super) code: String,
    /// Message for a person.
    pub(super) message: String,
}

/// The old Go SDK looks for this very text, and the Python core SDK fails on a message without a
/// colon; both compare what follows with their own string to sign.
const MISMATCH: &str = "Specified signature is not matched with our calculation. server string to sign is:";

/// Actions that call a missing instance by another code.
const POLICY_ACTIONS: [&str; 2] = ["DescribeBackupPolicy", "ModifyBackupPolicy"];
/// Actions that say of a busy instance that its state does not allow them.
const STATE_ACTIONS: [&str; 4] =
    ["DeleteBackup", "ModifyBackupExpireTime", "ModifyBackupPolicy", "RestoreInstance"];

/// Finds status, code and message of a fault; some depend on the action or the request.
pub(super) fn verdict(fault: &Fault, action: Option<&str>, request: &Request) -> Verdict {
    let (status, code, message) = match fault {
        Fault::Unsigned(name) => (400, format!("Missing{name}"), mandatory(name)),
        Fault::MissingParameter(name) => (400, format!("Missing{}", plain(name)), mandatory(name)),
        Fault::BadParameter { name, why } => bad_parameter(name, why),
        Fault::BadToken => bad_token(request),
        Fault::TokenOver => {
            let message = "Specified SecurityToken has expired.".to_owned();
            (400, "InvalidSecurityToken.Expired".to_owned(), message)
        }
        Fault::BadSignature { string_to_sign } => {
            (400, "SignatureDoesNotMatch".to_owned(), format!("{MISMATCH}{string_to_sign}"))
        }
        Fault::NoSuchInstance(_) if action.is_some_and(|action| POLICY_ACTIONS.contains(&action)) => {
            (404, "InvalidDBInstance.NotFound".to_owned(), "The specified instance is not found.".to_owned())
        }
        Fault::InstanceBusy(_) if action.is_some_and(|action| STATE_ACTIONS.contains(&action)) => {
            let message = "Current DB instance state does not support this operation.".to_owned();
            (403, "IncorrectDBInstanceState".to_owned(), message)
        }
        Fault::MalformedRequest(_) if !matches!(*request.method(), Method::GET | Method::POST) => {
            let message = "Specified HTTP method is not supported: use GET or POST.".to_owned();
            (400, "UnsupportedHTTPMethod".to_owned(), message)
        }
        other => {
            let (status, code) = fixed(other);
            (status, code.to_owned(), message(other))
        }
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Verdict { status, code, message }
}

/// Status and code of each fault, as far as they do not depend on the request.
fn fixed(fault: &Fault) -> (u16, &'static str) {
    match fault {
        Fault::Unsigned(_) | Fault::MissingParameter(_) => (400, "MissingParameter"),
        Fault::MalformedSignature(_) => (400, "IncompleteSignature"),
        Fault::UnknownKey => (404, "InvalidAccessKeyId.NotFound"),
        Fault::BadToken => (400, "InvalidSecurityToken.MismatchWithAccessKey"),
        Fault::TokenOver => (400, "InvalidSecurityToken.Expired"),
        Fault::BadSignature { .. } => (400, "SignatureDoesNotMatch"),
        Fault::Stale => (400, "InvalidTimeStamp.Expired"),
        Fault::MalformedTime => (400, "InvalidTimeStamp.Format"),
        Fault::Replayed => (400, "SignatureNonceUsed"),
        Fault::ActionDenied => (403, "Forbidden.RAM"),
        Fault::InstanceDenied | Fault::AddressDenied => (403, "NoPermission"),
        Fault::NotAllowListed => (403, "Forbidden"),
        Fault::ClusterOnly => (403, "IncorrectDBInstanceType"),
        Fault::WrongPassword => (403, "InvalidPassword.Mismatch"),
        Fault::DownloadClosed => (403, "OperationDenied.DownloadClosed"),
        Fault::NoSuchJob(_) => (404, "InvalidBackupJobId.NotFound"),
        Fault::NoSuchProject(_) => (404, "InvalidResourceGroup.NotFound"),
        Fault::BackupProtected(_) => (403, "OperationDenied.BackupProtected"),
        Fault::Throttled => (400, "Throttling.User"),
        Fault::UnknownAction(_) => (404, "InvalidAction.NotFound"),
        Fault::NotSupported(_) => (400, "UnsupportedOperation"),
        Fault::UnknownVersion(_) => (404, "InvalidVersion"),
        Fault::UnsupportedRegion(_) => (404, "InvalidRegionId.NotFound"),
        Fault::UnknownParameter(_) => (400, "UnsupportedParameter"),
        Fault::BadParameter { .. } | Fault::MalformedRequest(_) => (400, "InvalidParameter"),
        Fault::TooLarge => (413, "RequestEntityTooLarge"),
        Fault::NoSuchInstance(_) => (404, "InvalidInstanceId.NotFound"),
        Fault::NoSuchBackup(_) => (404, "InvalidBackupId.NotFound"),
        Fault::BackupNotReady(_) | Fault::BackupBusy(_) => (403, "IncorrectBackupSetState"),
        Fault::InstanceAbnormal(_) => (403, "IncorrectDBInstanceState"),
        Fault::InstanceBusy(_) => (403, "OperationDenied.BackupJobExists"),
        Fault::Unavailable(_) => (503, "ServiceUnavailable"),
        Fault::Internal => (500, "InternalError"),
    }
}

/// Wording where the vendor's is known, our own otherwise; clients use the codes only.
fn message(fault: &Fault) -> String {
    match fault {
        Fault::UnknownKey => "Specified access key is not found.".to_owned(),
        Fault::Stale => "Specified time stamp or date value is expired.".to_owned(),
        Fault::MalformedTime => "Specified time stamp or date value is not well formatted.".to_owned(),
        Fault::Replayed => "Specified signature nonce was used already.".to_owned(),
        Fault::ActionDenied => "User not authorized to operate on the specified resource.".to_owned(),
        Fault::Throttled => "Request was denied due to user flow control.".to_owned(),
        Fault::UnknownAction(_) => "Specified api is not found, please check your url and method.".to_owned(),
        Fault::NoSuchInstance(_) => "The specified instance is not found.".to_owned(),
        Fault::Internal => "The request processing has failed due to some unknown error.".to_owned(),
        other => sentence(&other.to_string()),
    }
}

fn mandatory(name: &str) -> String {
    format!("{name} is mandatory for this action.")
}

fn bad_token(request: &Request) -> (u16, String, String) {
    let sent = peek_header(request, "x-acs-security-token").is_some()
        || peek_parameter(request, "SecurityToken").is_some_and(|token| !token.is_empty());
    if sent {
        let (status, code) = fixed(&Fault::BadToken);
        (status, code.to_owned(), "Specified SecurityToken does not fit the AccessKey.".to_owned())
    } else {
        (400, "MissingSecurityToken".to_owned(), mandatory("SecurityToken"))
    }
}

fn bad_parameter(name: &str, why: &str) -> (u16, String, String) {
    let code = match name {
        "SignatureMethod" => "InvalidSignatureMethod".to_owned(),
        "PageSize" | "PageNumber" => format!("Invalid{name}"),
        _ => format!("Invalid{}.Malformed", plain(name)),
    };
    // The page of DescribeBackups shows this text word for word.
    let known = format!("The Specified parameter {name} is not valid.");
    let message = if name == "EndTime" { known } else { format!("{known} {}", sentence(why)) };
    (400, code, message)
}

/// A parameter's name as part of a code: `Tag.1.Key` is `Tag1Key`.
fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).take(64).collect()
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}
