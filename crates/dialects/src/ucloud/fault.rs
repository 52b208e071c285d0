//! `UCloud`'s codes for what can go wrong ("Public error codes" and the codes of `UMem`).
//!
//! The SDKs repeat a request whose code is 2000 or more, so what will not pass by itself has a
//! smaller one.

use super::wire::action::{Action, Kind};
use crate::vocabulary::Fault;

/// What the vendor would say to a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    /// `RetCode`.
    pub(super) code: u32,
    /// `Message`.
    pub(super) message: String,
}

/// Finds code and message of a fault; some depend on the action.
pub(super) fn verdict(fault: &Fault, action: Option<&str>) -> Verdict {
    let action = action.and_then(Action::named);
    Verdict { code: code(fault, action), message: message(fault, action) }
}

fn code(fault: &Fault, action: Option<Action>) -> u32 {
    match fault {
        Fault::Unsigned("Action") => 160,
        Fault::UnknownAction(_) | Fault::NotSupported(_) => 161,
        Fault::Unsigned("Signature") => 170,
        Fault::MalformedSignature(_)
        | Fault::BadSignature { .. }
        | Fault::Stale
        | Fault::MalformedTime
        | Fault::Replayed => 171,
        Fault::Unsigned("PublicKey") | Fault::UnknownKey | Fault::WrongPassword => 172,
        Fault::BadToken | Fault::TokenOver => 174,
        Fault::AddressDenied => 294,
        Fault::Throttled => 153,
        Fault::MissingParameter(name) if name == "Action" => 160,
        Fault::Unsigned(_) | Fault::MissingParameter(_) => 220,
        Fault::UnknownVersion(_)
        | Fault::UnsupportedRegion(_)
        | Fault::UnknownParameter(_)
        | Fault::BadParameter { .. }
        | Fault::MalformedRequest(_)
        | Fault::NoSuchInstance(_)
        | Fault::NoSuchBackup(_)
        | Fault::NoSuchJob(_)
        | Fault::BackupNotReady(_)
        | Fault::BackupBusy(_) => 230,
        Fault::TooLarge => 240,
        Fault::NoSuchProject(_) => 292,
        Fault::BackupProtected(_) => 295,
        Fault::ActionDenied
        | Fault::InstanceDenied
        | Fault::NotAllowListed
        | Fault::ClusterOnly
        | Fault::DownloadClosed => 299,
        Fault::InstanceBusy(_) => 20203,
        Fault::InstanceAbnormal(_) | Fault::Unavailable(_) | Fault::Internal => {
            match action.map(Action::kind) {
                Some(Kind::Read) => 20206,
                Some(Kind::Create) => 20203,
                Some(Kind::Update) => 20204,
                // Not of UMem: service unavailable.
                Some(Kind::Account) | None => 150,
            }
        }
    }
}

/// Wording where the vendor's is known, our own otherwise; clients use the codes only.
fn message(fault: &Fault, action: Option<Action>) -> String {
    match fault {
        Fault::Unsigned("Action") => "Missing Action".to_owned(),
        Fault::Unsigned("Signature") => "Missing signature".to_owned(),
        Fault::Unsigned("PublicKey") | Fault::UnknownKey => "User Not Exists".to_owned(),
        Fault::BadSignature { .. } => "Signature VerifyAC Error".to_owned(),
        Fault::Unsigned(name) => missing(name),
        Fault::MissingParameter(name) => missing(name),
        Fault::UnknownAction(action) => format!("Action [{action}] not exists"),
        Fault::NotSupported(action) => format!("Action [{action}] is not supported by this server"),
        Fault::UnknownParameter(name) => not_available(name, ""),
        Fault::BadParameter { name, why } => not_available(name, why),
        Fault::UnsupportedRegion(_) => not_available("Region", "not served here"),
        Fault::NoSuchInstance(_) => {
            not_available(action.map_or("GroupId", Action::instance_parameter), "no such instance")
        }
        Fault::NoSuchBackup(_) => not_available("BackupId", "no such backup"),
        Fault::BackupNotReady(_) | Fault::BackupBusy(_) => {
            not_available("BackupId", "the backup is not finished, has failed or has expired")
        }
        Fault::NoSuchProject(_) => "Project Not Exists".to_owned(),
        Fault::TooLarge => "Params [body] too large".to_owned(),
        Fault::MalformedSignature(_)
        | Fault::BadToken
        | Fault::TokenOver
        | Fault::AddressDenied
        | Fault::InstanceAbnormal(_)
        | Fault::Stale
        | Fault::MalformedTime
        | Fault::Replayed
        | Fault::WrongPassword
        | Fault::ActionDenied
        | Fault::InstanceDenied
        | Fault::NotAllowListed
        | Fault::ClusterOnly
        | Fault::DownloadClosed
        | Fault::Throttled
        | Fault::UnknownVersion(_)
        | Fault::MalformedRequest(_)
        | Fault::NoSuchJob(_)
        | Fault::InstanceBusy(_)
        | Fault::BackupProtected(_)
        | Fault::Unavailable(_)
        | Fault::Internal => sentence(&fault.to_string()),
    }
}

fn missing(name: &str) -> String {
    format!("Missing params [{name}]")
}

fn not_available(name: &str, why: &str) -> String {
    let colon = if why.is_empty() { "" } else { ": " };
    format!("Params [{name}] not available{colon}{why}")
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}", letters.as_str())
}
