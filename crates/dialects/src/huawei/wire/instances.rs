//! Instances of DDS and `GeminiDB`.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::backups::check_engine;
use super::parameters::{Query, bad};
use super::request::{Asked, Writing};
use super::{GIGABYTE, policy, times};
use crate::ReadError;
use crate::canonical::short_version;
use crate::vocabulary::{Call, Fault, InstanceRow, ListInstances, Policy, Reply, Topology};

const MAX_PAGE: u64 = 100;
const NORMAL: &str = "normal";
/// What an instance does into which a backup is restored.
const RESTORING: &str = "RESTORE";

/// `ListInstances`.
pub(super) fn list(asked: &Asked<'_>) -> Result<Call, Fault> {
    let others = ["mode", "vpc_id", "subnet_id", "tags"];
    let own = ["id", "name", "datastore_type", "offset", "limit"];
    let query = Query::read(asked.request, &[&own[..], &others].concat())?;
    query.refuse(&others)?;
    check_engine(&query)?;
    // A star in front means "contains".
    let (name, search) = match query.text("name").map(|name| (name, name.strip_prefix('*'))) {
        None => (None, None),
        Some((_, Some(""))) => return Err(bad("name", "must have a text behind the star")),
        Some((_, Some(search))) => (None, Some(search.to_owned())),
        Some((name, None)) => (Some(name.to_owned()), None),
    };
    Ok(Call::ListInstances(ListInstances {
        place: asked.place.clone(),
        ids: query.owned("id").into_iter().collect(),
        name,
        search,
        page: query.page(MAX_PAGE, 1..=MAX_PAGE)?,
        ..ListInstances::default()
    }))
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct InstancesAnswer {
    total_count: u64,
    instances: Vec<InstanceAnswer>,
}

/// `ssl` is left out: it is a number in DDS and a text in `GeminiDB`, and Go would fail on one of them.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct InstanceAnswer {
    id: String,
    name: String,
    status: String,
    port: String,
    mode: String,
    region: String,
    datastore: Datastore,
    engine: String,
    created: String,
    vpc_id: String,
    subnet_id: String,
    security_group_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    backup_strategy: Option<Strategy>,
    pay_mode: String,
    groups: Vec<Group>,
    enterprise_project_id: String,
    time_zone: String,
    actions: Vec<String>,
    lb_ip_address: String,
    lb_port: String,
    availability_zone: String,
}

/// 0 days to keep: no backups are taken by themselves.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Strategy {
    start_time: String,
    keep_days: u32,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Datastore {
    #[serde(rename = "type")]
    kind: String,
    version: String,
    patch_available: bool,
    whole_version: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Group {
    id: String,
    status: String,
    volume: Volume,
    nodes: Vec<Node>,
}

/// Gigabytes, as texts.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Volume {
    size: String,
    used: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Node {
    id: String,
    name: String,
    status: String,
    role: String,
    subnet_id: String,
    private_ip: String,
    public_ip: String,
    spec_code: String,
    availability_zone: String,
    support_reduce: bool,
}

/// Writes the list.
pub(super) fn answer(total: u64, rows: &[InstanceRow]) -> Value {
    json!(InstancesAnswer { total_count: total, instances: rows.iter().map(write).collect() })
}

fn write(row: &InstanceRow) -> InstanceAnswer {
    InstanceAnswer {
        id: row.id.clone(),
        name: row.name.clone(),
        status: NORMAL.to_owned(),
        port: row.port.to_string(),
        mode: if row.topology == Topology::Cluster { "RedisCluster" } else { "Replication" }.to_owned(),
        region: row.region.clone(),
        datastore: Datastore {
            kind: "redis".to_owned(),
            version: short_version(&row.version).to_owned(),
            patch_available: false,
            whole_version: row.version.clone(),
        },
        engine: if row.valkey { "valkey" } else { "redis" }.to_owned(),
        created: times::write(row.created_at, times::BARE),
        pay_mode: "0".to_owned(),
        groups: vec![group(row)],
        enterprise_project_id: "0".to_owned(),
        time_zone: "UTC".to_owned(),
        actions: match (row.restoring, row.busy) {
            (true, _) => vec![RESTORING.to_owned()],
            (false, true) => vec!["BACKUP".to_owned()],
            (false, false) => Vec::new(),
        },
        backup_strategy: row.policy.as_ref().map(strategy),
        lb_ip_address: row.host.clone(),
        lb_port: row.port.to_string(),
        availability_zone: row.zone.clone(),
        ..InstanceAnswer::default()
    }
}

fn strategy(policy: &Policy) -> Strategy {
    if !policy.enabled {
        return Strategy::default();
    }
    Strategy { start_time: policy::hour(policy.start_minute), keep_days: policy::keep_days(policy) }
}

/// One group with the first node stands for all.
fn group(row: &InstanceRow) -> Group {
    let node = Node {
        id: row.id.clone(),
        name: row.name.clone(),
        status: NORMAL.to_owned(),
        role: "Primary".to_owned(),
        private_ip: row.host.clone(),
        availability_zone: row.zone.clone(),
        ..Node::default()
    };
    let gigabytes = |bytes: u64| bytes.div_ceil(GIGABYTE).to_string();
    Group {
        id: row.id.clone(),
        status: NORMAL.to_owned(),
        volume: Volume { size: gigabytes(row.memory_bytes), used: gigabytes(row.used_bytes) },
        nodes: vec![node],
    }
}

/// Writes a call for the client.
pub(super) fn ask(list: &ListInstances) -> Result<Writing, Fault> {
    if list.ids.len() > 1 || list.ids.iter().any(String::is_empty) {
        return Err(bad("id", "this vendor lists by one id or by none"));
    }
    let name = match (&list.name, &list.search) {
        (None, None) => None,
        (Some(name), None) if !name.is_empty() && !name.starts_with('*') => Some(name.clone()),
        (None, Some(search)) if !search.is_empty() => Some(format!("*{search}")),
        _ => return Err(bad("name", "must be one text, exact or contained")),
    };
    if !(1..=MAX_PAGE).contains(&list.page.limit) {
        return Err(bad("limit", "must be 1 to 100"));
    }
    let optional = [
        ("id", list.ids.first().cloned()),
        ("name", name),
        ("offset", Some(list.page.offset.to_string())),
        ("limit", Some(list.page.limit.to_string())),
    ];
    let query = optional.into_iter().filter_map(|(name, value)| Some((name, value?)));
    Ok(Writing::get("/instances", query.collect()))
}

/// Reads the answer.
pub(super) fn read(answer: Value) -> Result<Reply, ReadError> {
    let answer: InstancesAnswer = super::reply::shape(answer)?;
    let rows = answer.instances.into_iter().map(read_row).collect::<Result<_, _>>()?;
    Ok(Reply::Instances { total: answer.total_count, rows })
}

fn read_row(answer: InstanceAnswer) -> Result<InstanceRow, ReadError> {
    let node = answer.groups.iter().flat_map(|group| &group.nodes).next();
    let host = if answer.lb_ip_address.is_empty() {
        node.map(|node| node.private_ip.clone()).unwrap_or_default()
    } else {
        answer.lb_ip_address
    };
    let version = if answer.datastore.whole_version.is_empty() {
        answer.datastore.version
    } else {
        answer.datastore.whole_version
    };
    Ok(InstanceRow {
        id: answer.id,
        name: answer.name,
        region: answer.region,
        zone: answer.availability_zone,
        version,
        valkey: answer.engine == "valkey",
        topology: match answer.mode.as_str() {
            "RedisCluster" | "Cluster" | "CloudNativeCluster" | "Sharding" => Topology::Cluster,
            _ => Topology::Standalone,
        },
        shards: 1,
        host,
        port: answer.port.parse().unwrap_or_default(),
        busy: !answer.actions.is_empty(),
        restoring: answer.actions.iter().any(|action| action == RESTORING),
        created_at: super::reply::time(&answer.created)?,
        ..InstanceRow::default()
    })
}
