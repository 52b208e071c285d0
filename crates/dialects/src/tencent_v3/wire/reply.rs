//! Answers as Tencent writes them, in both directions.

use std::time::SystemTime;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use super::request::status;
use super::{BEIJING, TIME_FORMAT, TIME_TEMPLATE};
use crate::ReadError;
use crate::canonical::{moment, read_calendar, short_version, without_nulls, write_calendar};
use crate::tencent_v3::fault::Verdict;
use crate::vocabulary::{BackupRow, BackupState, Call, InstanceRow, LinkRow, Reply, Response, Topology};

const MEGABYTE: u64 = 1 << 20;

/// `DescribeBackupUrl`: the lists are what older clients read, `BackupInfos` what newer ones do.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct LinksAnswer {
    download_url: Vec<String>,
    inner_download_url: Vec<String>,
    filenames: Vec<String>,
    backup_infos: Vec<LinkAnswer>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct LinkAnswer {
    file_name: String,
    file_size: u64,
    download_url: String,
    inner_download_url: String,
}

/// `DescribeInstanceBackups`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct BackupsAnswer {
    total_count: u64,
    backup_set: Vec<BackupAnswer>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct BackupAnswer {
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

/// `ManualBackupInstance`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateAnswer {
    task_id: u64,
}

/// `DescribeInstances`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct InstancesAnswer {
    total_count: u64,
    instance_set: Vec<InstanceAnswer>,
}

/// Clients written in Go use the first thirteen without asking whether they are there.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct InstanceAnswer {
    instance_id: String,
    instance_name: String,
    #[serde(rename = "Type")]
    kind: i64,
    status: i64,
    zone_id: i64,
    project_id: i64,
    port: u16,
    redis_shard_size: u64,
    billing_mode: i64,
    createtime: String,
    wan_ip: String,
    uniq_vpc_id: String,
    uniq_subnet_id: String,
    appid: i64,
    region_id: i64,
    vpc_id: i64,
    subnet_id: i64,
    #[serde(deserialize_with = "whole")]
    size: u64,
    #[serde(deserialize_with = "whole")]
    size_used: u64,
    engine: String,
    product_type: String,
    redis_shard_num: u32,
    redis_replicas_num: u32,
    no_auth: bool,
    region: String,
    instance_title: String,
    auto_renew_flag: i64,
    deadline_time: String,
    offline_time: String,
    close_time: String,
    sub_status: i64,
    instance_node: Vec<Value>,
    instance_tags: Vec<Value>,
    node_set: Vec<Value>,
    tags: Vec<Value>,
    product_version: String,
    current_redis_version: String,
    backup_mode: String,
    delete_protection_switch: i64,
}

/// The vendor's sizes in megabytes may have fractions, which are dropped.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast of a float saturates")]
fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let number = serde_json::Number::deserialize(deserializer)?;
    Ok(number.as_u64().unwrap_or_else(|| number.as_f64().unwrap_or_default() as u64))
}

/// The answer to a call that was done.
pub(in crate::tencent_v3) fn success(reply: &Reply, request_id: &str) -> Value {
    let answer = match reply {
        Reply::Links(rows) => serde_json::to_value(write_links(rows)),
        Reply::Backups { total, rows, .. } => serde_json::to_value(BackupsAnswer {
            total_count: *total,
            backup_set: rows.iter().map(write_backup).collect(),
        }),
        Reply::Started { job, .. } => serde_json::to_value(CreateAnswer { task_id: *job }),
        Reply::Instances { total, rows } => serde_json::to_value(InstancesAnswer {
            total_count: *total,
            instance_set: rows.iter().map(write_instance).collect(),
        }),
        _ => Ok(json!({})),
    };
    let mut answer = answer.unwrap_or_default();
    if let Value::Object(members) = &mut answer {
        members.insert("RequestId".to_owned(), request_id.into());
    }
    json!({ "Response": answer })
}

/// The answer to a call that failed. Its three members must all be there: SDKs read them unasked.
pub(in crate::tencent_v3) fn failure(verdict: &Verdict, request_id: &str) -> Value {
    let error = json!({ "Code": verdict.code, "Message": verdict.message });
    json!({ "Response": { "Error": error, "RequestId": request_id } })
}

fn write_links(rows: &[LinkRow]) -> LinksAnswer {
    let public = |row: &LinkRow| row.public_url.clone();
    let intranet = |row: &LinkRow| row.intranet_url.clone();
    LinksAnswer {
        download_url: rows.iter().filter_map(public).collect(),
        inner_download_url: rows.iter().filter_map(intranet).collect(),
        filenames: rows.iter().map(|row| row.file_name.clone()).collect(),
        backup_infos: rows
            .iter()
            .map(|row| LinkAnswer {
                file_name: row.file_name.clone(),
                file_size: row.size_bytes,
                download_url: public(row).unwrap_or_default(),
                inner_download_url: intranet(row).unwrap_or_default(),
            })
            .collect(),
    }
}

fn write_backup(row: &BackupRow) -> BackupAnswer {
    BackupAnswer {
        backup_id: row.id.clone(),
        // 0 by hand, 1 by policy: the vendor's examples agree on it, its texts do not.
        backup_type: if row.automated { "1" } else { "0" }.to_owned(),
        status: status(row.state),
        start_time: write_time(row.started_at),
        end_time: row.ended_at.map(write_time).unwrap_or_default(),
        expire_time: row.expires_at.map(write_time).unwrap_or_default(),
        remark: row.remark.clone(),
        locked: 0,
        backup_size: row.size_bytes,
        full_backup: 0,
        instance_type: type_code(&row.version, false, row.topology),
        instance_id: row.instance.clone(),
        instance_name: row.instance_name.clone(),
        region: row.region.clone(),
        file_type: format!("RDB-Redis {}", short_version(&row.version)).trim_end().to_owned(),
        encrypted: false,
    }
}

fn write_instance(row: &InstanceRow) -> InstanceAnswer {
    let megabytes = row.memory_bytes.div_ceil(MEGABYTE);
    InstanceAnswer {
        instance_id: row.id.clone(),
        instance_name: row.name.clone(),
        kind: type_code(&row.version, row.valkey, row.topology),
        status: if row.busy { 1 } else { 2 },
        zone_id: row.zone.parse().unwrap_or_default(),
        project_id: row.project.parse().unwrap_or_default(),
        port: row.port,
        redis_shard_size: megabytes.div_ceil(u64::from(row.shards.max(1))),
        createtime: write_time(row.created_at),
        wan_ip: row.host.clone(),
        size: megabytes,
        size_used: row.used_bytes.div_ceil(MEGABYTE),
        engine: "Redis".to_owned(),
        product_type: if row.topology == Topology::Cluster { "cluster" } else { "standalone" }.to_owned(),
        redis_shard_num: row.shards,
        redis_replicas_num: row.replicas,
        no_auth: !row.password,
        region: row.region.clone(),
        instance_title: if row.busy { "Processing" } else { "Running" }.to_owned(),
        product_version: "local".to_owned(),
        current_redis_version: row.version.clone(),
        backup_mode: "NormalLevelBackup".to_owned(),
        ..InstanceAnswer::default()
    }
}

/// The vendor's number of an engine and a layout; a version that it does not sell is the nearest.
fn type_code(version: &str, valkey: bool, topology: Topology) -> i64 {
    let major: u32 = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(7);
    let standard = match major {
        _ if valkey => 19,
        0..=2 => return 2,
        3..=4 => 6,
        5 => 8,
        6 => 15,
        _ => 17,
    };
    standard + i64::from(topology == Topology::Cluster)
}

fn topology(type_code: i64) -> Topology {
    if matches!(type_code, 7 | 9 | 16 | 18 | 20 | 22) { Topology::Cluster } else { Topology::Standalone }
}

fn write_time(at: SystemTime) -> String {
    write_calendar(at, BEIJING, TIME_FORMAT)
}

fn read_time(text: &str) -> Result<SystemTime, ReadError> {
    read_calendar(text, TIME_TEMPLATE)
        .and_then(|calendar| moment(calendar, BEIJING))
        .ok_or_else(|| ReadError::Malformed(format!("{text:?} is not a time")))
}

/// An empty text or the zero date is no moment.
fn read_optional_time(text: &str) -> Result<Option<SystemTime>, ReadError> {
    if matches!(text, "" | "0000-00-00 00:00:00") { Ok(None) } else { read_time(text).map(Some) }
}

/// Reads the answer to a call.
pub(in crate::tencent_v3) fn read(call: &Call, response: &Response) -> Result<Reply, ReadError> {
    let status = response.status();
    let malformed = |what: &dyn std::fmt::Display| ReadError::Malformed(format!("status {status}: {what}"));
    let mut envelope: Value = serde_json::from_slice(response.body()).map_err(|error| malformed(&error))?;
    let mut answer = envelope.get_mut("Response").map(Value::take).unwrap_or_default();
    if let Some(error) = answer.get("Error") {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        return Err(ReadError::Refused {
            status: status.as_u16(),
            code: text(&error["Code"]).ok_or_else(|| malformed(&"an error without a code"))?,
            message: text(&error["Message"]).unwrap_or_default(),
            request_id: text(&answer["RequestId"]),
        });
    }
    without_nulls(&mut answer);
    if !answer.is_object() {
        return Err(malformed(&"no Response in the answer"));
    }
    let shape = |error: serde_json::Error| malformed(&error);
    match call {
        Call::LinkBackup(_) => Ok(Reply::Links(read_links(LinksAnswer::deserialize(answer).map_err(shape)?))),
        Call::ListBackups(_) => {
            let answer = BackupsAnswer::deserialize(answer).map_err(shape)?;
            let rows = answer.backup_set.into_iter().map(read_backup).collect::<Result<_, _>>()?;
            Ok(Reply::Backups { total: answer.total_count, full_bytes: 0, rows })
        }
        Call::CreateBackup(_) => {
            let job = CreateAnswer::deserialize(answer).map_err(shape)?.task_id;
            Ok(Reply::Started { job, backup: String::new() })
        }
        Call::ListInstances(_) => {
            let answer = InstancesAnswer::deserialize(answer).map_err(shape)?;
            let rows = answer.instance_set.into_iter().map(read_instance).collect::<Result<_, _>>()?;
            Ok(Reply::Instances { total: answer.total_count, rows })
        }
        _ => Err(malformed(&"this vendor has no such call")),
    }
}

/// Older answers have the lists only, newer ones `BackupInfos`. The end of a link's life is not told
/// and reads as the epoch.
fn read_links(answer: LinksAnswer) -> Vec<LinkRow> {
    let some = |url: String| Some(url).filter(|url| !url.is_empty());
    if !answer.backup_infos.is_empty() {
        let row = |link: LinkAnswer| LinkRow {
            file_name: link.file_name,
            size_bytes: link.file_size,
            public_url: some(link.download_url),
            intranet_url: some(link.inner_download_url),
            ..LinkRow::default()
        };
        return answer.backup_infos.into_iter().map(row).collect();
    }
    let count = answer.download_url.len().max(answer.inner_download_url.len());
    let (mut public, mut intranet) = (answer.download_url.into_iter(), answer.inner_download_url.into_iter());
    let mut names = answer.filenames.into_iter();
    let row = |_| LinkRow {
        file_name: names.next().unwrap_or_default(),
        size_bytes: 0,
        public_url: public.next().and_then(some),
        intranet_url: intranet.next().and_then(some),
        ..LinkRow::default()
    };
    (0..count).map(row).collect()
}

/// What the format leaves out is empty or false.
fn read_backup(answer: BackupAnswer) -> Result<BackupRow, ReadError> {
    Ok(BackupRow {
        number: answer.backup_id.parse().unwrap_or_default(),
        id: answer.backup_id,
        job: 0,
        instance: answer.instance_id,
        instance_name: answer.instance_name,
        region: answer.region,
        node: String::new(),
        state: match answer.status {
            2..=4 => BackupState::Available,
            1 => BackupState::Running,
            _ => BackupState::Failed,
        },
        automated: answer.backup_type == "1",
        logical: false,
        incremental: false,
        remark: answer.remark,
        version: answer.file_type.rsplit_once(' ').map_or(String::new(), |(_, version)| version.to_owned()),
        topology: topology(answer.instance_type),
        size_bytes: answer.backup_size,
        started_at: read_time(&answer.start_time)?,
        ended_at: read_optional_time(&answer.end_time)?,
        expires_at: read_optional_time(&answer.expire_time)?,
        ..BackupRow::default()
    })
}

fn read_instance(answer: InstanceAnswer) -> Result<InstanceRow, ReadError> {
    let text = |number: i64| if number == 0 { String::new() } else { number.to_string() };
    Ok(InstanceRow {
        id: answer.instance_id,
        name: answer.instance_name,
        region: answer.region,
        zone: text(answer.zone_id),
        project: text(answer.project_id),
        version: answer.current_redis_version,
        valkey: (19..=22).contains(&answer.kind),
        topology: topology(answer.kind),
        shards: answer.redis_shard_num.max(1),
        replicas: answer.redis_replicas_num,
        host: answer.wan_ip,
        port: answer.port,
        memory_bytes: answer.size.saturating_mul(MEGABYTE),
        used_bytes: answer.size_used.saturating_mul(MEGABYTE),
        password: !answer.no_auth,
        busy: answer.status == 1,
        created_at: read_time(&answer.createtime)?,
        ..InstanceRow::default()
    })
}
