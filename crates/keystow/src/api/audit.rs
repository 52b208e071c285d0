//! The audit log and the access log.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// An entry of the audit log.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct AuditRow {
    /// Its number, from 1 without gaps.
    pub(crate) sequence: u64,
    /// When it was written (RFC 3339, to the microsecond).
    pub(crate) at: String,
    /// `begun` before a change, `failed` after one that did not come about, `refused` where nothing was tried.
    pub(crate) stage: String,
    /// The entry whose change failed.
    pub(crate) answers: Option<u64>,
    /// The account that the change is in.
    pub(crate) account: String,
    /// Id of the access key that asked for it, or `keystow` for what the service does by itself.
    pub(crate) who: String,
    /// The caller's address.
    pub(crate) address: Option<String>,
    /// How it was asked for: `native`, a dialect's name, or `service`.
    pub(crate) via: String,
    /// What was done, such as `backup.delete`.
    pub(crate) action: String,
    /// The kind of thing that it was done to.
    pub(crate) kind: String,
    /// The id of that thing.
    pub(crate) subject: String,
    /// What was asked for, without secrets.
    #[schema(value_type = Object)]
    pub(crate) parameters: Value,
    /// The code of the error, of a change that failed or was refused.
    pub(crate) code: Option<String>,
    /// What binds it to all entries before it.
    pub(crate) hash: String,
}

/// A page of the audit log, newest first.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct AuditList {
    /// All matches, before paging.
    pub(crate) total: u64,
    /// The page.
    pub(crate) entries: Vec<AuditRow>,
}

/// What walking through the whole audit log found.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct AuditVerdictRow {
    /// Whether every entry is as it was written, and none is missing.
    pub(crate) ok: bool,
    /// Entries that are right, from the first on.
    pub(crate) entries: u64,
    /// The last of them: its number and hash with a colon between. Noted elsewhere, it proves later that nothing was
    /// cut off.
    pub(crate) head: String,
    /// The first entry that is not as it was written.
    pub(crate) broken: Option<BrokenRow>,
}

/// An entry that is not as it was written.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct BrokenRow {
    /// Its number.
    pub(crate) sequence: u64,
    /// What is wrong with it.
    pub(crate) why: String,
}

/// A record of the access log. Like ones of a second are one record.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct AccessRow {
    /// Its number; later ones are higher.
    pub(crate) number: u64,
    /// When it ended (RFC 3339).
    pub(crate) at: String,
    /// `links`, `download`, or `lost` for records that there was no room for.
    pub(crate) kind: String,
    /// The account.
    pub(crate) account: String,
    /// The access key that asked, or that had asked for the link.
    pub(crate) access_key: String,
    /// The caller's address.
    pub(crate) address: Option<String>,
    /// How it was asked for: `native`, a dialect's name or `download`.
    pub(crate) via: String,
    /// The backup.
    pub(crate) backup: Option<String>,
    /// Its instance.
    pub(crate) instance: Option<String>,
    /// Numbers of the parts.
    pub(crate) parts: Vec<u64>,
    /// `public`, `intranet` or both.
    pub(crate) networks: Vec<String>,
    /// Id of the remembered link.
    pub(crate) link: Option<String>,
    /// When the links end.
    pub(crate) expires_at: Option<String>,
    /// First byte that was asked for.
    pub(crate) range_from: Option<u64>,
    /// The byte behind the last that was asked for.
    pub(crate) range_until: Option<u64>,
    /// Bytes sent.
    pub(crate) sent_bytes: u64,
    /// `given`, `done`, `broken`, or `refused:` and why.
    pub(crate) outcome: String,
    /// How many there were.
    pub(crate) requests: u64,
}

/// A page of the access log, newest first.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct AccessList {
    /// All matches, before paging.
    pub(crate) total: u64,
    /// The page.
    pub(crate) records: Vec<AccessRow>,
}
