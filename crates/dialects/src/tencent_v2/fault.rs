//! What can go wrong, in this API's words: a number, its English name and a text.
//!
//! The numbers up to 6200 are the vendor's table of common errors, those from 10701 on are in the
//! tables of the single actions.

use crate::vocabulary::Fault;

/// A fault in the vendor's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Error code.
    pub(super) code: i64,
    /// Its English name.
    pub(super) name: &'static str,
    /// Message for a person, the code in brackets first.
    pub(super) message: String,
}

/// Finds number, name and message of a fault.
pub(super) fn verdict(fault: &Fault, action: &str) -> Verdict {
    let (code, name) = match (fault, action) {
        // The page of that action has another name for the same number.
        (Fault::BackupNotReady(_) | Fault::BackupBusy(_), "ExportRedisBackup") => {
            (10711, "BackupStatusInvalid")
        }
        (Fault::BackupBusy(_), "RestoreInstance") => (10710, "BackupLockedError"),
        (other, _) => code(other),
    };
    let text = fault.to_string();
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    Verdict { code, name, message: format!("({code}){first}{}.", letters.as_str()) }
}

fn code(fault: &Fault) -> (i64, &'static str) {
    match fault {
        Fault::Unsigned(_)
        | Fault::MalformedTime
        | Fault::UnknownVersion(_)
        | Fault::UnsupportedRegion(_)
        | Fault::MissingParameter(_)
        | Fault::MalformedRequest(_)
        | Fault::TooLarge => (4000, "InvalidParameter"),
        Fault::MalformedSignature(_) | Fault::BadSignature { .. } => (4100, "AuthFailure"),
        Fault::ActionDenied => (4101, "UnauthorizedOperation"),
        Fault::InstanceDenied => (4102, "UnauthorizedOperation"),
        Fault::UnknownKey => (4104, "SecretIdNotFound"),
        Fault::BadToken | Fault::TokenOver => (4105, "AuthFailure"),
        Fault::NotAllowListed => (4300, "UserNotInWhiteList"),
        Fault::AddressDenied | Fault::DownloadClosed => (4300, "AccessDenied"),
        Fault::Throttled => (4400, "RequestLimitExceeded"),
        Fault::Stale | Fault::Replayed => (4500, "ReplayAttack"),
        Fault::NoSuchProject(_) => (5000, "ResourceNotFound"),
        Fault::Internal => (6000, "InternalError"),
        Fault::UnknownAction(_) => (6100, "InvalidAction"),
        Fault::NotSupported(_) => (6100, "UnsupportedOperation"),
        Fault::Unavailable(_) => (6200, "ServiceUnavailable"),
        Fault::NoSuchInstance(_) => (10701, "InstanceNotExists"),
        Fault::InstanceAbnormal(_) => (10702, "InstanceStatusAbnormal"),
        Fault::InstanceBusy(_) => (10707, "InstanceLockedError"),
        Fault::BackupProtected(_) => (10710, "BackupLockedError"),
        Fault::BackupNotReady(_) | Fault::BackupBusy(_) => (10711, "BackupStatusAbnormal"),
        Fault::WrongPassword => (10712, "PasswordError"),
        Fault::UnknownParameter(_) | Fault::BadParameter { .. } | Fault::NoSuchJob(_) => {
            (11201, "InvalidParameter")
        }
        Fault::NoSuchBackup(_) => (11213, "BackupNotExists"),
        Fault::ClusterOnly => (11214, "OnlyClusterInstanceCanExportBackup"),
    }
}
