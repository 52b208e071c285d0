//! `/backups`

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use jiff::Timestamp;
use keystow_engine::Error;
use keystow_engine::model::{BackupFilter, BackupRef, BackupState};
use keystow_engine::ops::BackupOrder;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::{Asked, Body, Caller, Named};
use super::problem::Answer;
use super::{Native, page, rows};
use crate::api::{BackupList, BackupRow, JobRow, NewBackupRequest, Problem, Protection};

pub(super) fn routes() -> OpenApiRouter<Native> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, remove))
        .routes(routes!(protect))
        .routes(routes!(scrub))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Search {
    /// Only of this instance.
    instance: Option<String>,
    /// Only in these states, with commas between; all but `expired` if absent.
    state: Option<String>,
    /// Started at or after (RFC 3339).
    since: Option<String>,
    /// Started at or before (RFC 3339).
    until: Option<String>,
    /// Records to skip.
    #[serde(default)]
    offset: u64,
    /// Records to return, at most 1000.
    limit: Option<u64>,
}

impl Search {
    fn filter(self) -> Result<BackupFilter, Error> {
        let moment = |text: Option<String>| {
            text.map(|text| text.parse::<Timestamp>()).transpose().map_err(|error| {
                Error::invalid("since and until are moments such as 2026-01-31T00:00:00Z").because(error)
            })
        };
        let states = self.state.iter().flat_map(|list| list.split(',')).filter(|word| !word.is_empty());
        Ok(BackupFilter {
            instance: self.instance.as_deref().map(str::parse).transpose()?,
            states: states.map(str::parse::<BackupState>).collect::<Result<_, _>>()?,
            since: moment(self.since)?,
            until: moment(self.until)?,
            page: page(self.offset, self.limit),
            ..BackupFilter::default()
        })
    }
}

/// Lists backups, newest first.
#[utoipa::path(get, path = "/backups", params(Search), security(("access_key" = [])),
    responses((status = 200, body = BackupList), (status = "default", body = Problem)))]
async fn list(
    State(native): State<Native>,
    Caller(who): Caller,
    Asked(search): Asked<Search>,
) -> Answer<Json<BackupList>> {
    let listed = native.engine.backups(&who, search.filter()?).await?;
    Ok(Json(BackupList { total: listed.total, backups: listed.rows.iter().map(rows::backup).collect() }))
}

/// Asks for a backup; the answer comes before it is done.
#[utoipa::path(post, path = "/backups", request_body = NewBackupRequest, security(("access_key" = [])),
    responses((status = 202, body = BackupRow), (status = "default", body = Problem)))]
async fn create(
    State(native): State<Native>,
    Caller(who): Caller,
    Body(new): Body<NewBackupRequest>,
) -> Answer<(StatusCode, Json<BackupRow>)> {
    let order = BackupOrder {
        instance: new.instance.parse()?,
        name: new.name,
        remark: new.remark,
        keep_days: new.keep_days,
    };
    let backup = native.engine.request_backup(&who, order).await?;
    Ok((StatusCode::ACCEPTED, Json(rows::backup(&backup))))
}

/// Shows a backup, by id or number.
#[utoipa::path(get, path = "/backups/{id}", params(("id" = String, Path)), security(("access_key" = [])),
    responses((status = 200, body = BackupRow), (status = "default", body = Problem)))]
async fn show(
    State(native): State<Native>,
    Caller(who): Caller,
    Named(which): Named<BackupRef>,
) -> Answer<Json<BackupRow>> {
    let row = rows::backup(&native.engine.backup(&who, which).await?);
    let copies = native.engine.copies(&who, which).await?;
    Ok(Json(BackupRow { copies: copies.iter().map(rows::copy).collect(), ..row }))
}

/// Deletes a backup: its links end now, its bytes are removed by a job.
#[utoipa::path(delete, path = "/backups/{id}", params(("id" = String, Path)), security(("access_key" = [])),
    responses((status = 202, body = BackupRow), (status = "default", body = Problem)))]
async fn remove(
    State(native): State<Native>,
    Caller(who): Caller,
    Named(which): Named<BackupRef>,
) -> Answer<(StatusCode, Json<BackupRow>)> {
    let (backup, _) = native.engine.delete_backup(&who, which).await?;
    Ok((StatusCode::ACCEPTED, Json(rows::backup(&backup))))
}

/// Asks for the stored bytes of a backup to be read again; the answer comes before it is done.
#[utoipa::path(post, path = "/backups/{id}/scrub", params(("id" = String, Path)), security(("access_key" = [])),
    responses((status = 202, body = JobRow), (status = "default", body = Problem)))]
async fn scrub(
    State(native): State<Native>,
    Caller(who): Caller,
    Named(which): Named<BackupRef>,
) -> Answer<(StatusCode, Json<JobRow>)> {
    let job = native.engine.request_scrub(&who, which).await?;
    Ok((StatusCode::ACCEPTED, Json(rows::job(&job))))
}

/// Keeps a backup whatever retention says, or no longer.
#[utoipa::path(put, path = "/backups/{id}/protection", params(("id" = String, Path)), request_body = Protection,
    security(("access_key" = [])), responses((status = 200, body = BackupRow), (status = "default", body = Problem)))]
async fn protect(
    State(native): State<Native>,
    Caller(who): Caller,
    Named(which): Named<BackupRef>,
    Body(protection): Body<Protection>,
) -> Answer<Json<BackupRow>> {
    Ok(Json(rows::backup(&native.engine.protect_backup(&who, which, protection.protected).await?)))
}
