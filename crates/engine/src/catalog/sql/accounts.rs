//! Accounts, projects and access keys.

use jiff::Timestamp;

use super::{Store, failed, is_duplicate, rows};
use crate::catalog::{conflict, not_found};
use crate::error::Result;
use crate::model::{AccessKey, Account, AccountId, Project, micros};

pub(super) async fn add_account(catalog: &Store, account: &Account) -> Result<()> {
    sqlx::query("INSERT INTO account (id, name, created_at) VALUES ($1, $2, $3)")
        .bind(account.id.as_str())
        .bind(&account.name)
        .bind(micros(account.created_at))
        .execute(&catalog.writer)
        .await
        .map_err(|error| already("account", account.id.as_str(), &error))?;
    Ok(())
}

pub(super) async fn accounts(catalog: &Store) -> Result<Vec<Account>> {
    let found = sqlx::query("SELECT * FROM account ORDER BY id")
        .fetch_all(&catalog.reader)
        .await
        .map_err(|error| failed(&error))?;
    found.iter().map(rows::account).collect()
}

pub(super) async fn add_project(catalog: &Store, project: &Project) -> Result<()> {
    sqlx::query("INSERT INTO project (account, id, name, created_at) VALUES ($1, $2, $3, $4)")
        .bind(project.account.as_str())
        .bind(project.id.as_str())
        .bind(&project.name)
        .bind(micros(project.created_at))
        .execute(&catalog.writer)
        .await
        .map_err(|error| {
            if is_foreign(&error) {
                not_found("account", &project.account)
            } else {
                already("project", project.id.as_str(), &error)
            }
        })?;
    Ok(())
}

pub(super) async fn projects(catalog: &Store, account: &AccountId) -> Result<Vec<Project>> {
    let found = sqlx::query("SELECT * FROM project WHERE account = $1 ORDER BY id")
        .bind(account.as_str())
        .fetch_all(&catalog.reader)
        .await
        .map_err(|error| failed(&error))?;
    found.iter().map(rows::project).collect()
}

pub(super) async fn add_key(catalog: &Store, key: &AccessKey) -> Result<()> {
    sqlx::query(
        "INSERT INTO access_key (id, account, project, role, sealed_secret, sealed_session_token, created_at, \
         expires_at, sealed_previous, previous_until, addresses) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(&key.id)
    .bind(key.account.as_str())
    .bind(key.project.as_ref().map(|id| id.as_str().to_owned()))
    .bind(key.role.as_str())
    .bind(&key.sealed_secret)
    .bind(&key.sealed_session_token)
    .bind(micros(key.created_at))
    .bind(key.expires_at.map(micros))
    .bind(key.previous.as_ref().map(|(sealed, _)| sealed.clone()))
    .bind(key.previous.as_ref().map(|(_, until)| micros(*until)))
    .bind(rows::to_json(&key.addresses)?)
    .execute(&catalog.writer)
    .await
    .map_err(|error| match (is_foreign(&error), &key.project) {
        (true, Some(project)) => not_found("account or project", format!("{}/{project}", key.account)),
        (true, None) => not_found("account", &key.account),
        (false, _) => already("access key", &key.id, &error),
    })?;
    Ok(())
}

pub(super) async fn key(catalog: &Store, id: &str) -> Result<Option<AccessKey>> {
    sqlx::query("SELECT * FROM access_key WHERE id = $1")
        .bind(id)
        .fetch_optional(&catalog.reader)
        .await
        .map_err(|error| failed(&error))?
        .as_ref()
        .map(rows::access_key)
        .transpose()
}

pub(super) async fn keys(catalog: &Store, account: Option<&AccountId>) -> Result<Vec<AccessKey>> {
    let found =
        sqlx::query("SELECT * FROM access_key WHERE $1 IS NULL OR account = $1 ORDER BY created_at, id")
            .bind(account.map(AccountId::as_str))
            .fetch_all(&catalog.reader)
            .await
            .map_err(|error| failed(&error))?;
    found.iter().map(rows::access_key).collect()
}

pub(super) async fn rotate_key(
    catalog: &Store,
    id: &str,
    sealed_secret: &[u8],
    previous_until: Option<Timestamp>,
) -> Result<()> {
    // In an UPDATE, every value on the right is the one from before.
    let done = sqlx::query(
        "UPDATE access_key SET sealed_previous = CASE WHEN $3 IS NULL THEN NULL ELSE sealed_secret END, \
         previous_until = $3, sealed_secret = $2 WHERE id = $1 AND revoked_at IS NULL",
    )
    .bind(id)
    .bind(sealed_secret)
    .bind(previous_until.map(micros))
    .execute(&catalog.writer)
    .await
    .map_err(|error| failed(&error))?;
    changed(done.rows_affected(), id)
}

pub(super) async fn revoke_key(catalog: &Store, id: &str, now: Timestamp) -> Result<()> {
    let done = sqlx::query("UPDATE access_key SET revoked_at = COALESCE(revoked_at, $2) WHERE id = $1")
        .bind(id)
        .bind(micros(now))
        .execute(&catalog.writer)
        .await
        .map_err(|error| failed(&error))?;
    changed(done.rows_affected(), id)
}

fn changed(rows: u64, id: &str) -> Result<()> {
    if rows == 0 { Err(not_found("access key", id)) } else { Ok(()) }
}

fn is_foreign(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_foreign_key_violation)
}

fn already(noun: &'static str, id: &str, error: &sqlx::Error) -> crate::error::Error {
    if is_duplicate(error) { conflict(format!("the {noun} {id} exists already")) } else { failed(error) }
}
