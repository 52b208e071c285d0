//! `/nodes`

use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::Caller;
use super::problem::Answer;
use super::{Native, rows};
use crate::api::{Problem, ServiceNodeRow};

pub(super) fn routes() -> OpenApiRouter<Native> {
    OpenApiRouter::new().routes(routes!(list))
}

/// Lists the nodes of the service that were seen in the last day, by host.
#[utoipa::path(get, path = "/nodes", security(("access_key" = [])),
    responses((status = 200, body = Vec<ServiceNodeRow>), (status = "default", body = Problem)))]
async fn list(State(native): State<Native>, Caller(who): Caller) -> Answer<Json<Vec<ServiceNodeRow>>> {
    let nodes = native.engine.nodes(&who).await?;
    let row = |seen: &keystow_engine::model::SeenNode| ServiceNodeRow {
        id: seen.node.id.clone(),
        host: seen.node.host.clone(),
        roles: seen.node.roles.iter().map(ToString::to_string).collect(),
        version: seen.node.version.clone(),
        state: if seen.alive { "alive" } else { "lost" }.to_owned(),
        started_at: rows::moment(seen.node.started_at),
        seen_at: rows::moment(seen.seen_at),
    };
    Ok(Json(nodes.iter().map(row).collect()))
}
