//! Instances and regions as Alibaba lists them.

use serde::{Deserialize, Serialize};

use super::{MEGABYTE, second};
use crate::canonical::short_version;
use crate::vocabulary::{InstanceRow, RegionRow, Topology};

/// `DescribeInstances`, "Response parameters".
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct InstancesAnswer {
    pub(super) page_number: u64,
    pub(super) page_size: u64,
    pub(super) total_count: u64,
    pub(super) instances: InstanceList,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct InstanceList {
    #[serde(rename = "KVStoreInstance")]
    pub(super) instances: Vec<InstanceAnswer>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct InstanceAnswer {
    #[serde(flatten)]
    pub(super) facts: Facts,
    #[serde(skip_deserializing)]
    read_only_count: &'static str,
    #[serde(skip_deserializing)]
    has_renew_change_order: bool,
}

/// `DescribeInstanceAttribute`, "Response parameters". Two fields have another type than in the list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct AttributesAnswer {
    instances: AttributeList,
}

#[derive(Debug, Serialize)]
struct AttributeList {
    #[serde(rename = "DBInstanceAttribute")]
    instances: Vec<AttributeAnswer>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct AttributeAnswer {
    #[serde(flatten)]
    facts: Facts,
    engine: &'static str,
    read_only_count: u32,
    has_renew_change_order: &'static str,
    instance_release_protection: bool,
}

/// What both actions tell of an instance.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Facts {
    pub(super) instance_id: String,
    pub(super) instance_name: String,
    pub(super) instance_status: String,
    pub(super) instance_type: String,
    pub(super) architecture_type: String,
    pub(super) edition_type: String,
    pub(super) engine_version: String,
    pub(super) node_type: String,
    pub(super) charge_type: String,
    pub(super) network_type: String,
    pub(super) package_type: String,
    pub(super) region_id: String,
    pub(super) zone_id: String,
    pub(super) connection_domain: String,
    pub(super) private_ip: String,
    pub(super) port: u16,
    pub(super) capacity: u64,
    pub(super) shard_count: u32,
    pub(super) replica_count: u32,
    pub(super) create_time: String,
    #[serde(skip_deserializing)]
    is_rds: bool,
    #[serde(skip_deserializing)]
    tags: TagList,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct TagList {
    tag: [(); 0],
}

/// `DescribeRegions`, "Response parameters".
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RegionsAnswer {
    region_ids: RegionList,
}

#[derive(Debug, Serialize)]
struct RegionList {
    #[serde(rename = "KVStoreRegion")]
    regions: Vec<RegionAnswer>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct RegionAnswer {
    region_id: String,
    local_name: String,
    region_endpoint: String,
    zone_ids: String,
    zone_id_list: ZoneList,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ZoneList {
    zone_id: Vec<String>,
}

/// An instance of the list.
pub(super) fn instance(row: &InstanceRow) -> InstanceAnswer {
    InstanceAnswer { facts: facts(row), read_only_count: "0", has_renew_change_order: false }
}

/// Instances asked for by id.
pub(super) fn attributes(rows: &[InstanceRow]) -> AttributesAnswer {
    let attribute = |row| AttributeAnswer {
        facts: facts(row),
        engine: "Redis",
        read_only_count: 0,
        has_renew_change_order: "false",
        instance_release_protection: false,
    };
    AttributesAnswer { instances: AttributeList { instances: rows.iter().map(attribute).collect() } }
}

fn facts(row: &InstanceRow) -> Facts {
    Facts {
        instance_id: row.id.clone(),
        instance_name: row.name.clone(),
        instance_status: match (row.restoring, row.busy) {
            (true, _) => "BackupRecovering",
            (false, true) => "Changing",
            (false, false) => "Normal",
        }
        .to_owned(),
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
        create_time: second(row.created_at),
        is_rds: false,
        tags: TagList::default(),
    }
}

/// The regions; every one is served under the name that was asked.
pub(super) fn regions(rows: &[RegionRow], host: &str) -> RegionsAnswer {
    let region = |row: &RegionRow| RegionAnswer {
        region_id: row.id.clone(),
        local_name: row.id.clone(),
        region_endpoint: host.to_owned(),
        zone_ids: row.zones.join(","),
        zone_id_list: ZoneList { zone_id: row.zones.clone() },
    };
    RegionsAnswer { region_ids: RegionList { regions: rows.iter().map(region).collect() } }
}
