//! Calls as the SDKs of Tencent's older API write them, in both directions.

mod ask;

use super::parameters::{Parameters, bad};
use super::regions::newer_name;
use crate::canonical::Parameters as Pairs;
use crate::vocabulary::{
    Call, CreateBackup, ExportBackup, Fault, JobKind, JobState, LinkBackup, ListBackups, ListInstances,
    ListJobs, Place, Restore, RestoreFrom, Secret, Unit,
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

/// `orderBy` and `orderType` only put the list in order; the order here is fixed.
fn instances(parameters: Parameters<'_>, place: Place) -> Result<Call, Fault> {
    let own = ["limit", "offset", "redisId", "redisName", "orderBy", "orderType"];
    let parameters = parameters.only(&own, &OTHER_FILTERS)?;
    for filter in OTHER_FILTERS {
        if !parameters.list(filter)?.is_empty() {
            return Err(bad(filter, "is not supported as a filter"));
        }
    }
    if !matches!(parameters.text("orderBy"), None | Some("redisId" | "projectId" | "createtime")) {
        return Err(bad("orderBy", "must be redisId, projectId or createtime"));
    }
    if !matches!(parameters.text("orderType"), None | Some("0" | "1")) {
        return Err(bad("orderType", "must be 0 or 1"));
    }
    Ok(Call::ListInstances(ListInstances {
        place,
        ids: parameters.text("redisId").map(str::to_owned).into_iter().collect(),
        search: parameters.text("redisName").map(str::to_owned),
        page: parameters.page()?,
        ..ListInstances::default()
    }))
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
    Ok(Call::ListJobs(ListJobs {
        place,
        instance: parameters.text("redisId").map(str::to_owned),
        instance_search: parameters.text("redisName").map(str::to_owned),
        kinds: kinds(parameters)?,
        states: states(parameters)?,
        since,
        until,
        page: parameters.page()?,
        ..ListJobs::default()
    }))
}

/// The vendor has no word for the removal of a backup: without a choice, these are all.
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
    match (types.is_empty(), kinds.is_empty()) {
        (true, _) => Ok(vec![JobKind::Backup, JobKind::Restore]),
        (false, false) => Ok(kinds),
        (false, true) => Err(bad("taskType", "no task is ever of that type here")),
    }
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
