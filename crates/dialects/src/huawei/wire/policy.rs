//! Backup policies, and whether backups may be downloaded over the public network (DDS).

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::Answer;
use super::parameters::{Body, Query, bad, body, missing};
use super::request::Asked;
use crate::huawei::route::{Action, Route};
use crate::vocabulary::{
    AddressLimit, Call, Fault, Networks, Policy, PolicyChange, Restriction, SetPolicy, SetRestriction,
    ShowPolicy, ShowRestriction, Weekdays,
};

/// Days to keep: DDS allows more than `GeminiDB`.
const MAX_KEEP_DAYS: u64 = 732;
const DEFAULT_START: &str = "00:00-01:00";
/// Why a period does not fit: with so few days to keep, there must be a backup every day. That has a
/// code of its own.
pub(in crate::huawei) const EVERY_DAY: &str = "must hold all seven days when 1 to 6 days are kept";
const ALL_DAYS: Weekdays = [true; 7];

/// `ShowBackupPolicy`.
pub(super) fn show(asked: &Asked<'_>) -> Result<Call, Fault> {
    let query = Query::read(asked.request, &["type"])?;
    if !matches!(query.text("type"), None | Some("Instance")) {
        return Err(bad("type", "must be Instance; there are no backups of single tables here"));
    }
    let instance = asked.route.instance.clone();
    Ok(Call::ShowPolicy(ShowPolicy { place: asked.place.clone(), instance }))
}

/// `SetBackupPolicy`.
pub(super) fn set(asked: &Asked<'_>) -> Result<Call, Fault> {
    let members = body(asked.request)?;
    let known = ["keep_days", "start_time", "period"];
    let others = ["incremental_period", "differential_period", "enable_incremental_backup"];
    let policy = Body::new(&members, &["backup_policy"])?
        .object("backup_policy", &[&known[..], &others].concat())?
        .ok_or_else(|| missing("backup_policy"))?;
    let off = |value: &Value| matches!(value.as_str(), Some("" | "false")) || *value == Value::Bool(false);
    if let Some(name) = others.iter().find(|name| policy.value(name).is_some_and(|value| !off(value))) {
        return Err(bad(name, "is not supported; every backup here is a full one"));
    }
    let change = match policy.number("keep_days")?.ok_or_else(|| missing("keep_days"))? {
        0 => PolicyChange { enabled: Some(false), ..PolicyChange::default() },
        days @ 1..=MAX_KEEP_DAYS => {
            let start = policy.text("start_time")?.unwrap_or(DEFAULT_START);
            let start = window(start).filter(|minute| minute % 15 == 0);
            let weekdays = weekdays(policy.required("period")?)?;
            if days < 7 && weekdays != ALL_DAYS {
                return Err(bad("period", EVERY_DAY));
            }
            PolicyChange {
                enabled: Some(true),
                weekdays: Some(weekdays),
                start_minute: Some(
                    start.ok_or_else(|| bad("start_time", "must be an hour like 01:00-02:00"))?,
                ),
                keep_days: u32::try_from(days).ok(),
            }
        }
        _ => return Err(bad("keep_days", "must be 0 to 732")),
    };
    let instance = asked.route.instance.clone();
    Ok(Call::SetPolicy(SetPolicy { place: asked.place.clone(), instance, change }))
}

/// Reads an hour such as `23:15-00:15`: the minute of the day at which it begins.
pub(super) fn window(text: &str) -> Option<u16> {
    let (start, end) = text.split_once('-')?;
    let minute = |text: &str| {
        let (hour, minute) = text.split_once(':')?;
        let number =
            |text: &str| text.parse::<u16>().ok().filter(|_| text.len() == 2 && !text.starts_with('+'));
        let (hour, minute) = (number(hour)?, number(minute)?);
        (hour <= 24 && minute < 60).then_some(hour * 60 + minute)
    };
    let (start, end) = (minute(start)?, minute(end)?);
    (start < 1440 && end <= 1440 && end % 1440 == (start + 60) % 1440).then_some(start)
}

/// Days such as `1,2,7`; 1 is Monday.
fn weekdays(text: &str) -> Result<Weekdays, Fault> {
    let mut days = Weekdays::default();
    for day in text.split(',') {
        let day: Option<usize> = day.trim().parse().ok();
        let day = day.and_then(|day| days.get_mut(day.checked_sub(1)?));
        *day.ok_or_else(|| bad("period", "must be days from 1 to 7, separated by commas"))? = true;
    }
    Ok(days)
}

/// Writes a policy; of one that is switched off only that.
pub(super) fn answer(policy: &Policy) -> Value {
    if !policy.enabled {
        return json!({"backup_policy": {"keep_days": 0}});
    }
    let days = policy.weekdays.iter().zip(1..).filter(|(on, _)| **on).map(|(_, day)| day.to_string());
    json!({"backup_policy": {
        "keep_days": keep_days(policy),
        "start_time": hour(policy.start_minute),
        "period": days.collect::<Vec<_>>().join(","),
    }})
}

/// Days to keep, where 0 would say that the policy is off: for ever is as long as can be said.
pub(super) fn keep_days(policy: &Policy) -> u32 {
    let most = u32::try_from(MAX_KEEP_DAYS).unwrap_or(u32::MAX);
    if policy.keep_days == 0 { most } else { policy.keep_days }
}

/// The hour that begins with a minute of the day, such as `23:15-00:15`.
pub(super) fn hour(start: u16) -> String {
    let clock = |minute: u16| format!("{:02}:{:02}", minute / 60 % 24, minute % 60);
    let start = start % 1440;
    format!("{}-{}", clock(start), clock(start + 60))
}

/// The same as DCS shows it with an instance. Hours are those of UTC.
pub(super) fn of_cache_answer(policy: &Policy) -> Value {
    if !policy.enabled {
        return json!({"backup_type": "manual"});
    }
    let days = policy.weekdays.iter().zip(1..).filter(|(on, _)| **on).map(|(_, day): (_, u32)| day);
    json!({
        "backup_type": "auto",
        "save_days": keep_days(policy),
        "periodical_backup_plan": {
            "backup_at": days.collect::<Vec<_>>(),
            "period_type": "weekly",
            "begin_at": hour(policy.start_minute),
            "timezone_offset": "+0000",
        },
    })
}

/// `ListBackupDownloadPolicy`.
pub(super) fn show_download(asked: &Asked<'_>) -> Result<Call, Fault> {
    Query::read(asked.request, &[])?;
    Ok(Call::ShowRestriction(ShowRestriction { place: asked.place.clone() }))
}

/// `SaveBackupDownloadPolicy` and `UpdateBackupDownloadPolicy`. There is one policy for all, so that its id
/// chooses nothing.
pub(super) fn set_download(asked: &Asked<'_>) -> Result<Call, Fault> {
    let members = body(asked.request)?;
    let named = asked.route.action == Action::UpdateDownloadPolicy;
    let body = Body::new(&members, if named { &["id", "action"] } else { &["action"] })?;
    if named {
        body.required("id")?;
    }
    let networks = match body.required("action")? {
        "open" => Networks::Both,
        "close" => Networks::Intranet,
        _ => return Err(bad("action", "must be open or close")),
    };
    let restriction = Restriction { networks, limit: AddressLimit::None };
    Ok(Call::SetRestriction(SetRestriction { place: asked.place.clone(), restriction }))
}

/// Writes the download policy; its id is the project's.
pub(super) fn download_answer(route: &Route, restriction: &Restriction) -> Value {
    let action = match restriction.networks {
        Networks::Both => "open",
        Networks::Intranet => "close",
    };
    json!({"id": route.project, "action": action})
}

/// The vendor answers a change of it with a text.
pub(super) fn download_changed() -> Answer {
    Answer::new(StatusCode::OK, json!("success"))
}

/// The policy of DCS, `instance_backup_policy`.
pub(super) fn of_cache(members: &Map<String, Value>) -> Result<PolicyChange, Fault> {
    let known = ["backup_type", "save_days", "periodical_backup_plan"];
    let policy = Body::new(members, &["instance_backup_policy"])?
        .object("instance_backup_policy", &known)?
        .ok_or_else(|| missing("instance_backup_policy"))?;
    match policy.required("backup_type")? {
        "manual" => return Ok(PolicyChange { enabled: Some(false), ..PolicyChange::default() }),
        "auto" => {}
        _ => return Err(bad("backup_type", "must be auto or manual")),
    }
    let days = policy.number("save_days")?.ok_or_else(|| missing("save_days"))?;
    let keep_days = (1..=7).contains(&days).then(|| u32::try_from(days).ok()).flatten();
    let keep_days = keep_days.ok_or_else(|| bad("save_days", "must be 1 to 7"))?;
    let plan = policy
        .object("periodical_backup_plan", &["backup_at", "period_type", "begin_at", "timezone_offset"])?
        .ok_or_else(|| missing("periodical_backup_plan"))?;
    if plan.required("period_type")? != "weekly" {
        return Err(bad("period_type", "must be weekly"));
    }
    let local = window(plan.required("begin_at")?)
        .ok_or_else(|| bad("begin_at", "must be an hour like 00:00-01:00"))?;
    let east = plan.text("timezone_offset")?.map(super::times::zone_minutes);
    let east = east.unwrap_or(Some(0)).filter(|minutes| minutes.abs() <= 12 * 60);
    let east = east.ok_or_else(|| bad("timezone_offset", "must be -1200 to +1200"))?;
    let (start_minute, weekdays) = in_utc(local, east, days_of(&plan)?);
    Ok(PolicyChange {
        enabled: Some(true),
        weekdays: Some(weekdays),
        start_minute: Some(start_minute),
        keep_days: Some(keep_days),
    })
}

fn days_of(plan: &Body<'_>) -> Result<Weekdays, Fault> {
    let wrong = || bad("backup_at", "must be a list of days from 1 to 7");
    let items = plan.value("backup_at").ok_or_else(|| missing("backup_at"))?.as_array().ok_or_else(wrong)?;
    let mut days = Weekdays::default();
    for item in items {
        let day = item.as_u64().and_then(|day| usize::try_from(day.checked_sub(1)?).ok());
        *day.and_then(|day| days.get_mut(day)).ok_or_else(wrong)? = true;
    }
    if items.is_empty() { Err(wrong()) } else { Ok(days) }
}

/// An hour of some days of a zone so many minutes east, in UTC.
fn in_utc(local: u16, east: i32, mut days: Weekdays) -> (u16, Weekdays) {
    let minute = i32::from(local) - east;
    if minute < 0 {
        days.rotate_left(1);
    } else if minute >= 1440 {
        days.rotate_right(1);
    }
    (u16::try_from(minute.rem_euclid(1440)).unwrap_or_default(), days)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_one_hour() {
        assert_eq!(window("00:00-01:00"), Some(0));
        assert_eq!(window("23:15-00:15"), Some(1395));
        assert_eq!(window("23:00-24:00"), Some(1380));
        for other in
            ["", "00:00", "00:00-02:00", "0:00-1:00", "24:00-01:00", "00:60-01:60", "+1:00-02:00", "a:b-c:d"]
        {
            assert_eq!(window(other), None, "{other}");
        }
    }

    #[test]
    fn a_zone_may_move_the_day() {
        let monday = [true, false, false, false, false, false, false];
        let sunday = [false, false, false, false, false, false, true];
        let tuesday = [false, true, false, false, false, false, false];
        assert_eq!(in_utc(60, 480, monday), (1020, sunday));
        assert_eq!(in_utc(1380, -480, monday), (420, tuesday));
        assert_eq!(in_utc(600, 480, monday), (120, monday));
    }
}
