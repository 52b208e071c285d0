//! `UCloud`'s answers as replies.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde_json::Value;

use super::answer::{GroupBackup, Resource, SpaceBackup};
use super::ask::is_space;
use super::{GIGABYTE, MEGABYTE};
use crate::ReadError;
use crate::canonical::without_nulls;
use crate::vocabulary::{BackupRow, BackupState, Call, InstanceRow, LinkRow, Reply, Response, Topology};

/// Reads the answer to a call. Both editions answer the same calls; the call tells which was asked.
pub(in crate::ucloud) fn read(
    call: &Call,
    response: &Response,
    request_id: Option<&str>,
) -> Result<Reply, ReadError> {
    let mut answer: Value = serde_json::from_slice(response.body()).map_err(malformed)?;
    without_nulls(&mut answer);
    match ret_code(&answer) {
        Some(0) if response.status().is_success() => {}
        code => {
            let text = |name: &str| answer.get(name).and_then(Value::as_str).map(str::to_owned);
            return Err(ReadError::Refused {
                status: response.status().as_u16(),
                code: code.ok_or_else(|| malformed("no RetCode"))?.to_string(),
                message: text("Message").unwrap_or_default(),
                request_id: request_id.map(str::to_owned),
            });
        }
    }
    match call {
        Call::ListInstances(_) => {
            let set = Set::<Resource>::deserialize(answer).map_err(malformed)?;
            Ok(Reply::Instances {
                total: set.total_count,
                rows: set.data_set.into_iter().map(instance).collect(),
            })
        }
        Call::ListBackups(list) => {
            let (total, rows) = if is_space(list.instance.as_deref()) {
                let set = Set::<SpaceBackup>::deserialize(answer).map_err(malformed)?;
                (set.total_count, set.data_set.into_iter().map(space_backup).collect())
            } else {
                let set = Set::<GroupBackup>::deserialize(answer).map_err(malformed)?;
                (set.total_count, set.data_set.into_iter().map(group_backup).collect())
            };
            Ok(Reply::Backups { total, full_bytes: 0, rows })
        }
        Call::CreateBackup(_) => {
            let backup = answer.get("BackupId").and_then(Value::as_str).unwrap_or_default().to_owned();
            Ok(Reply::Started { job: 0, backup })
        }
        Call::LinkBackup(_) => links(&answer),
        _ => Err(malformed("this vendor's answer to the call is not read")),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "errors are handed over by map_err")]
fn malformed(what: impl ToString) -> ReadError {
    ReadError::Malformed(what.to_string())
}

/// The code comes as a number or as text.
fn ret_code(answer: &Value) -> Option<i64> {
    let code = answer.get("RetCode")?;
    code.as_i64().or_else(|| code.as_str()?.trim().parse().ok())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound = "T: serde::de::DeserializeOwned")]
struct Set<T> {
    #[serde(default)]
    total_count: u64,
    #[serde(default = "Vec::new")]
    data_set: Vec<T>,
}

/// `BackupPath`, else `BackupURL`, one link or a list; samples end in a line feed.
fn links(answer: &Value) -> Result<Reply, ReadError> {
    let all = |name: &str| -> Vec<String> {
        let texts = match answer.get(name) {
            Some(Value::String(text)) => vec![text.as_str()],
            Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        texts.into_iter().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()).collect()
    };
    let public = [all("BackupPath"), all("BackupURL")].into_iter().find(|links| !links.is_empty());
    let mut rows: Vec<LinkRow> = public
        .unwrap_or_default()
        .into_iter()
        .map(|url| LinkRow { public_url: Some(url), ..LinkRow::default() })
        .collect();
    if let Some(inner) = all("InnerBackupPath").pop() {
        match rows.as_mut_slice() {
            [] => rows.push(LinkRow { intranet_url: Some(inner), ..LinkRow::default() }),
            [row] => row.intranet_url = Some(inner),
            _ => {}
        }
    }
    if rows.is_empty() { Err(malformed("no link")) } else { Ok(Reply::Links(rows)) }
}

/// What the vendor tells of a backup of a primary: its size in bytes, its memory in gigabytes.
fn group_backup(row: GroupBackup) -> BackupRow {
    BackupRow {
        id: row.backup_id,
        name: row.backup_name,
        instance: row.group_id,
        instance_name: row.group_name,
        region: row.src_region_name,
        copy_region: row.dst_region_name,
        zone: row.zone,
        state: match row.state.as_str() {
            "Backuping" => BackupState::Running,
            "Success" => BackupState::Available,
            _ => BackupState::Failed,
        },
        automated: row.backup_type == "Auto",
        version: row.redis_version,
        shards: 1,
        memory_bytes: row.memory_size.saturating_mul(GIGABYTE),
        size_bytes: row.backup_size,
        started_at: time(row.backup_time),
        ..BackupRow::default()
    }
}

fn space_backup(row: SpaceBackup) -> BackupRow {
    let memory = row.block_size.saturating_mul(u64::from(row.block_count)).saturating_mul(GIGABYTE);
    BackupRow {
        id: row.backup_id,
        name: row.backup_name,
        instance: row.space_id,
        state: match row.state.as_str() {
            "Starting" => BackupState::Running,
            "Done" => BackupState::Available,
            _ => BackupState::Failed,
        },
        automated: row.backup_type == "auto",
        topology: Topology::Cluster,
        shards: row.block_count,
        memory_bytes: memory,
        started_at: time(row.create_time),
        ..BackupRow::default()
    }
}

/// How many shards and replicas an instance has, the vendor does not tell.
fn instance(row: Resource) -> InstanceRow {
    let address = row.address.into_iter().next().unwrap_or_default();
    let is_cluster = row.resource_type == "distributed";
    InstanceRow {
        id: row.resource_id,
        name: row.name,
        zone: row.zone,
        replica_zone: row.slave_zone,
        version: row.version,
        topology: if is_cluster { Topology::Cluster } else { Topology::Standalone },
        shards: u32::from(!is_cluster),
        replicas: u32::from(row.kind == "double"),
        host: address.ip,
        port: address.port,
        memory_bytes: row.size.saturating_mul(GIGABYTE),
        used_bytes: row.used_size.saturating_mul(MEGABYTE),
        password: row.has_password,
        busy: row.state != "Running",
        created_at: time(row.create_time),
        ..InstanceRow::default()
    }
}

fn time(seconds: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(UNIX_EPOCH)
}
