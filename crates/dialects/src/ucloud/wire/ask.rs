//! Calls as `UCloud`'s parameters.

use super::action::Action;
use super::{bad, is_backup_name};
use crate::canonical::Parameters;
use crate::vocabulary::{
    AddressLimit, Call, CopyEnd, CreateBackup, Fault, LinkBackup, ListBackups, ListInstances, Networks, Page,
    Place, Topology, Unit,
};

/// How ids of the distributed edition begin; all others are the primary and replica edition's.
const SPACE_IDS: [&str; 2] = ["umem-", "udredis-"];

/// Which edition's actions an instance's id calls for.
pub(super) fn is_space(instance: Option<&str>) -> bool {
    instance.is_some_and(|id| SPACE_IDS.iter().any(|start| id.starts_with(start)))
}

/// Writes a call: the action and its parameters.
pub(in crate::ucloud) fn ask(call: &Call, region: &str) -> Result<(&'static str, Parameters), Fault> {
    let (action, parameters) = match call {
        Call::ListInstances(list) => (Action::DescribeUMem, instances(list, region)?),
        Call::ListBackups(list) => backups(list, region)?,
        Call::CreateBackup(create) => create_backup(create, region)?,
        Call::LinkBackup(link) => links(link, region)?,
        Call::ListShards(_)
        | Call::ListRegions
        | Call::ListProjects(_)
        | Call::ShowAccount
        | Call::StopBackup(_)
        | Call::DeleteBackups(_)
        | Call::SetExpiry(_)
        | Call::ExportBackup(_)
        | Call::ListJobs(_)
        | Call::ShowPolicy(_)
        | Call::SetPolicy(_)
        | Call::Restore(_)
        | Call::ShowRestriction(_)
        | Call::SetRestriction(_)
        | Call::IssueToken(_) => return Err(Fault::NotSupported("this call".to_owned())),
    };
    Ok((action.name(), parameters))
}

fn instances(list: &ListInstances, region: &str) -> Result<Parameters, Fault> {
    if list.name.is_some() || list.search.is_some() {
        return Err(bad("Name", "this vendor cannot list by it"));
    }
    let mut parameters = start(&list.place, region)?;
    put(&mut parameters, "Protocol", "redis");
    match list.ids.as_slice() {
        [] => {}
        [id] => put(&mut parameters, "ResourceId", id),
        _ => return Err(bad("ResourceId", "one at a time")),
    }
    match list.topologies.as_slice() {
        [] => {}
        [Topology::Cluster] => put(&mut parameters, "ResourceType", "distributed"),
        [Topology::Standalone, Topology::Sentinel] => put(&mut parameters, "ResourceType", "single"),
        _ => return Err(bad("ResourceType", "this vendor cannot tell these apart")),
    }
    put_page(&mut parameters, list.page)?;
    Ok(parameters)
}

/// `unit` and `links` choose a form that this vendor does not have and are left out; a filter that
/// it does not have is refused, since the answer would show too much.
fn backups(list: &ListBackups, region: &str) -> Result<(Action, Parameters), Fault> {
    let filtered = list.instance_search.is_some()
        || list.search.is_some()
        || list.job.is_some()
        || list.since.is_some()
        || list.until.is_some()
        || !list.states.is_empty()
        || list.automated.is_some()
        || list.incremental
        || list.oldest_first
        || list.unit != Unit::Set;
    if filtered {
        return Err(bad("DescribeURedisBackup", "this vendor lists by instance, id and page only"));
    }
    let mut parameters = start(&list.place, region)?;
    put_page(&mut parameters, list.page)?;
    let instance = list.instance.as_deref();
    if is_space(instance) {
        if list.backup.is_some() || list.copies.is_some() {
            return Err(bad("BackupId", "this edition cannot list by it"));
        }
        put_zone(&mut parameters, &list.place)?;
        put(&mut parameters, "SpaceId", instance.unwrap_or_default());
        return Ok((Action::DescribeUMemBackup, parameters));
    }
    match list.copies {
        None if instance.is_none() => put(&mut parameters, "RegionType", "normal"),
        None => {}
        Some(CopyEnd::Source) => put(&mut parameters, "RegionType", "source"),
        Some(CopyEnd::Target) => put(&mut parameters, "RegionType", "target"),
    }
    for (name, value) in [("GroupId", instance), ("BackupId", list.backup.as_deref())] {
        if let Some(value) = value {
            put(&mut parameters, name, value);
        }
    }
    Ok((Action::DescribeURedisBackup, parameters))
}

fn create_backup(create: &CreateBackup, region: &str) -> Result<(Action, Parameters), Fault> {
    let name = create.name.as_deref().ok_or_else(|| Fault::MissingParameter("BackupName".to_owned()))?;
    if !is_backup_name(name) {
        return Err(bad("BackupName", "must be 6 to 63 letters, digits, - or _"));
    }
    if create.keep_days.is_some() || create.remark.is_some() {
        return Err(bad("BackupName", "this vendor takes neither a remark nor a time to keep it"));
    }
    let mut parameters = start(&create.place, region)?;
    put(&mut parameters, "BackupName", name);
    if is_space(Some(&create.instance)) {
        put_zone(&mut parameters, &create.place)?;
        put(&mut parameters, "SpaceId", &create.instance);
        return Ok((Action::CreateUMemBackup, parameters));
    }
    put(&mut parameters, "GroupId", &create.instance);
    Ok((Action::CreateURedisBackup, parameters))
}

fn links(link: &LinkBackup, region: &str) -> Result<(Action, Parameters), Fault> {
    if link.networks != Networks::Both || link.limit != AddressLimit::Default || link.ttl.is_some() {
        return Err(bad("BackupId", "this vendor's links take no limits"));
    }
    let mut parameters = start(&link.place, region)?;
    put(&mut parameters, "BackupId", &link.backup);
    if is_space(link.instance.as_deref()) || link.shard.is_some() {
        if link.other_region {
            return Err(bad("IsCrossRegion", "this edition keeps no copies in other regions"));
        }
        let space = link.instance.as_deref().ok_or_else(|| Fault::MissingParameter("SpaceId".to_owned()))?;
        put_zone(&mut parameters, &link.place)?;
        put(&mut parameters, "SpaceId", space);
        if let Some(shard) = &link.shard {
            put(&mut parameters, "BlockId", shard);
        }
        return Ok((Action::DescribeUMemBackupURL, parameters));
    }
    if let Some(group) = &link.instance {
        put(&mut parameters, "GroupId", group);
    }
    if link.other_region {
        put(&mut parameters, "IsCrossRegion", "true");
    }
    Ok((Action::DescribeURedisBackupURL, parameters))
}

/// Starts with the place of the call; the region of the endpoint, where the call names none.
fn start(place: &Place, region: &str) -> Result<Parameters, Fault> {
    let region = place.region.as_deref().unwrap_or(region);
    if region.is_empty() {
        return Err(Fault::MissingParameter("Region".to_owned()));
    }
    let mut parameters = Parameters::new();
    put(&mut parameters, "Region", region);
    let more = [("Zone", &place.zone), ("SlaveZone", &place.replica_zone), ("ProjectId", &place.project)];
    for (name, value) in more {
        if let Some(value) = value {
            put(&mut parameters, name, value);
        }
    }
    if place.spans_zones {
        put(&mut parameters, "RegionFlag", "true");
    }
    Ok(parameters)
}

fn put_zone(parameters: &mut Parameters, place: &Place) -> Result<(), Fault> {
    let zone = place.zone.as_deref().ok_or_else(|| Fault::MissingParameter("Zone".to_owned()))?;
    put(parameters, "Zone", zone);
    Ok(())
}

fn put_page(parameters: &mut Parameters, page: Page) -> Result<(), Fault> {
    if page.limit == 0 {
        return Err(bad("Limit", "must be 1 or more"));
    }
    put(parameters, "Offset", &page.offset.to_string());
    put(parameters, "Limit", &page.limit.to_string());
    Ok(())
}

fn put(parameters: &mut Parameters, name: &str, value: &str) {
    parameters.insert(name.to_owned(), value.to_owned());
}
