//! `/instances/{id}/imports` and `/catalog/copies`

use axum::Json;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use futures_util::StreamExt;
use http::StatusCode;
use jiff::Timestamp;
use keystow_engine::Error;
use keystow_engine::model::InstanceId;
use keystow_engine::ops::{ImportFile, ImportOrder};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::{Asked, Caller, Named};
use super::problem::Answer;
use super::{Native, rows};
use crate::api::{CatalogCopyRow, ImportRow, ImportedFile, Problem};

/// Pieces of an upload that may wait for the repository.
const WAITING: usize = 4;

pub(super) fn routes() -> OpenApiRouter<Native> {
    // The body is the files themselves, of any length; it is read piece by piece.
    let imports = OpenApiRouter::new().routes(routes!(import)).layer(DefaultBodyLimit::disable());
    OpenApiRouter::new().merge(imports).routes(routes!(copy_catalog))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Described {
    /// The files by shard, as JSON: `[{"name","size_bytes","sha256"}]`; `sha256` where it is known before they come.
    files: String,
    /// The moment that they show (RFC 3339).
    taken_at: String,
    /// A person's note.
    remark: Option<String>,
}

/// Takes in RDB files that were made elsewhere: the body is their bytes, one after the other.
#[utoipa::path(post, path = "/instances/{id}/imports", params(("id" = String, Path), Described),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"), security(("access_key" = [])),
    responses((status = 201, body = ImportRow), (status = "default", body = Problem)))]
async fn import(
    State(native): State<Native>,
    Caller(who): Caller,
    Named(instance): Named<InstanceId>,
    Asked(described): Asked<Described>,
    body: Body,
) -> Answer<(StatusCode, Json<ImportRow>)> {
    let files: Vec<ImportedFile> = serde_json::from_str(&described.files).map_err(|error| {
        Error::invalid("files is not a list of name, size_bytes and sha256").because(error)
    })?;
    let taken_at: Timestamp = described.taken_at.parse().map_err(|error: jiff::Error| {
        Error::invalid("taken_at is a moment such as 2026-01-31T00:00:00Z").because(error)
    })?;
    let order = ImportOrder {
        instance,
        files: files.into_iter().map(file).collect(),
        taken_at,
        remark: described.remark.filter(|text| !text.is_empty()),
    };
    let (sender, pieces) = tokio::sync::mpsc::channel(WAITING);
    let arriving = async move {
        let mut arriving = body.into_data_stream();
        // An upload that breaks ends the stream early, which the reader of the pieces tells from a whole one.
        while let Some(Ok(piece)) = arriving.next().await {
            if sender.send(piece).await.is_err() {
                return;
            }
        }
    };
    // Whoever hangs up after the last byte must not leave half an import behind.
    #[expect(
        clippy::disallowed_methods,
        reason = "it ends soon after the pieces, which end with this request"
    )]
    let import = tokio::spawn(async move { native.engine.import_backup(&who, order, pieces).await });
    let (imported, ()) = tokio::join!(import, arriving);
    let imported = imported.map_err(|error| Error::internal("an import did not end", error))??;
    let status = if imported.is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(ImportRow { is_new: imported.is_new, backup: rows::backup(&imported.backup) })))
}

fn file(file: ImportedFile) -> ImportFile {
    ImportFile { name: file.name, size_bytes: file.size_bytes, sha256: file.sha256 }
}

/// Takes a sealed copy of the catalog into the repository now.
#[utoipa::path(post, path = "/catalog/copies", security(("access_key" = [])),
    responses((status = 201, body = CatalogCopyRow), (status = "default", body = Problem)))]
async fn copy_catalog(
    State(native): State<Native>,
    Caller(who): Caller,
) -> Answer<(StatusCode, Json<CatalogCopyRow>)> {
    let at = native.engine.copy_catalog(&who).await?;
    Ok((StatusCode::CREATED, Json(CatalogCopyRow { at: rows::moment(at) })))
}
