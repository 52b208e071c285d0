//! Nodes, and whose turn it is among them.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::AssertSqlSafe;

use super::{Store, failed, length, now_at, rows};
use crate::error::Result;
use crate::model::{Node, SeenNode, micros};

/// How long a lost node is still shown, in microseconds: a day.
const SHOWN: i64 = 86_400_000_000;

pub(super) async fn beat(catalog: &Store, node: &Node, now: Timestamp, hold: Duration) -> Result<()> {
    let roles: Vec<&str> = node.roles.iter().map(|role| role.as_str()).collect();
    sqlx::query(AssertSqlSafe(format!(
        "INSERT INTO node (id, host, roles, version, started_at, seen_at, until) \
         VALUES ($1, $2, $3, $4, $5, {now}, {now} + $7) ON CONFLICT (id) DO UPDATE SET \
         seen_at = excluded.seen_at, until = excluded.until",
        now = now_at("$6")
    )))
    .bind(&node.id)
    .bind(&node.host)
    .bind(roles.join(","))
    .bind(&node.version)
    .bind(micros(node.started_at))
    .bind(micros(now))
    .bind(length(hold))
    .execute(&catalog.writer)
    .await
    .map_err(|error| failed(&error))?;
    sqlx::query(AssertSqlSafe(format!("DELETE FROM node WHERE until < {} - $2", now_at("$1"))))
        .bind(micros(now))
        .bind(SHOWN)
        .execute(&catalog.writer)
        .await
        .map_err(|error| failed(&error))?;
    Ok(())
}

/// A node goes, with its turns.
pub(super) async fn leave(catalog: &Store, node: &str) -> Result<()> {
    for statement in ["DELETE FROM turn WHERE node = $1", "DELETE FROM node WHERE id = $1"] {
        sqlx::query(statement).bind(node).execute(&catalog.writer).await.map_err(|error| failed(&error))?;
    }
    Ok(())
}

pub(super) async fn all(catalog: &Store, now: Timestamp) -> Result<Vec<SeenNode>> {
    let found = sqlx::query(AssertSqlSafe(format!(
        "SELECT node.*, CAST(CASE WHEN until >= {} THEN 1 ELSE 0 END AS BIGINT) AS alive FROM node \
         ORDER BY host, started_at, id",
        now_at("$1")
    )))
    .bind(micros(now))
    .fetch_all(&catalog.reader)
    .await
    .map_err(|error| failed(&error))?;
    found.iter().map(rows::node).collect()
}

/// Takes a turn that nobody has, or that its last node has not held on to.
pub(super) async fn take_turn(
    catalog: &Store,
    name: &str,
    node: &str,
    now: Timestamp,
    hold: Duration,
) -> Result<bool> {
    let done = sqlx::query(AssertSqlSafe(format!(
        "INSERT INTO turn (name, node, until) VALUES ($1, $2, {now} + $4) ON CONFLICT (name) DO UPDATE SET \
         node = excluded.node, until = excluded.until WHERE turn.node = excluded.node OR turn.until < {now}",
        now = now_at("$3")
    )))
    .bind(name)
    .bind(node)
    .bind(micros(now))
    .bind(length(hold))
    .execute(&catalog.writer)
    .await
    .map_err(|error| failed(&error))?;
    Ok(done.rows_affected() == 1)
}

/// A turn that has run out is still its node's, unless another has taken it.
pub(super) async fn hold_turn(
    catalog: &Store,
    name: &str,
    node: &str,
    now: Timestamp,
    hold: Duration,
) -> Result<bool> {
    let done = sqlx::query(AssertSqlSafe(format!(
        "UPDATE turn SET until = {} + $2 WHERE node = $3 AND name = $4",
        now_at("$1")
    )))
    .bind(micros(now))
    .bind(length(hold))
    .bind(node)
    .bind(name)
    .execute(&catalog.writer)
    .await
    .map_err(|error| failed(&error))?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn give_turn(catalog: &Store, name: &str, node: &str) -> Result<()> {
    sqlx::query("DELETE FROM turn WHERE name = $1 AND node = $2")
        .bind(name)
        .bind(node)
        .execute(&catalog.writer)
        .await
        .map_err(|error| failed(&error))?;
    Ok(())
}
