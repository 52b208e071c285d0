//! One-time values of signed requests.

use jiff::Timestamp;

use super::{Store, failed};
use crate::error::Result;
use crate::model::micros;

/// Takes a value in, and forgets those that are over: each is looked at once, so the table stays as small as the
/// requests of half an hour.
pub(super) async fn admit(
    catalog: &Store,
    key: &str,
    value: &str,
    until: Timestamp,
    now: Timestamp,
) -> Result<bool> {
    let mut tx = catalog.write().await?;
    sqlx::query("DELETE FROM nonce WHERE until < $1")
        .bind(micros(now))
        .execute(&mut *tx)
        .await
        .map_err(|error| failed(&error))?;
    let added = sqlx::query(
        "INSERT INTO nonce (access_key, value, until) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
    )
    .bind(key)
    .bind(value)
    .bind(micros(until))
    .execute(&mut *tx)
    .await
    .map_err(|error| failed(&error))?;
    tx.commit().await.map_err(|error| failed(&error))?;
    Ok(added.rows_affected() == 1)
}
