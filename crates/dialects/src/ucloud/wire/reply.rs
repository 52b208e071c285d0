//! Replies as `UCloud`'s answers, shaped by the action that was asked for.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::action::Action;
use super::answer::{Address, Block, Group, GroupBackup, Project, Resource, Space, SpaceBackup, Zone};
use super::{GIGABYTE, MEGABYTE, bad, request, seconds};
use crate::canonical::short_version;
use crate::ucloud::fault::Verdict;
use crate::ucloud::parameters::Parameters;
use crate::vocabulary::{
    BackupRow, BackupState, Fault, InstanceRow, LinkRow, ProjectRow, RegionRow, Reply, ShardRow, Topology,
};

type Members = Map<String, Value>;

/// The slots of a whole cluster, for an instance that has none.
const ALL_SLOTS: (u16, u16) = (0, 16383);
/// The vendor's business group of what is in none.
const TAG: &str = "Default";
/// Billed by use: nothing here ends by contract.
const CHARGE: &str = "Dynamic";

/// The answer's own fields; a fault where the vendor has an error for what was found.
pub(in crate::ucloud) fn success(
    reply: &Reply,
    action: Option<&str>,
    parameters: &Parameters,
) -> Result<Members, Fault> {
    let action = action.and_then(Action::named).ok_or(Fault::Internal)?;
    let asked = |name: &str| parameters.text(name).unwrap_or_default().to_owned();
    let fields = match (reply, action) {
        (Reply::Backups { total: 0, .. }, _) if parameters.text("BackupId").is_some() => {
            return Err(Fault::NoSuchBackup(asked("BackupId")));
        }
        (Reply::Instances { total: 0, .. }, _) if parameters.text(action.instance_parameter()).is_some() => {
            return Err(Fault::NoSuchInstance(asked(action.instance_parameter())));
        }
        (Reply::Backups { total, rows, .. }, Action::DescribeURedisBackup) => {
            set(*total, rows.iter().map(group_backup))
        }
        (Reply::Backups { total, rows, .. }, Action::DescribeUMemBackup) => {
            set(*total, rows.iter().map(space_backup))
        }
        (Reply::Backups { rows, .. }, Action::DescribeURedisBackupState) => {
            let row = rows.first().ok_or_else(|| Fault::NoSuchBackup(asked("BackupId")))?;
            json!({"State": group_state(row.state)})
        }
        (Reply::Instances { total, rows }, Action::DescribeURedisGroup) => {
            set(*total, rows.iter().map(group))
        }
        (Reply::Instances { total, rows }, Action::DescribeUMemSpace) => set(*total, rows.iter().map(space)),
        (Reply::Instances { total, rows }, Action::DescribeUMem) => set(*total, rows.iter().map(resource)),
        (Reply::Links(rows), Action::DescribeURedisBackupURL) => group_link(rows, &asked("BackupId"))?,
        (Reply::Links(rows), Action::DescribeUMemBackupURL) => {
            space_links(rows, parameters.text("BlockId"), &asked("BackupId"))?
        }
        (Reply::Started { backup, .. }, Action::CreateURedisBackup | Action::CreateUMemBackup) => {
            json!({"BackupId": backup})
        }
        (Reply::Policy(_) | Reply::Done { .. }, Action::UpdateURedisBackupStrategy) => json!({}),
        (Reply::Shards(rows), Action::DescribeUMemBlockInfo) => blocks(rows, parameters)?,
        (Reply::Projects(rows), Action::GetProjectList) => {
            json!({"ProjectCount": rows.len(), "ProjectSet": rows.iter().map(project).collect::<Vec<_>>()})
        }
        (Reply::Regions(rows), Action::GetRegion) => json!({"Regions": zones(rows)}),
        (
            Reply::Backups { .. }
            | Reply::Instances { .. }
            | Reply::Links(_)
            | Reply::Started { .. }
            | Reply::Policy(_)
            | Reply::Done { .. }
            | Reply::Shards(_)
            | Reply::Projects(_)
            | Reply::Regions(_)
            | Reply::Account(_)
            | Reply::Jobs { .. }
            | Reply::Restriction(_)
            | Reply::Token(_),
            _,
        ) => return Err(Fault::Internal),
    };
    match fields {
        Value::Object(members) => Ok(members),
        _ => Err(Fault::Internal),
    }
}

/// The common fields around an answer's own ones.
pub(in crate::ucloud) fn envelope(mut members: Members, action: Option<&str>) -> Value {
    // The name is the caller's text when it is no action at all.
    let action: String = action.unwrap_or_default().chars().take(64).collect();
    members.insert("RetCode".to_owned(), 0.into());
    members.insert("Action".to_owned(), format!("{action}Response").into());
    Value::Object(members)
}

/// The answer to a call that failed.
pub(in crate::ucloud) fn failure(verdict: &Verdict, action: Option<&str>) -> Value {
    let mut answer = envelope(Members::new(), action);
    answer["RetCode"] = verdict.code.into();
    answer["Message"] = verdict.message.as_str().into();
    answer
}

fn set<T: Serialize>(total: u64, rows: impl Iterator<Item = T>) -> Value {
    json!({"TotalCount": total, "DataSet": rows.collect::<Vec<_>>()})
}

/// One link, for the one file of a primary. Older clients read `BackupURL` only.
fn group_link(rows: &[LinkRow], backup: &str) -> Result<Value, Fault> {
    let row = match rows {
        [] => return Err(Fault::NoSuchBackup(backup.to_owned())),
        [row] => row,
        _ => return Err(bad("BackupId", "it has several shards: use DescribeUMemBackupURL")),
    };
    let mut fields = Members::new();
    if let Some(url) = &row.public_url {
        fields.insert("BackupPath".to_owned(), url.as_str().into());
        fields.insert("BackupURL".to_owned(), url.as_str().into());
    }
    if let Some(url) = &row.intranet_url {
        fields.insert("InnerBackupPath".to_owned(), url.as_str().into());
    }
    Ok(Value::Object(fields))
}

/// A list of texts, one for each shard. There is no second field, so a link of the intranet stands
/// in it where there is no public one.
fn space_links(rows: &[LinkRow], block: Option<&str>, backup: &str) -> Result<Value, Fault> {
    if rows.is_empty() {
        return Err(match block {
            Some(_) => bad("BlockId", "the backup has no such shard"),
            None => Fault::NoSuchBackup(backup.to_owned()),
        });
    }
    let links: Vec<&str> =
        rows.iter().filter_map(|row| row.public_url.as_deref().or(row.intranet_url.as_deref())).collect();
    Ok(json!({"BackupURL": links}))
}

fn group_state(state: BackupState) -> &'static str {
    match state {
        BackupState::Running => "Backuping",
        BackupState::Available => "Success",
        BackupState::Failed => "Error",
    }
}

fn group_backup(row: &BackupRow) -> GroupBackup {
    GroupBackup {
        backup_id: row.id.clone(),
        backup_name: row.name.clone(),
        backup_time: seconds(row.started_at),
        backup_size: row.size_bytes,
        backup_type: if row.automated { "Auto" } else { "Manual" }.to_owned(),
        state: group_state(row.state).to_owned(),
        group_id: row.instance.clone(),
        group_name: row.instance_name.clone(),
        zone: row.zone.clone(),
        memory_size: row.memory_bytes.div_ceil(GIGABYTE),
        redis_version: short_version(&row.version).to_owned(),
        src_region_name: row.region.clone(),
        dst_region_name: row.copy_region.clone(),
    }
}

fn space_backup(row: &BackupRow) -> SpaceBackup {
    let state = match row.state {
        BackupState::Running => "Starting",
        BackupState::Available => "Done",
        // The vendor's list has no word for it; the other edition's is better than none.
        BackupState::Failed => "Error",
    };
    SpaceBackup {
        backup_id: row.id.clone(),
        backup_name: row.name.clone(),
        backup_type: if row.automated { "auto" } else { "manual" }.to_owned(),
        state: state.to_owned(),
        create_time: seconds(row.started_at),
        block_count: row.shards,
        block_size: row.memory_bytes.div_ceil(GIGABYTE).div_ceil(u64::from(row.shards.max(1))),
        space_id: row.instance.clone(),
        protocol: "redis".to_owned(),
    }
}

/// The page of the blocks.
fn blocks(rows: &[ShardRow], parameters: &Parameters) -> Result<Value, Fault> {
    let page = request::page(parameters, 1)?;
    let fits = |number| usize::try_from(number).unwrap_or(usize::MAX);
    let shown = rows.iter().skip(fits(page.offset)).take(fits(page.limit)).map(block);
    Ok(json!({"ReadMode": "", "TotalCount": rows.len(), "DataSet": shown.collect::<Vec<_>>()}))
}

fn block(row: &ShardRow) -> Block {
    // There is room for one range: from the first slot to the last one.
    let ends = row.slots.first().zip(row.slots.last()).map(|(first, last)| (first.0, last.1));
    let (block_slot_begin, block_slot_end) = ends.unwrap_or(ALL_SLOTS);
    Block {
        block_id: row.node.clone(),
        block_name: row.node.clone(),
        block_vip: row.host.clone(),
        block_port: row.port,
        block_size: row.memory_bytes.div_ceil(GIGABYTE),
        block_used_size: row.used_bytes.div_ceil(MEGABYTE),
        block_slot_begin,
        block_slot_end,
        block_read_weight: 0,
        block_state: if row.connected { "Running" } else { "Fail" },
        block_type: if row.primary { "master" } else { "slave" },
    }
}

fn group(row: &InstanceRow) -> Group {
    Group {
        group_id: row.id.clone(),
        name: row.name.clone(),
        group_name: row.name.clone(),
        zone: row.zone.clone(),
        slave_zone: row.replica_zone.clone(),
        version: short_version(&row.version).to_owned(),
        config_id: "",
        virtual_ip: row.host.clone(),
        tag: TAG,
        vpc_id: "",
        subnet_id: "",
        protocol: "redis",
        role: "master",
        rewrite_time: 0,
        kind: doubled(row, "double", "single"),
        port: row.port,
        size: row.memory_bytes.div_ceil(GIGABYTE),
        memory_size: row.memory_bytes.div_ceil(GIGABYTE),
        used_size: row.used_bytes.div_ceil(MEGABYTE),
        create_time: seconds(row.created_at),
        modify_time: seconds(row.created_at),
        expire_time: 0,
        auto_backup: auto_backup(row).0,
        backup_time: auto_backup(row).1,
        high_availability: doubled(row, "enable", "disable"),
        charge_type: CHARGE,
        is_high_performance: false,
        ssl_enable: false,
        udac_enable: false,
        state: "Running",
    }
}

fn space(row: &InstanceRow) -> Space {
    Space {
        space_id: row.id.clone(),
        name: row.name.clone(),
        zone: row.zone.clone(),
        tag: TAG,
        kind: doubled(row, "double", "single"),
        protocol: "redis",
        state: "Running",
        charge_type: CHARGE,
        vpc_id: "",
        subnet_id: "",
        size: row.memory_bytes.div_ceil(GIGABYTE),
        used_size: row.used_bytes.div_ceil(MEGABYTE),
        create_time: seconds(row.created_at),
        expire_time: 0,
        rewrite_time: 0,
        support_aof_rollback: false,
        aof_rollback_enable: false,
        address: vec![address(row)],
    }
}

fn resource(row: &InstanceRow) -> Resource {
    Resource {
        resource_id: row.id.clone(),
        name: row.name.clone(),
        resource_type: if row.topology == Topology::Cluster { "distributed" } else { "single" }.to_owned(),
        zone: row.zone.clone(),
        slave_zone: row.replica_zone.clone(),
        state: "Running".to_owned(),
        kind: doubled(row, "double", "single").to_owned(),
        protocol: "redis".to_owned(),
        role: "master".to_owned(),
        version: short_version(&row.version).to_owned(),
        auto_backup: auto_backup(row).0.to_owned(),
        backup_time: auto_backup(row).1,
        high_availability: doubled(row, "enable", "disable").to_owned(),
        charge_type: CHARGE.to_owned(),
        tag: TAG.to_owned(),
        own_slave: "No".to_owned(),
        size: row.memory_bytes.div_ceil(GIGABYTE),
        used_size: row.used_bytes.div_ceil(MEGABYTE),
        create_time: seconds(row.created_at),
        has_password: row.password,
        address: vec![address(row)],
        ..Resource::default()
    }
}

/// Whether backups are taken by themselves, and in which hour of the vendor's day.
fn auto_backup(row: &InstanceRow) -> (&'static str, u16) {
    let switch = if row.policy.as_ref().is_some_and(|policy| policy.enabled) { "enable" } else { "disable" };
    let hour = row.policy.as_ref().filter(|policy| policy.weekdays.contains(&true));
    (switch, hour.map_or(0, |policy| (policy.start_minute / 60 + request::HOURS_AHEAD_OF_UTC) % 24))
}

fn doubled(row: &InstanceRow, yes: &'static str, no: &'static str) -> &'static str {
    if row.replicas > 0 { yes } else { no }
}

fn address(row: &InstanceRow) -> Address {
    Address { ip: row.host.clone(), port: row.port }
}

fn project(row: &ProjectRow) -> Project {
    Project {
        project_id: row.id.clone(),
        project_name: row.name.clone(),
        create_time: seconds(row.created_at),
        member_count: row.members,
        resource_count: row.instances,
        is_default: row.is_default,
    }
}

/// One row for each zone; a region without zones has one row, so that it is seen. Tools take the
/// default one when they are set up: the first.
fn zones(rows: &[RegionRow]) -> Vec<Zone> {
    let mut shown = Vec::new();
    for (at, region) in rows.iter().enumerate() {
        let none = [String::new()];
        let zones = if region.zones.is_empty() { &none[..] } else { &region.zones };
        for zone in zones {
            shown.push(Zone {
                region: region.id.clone(),
                zone: zone.clone(),
                region_name: region.id.clone(),
                bit_maps: "",
                region_id: at + 1,
                is_default: shown.is_empty(),
            });
        }
    }
    shown
}
