//! Calls, written for the vendor.

use std::time::SystemTime;

use super::super::parameters::bad;
use super::super::{BEIJING, TIME_FORMAT};
use super::{BACKUP_TASK, RESTORE_TASK, task_status};
use crate::canonical::{Parameters as Pairs, write_calendar};
use crate::vocabulary::{
    AddressLimit, Call, CreateBackup, ExportBackup, Fault, InstanceOrder, JobKind, LinkBackup, ListBackups,
    ListInstances, ListJobs, Networks, Page, Place,
};

/// Writes a call; `region` is the one of the endpoint, for a call that names none.
pub(in crate::tencent_v2) fn ask(call: &Call, region: &str) -> Result<Pairs, Fault> {
    let (action, place, mut pairs) = match call {
        Call::LinkBackup(link) => ("GetBackupDownloadUrl", &link.place, ask_link(link)?),
        Call::ListBackups(list) => ("GetRedisBackupList", &list.place, ask_backups(list)?),
        Call::ListInstances(list) => ("DescribeRedis", &list.place, ask_instances(list)?),
        Call::CreateBackup(create) => ("ManualBackupInstance", &create.place, ask_create(create)?),
        Call::ExportBackup(export) => ("ExportRedisBackup", &export.place, ask_export(export)),
        Call::ListJobs(list) if list.job.is_some() => ("DescribeTaskInfo", &list.place, ask_task(list)?),
        Call::ListJobs(list) => ("GetRedisTaskList", &list.place, ask_tasks(list)?),
        Call::ListShards(_)
        | Call::ListRegions
        | Call::ListProjects(_)
        | Call::ShowAccount
        | Call::StopBackup(_)
        | Call::DeleteBackups(_)
        | Call::SetExpiry(_)
        | Call::ShowPolicy(_)
        | Call::SetPolicy(_)
        | Call::Restore(_)
        | Call::ShowRestriction(_)
        | Call::SetRestriction(_)
        | Call::IssueToken(_) => return Err(Fault::NotSupported("this call".to_owned())),
    };
    if *place != Place::in_region(place.region.clone()) {
        return Err(bad("Region", "is the only place that this vendor can list by"));
    }
    put(&mut pairs, "Action", action);
    let region = place.region.as_deref().unwrap_or(region);
    if !region.is_empty() {
        put(&mut pairs, "Region", region);
    }
    Ok(pairs)
}

fn put(pairs: &mut Pairs, name: &str, value: &(impl ToString + ?Sized)) {
    pairs.insert(name.to_owned(), value.to_string());
}

fn put_page(pairs: &mut Pairs, page: Page) {
    put(pairs, "limit", &page.limit);
    put(pairs, "offset", &page.offset);
}

fn put_range(pairs: &mut Pairs, since: Option<SystemTime>, until: Option<SystemTime>) {
    for (name, at) in [("beginTime", since), ("endTime", until)] {
        if let Some(at) = at {
            put(pairs, name, &write_calendar(at, BEIJING, TIME_FORMAT));
        }
    }
}

fn ask_link(link: &LinkBackup) -> Result<Pairs, Fault> {
    let instance = link.instance.as_deref().ok_or_else(|| Fault::MissingParameter("redisId".to_owned()))?;
    let chosen = link.shard.is_some() || link.other_region || link.ttl.is_some();
    if chosen || link.networks != Networks::Both || link.limit != AddressLimit::Default {
        return Err(bad("backupId", "this vendor's links cannot be chosen or limited"));
    }
    let mut pairs = Pairs::new();
    put(&mut pairs, "redisId", instance);
    put(&mut pairs, "backupId", &link.backup);
    Ok(pairs)
}

/// A filter that the vendor does not have is refused, since the answer would show too much; the order
/// is the vendor's own.
fn ask_backups(list: &ListBackups) -> Result<Pairs, Fault> {
    let instance = list.instance.as_deref().ok_or_else(|| Fault::MissingParameter("redisId".to_owned()))?;
    let filtered = list.backup.is_some()
        || list.job.is_some()
        || list.search.is_some()
        || list.instance_search.is_some()
        || list.automated.is_some()
        || !list.states.is_empty();
    if filtered {
        return Err(bad("redisId", "is the only filter of this vendor beside times"));
    }
    let mut pairs = Pairs::new();
    put(&mut pairs, "redisId", instance);
    put_range(&mut pairs, list.since, list.until);
    put_page(&mut pairs, list.page);
    Ok(pairs)
}

fn ask_instances(list: &ListInstances) -> Result<Pairs, Fault> {
    if list.ids.len() > 1 || list.name.is_some() || !list.any_of.is_empty() {
        return Err(bad("redisId", "this vendor lists by one id or by a part of the name"));
    }
    let mut pairs = Pairs::new();
    for (name, text) in [("redisId", list.ids.first()), ("redisName", list.search.as_ref())] {
        if let Some(text) = text {
            put(&mut pairs, name, text);
        }
    }
    let order = match list.order {
        InstanceOrder::Id if !list.descending => None,
        InstanceOrder::Id => Some("redisId"),
        InstanceOrder::Created => Some("createtime"),
        InstanceOrder::Project => Some("projectId"),
        InstanceOrder::Name | InstanceOrder::Topology => {
            return Err(bad("orderBy", "must be redisId, projectId or createtime"));
        }
    };
    if let Some(order) = order {
        put(&mut pairs, "orderBy", order);
        put(&mut pairs, "orderType", &u8::from(list.descending));
    }
    put_page(&mut pairs, list.page);
    Ok(pairs)
}

fn ask_create(create: &CreateBackup) -> Result<Pairs, Fault> {
    if create.name.is_some() || create.keep_days.is_some() {
        return Err(bad("remark", "is all that can be said of a backup here"));
    }
    let mut pairs = Pairs::new();
    put(&mut pairs, "redisId", &create.instance);
    if let Some(remark) = &create.remark {
        // A value that begins with @ would not be signed.
        let blank = if remark.starts_with('@') { " " } else { "" };
        put(&mut pairs, "remark", &format!("{blank}{remark}"));
    }
    Ok(pairs)
}

fn ask_export(export: &ExportBackup) -> Pairs {
    let mut pairs = Pairs::new();
    put(&mut pairs, "redisId", &export.instance);
    put(&mut pairs, "backupId", &export.backup);
    pairs
}

fn ask_task(list: &ListJobs) -> Result<Pairs, Fault> {
    let alone = ListJobs { place: list.place.clone(), job: list.job, page: list.page, ..ListJobs::default() };
    if *list != alone || list.page.offset > 0 {
        return Err(bad("requestId", "cannot be combined with other filters here"));
    }
    let mut pairs = Pairs::new();
    put(&mut pairs, "requestId", &list.job.unwrap_or_default());
    Ok(pairs)
}

fn ask_tasks(list: &ListJobs) -> Result<Pairs, Fault> {
    if list.automated.is_some() || list.kinds.contains(&JobKind::RemoveBackup) {
        return Err(bad("taskType", "this vendor cannot list by that"));
    }
    let mut pairs = Pairs::new();
    for (name, text) in [("redisId", &list.instance), ("redisName", &list.instance_search)] {
        if let Some(text) = text {
            put(&mut pairs, name, text);
        }
    }
    for (index, kind) in list.kinds.iter().enumerate() {
        let word = if *kind == JobKind::Restore { RESTORE_TASK } else { BACKUP_TASK };
        put(&mut pairs, &format!("taskType.{index}"), word);
    }
    for (index, state) in list.states.iter().enumerate() {
        put(&mut pairs, &format!("taskStatus.{index}"), &task_status(*state));
    }
    put_range(&mut pairs, list.since, list.until);
    put_page(&mut pairs, list.page);
    Ok(pairs)
}
