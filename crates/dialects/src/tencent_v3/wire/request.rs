//! Calls as Tencent's parameters, in both directions.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::parameters::{Parameters, bad, texts};
use super::{BEIJING, TIME_FORMAT, TIME_TEMPLATE};
use crate::canonical::{moment, read_calendar, write_calendar};
use crate::tencent_v3::NOT_YET;
use crate::tencent_v3::fault::WRONG_TYPE;
use crate::vocabulary::{
    AddressLimit, BackupState, Call, CreateBackup, Fault, LinkBackup, ListBackups, ListInstances, Networks,
    Page, Place, Request, Unit,
};

const DEFAULT_LIMIT: u64 = 20;
const MAX_BACKUPS: u64 = 100;
const MAX_INSTANCES: u64 = 1000;
/// The longest interval of `DescribeInstanceBackups`.
const MAX_SPAN: Duration = Duration::from_hours(30 * 24);
const MAX_STORAGE_DAYS: i64 = 1825;
const ONLY_ONE_FILTER: &str = "cannot be combined with the other filters here";
/// Parameters of `DescribeInstances` that only put the list in order; the order here is fixed.
const ORDER: [&str; 2] = ["OrderBy", "OrderType"];
/// Its filters that the server cannot apply; to ignore one would show too much.
const OTHER_FILTERS: [&str; 20] = [
    "AutoRenew",
    "AzMode",
    "BillingMode",
    "EngineName",
    "InstanceTags",
    "MonitorVersion",
    "ProductVersions",
    "ProjectIds",
    "RegionIds",
    "Status",
    "SubnetIds",
    "TagKeys",
    "TagList",
    "Type",
    "TypeList",
    "TypeVersion",
    "UniqSubnetIds",
    "UniqVpcIds",
    "VpcIds",
    "ZoneIds",
];

/// Reads the parameters of an action.
pub(in crate::tencent_v3) fn decode(
    action: String,
    region: Option<String>,
    request: &Request,
) -> Result<Call, Fault> {
    let read = match action.as_str() {
        "DescribeBackupUrl" => backup_url,
        "DescribeInstanceBackups" => instance_backups,
        "ManualBackupInstance" => manual_backup,
        "DescribeInstances" => instances,
        known if NOT_YET.contains(&known) => return Err(Fault::NotSupported(action)),
        _ => return Err(Fault::UnknownAction(action)),
    };
    read(&Parameters::read(request)?, region)
}

fn backup_url(parameters: &Parameters, region: Option<String>) -> Result<Call, Fault> {
    parameters.only(&[
        "InstanceId",
        "BackupId",
        "LimitType",
        "VpcComparisonSymbol",
        "IpComparisonSymbol",
        "LimitVpc",
        "LimitIp",
    ])?;
    let (networks, limit) = match parameters.text("LimitType")? {
        // A caller who lists addresses believes the link to be limited to them.
        None if parameters.is_set("LimitIp") || parameters.is_set("LimitVpc") => {
            return Err(bad("LimitType", "must be Customize for LimitIp and LimitVpc to count"));
        }
        None => (Networks::Both, AddressLimit::Default),
        Some("NoLimit") => (Networks::Both, AddressLimit::None),
        Some("LimitOnlyIntranet") => (Networks::Intranet, AddressLimit::None),
        Some("Customize") => (Networks::Both, customized(parameters)?),
        Some(_) => return Err(bad("LimitType", "must be NoLimit, LimitOnlyIntranet or Customize")),
    };
    Ok(Call::LinkBackup(LinkBackup {
        networks,
        limit,
        ..LinkBackup::new(
            Place::in_region(region),
            Some(parameters.required("InstanceId")?),
            parameters.required("BackupId")?,
        )
    }))
}

fn customized(parameters: &Parameters) -> Result<AddressLimit, Fault> {
    if !matches!(parameters.text("VpcComparisonSymbol")?, None | Some("In")) {
        return Err(bad("VpcComparisonSymbol", "must be In"));
    }
    let except = match parameters.text("IpComparisonSymbol")? {
        None | Some("In") => false,
        Some("NotIn") => true,
        Some(_) => return Err(bad("IpComparisonSymbol", "must be In or NotIn")),
    };
    let addresses = parameters.texts("LimitIp")?;
    if !addresses.iter().all(|address| is_address(address)) {
        return Err(bad("LimitIp", "must hold IP addresses or CIDRs"));
    }
    let mut vpcs = Vec::new();
    for item in parameters.list("LimitVpc")? {
        let region = item["Region"].as_str().ok_or_else(|| bad("LimitVpc", WRONG_TYPE))?;
        let ids = item["VpcList"].as_array().ok_or_else(|| bad("LimitVpc", WRONG_TYPE))?;
        vpcs.extend(texts("LimitVpc", ids)?.into_iter().map(|id| (id, region.to_owned())));
    }
    if addresses.is_empty() && vpcs.is_empty() {
        return Err(bad("LimitType", "Customize needs LimitIp or LimitVpc"));
    }
    Ok(AddressLimit::Custom { except, addresses, vpcs })
}

/// An IP address, or one with a prefix length that fits it.
fn is_address(text: &str) -> bool {
    let (address, length) =
        text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
    address.parse::<IpAddr>().is_ok_and(|address| {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        length.is_none_or(|length| length.parse::<u8>().is_ok_and(|length| length <= bits))
    })
}

fn instance_backups(parameters: &Parameters, region: Option<String>) -> Result<Call, Fault> {
    parameters.only(&["InstanceId", "Limit", "Offset", "BeginTime", "EndTime", "Status", "InstanceName"])?;
    if parameters.is_set("InstanceName") {
        return Err(bad("InstanceName", "is not supported as a filter; use InstanceId"));
    }
    let since = time(parameters, "BeginTime")?;
    let until = time(parameters, "EndTime")?;
    if let (Some(since), Some(until)) = (since, until) {
        let span = until.duration_since(since).map_err(|_| bad("EndTime", "is before BeginTime"))?;
        if span > MAX_SPAN {
            return Err(bad("EndTime", "is more than 30 days after BeginTime"));
        }
    }
    Ok(Call::ListBackups(ListBackups {
        place: Place::in_region(region),
        instance: parameters.text("InstanceId")?.map(str::to_owned),
        backup: None,
        job: None,
        since,
        until,
        states: states(parameters)?,
        incremental: false,
        unit: Unit::Set,
        links: false,
        page: page(parameters, MAX_BACKUPS)?,
        ..ListBackups::default()
    }))
}

/// Without `Status` the vendor lists finished backups only. A backup that failed or was damaged is
/// shown as expired, the vendor's word for one that cannot be used; 3, 4 (exports) and -2 (deleted)
/// are states that no backup here is ever in.
fn states(parameters: &Parameters) -> Result<Vec<BackupState>, Fault> {
    let asked = parameters.integers("Status")?;
    if asked.is_empty() {
        return Ok(vec![BackupState::Available]);
    }
    let mut states = Vec::new();
    for status in asked {
        let state = match status {
            1 => BackupState::Running,
            2 => BackupState::Available,
            -1 => BackupState::Failed,
            -2 | 3 | 4 => continue,
            _ => return Err(bad("Status", "must be 1, 2 or -1")),
        };
        if !states.contains(&state) {
            states.push(state);
        }
    }
    if states.is_empty() { Err(bad("Status", "no backup is ever in that state here")) } else { Ok(states) }
}

fn manual_backup(parameters: &Parameters, region: Option<String>) -> Result<Call, Fault> {
    parameters.only(&["InstanceId", "Remark", "StorageDays"])?;
    let keep_days = match parameters.integer("StorageDays")? {
        // The vendor allows 0 and does not say what it means; to lose the backup at once it cannot be.
        None | Some(0) => None,
        Some(days @ 1..=MAX_STORAGE_DAYS) => u32::try_from(days).ok(),
        Some(_) => return Err(bad("StorageDays", "must be 0 to 1825")),
    };
    Ok(Call::CreateBackup(CreateBackup {
        place: Place::in_region(region),
        instance: parameters.required("InstanceId")?,
        remark: parameters.text("Remark")?.map(str::to_owned),
        keep_days,
        ..CreateBackup::default()
    }))
}

fn instances(parameters: &Parameters, region: Option<String>) -> Result<Call, Fault> {
    let own = ["Limit", "Offset", "InstanceId", "InstanceIds", "InstanceName", "SearchKey", "SearchKeys"];
    parameters.only(&[&own[..], &ORDER, &OTHER_FILTERS].concat())?;
    if let Some(filter) = OTHER_FILTERS.iter().find(|name| parameters.is_set(name)) {
        return Err(bad(filter, "is not supported as a filter"));
    }
    let mut ids = parameters.texts("InstanceIds")?;
    if let Some(id) = parameters.text("InstanceId")? {
        if !ids.is_empty() && !ids.iter().any(|other| other == id) {
            return Err(bad("InstanceId", ONLY_ONE_FILTER));
        }
        ids = vec![id.to_owned()];
    }
    let keys = parameters.texts("SearchKeys")?;
    let texts = [parameters.text("InstanceName")?, parameters.text("SearchKey")?];
    let mut searches: Vec<&str> =
        keys.iter().map(String::as_str).chain(texts.into_iter().flatten()).collect();
    searches.dedup();
    if searches.len() > 1 {
        return Err(bad("SearchKey", ONLY_ONE_FILTER));
    }
    Ok(Call::ListInstances(ListInstances {
        place: Place::in_region(region),
        ids,
        search: searches.first().map(|&search| search.to_owned()),
        page: page(parameters, MAX_INSTANCES)?,
        ..ListInstances::default()
    }))
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
    let (action, region, members) = match call {
        Call::LinkBackup(link) => ("DescribeBackupUrl", &link.place.region, ask_links(link)?),
        Call::ListBackups(list) => ("DescribeInstanceBackups", &list.place.region, ask_backups(list)?),
        Call::CreateBackup(create) => ("ManualBackupInstance", &create.place.region, ask_create(create)?),
        Call::ListInstances(list) => ("DescribeInstances", &list.place.region, ask_instances(list)?),
        _ => return Err(Fault::NotSupported("this call".to_owned())),
    };
    Ok(Asked { action, region: region.as_deref(), body: Value::Object(members).to_string().into() })
}

type Members = Map<String, Value>;

fn put(members: &mut Members, name: &str, value: impl Into<Value>) {
    members.insert(name.to_owned(), value.into());
}

fn ask_links(link: &LinkBackup) -> Result<Members, Fault> {
    let mut members = Members::new();
    let instance =
        link.instance.as_deref().ok_or_else(|| Fault::MissingParameter("InstanceId".to_owned()))?;
    put(&mut members, "InstanceId", instance);
    put(&mut members, "BackupId", link.backup.as_str());
    match (link.networks, &link.limit) {
        (Networks::Both, AddressLimit::Default) => {}
        (Networks::Both, AddressLimit::None) => put(&mut members, "LimitType", "NoLimit"),
        (Networks::Intranet, AddressLimit::None) => put(&mut members, "LimitType", "LimitOnlyIntranet"),
        (Networks::Both, AddressLimit::Custom { except, addresses, vpcs }) => {
            put(&mut members, "LimitType", "Customize");
            put(&mut members, "VpcComparisonSymbol", "In");
            put(&mut members, "IpComparisonSymbol", if *except { "NotIn" } else { "In" });
            put(&mut members, "LimitIp", addresses.clone());
            let groups = vpcs.chunk_by(|one, other| one.1 == other.1);
            let groups = groups.map(|group| {
                let ids: Vec<&str> = group.iter().map(|(id, _)| id.as_str()).collect();
                json!({"Region": group.first().map(|(_, region)| region), "VpcList": ids})
            });
            put(&mut members, "LimitVpc", groups.collect::<Vec<_>>());
        }
        (Networks::Intranet, _) => {
            return Err(bad("LimitType", "one network and other limits do not go together"));
        }
    }
    Ok(members)
}

/// `unit` and `links` choose a form that this vendor does not have and are left out; a filter that
/// it does not have is refused, since the answer would show too much.
fn ask_backups(list: &ListBackups) -> Result<Members, Fault> {
    if list.backup.is_some() || list.job.is_some() {
        return Err(bad("BackupId", "this vendor cannot list by it"));
    }
    let mut members = Members::new();
    if let Some(instance) = &list.instance {
        put(&mut members, "InstanceId", instance.as_str());
    }
    for (name, at) in [("BeginTime", list.since), ("EndTime", list.until)] {
        if let Some(at) = at {
            put(&mut members, name, write_calendar(at, BEIJING, TIME_FORMAT));
        }
    }
    let all = [BackupState::Running, BackupState::Available, BackupState::Failed];
    let states = if list.states.is_empty() { &all[..] } else { &list.states };
    put(&mut members, "Status", states.iter().map(|state| status(*state)).collect::<Vec<_>>());
    put_page(&mut members, list.page);
    Ok(members)
}

/// The vendor's number of a state.
pub(super) fn status(state: BackupState) -> i64 {
    match state {
        BackupState::Running => 1,
        BackupState::Available => 2,
        BackupState::Failed => -1,
    }
}

fn ask_create(create: &CreateBackup) -> Result<Members, Fault> {
    let mut members = Members::new();
    put(&mut members, "InstanceId", create.instance.as_str());
    if let Some(remark) = &create.remark {
        put(&mut members, "Remark", remark.as_str());
    }
    match create.keep_days.map(i64::from) {
        None => {}
        Some(days @ 1..=MAX_STORAGE_DAYS) => put(&mut members, "StorageDays", days),
        Some(_) => return Err(bad("StorageDays", "must be 1 to 1825")),
    }
    Ok(members)
}

fn ask_instances(list: &ListInstances) -> Result<Members, Fault> {
    if list.ids.iter().any(String::is_empty) {
        return Err(bad("InstanceIds", "holds an empty id"));
    }
    let mut members = Members::new();
    if !list.ids.is_empty() {
        put(&mut members, "InstanceIds", list.ids.clone());
    }
    if let Some(search) = &list.search {
        put(&mut members, "SearchKey", search.as_str());
    }
    put_page(&mut members, list.page);
    Ok(members)
}

fn put_page(members: &mut Members, page: Page) {
    put(members, "Limit", page.limit);
    put(members, "Offset", page.offset);
}
