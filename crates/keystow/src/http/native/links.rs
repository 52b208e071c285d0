//! `/links`

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use keystow_engine::Error;
use keystow_engine::links::Spelling;
use keystow_engine::model::{Network, Throughput};
use keystow_engine::ops::LinkOrder;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::{Asked, Body, Caller, Named};
use super::problem::Answer;
use super::{Native, Paging, rows};
use crate::api::{IssuedLinks, LinkList, NewLinkRequest, Problem, RememberedLinkRow, RevokeRequest};

pub(super) fn routes() -> OpenApiRouter<Native> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, revoke))
        .routes(routes!(revoke_all))
}

/// Makes links to a backup, one a part and network.
#[utoipa::path(post, path = "/links", request_body = NewLinkRequest, security(("access_key" = [])),
    responses((status = 201, body = IssuedLinks), (status = "default", body = Problem)))]
async fn create(
    State(native): State<Native>,
    Caller(who): Caller,
    Body(new): Body<NewLinkRequest>,
) -> Answer<(StatusCode, Json<IssuedLinks>)> {
    let (denied, allowed): (Vec<_>, Vec<_>) = new.addresses.iter().partition(|text| text.starts_with('!'));
    let order = LinkOrder {
        networks: match new.network.as_deref().unwrap_or("public") {
            "both" => vec![Network::Public, Network::Intranet],
            one => vec![one.parse::<Network>()?],
        },
        ttl: new.ttl_seconds.map_or(native.link_ttl, Duration::from_secs),
        spelling: Spelling::Native,
        addresses: allowed.iter().map(|text| text.parse()).collect::<Result<_, Error>>()?,
        denied: denied.iter().map(|text| text[1..].parse()).collect::<Result<_, Error>>()?,
        shard: None,
        deliveries: match (new.once, new.downloads) {
            (true, Some(_)) => return Err(Error::invalid("once and downloads exclude each other").into()),
            (true, None) => Some(1),
            (false, downloads) => downloads,
        },
        throughput: Throughput { bytes_per_second: new.bytes_per_second, connections: new.connections },
        remember: true,
        unverified: new.unverified,
        repository: None,
    };
    let (_, links) = native.engine.share_backup(&who, new.backup.parse()?, &order).await?;
    Ok((StatusCode::CREATED, Json(IssuedLinks { links: links.iter().map(rows::link).collect() })))
}

/// Lists the links that are remembered, newest first. Those that vendors' APIs hand out are not.
#[utoipa::path(get, path = "/links", params(("offset" = Option<u64>, Query), ("limit" = Option<u64>, Query)),
    security(("access_key" = [])), responses((status = 200, body = LinkList), (status = "default", body = Problem)))]
async fn list(
    State(native): State<Native>,
    Caller(who): Caller,
    Asked(paging): Asked<Paging>,
) -> Answer<Json<LinkList>> {
    let listed = native.engine.links(&who, paging.page()).await?;
    let now = native.engine.clock().now();
    let links = listed.rows.iter().map(|link| rows::remembered(link, now)).collect();
    Ok(Json(LinkList { total: listed.total, links }))
}

/// Shows a link that is remembered, and what it was used for.
#[utoipa::path(get, path = "/links/{id}", params(("id" = String, Path)), security(("access_key" = [])),
    responses((status = 200, body = RememberedLinkRow), (status = "default", body = Problem)))]
async fn show(
    State(native): State<Native>,
    Caller(who): Caller,
    Named(id): Named<String>,
) -> Answer<Json<RememberedLinkRow>> {
    let link = native.engine.link(&who, &id).await?;
    Ok(Json(rows::remembered(&link, native.engine.clock().now())))
}

/// Ends one link.
#[utoipa::path(delete, path = "/links/{id}", params(("id" = String, Path)), security(("access_key" = [])),
    responses((status = 204), (status = "default", body = Problem)))]
async fn revoke(
    State(native): State<Native>,
    Caller(who): Caller,
    Named(id): Named<String>,
) -> Answer<StatusCode> {
    native.engine.revoke_link(&who, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends every link issued before now, vendors' too, of a backup, of an instance or of an access key.
#[utoipa::path(post, path = "/links/revocations", request_body = RevokeRequest, security(("access_key" = [])),
    responses((status = 204), (status = "default", body = Problem)))]
async fn revoke_all(
    State(native): State<Native>,
    Caller(who): Caller,
    Body(scope): Body<RevokeRequest>,
) -> Answer<StatusCode> {
    match (scope.backup, scope.instance, scope.key) {
        (Some(backup), None, None) => native.engine.revoke_backup_links(&who, backup.parse()?).await?,
        (None, Some(instance), None) => native.engine.revoke_instance_links(&who, &instance.parse()?).await?,
        (None, None, Some(key)) => native.engine.revoke_key_links(&who, &key).await?,
        _ => return Err(Error::invalid("name a backup, an instance or an access key").into()),
    }
    Ok(StatusCode::NO_CONTENT)
}
