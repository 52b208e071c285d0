//! The catalog in a `PostgreSQL` database, shared by several nodes.

mod errors;
#[cfg(test)]
mod lab;
#[path = "../sql/mod.rs"]
#[expect(
    clippy::duplicate_mod,
    clippy::redundant_closure,
    reason = "the same text for each database, with that database's types; the other one's rows borrow"
)]
mod sql;
#[cfg(test)]
mod tests;

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgRow};
use sqlx::{Executor, Postgres, Transaction};

use super::Key;
use super::changes::Change;
use crate::error::{Error, Kind, Result};
use crate::model::Secret;
use errors::{cannot_open, failed};

/// The catalog in a `PostgreSQL` database.
pub struct PostgresCatalog {
    writer: PgPool,
    /// The same pool: what is written is there for whoever reads.
    reader: PgPool,
}

/// How to reach the database.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// `postgres://user@host:port/database?sslmode=verify-full&sslrootcert=…`; with a password in it, a secret.
    pub url: Secret,
    /// The password, if it is not in the URL.
    pub password: Option<Secret>,
    /// Connections at most.
    pub connections: u32,
}

type Store = PostgresCatalog;
type Db = Postgres;
type Row = PgRow;

/// Whether several nodes may have it open.
const IS_SHARED: bool = true;

/// The function that finds a text in another, counted from 1; 0 = it is not in there.
const POSITION: &str = "strpos";

/// A text in a column of JSON.
fn json_field(column: &str, field: &str) -> String {
    format!("(CAST({column} AS JSON) ->> '{field}')")
}

/// The present moment, in microseconds, where a node says that it is `told`: the server's, because nodes' clocks
/// differ.
fn now_at(told: &'static str) -> String {
    format!("keystow_now({told})")
}

/// Every schema change, oldest first. The first is what the first five of `SQLite` come to; then the numbers are the
/// same.
pub(super) const CHANGES: &[Change] = &[
    (1, "first", include_str!("../migrations/postgres/0001_first.sql")),
    (6, "policies", include_str!("../migrations/postgres/0006_policies.sql")),
    (7, "audit and access", include_str!("../migrations/postgres/0007_audit_and_access.sql")),
    (8, "links with limits", include_str!("../migrations/postgres/0008_links_with_limits.sql")),
    (9, "keys and copies", include_str!("../migrations/postgres/0009_keys_and_copies.sql")),
    (10, "nodes, turns and tallies", include_str!("../migrations/postgres/0010_nodes_turns_and_tallies.sql")),
    (11, "backups by start", include_str!("../migrations/postgres/0011_backups_by_start.sql")),
    (12, "tallies by place", include_str!("../migrations/postgres/0012_tallies_by_place.sql")),
    (13, "webhooks", include_str!("../migrations/postgres/0013_webhooks.sql")),
    (14, "copies of backups", include_str!("../migrations/postgres/0014_copies_of_backups.sql")),
    (15, "promises", include_str!("../migrations/postgres/0015_promises.sql")),
    (16, "forgiven", include_str!("../migrations/postgres/0016_forgiven.sql")),
];

/// How long a call waits for a connection: long enough for a restart of the server, short enough for a client.
const ACQUIRE: Duration = Duration::from_secs(3);

/// What every connection is set to. A node that hangs in a transaction loses it, so that the others can go on; the
/// others wait longer than that.
const SESSION: &str = "SET lock_timeout = '15s'; SET statement_timeout = '60s'; \
                       SET idle_in_transaction_session_timeout = '5s'; SET application_name = 'keystow'";

/// Makes a transaction alone: what it looks at is still so when it writes. `keystow` in ASCII is the lock.
const ALONE: &str = "SELECT pg_advisory_xact_lock(30229394810498935)";

/// Begins a transaction that sees one moment.
const BEGIN_SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

impl PostgresCatalog {
    /// Connects, and brings the schema up to date.
    pub async fn open(options: &PostgresOptions) -> Result<Self> {
        let url = String::from_utf8_lossy(options.url.expose()).into_owned();
        // A plan that was made before another node's schema change is of no use after it, so none is kept.
        let mut connect = url.parse::<PgConnectOptions>().map_err(|_| bad_url())?.statement_cache_capacity(0);
        if let Some(password) = &options.password {
            connect = connect.password(&String::from_utf8_lossy(password.expose()));
        }
        let place = format!("{}/{}", connect.get_host(), connect.get_database().unwrap_or_default());
        let refused = |error: &dyn std::fmt::Display| cannot_open(&place, error);
        // A schema change may take as long as it takes.
        let patient = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(ACQUIRE)
            .connect_with(connect.clone())
            .await
            .map_err(|error| errors::cannot_connect(&place, &error))?;
        let changed = sql::schema::bring_up(&patient, CHANGES, |error| refused(error)).await;
        patient.close().await;
        changed?;
        let pool = PgPoolOptions::new()
            .max_connections(options.connections.max(1))
            .acquire_timeout(ACQUIRE)
            // A connection that the server closed while it was idle is replaced before it is used.
            .test_before_acquire(true)
            .after_connect(|connection, _| {
                Box::pin(async move { connection.execute(SESSION).await.map(drop) })
            })
            .connect_with(connect)
            .await
            .map_err(|error| errors::cannot_connect(&place, &error))?;
        Ok(Self { writer: pool.clone(), reader: pool })
    }

    /// Finishes what is under way and closes the connections.
    pub async fn close(&self) {
        self.writer.close().await;
    }

    /// A transaction that writes what it has looked at: no other such is under way in any node.
    async fn write(&self) -> Result<Transaction<'static, Postgres>> {
        // On a task of its own: a caller that goes away while this waits must not leave the transaction open in a
        // connection that others get.
        let pool = self.writer.clone();
        #[expect(clippy::disallowed_methods, reason = "it is waited for right here")]
        let begun = tokio::spawn(async move {
            let mut tx = pool.begin().await?;
            tx.execute(ALONE).await?;
            Ok::<_, sqlx::Error>(tx)
        });
        let begun = begun.await.map_err(|error| Error::internal("a transaction did not begin", error))?;
        begun.map_err(|error| failed(&error))
    }

    /// The rows of a query for single ones, each turned into something.
    async fn find<T>(
        &self,
        query: &'static str,
        keys: &[Key<'_>],
        read: impl FnMut(&PgRow) -> Result<T> + Send,
    ) -> Result<Vec<T>> {
        let mut bound = sqlx::query(query);
        for key in keys {
            bound = match *key {
                Key::Text(text) => bound.bind(text.to_owned()),
                Key::Number(number) => bound.bind(sql::rows::signed(number)),
            };
        }
        let found = bound.fetch_all(&self.reader).await.map_err(|error| failed(&error))?;
        found.iter().map(read).collect()
    }
}

fn bad_url() -> Error {
    // What is wrong with it may hold the password.
    Error::new(Kind::Invalid, "CONFIG_INVALID", "the catalog's URL is not one of PostgreSQL")
        .hint("write it as postgres://user@host:5432/database")
}
