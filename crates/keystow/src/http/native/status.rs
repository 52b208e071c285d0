//! `/status` and `/healthz`

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::Caller;
use super::problem::Answer;
use super::{Native, rows};
use crate::api::{FindingRow, Problem, Status};

pub(super) fn routes() -> OpenApiRouter<Native> {
    OpenApiRouter::new().routes(routes!(status))
}

/// Looks at the catalog, the repository and every instance.
#[utoipa::path(get, path = "/status", security(("access_key" = [])),
    responses((status = 200, body = Status), (status = "default", body = Problem)))]
async fn status(State(native): State<Native>, Caller(who): Caller) -> Answer<Json<Status>> {
    let health = native.engine.check(&who).await?;
    let findings: Vec<FindingRow> = health
        .findings
        .into_iter()
        .map(|found| FindingRow {
            subject: found.subject,
            ok: found.ok,
            detail: found.detail,
            hint: found.hint,
        })
        .collect();
    Ok(Json(Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        time: rows::moment(native.engine.clock().now()),
        ok: findings.iter().all(|finding| finding.ok),
        findings,
    }))
}

/// Whether the service can answer at all: for load balancers, without a key.
pub(super) async fn healthz(State(native): State<Native>) -> (StatusCode, &'static str) {
    match native.engine.is_ready().await {
        Ok(()) => (StatusCode::OK, "ok\n"),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the catalog does not answer\n"),
    }
}
