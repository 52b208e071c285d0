//! The catalog's SQL, written once: each database's adapter holds this folder as a module of its own.
//!
//! What the adapters bring: `Db` and its `Row`, the `Store` with its pools (`reader`, `writer`), `write()` for a
//! transaction that is alone and `find()` for single rows, `failed()` for errors; and what the databases spell
//! differently: `IS_SHARED`, `POSITION`, `json_field()` and `now_at()`. All else is text that both understand: `$1` binds, TEXT,
//! BIGINT and bytes, `ON CONFLICT`, `RETURNING`.

mod access_log;
mod accounts;
mod audit;
mod backup_copies;
mod backup_list;
mod backups;
mod calls;
mod copies;
mod debts;
mod instances;
mod job_list;
pub(super) mod jobs;
mod links;
mod nodes;
mod nonces;
mod notes;
mod notices;
mod outcomes;
mod place;
mod policies;
mod promises;
pub(super) mod rows;
pub(super) mod schema;
mod sealed;
mod tally;
mod vitals;
mod webhooks;

use std::time::Duration;

use sqlx::Transaction;

use super::{BEGIN_SNAPSHOT, Db, IS_SHARED, POSITION, Row, Store, failed, json_field, now_at};
use crate::catalog::Key;
use crate::error::Result;
use crate::model::Number;

/// The row breaks a unique index or a primary key.
fn is_duplicate(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

/// A length of time as the database adds it to a moment.
fn length(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX / 2)
}

/// The next number of the one sequence.
async fn next_number(tx: &mut Transaction<'_, Db>) -> Result<Number> {
    let last: i64 =
        sqlx::query_scalar("UPDATE sequence SET last = last + 1 WHERE name = 'number' RETURNING last")
            .fetch_one(&mut **tx)
            .await
            .map_err(|error| failed(&error))?;
    Ok(rows::number(last))
}
