//! `/instances`

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use keystow_engine::model::{InstanceFilter, InstanceId, Secret};
use keystow_engine::ops::NewInstance;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::{Asked, Body, Caller, Named};
use super::problem::Answer;
use super::{Native, page, rows};
use crate::api::{InstanceList, InstanceRow, NewInstanceRequest, Problem, ServerRow};

pub(super) fn routes() -> OpenApiRouter<Native> {
    OpenApiRouter::new().routes(routes!(list, add)).routes(routes!(show, remove)).routes(routes!(test))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Query {
    /// Only those whose id or name contains this text.
    search: Option<String>,
    /// Records to skip.
    #[serde(default)]
    offset: u64,
    /// Records to return, at most 1000.
    limit: Option<u64>,
}

/// Lists instances.
#[utoipa::path(get, path = "/instances", params(Query), security(("access_key" = [])),
    responses((status = 200, body = InstanceList), (status = "default", body = Problem)))]
async fn list(
    State(native): State<Native>,
    Caller(who): Caller,
    Asked(query): Asked<Query>,
) -> Answer<Json<InstanceList>> {
    let page = page(query.offset, query.limit);
    let listed = native
        .engine
        .instances(&who, InstanceFilter { search: query.search, page, ..InstanceFilter::default() })
        .await?;
    Ok(Json(InstanceList {
        total: listed.total,
        instances: listed.rows.iter().map(rows::instance).collect(),
    }))
}

/// Adds an instance, after asking the server who it is.
#[utoipa::path(post, path = "/instances", request_body = NewInstanceRequest, security(("access_key" = [])),
    responses((status = 201, body = InstanceRow), (status = "default", body = Problem)))]
async fn add(
    State(native): State<Native>,
    Caller(who): Caller,
    Body(new): Body<NewInstanceRequest>,
) -> Answer<(StatusCode, Json<InstanceRow>)> {
    let new = NewInstance {
        url: new.url,
        id: new.id.map(|id| id.parse()).transpose()?,
        name: new.name,
        password: new.password.filter(|password| !password.is_empty()).map(Secret::new),
        region: new.region,
        zone: new.zone,
        replica_zone: new.replica_zone,
        account: new.account.map(|id| id.parse()).transpose()?,
        project: new.project.map(|id| id.parse()).transpose()?,
    };
    let instance = native.engine.add_instance(&who, new).await?;
    Ok((StatusCode::CREATED, Json(rows::instance(&instance))))
}

/// Shows an instance.
#[utoipa::path(get, path = "/instances/{id}", params(("id" = String, Path)), security(("access_key" = [])),
    responses((status = 200, body = InstanceRow), (status = "default", body = Problem)))]
async fn show(
    State(native): State<Native>,
    Caller(who): Caller,
    Named(id): Named<InstanceId>,
) -> Answer<Json<InstanceRow>> {
    Ok(Json(rows::instance(&*native.engine.instance(&who, &id).await?)))
}

/// Removes an instance. Its backups stay.
#[utoipa::path(delete, path = "/instances/{id}", params(("id" = String, Path)), security(("access_key" = [])),
    responses((status = 204), (status = "default", body = Problem)))]
async fn remove(
    State(native): State<Native>,
    Caller(who): Caller,
    Named(id): Named<InstanceId>,
) -> Answer<StatusCode> {
    native.engine.delete_instance(&who, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Asks the server who it is, now.
#[utoipa::path(post, path = "/instances/{id}/test", params(("id" = String, Path)), security(("access_key" = [])),
    responses((status = 200, body = ServerRow), (status = "default", body = Problem)))]
async fn test(
    State(native): State<Native>,
    Caller(who): Caller,
    Named(id): Named<InstanceId>,
) -> Answer<Json<ServerRow>> {
    Ok(Json(rows::server(&native.engine.test_instance(&who, &id).await?)))
}
