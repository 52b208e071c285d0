//! Bytes of counted links that are promised to transfers under way.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::AssertSqlSafe;

use super::{Store, failed, length, now_at, rows};
use crate::catalog::not_found;
use crate::error::Result;
use crate::model::{Admission, Promise, micros};

/// How long a promise that nobody has settled is remembered, in microseconds: a day. A node that was away for long may
/// still say what it has sent.
const REMEMBERED: i64 = 86_400_000_000;

pub(super) async fn reserve(
    catalog: &Store,
    promise: &Promise,
    now: Timestamp,
    hold: Duration,
) -> Result<Admission> {
    let mut tx = catalog.write().await?;
    let row = sqlx::query("SELECT * FROM link WHERE id = $1")
        .bind(&promise.link)
        .fetch_optional(&mut *tx)
        .await
        .map_err(|error| failed(&error))?
        .ok_or_else(|| not_found("link", &promise.link))?;
    let Some(budget) = rows::link(&row)?.budget else { return Ok(Admission::Now) };
    let promised: i64 = sqlx::query_scalar(AssertSqlSafe(format!(
        "SELECT CAST(COALESCE(SUM(bytes), 0) AS BIGINT) FROM promise WHERE link = $1 AND until >= {}",
        now_at("$2")
    )))
    .bind(&promise.link)
    .bind(micros(now))
    .fetch_one(&mut *tx)
    .await
    .map_err(|error| failed(&error))?;
    let admission = budget.admits(promise.bytes, rows::number(promised));
    if admission != Admission::Now {
        return Ok(admission);
    }
    sqlx::query(AssertSqlSafe(format!(
        "INSERT INTO promise (id, link, node, bytes, until) VALUES ($1, $2, $3, $4, {} + $6)",
        now_at("$5")
    )))
    .bind(&promise.id)
    .bind(&promise.link)
    .bind(&promise.node)
    .bind(rows::signed(promise.bytes))
    .bind(micros(now))
    .bind(length(hold))
    .execute(&mut *tx)
    .await
    .map_err(|error| failed(&error))?;
    tx.commit().await.map_err(|error| failed(&error))?;
    Ok(Admission::Now)
}

pub(super) async fn hold(catalog: &Store, node: &str, now: Timestamp, hold: Duration) -> Result<()> {
    sqlx::query(AssertSqlSafe(format!("UPDATE promise SET until = {} + $2 WHERE node = $3", now_at("$1"))))
        .bind(micros(now))
        .bind(length(hold))
        .bind(node)
        .execute(&catalog.writer)
        .await
        .map_err(|error| failed(&error))?;
    sqlx::query(AssertSqlSafe(format!("DELETE FROM promise WHERE until < {} - $2", now_at("$1"))))
        .bind(micros(now))
        .bind(REMEMBERED)
        .execute(&catalog.writer)
        .await
        .map_err(|error| failed(&error))?;
    Ok(())
}

pub(super) async fn settle(catalog: &Store, promise: &str, sent: u64, doubtful: u64) -> Result<()> {
    let mut tx = catalog.write().await?;
    let link: Option<String> = sqlx::query_scalar("DELETE FROM promise WHERE id = $1 RETURNING link")
        .bind(promise)
        .fetch_optional(&mut *tx)
        .await
        .map_err(|error| failed(&error))?;
    // The answer to the first word may have been lost.
    let Some(link) = link else { return Ok(()) };
    let row = sqlx::query("SELECT * FROM link WHERE id = $1")
        .bind(&link)
        .fetch_optional(&mut *tx)
        .await
        .map_err(|error| failed(&error))?;
    let budget = row.as_ref().map(rows::link).transpose()?.and_then(|link| link.budget);
    let forgiven = budget.map_or(0, |budget| budget.forgives(doubtful.min(sent)));
    let words =
        "UPDATE link SET sent_bytes = sent_bytes + $2, forgiven_bytes = forgiven_bytes + $3 WHERE id = $1";
    sqlx::query(words)
        .bind(link)
        .bind(rows::signed(sent - forgiven))
        .bind(rows::signed(forgiven))
        .execute(&mut *tx)
        .await
        .map_err(|error| failed(&error))?;
    tx.commit().await.map_err(|error| failed(&error))
}
