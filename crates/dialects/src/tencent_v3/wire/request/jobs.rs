//! Tasks, the vendor's word for jobs.

use super::super::parameters::{Parameters, bad};
use super::{Members, page, put, put_page, put_range, range};
use crate::vocabulary::{Call, Fault, JobKind, JobState, ListJobs, Place};

const MAX_TASKS: u64 = 100;
/// The vendor's codes of what a task does.
pub(in super::super) const RESTORE: &str = "010";
pub(in super::super) const BACKUP_BY_HAND: &str = "012";
pub(in super::super) const BACKUP_BY_POLICY: &str = "017";
pub(in super::super) const REMOVE_BACKUP: &str = "014";
/// Another code for the same.
const REMOVE_BACKUP_TOO: &str = "046";

/// `DescribeTaskInfo`.
pub(super) fn info(parameters: &Parameters, place: Place) -> Result<Call, Fault> {
    parameters.only(&["TaskId"])?;
    let number = parameters.integer("TaskId")?.ok_or_else(|| Fault::MissingParameter("TaskId".to_owned()))?;
    let job = u64::try_from(number).map_err(|_| bad("TaskId", "must not be negative"))?;
    Ok(Call::ListJobs(ListJobs { place, job: Some(job), ..ListJobs::default() }))
}

/// `DescribeTaskList`.
pub(super) fn list(parameters: &Parameters, place: Place) -> Result<Call, Fault> {
    let own = ["InstanceId", "InstanceName", "Limit", "Offset", "BeginTime", "EndTime", "TaskTypes"];
    let others = ["TaskStatus", "Result", "ProjectIds", "OperatorUin", "OperateUin"];
    parameters.only(&[&own[..], &others].concat())?;
    for filter in ["ProjectIds", "OperatorUin", "OperateUin"] {
        if parameters.is_set(filter) {
            return Err(bad(filter, "is not supported as a filter"));
        }
    }
    let (since, until) = range(parameters)?;
    let (kinds, automated, nothing) = kinds(parameters)?;
    Ok(Call::ListJobs(ListJobs {
        place,
        instance: parameters.text("InstanceId")?.map(str::to_owned),
        instance_search: parameters.text("InstanceName")?.map(str::to_owned),
        kinds,
        states: states(parameters)?,
        nothing,
        automated,
        since,
        until,
        page: page(parameters, MAX_TASKS)?,
        ..ListJobs::default()
    }))
}

/// The kinds of tasks, who started the backups among them, and whether no task here is ever of the kinds asked for.
fn kinds(parameters: &Parameters) -> Result<(Vec<JobKind>, Option<bool>, bool), Fault> {
    let codes = parameters.texts("TaskTypes")?;
    if codes.iter().any(|code| code.len() != 3 || !code.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err(bad("TaskTypes", "must hold codes of three digits, such as 012"));
    }
    let has = |wanted: &str| codes.iter().any(|code| code == wanted);
    let (by_hand, by_policy) = (has(BACKUP_BY_HAND), has(BACKUP_BY_POLICY));
    let removal = has(REMOVE_BACKUP) || has(REMOVE_BACKUP_TOO);
    let wanted = [
        (by_hand || by_policy, JobKind::Backup),
        (removal, JobKind::RemoveBackup),
        (has(RESTORE), JobKind::Restore),
    ];
    let kinds: Vec<_> = wanted.into_iter().filter_map(|(wanted, kind)| wanted.then_some(kind)).collect();
    let nothing = kinds.is_empty() && !codes.is_empty();
    Ok((kinds, (by_hand != by_policy).then_some(by_policy), nothing))
}

/// `Result` and `TaskStatus` have the same numbers and mean the same.
fn states(parameters: &Parameters) -> Result<Vec<JobState>, Fault> {
    let (results, statuses) = (parameters.integers("Result")?, parameters.integers("TaskStatus")?);
    if !results.is_empty() && !statuses.is_empty() && results != statuses {
        return Err(bad("TaskStatus", "must say the same as Result"));
    }
    let name = if results.is_empty() { "TaskStatus" } else { "Result" };
    let mut states = Vec::new();
    for number in if results.is_empty() { statuses } else { results } {
        let state = match number {
            0 => JobState::Waiting,
            1 => JobState::Running,
            2 => JobState::Done,
            4 => JobState::Failed,
            _ => return Err(bad(name, "must be 0, 1, 2 or 4")),
        };
        if !states.contains(&state) {
            states.push(state);
        }
    }
    Ok(states)
}

/// The vendor's number of a state.
pub(in super::super) fn result(state: JobState) -> i64 {
    match state {
        JobState::Waiting => 0,
        JobState::Running => 1,
        JobState::Done => 2,
        JobState::Failed => 4,
    }
}

/// The action that jobs are asked through: one job has its own.
pub(super) fn action(list: &ListJobs) -> &'static str {
    if list.job.is_some() { "DescribeTaskInfo" } else { "DescribeTaskList" }
}

/// Writes [`Call::ListJobs`].
pub(super) fn ask(list: &ListJobs) -> Result<Members, Fault> {
    let mut members = Members::new();
    if let Some(job) = list.job {
        let alone =
            ListJobs { place: list.place.clone(), job: list.job, page: list.page, ..ListJobs::default() };
        if *list != alone || list.page.offset > 0 {
            return Err(bad("TaskId", "cannot be combined with other filters here"));
        }
        put(&mut members, "TaskId", job);
        return Ok(members);
    }
    for (name, text) in [("InstanceId", &list.instance), ("InstanceName", &list.instance_search)] {
        if let Some(text) = text {
            put(&mut members, name, text.as_str());
        }
    }
    if list.nothing {
        return Err(bad("TaskTypes", "a list of nothing need not be asked for"));
    }
    let codes = codes(list)?;
    if !codes.is_empty() {
        put(&mut members, "TaskTypes", codes);
    }
    if !list.states.is_empty() {
        put(&mut members, "Result", list.states.iter().map(|state| result(*state)).collect::<Vec<_>>());
    }
    put_range(&mut members, list.since, list.until);
    put_page(&mut members, list.page);
    Ok(members)
}

fn codes(list: &ListJobs) -> Result<Vec<&'static str>, Fault> {
    if list.automated.is_some() && !list.kinds.contains(&JobKind::Backup) {
        return Err(bad("TaskTypes", "only backups are told apart by who started them"));
    }
    let of_kind = |kind: &JobKind| match (kind, list.automated) {
        (JobKind::Backup, Some(false)) => &[BACKUP_BY_HAND][..],
        (JobKind::Backup, Some(true)) => &[BACKUP_BY_POLICY],
        (JobKind::Backup, None) => &[BACKUP_BY_HAND, BACKUP_BY_POLICY],
        (JobKind::RemoveBackup, _) => &[REMOVE_BACKUP, REMOVE_BACKUP_TOO],
        (JobKind::Restore, _) => &[RESTORE],
    };
    Ok(list.kinds.iter().flat_map(of_kind).copied().collect())
}
