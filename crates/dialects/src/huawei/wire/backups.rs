//! Backups of DDS and `GeminiDB`: listed, taken, stopped, deleted.

mod answers;

use serde_json::json;

use super::parameters::{Body, Query, bad, body, missing};
use super::request::Asked;
use crate::vocabulary::{BackupState, Call, CreateBackup, DeleteBackups, Fault, ListBackups, StopBackup};

pub(super) use answers::{answer, ask_create, ask_delete, ask_list, job, read, started};

/// Most records of a page.
const MAX_PAGE: u64 = 100;
/// Most backups that one request deletes.
const MAX_DELETED: usize = 10;
/// Letters that a description must not have.
const NOT_DESCRIBING: [char; 7] = ['>', '!', '<', '"', '&', '\'', '='];
const FILTERS: [&str; 16] = [
    "offset",
    "limit",
    "instance_id",
    "backup_id",
    "datastore_type",
    "backup_type",
    "type",
    "begin_time",
    "end_time",
    "mode",
    "order_field",
    "order_rule",
    "backup_status",
    "backup_name",
    "backup_description",
    "instance_name",
];

/// `ListBackups`, all versions: the filters of one are taken by the others too.
pub(super) fn list(asked: &Asked<'_>) -> Result<Call, Fault> {
    let query = Query::read(asked.request, &FILTERS)?;
    query.refuse(&["mode"])?;
    check_engine(&query)?;
    if !matches!(query.text("type"), None | Some("Instance")) {
        return Err(bad("type", "must be Instance; there are no backups of single tables here"));
    }
    let automated = match query.text("backup_type").map(str::to_ascii_lowercase).as_deref() {
        None => None,
        Some("auto") => Some(true),
        Some("manual") => Some(false),
        Some(_) => return Err(bad("backup_type", "must be Auto or Manual")),
    };
    let (since, until) = (query.time("begin_time")?, query.time("end_time")?);
    match (since, until) {
        (Some(_), None) => return Err(missing("end_time")),
        (None, Some(_)) => return Err(missing("begin_time")),
        (Some(since), Some(until)) if until < since => return Err(bad("end_time", "is before begin_time")),
        _ => {}
    }
    let (name, description) = (query.owned("backup_name"), query.owned("backup_description"));
    if name.is_some() && description.is_some() {
        return Err(bad("backup_description", "cannot be combined with backup_name here"));
    }
    Ok(Call::ListBackups(ListBackups {
        place: asked.place.clone(),
        instance: query.owned("instance_id"),
        instance_search: query.owned("instance_name"),
        backup: query.owned("backup_id"),
        search: name.or(description),
        since,
        until,
        states: states(&query)?,
        automated,
        oldest_first: oldest_first(&query)?,
        page: query.page(MAX_PAGE, 1..=MAX_PAGE)?,
        ..ListBackups::default()
    }))
}

/// The engines that all data here may be said to be of: the caller's service decides on the word.
pub(super) fn check_engine(query: &Query) -> Result<(), Fault> {
    match query.text("datastore_type") {
        Some(engine) if !["redis", "DDS-Community"].iter().any(|own| own.eq_ignore_ascii_case(engine)) => {
            Err(bad("datastore_type", "must be redis; there is no other engine here"))
        }
        _ => Ok(()),
    }
}

fn states(query: &Query) -> Result<Vec<BackupState>, Fault> {
    match query.text("backup_status") {
        None => Ok(Vec::new()),
        Some("BUILDING") => Ok(vec![BackupState::Running]),
        Some("COMPLETED") => Ok(vec![BackupState::Available]),
        Some("FAILED") => Ok(vec![BackupState::Failed]),
        Some(_) => Err(bad("backup_status", "must be BUILDING, COMPLETED or FAILED")),
    }
}

fn oldest_first(query: &Query) -> Result<bool, Fault> {
    if !matches!(query.text("order_field"), None | Some("beginTime")) {
        return Err(bad("order_field", "must be beginTime"));
    }
    match query.text("order_rule") {
        None | Some("desc") => Ok(false),
        Some("asc") => Ok(true),
        Some(_) => Err(bad("order_rule", "must be asc or desc")),
    }
}

/// `CreateBack` of `GeminiDB`.
pub(super) fn create(asked: &Asked<'_>) -> Result<Call, Fault> {
    let members = body(asked.request)?;
    let body = Body::new(&members, &["name", "description", "database_tables"])?;
    if body.value("database_tables").is_some_and(|tables| *tables != json!([])) {
        return Err(bad("database_tables", "must be empty; there are no backups of single tables here"));
    }
    creation(asked, asked.route.instance.clone(), &body)
}

/// `CreateManualBackup` of DDS.
pub(super) fn create_manual(asked: &Asked<'_>) -> Result<Call, Fault> {
    let members = body(asked.request)?;
    let body = Body::new(&members, &["backup"])?;
    let backup = body.object("backup", &["instance_id", "name", "description"])?;
    let backup = backup.ok_or_else(|| missing("backup"))?;
    creation(asked, backup.required("instance_id")?.to_owned(), &backup)
}

fn creation(asked: &Asked<'_>, instance: String, body: &Body<'_>) -> Result<Call, Fault> {
    let name = body.required("name")?;
    if !is_name(name) {
        return Err(bad("name", "must be 4 to 64 letters, digits, - and _, a letter first"));
    }
    let description = body.text("description")?;
    if description.is_some_and(|text| text.chars().count() > 256 || text.contains(NOT_DESCRIBING)) {
        return Err(bad("description", "must have at most 256 letters and none of > ! < \" & ' ="));
    }
    Ok(Call::CreateBackup(CreateBackup {
        place: asked.place.clone(),
        instance,
        name: Some(name.to_owned()),
        remark: description.map(str::to_owned),
        keep_days: None,
    }))
}

fn is_name(name: &str) -> bool {
    (4..=64).contains(&name.len())
        && name.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// `DeleteBackup`.
pub(super) fn delete(asked: &Asked<'_>) -> Call {
    let backups = vec![asked.route.backup.clone()];
    Call::DeleteBackups(DeleteBackups { place: asked.place.clone(), instance: None, backups })
}

/// `BatchDeleteBackup`.
pub(super) fn delete_several(asked: &Asked<'_>) -> Result<Call, Fault> {
    let members = body(asked.request)?;
    let backups = Body::new(&members, &["backup_ids"])?.texts("backup_ids")?;
    if backups.is_empty() {
        return Err(missing("backup_ids"));
    }
    if backups.len() > MAX_DELETED || backups.iter().any(String::is_empty) {
        return Err(bad("backup_ids", "must hold 1 to 10 ids"));
    }
    Ok(Call::DeleteBackups(DeleteBackups { place: asked.place.clone(), instance: None, backups }))
}

/// `StopBackup`.
pub(super) fn stop(asked: &Asked<'_>) -> Result<Call, Fault> {
    let members = body(asked.request)?;
    if Body::new(&members, &["action"])?.required("action")? != "stop" {
        return Err(bad("action", "must be stop"));
    }
    let backup = asked.route.backup.clone();
    Ok(Call::StopBackup(StopBackup { place: asked.place.clone(), backup }))
}
