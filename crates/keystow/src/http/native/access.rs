//! `/accounts`, `/projects`, `/keys`

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use jiff::Timestamp;
use keystow_engine::Error;
use keystow_engine::model::{AccountId, Secret};
use keystow_engine::ops::{IssuedKey, NewKey};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::{Asked, Body, Caller, MaybeBody, Named};
use super::problem::Answer;
use super::{Native, rows};
use crate::api::{
    AccountRow, KeyRotation, KeyRow, KeySecret, NewAccount, NewKeyRequest, NewProject, Problem, ProjectRow,
};

pub(super) fn routes() -> OpenApiRouter<Native> {
    OpenApiRouter::new()
        .routes(routes!(accounts, add_account))
        .routes(routes!(projects, add_project))
        .routes(routes!(keys, create_key))
        .routes(routes!(revoke_key))
        .routes(routes!(rotate_key))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct OfAccount {
    /// The account; the caller's own if absent (for keys: all).
    account: Option<String>,
}

impl OfAccount {
    fn id(&self) -> Result<Option<AccountId>, Error> {
        self.account.as_deref().map(str::parse).transpose()
    }
}

/// Lists accounts.
#[utoipa::path(get, path = "/accounts", security(("access_key" = [])),
    responses((status = 200, body = Vec<AccountRow>), (status = "default", body = Problem)))]
async fn accounts(State(native): State<Native>, Caller(who): Caller) -> Answer<Json<Vec<AccountRow>>> {
    Ok(Json(native.engine.accounts(&who).await?.iter().map(rows::account).collect()))
}

/// Adds an account.
#[utoipa::path(post, path = "/accounts", request_body = NewAccount, security(("access_key" = [])),
    responses((status = 201, body = AccountRow), (status = "default", body = Problem)))]
async fn add_account(
    State(native): State<Native>,
    Caller(who): Caller,
    Body(new): Body<NewAccount>,
) -> Answer<(StatusCode, Json<AccountRow>)> {
    let account = native.engine.add_account(&who, new.id.parse()?, new.name).await?;
    Ok((StatusCode::CREATED, Json(rows::account(&account))))
}

/// Lists the projects of an account.
#[utoipa::path(get, path = "/projects", params(OfAccount), security(("access_key" = [])),
    responses((status = 200, body = Vec<ProjectRow>), (status = "default", body = Problem)))]
async fn projects(
    State(native): State<Native>,
    Caller(who): Caller,
    Asked(of): Asked<OfAccount>,
) -> Answer<Json<Vec<ProjectRow>>> {
    Ok(Json(native.engine.projects(&who, of.id()?.as_ref()).await?.iter().map(rows::project).collect()))
}

/// Adds a project.
#[utoipa::path(post, path = "/projects", request_body = NewProject, security(("access_key" = [])),
    responses((status = 201, body = ProjectRow), (status = "default", body = Problem)))]
async fn add_project(
    State(native): State<Native>,
    Caller(who): Caller,
    Body(new): Body<NewProject>,
) -> Answer<(StatusCode, Json<ProjectRow>)> {
    let account = new.account.as_deref().map(str::parse).transpose()?;
    let project = native.engine.add_project(&who, new.id.parse()?, new.name, account.as_ref()).await?;
    Ok((StatusCode::CREATED, Json(rows::project(&project))))
}

/// Lists access keys, without their secrets.
#[utoipa::path(get, path = "/keys", params(OfAccount), security(("access_key" = [])),
    responses((status = 200, body = Vec<KeyRow>), (status = "default", body = Problem)))]
async fn keys(
    State(native): State<Native>,
    Caller(who): Caller,
    Asked(of): Asked<OfAccount>,
) -> Answer<Json<Vec<KeyRow>>> {
    Ok(Json(native.engine.keys(&who, of.id()?.as_ref()).await?.iter().map(rows::key).collect()))
}

/// Makes an access key, or imports one with a given id and secret. The secret is shown this once.
#[utoipa::path(post, path = "/keys", request_body = NewKeyRequest, security(("access_key" = [])),
    responses((status = 201, body = KeySecret), (status = "default", body = Problem)))]
async fn create_key(
    State(native): State<Native>,
    Caller(who): Caller,
    Body(new): Body<NewKeyRequest>,
) -> Answer<(StatusCode, Json<KeySecret>)> {
    let expires_at = new.expires_at.as_deref().map(str::parse::<Timestamp>).transpose();
    let new = NewKey {
        id: new.id,
        secret: new.secret.map(Secret::new),
        session_token: new.session_token.map(Secret::new),
        role: new.role.as_deref().map(str::parse).transpose()?,
        account: new.account.as_deref().map(str::parse).transpose()?,
        project: new.project.as_deref().map(str::parse).transpose()?,
        expires_at: expires_at.map_err(|error| {
            Error::invalid("expires_at is a moment such as 2026-01-31T00:00:00Z").because(error)
        })?,
        addresses: new.addresses,
    };
    let key = native.engine.create_key(&who, new).await?;
    Ok((StatusCode::CREATED, Json(shown(&key))))
}

/// Gives a key a new secret, shown this once.
#[utoipa::path(post, path = "/keys/{id}/rotation", params(("id" = String, Path)),
    request_body = Option<KeyRotation>, security(("access_key" = [])),
    responses((status = 200, body = KeySecret), (status = "default", body = Problem)))]
async fn rotate_key(
    State(native): State<Native>,
    Caller(who): Caller,
    Named(id): Named<String>,
    rotation: MaybeBody<KeyRotation>,
) -> Answer<Json<KeySecret>> {
    let grace = Duration::from_secs(rotation.0.grace_seconds);
    Ok(Json(shown(&native.engine.rotate_key(&who, &id, Some(grace)).await?)))
}

/// Ends a key, and every link that it asked for.
#[utoipa::path(delete, path = "/keys/{id}", params(("id" = String, Path)), security(("access_key" = [])),
    responses((status = 204), (status = "default", body = Problem)))]
async fn revoke_key(
    State(native): State<Native>,
    Caller(who): Caller,
    Named(id): Named<String>,
) -> Answer<StatusCode> {
    native.engine.revoke_key(&who, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The one place where a secret is written into an answer.
fn shown(key: &IssuedKey) -> KeySecret {
    KeySecret {
        access_key_id: key.id.clone(),
        secret: String::from_utf8_lossy(key.secret.expose()).into_owned(),
    }
}
