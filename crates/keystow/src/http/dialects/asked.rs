//! Does what a call asks for.

use std::collections::HashSet;

use keystow_dialects::{
    AddressLimit, BackupState as Shown, CreateBackup, Fault, LinkBackup, ListBackups, ListInstances,
    Networks, Reply, Unit,
};
use keystow_engine::Error;
use keystow_engine::access::Principal;
use keystow_engine::model::{
    self, Backup, BackupFilter, BackupRef, BackupState, Instance, InstanceFilter, InstanceId, Network, Page,
};
use keystow_engine::ops::{Engine, LinkOrder};

use super::{LinkStyle, Refused, told};

/// Days from which a vendor means "as long as the instance lives".
const FOR_EVER_DAYS: u32 = 36_500;

pub(super) async fn instances(
    engine: &Engine,
    who: &Principal,
    call: ListInstances,
) -> Result<Reply, Refused> {
    let filter = InstanceFilter {
        project: None,
        ids: call.ids,
        search: call.search,
        regions: call.region.into_iter().collect(),
        page: page(call.page),
    };
    let listed = engine.instances(who, filter).await?;
    let busy = busy_instances(engine, who).await?;
    let rows = listed.rows.iter().map(|row| told::instance(row, busy.contains(&row.id))).collect();
    Ok(Reply::Instances { total: listed.total, rows })
}

/// The instances with a backup under way.
async fn busy_instances(engine: &Engine, who: &Principal) -> Result<HashSet<InstanceId>, Error> {
    let filter =
        BackupFilter { states: vec![BackupState::Queued, BackupState::Running], ..BackupFilter::default() };
    Ok(engine.backups(who, filter).await?.rows.into_iter().map(|backup| backup.instance).collect())
}

pub(super) async fn backups(
    engine: &Engine,
    who: &Principal,
    call: ListBackups,
    style: &LinkStyle,
) -> Result<Reply, Refused> {
    let instance = match &call.instance {
        Some(id) => Some(visible(engine, who, id, call.region.as_deref()).await?.id),
        None => None,
    };
    let nothing = Reply::Backups { total: 0, full_bytes: 0, rows: Vec::new() };
    let backup = match call.backup.as_deref().map(str::parse::<BackupRef>) {
        Some(Err(_)) => return Ok(nothing),
        Some(Ok(which)) => Some(which),
        None => None,
    };
    let filter = BackupFilter {
        instance: instance.clone(),
        regions: call.region.into_iter().collect(),
        backup,
        job: call.job,
        since: call.since.and_then(|at| at.try_into().ok()),
        until: call.until.and_then(|at| at.try_into().ok()),
        states: states(&call.states),
        unit: match call.unit {
            Unit::Set => model::Unit::Set,
            Unit::Part => model::Unit::Part,
        },
        page: page(call.page),
        ..BackupFilter::default()
    };
    let listed = engine.backups(who, filter).await?;
    let full_bytes = match &instance {
        Some(id) => engine.available_bytes(who, id).await?,
        None => 0,
    };
    let mut rows = Vec::new();
    for backup in &listed.rows {
        let mut row = told::backup(backup, call.unit);
        if call.links && backup.state == BackupState::Available && may_link(who) {
            let order = order(style, vec![Network::Public, Network::Intranet], Vec::new());
            row.links = told::links(engine.issue_links(who, backup, &order).await?);
        }
        rows.push(row);
    }
    Ok(Reply::Backups { total: listed.total, full_bytes, rows })
}

/// A list is shown without links to a key that may see but not download.
fn may_link(who: &Principal) -> bool {
    who.role().allows(model::Right::Link)
}

pub(super) async fn create(engine: &Engine, who: &Principal, call: CreateBackup) -> Result<Reply, Refused> {
    who.with(model::Right::Operate)?;
    let instance = visible(engine, who, &call.instance, call.region.as_deref()).await?;
    let keep_days = call.keep_days.filter(|days| *days < FOR_EVER_DAYS);
    let backup =
        engine.request_backup(who, &instance.id, call.remark, keep_days).await.map_err(
            |error| match error.code {
                "BACKUP_RUNNING" => Refused::Fault(Fault::InstanceBusy(instance.id.to_string())),
                _ => Refused::Error(error),
            },
        )?;
    Ok(Reply::Started { job: backup.job })
}

pub(super) async fn link(
    engine: &Engine,
    who: &Principal,
    call: LinkBackup,
    style: &LinkStyle,
) -> Result<Reply, Refused> {
    // Whether the caller may is asked before whether the thing exists.
    who.with(model::Right::Link)?;
    let instance = visible(engine, who, &call.instance, call.region.as_deref()).await?;
    let backup = backup_of(engine, who, &instance, &call.backup).await?;
    let networks = match call.networks {
        Networks::Both => vec![Network::Public, Network::Intranet],
        Networks::Intranet => vec![Network::Intranet],
    };
    let addresses = match call.limit {
        AddressLimit::Default | AddressLimit::None => Vec::new(),
        AddressLimit::Custom { except: false, addresses, vpcs } if vpcs.is_empty() => addresses,
        AddressLimit::Custom { .. } => {
            return Err(Fault::NotSupported("LimitVpc and NotIn".to_owned()).into());
        }
    };
    let addresses = addresses
        .iter()
        .map(|text| text.parse())
        .collect::<Result<Vec<_>, Error>>()
        .map_err(|error| Fault::BadParameter { name: "LimitIp".to_owned(), why: error.to_string() })?;
    let links =
        engine.issue_links(who, &backup, &order(style, networks, addresses)).await.map_err(|error| {
            match error.code {
                "BACKUP_NOT_AVAILABLE" => Refused::Fault(Fault::BackupNotReady(call.backup.clone())),
                _ => Refused::Error(error),
            }
        })?;
    Ok(Reply::Links(told::links(links)))
}

fn order(
    style: &LinkStyle,
    networks: Vec<Network>,
    addresses: Vec<keystow_engine::links::AddressRange>,
) -> LinkOrder {
    LinkOrder {
        networks,
        ttl: style.ttl,
        spelling: style.spelling,
        addresses,
        deliveries: None,
        remember: false,
        unverified: false,
    }
}

/// An instance that the caller sees in that region.
async fn visible(
    engine: &Engine,
    who: &Principal,
    id: &str,
    region: Option<&str>,
) -> Result<Instance, Refused> {
    let missing = || Refused::Fault(Fault::NoSuchInstance(id.chars().take(80).collect()));
    let parsed: InstanceId = id.parse().map_err(|_| missing())?;
    let instance = engine.instance(who, &parsed).await.map_err(|error| match error.code {
        "INSTANCE_NOT_FOUND" => missing(),
        _ => Refused::Error(error),
    })?;
    match (&instance.region, region) {
        (Some(own), Some(asked)) if own != asked => Err(missing()),
        _ => Ok(instance),
    }
}

/// A backup of that instance.
async fn backup_of(
    engine: &Engine,
    who: &Principal,
    instance: &Instance,
    id: &str,
) -> Result<Backup, Refused> {
    let missing = || Refused::Fault(Fault::NoSuchBackup(id.chars().take(80).collect()));
    let which: BackupRef = id.parse().map_err(|_| missing())?;
    let backup = engine.backup(who, which).await.map_err(|error| match error.code {
        "BACKUP_NOT_FOUND" => missing(),
        _ => Refused::Error(error),
    })?;
    if backup.instance != instance.id || backup.state == BackupState::Expired {
        return Err(missing());
    }
    Ok(backup)
}

fn page(page: keystow_dialects::Page) -> Page {
    Page { offset: page.offset, limit: page.limit }
}

/// Our states behind a vendor's. An empty list stays empty: all but the expired ones.
fn states(shown: &[Shown]) -> Vec<BackupState> {
    shown
        .iter()
        .flat_map(|state| match state {
            Shown::Running => &[BackupState::Queued, BackupState::Running][..],
            Shown::Available => &[BackupState::Available],
            Shown::Failed => {
                &[BackupState::Failed, BackupState::Partial, BackupState::Quarantined, BackupState::Damaged]
            }
        })
        .copied()
        .collect()
}
