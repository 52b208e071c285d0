//! The native REST API under `/api/v1`: what the CLI and the console use, and nothing else does more.

mod access;
mod audit;
mod backups;
pub(super) mod caller;
mod copies;
mod imports;
mod instances;
mod jobs;
mod links;
mod nodes;
mod openapi;
mod policies;
pub(super) mod problem;
mod repository;
mod restores;
mod rows;
mod status;
mod webhooks;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use keystow_engine::model::Page;
use keystow_engine::ops::Engine;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;

use super::metrics::{self, Requests};

/// What every handler may reach.
#[derive(Clone)]
pub(super) struct Native {
    pub(super) engine: Arc<Engine>,
    /// How long a link lives unless the caller says otherwise.
    pub(super) link_ttl: Duration,
    pub(super) requests: Arc<Requests>,
    /// Whether anybody may see the metrics.
    pub(super) open_metrics: bool,
    /// Cancelled when the server stops.
    pub(super) stop: CancellationToken,
}

/// Longest body of a native request.
const BODY_BYTES: usize = 1024 * 1024;
/// Most records of one answer.
const MOST_RECORDS: u64 = 1000;

/// The routes, each declared once for the router and for the document.
fn routes() -> OpenApiRouter<Native> {
    OpenApiRouter::new()
        .merge(instances::routes())
        .merge(policies::routes())
        .merge(imports::routes())
        .merge(backups::routes())
        .merge(copies::routes())
        .merge(links::routes())
        .merge(restores::routes())
        .merge(jobs::routes())
        .merge(access::routes())
        .merge(nodes::routes())
        .merge(repository::routes())
        .merge(audit::routes())
        .merge(webhooks::routes())
        .merge(status::routes())
}

/// The router of the native API.
pub(super) fn router(native: Native) -> Router {
    let (api, _) = routes().split_for_parts();
    Router::new()
        .nest("/api/v1", api)
        .layer(axum::middleware::from_fn_with_state(native.clone(), metrics::count_native))
        .route("/api/v1/openapi.json", axum::routing::get(openapi::answer))
        .route("/healthz", axum::routing::get(status::healthz))
        .route("/metrics", axum::routing::get(metrics::metrics))
        .route("/livez", axum::routing::get(metrics::livez))
        .route("/readyz", axum::routing::get(metrics::readyz))
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .with_state(native)
}

/// Query of a list.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Paging {
    #[serde(default)]
    offset: u64,
    limit: Option<u64>,
}

impl Paging {
    fn page(&self) -> Page {
        page(self.offset, self.limit)
    }
}

fn page(offset: u64, limit: Option<u64>) -> Page {
    Page { offset, limit: limit.unwrap_or(MOST_RECORDS).min(MOST_RECORDS) }
}
