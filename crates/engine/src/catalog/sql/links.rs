//! Remembered links, their budgets, and "all links issued before".

use jiff::Timestamp;
use sqlx::QueryBuilder;

use super::{Store, failed, rows};
use crate::catalog::not_found;
use crate::error::Result;
use crate::model::{
    AccountId, LinkRestriction, Listed, Page, ProjectId, RememberedLink, RevocationScope, micros,
};

pub(super) async fn remember(catalog: &Store, link: &RememberedLink) -> Result<()> {
    sqlx::query(
        "INSERT INTO link (id, account, backup, part, file_name, network, access_key, created_at, expires_at, \
         addresses, deliveries, size_bytes, bytes_per_second, connections) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
    )
    .bind(&link.id)
    .bind(link.account.as_str())
    .bind(link.backup.to_string())
    .bind(rows::signed(link.part))
    .bind(&link.file_name)
    .bind(link.network.as_str())
    .bind(&link.access_key)
    .bind(micros(link.created_at))
    .bind(micros(link.expires_at))
    .bind(rows::to_json(&link.addresses)?)
    .bind(link.budget.map(|budget| i64::from(budget.deliveries)))
    .bind(rows::signed(link.budget.map_or(0, |budget| budget.size_bytes)))
    .bind(link.throughput.bytes_per_second.map(rows::signed))
    .bind(link.throughput.connections.map(i64::from))
    .execute(&catalog.writer)
    .await
    .map_err(|error| failed(&error))?;
    Ok(())
}

pub(super) async fn one(catalog: &Store, id: &str) -> Result<Option<RememberedLink>> {
    sqlx::query("SELECT * FROM link WHERE id = $1")
        .bind(id)
        .fetch_optional(&catalog.reader)
        .await
        .map_err(|error| failed(&error))?
        .as_ref()
        .map(rows::link)
        .transpose()
}

pub(super) async fn list(
    catalog: &Store,
    account: &AccountId,
    project: Option<&ProjectId>,
    page: Page,
) -> Result<Listed<RememberedLink>> {
    let project = project.map(ProjectId::as_str);
    let total: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM link l JOIN backup b ON b.id = l.backup \
         WHERE l.account = $1 AND ($2 IS NULL OR b.project = $2)",
    )
    .bind(account.as_str())
    .bind(project)
    .fetch_one(&catalog.reader)
    .await
    .map_err(|error| failed(&error))?;
    let found = sqlx::query(
        "SELECT l.* FROM link l JOIN backup b ON b.id = l.backup \
         WHERE l.account = $1 AND ($2 IS NULL OR b.project = $2) \
         ORDER BY l.created_at DESC, l.id LIMIT $3 OFFSET $4",
    )
    .bind(account.as_str())
    .bind(project)
    .bind(rows::signed(page.limit))
    .bind(rows::signed(page.offset))
    .fetch_all(&catalog.reader)
    .await
    .map_err(|error| failed(&error))?;
    Ok(Listed { total: rows::number(total), rows: found.iter().map(rows::link).collect::<Result<_>>()? })
}

pub(super) async fn revoke(catalog: &Store, account: &AccountId, id: &str, now: Timestamp) -> Result<()> {
    let done =
        sqlx::query("UPDATE link SET revoked_at = COALESCE(revoked_at, $3) WHERE account = $1 AND id = $2")
            .bind(account.as_str())
            .bind(id)
            .bind(micros(now))
            .execute(&catalog.writer)
            .await
            .map_err(|error| failed(&error))?;
    if done.rows_affected() == 0 { Err(not_found("link", id)) } else { Ok(()) }
}

fn scope_text(scope: &RevocationScope) -> String {
    match scope {
        RevocationScope::AccessKey(id) => format!("key:{id}"),
        RevocationScope::Backup(id) => format!("backup:{id}"),
        RevocationScope::Instance(id) => format!("instance:{id}"),
    }
}

pub(super) async fn revoke_before(
    catalog: &Store,
    account: &AccountId,
    scope: &RevocationScope,
    now: Timestamp,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO link_revocation (account, scope, before) VALUES ($1, $2, $3) \
         ON CONFLICT (account, scope) DO UPDATE SET before = excluded.before \
         WHERE link_revocation.before < excluded.before",
    )
    .bind(account.as_str())
    .bind(scope_text(scope))
    .bind(micros(now))
    .execute(&catalog.writer)
    .await
    .map_err(|error| failed(&error))?;
    Ok(())
}

pub(super) async fn revoked_before(
    catalog: &Store,
    account: &AccountId,
    scopes: &[RevocationScope],
) -> Result<Option<Timestamp>> {
    if scopes.is_empty() {
        return Ok(None);
    }
    let mut query = QueryBuilder::new("SELECT MAX(before) AS before FROM link_revocation WHERE account = ");
    query.push_bind(account.as_str().to_owned());
    let mut list = query.push(" AND scope IN (").separated(", ");
    for scope in scopes {
        list.push_bind(scope_text(scope));
    }
    query.push(")");
    let row = query.build().fetch_one(&catalog.reader).await.map_err(|error| failed(&error))?;
    rows::moment_option(&row, "before")
}

pub(super) async fn restriction(
    catalog: &Store,
    account: &AccountId,
    region: &str,
) -> Result<Option<LinkRestriction>> {
    let kept: Option<String> =
        sqlx::query_scalar("SELECT restriction FROM link_restriction WHERE account = $1 AND region = $2")
            .bind(account.as_str())
            .bind(region)
            .fetch_optional(&catalog.reader)
            .await
            .map_err(|error| failed(&error))?;
    kept.map(|text| rows::from_json(&text, "restriction")).transpose()
}

pub(super) async fn set_restriction(
    catalog: &Store,
    account: &AccountId,
    region: &str,
    restriction: &LinkRestriction,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO link_restriction (account, region, restriction) VALUES ($1, $2, $3) \
         ON CONFLICT (account, region) DO UPDATE SET restriction = $3",
    )
    .bind(account.as_str())
    .bind(region)
    .bind(rows::to_json(restriction)?)
    .execute(&catalog.writer)
    .await
    .map_err(|error| failed(&error))?;
    Ok(())
}
