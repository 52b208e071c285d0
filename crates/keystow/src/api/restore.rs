//! Restores and drills.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{FailureNote, JobRow, ScrubRow, ServerRow, TlsRequest};

/// A restore to plan or to do.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub(crate) struct NewRestoreRequest {
    /// The backup's id or number.
    pub(crate) backup: String,
    /// Where to: a URL as instances have it. Either this or `instance`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) to: Option<String>,
    /// A registered instance, reached as its backups are. Its own user, password and certificates are used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) instance: Option<String>,
    /// ACL user of the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) username: Option<String>,
    /// Password of the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) password: Option<String>,
    /// Sentinel's own user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sentinel_username: Option<String>,
    /// Sentinel's own password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sentinel_password: Option<String>,
    /// Certificates.
    #[serde(default, skip_serializing_if = "TlsRequest::is_empty")]
    pub(crate) tls: TlsRequest,
    /// `auto`, `primary` or `commands`; `auto` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) method: Option<String>,
    /// What a key that the target has already means: `fail`, `replace` or `skip`; `fail` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) on_conflict: Option<String>,
    /// What becomes of expiries: `keep`, `shift`, `strip` or `drop-expired`; `keep` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ttl: Option<String>,
    /// Only keys that one of these glob patterns matches; empty = all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) patterns: Vec<String>,
    /// Only keys of these types, such as `hash`; empty = all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) types: Vec<String>,
    /// Only keys of these databases; empty = all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) databases: Vec<u64>,
    /// Keys that begin with the one begin with the other instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) prefix: Option<PrefixRow>,
    /// Leave the functions out.
    #[serde(default)]
    pub(crate) without_functions: bool,
    /// Whether all that the target holds may be thrown away first.
    #[serde(default)]
    pub(crate) wipe: bool,
    /// Whether a backup that is not `available` may be used.
    #[serde(default)]
    pub(crate) accept_partial: bool,
    /// Only plan it.
    #[serde(default)]
    pub(crate) dry_run: bool,
}

/// A change of how keys begin.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PrefixRow {
    /// What they begin with.
    pub(crate) from: String,
    /// What they are to begin with.
    pub(crate) to: String,
}

/// What a restore will do, and the job that does it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct RestoreStarted {
    /// The plan.
    pub(crate) plan: PlanRow,
    /// The job; none if it was only planned.
    pub(crate) job: Option<JobRow>,
}

/// What a restore would do, told before anything is touched.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct PlanRow {
    /// `primary` or `commands`.
    pub(crate) method: String,
    /// Why this one.
    pub(crate) why: String,
    /// The target as it was found.
    pub(crate) target: TargetRow,
    /// Parts of the backup.
    pub(crate) parts: u32,
    /// Keys in the backup, all of them.
    pub(crate) keys: u64,
    /// Bytes of the backup.
    pub(crate) bytes: u64,
    /// Its format, such as `REDIS0010`.
    pub(crate) magic: String,
    /// Functions in it.
    pub(crate) functions: u64,
    /// Modules whose data it holds.
    pub(crate) modules: Vec<String>,
    /// What will happen, step by step.
    pub(crate) steps: Vec<String>,
    /// What will be lost or odd.
    pub(crate) warnings: Vec<String>,
    /// Why it cannot be done; empty = it can.
    pub(crate) refusals: Vec<FailureNote>,
}

/// The target of a restore.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct TargetRow {
    /// Where it is, without user and password.
    pub(crate) url: String,
    /// What one of its servers said of itself.
    pub(crate) server: ServerRow,
    /// `standalone`, `sentinel` or `cluster`.
    pub(crate) topology: String,
    /// Primaries that get data.
    pub(crate) primaries: u32,
    /// Keys that it holds now.
    pub(crate) keys: u64,
}

/// What a job did.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OutcomeRow {
    /// A restore.
    Restore(RestoreRow),
    /// A drill.
    Drill(DrillRow),
    /// A scrub.
    Scrub(ScrubRow),
}

/// What a restore did. Of a failed one: what it did before it failed.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct RestoreRow {
    /// `primary` or `commands`.
    pub(crate) method: String,
    /// Whether anything in the target was changed.
    pub(crate) changed: bool,
    /// Whether all of it was done.
    pub(crate) complete: bool,
    /// Keys that are in the target now.
    pub(crate) restored: u64,
    /// Keys that were there already and stayed.
    pub(crate) skipped: u64,
    /// Keys that were not chosen.
    pub(crate) left_out: u64,
    /// Keys with an expiry, of those read.
    pub(crate) with_expiry: u64,
    /// Keys whose expiry had passed.
    pub(crate) expired: u64,
    /// Functions.
    pub(crate) functions: u64,
    /// Keys in the target before.
    pub(crate) keys_before: u64,
    /// Keys in the target afterwards.
    pub(crate) keys_after: u64,
    /// Milliseconds that it took.
    pub(crate) took_ms: u64,
    /// What was odd.
    pub(crate) warnings: Vec<String>,
}

/// A drill to do.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewDrillRequest {
    /// The backup's id or number.
    pub(crate) backup: String,
    /// The name of one of the server programs that the service finds, or its family and version such as `redis-7.2`;
    /// the nearest to the backup's source if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) server: Option<String>,
}

/// What a drill found.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct DrillRow {
    /// When it ended (RFC 3339).
    pub(crate) at: String,
    /// Whether every part was loaded and held what it should.
    pub(crate) ok: bool,
    /// The server that loaded it, such as `redis 7.0.15`.
    pub(crate) server: String,
    /// Milliseconds from the start of the first server to the last loaded key.
    pub(crate) took_ms: u64,
    /// By part.
    pub(crate) parts: Vec<DrilledPartRow>,
    /// Why it is not ok.
    pub(crate) failure: Option<FailureNote>,
}

/// One part in a drill.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct DrilledPartRow {
    /// Shard, from 0.
    pub(crate) shard: u32,
    /// Milliseconds until the server had loaded it.
    pub(crate) load_ms: u64,
    /// Keys.
    pub(crate) keys: u64,
    /// Keys by database, as the server counted them.
    pub(crate) databases: BTreeMap<u64, u64>,
    /// `DEBUG DIGEST`, where the server offers it.
    pub(crate) digest: Option<String>,
}
