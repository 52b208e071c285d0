//! The API's own description.

use std::sync::LazyLock;

use axum::Json;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Info, OpenApi, Server};

/// The `OpenAPI` document, from the same declarations as the routes.
fn document() -> OpenApi {
    let mut document = super::routes().split_for_parts().1;
    let mut info = Info::new("Keystow", env!("CARGO_PKG_VERSION"));
    info.description =
        Some("Backups of Redis and Valkey: instances, backups, links, jobs, access keys.".to_owned());
    document.info = info;
    document.servers = Some(vec![Server::new("/api/v1")]);
    let basic = HttpBuilder::new().scheme(HttpAuthScheme::Basic).description(Some(
        "Temporary credentials also send their session token, in X-Keystow-Session-Token.",
    ));
    let basic = SecurityScheme::Http(basic.build());
    document.components.get_or_insert_default().add_security_scheme("access_key", basic);
    document
}

/// `GET /api/v1/openapi.json`: public, as it says nothing of this server. Made once: nobody signs in for it.
pub(super) async fn answer() -> Json<&'static OpenApi> {
    static DOCUMENT: LazyLock<OpenApi> = LazyLock::new(document);
    Json(&DOCUMENT)
}
