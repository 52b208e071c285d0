//! `/repository`

use axum::Json;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use keystow_engine::Error;
use keystow_engine::ops::{Holder, KeyFacts, NewHolder, RepositoryFacts, Verify};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::{Body, Caller, Named};
use super::problem::Answer;
use super::{Native, rows};
use crate::api::{NewRecipientRequest, Problem, RecipientRow, RepositoryRow};

pub(super) fn routes() -> OpenApiRouter<Native> {
    OpenApiRouter::new()
        .routes(routes!(repository))
        .routes(routes!(recipients, add_recipient))
        .routes(routes!(remove_recipient))
        .routes(routes!(rotate_identity))
}

/// How the repository stores parts, and who may decrypt them.
#[utoipa::path(get, path = "/repository", security(("access_key" = [])),
    responses((status = 200, body = RepositoryRow), (status = "default", body = Problem)))]
async fn repository(State(native): State<Native>, Caller(who): Caller) -> Answer<Json<RepositoryRow>> {
    Ok(Json(row(&native.engine.repository(&who).await?)))
}

/// Lists who holds the repository's identities.
#[utoipa::path(get, path = "/repository/recipients", security(("access_key" = [])),
    responses((status = 200, body = Vec<RecipientRow>), (status = "default", body = Problem)))]
async fn recipients(State(native): State<Native>, Caller(who): Caller) -> Answer<Json<Vec<RecipientRow>>> {
    Ok(Json(row(&native.engine.repository(&who).await?).recipients))
}

/// Lets somebody else decrypt all backups, the old ones included.
#[utoipa::path(post, path = "/repository/recipients", request_body = NewRecipientRequest,
    security(("access_key" = [])),
    responses((status = 201, body = Vec<RecipientRow>), (status = "default", body = Problem)))]
async fn add_recipient(
    State(native): State<Native>,
    Caller(who): Caller,
    Body(new): Body<NewRecipientRequest>,
) -> Answer<(StatusCode, Json<Vec<RecipientRow>>)> {
    let decoded = |text: String| {
        STANDARD.decode(text).map_err(|error| Error::invalid("passphrase_key is no base64").because(error))
    };
    let new = NewHolder {
        recipient: new.recipient.parse()?,
        name: new.name,
        node: new.node,
        passphrase_key: new.passphrase_key.map(decoded).transpose()?,
    };
    let facts = native.engine.add_recipient(&who, new).await?;
    Ok((StatusCode::CREATED, Json(holders(&facts))))
}

/// Keeps somebody out, by name or public key, of what is wrapped from now on.
#[utoipa::path(delete, path = "/repository/recipients/{recipient}", security(("access_key" = [])),
    params(("recipient" = String, Path, description = "Its name or its public key")),
    responses((status = 200, body = Vec<RecipientRow>), (status = "default", body = Problem)))]
async fn remove_recipient(
    State(native): State<Native>,
    Caller(who): Caller,
    Named(which): Named<String>,
) -> Answer<Json<Vec<RecipientRow>>> {
    Ok(Json(holders(&native.engine.remove_recipient(&who, &which).await?)))
}

/// Gives the repository a new identity for new backups.
#[utoipa::path(post, path = "/repository/rotate-identity", security(("access_key" = [])),
    responses((status = 200, body = RepositoryRow), (status = "default", body = Problem)))]
async fn rotate_identity(State(native): State<Native>, Caller(who): Caller) -> Answer<Json<RepositoryRow>> {
    native.engine.rotate_identity(&who).await?;
    Ok(Json(row(&native.engine.repository(&who).await?)))
}

fn row(facts: &RepositoryFacts) -> RepositoryRow {
    let keys = facts.keys.as_ref();
    RepositoryRow {
        compression: if facts.compress { "zstd" } else { "off" }.to_owned(),
        encryption: if facts.encrypt { "age" } else { "off" }.to_owned(),
        verify: match facts.verify {
            None => "auto",
            Some(Verify::ReadBack) => "readback",
            Some(Verify::Hash) => "hash",
        }
        .to_owned(),
        free_bytes: facts.free_bytes,
        recipient: keys.map(|keys| keys.recipient.to_string()),
        rotated_at: keys.map(|keys| rows::moment(keys.rotated_at)),
        keys: keys.map(|keys| keys.number),
        identities: facts.identities as u64,
        node: facts.node.map(|node| node.to_string()),
        recipients: keys.map(holders).unwrap_or_default(),
    }
}

fn holders(facts: &KeyFacts) -> Vec<RecipientRow> {
    let row = |holder: &Holder| RecipientRow {
        name: holder.name.clone(),
        recipient: holder.recipient.to_string(),
        kind: holder.kind.as_str().to_owned(),
        added_at: rows::moment(holder.added_at),
    };
    facts.holders.iter().map(row).collect()
}
