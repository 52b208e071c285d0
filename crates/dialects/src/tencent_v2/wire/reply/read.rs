//! Answers, read for the client's half.

use std::time::SystemTime;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::{BEIJING, TIME_TEMPLATE, regions};
use super::{
    BackupAnswer, BackupsAnswer, InstanceAnswer, InstancesAnswer, LinkAnswer, ListedTask, MEGABYTE,
    StartedAnswer, TaskAnswer, TasksAnswer, number,
};
use crate::ReadError;
use crate::canonical::{moment, read_calendar, without_nulls};
use crate::vocabulary::{
    BackupRow, BackupState, Call, InstanceRow, JobKind, JobRow, JobState, LinkRow, ListJobs, Reply, Response,
    Topology,
};

fn read_time(text: &str) -> Result<SystemTime, ReadError> {
    read_calendar(text, TIME_TEMPLATE)
        .and_then(|calendar| moment(calendar, BEIJING))
        .ok_or_else(|| ReadError::Malformed(format!("{text:?} is not a time")))
}

/// Reads the answer to a call.
pub(in crate::tencent_v2) fn read(call: &Call, response: &Response) -> Result<Reply, ReadError> {
    let (total, data) = open(response)?;
    match call {
        Call::LinkBackup(_) => {
            let LinkAnswer { intranet, extranet } = parse(data)?;
            let some = |url: String| Some(url).filter(|url| !url.is_empty());
            let (public_url, intranet_url) = (some(extranet), some(intranet));
            Ok(Reply::Links(vec![LinkRow { public_url, intranet_url, ..LinkRow::default() }]))
        }
        Call::ListBackups(list) => {
            let instance = list.instance.as_deref().unwrap_or_default();
            let rows = parse::<BackupsAnswer>(data)?.redis_backup_set.into_iter();
            let rows = rows.map(|row| read_backup(row, instance)).collect::<Result<_, _>>()?;
            Ok(Reply::Backups { total, full_bytes: 0, rows })
        }
        Call::ListInstances(_) => {
            let rows = parse::<InstancesAnswer>(data)?.redis_set.into_iter();
            Ok(Reply::Instances { total, rows: rows.map(read_instance).collect::<Result<_, _>>()? })
        }
        Call::CreateBackup(_) | Call::ExportBackup(_) => {
            let StartedAnswer { request_id } = parse(data)?;
            Ok(Reply::Started { job: request_id.try_into().unwrap_or_default(), backup: String::new() })
        }
        Call::ListJobs(ListJobs { job: Some(number), .. }) => {
            let state = read_status(parse::<TaskAnswer>(data)?.status);
            let row = JobRow { number: *number, state, ..JobRow::default() };
            Ok(Reply::Jobs { total: 1, rows: vec![row] })
        }
        Call::ListJobs(_) => {
            let rows = parse::<TasksAnswer>(data)?.redis_task_set.into_iter();
            Ok(Reply::Jobs { total, rows: rows.map(read_task).collect::<Result<_, _>>()? })
        }
        Call::ListShards(_)
        | Call::ListRegions
        | Call::ListProjects(_)
        | Call::ShowAccount
        | Call::StopBackup(_)
        | Call::DeleteBackups(_)
        | Call::SetExpiry(_)
        | Call::ShowPolicy(_)
        | Call::SetPolicy(_)
        | Call::Restore(_)
        | Call::ShowRestriction(_)
        | Call::SetRestriction(_)
        | Call::IssueToken(_) => Err(ReadError::Malformed("this vendor has no such call".to_owned())),
    }
}

/// `totalCount` and `data`, unless the answer is an error.
fn open(response: &Response) -> Result<(u64, Value), ReadError> {
    let status = response.status();
    let malformed = |what: &dyn std::fmt::Display| ReadError::Malformed(format!("status {status}: {what}"));
    let mut answer: Map<String, Value> =
        serde_json::from_slice(response.body()).map_err(|error| malformed(&error))?;
    let whole = |value: Option<&Value>| value.and_then(|value| number(value).ok());
    let code = whole(answer.get("code")).ok_or_else(|| malformed(&"no code in the answer"))?;
    if code != 0 {
        let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (status, code) = (status.as_u16(), code.to_string());
        return Err(ReadError::Refused { status, code, message: text("message"), request_id: None });
    }
    let total =
        whole(answer.get("totalCount")).and_then(|total| u64::try_from(total).ok()).unwrap_or_default();
    // Some of the vendor's services write an empty list where there is nothing to name.
    let mut data = answer.remove("data").filter(Value::is_object).unwrap_or_else(|| json!({}));
    without_nulls(&mut data);
    Ok((total, data))
}

fn parse<T: for<'de> Deserialize<'de>>(data: Value) -> Result<T, ReadError> {
    T::deserialize(data).map_err(|error| ReadError::Malformed(error.to_string()))
}

/// What the format leaves out is empty or false; which instance it is of, the call knows.
fn read_backup(answer: BackupAnswer, instance: &str) -> Result<BackupRow, ReadError> {
    Ok(BackupRow {
        number: answer.backup_id.parse().unwrap_or_default(),
        id: answer.backup_id,
        instance: instance.to_owned(),
        state: match answer.status {
            2..=4 => BackupState::Available,
            1 => BackupState::Running,
            _ => BackupState::Failed,
        },
        automated: answer.backup_type == "systemBackupInstance",
        remark: answer.remark,
        started_at: read_time(&answer.start_time)?,
        ..BackupRow::default()
    })
}

fn read_status(status: i64) -> JobState {
    match status {
        0 => JobState::Waiting,
        1 => JobState::Running,
        2 => JobState::Done,
        _ => JobState::Failed,
    }
}

fn read_task(answer: ListedTask) -> Result<JobRow, ReadError> {
    let state = read_status(answer.status);
    let created_at = read_time(&answer.start_time)?;
    Ok(JobRow {
        kind: if answer.task_name == "restoreBackup" { JobKind::Restore } else { JobKind::Backup },
        state,
        percent: if answer.progress > 0 { 100 } else { 0 },
        instance: answer.redis_id,
        instance_name: answer.redis_name,
        project: text(answer.project_id),
        created_at,
        started_at: (state != JobState::Waiting).then_some(created_at),
        ..JobRow::default()
    })
}

fn read_instance(answer: InstanceAnswer) -> Result<InstanceRow, ReadError> {
    let bytes = |megabytes: i64| u64::try_from(megabytes).unwrap_or_default().saturating_mul(MEGABYTE);
    let cluster = answer.type_id == 1;
    Ok(InstanceRow {
        id: answer.redis_id,
        name: answer.redis_name,
        region: regions::of_number(answer.region_id),
        zone: text(answer.zone_id),
        project: text(answer.project_id),
        topology: if cluster { Topology::Cluster } else { Topology::Standalone },
        shards: u32::from(!cluster),
        host: answer.wan_ip,
        port: u16::try_from(answer.port).unwrap_or_default(),
        memory_bytes: bytes(answer.size),
        used_bytes: bytes(answer.size_used),
        busy: answer.status == 1,
        created_at: read_time(&answer.createtime)?,
        ..InstanceRow::default()
    })
}

/// A number that stands for nothing when it is 0.
fn text(number: i64) -> String {
    if number == 0 { String::new() } else { number.to_string() }
}
