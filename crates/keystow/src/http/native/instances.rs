//! `/instances`

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use keystow_engine::Error;
use keystow_engine::access::Principal;
use keystow_engine::model::{CaptureOptions, InstanceFilter, InstanceId, Secret};
use keystow_engine::ops::{CaptureChange, InstanceChange, NewInstance, NewLogin};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::{Asked, Body, Caller, Named};
use super::problem::Answer;
use super::{Native, page, rows};
use crate::api::{
    CaptureRequest, InstanceChangeRequest, InstanceList, InstanceRow, InstanceTestRow, NewInstanceRequest,
    PolicyRow, Problem,
};

pub(super) fn routes() -> OpenApiRouter<Native> {
    OpenApiRouter::new()
        .routes(routes!(list, add))
        .routes(routes!(show, change, remove))
        .routes(routes!(test))
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
        instances: listed.rows.iter().map(|row| rows::instance(&native.engine, row)).collect(),
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
    let login = NewLogin {
        url: new.url,
        username: new.username.filter(|text| !text.is_empty()),
        password: given(new.password),
        sentinel_username: new.sentinel_username.filter(|text| !text.is_empty()),
        sentinel_password: given(new.sentinel_password),
        tls_ca: new.tls.ca,
        tls_certificate: new.tls.certificate,
        tls_key: given(new.tls.key),
        tls_server_name: new.tls.server_name,
    };
    let new = NewInstance {
        login,
        capture: capture(new.capture)?.apply(&CaptureOptions::default()),
        id: new.id.map(|id| id.parse()).transpose()?,
        name: new.name,
        region: new.region,
        zone: new.zone,
        replica_zone: new.replica_zone,
        account: new.account.map(|id| id.parse()).transpose()?,
        project: new.project.map(|id| id.parse()).transpose()?,
        no_policy: new.no_policy,
    };
    let instance = native.engine.add_instance(&who, new).await?;
    let mut row = rows::instance(&native.engine, &instance);
    // An admin may add to another account, whose policies are not shown to it.
    if instance.account == *who.account() {
        row.policy = policy_of(&native, &who, &instance.id).await?;
    }
    Ok((StatusCode::CREATED, Json(row)))
}

/// Shows an instance.
#[utoipa::path(get, path = "/instances/{id}", params(("id" = String, Path)), security(("access_key" = [])),
    responses((status = 200, body = InstanceRow), (status = "default", body = Problem)))]
async fn show(
    State(native): State<Native>,
    Caller(who): Caller,
    Named(id): Named<InstanceId>,
) -> Answer<Json<InstanceRow>> {
    let instance = native.engine.instance(&who, &id).await?;
    let policy = policy_of(&native, &who, &id).await?;
    Ok(Json(InstanceRow { policy, ..rows::instance(&native.engine, &instance) }))
}

async fn policy_of(native: &Native, who: &Principal, id: &InstanceId) -> Result<Option<PolicyRow>, Error> {
    Ok(native.engine.policy(who, id).await?.map(|kept| rows::policy(&kept, &[])))
}

/// Changes where an instance is, how to sign in there and how it is captured. A new address or login is tried first.
#[utoipa::path(patch, path = "/instances/{id}", params(("id" = String, Path)), request_body = InstanceChangeRequest,
    security(("access_key" = [])), responses((status = 200, body = InstanceRow), (status = "default", body = Problem)))]
async fn change(
    State(native): State<Native>,
    Caller(who): Caller,
    Named(id): Named<InstanceId>,
    Body(asked): Body<InstanceChangeRequest>,
) -> Answer<Json<InstanceRow>> {
    let change = InstanceChange {
        url: asked.url,
        username: asked.username,
        password: asked.password.map(Secret::new),
        sentinel_username: asked.sentinel_username,
        sentinel_password: asked.sentinel_password.map(Secret::new),
        tls_ca: asked.tls.ca,
        tls_certificate: asked.tls.certificate,
        tls_key: asked.tls.key.map(Secret::new),
        tls_server_name: asked.tls.server_name,
        capture: capture(asked.capture)?,
    };
    let instance = native.engine.set_instance(&who, &id, change).await?;
    Ok(Json(rows::instance(&native.engine, &instance)))
}

fn capture(asked: CaptureRequest) -> Result<CaptureChange, Error> {
    Ok(CaptureChange {
        method: asked.method.map(|word| word.parse()).transpose()?,
        prefer: asked.prefer.map(|word| word.parse()).transpose()?,
        checks: asked.checks.map(|word| word.parse()).transpose()?,
        bytes_per_second: asked.bytes_per_second,
        keys_per_second: asked.keys_per_second,
        parallel: asked.parallel,
        uncompressed: asked.uncompressed,
    })
}

/// A secret that says something.
pub(super) fn given(text: Option<String>) -> Option<Secret> {
    text.filter(|text| !text.is_empty()).map(Secret::new)
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

/// Finds the instance's servers now, and asks one of them who it is.
#[utoipa::path(post, path = "/instances/{id}/test", params(("id" = String, Path)), security(("access_key" = [])),
    responses((status = 200, body = InstanceTestRow), (status = "default", body = Problem)))]
async fn test(
    State(native): State<Native>,
    Caller(who): Caller,
    Named(id): Named<InstanceId>,
) -> Answer<Json<InstanceTestRow>> {
    Ok(Json(rows::tested(&native.engine.test_instance(&who, &id).await?)))
}
