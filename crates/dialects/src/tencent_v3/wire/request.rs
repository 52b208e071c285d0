//! Calls as Tencent's SDKs write them, in both directions.

mod backups;
mod instances;
mod jobs;
mod links;
mod policy;

use std::time::SystemTime;

use bytes::Bytes;
use serde_json::{Map, Value};

use super::parameters::{Parameters, bad};
use super::{BEIJING, TIME_FORMAT, TIME_TEMPLATE};
use crate::canonical::{moment, read_calendar, write_calendar};
use crate::tencent_v3::NOT_YET;
use crate::vocabulary::{Call, Fault, Page, Place, Request};

pub(super) use backups::status;
pub(super) use jobs::{BACKUP_BY_HAND, BACKUP_BY_POLICY, REMOVE_BACKUP, RESTORE, result};

const DEFAULT_LIMIT: u64 = 20;
const ONLY_ONE_FILTER: &str = "cannot be combined with the other filters here";

/// Reads the parameters of an action.
pub(in crate::tencent_v3) fn decode(
    action: String,
    region: Option<String>,
    request: &Request,
) -> Result<Call, Fault> {
    let read = match action.as_str() {
        "DescribeBackupUrl" => links::backup_url,
        "DescribeBackupDownloadRestriction" => links::show_restriction,
        "ModifyBackupDownloadRestriction" => links::set_restriction,
        "DescribeInstanceBackups" => backups::list,
        "DescribeBackupDetail" => backups::detail,
        "ManualBackupInstance" => backups::create,
        "RestoreInstance" => backups::restore,
        "DescribeInstances" => instances::list,
        "DescribeInstanceShards" => instances::shards,
        "DescribeInstanceNodeInfo" => instances::nodes,
        "DescribeTaskInfo" => jobs::info,
        "DescribeTaskList" => jobs::list,
        "DescribeAutoBackupConfig" => policy::show,
        "ModifyAutoBackupConfig" => policy::set,
        known if NOT_YET.contains(&known) => return Err(Fault::NotSupported(action)),
        _ => return Err(Fault::UnknownAction(action)),
    };
    read(&Parameters::read(request)?, Place::in_region(region))
}

fn page(parameters: &Parameters, most: u64) -> Result<Page, Fault> {
    let number = |name: &str, default: u64| match parameters.integer(name)? {
        None => Ok(default),
        Some(value) => u64::try_from(value).map_err(|_| bad(name, "must not be negative")),
    };
    let limit = number("Limit", DEFAULT_LIMIT)?;
    if !(1..=most).contains(&limit) {
        return Err(bad("Limit", &format!("must be 1 to {most}")));
    }
    Ok(Page { offset: number("Offset", 0)?, limit })
}

fn time(parameters: &Parameters, name: &str) -> Result<Option<SystemTime>, Fault> {
    let Some(text) = parameters.text(name)? else { return Ok(None) };
    let time = read_calendar(text, TIME_TEMPLATE).and_then(|calendar| moment(calendar, BEIJING));
    time.map(Some).ok_or_else(|| bad(name, "must be like 2026-01-31 23:59:59"))
}

/// `BeginTime` and `EndTime`, both included.
fn range(parameters: &Parameters) -> Result<(Option<SystemTime>, Option<SystemTime>), Fault> {
    let (since, until) = (time(parameters, "BeginTime")?, time(parameters, "EndTime")?);
    match (since, until) {
        (Some(since), Some(until)) if until < since => Err(bad("EndTime", "is before BeginTime")),
        range => Ok(range),
    }
}

/// A call as the vendor takes it.
pub(in crate::tencent_v3) struct Asked<'a> {
    /// Action name.
    pub(in crate::tencent_v3) action: &'static str,
    /// The call's own region.
    pub(in crate::tencent_v3) region: Option<&'a str>,
    /// The JSON body.
    pub(in crate::tencent_v3) body: Bytes,
}

/// Writes a call.
pub(in crate::tencent_v3) fn ask(call: &Call) -> Result<Asked<'_>, Fault> {
    let (action, place, members) = match call {
        Call::LinkBackup(link) => ("DescribeBackupUrl", &link.place, links::ask(link)?),
        Call::ListBackups(list) => (backups::list_action(list), &list.place, backups::ask_list(list)?),
        Call::CreateBackup(create) => ("ManualBackupInstance", &create.place, backups::ask_create(create)?),
        Call::ListInstances(list) => ("DescribeInstances", &list.place, instances::ask(list)?),
        Call::ListJobs(list) => (jobs::action(list), &list.place, jobs::ask(list)?),
        Call::ListShards(_)
        | Call::ListRegions
        | Call::ListProjects(_)
        | Call::ShowAccount
        | Call::StopBackup(_)
        | Call::DeleteBackups(_)
        | Call::SetExpiry(_)
        | Call::ExportBackup(_)
        | Call::ShowPolicy(_)
        | Call::SetPolicy(_)
        | Call::Restore(_)
        | Call::ShowRestriction(_)
        | Call::SetRestriction(_)
        | Call::IssueToken(_) => return Err(Fault::NotSupported("this call".to_owned())),
    };
    let elsewhere = Place { region: place.region.clone(), ..Place::default() };
    if *place != elsewhere {
        return Err(bad("Region", "is the only place that this vendor can list by"));
    }
    let body = Value::Object(members).to_string().into();
    Ok(Asked { action, region: place.region.as_deref(), body })
}

type Members = Map<String, Value>;

fn put(members: &mut Members, name: &str, value: impl Into<Value>) {
    members.insert(name.to_owned(), value.into());
}

fn put_range(members: &mut Members, since: Option<SystemTime>, until: Option<SystemTime>) {
    for (name, at) in [("BeginTime", since), ("EndTime", until)] {
        if let Some(at) = at {
            put(members, name, write_calendar(at, BEIJING, TIME_FORMAT));
        }
    }
}

fn put_page(members: &mut Members, page: Page) {
    put(members, "Limit", page.limit);
    put(members, "Offset", page.offset);
}
