//! Restores into an existing instance, and what can be restored.

use serde_json::{Value, json};

use super::parameters::{Body, Query, bad, body, missing};
use super::request::Asked;
use super::times;
use crate::huawei::route::Action;
use crate::vocabulary::{
    BackupRow, BackupState, Call, Fault, ListBackups, Page, Restore, RestoreFrom, Secret,
};

/// Most windows of a page, and how many there are without a limit.
const MAX_WINDOWS: u64 = 1000;

/// `RestoreExistingInstance` of `GeminiDB`.
pub(super) fn existing(asked: &Asked<'_>) -> Result<Call, Fault> {
    let members = body(asked.request)?;
    let body = Body::new(&members, &["backup_id", "password"])?;
    Ok(Call::Restore(Restore {
        place: asked.place.clone(),
        instance: asked.route.instance.clone(),
        from: RestoreFrom::Backup(body.required("backup_id")?.to_owned()),
        password: body.text("password")?.map(Secret::new),
    }))
}

/// `RestoreInstance` of DDS.
pub(super) fn original(asked: &Asked<'_>) -> Result<Call, Fault> {
    let members = body(asked.request)?;
    let body = Body::new(&members, &["source", "target"])?;
    let source = body.object("source", &["instance_id", "type", "backup_id", "restore_time"])?;
    let source = source.ok_or_else(|| missing("source"))?;
    let target = body.object("target", &["instance_id"])?.ok_or_else(|| missing("target"))?;
    let instance = target.required("instance_id")?;
    let own = source.required("instance_id")?;
    let from = match source.text("type")? {
        None | Some("backup") => {
            if own != instance {
                return Err(bad("target", "must be the source: a backup goes back where it was taken"));
            }
            if source.value("restore_time").is_some() {
                return Err(bad("restore_time", "goes with the type timestamp only"));
            }
            RestoreFrom::Backup(source.required("backup_id")?.to_owned())
        }
        Some("timestamp") => {
            if source.value("backup_id").is_some() {
                return Err(bad("backup_id", "goes with the type backup only"));
            }
            RestoreFrom::Moment { instance: (own != instance).then(|| own.to_owned()), at: moment(&source)? }
        }
        Some(_) => return Err(bad("type", "must be backup or timestamp")),
    };
    let instance = instance.to_owned();
    Ok(Call::Restore(Restore { place: asked.place.clone(), instance, from, password: None }))
}

fn moment(source: &Body<'_>) -> Result<std::time::SystemTime, Fault> {
    let text = match source.value("restore_time") {
        None => return Err(missing("restore_time")),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    times::read(&text).ok_or_else(|| bad("restore_time", "must be UNIX milliseconds"))
}

/// `ListRestoreTime` of `GeminiDB`. The page of the vendor looks at the last day unless told otherwise;
/// here all backups are shown then.
pub(super) fn periods(asked: &Asked<'_>) -> Result<Call, Fault> {
    let query = Query::read(asked.request, &["start_time", "end_time", "offset", "limit"])?;
    let (since, until) = (query.time("start_time")?, query.time("end_time")?);
    if since.zip(until).is_some_and(|(since, until)| until < since) {
        return Err(bad("end_time", "is before start_time"));
    }
    Ok(completed(asked, since, until, query.page(MAX_WINDOWS, 0..=MAX_WINDOWS)?))
}

/// `ListRestoreTimes` of DDS.
pub(super) fn times_of_day(asked: &Asked<'_>) -> Result<Call, Fault> {
    let date = Query::read(asked.request, &["date"])?.required("date")?;
    let (start, end) = times::day(&date).ok_or_else(|| bad("date", "must be a day like 2026-01-31"))?;
    Ok(completed(asked, Some(start), Some(end), Page { offset: 0, limit: MAX_WINDOWS }))
}

fn completed(
    asked: &Asked<'_>,
    since: Option<std::time::SystemTime>,
    until: Option<std::time::SystemTime>,
    page: Page,
) -> Call {
    Call::ListBackups(ListBackups {
        place: asked.place.clone(),
        instance: Some(asked.route.instance.clone()),
        since,
        until,
        states: vec![BackupState::Available],
        page,
        ..ListBackups::default()
    })
}

/// Writes what can be restored: each completed backup is a point, a window that ends where it begins.
pub(super) fn answer(action: Action, total: u64, rows: &[BackupRow]) -> Value {
    let points = rows.iter().map(|row| {
        let at = times::unix_millis(row.started_at);
        json!({"start_time": at, "end_time": at})
    });
    let points: Vec<Value> = points.collect();
    if action == Action::ListRestoreTimes {
        json!({ "restore_time": points })
    } else {
        json!({"total_count": total, "restorable_time_periods": points})
    }
}
