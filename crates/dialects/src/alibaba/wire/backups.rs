//! Backups as Alibaba lists them: node by node, or as a cluster's sets with their shards.

use serde::{Deserialize, Deserializer, Serialize};

use super::parameters::cluster_backup_id;
use super::{MEGABYTE, minute, second};
use crate::canonical::short_version;
use crate::vocabulary::{BackupRow, BackupState, LinkRow};

/// `DescribeBackups`, "Response parameters". `FreeSize` is left out: no quota here.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct BackupsAnswer {
    pub(super) page_number: u64,
    pub(super) page_size: u64,
    pub(super) total_count: u64,
    pub(super) full_storage_size: u64,
    pub(super) log_storage_size: u64,
    pub(super) backups: BackupList,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct BackupList {
    pub(super) backup: Vec<BackupAnswer>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct BackupAnswer {
    #[serde(deserialize_with = "number")]
    pub(super) backup_id: u64,
    #[serde(rename = "BackupJobID", deserialize_with = "number")]
    pub(super) backup_job_id: u64,
    #[serde(rename = "BackupDBNames")]
    pub(super) backup_db_names: String,
    #[serde(rename = "BackupDownloadURL", skip_serializing_if = "Option::is_none")]
    pub(super) backup_download_url: Option<String>,
    #[serde(rename = "BackupIntranetDownloadURL", skip_serializing_if = "Option::is_none")]
    pub(super) backup_intranet_download_url: Option<String>,
    pub(super) backup_start_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) backup_end_time: Option<String>,
    pub(super) backup_size: u64,
    pub(super) backup_status: String,
    pub(super) backup_mode: String,
    pub(super) backup_method: String,
    pub(super) backup_type: String,
    pub(super) engine_version: String,
    pub(super) node_instance_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expect_expire_time: Option<String>,
}

/// `CreateBackup` answers the job's number as a text.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct CreateAnswer {
    #[serde(rename = "BackupJobID", deserialize_with = "number", serialize_with = "as_text")]
    pub(super) backup_job_id: u64,
}

/// `DescribeClusterBackupList`, "Response parameters": a plain list, and no count of all.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ClusterBackupsAnswer {
    pub(super) page_number: u64,
    pub(super) page_size: u64,
    pub(super) max_results: usize,
    pub(super) full_storage_size: u64,
    pub(super) log_storage_size: u64,
    pub(super) cluster_backups: Vec<ClusterBackup>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(clippy::struct_field_names, reason = "they are the vendor's")]
pub(super) struct ClusterBackup {
    cluster_backup_id: String,
    cluster_backup_status: &'static str,
    cluster_backup_mode: &'static str,
    cluster_backup_start_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_backup_end_time: Option<String>,
    cluster_backup_size: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expect_expire_time: Option<String>,
    is_avail: u8,
    shard_class_memory: u64,
    backups: Vec<ShardBackup>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ShardBackup {
    backup_id: String,
    backup_name: String,
    instance_name: String,
    backup_status: &'static str,
    backup_start_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    backup_end_time: Option<String>,
    backup_size: String,
    #[serde(rename = "BackupDownloadURL", skip_serializing_if = "Option::is_none")]
    backup_download_url: Option<String>,
    #[serde(rename = "BackupIntranetDownloadURL", skip_serializing_if = "Option::is_none")]
    backup_intranet_download_url: Option<String>,
    engine: &'static str,
    is_avail: &'static str,
    extra_info: ExtraInfo,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ExtraInfo {
    custins_db_version: String,
}

/// One node's backup.
pub(super) fn node_backup(row: &BackupRow) -> BackupAnswer {
    let link = row.parts.first();
    BackupAnswer {
        backup_id: row.number,
        backup_job_id: row.job,
        backup_db_names: "all".to_owned(),
        backup_download_url: link.and_then(|link| link.public_url.clone()),
        backup_intranet_download_url: link.and_then(|link| link.intranet_url.clone()),
        backup_start_time: second(row.started_at),
        backup_end_time: row.ended_at.map(second),
        backup_size: row.size_bytes,
        backup_status: match row.state {
            BackupState::Available => "Success",
            BackupState::Failed => "Failed",
            // Never asked for: progress belongs to DescribeBackupTasks.
            BackupState::Running => "Running",
        }
        .to_owned(),
        backup_mode: mode(row).to_owned(),
        backup_method: if row.logical { "Logical" } else { "Physical" }.to_owned(),
        backup_type: if row.incremental { "IncrementalBackup" } else { "FullBackup" }.to_owned(),
        engine_version: short_version(&row.version).to_owned(),
        node_instance_id: row.node.clone(),
        expect_expire_time: row.expires_at.map(minute),
    }
}

/// A cluster's backup with its shards'. Sizes and the shards' ids are texts here, and `IsAvail` is a
/// number on the outside and a text on the inside.
pub(super) fn cluster_backup(row: &BackupRow, without_shards: bool) -> ClusterBackup {
    let available = row.state == BackupState::Available;
    let parts = if without_shards { &[][..] } else { &row.parts };
    ClusterBackup {
        cluster_backup_id: cluster_backup_id(row.number),
        cluster_backup_status: match row.state {
            BackupState::Available => "OK",
            BackupState::Running => "RUNNING",
            BackupState::Failed => "FAILED",
        },
        cluster_backup_mode: mode(row),
        cluster_backup_start_time: second(row.started_at),
        cluster_backup_end_time: row.ended_at.map(second),
        cluster_backup_size: row.size_bytes.to_string(),
        expect_expire_time: row.expires_at.map(minute),
        is_avail: u8::from(available),
        shard_class_memory: row.memory_bytes.div_ceil(u64::from(row.shards.max(1))).div_ceil(MEGABYTE),
        backups: parts.iter().map(|part| shard_backup(row, part, available)).collect(),
    }
}

fn shard_backup(row: &BackupRow, part: &LinkRow, available: bool) -> ShardBackup {
    ShardBackup {
        backup_id: part.number.to_string(),
        backup_name: part.file_name.clone(),
        instance_name: part.node.clone(),
        backup_status: if available { "OK" } else { "ERROR" },
        backup_start_time: second(row.started_at),
        backup_end_time: row.ended_at.map(second),
        backup_size: part.size_bytes.to_string(),
        backup_download_url: part.public_url.clone(),
        backup_intranet_download_url: part.intranet_url.clone(),
        engine: "redis",
        is_avail: if available { "1" } else { "0" },
        extra_info: ExtraInfo { custins_db_version: short_version(&row.version).to_owned() },
    }
}

fn mode(row: &BackupRow) -> &'static str {
    if row.automated { "Automated" } else { "Manual" }
}

/// Ids come as number or as text; of several, joined with commas, the first counts.
pub(super) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(u64),
        Text(String),
    }
    match Either::deserialize(deserializer)? {
        Either::Number(number) => Ok(number),
        Either::Text(text) => {
            let first = text.split(',').next().unwrap_or_default().trim();
            first.parse().map_err(serde::de::Error::custom)
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn as_text<S: serde::Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}
