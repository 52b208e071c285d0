//! Answers of DCS v2. Sizes are bytes, times have milliseconds.

use serde_json::{Value, json};

use crate::canonical::without_nulls;
use crate::huawei::route::Route;
use crate::huawei::wire::{GIGABYTE, links, policy, times};
use crate::vocabulary::{BackupRow, BackupState, Fault, InstanceRow, JobRow, JobState, LinkRow};

/// The state of every instance into which no backup is restored.
pub(super) const RUNNING: &str = "RUNNING";
const RESTORING: &str = "RESTORING";
/// Most links of an answer.
const MAX_LINKS: usize = 64;
const MEGABYTE: u64 = 1 << 20;

/// Writes the backups of an instance; no backup is an empty list rather than a 204, which reads as null.
pub(in crate::huawei::wire) fn backups_answer(total: u64, rows: &[BackupRow]) -> Value {
    let mut answer =
        json!({"total_num": total, "backup_record_response": rows.iter().map(backup).collect::<Vec<_>>()});
    without_nulls(&mut answer);
    answer
}

fn backup(row: &BackupRow) -> Value {
    let (status, progress) = match row.state {
        BackupState::Running => ("backuping", "0.00"),
        BackupState::Available => ("succeed", "100.00"),
        BackupState::Failed => ("failed", "0.00"),
    };
    let name = if row.name.is_empty() {
        times::write(row.started_at, "backup_%Y%m%d%H%M%S")
    } else {
        row.name.clone()
    };
    let time = |at| times::write(at, times::MILLIS);
    json!({
        "backup_id": row.id,
        "backup_name": name,
        "instance_id": row.instance,
        "size": row.size_bytes,
        "backup_type": if row.automated { "auto" } else { "manual" },
        "backup_format": "rdb",
        "status": status,
        "progress": progress,
        "is_support_restore": if row.state == BackupState::Available { "TRUE" } else { "FALSE" },
        "remark": row.remark,
        "created_at": time(row.started_at),
        "updated_at": time(row.ended_at.unwrap_or(row.started_at)),
        "execution_at": time(row.started_at),
    })
}

/// Writes the links, which are public; without a public one the download is switched off.
pub(in crate::huawei::wire) fn links_answer(route: &Route, rows: &[LinkRow]) -> Result<Value, Fault> {
    if rows.is_empty() {
        return Err(Fault::Internal);
    }
    if rows.len() > MAX_LINKS {
        return Err(Fault::NotSupported(format!("ListBackupFileLinks of more than {MAX_LINKS} files")));
    }
    let link = |row: &LinkRow| {
        let url = row.public_url.as_deref().ok_or(Fault::DownloadClosed)?;
        Ok(json!({"file_name": row.file_name, "link": url}))
    };
    let files = rows.iter().map(link).collect::<Result<Vec<_>, Fault>>()?;
    let path = format!("{}/{}", route.instance, route.backup);
    Ok(json!({"file_path": path, "bucket_name": links::BUCKET, "links": files}))
}

/// Writes restores.
pub(in crate::huawei::wire) fn restores_answer(total: u64, rows: &[JobRow]) -> Value {
    let mut answer =
        json!({"total_num": total, "restore_record_response": rows.iter().map(restore).collect::<Vec<_>>()});
    without_nulls(&mut answer);
    answer
}

fn restore(row: &JobRow) -> Value {
    let status = match row.state {
        JobState::Waiting => "waiting",
        JobState::Running => "restoring",
        JobState::Done => "succeed",
        JobState::Failed => "failed",
    };
    let updated = row.ended_at.or(row.started_at).unwrap_or(row.created_at);
    json!({
        "restore_id": row.number.to_string(),
        "backup_id": row.backup,
        "restore_name": times::write(row.created_at, "restore_%Y%m%d%H%M%S"),
        "created_at": times::write(row.created_at, times::MILLIS),
        "updated_at": times::write(updated, times::MILLIS),
        "progress": format!("{}.00", row.percent.min(100)),
        "status": status,
    })
}

/// Writes a list of instances.
pub(in crate::huawei::wire) fn instances_answer(total: u64, rows: &[InstanceRow]) -> Value {
    json!({"instance_num": total, "instances": rows.iter().map(instance).collect::<Vec<_>>()})
}

/// Writes one instance; it must be there.
pub(in crate::huawei::wire) fn instance_answer(route: &Route, rows: &[InstanceRow]) -> Result<Value, Fault> {
    let row = rows.first().ok_or_else(|| Fault::NoSuchInstance(route.instance.clone()))?;
    let mut answer = instance(row);
    if let Some(policy) = &row.policy {
        answer["instance_backup_policy"] = json!({
            "backup_policy_id": row.id,
            "tenant_id": route.project,
            "policy": policy::of_cache_answer(policy),
        });
    }
    Ok(answer)
}

/// Capacity is in gigabytes, memory in megabytes.
fn instance(row: &InstanceRow) -> Value {
    json!({
        "instance_id": row.id,
        "name": row.name,
        "engine": "Redis",
        "engine_version": row.version,
        "ip": row.host,
        "port": row.port,
        "status": if row.restoring { RESTORING } else { RUNNING },
        "capacity": row.memory_bytes.div_ceil(GIGABYTE),
        "max_memory": row.memory_bytes.div_ceil(MEGABYTE),
        "used_memory": row.used_bytes.div_ceil(MEGABYTE),
        "created_at": times::write(row.created_at, times::MILLIS),
    })
}
