//! Answers as Alibaba writes them, in both directions: one shape, written as JSON or as XML.

use std::time::SystemTime;

use http::StatusCode;
use jiff::tz::Offset;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use crate::ReadError;
use crate::alibaba::fault::Verdict;
use crate::canonical::{moment, read_calendar, short_version, without_nulls, write_calendar};
use crate::vocabulary::{BackupRow, BackupState, Call, InstanceRow, LinkRow, Reply, Response, Topology};

const MEGABYTE: u64 = 1 << 20;

/// `DescribeBackups`, "Response parameters". `FreeSize` is left out: no quota here.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct BackupsAnswer {
    page_number: u64,
    page_size: u64,
    total_count: u64,
    full_storage_size: u64,
    log_storage_size: u64,
    backups: BackupList,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct BackupList {
    backup: Vec<BackupAnswer>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct BackupAnswer {
    #[serde(deserialize_with = "number")]
    backup_id: u64,
    #[serde(rename = "BackupJobID", deserialize_with = "number")]
    backup_job_id: u64,
    #[serde(rename = "BackupDBNames")]
    backup_db_names: String,
    #[serde(rename = "BackupDownloadURL", skip_serializing_if = "Option::is_none")]
    backup_download_url: Option<String>,
    #[serde(rename = "BackupIntranetDownloadURL", skip_serializing_if = "Option::is_none")]
    backup_intranet_download_url: Option<String>,
    backup_start_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    backup_end_time: Option<String>,
    backup_size: u64,
    backup_status: String,
    backup_mode: String,
    backup_method: String,
    backup_type: String,
    engine_version: String,
    node_instance_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expect_expire_time: Option<String>,
}

/// `CreateBackup` answers the job's number as a text.
#[derive(Debug, Serialize, Deserialize)]
struct CreateAnswer {
    #[serde(rename = "BackupJobID", deserialize_with = "number", serialize_with = "as_text")]
    backup_job_id: u64,
}

/// `DescribeInstances`, "Response parameters".
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct InstancesAnswer {
    page_number: u64,
    page_size: u64,
    total_count: u64,
    instances: InstanceList,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct InstanceList {
    #[serde(rename = "KVStoreInstance")]
    instances: Vec<InstanceAnswer>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct InstanceAnswer {
    instance_id: String,
    instance_name: String,
    instance_status: String,
    instance_type: String,
    architecture_type: String,
    edition_type: String,
    engine_version: String,
    node_type: String,
    charge_type: String,
    network_type: String,
    package_type: String,
    region_id: String,
    zone_id: String,
    connection_domain: String,
    private_ip: String,
    port: u16,
    capacity: u64,
    shard_count: u32,
    replica_count: u32,
    #[serde(skip_deserializing)]
    read_only_count: String,
    create_time: String,
    #[serde(skip_deserializing)]
    is_rds: bool,
    #[serde(skip_deserializing)]
    has_renew_change_order: bool,
    #[serde(skip_deserializing)]
    tags: TagList,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct TagList {
    tag: [(); 0],
}

/// Ids come as number or as text; of several, joined with commas, the first counts.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
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

/// An answer before it is written: status, name of the XML root, contents.
type Answer = (StatusCode, &'static str, Value);

/// The answer to a call that was done.
pub(in crate::alibaba) fn success(reply: &Reply, page: (u64, u64), request_id: &str) -> Answer {
    let (page_number, page_size) = page;
    let (root, answer) = match reply {
        Reply::Backups { total, full_bytes, rows } => (
            "DescribeBackupsResponse",
            serde_json::to_value(BackupsAnswer {
                page_number,
                page_size,
                total_count: *total,
                full_storage_size: *full_bytes,
                log_storage_size: 0,
                backups: BackupList { backup: rows.iter().map(write_backup).collect() },
            }),
        ),
        Reply::Instances { total, rows } => (
            "DescribeInstancesResponse",
            serde_json::to_value(InstancesAnswer {
                page_number,
                page_size,
                total_count: *total,
                instances: InstanceList { instances: rows.iter().map(write_instance).collect() },
            }),
        ),
        Reply::Started { job, .. } => {
            ("CreateBackupResponse", serde_json::to_value(CreateAnswer { backup_job_id: *job }))
        }
        _ => ("Response", Ok(json!({}))),
    };
    let mut answer = answer.unwrap_or_default();
    if let Value::Object(members) = &mut answer {
        members.insert("RequestId".to_owned(), request_id.into());
    }
    (StatusCode::OK, root, answer)
}

/// The answer to a call that failed.
pub(in crate::alibaba) fn failure(verdict: &Verdict, host: &str, request_id: &str) -> Answer {
    let answer = json!({
        "RequestId": request_id,
        "HostId": host,
        "Code": verdict.code,
        "Message": verdict.message,
    });
    (verdict.status, "Error", answer)
}

fn write_backup(row: &BackupRow) -> BackupAnswer {
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
        backup_mode: if row.automated { "Automated" } else { "Manual" }.to_owned(),
        backup_method: if row.logical { "Logical" } else { "Physical" }.to_owned(),
        backup_type: if row.incremental { "IncrementalBackup" } else { "FullBackup" }.to_owned(),
        engine_version: short_version(&row.version).to_owned(),
        node_instance_id: row.node.clone(),
        expect_expire_time: row.expires_at.map(|at| write_calendar(at, Offset::UTC, "%Y-%m-%dT%H:%MZ")),
    }
}

fn write_instance(row: &InstanceRow) -> InstanceAnswer {
    InstanceAnswer {
        instance_id: row.id.clone(),
        instance_name: row.name.clone(),
        instance_status: if row.busy { "Changing" } else { "Normal" }.to_owned(),
        instance_type: "Redis".to_owned(),
        architecture_type: if row.topology == Topology::Cluster { "cluster" } else { "standard" }.to_owned(),
        edition_type: "Community".to_owned(),
        engine_version: short_version(&row.version).to_owned(),
        node_type: if row.replicas == 0 { "single" } else { "double" }.to_owned(),
        charge_type: "PostPaid".to_owned(),
        network_type: "VPC".to_owned(),
        package_type: "standard".to_owned(),
        region_id: row.region.clone(),
        zone_id: row.zone.clone(),
        connection_domain: row.host.clone(),
        private_ip: row.host.parse::<std::net::IpAddr>().map_or_else(|_| String::new(), |ip| ip.to_string()),
        port: row.port,
        capacity: row.memory_bytes.div_ceil(MEGABYTE),
        shard_count: row.shards,
        replica_count: row.replicas,
        read_only_count: "0".to_owned(),
        create_time: second(row.created_at),
        is_rds: false,
        has_renew_change_order: false,
        tags: TagList::default(),
    }
}

fn second(at: SystemTime) -> String {
    write_calendar(at, Offset::UTC, "%Y-%m-%dT%H:%M:%SZ")
}

/// Reads the answer to a call; V3 is always answered in JSON.
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
            let rows = answer.backups.backup.into_iter().map(|backup| read_backup(backup, instance));
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
            let rows = answer.instances.instances.into_iter().map(read_instance);
            Ok(Reply::Instances { total: answer.total_count, rows: rows.collect::<Result<_, _>>()? })
        }
        _ => Err(malformed(&"this vendor has no such call")),
    }
}

/// What the format leaves out is empty; the end of a link's life is not told and reads as the epoch.
fn read_backup(answer: BackupAnswer, instance: &str) -> Result<BackupRow, ReadError> {
    let links = if answer.backup_download_url.is_some() || answer.backup_intranet_download_url.is_some() {
        vec![LinkRow {
            file_name: String::new(),
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
        instance_name: String::new(),
        region: String::new(),
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
        remark: String::new(),
        version: answer.engine_version,
        size_bytes: answer.backup_size,
        started_at: time(&answer.backup_start_time)?,
        ended_at: optional(&answer.backup_end_time)?,
        expires_at: optional(&answer.expect_expire_time)?,
        parts: links,
        ..BackupRow::default()
    })
}

fn read_instance(answer: InstanceAnswer) -> Result<InstanceRow, ReadError> {
    let is_cluster = answer.architecture_type == "cluster";
    Ok(InstanceRow {
        id: answer.instance_id,
        name: answer.instance_name,
        region: answer.region_id,
        zone: answer.zone_id,
        project: String::new(),
        version: answer.engine_version,
        valkey: false,
        topology: if is_cluster { Topology::Cluster } else { Topology::Standalone },
        shards: answer.shard_count.max(1),
        replicas: answer.replica_count,
        host: answer.connection_domain,
        port: answer.port,
        memory_bytes: answer.capacity.saturating_mul(MEGABYTE),
        used_bytes: 0,
        password: false,
        busy: answer.instance_status != "Normal",
        created_at: time(&answer.create_time)?,
        ..InstanceRow::default()
    })
}

fn time(text: &str) -> Result<SystemTime, ReadError> {
    ["0000-00-00T00:00:00Z", "0000-00-00T00:00Z"]
        .into_iter()
        .find_map(|template| read_calendar(text, template))
        .and_then(|calendar| moment(calendar, Offset::UTC))
        .ok_or_else(|| ReadError::Malformed(format!("{text:?} is not a time")))
}
