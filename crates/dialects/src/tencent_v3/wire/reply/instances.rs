//! Instances, their shards and nodes.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use super::{MEGABYTE, is_valkey, read_time, topology, type_code, write_time};
use crate::ReadError;
use crate::vocabulary::{InstanceRow, ShardRow, Topology};

/// `DescribeInstances`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct InstancesAnswer {
    pub(super) total_count: u64,
    pub(super) instance_set: Vec<InstanceAnswer>,
}

/// Clients written in Go use the first thirteen without asking whether they are there.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct InstanceAnswer {
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

/// `DescribeInstanceShards`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ShardsAnswer {
    total_count: usize,
    instance_shards: Vec<ShardAnswer>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ShardAnswer {
    shard_name: String,
    shard_id: String,
    role: i64,
    keys: i64,
    slots: String,
    storage: u64,
    storage_slope: f64,
    runid: String,
    run_id: String,
    connected: i64,
    zone_id: String,
    replicas_node_id: i64,
}

/// `DescribeInstanceNodeInfo`. There are no proxies, and no nodes of the vendor's other product.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct NodesAnswer {
    proxy_count: u64,
    proxy: [Value; 0],
    redis_count: usize,
    redis: Vec<NodeAnswer>,
    tendis_count: u64,
    tendis: [Value; 0],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct NodeAnswer {
    node_id: String,
    node_role: &'static str,
    cluster_id: u32,
    zone_id: i64,
}

pub(super) fn write(row: &InstanceRow) -> InstanceAnswer {
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

/// What is not known without asking the node itself, such as its keys and run id, is 0 or empty.
pub(super) fn write_shards(rows: &[ShardRow]) -> ShardsAnswer {
    let write = |row: &ShardRow| ShardAnswer {
        shard_name: row.node.clone(),
        shard_id: address(row),
        role: i64::from(!row.primary),
        keys: 0,
        slots: json!(row.slots.iter().map(|(first, last)| format!("{first}-{last}")).collect::<Vec<_>>())
            .to_string(),
        storage: row.used_bytes,
        storage_slope: 0.0,
        runid: String::new(),
        run_id: String::new(),
        connected: i64::from(row.connected),
        zone_id: row.zone.clone(),
        replicas_node_id: 0,
    };
    ShardsAnswer { total_count: rows.len(), instance_shards: rows.iter().map(write).collect() }
}

pub(super) fn write_nodes(rows: &[ShardRow]) -> NodesAnswer {
    let write = |row: &ShardRow| NodeAnswer {
        node_id: address(row),
        node_role: if row.primary { "master" } else { "slave" },
        cluster_id: row.shard,
        zone_id: row.zone.parse().unwrap_or_default(),
    };
    NodesAnswer {
        proxy_count: 0,
        proxy: [],
        redis_count: rows.len(),
        redis: rows.iter().map(write).collect(),
        tendis_count: 0,
        tendis: [],
    }
}

/// Tells a primary and its replicas apart, which share a node id here.
fn address(row: &ShardRow) -> String {
    format!("{}:{}", row.host, row.port)
}

pub(super) fn read(answer: InstanceAnswer) -> Result<InstanceRow, ReadError> {
    let text = |number: i64| if number == 0 { String::new() } else { number.to_string() };
    Ok(InstanceRow {
        id: answer.instance_id,
        name: answer.instance_name,
        region: answer.region,
        zone: text(answer.zone_id),
        project: text(answer.project_id),
        version: answer.current_redis_version,
        valkey: is_valkey(answer.kind),
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
