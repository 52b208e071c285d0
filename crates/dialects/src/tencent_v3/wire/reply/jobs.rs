//! Tasks, the vendor's word for jobs.

use serde::{Deserialize, Serialize};

use super::super::request::{BACKUP_BY_HAND, BACKUP_BY_POLICY, REMOVE_BACKUP, RESTORE, result};
use super::{read_optional_time, read_time, write_time};
use crate::ReadError;
use crate::vocabulary::{JobKind, JobRow, JobState};

/// Each kind of task: its code, its name in English and in Chinese.
const KINDS: [(JobKind, bool, &str, &str, &str); 4] = [
    (JobKind::Backup, false, BACKUP_BY_HAND, "Manual backup", "手动备份"),
    (JobKind::Backup, true, BACKUP_BY_POLICY, "Automatic backup", "自动备份"),
    (JobKind::RemoveBackup, false, REMOVE_BACKUP, "Delete backup", "删除备份"),
    (JobKind::Restore, false, RESTORE, "Restore backup", "恢复备份"),
];

/// `DescribeTaskInfo`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct TaskAnswer {
    status: String,
    start_time: String,
    task_type: String,
    instance_id: String,
    task_message: String,
}

/// `DescribeTaskList`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct TasksAnswer {
    pub(super) total_count: u64,
    pub(super) tasks: Vec<ListedAnswer>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ListedAnswer {
    task_id: u64,
    start_time: String,
    task_type: String,
    instance_name: String,
    instance_id: String,
    project_id: i64,
    progress: f64,
    end_time: String,
    result: i64,
}

/// Code, English and Chinese name of what a job does.
fn names(row: &JobRow) -> (&'static str, &'static str, &'static str) {
    let fits = |kind: JobKind, automated: bool| {
        kind == row.kind && (kind != JobKind::Backup || automated == row.automated)
    };
    let found = KINDS.iter().find(|(kind, automated, ..)| fits(*kind, *automated));
    found.map_or(("", "", ""), |(_, _, code, english, chinese)| (code, english, chinese))
}

pub(super) fn write_one(row: &JobRow, chinese: bool) -> TaskAnswer {
    let (_, in_english, in_chinese) = names(row);
    TaskAnswer {
        status: match row.state {
            JobState::Waiting => "preparing",
            JobState::Running => "running",
            JobState::Done => "succeed",
            JobState::Failed => "failed",
        }
        .to_owned(),
        start_time: write_time(row.started_at.unwrap_or(row.created_at)),
        task_type: if chinese { in_chinese } else { in_english }.to_owned(),
        instance_id: row.instance.clone(),
        task_message: row.failure.clone(),
    }
}

pub(super) fn write(row: &JobRow) -> ListedAnswer {
    ListedAnswer {
        task_id: row.number,
        start_time: write_time(row.started_at.unwrap_or(row.created_at)),
        task_type: names(row).0.to_owned(),
        instance_name: row.instance_name.clone(),
        instance_id: row.instance.clone(),
        project_id: row.project.parse().unwrap_or_default(),
        progress: f64::from(row.percent.min(100)) / 100.0,
        end_time: row.ended_at.map(write_time).unwrap_or_default(),
        result: result(row.state),
    }
}

/// A task alone leaves out its number, which the call knows.
pub(super) fn read_one(answer: TaskAnswer, number: u64) -> Result<JobRow, ReadError> {
    let state = match answer.status.as_str() {
        "preparing" => JobState::Waiting,
        "running" => JobState::Running,
        "succeed" => JobState::Done,
        "failed" | "error" => JobState::Failed,
        other => return Err(ReadError::Malformed(format!("{other:?} is not a task's state"))),
    };
    let found =
        KINDS.iter().find(|(.., english, chinese)| [*english, *chinese].contains(&&*answer.task_type));
    let (kind, automated) =
        found.map_or((JobKind::Backup, false), |(kind, automated, ..)| (*kind, *automated));
    let created_at = read_time(&answer.start_time)?;
    Ok(JobRow {
        number,
        kind,
        automated,
        state,
        instance: answer.instance_id,
        created_at,
        started_at: (state != JobState::Waiting).then_some(created_at),
        failure: answer.task_message,
        ..JobRow::default()
    })
}

pub(super) fn read(answer: ListedAnswer) -> Result<JobRow, ReadError> {
    let state = match answer.result {
        0 => JobState::Waiting,
        1 => JobState::Running,
        2 => JobState::Done,
        _ => JobState::Failed,
    };
    let found = KINDS.iter().find(|(_, _, code, ..)| *code == answer.task_type);
    let (kind, automated) =
        found.map_or((JobKind::Backup, false), |(kind, automated, ..)| (*kind, *automated));
    let created_at = read_time(&answer.start_time)?;
    Ok(JobRow {
        number: answer.task_id,
        kind,
        automated,
        state,
        percent: percent(answer.progress),
        instance: answer.instance_id,
        instance_name: answer.instance_name,
        project: if answer.project_id == 0 { String::new() } else { answer.project_id.to_string() },
        created_at,
        started_at: (state != JobState::Waiting).then_some(created_at),
        ended_at: read_optional_time(&answer.end_time)?,
        ..JobRow::default()
    })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast of a float saturates")]
fn percent(progress: f64) -> u8 {
    (progress * 100.0).round().clamp(0.0, 100.0) as u8
}
