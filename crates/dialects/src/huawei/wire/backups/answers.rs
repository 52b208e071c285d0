//! Answers about backups, in both directions, and the calls of the client's half.

use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{MAX_DELETED, MAX_PAGE};
use crate::ReadError;
use crate::canonical::short_version;
use crate::huawei::route::Action;
use crate::huawei::wire::parameters::{bad, missing};
use crate::huawei::wire::request::{Writing, in_path};
use crate::huawei::wire::{Answer, KILOBYTE, kilobytes, reply, times, whole};
use crate::vocabulary::{
    BackupRow, BackupState, CreateBackup, DeleteBackups, Fault, ListBackups, Reply, Topology,
};

/// The answer to `ListBackups`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct BackupsAnswer {
    total_count: u64,
    backups: Vec<BackupAnswer>,
}

/// What is not known is left out: strict clients take absence better than null.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct BackupAnswer {
    id: String,
    name: String,
    description: String,
    instance_id: String,
    instance_name: String,
    datastore: Datastore,
    #[serde(rename = "type")]
    kind: String,
    begin_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<String>,
    status: String,
    /// Kilobytes.
    #[serde(deserialize_with = "whole")]
    size: u64,
    /// Of `GeminiDB` v3.1 and v4.
    #[serde(skip_serializing_if = "Option::is_none")]
    database_tables: Option<Vec<Value>>,
    /// Of DDS.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance_mode: Option<String>,
    /// Of DDS.
    #[serde(skip_serializing_if = "Option::is_none")]
    backup_method: Option<String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Datastore {
    #[serde(rename = "type")]
    kind: String,
    version: String,
}

/// Writes the list in the form of its version.
pub(in crate::huawei::wire) fn answer(action: Action, total: u64, rows: &[BackupRow]) -> Value {
    let newer = action == Action::ListBackupsNew;
    let backups = rows.iter().map(|row| write(row, newer)).collect();
    json!(BackupsAnswer { total_count: total, backups })
}

fn write(row: &BackupRow, newer: bool) -> BackupAnswer {
    // A zone in a time of v3 fails the whole call of the Go SDK.
    let format = if newer { times::ZONED } else { times::BLANK };
    let done = row.state == BackupState::Available;
    BackupAnswer {
        id: row.id.clone(),
        name: row.name.clone(),
        description: row.remark.clone(),
        instance_id: row.instance.clone(),
        instance_name: row.instance_name.clone(),
        datastore: Datastore { kind: "redis".to_owned(), version: short_version(&row.version).to_owned() },
        kind: if row.automated { "Auto" } else { "Manual" }.to_owned(),
        begin_time: times::write(row.started_at, format),
        end_time: row.ended_at.map(|at| times::write(at, format)),
        status: status(row.state).to_owned(),
        size: if done { kilobytes(row.size_bytes) } else { 0 },
        database_tables: newer.then(Vec::new),
        instance_mode: (!newer).then(|| mode(row.topology, row.replicas).to_owned()),
        backup_method: (!newer).then(|| if row.logical { "Logical" } else { "Physical" }.to_owned()),
    }
}

fn status(state: BackupState) -> &'static str {
    match state {
        BackupState::Running => "BUILDING",
        BackupState::Available => "COMPLETED",
        BackupState::Failed => "FAILED",
    }
}

fn mode(topology: Topology, replicas: u32) -> &'static str {
    match topology {
        Topology::Cluster => "Sharding",
        Topology::Sentinel => "ReplicaSet",
        Topology::Standalone if replicas > 0 => "ReplicaSet",
        Topology::Standalone => "Single",
    }
}

/// The answer to a backup that was begun.
pub(in crate::huawei::wire) fn started(job: u64, backup: &str) -> Answer {
    Answer::new(StatusCode::ACCEPTED, json!({"job_id": job.to_string(), "backup_id": backup}))
}

/// The answer to something that a job does, or that is done.
pub(in crate::huawei::wire) fn job(job: Option<u64>) -> Answer {
    let body = job.map_or_else(|| json!({}), |job| json!({"job_id": job.to_string()}));
    Answer::new(StatusCode::ACCEPTED, body)
}

/// Writes a list for the client; the form is that of DDS, which has the download links.
pub(in crate::huawei::wire) fn ask_list(list: &ListBackups) -> Result<Writing, Fault> {
    if list.job.is_some() {
        return Err(bad("job_id", "this vendor cannot list by it"));
    }
    let status = match list.states[..] {
        [] => None,
        [state] => Some(status(state).to_owned()),
        _ => return Err(bad("backup_status", "this vendor lists by one state or by none")),
    };
    if list.since.is_some() != list.until.is_some() {
        return Err(missing(if list.since.is_some() { "end_time" } else { "begin_time" }));
    }
    if !(1..=MAX_PAGE).contains(&list.page.limit) {
        return Err(bad("limit", "must be 1 to 100"));
    }
    let time = |at| times::write(at, times::BLANK);
    let order = |value: &str| list.oldest_first.then(|| value.to_owned());
    let kind = |automated| if automated { "Auto" } else { "Manual" }.to_owned();
    let optional = [
        ("instance_id", list.instance.clone()),
        ("instance_name", list.instance_search.clone()),
        ("backup_id", list.backup.clone()),
        ("backup_name", list.search.clone()),
        ("backup_type", list.automated.map(kind)),
        ("backup_status", status),
        ("begin_time", list.since.map(time)),
        ("end_time", list.until.map(time)),
        ("order_field", order("beginTime")),
        ("order_rule", order("asc")),
        ("offset", Some(list.page.offset.to_string())),
        ("limit", Some(list.page.limit.to_string())),
    ];
    if optional.iter().any(|(_, value)| value.as_deref() == Some("")) {
        return Err(bad("instance_id", "must not be empty"));
    }
    let query = optional.into_iter().filter_map(|(name, value)| Some((name, value?)));
    Ok(Writing::get("/backups", query.collect()))
}

/// Writes a creation for the client.
pub(in crate::huawei::wire) fn ask_create(create: &CreateBackup) -> Result<Writing, Fault> {
    if create.keep_days.is_some() {
        return Err(bad("keep_days", "this vendor has none for a single backup"));
    }
    let name = create.name.as_deref().ok_or_else(|| missing("name"))?;
    let mut backup = json!({"instance_id": create.instance, "name": name});
    if let (Some(remark), Value::Object(members)) = (&create.remark, &mut backup) {
        members.insert("description".to_owned(), remark.as_str().into());
    }
    Ok(Writing {
        method: Method::POST,
        path: "/backups".to_owned(),
        query: Vec::new(),
        body: Some(json!({ "backup": backup })),
    })
}

/// Writes a deletion for the client.
pub(in crate::huawei::wire) fn ask_delete(delete: &DeleteBackups) -> Result<Writing, Fault> {
    if delete.instance.is_some() {
        return Err(bad("instance_id", "this vendor deletes by the backup's id alone"));
    }
    let (path, body) = match &delete.backups[..] {
        [] => return Err(missing("backup_ids")),
        [one] => (format!("/backups/{}", in_path("backup_id", one)?), None),
        several if several.len() > MAX_DELETED => return Err(bad("backup_ids", "must hold 1 to 10 ids")),
        several => ("/instances/backups".to_owned(), Some(json!({ "backup_ids": several }))),
    };
    Ok(Writing { method: Method::DELETE, path, query: Vec::new(), body })
}

/// Reads the answer to a list.
pub(in crate::huawei::wire) fn read(answer: Value) -> Result<Reply, ReadError> {
    let answer: BackupsAnswer = reply::shape(answer)?;
    let rows = answer.backups.into_iter().map(read_row).collect::<Result<_, _>>()?;
    Ok(Reply::Backups { total: answer.total_count, full_bytes: 0, rows })
}

fn read_row(answer: BackupAnswer) -> Result<BackupRow, ReadError> {
    let end = answer.end_time.filter(|text| !text.is_empty());
    Ok(BackupRow {
        id: answer.id,
        name: answer.name,
        remark: answer.description,
        instance: answer.instance_id,
        instance_name: answer.instance_name,
        state: match answer.status.as_str() {
            "COMPLETED" => BackupState::Available,
            "BUILDING" => BackupState::Running,
            _ => BackupState::Failed,
        },
        automated: answer.kind.eq_ignore_ascii_case("Auto"),
        logical: answer.backup_method.as_deref() == Some("Logical"),
        version: answer.datastore.version,
        topology: match answer.instance_mode.as_deref() {
            Some("Sharding") => Topology::Cluster,
            Some("ReplicaSet") => Topology::Sentinel,
            _ => Topology::Standalone,
        },
        size_bytes: answer.size.saturating_mul(KILOBYTE),
        started_at: reply::time(&answer.begin_time)?,
        ended_at: end.as_deref().map(reply::time).transpose()?,
        ..BackupRow::default()
    })
}
