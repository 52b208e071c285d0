//! What was found in a snapshot, and the manifest that keeps it beside the bytes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    AccountId, BackupId, BackupOrigin, BackupState, DrillOutcome, Failure, InstanceId, Method, Mode, Number,
    ProjectId, ScrubOutcome, ServerFacts,
};

/// What a verification found in one snapshot.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SnapshotReport {
    /// First nine bytes of the file.
    pub magic: String,
    /// RDB version.
    pub rdb_version: u16,
    /// `ok`, or `absent` when the source wrote none.
    pub checksum: String,
    /// Keys in all.
    pub keys: u64,
    /// Keys by database.
    pub databases: BTreeMap<u64, u64>,
    /// Keys and bytes by type.
    pub kinds: BTreeMap<String, KindCount>,
    /// Functions.
    #[serde(default)]
    pub functions: u64,
    /// Modules whose data it holds.
    #[serde(default)]
    pub modules: Vec<String>,
    /// Replication id of the moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replication_id: Option<String>,
    /// Replication offset of the moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replication_offset: Option<i64>,
    /// Keys and members that were not looked at for standing twice, so that memory stays bounded.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub not_compared: u64,
    /// Why the validator cannot vouch for it, for a quarantined one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Keys and bytes of one type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindCount {
    /// Keys.
    pub keys: u64,
    /// Bytes of their records in the file.
    pub bytes: u64,
}

/// The commit point of an attempt: everything needed to rebuild its catalog rows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    /// Format of this document.
    pub format: u32,
    /// The backup.
    pub backup: BackupId,
    /// Its number.
    pub number: u64,
    /// The account that owns it.
    pub account: AccountId,
    /// The instance.
    pub instance: InstanceId,
    /// The instance's name.
    pub instance_name: String,
    /// The attempt (fence) that wrote it.
    pub attempt: u32,
    /// `available` or `quarantined`.
    pub state: BackupState,
    /// By hand or by a policy.
    pub mode: Mode,
    /// By replication or key by key.
    pub method: Method,
    /// The project that the instance was in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectId>,
    /// Where the instance was.
    #[serde(default)]
    pub place: ManifestPlace,
    /// The job that took it; 0 in manifests of older versions.
    #[serde(default)]
    pub job: Number,
    /// A person's name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A person's note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
    /// Why it is not `available`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When the attempt started.
    pub started_at: Timestamp,
    /// When the last byte was safe.
    pub ended_at: Timestamp,
    /// When retention may remove it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// What the server said of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerFacts>,
    /// Where it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<BackupOrigin>,
    /// The parts, by shard.
    pub parts: Vec<ManifestPart>,
}

/// Where an instance was when its backup was taken.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ManifestPlace {
    /// Region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Zone of the replicas, if it spanned two.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replica_zone: Option<String>,
}

/// One part in a manifest.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ManifestPart {
    /// Its number.
    pub number: u64,
    /// Name of its object, beside the manifest.
    pub object: String,
    /// What is known of its bytes. Not flattened: serde cannot read maps with numbers for keys back from that.
    pub sealed: super::SealedPart,
}

/// Something that happened to a backup after it was sealed, kept beside it for a rebuild of the catalog.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BackupEvent {
    /// Format of this document.
    pub format: u32,
    /// The backup.
    pub backup: BackupId,
    /// The account that owns it.
    pub account: AccountId,
    /// The job that did it, or a number of the event's own.
    pub job: Number,
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: EventKind,
}

/// What happened to a backup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// It was loaded into a throw-away server.
    Drill(DrillOutcome),
    /// Its stored bytes were read again.
    Scrub(ScrubOutcome),
    /// It is kept whatever retention says, or no longer.
    Protected(bool),
    /// Retention may remove it then; `None` = never by itself.
    Expiry(Option<Timestamp>),
}
