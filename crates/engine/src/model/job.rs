//! Work that outlives a request.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{AccountId, BackupId, Failure, InstanceId, Mode, Number, Order, Outcome, Page, Place, ProjectId};

/// Work that outlives a request.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its number.
    pub number: Number,
    /// The account that it is done for.
    pub account: AccountId,
    /// What is to be done.
    pub kind: JobKind,
    /// The backup that it is about.
    pub backup: BackupId,
    /// The instance that it is about.
    pub instance: InstanceId,
    /// What was asked for, beyond the backup.
    pub order: Option<Order>,
    /// What it did.
    pub outcome: Option<Outcome>,
    /// State.
    pub state: JobState,
    /// How often it was claimed. The present claim's value is its fence.
    pub attempt: u32,
    /// How often its worker died in the middle of it.
    pub deaths: u32,
    /// How far it is.
    pub progress: Progress,
    /// Why the last attempt failed.
    pub failure: Option<Failure>,
    /// Whether somebody asked to stop it.
    pub cancel_requested: bool,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When the present or last attempt started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// What a job does. A closed set, so an enum and not a trait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// Takes a backup.
    TakeBackup,
    /// Removes a backup's objects.
    RemoveBackup,
    /// Puts a backup into a server.
    Restore,
    /// Loads a backup into a throw-away server.
    Drill,
    /// Reads a backup's stored bytes again.
    Scrub,
    /// Copies a backup into another repository.
    Copy,
    /// Brings a damaged backup back from a copy.
    Repair,
}

impl JobKind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TakeBackup => "take_backup",
            Self::RemoveBackup => "remove_backup",
            Self::Restore => "restore",
            Self::Drill => "drill",
            Self::Scrub => "scrub",
            Self::Copy => "copy",
            Self::Repair => "repair",
        }
    }
}

/// The states of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// Waiting for a worker.
    Queued,
    /// A worker has it.
    Running,
    /// Done.
    Done,
    /// Given up.
    Failed,
    /// Stopped on request.
    Cancelled,
}

impl JobState {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What a backup job is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Not started.
    #[default]
    Waiting,
    /// Connecting, and waiting for the server to start sending.
    Connecting,
    /// Receiving and checking.
    Receiving,
    /// Making the bytes safe.
    Sealing,
    /// Looking what the target holds.
    Checking,
    /// Giving data to the target.
    Restoring,
    /// Waiting until a server has loaded it.
    Loading,
    /// Carrying bytes from one repository to another.
    Copying,
}

impl Phase {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Connecting => "connecting",
            Self::Receiving => "receiving",
            Self::Sealing => "sealing",
            Self::Checking => "checking",
            Self::Restoring => "restoring",
            Self::Loading => "loading",
            Self::Copying => "copying",
        }
    }
}

/// How far a job is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// What it is doing.
    pub phase: Phase,
    /// Bytes received.
    pub bytes: u64,
    /// Bytes to come in all, where the server said so.
    pub total_bytes: Option<u64>,
    /// Keys seen.
    pub keys: u64,
    /// Of a restore by commands: keys that are safe in the target, by part; a later attempt goes on behind them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub safe: Vec<u64>,
}

/// Work on a backup that somebody asks for.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// The account that owns the backup.
    pub account: AccountId,
    /// The backup.
    pub backup: BackupId,
    /// The instance that the job is shown under.
    pub instance: InstanceId,
    /// What is to be done.
    pub kind: JobKind,
    /// What was asked for, beyond the backup.
    pub order: Option<Order>,
    /// What no other job may change at the same time, whatever account it is of: the target of a restore.
    pub target: Option<String>,
}

/// A worker's right to one job. A write that names a lost lease fails.
#[derive(Debug, Clone)]
pub struct Lease {
    /// The job.
    pub job: Number,
    /// Its fence: only the newest claim may write.
    pub fence: u32,
}

impl Job {
    /// The right of whoever claimed this attempt.
    pub fn lease(&self) -> Lease {
        Lease { job: self.number, fence: self.attempt }
    }
}

/// A job as a list shows it, with what its backup tells.
#[derive(Debug, Clone)]
pub struct ListedJob {
    /// The job.
    pub job: Job,
    /// The instance's name.
    pub instance_name: String,
    /// The project of the instance.
    pub project: Option<ProjectId>,
    /// Whether the backup was taken by hand or by a policy.
    pub mode: Mode,
}

/// Which jobs to list, newest first.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    /// Only of instances in this project.
    pub project: Option<ProjectId>,
    /// Only this one.
    pub number: Option<Number>,
    /// Only of this instance.
    pub instance: Option<InstanceId>,
    /// Only of instances whose id or name contains this text.
    pub instance_search: Option<String>,
    /// Only of instances that are there.
    pub place: Place,
    /// Only these kinds; empty = all.
    pub kinds: Vec<JobKind>,
    /// Only in these states; empty = all.
    pub states: Vec<JobState>,
    /// Whether a job that took not all of a backup, or what is not vouched for, counts as failed; as done otherwise.
    pub doubted_failed: bool,
    /// Of those that take backups, only those that take them so.
    pub mode: Option<Mode>,
    /// Asked for at or after.
    pub since: Option<Timestamp>,
    /// Asked for at or before.
    pub until: Option<Timestamp>,
    /// The page.
    pub page: Page,
}

impl JobFilter {
    /// Whether it tells jobs apart by whether what they took is in doubt.
    pub fn doubts_matter(&self) -> bool {
        let has = |state| self.states.contains(&state);
        self.doubted_failed && has(JobState::Done) != has(JobState::Failed)
    }
}
