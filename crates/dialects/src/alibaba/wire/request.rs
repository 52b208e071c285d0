//! Alibaba's parameters as calls.

use super::WEEKDAYS;
use super::parameters::{
    DEFAULT_PAGE, FOREVER_DAYS, MAX_INSTANCE_IDS, MAX_INSTANCE_PAGE, backup_id, backup_page, bad, integer,
    number, owned, page, place, required, text, time,
};
use crate::alibaba::sign;
use crate::canonical::Parameters;
use crate::vocabulary::{
    BackupState, Call, CreateBackup, DeleteBackups, Fault, JobKind, JobState, ListBackups, ListInstances,
    ListJobs, Page, Place, PolicyChange, Request, Restore, RestoreFrom, SetExpiry, SetPolicy, ShowPolicy,
    Topology, Unit, Weekdays,
};

/// How many instances `DescribeInstanceAttribute` takes, of several with commas.
const MAX_ATTRIBUTES: usize = 10;
/// `DescribeBackupTasks` has no pages: the newest of an instance, far more than a day's.
pub(super) const TASKS: Page = Page { offset: 0, limit: 300 };
/// What `DescribeBackupTasks` shows; it has no word for a job that failed.
pub(super) const TASK_STATES: [JobState; 3] = [JobState::Waiting, JobState::Running, JobState::Done];
/// Filters of `DescribeInstances` that no instance here fails with this value.
const TRUE_OF_ALL: [(&str, &str); 5] = [
    ("ChargeType", "PostPaid"),
    ("EditionType", "Community"),
    ("Expired", "false"),
    ("InstanceType", "Redis"),
    ("NetworkType", "VPC"),
];
/// Filters of `DescribeInstances` that the server cannot apply; to ignore one would show too much.
const OTHER_FILTERS: [&str; 8] = [
    "EngineVersion",
    "GlobalInstance",
    "InstanceClass",
    "InstanceStatus",
    "PrivateIp",
    "ResourceGroupId",
    "VSwitchId",
    "VpcId",
];

/// Reads the parameters of an action. Unknown parameters are ignored, as the vendor does.
pub(in crate::alibaba) fn decode(action: String, parameters: &Parameters) -> Result<Call, Fault> {
    match action.as_str() {
        "DescribeBackups" => describe_backups(parameters),
        "DescribeClusterBackupList" => describe_cluster_backups(parameters),
        "CreateBackup" => create_backup(parameters),
        "DeleteBackup" => delete_backup(parameters),
        "ModifyBackupExpireTime" => modify_expiry(parameters),
        "DescribeBackupTasks" => describe_tasks(parameters),
        "DescribeBackupPolicy" => Ok(Call::ShowPolicy(ShowPolicy {
            place: place(parameters),
            instance: required(parameters, "InstanceId")?.to_owned(),
        })),
        "ModifyBackupPolicy" => modify_policy(parameters),
        "RestoreInstance" => restore(parameters),
        "DescribeInstances" => describe_instances(parameters),
        "DescribeInstanceAttribute" => describe_attributes(parameters),
        "DescribeRegions" => Ok(Call::ListRegions),
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
    let incremental = || match text(parameters, "NeedAof") {
        None | Some("0") => Ok(false),
        Some("1") => Ok(true),
        Some(_) => Err(bad("NeedAof", "must be 0 or 1")),
    };
    let list = ranged(parameters)?;
    Ok(Call::ListBackups(ListBackups {
        backup: number(parameters, "BackupId")?.map(|id| id.to_string()),
        job: number(parameters, "BackupJobId")?,
        states: vec![BackupState::Available, BackupState::Failed],
        incremental: incremental()?,
        unit: Unit::Part,
        links: true,
        page: backup_page(parameters)?,
        ..list
    }))
}

/// What both backup lists have in common: an instance and a range of time.
fn ranged(parameters: &Parameters) -> Result<ListBackups, Fault> {
    let instance = required(parameters, "InstanceId")?;
    let since = time(parameters, "StartTime")?;
    let until = time(parameters, "EndTime")?;
    if until <= since {
        return Err(bad("EndTime", "must be later than StartTime"));
    }
    Ok(ListBackups {
        place: place(parameters),
        instance: Some(instance.to_owned()),
        since: Some(since),
        until: Some(until),
        ..ListBackups::default()
    })
}

fn describe_cluster_backups(parameters: &Parameters) -> Result<Call, Fault> {
    required(parameters, "RegionId")?;
    let list = ranged(parameters)?;
    Ok(Call::ListBackups(ListBackups {
        backup: text(parameters, "ClusterBackupId").map(backup_id),
        unit: Unit::Set,
        links: !without_shards(parameters)?,
        page: backup_page(parameters)?,
        ..list
    }))
}

/// Whether the nodes' backups are left out of the sets.
fn without_shards(parameters: &Parameters) -> Result<bool, Fault> {
    match text(parameters, "NoShardBackup") {
        None => Ok(false),
        Some(flag) if flag.eq_ignore_ascii_case("false") => Ok(false),
        Some(flag) if flag.eq_ignore_ascii_case("true") => Ok(true),
        Some(_) => Err(bad("NoShardBackup", "must be true or false")),
    }
}

/// The same of a whole request, for the answer.
pub(in crate::alibaba) fn hides_shards(request: &Request) -> bool {
    sign::parameters(request).is_ok_and(|parameters| without_shards(&parameters) == Ok(true))
}

fn create_backup(parameters: &Parameters) -> Result<Call, Fault> {
    let keep_days = match integer(parameters, "BackupRetentionPeriod")? {
        None => None,
        Some(-1) => Some(FOREVER_DAYS),
        Some(days @ 7..=730) => u32::try_from(days).ok(),
        Some(_) => return Err(bad("BackupRetentionPeriod", "must be 7 to 730, or -1")),
    };
    Ok(Call::CreateBackup(CreateBackup {
        place: place(parameters),
        instance: required(parameters, "InstanceId")?.to_owned(),
        keep_days,
        ..CreateBackup::default()
    }))
}

fn delete_backup(parameters: &Parameters) -> Result<Call, Fault> {
    Ok(Call::DeleteBackups(DeleteBackups {
        place: place(parameters),
        instance: Some(required(parameters, "InstanceId")?.to_owned()),
        backups: vec![backup_id(required(parameters, "BackupId")?)],
    }))
}

fn modify_expiry(parameters: &Parameters) -> Result<Call, Fault> {
    Ok(Call::SetExpiry(SetExpiry {
        place: place(parameters),
        instance: required(parameters, "InstanceId")?.to_owned(),
        backup: backup_id(required(parameters, "BackupId")?),
        expires_at: time(parameters, "ExpectExpireTime")?,
    }))
}

fn describe_tasks(parameters: &Parameters) -> Result<Call, Fault> {
    let instance = required(parameters, "InstanceId")?.to_owned();
    let automated = match text(parameters, "JobMode") {
        None => None,
        Some("Automated") => Some(true),
        Some("Manual") => Some(false),
        Some(_) => return Err(bad("JobMode", "must be Automated or Manual")),
    };
    Ok(Call::ListJobs(ListJobs {
        place: place(parameters),
        job: number(parameters, "BackupJobId")?,
        instance: Some(instance),
        kinds: vec![JobKind::Backup],
        states: TASK_STATES.to_vec(),
        automated,
        page: TASKS,
        ..ListJobs::default()
    }))
}

/// A policy of this vendor is always on. Without a retention period the one that is set stays: it would
/// be a bad surprise to lose backups for a parameter that older SDKs do not have.
fn modify_policy(parameters: &Parameters) -> Result<Call, Fault> {
    let instance = required(parameters, "InstanceId")?.to_owned();
    let weekdays = weekdays(required(parameters, "PreferredBackupPeriod")?)
        .ok_or_else(|| bad("PreferredBackupPeriod", "must be English weekdays with commas between them"))?;
    let start_minute = full_hour(required(parameters, "PreferredBackupTime")?)
        .ok_or_else(|| bad("PreferredBackupTime", "must be a full hour, like 23:00Z-00:00Z"))?;
    let keep_days = match integer(parameters, "BackupRetentionPeriod")? {
        None => None,
        Some(days @ 7..=730) => u32::try_from(days).ok(),
        Some(_) => return Err(bad("BackupRetentionPeriod", "must be 7 to 730")),
    };
    match integer(parameters, "EnableBackupLog")? {
        None | Some(0) => {}
        Some(1) => return Err(Fault::NotSupported("ModifyBackupPolicy with EnableBackupLog".to_owned())),
        Some(_) => return Err(bad("EnableBackupLog", "must be 0 or 1")),
    }
    let change = PolicyChange {
        enabled: Some(true),
        weekdays: Some(weekdays),
        start_minute: Some(start_minute),
        keep_days,
    };
    Ok(Call::SetPolicy(SetPolicy { place: place(parameters), instance, change }))
}

fn weekdays(text: &str) -> Option<Weekdays> {
    let mut chosen = Weekdays::default();
    for day in text.split(',') {
        let at = WEEKDAYS.iter().position(|known| *known == day.trim())?;
        *chosen.get_mut(at)? = true;
    }
    Some(chosen)
}

/// Minutes after midnight of `HH:00Z-HH:00Z`, exactly an hour long.
fn full_hour(text: &str) -> Option<u16> {
    let hour = |text: &str| -> Option<u16> {
        let digits = text.strip_suffix(":00Z").filter(|digits| digits.len() == 2)?;
        digits
            .bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| digits.parse().ok())?
            .filter(|hour| *hour < 24)
    };
    let (start, end) = text.split_once('-')?;
    let (start, end) = (hour(start)?, hour(end)?);
    ((start + 1) % 24 == end).then_some(start * 60)
}

fn restore(parameters: &Parameters) -> Result<Call, Fault> {
    let instance = required(parameters, "InstanceId")?.to_owned();
    let from = match text(parameters, "RestoreType") {
        None | Some("0") => RestoreFrom::Backup(backup_id(required(parameters, "BackupId")?)),
        Some("1") => RestoreFrom::Moment { instance: None, at: time(parameters, "RestoreTime")? },
        Some(_) => return Err(bad("RestoreType", "must be 0 or 1")),
    };
    // To leave either out would put back more than was asked for, or keep it for another time.
    for name in ["FilterKey", "TimeShift"] {
        if text(parameters, name).is_some() {
            return Err(Fault::NotSupported(format!("RestoreInstance with {name}")));
        }
    }
    Ok(Call::Restore(Restore { place: place(parameters), instance, from, password: None }))
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
    let topologies = match text(parameters, "ArchitectureType") {
        None => Vec::new(),
        Some("cluster") => vec![Topology::Cluster],
        Some("standard") => vec![Topology::Standalone, Topology::Sentinel],
        Some("rwsplit") => return Err(Fault::UnknownParameter("ArchitectureType".to_owned())),
        Some(_) => return Err(bad("ArchitectureType", "must be cluster, standard or rwsplit")),
    };
    Ok(Call::ListInstances(ListInstances {
        place: Place { zone: owned(parameters, "ZoneId"), ..place(parameters) },
        ids: ids(parameters, "InstanceIds", MAX_INSTANCE_IDS)?,
        search: owned(parameters, "SearchKey"),
        topologies,
        page: page(parameters, |size| (1..=MAX_INSTANCE_PAGE).contains(&size), "must be 1 to 50")?,
        ..ListInstances::default()
    }))
}

fn describe_attributes(parameters: &Parameters) -> Result<Call, Fault> {
    required(parameters, "InstanceId")?;
    let ids = ids(parameters, "InstanceId", MAX_ATTRIBUTES)?;
    let page = Page { offset: 0, limit: ids.len() as u64 };
    Ok(Call::ListInstances(ListInstances { place: place(parameters), ids, page, ..ListInstances::default() }))
}

/// Ids with commas between them; none when the parameter is not given.
fn ids(parameters: &Parameters, name: &str, most: usize) -> Result<Vec<String>, Fault> {
    let Some(text) = text(parameters, name) else { return Ok(Vec::new()) };
    let ids = text.split(',').map(str::trim).filter(|id| !id.is_empty()).take(most + 1);
    let ids: Vec<String> = ids.map(str::to_owned).collect();
    if ids.is_empty() {
        return Err(bad(name, "no id between the commas"));
    }
    if ids.len() > most {
        return Err(bad(name, &format!("more than {most} ids")));
    }
    Ok(ids)
}
