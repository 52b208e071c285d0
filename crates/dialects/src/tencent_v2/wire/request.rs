//! Calls as the SDKs of Tencent's older API write them, in both directions.

mod ask;

use super::parameters::{Parameters, bad};
use super::regions::newer_name;
use crate::canonical::Parameters as Pairs;
use crate::vocabulary::{
    Call, CreateBackup, ExportBackup, Fault, InstanceOrder, JobKind, JobState, LinkBackup, ListBackups,
    ListInstances, ListJobs, Place, Restore, RestoreFrom, Secret, Unit,
};

pub(in crate::tencent_v2) use ask::ask;

/// Filters of `DescribeRedis` that the server cannot apply; to ignore one would show too much.
const OTHER_FILTERS: [&str; 5] = ["vpcIds", "unVpcIds", "subnetIds", "unSubnetIds", "projectIds"];
/// Kinds of task that nothing here is ever of.
const NO_TASKS: [&str; 5] = [
    "task_importRdb",
    "task_exportBackup",
    "task_restoreStream",
    "task_cleanInstance",
    "task_resizeInstance",
];
const BACKUP_TASK: &str = "task_backupInstance";
const RESTORE_TASK: &str = "task_restoreBackup";

/// Reads what is asked for.
pub(in crate::tencent_v2) fn decode(pairs: &Pairs) -> Result<Call, Fault> {
    let parameters = Parameters(pairs);
    let action = parameters.required("Action")?;
    let read = match action.as_str() {
        "GetBackupDownloadUrl" => link,
        "GetRedisBackupList" => backups,
        "DescribeRedis" => instances,
        "ManualBackupInstance" => create,
        "RestoreInstance" => restore,
        "ExportRedisBackup" => export,
        "DescribeTaskInfo" => task,
        "GetRedisTaskList" => tasks,
        _ => return Err(Fault::UnknownAction(action)),
    };
    read(parameters, Place::in_region(parameters.text("Region").map(newer_name)))
}

fn link(parameters: Parameters<'_>, place: Place) -> Result<Call, Fault> {
    let parameters = parameters.only(&["redisId", "backupId"], &[])?;
    let (instance, backup) = (parameters.required("redisId")?, parameters.required("backupId")?);
    Ok(Call::LinkBackup(LinkBackup::new(place, Some(instance), backup)))
}

/// The vendor's example shows the oldest first; it says no more about the order.
fn backups(parameters: Parameters<'_>, place: Place) -> Result<Call, Fault> {
    let parameters = parameters.only(&["redisId", "limit", "offset", "beginTime", "endTime"], &[])?;
    let (since, until) = parameters.range()?;
    Ok(Call::ListBackups(ListBackups {
        place,
        instance: Some(parameters.required("redisId")?),
        since,
        until,
        unit: Unit::Set,
        oldest_first: true,
        page: parameters.page()?,
        ..ListBackups::default()
    }))
}

fn instances(parameters: Parameters<'_>, place: Place) -> Result<Call, Fault> {
    let own = ["limit", "offset", "redisId", "redisName", "orderBy", "orderType"];
    let parameters = parameters.only(&own, &OTHER_FILTERS)?;
    for filter in OTHER_FILTERS {
        if !parameters.list(filter)?.is_empty() {
            return Err(bad(filter, "is not supported as a filter"));
        }
    }
    let (order, descending) = order(parameters)?;
    Ok(Call::ListInstances(ListInstances {
        place,
        ids: parameters.text("redisId").map(str::to_owned).into_iter().collect(),
        search: parameters.text("redisName").map(str::to_owned),
        order,
        descending,
        page: parameters.page()?,
        ..ListInstances::default()
    }))
}

/// What the list is in order of, and whether the last comes first, which it does unless the caller says otherwise.
fn order(parameters: Parameters<'_>) -> Result<(InstanceOrder, bool), Fault> {
    let descending = match parameters.text("orderType") {
        None => None,
        Some("0") => Some(false),
        Some("1") => Some(true),
        Some(_) => return Err(bad("orderType", "must be 0 or 1")),
    };
    let order = match parameters.text("orderBy") {
        None => return Ok((InstanceOrder::default(), descending.unwrap_or_default())),
        Some("redisId") => InstanceOrder::Id,
        Some("projectId") => InstanceOrder::Project,
        Some("createtime") => InstanceOrder::Created,
        Some(_) => return Err(bad("orderBy", "must be redisId, projectId or createtime")),
    };
    Ok((order, descending.unwrap_or(true)))
}

fn create(parameters: Parameters<'_>, place: Place) -> Result<Call, Fault> {
    let parameters = parameters.only(&["redisId", "remark"], &[])?;
    Ok(Call::CreateBackup(CreateBackup {
        place,
        instance: parameters.required("redisId")?,
        remark: parameters.text("remark").map(str::to_owned),
        ..CreateBackup::default()
    }))
}

fn restore(parameters: Parameters<'_>, place: Place) -> Result<Call, Fault> {
    let parameters = parameters.only(&["redisId", "password", "backupId"], &[])?;
    Ok(Call::Restore(Restore {
        place,
        instance: parameters.required("redisId")?,
        from: RestoreFrom::Backup(parameters.required("backupId")?),
        password: Some(Secret::new(parameters.required("password")?)),
    }))
}

fn export(parameters: Parameters<'_>, place: Place) -> Result<Call, Fault> {
    let parameters = parameters.only(&["redisId", "backupId"], &[])?;
    let (instance, backup) = (parameters.required("redisId")?, parameters.required("backupId")?);
    Ok(Call::ExportBackup(ExportBackup { place, instance, backup }))
}

fn task(parameters: Parameters<'_>, place: Place) -> Result<Call, Fault> {
    let job = parameters.only(&["requestId"], &[])?.number("requestId")?;
    Ok(Call::ListJobs(ListJobs { place, job: Some(job), ..ListJobs::default() }))
}

fn tasks(parameters: Parameters<'_>, place: Place) -> Result<Call, Fault> {
    let own = ["limit", "offset", "redisId", "redisName", "beginTime", "endTime"];
    let parameters = parameters.only(&own, &["taskStatus", "taskType"])?;
    let (since, until) = parameters.range()?;
    let kinds = kinds(parameters)?;
    Ok(Call::ListJobs(ListJobs {
        place,
        instance: parameters.text("redisId").map(str::to_owned),
        instance_search: parameters.text("redisName").map(str::to_owned),
        nothing: kinds.is_empty(),
        kinds,
        states: states(parameters)?,
        since,
        until,
        page: parameters.page()?,
        ..ListJobs::default()
    }))
}

/// The vendor has no word for the removal of a backup: without a choice, these are all. Of types that no task here is
/// ever of, none is left.
fn kinds(parameters: Parameters<'_>) -> Result<Vec<JobKind>, Fault> {
    let types = parameters.list("taskType")?;
    let mut kinds = Vec::new();
    for kind in &types {
        let kind = match *kind {
            BACKUP_TASK => JobKind::Backup,
            RESTORE_TASK => JobKind::Restore,
            other if NO_TASKS.contains(&other) => continue,
            _ => return Err(bad("taskType", "holds an unknown type")),
        };
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    Ok(if types.is_empty() { vec![JobKind::Backup, JobKind::Restore] } else { kinds })
}

fn states(parameters: Parameters<'_>) -> Result<Vec<JobState>, Fault> {
    let mut states = Vec::new();
    for number in parameters.list("taskStatus")? {
        let state = match number {
            "0" => JobState::Waiting,
            "1" => JobState::Running,
            "2" => JobState::Done,
            "3" | "-1" => JobState::Failed,
            _ => return Err(bad("taskStatus", "must be 0, 1, 2, 3 or -1")),
        };
        if !states.contains(&state) {
            states.push(state);
        }
    }
    Ok(states)
}

/// The vendor's number of a job's state.
pub(in crate::tencent_v2) fn task_status(state: JobState) -> i64 {
    match state {
        JobState::Waiting => 0,
        JobState::Running => 1,
        JobState::Done => 2,
        JobState::Failed => 3,
    }
}
