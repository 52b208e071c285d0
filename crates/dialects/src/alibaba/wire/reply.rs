//! Replies as Alibaba's answers: one shape, written as JSON or as XML.

use std::time::SystemTime;

use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use super::backups::{
    BackupList, BackupsAnswer, ClusterBackupsAnswer, CreateAnswer, cluster_backup, node_backup,
};
use super::instances::{InstanceList, InstancesAnswer, attributes, instance, regions};
use super::jobs::{policy, tasks};
use super::request::{hides_shards, page_shown};
use crate::alibaba::fault::Verdict;
use crate::alibaba::sign;
use crate::canonical::host;
use crate::vocabulary::{Fault, Reply, Request};

/// The answer to a call that was done, without its id; a fault where the vendor has an error for what
/// was found.
pub(in crate::alibaba) fn success(
    reply: &Reply,
    action: &str,
    request: &Request,
    now: SystemTime,
) -> Result<Value, Fault> {
    let (page_number, page_size) = page_shown(request);
    let asked = |name: &str| sign::parameters(request).ok()?.remove(name).filter(|value| !value.is_empty());
    match (reply, action) {
        (Reply::Backups { total, full_bytes, rows }, "DescribeBackups") => write(BackupsAnswer {
            page_number,
            page_size,
            total_count: *total,
            full_storage_size: *full_bytes,
            log_storage_size: 0,
            backups: BackupList { backup: rows.iter().map(node_backup).collect() },
        }),
        (Reply::Backups { full_bytes, rows, .. }, "DescribeClusterBackupList") => {
            let without_shards = hides_shards(request);
            write(ClusterBackupsAnswer {
                page_number,
                page_size,
                max_results: rows.len(),
                full_storage_size: *full_bytes,
                log_storage_size: 0,
                cluster_backups: rows.iter().map(|row| cluster_backup(row, without_shards)).collect(),
            })
        }
        (Reply::Instances { rows, .. }, "DescribeInstanceAttribute") if rows.is_empty() => {
            Err(Fault::NoSuchInstance(asked("InstanceId").unwrap_or_default()))
        }
        (Reply::Instances { rows, .. }, "DescribeInstanceAttribute") => write(attributes(rows)),
        (Reply::Instances { total, rows }, "DescribeInstances") => write(InstancesAnswer {
            page_number,
            page_size,
            total_count: *total,
            instances: InstanceList { instances: rows.iter().map(instance).collect() },
        }),
        (Reply::Started { job, .. }, "CreateBackup") => write(CreateAnswer { backup_job_id: *job }),
        (Reply::Jobs { rows, .. }, "DescribeBackupTasks") => {
            let by_id = asked("BackupJobId").is_some();
            write(tasks(asked("InstanceId").unwrap_or_default(), rows, by_id, now))
        }
        (Reply::Policy(shown), "DescribeBackupPolicy") => write(policy(shown)),
        (
            Reply::Done { .. } | Reply::Policy(_) | Reply::Started { .. },
            "ModifyBackupPolicy" | "ModifyBackupExpireTime" | "DeleteBackup" | "RestoreInstance",
        ) => Ok(json!({})),
        (Reply::Regions(rows), "DescribeRegions") => write(regions(rows, host(request))),
        (
            Reply::Backups { .. }
            | Reply::Instances { .. }
            | Reply::Started { .. }
            | Reply::Jobs { .. }
            | Reply::Policy(_)
            | Reply::Done { .. }
            | Reply::Regions(_)
            | Reply::Links(_)
            | Reply::Shards(_)
            | Reply::Projects(_)
            | Reply::Account(_)
            | Reply::Restriction(_)
            | Reply::Token(_),
            _,
        ) => Err(Fault::Internal),
    }
}

fn write(answer: impl Serialize) -> Result<Value, Fault> {
    serde_json::to_value(answer).map_err(|_| Fault::Internal)
}

/// The answer to a call that failed.
pub(in crate::alibaba) fn failure(verdict: &Verdict, host: &str) -> (StatusCode, Value) {
    let answer = json!({
        "HostId": host,
        "Code": verdict.code,
        "Message": verdict.message,
    });
    (verdict.status, answer)
}
