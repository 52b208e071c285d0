//! `/jobs`

use axum::Json;
use axum::extract::State;
use keystow_engine::model::{JobFilter, Number};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::{Asked, Caller, Named};
use super::problem::Answer;
use super::{Native, Paging, rows};
use crate::api::{JobList, JobRow, Problem};

pub(super) fn routes() -> OpenApiRouter<Native> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show)).routes(routes!(cancel))
}

/// Lists jobs, newest first.
#[utoipa::path(get, path = "/jobs", params(("offset" = Option<u64>, Query), ("limit" = Option<u64>, Query)),
    security(("access_key" = [])), responses((status = 200, body = JobList), (status = "default", body = Problem)))]
async fn list(
    State(native): State<Native>,
    Caller(who): Caller,
    Asked(paging): Asked<Paging>,
) -> Answer<Json<JobList>> {
    let listed = native.engine.jobs(&who, JobFilter { page: paging.page(), ..JobFilter::default() }).await?;
    Ok(Json(JobList {
        total: listed.total,
        jobs: listed.rows.iter().map(|listed| rows::job(&listed.job)).collect(),
    }))
}

/// Shows a job.
#[utoipa::path(get, path = "/jobs/{number}", params(("number" = u64, Path)), security(("access_key" = [])),
    responses((status = 200, body = JobRow), (status = "default", body = Problem)))]
async fn show(
    State(native): State<Native>,
    Caller(who): Caller,
    Named(number): Named<Number>,
) -> Answer<Json<JobRow>> {
    Ok(Json(rows::job(&native.engine.job(&who, number).await?)))
}

/// Asks a job to stop.
#[utoipa::path(post, path = "/jobs/{number}/cancellation", params(("number" = u64, Path)),
    security(("access_key" = [])), responses((status = 200, body = JobRow), (status = "default", body = Problem)))]
async fn cancel(
    State(native): State<Native>,
    Caller(who): Caller,
    Named(number): Named<Number>,
) -> Answer<Json<JobRow>> {
    Ok(Json(rows::job(&native.engine.cancel_job(&who, number).await?)))
}
