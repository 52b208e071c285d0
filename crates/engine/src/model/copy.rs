//! Copies of backups in other repositories.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{AccountId, BackupId, Failure, InstanceId, Number};

/// How a backup's copy in another repository stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupCopy {
    /// The backup.
    pub backup: BackupId,
    /// The account that owns it.
    pub account: AccountId,
    /// The repository, by the name that the operator gave it.
    pub repository: String,
    /// State.
    pub state: CopyState,
    /// The job that made it, or is to; 0 of one that was found there.
    pub job: Number,
    /// How many attempts there were. Each writes under its own number, so that no two write the same object.
    pub tried: u32,
    /// The attempt that is whole; 0 before there is one.
    pub attempt: u32,
    /// Bytes as stored.
    pub bytes: u64,
    /// When it was asked for.
    pub asked_at: Timestamp,
    /// When it was whole there, proven by reading it back.
    pub stored_at: Option<Timestamp>,
    /// When all of it was last read and found whole.
    pub verified_at: Option<Timestamp>,
    /// When it is tried again.
    pub retry_at: Option<Timestamp>,
    /// Why it is not available, or was not when it was last tried.
    pub failure: Option<Failure>,
}

impl BackupCopy {
    /// Whether the backup can be read from it.
    pub fn is_whole(&self) -> bool {
        self.state == CopyState::Available && self.attempt > 0
    }
}

/// The states of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CopyState {
    /// Asked for.
    Queued,
    /// Being made.
    Running,
    /// Every byte is there, and was read back.
    Available,
    /// Not made.
    Failed,
    /// It was there, and a scrub found it broken.
    Damaged,
}

impl CopyState {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Available => "available",
            Self::Failed => "failed",
            Self::Damaged => "damaged",
        }
    }
}

/// A copy that is wanted.
#[derive(Debug, Clone)]
pub struct NewCopy {
    /// The account that owns the backup.
    pub account: AccountId,
    /// The backup.
    pub backup: BackupId,
    /// The instance that the job is shown under.
    pub instance: InstanceId,
    /// The repository.
    pub repository: String,
}

/// What a copy's job was asked to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyOrder {
    /// The repository.
    pub to: String,
}
