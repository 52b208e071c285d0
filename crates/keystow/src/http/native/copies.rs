//! `/backups/{id}/copies` and `/backups/{id}/repair`

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use keystow_engine::model::BackupRef;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::{Body, Caller, Named};
use super::problem::Answer;
use super::{Native, rows};
use crate::api::{JobRow, NewCopyRequest, Problem};

pub(super) fn routes() -> OpenApiRouter<Native> {
    OpenApiRouter::new().routes(routes!(copy)).routes(routes!(repair))
}

/// Asks for a copy of a backup in another repository; the answer comes before it is made.
#[utoipa::path(post, path = "/backups/{id}/copies", params(("id" = String, Path)), request_body = NewCopyRequest,
    security(("access_key" = [])), responses((status = 202, body = JobRow), (status = "default", body = Problem)))]
async fn copy(
    State(native): State<Native>,
    Caller(who): Caller,
    Named(which): Named<BackupRef>,
    Body(new): Body<NewCopyRequest>,
) -> Answer<(StatusCode, Json<JobRow>)> {
    let job = native.engine.request_copy(&who, which, &new.to).await?;
    Ok((StatusCode::ACCEPTED, Json(rows::job(&job))))
}

/// Asks for a damaged backup to be brought back from a copy; the answer comes before it is done.
#[utoipa::path(post, path = "/backups/{id}/repair", params(("id" = String, Path)), security(("access_key" = [])),
    responses((status = 202, body = JobRow), (status = "default", body = Problem)))]
async fn repair(
    State(native): State<Native>,
    Caller(who): Caller,
    Named(which): Named<BackupRef>,
) -> Answer<(StatusCode, Json<JobRow>)> {
    let job = native.engine.request_repair(&who, which).await?;
    Ok((StatusCode::ACCEPTED, Json(rows::job(&job))))
}
