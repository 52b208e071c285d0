//! `UCloud`'s parameters as calls.

use super::action::{Action, NOT_YET};
use super::{bad, is_backup_name};
use crate::ucloud::parameters::Parameters;
use crate::vocabulary::{
    Call, CopyEnd, CreateBackup, Fault, LinkBackup, ListBackups, ListInstances, ListProjects, ListShards,
    Page, Place, PolicyChange, SetPolicy, Topology,
};

/// Parameters of every action.
const COMMON: [&str; 7] =
    ["Action", "PublicKey", "Signature", "SecurityToken", "Region", "Zone", "ProjectId"];
const BACKUP_PAGE: u64 = 10;
const INSTANCE_PAGE: u64 = 20;
/// The vendor documents no largest page; more than this is cut to it.
const MAX_PAGE: u64 = 100;
/// The vendor's hours are those of its consoles, +08:00.
pub(super) const HOURS_AHEAD_OF_UTC: u16 = 8;

/// Reads the parameters of an action.
pub(in crate::ucloud) fn decode(name: String, parameters: &Parameters) -> Result<Call, Fault> {
    let Some(action) = Action::named(&name) else {
        let known = NOT_YET.contains(&name.as_str());
        return Err(if known { Fault::NotSupported(name) } else { Fault::UnknownAction(name) });
    };
    check_names(action, parameters)?;
    match action {
        Action::DescribeURedisBackupURL => group_link(parameters),
        Action::DescribeURedisBackup => group_backups(parameters),
        Action::DescribeURedisBackupState => backup_state(parameters),
        Action::CreateURedisBackup => create(parameters, place(parameters)?, "GroupId"),
        Action::UpdateURedisBackupStrategy => strategy(parameters),
        Action::DescribeURedisGroup => groups(parameters),
        Action::DescribeUMemBackupURL => space_link(parameters),
        Action::DescribeUMemBackup => space_backups(parameters),
        Action::CreateUMemBackup => create(parameters, zoned(parameters)?, "SpaceId"),
        Action::DescribeUMemBlockInfo => blocks(parameters),
        Action::DescribeUMemSpace => spaces(parameters),
        Action::DescribeUMem => instances(parameters),
        Action::GetProjectList => projects(parameters),
        Action::GetRegion => Ok(Call::ListRegions),
    }
}

/// A signature does not tell where a name ends and its value begins: `Zone=x`, `Zonex=` and `Zo=nex` are
/// signed alike, and so are lists and objects in JSON. A name that is a longer or a shorter piece of a
/// known one is therefore no unknown parameter but a changed request, and so is a known one with
/// something nested in it. Other names are ignored, as the vendor does.
fn check_names(action: Action, parameters: &Parameters) -> Result<(), Fault> {
    let mine = || COMMON.iter().chain(action.parameters());
    let is_known = |name: &str| {
        COMMON.contains(&name) || Action::ALL.iter().any(|action| action.parameters().contains(&name))
    };
    let moved = |name: &str| {
        !is_known(name) && mine().any(|known| name.starts_with(known) || known.starts_with(name))
    };
    let nested = |name: &str| mine().any(|known| *known == name) && !parameters.is_single(name);
    match parameters.signed.keys().find(|name| moved(name) || nested(name)) {
        Some(name) => Err(Fault::UnknownParameter(name.clone())),
        None => Ok(()),
    }
}

fn group_link(parameters: &Parameters) -> Result<Call, Fault> {
    let other_region = flag(parameters, "IsCrossRegion")?;
    let instance = parameters.text("GroupId").map(str::to_owned);
    let link = LinkBackup::new(place(parameters)?, instance, required(parameters, "BackupId")?);
    Ok(Call::LinkBackup(LinkBackup { other_region, ..link }))
}

fn group_backups(parameters: &Parameters) -> Result<Call, Fault> {
    let copies = match parameters.text("RegionType") {
        None | Some("normal") => None,
        Some("source") => Some(CopyEnd::Source),
        Some("target") => Some(CopyEnd::Target),
        Some(_) => return Err(bad("RegionType", "must be normal, source or target")),
    };
    let place = place(parameters)?;
    let instance = parameters.text("GroupId").map(str::to_owned);
    if instance.is_none() && parameters.text("RegionType").is_none() {
        return Err(Fault::MissingParameter("GroupId".to_owned()));
    }
    Ok(Call::ListBackups(ListBackups {
        place,
        instance,
        backup: parameters.text("BackupId").map(str::to_owned),
        copies,
        page: page(parameters, BACKUP_PAGE)?,
        ..ListBackups::default()
    }))
}

fn backup_state(parameters: &Parameters) -> Result<Call, Fault> {
    Ok(Call::ListBackups(ListBackups {
        place: zoned(parameters)?,
        instance: Some(required(parameters, "GroupId")?),
        backup: Some(required(parameters, "BackupId")?),
        ..ListBackups::default()
    }))
}

fn create(parameters: &Parameters, place: Place, instance: &str) -> Result<Call, Fault> {
    let instance = required(parameters, instance)?;
    let name = required(parameters, "BackupName")?;
    if !is_backup_name(&name) {
        return Err(bad("BackupName", "must be 6 to 63 letters, digits, - or _"));
    }
    Ok(Call::CreateBackup(CreateBackup { place, instance, name: Some(name), ..CreateBackup::default() }))
}

/// What is not given is the vendor's default, not what was set before. Its backups are daily.
fn strategy(parameters: &Parameters) -> Result<Call, Fault> {
    let place = place(parameters)?;
    let instance = required(parameters, "GroupId")?;
    let enabled = match parameters.text("AutoBackup") {
        None | Some("enable") => true,
        Some("disable") => false,
        Some(_) => return Err(bad("AutoBackup", "must be enable or disable")),
    };
    let hour = parameters.text("BackupTime").unwrap_or("0").parse().ok().filter(|hour: &u16| *hour < 24);
    let hour = hour.ok_or_else(|| bad("BackupTime", "must be an hour, 0 to 23"))?;
    match parameters.text("OperationType") {
        None | Some("normal") => {}
        Some(known @ ("modify" | "close")) => {
            let what = format!("UpdateURedisBackupStrategy with OperationType {known}");
            return Err(Fault::NotSupported(what));
        }
        Some(_) => return Err(bad("OperationType", "must be normal, modify or close")),
    }
    if let Some(name) = ["DstRegion", "SaveDays"].into_iter().find(|name| parameters.text(name).is_some()) {
        return Err(bad(name, "goes with OperationType modify"));
    }
    let start_minute = Some((hour + 24 - HOURS_AHEAD_OF_UTC) % 24 * 60);
    let weekdays = Some([true; 7]);
    let change = PolicyChange { enabled: Some(enabled), weekdays, start_minute, keep_days: None };
    Ok(Call::SetPolicy(SetPolicy { place, instance, change }))
}

fn groups(parameters: &Parameters) -> Result<Call, Fault> {
    list(parameters, "GroupId", vec![Topology::Standalone, Topology::Sentinel])
}

fn space_link(parameters: &Parameters) -> Result<Call, Fault> {
    let place = zoned(parameters)?;
    let instance = required(parameters, "SpaceId")?;
    let link = LinkBackup::new(place, Some(instance), required(parameters, "BackupId")?);
    Ok(Call::LinkBackup(LinkBackup { shard: parameters.text("BlockId").map(str::to_owned), ..link }))
}

fn space_backups(parameters: &Parameters) -> Result<Call, Fault> {
    Ok(Call::ListBackups(ListBackups {
        place: zoned(parameters)?,
        instance: Some(required(parameters, "SpaceId")?),
        page: page(parameters, BACKUP_PAGE)?,
        ..ListBackups::default()
    }))
}

/// A block is a shard: its primary stands for it. The answer is cut to the page, which must be given.
fn blocks(parameters: &Parameters) -> Result<Call, Fault> {
    let place = zoned(parameters)?;
    let instance = required(parameters, "SpaceId")?;
    for name in ["Offset", "Limit"] {
        required(parameters, name)?;
    }
    page(parameters, INSTANCE_PAGE)?;
    Ok(Call::ListShards(ListShards { place, instance, primaries_only: true }))
}

fn spaces(parameters: &Parameters) -> Result<Call, Fault> {
    redis_only(parameters)?;
    list(parameters, "SpaceId", vec![Topology::Cluster])
}

fn instances(parameters: &Parameters) -> Result<Call, Fault> {
    let topologies = match parameters.text("ResourceType") {
        None => Vec::new(),
        Some("distributed") => vec![Topology::Cluster],
        Some("single") => vec![Topology::Standalone, Topology::Sentinel],
        Some("performance") => return Err(bad("ResourceType", "no instance here is of that type")),
        Some(_) => return Err(bad("ResourceType", "must be distributed, single or performance")),
    };
    required(parameters, "Region")?;
    required(parameters, "Protocol")?;
    redis_only(parameters)?;
    list(parameters, "ResourceId", topologies)
}

fn redis_only(parameters: &Parameters) -> Result<(), Fault> {
    match parameters.text("Protocol") {
        None | Some("redis") => Ok(()),
        Some("memcache") => Err(bad("Protocol", "no instance here speaks memcache")),
        Some(_) => Err(bad("Protocol", "must be redis or memcache")),
    }
}

fn list(parameters: &Parameters, id: &str, topologies: Vec<Topology>) -> Result<Call, Fault> {
    Ok(Call::ListInstances(ListInstances {
        place: place(parameters)?,
        ids: parameters.text(id).map(str::to_owned).into_iter().collect(),
        topologies,
        page: page(parameters, INSTANCE_PAGE)?,
        ..ListInstances::default()
    }))
}

fn projects(parameters: &Parameters) -> Result<Call, Fault> {
    match parameters.text("IsFinance") {
        None | Some("No") => Ok(Call::ListProjects(ListProjects::default())),
        Some("Yes") => Err(bad("IsFinance", "no project here is of that kind")),
        Some(_) => Err(bad("IsFinance", "must be Yes or No")),
    }
}

fn required(parameters: &Parameters, name: &str) -> Result<String, Fault> {
    parameters.text(name).map(str::to_owned).ok_or_else(|| Fault::MissingParameter(name.to_owned()))
}

fn flag(parameters: &Parameters, name: &str) -> Result<bool, Fault> {
    match parameters.text(name) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(bad(name, "must be true or false")),
    }
}

/// The page asked for, also for cutting an answer to it.
pub(super) fn page(parameters: &Parameters, size: u64) -> Result<Page, Fault> {
    let number = |name: &str, default: u64| match parameters.text(name) {
        None => Ok(default),
        // JavaScript and Go may send more than fits a list; no list is that long.
        Some(text) => text.parse::<u32>().map(u64::from).map_err(|_| bad(name, "must be a number from 0")),
    };
    let limit = number("Limit", size)?;
    if limit == 0 {
        return Err(bad("Limit", "must be 1 or more"));
    }
    Ok(Page { offset: number("Offset", 0)?, limit: limit.min(MAX_PAGE) })
}

/// A place with a zone, as the distributed edition wants it.
fn zoned(parameters: &Parameters) -> Result<Place, Fault> {
    let place = place(parameters)?;
    required(parameters, "Zone")?;
    Ok(place)
}

fn place(parameters: &Parameters) -> Result<Place, Fault> {
    let region = required(parameters, "Region")?;
    let zone = parameters.text("Zone");
    let replica_zone = parameters.text("SlaveZone");
    if let Some(replica_zone) = replica_zone {
        if zone == Some(replica_zone) {
            return Err(bad("SlaveZone", "must be another zone than Zone"));
        }
        // Zones are named after their region; an operator's own names may not be.
        let of_zone = zone.and_then(region_by_name).unwrap_or(&region);
        if region_by_name(replica_zone).is_some_and(|its_region| its_region != of_zone) {
            return Err(bad("SlaveZone", "must be a zone of the same region"));
        }
    }
    Ok(Place {
        region: Some(region),
        zone: zone.map(str::to_owned),
        replica_zone: replica_zone.map(str::to_owned),
        spans_zones: flag(parameters, "RegionFlag")?,
        project: parameters.text("ProjectId").map(str::to_owned),
    })
}

/// `cn-bj2` of `cn-bj2-04`; `None` for a name that is not of the vendor's form.
fn region_by_name(zone: &str) -> Option<&str> {
    let (region, number) = zone.rsplit_once('-')?;
    let is_number = number.len() == 2 && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(region)
}
