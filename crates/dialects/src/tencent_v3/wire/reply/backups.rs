//! Backups, in a list and alone.

use serde::{Deserialize, Serialize};

use super::super::request::status;
use super::{MEGABYTE, is_valkey, read_optional_time, read_time, topology, type_code, write_time};
use crate::ReadError;
use crate::canonical::short_version;
use crate::vocabulary::{BackupRow, BackupState};

/// `DescribeInstanceBackups`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct BackupsAnswer {
    pub(super) total_count: u64,
    pub(super) backup_set: Vec<BackupAnswer>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct BackupAnswer {
    backup_id: String,
    backup_type: String,
    status: i64,
    start_time: String,
    end_time: String,
    expire_time: String,
    remark: String,
    locked: i64,
    backup_size: u64,
    full_backup: i64,
    instance_type: i64,
    instance_id: String,
    instance_name: String,
    region: String,
    file_type: String,
    encrypted: bool,
}

/// `DescribeBackupDetail`. Nothing is ever encrypted by a key of the vendor's.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct DetailAnswer {
    backup_id: String,
    start_time: String,
    end_time: String,
    backup_type: String,
    status: i64,
    remark: String,
    locked: i64,
    backup_size: u64,
    instance_type: i64,
    mem_size: u64,
    shard_num: u32,
    replicas_num: u32,
    encrypted: bool,
    decrypt_key: String,
    kms_key_id: String,
    key_algorithm: String,
}

pub(super) fn write(row: &BackupRow) -> BackupAnswer {
    BackupAnswer {
        backup_id: row.id.clone(),
        backup_type: origin(row),
        status: status(row.state),
        start_time: write_time(row.started_at),
        end_time: row.ended_at.map(write_time).unwrap_or_default(),
        expire_time: row.expires_at.map(write_time).unwrap_or_default(),
        remark: row.remark.clone(),
        locked: 0,
        backup_size: row.size_bytes,
        full_backup: 0,
        instance_type: type_code(&row.version, row.valkey, row.topology),
        instance_id: row.instance.clone(),
        instance_name: row.instance_name.clone(),
        region: row.region.clone(),
        file_type: format!("RDB-Redis {}", short_version(&row.version)).trim_end().to_owned(),
        encrypted: false,
    }
}

/// 0 by hand, 1 by policy: the vendor's examples agree on it, its texts do not.
fn origin(row: &BackupRow) -> String {
    if row.automated { "1" } else { "0" }.to_owned()
}

pub(super) fn write_detail(row: &BackupRow) -> DetailAnswer {
    let shards = row.shards.max(1);
    DetailAnswer {
        backup_id: row.id.clone(),
        start_time: write_time(row.started_at),
        end_time: row.ended_at.map(write_time).unwrap_or_default(),
        backup_type: origin(row),
        status: status(row.state),
        remark: row.remark.clone(),
        backup_size: row.size_bytes,
        instance_type: type_code(&row.version, row.valkey, row.topology),
        mem_size: row.memory_bytes.div_ceil(MEGABYTE).div_ceil(u64::from(shards)),
        shard_num: shards,
        replicas_num: row.replicas,
        ..DetailAnswer::default()
    }
}

/// What the format leaves out is empty or false.
pub(super) fn read(answer: BackupAnswer) -> Result<BackupRow, ReadError> {
    Ok(BackupRow {
        number: answer.backup_id.parse().unwrap_or_default(),
        id: answer.backup_id,
        instance: answer.instance_id,
        instance_name: answer.instance_name,
        region: answer.region,
        state: state(answer.status),
        automated: answer.backup_type == "1",
        remark: answer.remark,
        version: answer.file_type.rsplit_once(' ').map_or(String::new(), |(_, version)| version.to_owned()),
        valkey: is_valkey(answer.instance_type),
        topology: topology(answer.instance_type),
        size_bytes: answer.backup_size,
        started_at: read_time(&answer.start_time)?,
        ended_at: read_optional_time(&answer.end_time)?,
        expires_at: read_optional_time(&answer.expire_time)?,
        ..BackupRow::default()
    })
}

fn state(status: i64) -> BackupState {
    match status {
        2..=4 => BackupState::Available,
        1 => BackupState::Running,
        _ => BackupState::Failed,
    }
}

/// A detail leaves out which instance it is of.
pub(super) fn read_detail(answer: DetailAnswer, instance: &str) -> Result<BackupRow, ReadError> {
    let shards = u64::from(answer.shard_num.max(1));
    Ok(BackupRow {
        number: answer.backup_id.parse().unwrap_or_default(),
        id: answer.backup_id,
        instance: instance.to_owned(),
        state: state(answer.status),
        automated: answer.backup_type == "1",
        remark: answer.remark,
        valkey: is_valkey(answer.instance_type),
        topology: topology(answer.instance_type),
        shards: answer.shard_num,
        replicas: answer.replicas_num,
        memory_bytes: answer.mem_size.saturating_mul(MEGABYTE).saturating_mul(shards),
        size_bytes: answer.backup_size,
        started_at: read_time(&answer.start_time)?,
        ended_at: read_optional_time(&answer.end_time)?,
        ..BackupRow::default()
    })
}
