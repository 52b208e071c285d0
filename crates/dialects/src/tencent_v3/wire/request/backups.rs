//! Backups: listed, taken and put back.

use std::time::Duration;

use super::super::parameters::{Parameters, bad};
use super::{Members, page, put, put_page, put_range, range};
use crate::vocabulary::{
    BackupState, Call, CreateBackup, Fault, ListBackups, Place, Restore, RestoreFrom, Secret, Unit,
};

const MAX_BACKUPS: u64 = 100;
/// The longest interval of `DescribeInstanceBackups`.
const MAX_SPAN: Duration = Duration::from_hours(30 * 24);
const MAX_STORAGE_DAYS: i64 = 1825;

/// `DescribeInstanceBackups`.
pub(super) fn list(parameters: &Parameters, place: Place) -> Result<Call, Fault> {
    parameters.only(&["InstanceId", "Limit", "Offset", "BeginTime", "EndTime", "Status", "InstanceName"])?;
    let (since, until) = range(parameters)?;
    if let (Some(since), Some(until)) = (since, until)
        && until.duration_since(since).is_ok_and(|span| span > MAX_SPAN)
    {
        return Err(bad("EndTime", "is more than 30 days after BeginTime"));
    }
    let states = states(parameters)?;
    Ok(Call::ListBackups(ListBackups {
        place,
        instance: parameters.text("InstanceId")?.map(str::to_owned),
        instance_search: parameters.text("InstanceName")?.map(str::to_owned),
        since,
        until,
        nothing: states.is_empty(),
        states,
        unit: Unit::Set,
        page: page(parameters, MAX_BACKUPS)?,
        ..ListBackups::default()
    }))
}

/// `DescribeBackupDetail`.
pub(super) fn detail(parameters: &Parameters, place: Place) -> Result<Call, Fault> {
    parameters.only(&["InstanceId", "BackupId"])?;
    Ok(Call::ListBackups(ListBackups {
        place,
        instance: Some(parameters.required("InstanceId")?),
        backup: Some(parameters.required("BackupId")?),
        ..ListBackups::default()
    }))
}

/// Without `Status` the vendor lists finished backups only. A backup that failed or was damaged is
/// shown as expired, the vendor's word for one that cannot be used; 3, 4 (exports) and -2 (deleted)
/// are states that no backup here is ever in, so that no state at all is left of them.
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
            _ => return Err(bad("Status", "must be 1, 2, 3, 4, -1 or -2")),
        };
        if !states.contains(&state) {
            states.push(state);
        }
    }
    Ok(states)
}

/// `ManualBackupInstance`.
pub(super) fn create(parameters: &Parameters, place: Place) -> Result<Call, Fault> {
    parameters.only(&["InstanceId", "Remark", "StorageDays"])?;
    let keep_days = match parameters.integer("StorageDays")? {
        // The vendor allows 0 and does not say what it means; to lose the backup at once it cannot be.
        None | Some(0) => None,
        Some(days @ 1..=MAX_STORAGE_DAYS) => u32::try_from(days).ok(),
        Some(_) => return Err(bad("StorageDays", "must be 0 to 1825")),
    };
    Ok(Call::CreateBackup(CreateBackup {
        place,
        instance: parameters.required("InstanceId")?,
        remark: parameters.text("Remark")?.map(str::to_owned),
        keep_days,
        ..CreateBackup::default()
    }))
}

/// `RestoreInstance`; an instance without a password needs none.
pub(super) fn restore(parameters: &Parameters, place: Place) -> Result<Call, Fault> {
    parameters.only(&["InstanceId", "BackupId", "Password"])?;
    Ok(Call::Restore(Restore {
        place,
        instance: parameters.required("InstanceId")?,
        from: RestoreFrom::Backup(parameters.required("BackupId")?),
        password: parameters.text("Password")?.map(Secret::new),
    }))
}

/// The action that a list is asked through: one backup has its own.
pub(super) fn list_action(list: &ListBackups) -> &'static str {
    if list.backup.is_some() { "DescribeBackupDetail" } else { "DescribeInstanceBackups" }
}

/// Writes [`Call::ListBackups`]. `unit` and `links` choose a form that this vendor does not have and
/// are left out; a filter that it does not have is refused, since the answer would show too much.
pub(super) fn ask_list(list: &ListBackups) -> Result<Members, Fault> {
    if list.job.is_some() || list.search.is_some() || list.automated.is_some() || list.nothing {
        return Err(bad("BackupId", "this vendor cannot list by job, text or origin"));
    }
    let mut members = Members::new();
    if let Some(instance) = &list.instance {
        put(&mut members, "InstanceId", instance.as_str());
    }
    if let Some(backup) = &list.backup {
        return ask_detail(list, backup, members);
    }
    if let Some(search) = &list.instance_search {
        put(&mut members, "InstanceName", search.as_str());
    }
    put_range(&mut members, list.since, list.until);
    let all = [BackupState::Running, BackupState::Available, BackupState::Failed];
    let states = if list.states.is_empty() { &all[..] } else { &list.states };
    put(&mut members, "Status", states.iter().map(|state| status(*state)).collect::<Vec<_>>());
    put_page(&mut members, list.page);
    Ok(members)
}

fn ask_detail(list: &ListBackups, backup: &str, mut members: Members) -> Result<Members, Fault> {
    if list.instance.is_none() {
        return Err(Fault::MissingParameter("InstanceId".to_owned()));
    }
    let filtered = list.instance_search.is_some()
        || list.since.is_some()
        || list.until.is_some()
        || !list.states.is_empty();
    if filtered {
        return Err(bad("BackupId", "cannot be combined with other filters here"));
    }
    put(&mut members, "BackupId", backup);
    Ok(members)
}

/// The vendor's number of a state.
pub(in super::super) fn status(state: BackupState) -> i64 {
    match state {
        BackupState::Running => 1,
        BackupState::Available => 2,
        BackupState::Failed => -1,
    }
}

/// Writes [`Call::CreateBackup`].
pub(super) fn ask_create(create: &CreateBackup) -> Result<Members, Fault> {
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
