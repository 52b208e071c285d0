//! DCS v2, the plain managed Redis.

mod answers;

use std::time::Duration;

use super::parameters::{Body, NO_BODY, Query, bad, body, missing};
use super::policy;
use super::request::Asked;
use crate::vocabulary::{
    Call, CreateBackup, DeleteBackups, Fault, JobKind, LinkBackup, ListBackups, ListInstances, ListJobs,
    Page, Restore, RestoreFrom, SetPolicy,
};

pub(super) use answers::{backups_answer, instance_answer, instances_answer, links_answer, restores_answer};

/// Most letters of a note.
const MAX_REMARK: usize = 128;
const MAX_PAGE: u64 = 1000;
const DEFAULT_PAGE: u64 = 10;
/// Seconds that a link may live.
const EXPIRATIONS: std::ops::RangeInclusive<u64> = 300..=86_400;

/// `CopyInstance`; the body may be absent.
pub(super) fn create(asked: &Asked<'_>) -> Result<Call, Fault> {
    let members = match body(asked.request) {
        Err(Fault::MalformedRequest(why)) if why == NO_BODY => serde_json::Map::new(),
        other => other?,
    };
    let body = Body::new(&members, &["remark", "backup_format"])?;
    if !matches!(body.text("backup_format")?, None | Some("rdb")) {
        return Err(bad("backup_format", "must be rdb"));
    }
    Ok(Call::CreateBackup(CreateBackup {
        place: asked.place.clone(),
        instance: asked.route.instance.clone(),
        name: None,
        remark: remark(&body)?,
        keep_days: None,
    }))
}

fn remark(body: &Body<'_>) -> Result<Option<String>, Fault> {
    let remark = body.text("remark")?;
    if remark.is_some_and(|text| text.chars().count() > MAX_REMARK) {
        return Err(bad("remark", "must have at most 128 letters"));
    }
    Ok(remark.map(str::to_owned))
}

/// `begin_time`, `end_time` and the page of a list.
fn range(asked: &Asked<'_>) -> Result<(Query, Page), Fault> {
    let query = Query::read(asked.request, &["begin_time", "end_time", "offset", "limit"])?;
    let (since, until) = (query.time("begin_time")?, query.time("end_time")?);
    if since.zip(until).is_some_and(|(since, until)| until < since) {
        return Err(bad("end_time", "is before begin_time"));
    }
    let page = query.page(DEFAULT_PAGE, 1..=MAX_PAGE)?;
    Ok((query, page))
}

/// `ListBackupRecords`.
pub(super) fn backups(asked: &Asked<'_>) -> Result<Call, Fault> {
    let (query, page) = range(asked)?;
    Ok(Call::ListBackups(ListBackups {
        place: asked.place.clone(),
        instance: Some(asked.route.instance.clone()),
        since: query.time("begin_time")?,
        until: query.time("end_time")?,
        page,
        ..ListBackups::default()
    }))
}

/// `ListBackupFileLinks`.
pub(super) fn links(asked: &Asked<'_>) -> Result<Call, Fault> {
    let members = body(asked.request)?;
    let expiration = Body::new(&members, &["expiration"])?.value("expiration");
    let seconds = expiration.ok_or_else(|| missing("expiration"))?.as_u64();
    let seconds = seconds.filter(|seconds| EXPIRATIONS.contains(seconds));
    let seconds = seconds.ok_or_else(|| bad("expiration", "must be a number from 300 to 86400"))?;
    Ok(Call::LinkBackup(LinkBackup {
        ttl: Some(Duration::from_secs(seconds)),
        ..LinkBackup::new(asked.place.clone(), Some(asked.route.instance.clone()), asked.route.backup.clone())
    }))
}

/// `DeleteBackupFile`.
pub(super) fn delete(asked: &Asked<'_>) -> Call {
    Call::DeleteBackups(DeleteBackups {
        place: asked.place.clone(),
        instance: Some(asked.route.instance.clone()),
        backups: vec![asked.route.backup.clone()],
    })
}

/// `RestoreInstance`. A note is checked, but a restore has none here.
pub(super) fn restore(asked: &Asked<'_>) -> Result<Call, Fault> {
    let members = body(asked.request)?;
    let body = Body::new(&members, &["backup_id", "remark"])?;
    remark(&body)?;
    Ok(Call::Restore(Restore {
        place: asked.place.clone(),
        instance: asked.route.instance.clone(),
        from: RestoreFrom::Backup(body.required("backup_id")?.to_owned()),
        password: None,
    }))
}

/// `ListRestoreRecords`: the restores among the jobs of the instance.
pub(super) fn restores(asked: &Asked<'_>) -> Result<Call, Fault> {
    let (query, page) = range(asked)?;
    Ok(Call::ListJobs(ListJobs {
        place: asked.place.clone(),
        instance: Some(asked.route.instance.clone()),
        kinds: vec![JobKind::Restore],
        since: query.time("begin_time")?,
        until: query.time("end_time")?,
        page,
        ..ListJobs::default()
    }))
}

/// `ListInstances`.
pub(super) fn instances(asked: &Asked<'_>) -> Result<Call, Fault> {
    let others = ["ip", "tags"];
    let own = [
        "instance_id",
        "name",
        "name_equal",
        "status",
        "include_failure",
        "include_delete",
        "offset",
        "limit",
    ];
    let query = Query::read(asked.request, &[&own[..], &others].concat())?;
    query.refuse(&others)?;
    // Instances that were not created or are deleted are never here, asked for or not.
    query.flag("include_failure")?;
    query.flag("include_delete")?;
    if !matches!(query.text("status"), None | Some(answers::RUNNING)) {
        return Err(bad("status", "must be RUNNING; every instance here is"));
    }
    let (exact, name) = (query.flag("name_equal")?, query.owned("name"));
    let (name, search) = if exact { (name, None) } else { (None, name) };
    Ok(Call::ListInstances(ListInstances {
        place: asked.place.clone(),
        ids: query.owned("instance_id").into_iter().collect(),
        name,
        search,
        page: query.page(DEFAULT_PAGE, 1..=MAX_PAGE)?,
        ..ListInstances::default()
    }))
}

/// `ShowInstance`.
pub(super) fn instance(asked: &Asked<'_>) -> Result<Call, Fault> {
    Query::read(asked.request, &[])?;
    let ids = vec![asked.route.instance.clone()];
    Ok(Call::ListInstances(ListInstances { place: asked.place.clone(), ids, ..ListInstances::default() }))
}

/// `UpdateInstance`, as far as it is about backups.
pub(super) fn update(asked: &Asked<'_>) -> Result<Call, Fault> {
    let change = policy::of_cache(&body(asked.request)?)?;
    let instance = asked.route.instance.clone();
    Ok(Call::SetPolicy(SetPolicy { place: asked.place.clone(), instance, change }))
}
