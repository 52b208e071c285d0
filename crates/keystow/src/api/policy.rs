//! Policies, their coming backups, and what is pruned.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::BackupRow;

/// What of a policy is to be different. What is absent stays, or is as usual where there was no policy.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PolicyRequest {
    /// The version that the caller has seen, 0 for none; refused with `CONFLICT` if it is another by now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<u64>,
    /// Cron lines of five fields; none = backups by hand only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) schedules: Option<Vec<String>>,
    /// IANA name of the zone of cron lines, windows and days, such as `Asia/Shanghai`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) time_zone: Option<String>,
    /// The instance starts later by a time of its own up to this, such as `10m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) jitter: Option<String>,
    /// Parts of the day in which a backup may start, such as `01:00-05:00`; none = all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) windows: Option<Vec<String>>,
    /// What is kept.
    #[serde(skip_serializing_if = "KeepRequest::is_empty")]
    pub(crate) keep: KeepRequest,
    /// How often the stored bytes of each backup are read again, such as `7d`; `0` = never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) verify_every: Option<String>,
    /// How often the newest backup is loaded into a throw-away server; `0` = never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) drill_every: Option<String>,
    /// Other repositories that get a copy of each available backup, by their names in the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) copies: Option<Vec<String>>,
    /// Whether one backup is taken late when fires were missed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) catch_up: Option<bool>,
    /// Whether no backups are taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) paused: Option<bool>,
}

/// What of a retention is to be different.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct KeepRequest {
    /// The last so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last: Option<u32>,
    /// All that are no older, such as `30d`; `0` = age keeps nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) within: Option<String>,
    /// The newest of each of so many days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) daily: Option<u32>,
    /// The newest of each of so many weeks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) weekly: Option<u32>,
    /// The newest of each of so many months.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) monthly: Option<u32>,
    /// The newest of each of so many years.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) yearly: Option<u32>,
    /// Good ones that stay whatever else is said; at least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) minimum: Option<u32>,
    /// Whether backups by hand go by the same rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) include_manual: Option<bool>,
}

impl KeepRequest {
    /// Whether it says nothing.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The policy of an instance.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct PolicyRow {
    /// The instance.
    pub(crate) instance: String,
    /// Grows by one with each change.
    pub(crate) version: u64,
    /// Cron lines.
    pub(crate) schedules: Vec<String>,
    /// IANA name of their zone.
    pub(crate) time_zone: String,
    /// Such as `10m`.
    pub(crate) jitter: String,
    /// Parts of the day in which a backup may start; none = all of it.
    pub(crate) windows: Vec<String>,
    /// What is kept.
    pub(crate) keep: KeepRow,
    /// How often each backup is read again.
    pub(crate) verify_every: Option<String>,
    /// How often the newest one is drilled.
    pub(crate) drill_every: Option<String>,
    /// Other repositories that get a copy of each available backup.
    #[serde(default)]
    pub(crate) copies: Vec<String>,
    /// Whether a missed fire is caught up.
    pub(crate) catch_up: bool,
    /// Whether no backups are taken.
    pub(crate) paused: bool,
    /// When it was changed (RFC 3339).
    pub(crate) changed_at: String,
    /// The access key that changed it.
    pub(crate) changed_by: String,
    /// When the next backup starts.
    pub(crate) next_at: Option<String>,
    /// When a backup that failed is tried again.
    pub(crate) retry_at: Option<String>,
    /// The last fires, newest first; only where one policy is shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) fires: Vec<FireRow>,
}

/// What a policy keeps.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct KeepRow {
    /// The last so many.
    pub(crate) last: u32,
    /// All that are no older, such as `7d`; `0s` = age keeps nothing.
    pub(crate) within: String,
    /// One a day.
    pub(crate) daily: u32,
    /// One a week.
    pub(crate) weekly: u32,
    /// One a month.
    pub(crate) monthly: u32,
    /// One a year.
    pub(crate) yearly: u32,
    /// Good ones that stay in any case.
    pub(crate) minimum: u32,
    /// Whether backups by hand go by the same rules.
    pub(crate) include_manual: bool,
}

/// A fire of the past.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct FireRow {
    /// The moment that it stands for (RFC 3339).
    pub(crate) at: String,
    /// `started`, `skipped` (another backup was under way) or `missed` (nobody looked in time).
    pub(crate) outcome: String,
    /// The backup's id.
    pub(crate) backup: Option<String>,
    /// Why, or what is worth knowing.
    pub(crate) note: Option<String>,
}

/// A backup that a policy will take.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct ComingRow {
    /// The instance.
    pub(crate) instance: String,
    /// The moment that the cron line names (RFC 3339).
    pub(crate) fire_at: String,
    /// When it starts: after jitter, within a window.
    pub(crate) start_at: String,
}

/// What to prune.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PruneRequest {
    /// Only of this instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) instance: Option<String>,
    /// Only tell what would be removed.
    #[serde(default)]
    pub(crate) dry_run: bool,
}

/// A backup that was judged.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct PrunedRow {
    /// The backup as it was before.
    pub(crate) backup: BackupRow,
    /// Whether it stays.
    pub(crate) keep: bool,
    /// Why, in words for people.
    pub(crate) reasons: Vec<String>,
}
