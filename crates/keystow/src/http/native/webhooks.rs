//! `/webhooks`

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use keystow_engine::Error;
use keystow_engine::model::{AccountId, NoticeKind, Secret};
use keystow_engine::ops::NewWebhook;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::{Asked, Body, Caller, Named};
use super::problem::Answer;
use super::{Native, Paging, rows};
use crate::api::{
    IssuedWebhookRow, NewWebhookRequest, Problem, WebhookChangeRequest, WebhookDeliveryList, WebhookRow,
    WebhookTestRow,
};

pub(super) fn routes() -> OpenApiRouter<Native> {
    OpenApiRouter::new()
        .routes(routes!(list, add))
        .routes(routes!(show, change, delete))
        .routes(routes!(test))
        .routes(routes!(deliveries))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct OfAccount {
    /// The account; the caller's own if absent.
    account: Option<String>,
}

/// Lists the webhooks of an account, oldest first.
#[utoipa::path(get, path = "/webhooks", params(OfAccount), security(("access_key" = [])),
    responses((status = 200, body = Vec<WebhookRow>), (status = "default", body = Problem)))]
async fn list(
    State(native): State<Native>,
    Caller(who): Caller,
    Asked(of): Asked<OfAccount>,
) -> Answer<Json<Vec<WebhookRow>>> {
    let account = of.account.as_deref().map(str::parse::<AccountId>).transpose()?;
    let webhooks = native.engine.webhooks(&who, account.as_ref()).await?;
    Ok(Json(webhooks.iter().map(rows::webhook).collect()))
}

/// Adds a webhook. Its secret is shown this once.
#[utoipa::path(post, path = "/webhooks", request_body = NewWebhookRequest, security(("access_key" = [])),
    responses((status = 201, body = IssuedWebhookRow), (status = "default", body = Problem)))]
async fn add(
    State(native): State<Native>,
    Caller(who): Caller,
    Body(new): Body<NewWebhookRequest>,
) -> Answer<(StatusCode, Json<IssuedWebhookRow>)> {
    let new = NewWebhook {
        url: new.url,
        kinds: new.events.iter().map(|kind| kind.parse()).collect::<Result<Vec<NoticeKind>, Error>>()?,
        instance: new.instance.as_deref().map(str::parse).transpose()?,
        secret: new.secret.map(Secret::new),
        account: new.account.as_deref().map(str::parse).transpose()?,
    };
    let issued = native.engine.add_webhook(&who, new).await?;
    Ok((StatusCode::CREATED, Json(rows::issued_webhook(&issued))))
}

/// Shows a webhook.
#[utoipa::path(get, path = "/webhooks/{id}", params(("id" = String, Path)), security(("access_key" = [])),
    responses((status = 200, body = WebhookRow), (status = "default", body = Problem)))]
async fn show(
    State(native): State<Native>,
    Caller(who): Caller,
    Named(id): Named<String>,
) -> Answer<Json<WebhookRow>> {
    Ok(Json(rows::webhook(&native.engine.webhook(&who, &id).await?)))
}

/// Pauses a webhook, or lets it go on. What happens while it is paused it is never told.
#[utoipa::path(patch, path = "/webhooks/{id}", params(("id" = String, Path)), request_body = WebhookChangeRequest,
    security(("access_key" = [])), responses((status = 200, body = WebhookRow), (status = "default", body = Problem)))]
async fn change(
    State(native): State<Native>,
    Caller(who): Caller,
    Named(id): Named<String>,
    Body(change): Body<WebhookChangeRequest>,
) -> Answer<Json<WebhookRow>> {
    Ok(Json(rows::webhook(&native.engine.pause_webhook(&who, &id, change.paused).await?)))
}

/// Removes a webhook, and what it was still to be told.
#[utoipa::path(delete, path = "/webhooks/{id}", params(("id" = String, Path)), security(("access_key" = [])),
    responses((status = 204), (status = "default", body = Problem)))]
async fn delete(
    State(native): State<Native>,
    Caller(who): Caller,
    Named(id): Named<String>,
) -> Answer<StatusCode> {
    native.engine.delete_webhook(&who, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Tells a webhook, paused or not, that this is a test: now, and once.
#[utoipa::path(post, path = "/webhooks/{id}/test", params(("id" = String, Path)), security(("access_key" = [])),
    responses((status = 200, body = WebhookTestRow), (status = "default", body = Problem)))]
async fn test(
    State(native): State<Native>,
    Caller(who): Caller,
    Named(id): Named<String>,
) -> Answer<Json<WebhookTestRow>> {
    let tested = native.engine.test_webhook(&who, &id).await?;
    let took_ms = u64::try_from(tested.took.as_millis()).unwrap_or(u64::MAX);
    Ok(Json(WebhookTestRow { status: tested.status, took_ms }))
}

/// Lists what a webhook was told and is to be told, newest first. Kept for 30 days, and the last 10,000 of all.
#[utoipa::path(get, path = "/webhooks/{id}/deliveries",
    params(("id" = String, Path), ("offset" = Option<u64>, Query), ("limit" = Option<u64>, Query)),
    security(("access_key" = [])),
    responses((status = 200, body = WebhookDeliveryList), (status = "default", body = Problem)))]
async fn deliveries(
    State(native): State<Native>,
    Caller(who): Caller,
    Named(id): Named<String>,
    Asked(paging): Asked<Paging>,
) -> Answer<Json<WebhookDeliveryList>> {
    let listed = native.engine.webhook_deliveries(&who, &id, paging.page()).await?;
    let deliveries = listed.rows.iter().map(rows::webhook_delivery).collect();
    Ok(Json(WebhookDeliveryList { total: listed.total, deliveries }))
}
