//! A backup, its parts, and the states that they go through.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    AccountId, BackupId, BackupOrigin, DrillOutcome, Encoding, InstanceId, Number, Page, PartOrigin, Place,
    ProjectId, ScrubOutcome, ServerFacts, SnapshotReport,
};
use crate::error::Error;

/// A backup (set): one moment of one instance.
#[derive(Debug, Clone)]
pub struct Backup {
    /// Its id.
    pub id: BackupId,
    /// Its number.
    pub number: Number,
    /// The account that owns it.
    pub account: AccountId,
    /// The instance's id.
    pub instance: InstanceId,
    /// The instance's name when the backup was asked for.
    pub instance_name: String,
    /// The project that the instance was in.
    pub project: Option<ProjectId>,
    /// The region that the instance was in.
    pub region: Option<String>,
    /// The zone that the instance was in.
    pub zone: Option<String>,
    /// The zone of its replicas, if it spanned two.
    pub replica_zone: Option<String>,
    /// State.
    pub state: BackupState,
    /// By hand or by a policy.
    pub mode: Mode,
    /// By replication or key by key.
    pub method: Method,
    /// A person's name for it.
    pub name: Option<String>,
    /// A person's note.
    pub remark: Option<String>,
    /// The job that takes it.
    pub job: Number,
    /// The attempt (fence) that sealed it; 0 before.
    pub attempt: u32,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When the first attempt started.
    pub started_at: Option<Timestamp>,
    /// When it ended, well or not.
    pub ended_at: Option<Timestamp>,
    /// When retention removes it; `None` = never by itself.
    pub expires_at: Option<Timestamp>,
    /// Kept whatever retention says.
    pub protected: bool,
    /// What the server said of itself at the time.
    pub server: Option<ServerFacts>,
    /// Why it is not available.
    pub failure: Option<Failure>,
    /// Where it came from; unknown before it is sealed.
    pub origin: Option<BackupOrigin>,
    /// What the last drill found.
    pub last_drill: Option<DrillOutcome>,
    /// What the last scrub found.
    pub last_scrub: Option<ScrubOutcome>,
    /// Its parts; empty until it is sealed.
    pub parts: Vec<Part>,
}

impl Backup {
    /// Plain bytes of all parts.
    pub fn size_bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.sealed.size_bytes).sum()
    }
}

/// A backup's file for one shard.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Part {
    /// Its number.
    pub number: Number,
    /// What is known of its bytes.
    pub sealed: SealedPart,
}

/// What is known of a part's bytes once they are safe in the repository.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SealedPart {
    /// Shard, from 0.
    pub shard: u32,
    /// Name that a link delivers it under.
    pub file_name: String,
    /// Plain bytes.
    pub size_bytes: u64,
    /// SHA-256 of the plain bytes, lower-case hex.
    pub sha256: String,
    /// Bytes as stored.
    pub stored_bytes: u64,
    /// SHA-256 of the stored bytes, lower-case hex.
    pub stored_sha256: String,
    /// How it is stored; what older versions wrote is plain.
    #[serde(default, skip_serializing_if = "Encoding::is_plain")]
    pub encoding: Encoding,
    /// What was found in it.
    pub report: SnapshotReport,
    /// Where it came from; unknown for those of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<PartOrigin>,
}

/// The states of a backup (DESIGN: words).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackupState {
    /// Asked for.
    Queued,
    /// Being taken.
    Running,
    /// Every byte verified.
    Available,
    /// A cluster set of which only some shards are verified.
    Partial,
    /// Every byte arrived, but the validator cannot vouch for them.
    Quarantined,
    /// Not taken.
    Failed,
    /// Removed by retention or by hand.
    Expired,
    /// A later check found it broken.
    Damaged,
}

impl BackupState {
    const ALL: [Self; 8] = [
        Self::Queued,
        Self::Running,
        Self::Available,
        Self::Partial,
        Self::Quarantined,
        Self::Failed,
        Self::Expired,
        Self::Damaged,
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Available => "available",
            Self::Partial => "partial",
            Self::Quarantined => "quarantined",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Damaged => "damaged",
        }
    }

    /// Whether work on it goes on.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Queued | Self::Running)
    }

    /// Whether its objects belong in the repository.
    pub fn keeps_objects(self) -> bool {
        matches!(self, Self::Available | Self::Partial | Self::Quarantined | Self::Damaged)
    }
}

impl FromStr for BackupState {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| Error::invalid(format!("unknown backup state '{text}'")))
    }
}

impl fmt::Display for BackupState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a backup was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// By a policy.
    Automated,
    /// By hand.
    Manual,
}

impl Mode {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Automated => "automated",
            Self::Manual => "manual",
        }
    }
}

/// How a backup was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// RDB through replication.
    Physical,
    /// SCAN and DUMP.
    Logical,
}

impl Method {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Physical => "physical",
            Self::Logical => "logical",
        }
    }
}

/// Why something did not work, as it is kept in the catalog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Stable code.
    pub code: String,
    /// What failed and why.
    pub message: String,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        Self {
            code: error.code.to_owned(),
            message: error.to_string(),
            hint: error.hint.as_ref().map(ToString::to_string),
        }
    }
}

/// A backup that somebody asks for.
#[derive(Debug, Clone)]
pub struct NewBackup {
    /// The account that owns the instance.
    pub account: AccountId,
    /// The instance.
    pub instance: InstanceId,
    /// By hand or by a policy.
    pub mode: Mode,
    /// A person's name for it.
    pub name: Option<String>,
    /// A person's note.
    pub remark: Option<String>,
    /// When retention may remove it.
    pub expires_at: Option<Timestamp>,
}

/// How a caller names a backup: by id, or by its number or that of one of its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackupRef {
    /// By id.
    Id(BackupId),
    /// By number.
    Number(Number),
}

impl FromStr for BackupRef {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if let Ok(number) = text.parse::<u32>() {
            return Ok(Self::Number(number.into()));
        }
        text.parse().map(Self::Id).map_err(|_| {
            Error::invalid(format!(
                "'{}' is not a backup id or number",
                text.chars().take(80).collect::<String>()
            ))
            .hint("list the backups with: keystow backup list")
        })
    }
}

impl fmt::Display for BackupRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Number(number) => number.fmt(f),
        }
    }
}

/// What one record of a list is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unit {
    /// A backup.
    #[default]
    Set,
    /// A part; a backup without parts yet counts as one.
    Part,
}

/// Which backups to list, newest first unless it says otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BackupFilter {
    /// Only of instances in this project.
    pub project: Option<ProjectId>,
    /// Only of this instance.
    pub instance: Option<InstanceId>,
    /// Only of instances whose id or name contains this text.
    pub instance_search: Option<String>,
    /// Only those whose name or remark contains this text.
    pub search: Option<String>,
    /// Only of instances that were there.
    pub place: Place,
    /// Only this one.
    pub backup: Option<BackupRef>,
    /// Only of this job.
    pub job: Option<Number>,
    /// Started (or, before that, asked for) at or after.
    pub since: Option<Timestamp>,
    /// Started (or, before that, asked for) at or before.
    pub until: Option<Timestamp>,
    /// Only in these states; empty = all but `expired`.
    pub states: Vec<BackupState>,
    /// Only those taken so.
    pub mode: Option<Mode>,
    /// Only those with a whole copy in one of these repositories; empty = any, copied or not.
    pub copied_to: Vec<String>,
    /// Oldest first.
    pub oldest_first: bool,
    /// What a record is, for paging and totals.
    pub unit: Unit,
    /// The page.
    pub page: Page,
}
