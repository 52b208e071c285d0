//! `/links`

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use keystow_engine::Error;
use keystow_engine::links::Spelling;
use keystow_engine::model::Network;
use keystow_engine::ops::LinkOrder;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::{Asked, Body, Caller, Named};
use super::problem::Answer;
use super::{Native, Paging, rows};
use crate::api::{IssuedLinks, LinkList, NewLinkRequest, Problem, RevokeRequest};

pub(super) fn routes() -> OpenApiRouter<Native> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(revoke)).routes(routes!(revoke_all))
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
        deliveries: new.once.then_some(1),
        remember: true,
        unverified: new.unverified,
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

/// Ends every link issued before now, vendors' too, of a backup or of an instance.
#[utoipa::path(post, path = "/links/revocations", request_body = RevokeRequest, security(("access_key" = [])),
    responses((status = 204), (status = "default", body = Problem)))]
async fn revoke_all(
    State(native): State<Native>,
    Caller(who): Caller,
    Body(scope): Body<RevokeRequest>,
) -> Answer<StatusCode> {
    match (scope.backup, scope.instance) {
        (Some(backup), None) => native.engine.revoke_backup_links(&who, backup.parse()?).await?,
        (None, Some(instance)) => native.engine.revoke_instance_links(&who, &instance.parse()?).await?,
        _ => return Err(Error::invalid("name either a backup or an instance").into()),
    }
    Ok(StatusCode::NO_CONTENT)
}
