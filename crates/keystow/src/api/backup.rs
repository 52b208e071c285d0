//! Backups.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::DrillRow;

/// A backup to take.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewBackupRequest {
    /// The instance.
    pub(crate) instance: String,
    /// A person's name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// A person's note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) remark: Option<String>,
    /// Days to keep it; for ever if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) keep_days: Option<u32>,
}

/// Whether to keep a backup whatever retention says.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Protection {
    /// `true` = keep.
    pub(crate) protected: bool,
}

/// A backup.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct BackupRow {
    /// Its id (UUID v7).
    pub(crate) id: String,
    /// Its number.
    pub(crate) number: u64,
    /// `queued`, `running`, `available`, `partial`, `quarantined`, `failed`, `expired` or `damaged`.
    pub(crate) state: String,
    /// The instance's id.
    pub(crate) instance: String,
    /// The instance's name.
    pub(crate) instance_name: String,
    /// The account that owns it.
    pub(crate) account: String,
    /// The project that the instance was in.
    pub(crate) project: Option<String>,
    /// `manual` or `automated`.
    pub(crate) mode: String,
    /// `physical` or `logical`.
    pub(crate) method: String,
    /// A person's name for it.
    pub(crate) name: Option<String>,
    /// A person's note.
    pub(crate) remark: Option<String>,
    /// The job that takes it.
    pub(crate) job: u64,
    /// When it was asked for (RFC 3339).
    pub(crate) created_at: String,
    /// When the first attempt started.
    pub(crate) started_at: Option<String>,
    /// When it ended.
    pub(crate) ended_at: Option<String>,
    /// When retention removes it: by an expiry of its own, or by its instance's policy where age alone decides.
    pub(crate) expires_at: Option<String>,
    /// Kept whatever retention says.
    pub(crate) protected: bool,
    /// Such as `redis 7.0.15`.
    pub(crate) server: Option<String>,
    /// Plain bytes of all parts.
    pub(crate) size_bytes: u64,
    /// Bytes of all parts as they are stored.
    #[serde(default)]
    pub(crate) stored_bytes: u64,
    /// Keys in all parts.
    pub(crate) keys: u64,
    /// Why it is not available.
    pub(crate) failure: Option<FailureNote>,
    /// Where it came from; unknown before it is sealed.
    pub(crate) origin: Option<OriginRow>,
    /// What the last drill found.
    pub(crate) last_drill: Option<DrillRow>,
    /// What the last scrub found.
    pub(crate) last_scrub: Option<ScrubRow>,
    /// Its parts; empty until it is sealed.
    pub(crate) parts: Vec<PartRow>,
    /// Its copies in other repositories; only where one backup is shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) copies: Vec<CopyRow>,
}

/// A backup's copy in another repository.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct CopyRow {
    /// The repository, by its name in the configuration.
    pub(crate) repository: String,
    /// `queued`, `running`, `available`, `failed` or `damaged`.
    pub(crate) state: String,
    /// The job that made it, or is to; 0 of one that was found there.
    pub(crate) job: u64,
    /// Bytes as stored.
    pub(crate) bytes: u64,
    /// When it was asked for (RFC 3339).
    pub(crate) asked_at: String,
    /// When it was whole there.
    pub(crate) stored_at: Option<String>,
    /// When all of it was last read and found whole.
    pub(crate) verified_at: Option<String>,
    /// When it is tried again.
    pub(crate) retry_at: Option<String>,
    /// Why it is not available.
    pub(crate) failure: Option<FailureNote>,
}

/// Where to copy a backup to.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewCopyRequest {
    /// The repository, by its name in the configuration.
    pub(crate) to: String,
}

/// What reading the stored bytes again found.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct ScrubRow {
    /// When it ended (RFC 3339).
    pub(crate) at: String,
    /// Whether every stored byte is what was sealed.
    pub(crate) ok: bool,
    /// Stored bytes that were read.
    pub(crate) bytes: u64,
    /// Milliseconds that it took.
    pub(crate) took_ms: u64,
    /// Shards whose part is not what was sealed.
    pub(crate) broken: Vec<u32>,
    /// Why it is not ok.
    pub(crate) failure: Option<FailureNote>,
}

/// Where a backup came from, as a whole.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct OriginRow {
    /// `standalone`, `sentinel` or `cluster`.
    pub(crate) topology: String,
    /// The cluster's epoch during the backup.
    pub(crate) epoch: Option<u64>,
    /// Milliseconds between the first and the last shard's moment.
    pub(crate) skew_ms: Option<u64>,
    /// Whether each part is of one instant. Read key by key, it is not.
    pub(crate) one_instant: bool,
    /// Shards that are missing from a partial set.
    pub(crate) missing: Vec<MissingRow>,
    /// The files that it was imported from.
    #[serde(default)]
    pub(crate) imported: Vec<String>,
    /// What was odd about the source.
    pub(crate) warnings: Vec<String>,
}

/// A shard that is missing from a set.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct MissingRow {
    /// Its slots, such as `0-5460`.
    pub(crate) slots: String,
    /// Why.
    pub(crate) failure: FailureNote,
}

/// Why something did not work.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct FailureNote {
    /// Stable code.
    pub(crate) code: String,
    /// What failed and why.
    pub(crate) message: String,
    /// What to do next.
    pub(crate) hint: Option<String>,
}

/// A backup's file for one shard.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct PartRow {
    /// Its number.
    pub(crate) number: u64,
    /// File name, as links deliver it.
    pub(crate) name: String,
    /// Shard, from 0.
    pub(crate) shard: u32,
    /// Plain bytes.
    pub(crate) size_bytes: u64,
    /// SHA-256 of the plain bytes, lower-case hex.
    pub sha256: String,
    /// How the bytes are stored: `plain`, `zstd`, `age` or `zstd+age`.
    #[serde(default)]
    pub(crate) encoding: String,
    /// Bytes as they are stored.
    #[serde(default)]
    pub(crate) stored_bytes: u64,
    /// Keys.
    pub(crate) keys: u64,
    /// Keys by database.
    pub(crate) databases: BTreeMap<u64, u64>,
    /// Keys and bytes by type.
    pub(crate) types: BTreeMap<String, KindRow>,
    /// First nine bytes, such as `REDIS0010`.
    pub(crate) magic: String,
    /// RDB version.
    pub(crate) rdb_version: u16,
    /// `ok`, or `absent` when the source wrote none.
    pub(crate) checksum: String,
    /// The server that it came from, without user and password.
    pub(crate) node: Option<String>,
    /// `primary` or `replica`.
    pub(crate) node_role: Option<String>,
    /// Why this server was taken.
    pub(crate) why: Option<String>,
    /// The slots that its shard had, such as `0-5460`; none unless it is of a cluster.
    pub(crate) slots: Option<String>,
    /// The moment that it shows; of a part read key by key, when reading began.
    pub(crate) cut_at: Option<String>,
}

/// Keys and bytes of one type.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
pub(crate) struct KindRow {
    /// Keys.
    pub(crate) keys: u64,
    /// Bytes of their records.
    pub(crate) bytes: u64,
}

/// A page of backups, newest first.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct BackupList {
    /// All matches, before paging.
    pub(crate) total: u64,
    /// The page.
    pub(crate) backups: Vec<BackupRow>,
}
