//! Named facts about the catalog itself.

use super::{Store, failed};
use crate::error::Result;

pub(super) async fn note(catalog: &Store, name: &str) -> Result<Option<String>> {
    sqlx::query_scalar("SELECT value FROM note WHERE name = $1")
        .bind(name)
        .fetch_optional(&catalog.reader)
        .await
        .map_err(|error| failed(&error))
}

pub(super) async fn set(catalog: &Store, name: &str, value: &str) -> Result<()> {
    sqlx::query("INSERT INTO note (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = $2")
        .bind(name)
        .bind(value)
        .execute(&catalog.writer)
        .await
        .map_err(|error| failed(&error))?;
    Ok(())
}
