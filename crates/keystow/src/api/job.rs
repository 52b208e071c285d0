//! Jobs.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{FailureNote, OutcomeRow};

/// A job.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct JobRow {
    /// Its number.
    pub(crate) number: u64,
    /// `take_backup`, `remove_backup`, `restore`, `drill` or `scrub`.
    pub(crate) kind: String,
    /// `queued`, `running`, `done`, `failed` or `cancelled`.
    pub(crate) state: String,
    /// The backup that it is about.
    pub(crate) backup: String,
    /// The instance that it is about.
    pub(crate) instance: String,
    /// How often it was started.
    pub(crate) attempt: u32,
    /// How far it is.
    pub(crate) progress: ProgressRow,
    /// Whether somebody asked to stop it.
    pub(crate) cancel_requested: bool,
    /// When it was asked for (RFC 3339).
    pub(crate) created_at: String,
    /// When the present or last attempt started.
    pub(crate) started_at: Option<String>,
    /// When it ended.
    pub(crate) ended_at: Option<String>,
    /// Why it failed.
    pub(crate) failure: Option<FailureNote>,
    /// What a restore, a drill or a scrub did, also before it failed.
    pub(crate) outcome: Option<OutcomeRow>,
}

/// How far a job is.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct ProgressRow {
    /// `waiting`, `connecting`, `receiving`, `sealing`, `checking`, `restoring` or `loading`.
    pub(crate) phase: String,
    /// Bytes received.
    pub(crate) bytes: u64,
    /// Bytes to come in all, where the server said so.
    pub(crate) total_bytes: Option<u64>,
    /// Keys seen.
    pub(crate) keys: u64,
}

/// A page of jobs, newest first.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct JobList {
    /// All matches, before paging.
    pub(crate) total: u64,
    /// The page.
    pub(crate) jobs: Vec<JobRow>,
}
