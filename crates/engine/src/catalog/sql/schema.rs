//! Bringing a catalog's schema up to date, or leaving it to a newer program.

use sqlx::Pool;
use sqlx::migrate::MigrateError;

use super::{Db, failed};
use crate::catalog::changes::{Change, OLDEST_PROGRAM, OLDEST_PROGRAM_NOTE, migrator, newest, too_new};
use crate::error::{Error, Result};

/// Makes the changes that are still to be made. A catalog with changes that are not known here is opened only if the
/// program that made them has left word that this one can work with it.
pub(in super::super) async fn bring_up(
    pool: &Pool<Db>,
    changes: &[Change],
    refused: impl Fn(&MigrateError) -> Error,
) -> Result<()> {
    let (ours, theirs) = (newest(changes), applied(pool).await?);
    if theirs > ours {
        let oldest = oldest_program(pool).await?;
        if oldest.is_none_or(|oldest| oldest > ours) {
            return Err(too_new(theirs, ours));
        }
        return Ok(());
    }
    migrator(changes).run(pool).await.map_err(|error| refused(&error))?;
    if oldest_program(pool).await? != Some(OLDEST_PROGRAM) {
        sqlx::query(
            "INSERT INTO note (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = $2",
        )
        .bind(OLDEST_PROGRAM_NOTE)
        .bind(OLDEST_PROGRAM.to_string())
        .execute(pool)
        .await
        .map_err(|error| failed(&error))?;
    }
    Ok(())
}

/// The newest change that the catalog has; 0 = it is empty.
async fn applied(pool: &Pool<Db>) -> Result<i64> {
    let newest: Result<i64, _> =
        sqlx::query_scalar("SELECT COALESCE(MAX(version), 0) FROM _sqlx_migrations").fetch_one(pool).await;
    match newest {
        Err(error) if is_missing_table(&error) => Ok(0),
        newest => newest.map_err(|error| failed(&error)),
    }
}

fn is_missing_table(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| {
        error.code().is_some_and(|code| code == "42P01") || error.message().starts_with("no such table")
    })
}

async fn oldest_program(pool: &Pool<Db>) -> Result<Option<i64>> {
    let note: Option<String> = sqlx::query_scalar("SELECT value FROM note WHERE name = $1")
        .bind(OLDEST_PROGRAM_NOTE)
        .fetch_optional(pool)
        .await
        .map_err(|error| failed(&error))?;
    Ok(note.and_then(|text| text.parse().ok()))
}
