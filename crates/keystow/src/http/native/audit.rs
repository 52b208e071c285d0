//! `/audit`, `/access`

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use keystow_engine::Error;
use keystow_engine::model::{AccessFilter, AuditFilter, AuditHead, BackupRef};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::{Asked, Caller};
use super::problem::Answer;
use super::{Native, page, rows};
use crate::api::{AccessList, AuditList, AuditVerdictRow, Problem};

pub(super) fn routes() -> OpenApiRouter<Native> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(verify)).routes(routes!(access))
}

fn moment(text: Option<String>) -> Result<Option<Timestamp>, Error> {
    text.map(|text| text.parse::<Timestamp>()).transpose().map_err(|error| {
        Error::invalid("since and until are moments such as 2026-01-31T00:00:00Z").because(error)
    })
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AuditSearch {
    /// Written at or after (RFC 3339).
    since: Option<String>,
    /// Written before (RFC 3339).
    until: Option<String>,
    /// By this access key, or `keystow`.
    who: Option<String>,
    /// Of this action, such as `backup.delete`, or of all that begin so, such as `backup`.
    action: Option<String>,
    /// In this account.
    account: Option<String>,
    /// Records to skip.
    #[serde(default)]
    offset: u64,
    /// Records to return, at most 1000.
    limit: Option<u64>,
}

/// Lists the audit log of all accounts, newest first.
#[utoipa::path(get, path = "/audit", params(AuditSearch), security(("access_key" = [])),
    responses((status = 200, body = AuditList), (status = "default", body = Problem)))]
async fn list(
    State(native): State<Native>,
    Caller(who): Caller,
    Asked(search): Asked<AuditSearch>,
) -> Answer<Json<AuditList>> {
    let filter = AuditFilter {
        since: moment(search.since)?,
        until: moment(search.until)?,
        who: search.who,
        action: search.action,
        account: search.account,
        page: page(search.offset, search.limit),
    };
    let listed = native.engine.audit(&who, &filter).await?;
    Ok(Json(AuditList { total: listed.total, entries: listed.rows.iter().map(rows::audit).collect() }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Noted {
    /// A head that was noted earlier, number and hash with a colon between: it must still be there.
    noted: Option<String>,
}

impl Noted {
    fn head(&self) -> Result<Option<AuditHead>, Error> {
        let Some(text) = &self.noted else { return Ok(None) };
        let parsed = text.split_once(':').and_then(|(sequence, hash)| {
            let is_hash = hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit());
            Some(AuditHead {
                sequence: sequence.parse().ok().filter(|_| is_hash)?,
                hash: hash.to_ascii_lowercase(),
            })
        });
        parsed.map(Some).ok_or_else(|| {
            Error::invalid("a noted head is a number, a colon and 64 hexadecimal digits")
                .hint("take it from what verify printed")
        })
    }
}

/// Walks through the whole audit log, and finds the first entry that is not as it was written.
#[utoipa::path(get, path = "/audit/verify", params(Noted), security(("access_key" = [])),
    responses((status = 200, body = AuditVerdictRow), (status = "default", body = Problem)))]
async fn verify(
    State(native): State<Native>,
    Caller(who): Caller,
    Asked(noted): Asked<Noted>,
) -> Answer<Json<AuditVerdictRow>> {
    let verdict = native.engine.verify_audit(&who, noted.head()?.as_ref()).await?;
    Ok(Json(rows::verdict(verdict)))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AccessSearch {
    /// At or after (RFC 3339).
    since: Option<String>,
    /// Before (RFC 3339).
    until: Option<String>,
    /// Of this backup.
    backup: Option<String>,
    /// Of backups of this instance.
    instance: Option<String>,
    /// Of this remembered link.
    link: Option<String>,
    /// Of this access key.
    key: Option<String>,
    /// Only `links`, `download` or `lost`.
    kind: Option<String>,
    /// Of this account; the caller's own if absent.
    account: Option<String>,
    /// Records to skip.
    #[serde(default)]
    offset: u64,
    /// Records to return, at most 1000.
    limit: Option<u64>,
}

/// Lists who was given links and who downloaded what, newest first. The last second or two may be missing.
#[utoipa::path(get, path = "/access", params(AccessSearch), security(("access_key" = [])),
    responses((status = 200, body = AccessList), (status = "default", body = Problem)))]
async fn access(
    State(native): State<Native>,
    Caller(who): Caller,
    Asked(search): Asked<AccessSearch>,
) -> Answer<Json<AccessList>> {
    let backup = search.backup.as_deref().map(str::parse::<BackupRef>).transpose()?;
    let filter = AccessFilter {
        account: search.account.as_deref().map(str::parse).transpose()?,
        since: moment(search.since)?,
        until: moment(search.until)?,
        backup: None,
        instance: search.instance.as_deref().map(str::parse).transpose()?,
        link: search.link,
        access_key: search.key,
        kind: search.kind.as_deref().map(str::parse).transpose()?,
        project: None,
        page: page(search.offset, search.limit),
    };
    let listed = native.engine.access_log(&who, filter, backup).await?;
    Ok(Json(AccessList { total: listed.total, records: listed.rows.iter().map(rows::access).collect() }))
}
