//! Alibaba's answers as replies; V3 is always answered in JSON.

use std::time::SystemTime;

use jiff::tz::Offset;
use serde::Deserialize;
use serde_json::Value;

use super::MEGABYTE;
use super::backups::{BackupAnswer, BackupsAnswer, CreateAnswer};
use super::instances::{InstanceAnswer, InstancesAnswer};
use super::jobs::{TaskAnswer, TasksAnswer};
use crate::ReadError;
use crate::canonical::{moment, read_calendar, without_nulls};
use crate::vocabulary::{
    BackupRow, BackupState, Call, InstanceRow, JobKind, JobRow, JobState, LinkRow, Reply, Response, Topology,
};

/// Reads the answer to a call.
pub(in crate::alibaba) fn read(call: &Call, response: &Response) -> Result<Reply, ReadError> {
    let status = response.status();
    let malformed = |what: &dyn std::fmt::Display| ReadError::Malformed(format!("status {status}: {what}"));
    let mut answer: Value = serde_json::from_slice(response.body()).map_err(|error| malformed(&error))?;
    if !status.is_success() || answer.get("Code").is_some() {
        let text = |name: &str| answer.get(name).and_then(Value::as_str).map(str::to_owned);
        return Err(ReadError::Refused {
            status: status.as_u16(),
            code: text("Code").ok_or_else(|| malformed(&"an error without a code"))?,
            message: text("Message").unwrap_or_default(),
            request_id: text("RequestId"),
        });
    }
    without_nulls(&mut answer);
    match call {
        Call::ListBackups(list) => {
            let answer = BackupsAnswer::deserialize(answer).map_err(|error| malformed(&error))?;
            let instance = list.instance.as_deref().unwrap_or_default();
            let rows = answer.backups.backup.into_iter().map(|row| backup(row, instance));
            Ok(Reply::Backups {
                total: answer.total_count,
                full_bytes: answer.full_storage_size,
                rows: rows.collect::<Result<_, _>>()?,
            })
        }
        Call::CreateBackup(_) => {
            let answer = CreateAnswer::deserialize(answer).map_err(|error| malformed(&error))?;
            Ok(Reply::Started { job: answer.backup_job_id, backup: String::new() })
        }
        Call::ListInstances(_) => {
            let answer = InstancesAnswer::deserialize(answer).map_err(|error| malformed(&error))?;
            let rows = answer.instances.instances.into_iter().map(instance);
            Ok(Reply::Instances { total: answer.total_count, rows: rows.collect::<Result<_, _>>()? })
        }
        Call::ListJobs(_) => {
            let answer = TasksAnswer::deserialize(answer).map_err(|error| malformed(&error))?;
            let total = answer.backup_jobs.len() as u64;
            let rows = answer.backup_jobs.iter().map(|row| job(row, &answer.instance_id));
            Ok(Reply::Jobs { total, rows: rows.collect::<Result<_, _>>()? })
        }
        Call::DeleteBackups(_) => Ok(Reply::Done { job: None }),
        Call::LinkBackup(_)
        | Call::ListShards(_)
        | Call::ListRegions
        | Call::ListProjects(_)
        | Call::ShowAccount
        | Call::StopBackup(_)
        | Call::SetExpiry(_)
        | Call::ExportBackup(_)
        | Call::ShowPolicy(_)
        | Call::SetPolicy(_)
        | Call::Restore(_)
        | Call::ShowRestriction(_)
        | Call::SetRestriction(_)
        | Call::IssueToken(_) => Err(malformed(&"the answer to this call is not read")),
    }
}

/// What the format leaves out is empty; the end of a link's life is not told and reads as the epoch.
fn backup(answer: BackupAnswer, instance: &str) -> Result<BackupRow, ReadError> {
    let links = if answer.backup_download_url.is_some() || answer.backup_intranet_download_url.is_some() {
        vec![LinkRow {
            size_bytes: answer.backup_size,
            public_url: answer.backup_download_url,
            intranet_url: answer.backup_intranet_download_url,
            ..LinkRow::default()
        }]
    } else {
        Vec::new()
    };
    let optional =
        |text: &Option<String>| text.as_deref().filter(|text| !text.is_empty()).map(time).transpose();
    Ok(BackupRow {
        id: answer.backup_id.to_string(),
        number: answer.backup_id,
        job: answer.backup_job_id,
        instance: instance.to_owned(),
        topology: if answer.node_instance_id == instance { Topology::Standalone } else { Topology::Cluster },
        node: answer.node_instance_id,
        state: match answer.backup_status.as_str() {
            "Success" => BackupState::Available,
            "Failed" => BackupState::Failed,
            _ => BackupState::Running,
        },
        automated: answer.backup_mode == "Automated",
        logical: answer.backup_method == "Logical",
        incremental: answer.backup_type == "IncrementalBackup",
        version: answer.engine_version,
        size_bytes: answer.backup_size,
        started_at: time(&answer.backup_start_time)?,
        ended_at: optional(&answer.backup_end_time)?,
        expires_at: optional(&answer.expect_expire_time)?,
        parts: links,
        ..BackupRow::default()
    })
}

fn instance(answer: InstanceAnswer) -> Result<InstanceRow, ReadError> {
    let facts = answer.facts;
    let is_cluster = facts.architecture_type == "cluster";
    Ok(InstanceRow {
        id: facts.instance_id,
        name: facts.instance_name,
        region: facts.region_id,
        zone: facts.zone_id,
        version: facts.engine_version,
        topology: if is_cluster { Topology::Cluster } else { Topology::Standalone },
        shards: facts.shard_count.max(1),
        replicas: facts.replica_count,
        host: facts.connection_domain,
        port: facts.port,
        memory_bytes: facts.capacity.saturating_mul(MEGABYTE),
        busy: facts.instance_status != "Normal",
        restoring: facts.instance_status == "BackupRecovering",
        created_at: time(&facts.create_time)?,
        ..InstanceRow::default()
    })
}

fn job(answer: &TaskAnswer, instance: &str) -> Result<JobRow, ReadError> {
    let percent = if answer.progress.is_empty() { &answer.process } else { &answer.progress };
    let started_at = time(&answer.start_time)?;
    let state = match answer.backup_progress_status.as_str() {
        "NoStart" => JobState::Waiting,
        "Finished" => JobState::Done,
        _ => JobState::Running,
    };
    Ok(JobRow {
        number: answer.backup_job_id,
        kind: JobKind::Backup,
        state,
        percent: percent.trim_end_matches('%').parse().unwrap_or(0),
        automated: answer.job_mode == "Automated",
        instance: instance.to_owned(),
        created_at: started_at,
        started_at: (state != JobState::Waiting).then_some(started_at),
        ..JobRow::default()
    })
}

fn time(text: &str) -> Result<SystemTime, ReadError> {
    ["0000-00-00T00:00:00Z", "0000-00-00T00:00Z"]
        .into_iter()
        .find_map(|template| read_calendar(text, template))
        .and_then(|calendar| moment(calendar, Offset::UTC))
        .ok_or_else(|| ReadError::Malformed(format!("{text:?} is not a time")))
}
