//! Calls as Alibaba's parameters.

use std::time::Duration;

use super::minute;
use super::parameters::{BACKUP_PAGES, FOREVER_DAYS, MAX_INSTANCE_IDS, MAX_INSTANCE_PAGE, bad};
use super::request::{TASK_STATES, TASKS};
use crate::canonical::Parameters;
use crate::vocabulary::{
    Call, CreateBackup, DeleteBackups, Fault, JobKind, ListBackups, ListInstances, ListJobs, Page, Topology,
};

/// Writes a call: the action and its parameters.
pub(in crate::alibaba) fn ask(call: &Call, region: &str) -> Result<(&'static str, Parameters), Fault> {
    match call {
        Call::ListBackups(list) => Ok(("DescribeBackups", ask_backups(list, region)?)),
        Call::CreateBackup(create) => Ok(("CreateBackup", ask_create(create, region)?)),
        Call::ListInstances(list) => Ok(("DescribeInstances", ask_instances(list, region)?)),
        Call::ListJobs(list) => Ok(("DescribeBackupTasks", ask_tasks(list, region)?)),
        Call::DeleteBackups(delete) => Ok(("DeleteBackup", ask_delete(delete, region)?)),
        // DescribeBackups carries the links: list with `backup` and `links` instead.
        Call::LinkBackup(_)
        | Call::ListShards(_)
        | Call::ListRegions
        | Call::ListProjects(_)
        | Call::ShowAccount
        | Call::StopBackup(_)
        | Call::SetExpiry(_)
        | Call::ExportBackup(_)
        | Call::ShowPolicy(_)
        | Call::SetPolicy(_)
        | Call::Restore(_)
        | Call::ShowRestriction(_)
        | Call::SetRestriction(_)
        | Call::IssueToken(_) => Err(Fault::NotSupported("this call".to_owned())),
    }
}

fn ask_backups(list: &ListBackups, region: &str) -> Result<Parameters, Fault> {
    let missing = |name: &str| Fault::MissingParameter(name.to_owned());
    let mut parameters = start(list.place.region.as_deref(), region);
    let mut put = |name: &str, value: String| parameters.insert(name.to_owned(), value);
    put("InstanceId", list.instance.clone().ok_or_else(|| missing("InstanceId"))?);
    put("StartTime", minute(list.since.ok_or_else(|| missing("StartTime"))?));
    // The last minute counts whole: better one backup too many than one unseen.
    let until = list.until.ok_or_else(|| missing("EndTime"))?;
    put("EndTime", minute(until.checked_add(Duration::from_nanos(59_999_999_999)).unwrap_or(until)));
    if let Some(backup) = &list.backup {
        if backup.parse::<u32>().is_err() {
            return Err(bad("BackupId", "must be a number"));
        }
        put("BackupId", backup.clone());
    }
    if let Some(job) = list.job {
        put("BackupJobId", job.to_string());
    }
    put("NeedAof", u8::from(list.incremental).to_string());
    if !BACKUP_PAGES.contains(&list.page.limit) {
        return Err(bad("PageSize", "must be 30, 50, 100, 200 or 300"));
    }
    put_page(&mut parameters, list.page)?;
    Ok(parameters)
}

fn ask_create(create: &CreateBackup, region: &str) -> Result<Parameters, Fault> {
    let mut parameters = start(create.place.region.as_deref(), region);
    parameters.insert("InstanceId".to_owned(), create.instance.clone());
    let days = match create.keep_days {
        None => return Ok(parameters),
        Some(days @ 7..=730) => days.to_string(),
        Some(FOREVER_DAYS..) => "-1".to_owned(),
        Some(_) => return Err(bad("BackupRetentionPeriod", "must be 7 to 730, or a hundred years")),
    };
    parameters.insert("BackupRetentionPeriod".to_owned(), days);
    Ok(parameters)
}

fn ask_instances(list: &ListInstances, region: &str) -> Result<Parameters, Fault> {
    let mut parameters = start(list.place.region.as_deref(), region);
    if list.ids.len() > MAX_INSTANCE_IDS || list.ids.iter().any(|id| id.contains(',')) {
        return Err(bad("InstanceIds", "more than 30 ids, or a comma in one"));
    }
    if !list.ids.is_empty() {
        parameters.insert("InstanceIds".to_owned(), list.ids.join(","));
    }
    if let Some(search) = &list.search {
        parameters.insert("SearchKey".to_owned(), search.clone());
    }
    if let Some(zone) = &list.place.zone {
        parameters.insert("ZoneId".to_owned(), zone.clone());
    }
    let architecture = match list.topologies.as_slice() {
        [] => None,
        [Topology::Cluster] => Some("cluster"),
        [Topology::Standalone, Topology::Sentinel] => Some("standard"),
        _ => return Err(bad("ArchitectureType", "this vendor cannot tell these apart")),
    };
    if let Some(architecture) = architecture {
        parameters.insert("ArchitectureType".to_owned(), architecture.to_owned());
    }
    if !(1..=MAX_INSTANCE_PAGE).contains(&list.page.limit) {
        return Err(bad("PageSize", "must be 1 to 50"));
    }
    put_page(&mut parameters, list.page)?;
    Ok(parameters)
}

fn ask_tasks(list: &ListJobs, region: &str) -> Result<Parameters, Fault> {
    let only_backups = list.kinds == [JobKind::Backup];
    if !only_backups || list.states != TASK_STATES || list.page != TASKS || list.instance_search.is_some() {
        return Err(bad(
            "DescribeBackupTasks",
            "lists an instance's backups that have not failed, all at once",
        ));
    }
    if list.since.is_some() || list.until.is_some() {
        return Err(bad("DescribeBackupTasks", "has no range of time"));
    }
    let instance = list.instance.clone().ok_or_else(|| Fault::MissingParameter("InstanceId".to_owned()))?;
    let mut parameters = start(list.place.region.as_deref(), region);
    parameters.insert("InstanceId".to_owned(), instance);
    if let Some(job) = list.job {
        parameters.insert("BackupJobId".to_owned(), job.to_string());
    }
    if let Some(automated) = list.automated {
        let mode = if automated { "Automated" } else { "Manual" };
        parameters.insert("JobMode".to_owned(), mode.to_owned());
    }
    Ok(parameters)
}

fn ask_delete(delete: &DeleteBackups, region: &str) -> Result<Parameters, Fault> {
    let instance = delete.instance.clone().ok_or_else(|| Fault::MissingParameter("InstanceId".to_owned()))?;
    let [backup] = delete.backups.as_slice() else {
        return Err(bad("BackupId", "one at a time"));
    };
    let mut parameters = start(delete.place.region.as_deref(), region);
    parameters.insert("InstanceId".to_owned(), instance);
    parameters.insert("BackupId".to_owned(), backup.clone());
    Ok(parameters)
}

/// Starts with the region of the call or, without one, that of the endpoint.
fn start(of_call: Option<&str>, of_endpoint: &str) -> Parameters {
    let region = of_call.unwrap_or(of_endpoint);
    let pair = (!region.is_empty()).then(|| ("RegionId".to_owned(), region.to_owned()));
    pair.into_iter().collect()
}

fn put_page(parameters: &mut Parameters, page: Page) -> Result<(), Fault> {
    if !page.offset.is_multiple_of(page.limit) {
        return Err(bad("PageNumber", "the offset is not a whole number of pages"));
    }
    let number = page.offset / page.limit + 1;
    parameters.insert("PageNumber".to_owned(), number.to_string());
    parameters.insert("PageSize".to_owned(), page.limit.to_string());
    Ok(())
}
