//! Jobs and policies as Alibaba shows them.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::backups::number;
use super::{WEEKDAYS, minute, second};
use crate::vocabulary::{JobRow, JobState, Policy};

/// How long a job stays in the list after its end; the vendor does not say.
const SHOWN: Duration = Duration::from_hours(24);
const HOUR: u16 = 60;
const DAY: u16 = 24 * HOUR;

/// `DescribeBackupTasks`, "Response parameters": a plain list.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct TasksAnswer {
    pub(super) instance_id: String,
    pub(super) backup_jobs: Vec<TaskAnswer>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct TaskAnswer {
    #[serde(rename = "BackupJobID", deserialize_with = "number")]
    pub(super) backup_job_id: u64,
    pub(super) backup_progress_status: String,
    pub(super) job_mode: String,
    /// The same by its old name.
    pub(super) process: String,
    pub(super) progress: String,
    pub(super) start_time: String,
    pub(super) task_action: String,
}

/// `DescribeBackupPolicy`, "Response parameters".
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PolicyAnswer {
    backup_retention_period: String,
    preferred_backup_period: String,
    preferred_backup_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    preferred_next_backup_time: Option<String>,
    enable_backup_log: u8,
    dbs_instance: &'static str,
}

/// The jobs of an instance that are not long over. The list has no word for one that failed: it is seen
/// among the backups.
pub(super) fn tasks(instance: String, rows: &[JobRow], asked_by_id: bool, now: SystemTime) -> TasksAnswer {
    let is_over = |end: SystemTime| now.duration_since(end).is_ok_and(|age| age > SHOWN);
    let shown = rows
        .iter()
        .filter(|row| row.state != JobState::Failed && (asked_by_id || !row.ended_at.is_some_and(is_over)));
    TasksAnswer { instance_id: instance, backup_jobs: shown.map(task).collect() }
}

fn task(row: &JobRow) -> TaskAnswer {
    let (mode, action) =
        if row.automated { ("Automated", "NormalBackupTask") } else { ("Manual", "TempBackupTask") };
    TaskAnswer {
        backup_job_id: row.number,
        backup_progress_status: match row.state {
            JobState::Waiting => "NoStart",
            JobState::Running if row.percent == 0 => "Preparing",
            JobState::Running => "Uploading",
            JobState::Done | JobState::Failed => "Finished",
        }
        .to_owned(),
        job_mode: mode.to_owned(),
        process: row.percent.to_string(),
        progress: row.percent.to_string(),
        start_time: second(row.started_at.unwrap_or(row.created_at)),
        task_action: action.to_owned(),
    }
}

/// A policy; its hour may begin at any minute.
pub(super) fn policy(policy: &Policy) -> PolicyAnswer {
    let days = WEEKDAYS.iter().zip(policy.weekdays).filter(|(_, chosen)| *chosen).map(|(day, _)| *day);
    let clock = |minute: u16| format!("{:02}:{:02}Z", minute % DAY / HOUR, minute % HOUR);
    let start = policy.start_minute % DAY;
    PolicyAnswer {
        backup_retention_period: policy.keep_days.to_string(),
        preferred_backup_period: days.collect::<Vec<_>>().join(","),
        preferred_backup_time: format!("{}-{}", clock(start), clock(start + HOUR)),
        preferred_next_backup_time: policy.next_at.map(minute),
        enable_backup_log: 0,
        dbs_instance: "0",
    }
}
