//! Answers as Tencent's older API writes them, in both directions.

mod read;

use std::time::SystemTime;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use super::regions;
use super::request::task_status;
use super::{BEIJING, TIME_FORMAT};
use crate::canonical::write_calendar;
use crate::tencent_v2::fault::Verdict;
use crate::vocabulary::{
    BackupRow, BackupState, Call, Fault, InstanceRow, JobKind, JobRow, LinkBackup, LinkRow, ListJobs, Reply,
    Topology,
};

pub(in crate::tencent_v2) use read::read;

const MEGABYTE: u64 = 1 << 20;

/// `GetBackupDownloadUrl`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct LinkAnswer {
    intranet: String,
    extranet: String,
}

/// The actions that start a task; its number is called a request's.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StartedAnswer {
    #[serde(deserialize_with = "number")]
    request_id: i64,
}

/// `DescribeTaskInfo`.
#[derive(Debug, Serialize, Deserialize)]
struct TaskAnswer {
    #[serde(deserialize_with = "number")]
    status: i64,
}

/// `GetRedisBackupList`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct BackupsAnswer {
    redis_backup_set: Vec<BackupAnswer>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct BackupAnswer {
    start_time: String,
    backup_id: String,
    backup_type: String,
    #[serde(deserialize_with = "number")]
    status: i64,
    remark: String,
    #[serde(deserialize_with = "number")]
    locked: i64,
}

/// `GetRedisTaskList`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TasksAnswer {
    redis_task_set: Vec<ListedTask>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ListedTask {
    start_time: String,
    task_name: String,
    redis_name: String,
    redis_id: String,
    #[serde(deserialize_with = "number")]
    project_id: i64,
    #[serde(deserialize_with = "number")]
    status: i64,
    #[serde(deserialize_with = "number")]
    progress: i64,
}

/// `DescribeRedis`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct InstancesAnswer {
    redis_set: Vec<InstanceAnswer>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct InstanceAnswer {
    redis_name: String,
    redis_id: String,
    #[serde(deserialize_with = "number")]
    appid: i64,
    #[serde(deserialize_with = "number")]
    project_id: i64,
    #[serde(deserialize_with = "number")]
    region_id: i64,
    #[serde(deserialize_with = "number")]
    zone_id: i64,
    #[serde(deserialize_with = "number")]
    vpc_id: i64,
    un_vpc_id: String,
    #[serde(deserialize_with = "number")]
    subnet_id: i64,
    un_subnet_id: String,
    #[serde(deserialize_with = "number")]
    status: i64,
    status_desc: String,
    wan_ip: String,
    #[serde(deserialize_with = "number")]
    port: i64,
    createtime: String,
    #[serde(deserialize_with = "number")]
    size: i64,
    #[serde(deserialize_with = "number")]
    size_used: i64,
    #[serde(deserialize_with = "number")]
    type_id: i64,
    #[serde(rename = "typeIddesc")]
    type_description: String,
    #[serde(deserialize_with = "number")]
    auto_renew_flag: i64,
    deadline_time: String,
}

/// A whole number; the vendor's examples quote many.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let read = value.as_i64().or_else(|| value.as_str().and_then(|text| text.parse().ok()));
    read.ok_or_else(|| serde::de::Error::custom("a number is expected"))
}

/// The answer to an action that was done.
pub(in crate::tencent_v2) fn success(
    reply: &Reply,
    action: &str,
    call: &dyn Fn() -> Option<Call>,
) -> Result<Value, Fault> {
    let (total, data) = match (reply, action) {
        (Reply::Links(rows), _) => (None, json(write_link(rows, call)?)?),
        (Reply::Backups { total, rows, .. }, _) => {
            (Some(total), json(BackupsAnswer { redis_backup_set: rows.iter().map(write_backup).collect() })?)
        }
        (Reply::Instances { total, rows }, _) => {
            (Some(total), json(InstancesAnswer { redis_set: rows.iter().map(write_instance).collect() })?)
        }
        (Reply::Started { job, .. }, _) => {
            (None, json(StartedAnswer { request_id: i64::try_from(*job).unwrap_or(i64::MAX) })?)
        }
        (Reply::Jobs { rows, .. }, "DescribeTaskInfo") => {
            let row = rows.first().ok_or_else(|| no_job(call().as_ref()))?;
            (None, json(TaskAnswer { status: task_status(row.state) })?)
        }
        (Reply::Jobs { total, rows }, _) => {
            (Some(total), json(TasksAnswer { redis_task_set: rows.iter().map(write_task).collect() })?)
        }
        (Reply::Done { .. }, _) => (None, json!({})),
        (
            Reply::Shards(_)
            | Reply::Regions(_)
            | Reply::Projects(_)
            | Reply::Account(_)
            | Reply::Policy(_)
            | Reply::Restriction(_)
            | Reply::Token(_),
            _,
        ) => return Err(Fault::Internal),
    };
    let mut answer = json!({ "code": 0, "message": "", "codeDesc": "Success", "data": data });
    if let (Some(total), Some(members)) = (total, answer.as_object_mut()) {
        members.insert("totalCount".to_owned(), (*total).into());
    }
    Ok(answer)
}

fn json(answer: impl Serialize) -> Result<Value, Fault> {
    serde_json::to_value(answer).map_err(|_| Fault::Internal)
}

fn no_job(call: Option<&Call>) -> Fault {
    match call {
        Some(Call::ListJobs(ListJobs { job: Some(job), .. })) => Fault::NoSuchJob(job.to_string()),
        _ => Fault::Internal,
    }
}

/// The answer to an action that failed.
pub(in crate::tencent_v2) fn failure(verdict: &Verdict) -> Value {
    json!({ "code": verdict.code, "message": verdict.message, "codeDesc": verdict.name })
}

/// There is room for one file's links only. To show one of several would lose the others in silence.
fn write_link(rows: &[LinkRow], call: &dyn Fn() -> Option<Call>) -> Result<LinkAnswer, Fault> {
    match rows {
        [row] => Ok(LinkAnswer {
            intranet: row.intranet_url.clone().unwrap_or_default(),
            extranet: row.public_url.clone().unwrap_or_default(),
        }),
        [] => Err(match call() {
            Some(Call::LinkBackup(LinkBackup { backup, .. })) => Fault::BackupNotReady(backup),
            _ => Fault::Internal,
        }),
        _ => Err(Fault::NotSupported(
            "GetBackupDownloadUrl for a backup of several files; DescribeBackupUrl of API 3.0 shows them all"
                .to_owned(),
        )),
    }
}

fn write_backup(row: &BackupRow) -> BackupAnswer {
    BackupAnswer {
        start_time: write_time(row.started_at),
        backup_id: row.id.clone(),
        backup_type: if row.automated { "systemBackupInstance" } else { "manualBackupInstance" }.to_owned(),
        // One that failed or was damaged cannot be used, like an expired one.
        status: match row.state {
            BackupState::Running => 1,
            BackupState::Available => 2,
            BackupState::Failed => -1,
        },
        remark: row.remark.clone(),
        locked: 0,
    }
}

fn write_task(row: &JobRow) -> ListedTask {
    ListedTask {
        start_time: write_time(row.started_at.unwrap_or(row.created_at)),
        task_name: match row.kind {
            JobKind::Backup => "backupInstance",
            JobKind::Restore => "restoreBackup",
            JobKind::RemoveBackup => "deleteBackup",
        }
        .to_owned(),
        redis_name: row.instance_name.clone(),
        redis_id: row.instance.clone(),
        project_id: row.project.parse().unwrap_or_default(),
        status: task_status(row.state),
        progress: i64::from(row.percent >= 100),
    }
}

fn write_instance(row: &InstanceRow) -> InstanceAnswer {
    let megabytes = |bytes: u64| i64::try_from(bytes.div_ceil(MEGABYTE)).unwrap_or(i64::MAX);
    let cluster = row.topology == Topology::Cluster;
    InstanceAnswer {
        redis_name: row.name.clone(),
        redis_id: row.id.clone(),
        project_id: row.project.parse().unwrap_or_default(),
        region_id: regions::number(&row.region),
        zone_id: row.zone.parse().unwrap_or_default(),
        status: if row.busy { 1 } else { 2 },
        status_desc: if row.busy { "Processing" } else { "Running" }.to_owned(),
        wan_ip: row.host.clone(),
        port: i64::from(row.port),
        createtime: write_time(row.created_at),
        size: megabytes(row.memory_bytes),
        size_used: megabytes(row.used_bytes),
        type_id: if cluster { 1 } else { 2 },
        type_description: if cluster { "Cluster" } else { "Master-replica" }.to_owned(),
        ..InstanceAnswer::default()
    }
}

fn write_time(at: SystemTime) -> String {
    write_calendar(at, BEIJING, TIME_FORMAT)
}
