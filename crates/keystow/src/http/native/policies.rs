//! `/instances/{id}/policy`, `/policies/next` and `/backups/prune`

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use keystow_engine::Error;
use keystow_engine::model::{InstanceId, Span, Window};
use keystow_engine::ops::{PolicyChange, RetentionChange, no_policy};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::{Asked, Body, Caller, Named};
use super::problem::Answer;
use super::{Native, rows};
use crate::api::{ComingRow, PolicyRequest, PolicyRow, Problem, PruneRequest, PrunedRow};

/// Fires that are shown with a policy.
const FIRES: u64 = 20;
/// Coming backups, unless it is said how many.
const COMING: usize = 10;

pub(super) fn routes() -> OpenApiRouter<Native> {
    OpenApiRouter::new().routes(routes!(show, set, remove)).routes(routes!(next)).routes(routes!(prune))
}

/// Shows the policy of an instance, with its last fires.
#[utoipa::path(get, path = "/instances/{id}/policy", params(("id" = String, Path)), security(("access_key" = [])),
    responses((status = 200, body = PolicyRow), (status = "default", body = Problem)))]
async fn show(
    State(native): State<Native>,
    Caller(who): Caller,
    Named(id): Named<InstanceId>,
) -> Answer<Json<PolicyRow>> {
    let kept = native.engine.policy(&who, &id).await?.ok_or_else(|| no_policy(&id))?;
    let fires = native.engine.fires(&who, &id, FIRES).await?;
    Ok(Json(rows::policy(&kept, &fires)))
}

/// Changes the policy of an instance, or gives it one: what is absent stays, or is as usual where there was none.
#[utoipa::path(put, path = "/instances/{id}/policy", params(("id" = String, Path)), request_body = PolicyRequest,
    security(("access_key" = [])), responses((status = 200, body = PolicyRow), (status = "default", body = Problem)))]
async fn set(
    State(native): State<Native>,
    Caller(who): Caller,
    Named(id): Named<InstanceId>,
    Body(asked): Body<PolicyRequest>,
) -> Answer<Json<PolicyRow>> {
    let kept = native.engine.set_policy(&who, &id, change(asked)?).await?;
    Ok(Json(rows::policy(&kept, &[])))
}

/// Removes the policy of an instance: nothing is taken or removed by itself any more, but for backups with an expiry of
/// their own.
#[utoipa::path(delete, path = "/instances/{id}/policy", params(("id" = String, Path)), security(("access_key" = [])),
    responses((status = 204), (status = "default", body = Problem)))]
async fn remove(
    State(native): State<Native>,
    Caller(who): Caller,
    Named(id): Named<InstanceId>,
) -> Answer<StatusCode> {
    native.engine.delete_policy(&who, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Which {
    /// Only of this instance.
    instance: Option<String>,
    /// So many, at most 1000; 10 if absent.
    limit: Option<usize>,
}

/// The next backups that policies will take, in order.
#[utoipa::path(get, path = "/policies/next", params(Which), security(("access_key" = [])),
    responses((status = 200, body = Vec<ComingRow>), (status = "default", body = Problem)))]
async fn next(
    State(native): State<Native>,
    Caller(who): Caller,
    Asked(which): Asked<Which>,
) -> Answer<Json<Vec<ComingRow>>> {
    let instance = which.instance.as_deref().map(str::parse).transpose()?;
    let coming = native.engine.coming_backups(&who, instance.as_ref(), which.limit.unwrap_or(COMING)).await?;
    Ok(Json(coming.iter().map(rows::coming).collect()))
}

/// Judges every backup, and removes those that nothing keeps, unless it is a dry run.
#[utoipa::path(post, path = "/backups/prune", request_body = PruneRequest, security(("access_key" = [])),
    responses((status = 200, body = Vec<PrunedRow>), (status = "default", body = Problem)))]
async fn prune(
    State(native): State<Native>,
    Caller(who): Caller,
    Body(asked): Body<PruneRequest>,
) -> Answer<Json<Vec<PrunedRow>>> {
    let instance = asked.instance.as_deref().map(str::parse).transpose()?;
    let judged = native.engine.prune(&who, instance.as_ref(), asked.dry_run).await?;
    Ok(Json(judged.iter().map(rows::pruned).collect()))
}

fn change(asked: PolicyRequest) -> Result<PolicyChange, Error> {
    let span = |text: Option<String>| text.map(|text| text.parse::<Span>()).transpose();
    let windows = asked.windows.map(|list| list.iter().map(|text| text.parse::<Window>()).collect());
    Ok(PolicyChange {
        version: asked.version,
        schedules: asked.schedules,
        time_zone: asked.time_zone,
        jitter: span(asked.jitter)?,
        windows: windows.transpose()?,
        keep: RetentionChange {
            last: asked.keep.last,
            within: span(asked.keep.within)?,
            daily: asked.keep.daily,
            weekly: asked.keep.weekly,
            monthly: asked.keep.monthly,
            yearly: asked.keep.yearly,
            minimum: asked.keep.minimum,
            include_manual: asked.keep.include_manual,
        },
        verify_every: span(asked.verify_every)?,
        drill_every: span(asked.drill_every)?,
        copies: asked.copies,
        catch_up: asked.catch_up,
        paused: asked.paused,
    })
}
