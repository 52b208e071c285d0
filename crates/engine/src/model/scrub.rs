//! Reading the stored bytes of a backup again.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{BackupState, Failure};

/// What a scrub found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScrubOutcome {
    /// When it ended.
    pub at: Timestamp,
    /// Whether every stored byte is what was sealed.
    pub ok: bool,
    /// Stored bytes that were read.
    pub bytes: u64,
    /// Milliseconds that it took.
    pub took_ms: u64,
    /// Shards whose part is not what was sealed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub broken: Vec<u32>,
    /// Why it is not ok.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// What the backup was before a scrub found it broken; what it becomes again when one finds it whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Whole>,
}

/// What a backup was while it was whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Whole {
    /// `available`, `partial` or `quarantined`.
    pub state: BackupState,
    /// Why it is not available.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// When it was first found broken; absent where an earlier version found it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}
