//! When backups are taken by themselves.

use super::super::parameters::{Parameters, bad};
use super::super::{BEIJING_HOURS, DAYS};
use crate::canonical::shift_week;
use crate::vocabulary::{Call, Fault, Place, PolicyChange, SetPolicy, ShowPolicy, Weekdays};

/// As many as a backup by hand may be kept.
const MAX_STORAGE_DAYS: i64 = 1825;

/// `DescribeAutoBackupConfig`.
pub(super) fn show(parameters: &Parameters, place: Place) -> Result<Call, Fault> {
    parameters.only(&["InstanceId"])?;
    Ok(Call::ShowPolicy(ShowPolicy { place, instance: parameters.required("InstanceId")? }))
}

/// `ModifyAutoBackupConfig`.
pub(super) fn set(parameters: &Parameters, place: Place) -> Result<Call, Fault> {
    parameters.only(&["InstanceId", "WeekDays", "TimePeriod", "AutoBackupType", "BackupStorageDays"])?;
    let instance = parameters.required("InstanceId")?;
    if !matches!(parameters.integer("AutoBackupType")?, None | Some(1)) {
        return Err(bad("AutoBackupType", "must be 1"));
    }
    let keep_days = match parameters.integer("BackupStorageDays")? {
        None => None,
        Some(days @ 1..=MAX_STORAGE_DAYS) => u32::try_from(days).ok(),
        Some(_) => return Err(bad("BackupStorageDays", "must be 1 to 1825")),
    };
    let change = match schedule(parameters)? {
        // Who says when, wants backups to be taken.
        Some((days, minute)) => {
            PolicyChange { enabled: Some(true), weekdays: Some(days), start_minute: Some(minute), keep_days }
        }
        None => PolicyChange { keep_days, ..PolicyChange::default() },
    };
    Ok(Call::SetPolicy(SetPolicy { place, instance, change }))
}

/// Days and hour, in UTC. The vendor writes them in Beijing's time, where a day of the one may be two
/// of the other: without the hour it is open which, so that they come together.
fn schedule(parameters: &Parameters) -> Result<Option<(Weekdays, u16)>, Fault> {
    let missing = |name: &str| Err(Fault::MissingParameter(name.to_owned()));
    match (parameters.is_set("WeekDays"), parameters.text("TimePeriod")?) {
        (false, None) => Ok(None),
        (true, None) => missing("TimePeriod"),
        (false, Some(_)) => missing("WeekDays"),
        (true, Some(period)) => {
            let (days, minute) = (weekdays(parameters)?, start_minute(period)?);
            Ok(Some(shift_week(days, minute, -BEIJING_HOURS)))
        }
    }
}

fn weekdays(parameters: &Parameters) -> Result<Weekdays, Fault> {
    let mut days = Weekdays::default();
    for name in parameters.texts("WeekDays")? {
        let day = DAYS.iter().position(|day| *day == name).and_then(|at| days.get_mut(at));
        *day.ok_or_else(|| bad("WeekDays", "must hold names such as Monday"))? = true;
    }
    Ok(days)
}

/// Reads one of the 24 whole hours, `00:00-01:00` to `23:00-00:00`.
fn start_minute(period: &str) -> Result<u16, Fault> {
    (0..24)
        .find(|hour| format!("{hour:02}:00-{:02}:00", (hour + 1) % 24) == period)
        .map(|hour| hour * 60)
        .ok_or_else(|| bad("TimePeriod", "must be a whole hour such as 02:00-03:00"))
}
