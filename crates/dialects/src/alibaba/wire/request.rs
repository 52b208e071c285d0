//! Calls as Alibaba's parameters, in both directions.

use std::time::{Duration, SystemTime};

use jiff::tz::Offset;

use crate::alibaba::NOT_YET;
use crate::alibaba::sign;
use crate::canonical::{Parameters, moment, read_calendar, write_calendar};
use crate::vocabulary::{
    BackupState, Call, CreateBackup, Fault, ListBackups, ListInstances, Page, Place, Request, Unit,
};

/// Page sizes of `DescribeBackups` ("Request parameters").
const BACKUP_PAGES: [u64; 5] = [30, 50, 100, 200, 300];
const DEFAULT_PAGE: u64 = 30;
const MAX_INSTANCE_PAGE: u64 = 50;
const MAX_INSTANCE_IDS: usize = 30;
/// How `-1`, "as long as the instance lives", is told in days: a hundred years.
const FOREVER_DAYS: u32 = 36_500;
/// Filters of `DescribeInstances` that no instance here fails with this value.
const TRUE_OF_ALL: [(&str, &str); 5] = [
    ("ChargeType", "PostPaid"),
    ("EditionType", "Community"),
    ("Expired", "false"),
    ("InstanceType", "Redis"),
    ("NetworkType", "VPC"),
];
/// Filters of `DescribeInstances` that the server cannot apply; to ignore one would show too much.
const OTHER_FILTERS: [&str; 10] = [
    "ArchitectureType",
    "EngineVersion",
    "GlobalInstance",
    "InstanceClass",
    "InstanceStatus",
    "PrivateIp",
    "ResourceGroupId",
    "VSwitchId",
    "VpcId",
    "ZoneId",
];

/// Reads the parameters of an action. Unknown parameters are ignored, as the vendor does.
pub(in crate::alibaba) fn decode(action: String, parameters: &Parameters) -> Result<Call, Fault> {
    match action.as_str() {
        "DescribeBackups" => describe_backups(parameters),
        "CreateBackup" => create_backup(parameters),
        "DescribeInstances" => describe_instances(parameters),
        known if NOT_YET.contains(&known) => Err(Fault::NotSupported(action)),
        _ => Err(Fault::UnknownAction(action)),
    }
}

/// Page number and page size that the answer repeats.
pub(in crate::alibaba) fn page_shown(request: &Request) -> (u64, u64) {
    let parameters = sign::parameters(request).unwrap_or_default();
    let shown = |name, default| number(&parameters, name).ok().flatten().unwrap_or(default);
    (shown("PageNumber", 1), shown("PageSize", DEFAULT_PAGE))
}

fn describe_backups(parameters: &Parameters) -> Result<Call, Fault> {
    let instance = required(parameters, "InstanceId")?;
    let since = time(parameters, "StartTime")?;
    let until = time(parameters, "EndTime")?;
    if until <= since {
        return Err(bad("EndTime", "must be later than StartTime"));
    }
    let incremental = match text(parameters, "NeedAof") {
        None | Some("0") => false,
        Some("1") => true,
        Some(_) => return Err(bad("NeedAof", "must be 0 or 1")),
    };
    Ok(Call::ListBackups(ListBackups {
        place: Place::in_region(owned(parameters, "RegionId")),
        instance: Some(instance.to_owned()),
        backup: number(parameters, "BackupId")?.map(|id| id.to_string()),
        job: number(parameters, "BackupJobId")?,
        since: Some(since),
        until: Some(until),
        states: vec![BackupState::Available, BackupState::Failed],
        incremental,
        unit: Unit::Part,
        links: true,
        page: page(parameters, |size| BACKUP_PAGES.contains(&size), "must be 30, 50, 100, 200 or 300")?,
        ..ListBackups::default()
    }))
}

fn create_backup(parameters: &Parameters) -> Result<Call, Fault> {
    let keep_days = match integer(parameters, "BackupRetentionPeriod")? {
        None => None,
        Some(-1) => Some(FOREVER_DAYS),
        Some(days @ 7..=730) => u32::try_from(days).ok(),
        Some(_) => return Err(bad("BackupRetentionPeriod", "must be 7 to 730, or -1")),
    };
    Ok(Call::CreateBackup(CreateBackup {
        place: Place::in_region(owned(parameters, "RegionId")),
        instance: required(parameters, "InstanceId")?.to_owned(),
        remark: None,
        keep_days,
        ..CreateBackup::default()
    }))
}

fn describe_instances(parameters: &Parameters) -> Result<Call, Fault> {
    for (name, value) in parameters.iter().filter(|(_, value)| !value.is_empty()) {
        let passes = TRUE_OF_ALL.iter().find(|(filter, _)| filter == name);
        let refused = passes.is_some_and(|(_, all)| !value.eq_ignore_ascii_case(all))
            || OTHER_FILTERS.contains(&name.as_str())
            || name.starts_with("Tag.");
        if refused {
            return Err(Fault::UnknownParameter(name.clone()));
        }
    }
    let ids: Vec<String> = text(parameters, "InstanceIds")
        .into_iter()
        .flat_map(|ids| ids.split(',').map(str::trim).filter(|id| !id.is_empty()).map(str::to_owned))
        .collect();
    if ids.len() > MAX_INSTANCE_IDS {
        return Err(bad("InstanceIds", "more than 30 ids"));
    }
    if ids.is_empty() && text(parameters, "InstanceIds").is_some() {
        return Err(bad("InstanceIds", "no id between the commas"));
    }
    Ok(Call::ListInstances(ListInstances {
        place: Place::in_region(owned(parameters, "RegionId")),
        ids,
        search: owned(parameters, "SearchKey"),
        page: page(parameters, |size| (1..=MAX_INSTANCE_PAGE).contains(&size), "must be 1 to 50")?,
        ..ListInstances::default()
    }))
}

fn bad(name: &str, why: &str) -> Fault {
    Fault::BadParameter { name: name.to_owned(), why: why.to_owned() }
}

/// The value of a parameter; an empty one counts as absent.
fn text<'a>(parameters: &'a Parameters, name: &str) -> Option<&'a str> {
    parameters.get(name).map(String::as_str).filter(|value| !value.is_empty())
}

fn owned(parameters: &Parameters, name: &str) -> Option<String> {
    text(parameters, name).map(str::to_owned)
}

fn required<'a>(parameters: &'a Parameters, name: &str) -> Result<&'a str, Fault> {
    text(parameters, name).ok_or_else(|| Fault::MissingParameter(name.to_owned()))
}

fn integer(parameters: &Parameters, name: &str) -> Result<Option<i64>, Fault> {
    text(parameters, name).map(str::parse).transpose().map_err(|_| bad(name, "must be a whole number"))
}

/// Ids that the vendor counts from 1.
fn number(parameters: &Parameters, name: &str) -> Result<Option<u64>, Fault> {
    let positive = |value| u64::try_from(value).ok().filter(|value| *value > 0);
    let value = integer(parameters, name)?;
    value.map(|value| positive(value).ok_or_else(|| bad(name, "must be a positive number"))).transpose()
}

/// A time with minutes, as the vendor documents it, or with seconds, as its answers show it.
fn time(parameters: &Parameters, name: &str) -> Result<SystemTime, Fault> {
    let value = required(parameters, name)?;
    ["0000-00-00T00:00Z", "0000-00-00T00:00:00Z"]
        .into_iter()
        .find_map(|template| read_calendar(value, template))
        .and_then(|calendar| moment(calendar, Offset::UTC))
        .ok_or_else(|| bad(name, "must be like 2026-01-31T23:59Z"))
}

fn page(parameters: &Parameters, fits: impl Fn(u64) -> bool, sizes: &str) -> Result<Page, Fault> {
    let limit = match integer(parameters, "PageSize")? {
        None => DEFAULT_PAGE,
        Some(size) => {
            u64::try_from(size).ok().filter(|size| fits(*size)).ok_or_else(|| bad("PageSize", sizes))?
        }
    };
    let number = integer(parameters, "PageNumber")?.unwrap_or(1);
    let number = u32::try_from(number).ok().filter(|number| *number > 0);
    let number = number.ok_or_else(|| bad("PageNumber", "must be a positive number"))?;
    Ok(Page { offset: (u64::from(number) - 1) * limit, limit })
}

/// Writes a call: the action and its parameters.
pub(in crate::alibaba) fn ask(call: &Call, region: &str) -> Result<(&'static str, Parameters), Fault> {
    match call {
        Call::ListBackups(list) => Ok(("DescribeBackups", ask_backups(list, region)?)),
        Call::CreateBackup(create) => Ok(("CreateBackup", ask_create(create, region)?)),
        Call::ListInstances(list) => Ok(("DescribeInstances", ask_instances(list, region)?)),
        // DescribeBackups carries the links: list with `backup` and `links` instead.
        _ => Err(Fault::NotSupported("this call".to_owned())),
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
    if !(1..=MAX_INSTANCE_PAGE).contains(&list.page.limit) {
        return Err(bad("PageSize", "must be 1 to 50"));
    }
    put_page(&mut parameters, list.page)?;
    Ok(parameters)
}

/// Starts with the region of the call or, without one, that of the endpoint.
fn start(of_call: Option<&str>, of_endpoint: &str) -> Parameters {
    let region = of_call.unwrap_or(of_endpoint);
    let pair = (!region.is_empty()).then(|| ("RegionId".to_owned(), region.to_owned()));
    pair.into_iter().collect()
}

fn minute(at: SystemTime) -> String {
    write_calendar(at, Offset::UTC, "%Y-%m-%dT%H:%MZ")
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
