//! The catalog in one `SQLite` file: WAL, one writer, several readers.

mod reader;
#[path = "../sql/mod.rs"]
#[expect(clippy::duplicate_mod, reason = "the same text for each database, with that database's types")]
mod sql;

use std::future::{Ready, ready};
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{Sqlite, Transaction};

use super::Key;
use super::changes::Change;
use crate::error::{Error, Kind, Result};
use reader::{Found, Reader};

/// The catalog in one `SQLite` file.
pub struct SqliteCatalog {
    writer: SqlitePool,
    reader: SqlitePool,
    single: Reader,
}

type Store = SqliteCatalog;
type Db = Sqlite;
type Row = SqliteRow;

/// Whether several nodes may have it open.
const IS_SHARED: bool = false;

/// Begins a transaction that sees one moment.
const BEGIN_SNAPSHOT: &str = "BEGIN";

/// The function that finds a text in another, counted from 1; 0 = it is not in there.
const POSITION: &str = "instr";

/// A text in a column of JSON.
fn json_field(column: &str, field: &str) -> String {
    format!("json_extract({column}, '$.{field}')")
}

/// The present moment, in microseconds, where a program says that it is `told`: here that program is alone.
fn now_at(told: &'static str) -> &'static str {
    told
}

/// Every schema change, oldest first.
pub(super) const CHANGES: &[Change] = &[
    (1, "first", include_str!("../migrations/sqlite/0001_first.sql")),
    (2, "places and nonces", include_str!("../migrations/sqlite/0002_places_and_nonces.sql")),
    (3, "parts in their backup", include_str!("../migrations/sqlite/0003_parts_in_their_backup.sql")),
    (4, "restore and drill", include_str!("../migrations/sqlite/0004_restore_and_drill.sql")),
    (5, "one restore a target", include_str!("../migrations/sqlite/0005_one_restore_a_target.sql")),
    (6, "policies", include_str!("../migrations/sqlite/0006_policies.sql")),
    (7, "audit and access", include_str!("../migrations/sqlite/0007_audit_and_access.sql")),
    (8, "links with limits", include_str!("../migrations/sqlite/0008_links_with_limits.sql")),
    (9, "keys and copies", include_str!("../migrations/sqlite/0009_keys_and_copies.sql")),
    (10, "nodes, turns and tallies", include_str!("../migrations/sqlite/0010_nodes_turns_and_tallies.sql")),
    (11, "backups by start", include_str!("../migrations/sqlite/0011_backups_by_start.sql")),
    (12, "tallies by place", include_str!("../migrations/sqlite/0012_tallies_by_place.sql")),
    (13, "webhooks", include_str!("../migrations/sqlite/0013_webhooks.sql")),
    (14, "copies of backups", include_str!("../migrations/sqlite/0014_copies_of_backups.sql")),
    (15, "promises", include_str!("../migrations/sqlite/0015_promises.sql")),
    (16, "forgiven", include_str!("../migrations/sqlite/0016_forgiven.sql")),
];

impl SqliteCatalog {
    /// Opens the file, makes it if absent, and brings its schema up to date.
    pub async fn open(path: &Path) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(5))
            .pragma("journal_size_limit", "16777216");
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options.clone())
            .await
            .map_err(|error| cannot_open(path, &error))?;
        sql::schema::bring_up(&writer, CHANGES, |error| cannot_open(path, error)).await?;
        let reader = SqlitePoolOptions::new()
            .max_connections(4)
            .connect_with(options.read_only(true))
            .await
            .map_err(|error| cannot_open(path, &error))?;
        let single = Reader::open(path)?;
        Ok(Self { writer, reader, single })
    }

    /// Finishes what is under way and closes the file.
    pub async fn close(&self) {
        self.single.close();
        self.reader.close().await;
        self.writer.close().await;
    }

    /// A transaction that writes. It takes `SQLite`'s lock at once: one that starts by reading and then writes can
    /// fail with a snapshot error that waiting does not cure.
    async fn write(&self) -> Result<Transaction<'static, Sqlite>> {
        let begun = match self.writer.begin_with("BEGIN IMMEDIATE").await {
            // `SQLite` ends a transaction by itself when the disk is full, and the connection counts it as open for ever.
            Err(sqlx::Error::InvalidSavePointStatement) => {
                let broken = self.writer.acquire().await.map_err(|error| failed(&error))?;
                broken.close().await.map_err(|error| failed(&error))?;
                self.writer.begin_with("BEGIN IMMEDIATE").await
            }
            begun => begun,
        };
        begun.map_err(|error| failed(&error))
    }

    /// The rows of a query for single ones, each turned into something.
    fn find<T>(
        &self,
        query: &'static str,
        keys: &[Key<'_>],
        read: impl FnMut(&Found<'_>) -> Result<T>,
    ) -> Ready<Result<Vec<T>>> {
        ready(self.single.rows(query, rusqlite::params_from_iter(keys), read))
    }
}

fn cannot_open(path: &Path, cause: &dyn std::fmt::Display) -> Error {
    Error::new(Kind::Internal, "CATALOG_FAILED", format!("cannot open the catalog {}", path.display()))
        .because(cause)
        .hint("check that the folder is writable and that the file belongs to this version or an older one")
}

/// What `SQLite` refused, in our words.
fn failed(error: &sqlx::Error) -> Error {
    let text = error.to_string();
    if text.contains("database or disk is full") {
        return Error::new(Kind::NoSpace, "DISK_FULL", "the catalog cannot grow")
            .because(text)
            .hint("free space on the disk of the data directory, then try again");
    }
    let busy = matches!(error, sqlx::Error::PoolTimedOut) || text.contains("database is locked");
    let kind = if busy { Kind::Unreachable } else { Kind::Internal };
    Error::new(kind, "CATALOG_FAILED", "the catalog did not do what was asked").because(text)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;

    use super::*;
    use crate::catalog::changes::migrator;
    use crate::catalog::{Catalog, contract};
    use crate::model::{BackupId, BackupRef};
    use sql::rows;

    #[tokio::test(flavor = "multi_thread")]
    async fn keeps_the_contract() {
        let folder = tempfile::tempdir().unwrap();
        let count = std::sync::atomic::AtomicU32::new(0);
        contract::run(async || {
            let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let path = folder.path().join(format!("{number}.db"));
            Arc::new(SqliteCatalog::open(&path).await.unwrap()) as Arc<dyn Catalog>
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_full_disk_is_over_when_there_is_room_again() {
        let folder = tempfile::tempdir().unwrap();
        let catalog = SqliteCatalog::open(&folder.path().join("catalog.db")).await.unwrap();
        let pages: i64 = sqlx::query_scalar("PRAGMA page_count").fetch_one(&catalog.writer).await.unwrap();
        let allow = async |pages: i64| {
            let text = sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"));
            sqlx::query(text).execute(&catalog.writer).await.unwrap();
        };
        allow(pages + 10).await;
        let mut tx = catalog.write().await.unwrap();
        let large = "INSERT INTO note (name, value) VALUES ('large', hex(zeroblob(4000000)))";
        let error = failed(&sqlx::query(large).execute(&mut *tx).await.unwrap_err());
        assert_eq!(error.code, "DISK_FULL");
        drop(tx);
        allow(pages + 10_000).await;
        assert_eq!(catalog.mint_numbers(2).await.unwrap().len(), 2);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn two_processes_may_have_it_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalog.db");
        let mut writing = tokio::task::JoinSet::new();
        for _ in 0..2 {
            let catalog = SqliteCatalog::open(&path).await.unwrap();
            writing.spawn(async move {
                let mut numbers = Vec::new();
                for _ in 0..100 {
                    numbers.extend(catalog.mint_numbers(1).await.unwrap());
                }
                catalog.close().await;
                numbers
            });
        }
        let mut numbers = writing.join_all().await.concat();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 200);
    }

    #[tokio::test]
    async fn what_was_written_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalog.db");
        let catalog = SqliteCatalog::open(&path).await.unwrap();
        catalog.set_note("repository", "r1").await.unwrap();
        catalog.close().await;
        let catalog = SqliteCatalog::open(&path).await.unwrap();
        assert_eq!(catalog.note("repository").await.unwrap().as_deref(), Some("r1"));
    }

    #[tokio::test]
    async fn parts_move_into_their_backup() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalog.db");
        let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
        let before = SqlitePool::connect_with(options).await.unwrap();
        migrator(&CHANGES[..2]).run(&before).await.unwrap();
        let id = BackupId::mint(Timestamp::UNIX_EPOCH);
        let sealed = |shard: u32| crate::model::SealedPart {
            shard,
            file_name: format!("it's \"{shard}\".rdb"),
            size_bytes: 7,
            sha256: String::new(),
            stored_bytes: 7,
            stored_sha256: String::new(),
            encoding: crate::model::Encoding::PLAIN,
            origin: None,
            report: crate::model::SnapshotReport { databases: [(3, 5)].into(), ..Default::default() },
        };
        sqlx::query("INSERT INTO account (id, name, created_at) VALUES ('acme', 'acme', 0)")
            .execute(&before)
            .await
            .unwrap();
        for (backup, number) in [(id, 1), (BackupId::mint(Timestamp::MAX), 2)] {
            sqlx::query(
                "INSERT INTO backup (id, number, account, instance, instance_name, state, mode, method, job, \
                 created_at) VALUES ($1, $2, 'acme', 'r-1', 'r-1', 'available', 'manual', 'physical', 9, 0)",
            )
            .bind(backup.to_string())
            .bind(number)
            .execute(&before)
            .await
            .unwrap();
        }
        for (number, shard) in [(11_u32, 1), (12, 0)] {
            sqlx::query("INSERT INTO part (number, backup, shard, size, sealed) VALUES ($1, $2, $3, 7, $4)")
                .bind(number)
                .bind(id.to_string())
                .bind(shard)
                .bind(rows::to_json(&sealed(shard)).unwrap())
                .execute(&before)
                .await
                .unwrap();
        }
        before.close().await;

        let catalog = SqliteCatalog::open(&path).await.unwrap();
        let backup = catalog.backup_by_id(id).await.unwrap().unwrap();
        let numbers: Vec<_> = backup.parts.iter().map(|part| part.number).collect();
        assert_eq!(numbers, [12, 11], "by shard");
        let (_, part) = catalog.part(11).await.unwrap().unwrap();
        assert_eq!((part.sealed.file_name, part.sealed.report), (sealed(1).file_name, sealed(1).report));
        let acme = "acme".parse().unwrap();
        let other = catalog.backup(&acme, BackupRef::Number(2)).await.unwrap().unwrap();
        assert!(other.parts.is_empty());
    }

    #[tokio::test]
    async fn tallies_say_what_the_rows_say() {
        use contract::tallies::{CHANGES as STATEMENTS, DISAGREEMENTS, ROWS};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalog.db");
        let before: Vec<_> = CHANGES.iter().copied().filter(|change| change.0 < 12).collect();
        let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
        let older = SqlitePool::connect_with(options).await.unwrap();
        migrator(&before).run(&older).await.unwrap();
        for rows in ROWS {
            sqlx::query(*rows).execute(&older).await.unwrap();
        }
        older.close().await;

        let catalog = SqliteCatalog::open(&path).await.unwrap();
        assert_eq!(
            catalog.available_bytes(&"acme".parse().unwrap(), &"r-1".parse().unwrap()).await.unwrap(),
            700
        );
        for statement in [&["SELECT 1"], STATEMENTS].concat() {
            sqlx::query(statement).execute(&catalog.writer).await.unwrap();
            let wrong: i64 = sqlx::query_scalar(DISAGREEMENTS).fetch_one(&catalog.reader).await.unwrap();
            assert_eq!(wrong, 0, "{statement}");
        }
    }

    #[tokio::test]
    async fn an_idle_worker_looks_at_unfinished_jobs_only() {
        let folder = tempfile::tempdir().unwrap();
        let catalog = SqliteCatalog::open(&folder.path().join("catalog.db")).await.unwrap();
        let plan = format!("EXPLAIN QUERY PLAN {}", sql::jobs::longest_due());
        let steps: Vec<(i64, i64, i64, String)> =
            sqlx::query_as(sqlx::AssertSqlSafe(plan)).bind(0).fetch_all(&catalog.reader).await.unwrap();
        let looks: Vec<_> = steps.iter().filter(|step| step.3.contains(" job")).collect();
        assert!(!looks.is_empty() && looks.iter().all(|step| step.3.contains("INDEX job_due")), "{steps:?}");
    }

    #[tokio::test]
    async fn every_table_is_copied_whole_or_left_out_for_a_reason() {
        use crate::catalog::copied::{LEFT_OUT, TABLES};
        let folder = tempfile::tempdir().unwrap();
        let catalog = SqliteCatalog::open(&folder.path().join("catalog.db")).await.unwrap();
        let tables: Vec<String> = sqlx::query_scalar("SELECT name FROM sqlite_master WHERE type = 'table'")
            .fetch_all(&catalog.reader)
            .await
            .unwrap();
        for name in tables.iter().filter(|name| !name.starts_with("sqlite") && !name.starts_with('_')) {
            let Some(table) = TABLES.iter().find(|table| table.name == name) else {
                assert!(
                    LEFT_OUT.iter().any(|(left, _)| left == name),
                    "{name} is neither copied nor left out"
                );
                continue;
            };
            let columns: Vec<String> = sqlx::query_scalar("SELECT name FROM pragma_table_info($1)")
                .bind(name)
                .fetch_all(&catalog.reader)
                .await
                .unwrap();
            // Of a link that counts nothing and is not revoked.
            let empty = ["revoked_at", "deliveries", "sent_bytes", "reserved_bytes", "forgiven_bytes"];
            let left_out =
                |column: &str| name == "link" && (empty.contains(&column) || column.starts_with("used_"));
            for column in columns.iter().filter(|column| !left_out(column)) {
                assert!(
                    table.columns.iter().any(|(known, _)| known == column),
                    "{name}.{column} is not copied"
                );
            }
        }
    }

    #[tokio::test]
    async fn a_newer_catalog_is_opened_only_where_its_program_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalog.db");
        let catalog = SqliteCatalog::open(&path).await.unwrap();
        sqlx::query(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             VALUES (999, 'later', 1, x'00', 0)",
        )
        .execute(&catalog.writer)
        .await
        .unwrap();
        catalog.set_note("oldest_program", "998").await.unwrap();
        catalog.close().await;
        assert_eq!(SqliteCatalog::open(&path).await.err().unwrap().code, "CATALOG_NEWER");
        let newer = SqlitePool::connect_with(SqliteConnectOptions::new().filename(&path)).await.unwrap();
        sqlx::query("UPDATE note SET value = '5' WHERE name = 'oldest_program'")
            .execute(&newer)
            .await
            .unwrap();
        newer.close().await;
        let catalog = SqliteCatalog::open(&path).await.unwrap();
        assert_eq!(catalog.note("oldest_program").await.unwrap().as_deref(), Some("5"), "it stays theirs");
    }

    #[tokio::test]
    async fn a_file_that_is_no_catalog_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalog.db");
        std::fs::write(&path, "not a database, but long enough to look like one at first sight").unwrap();
        assert_eq!(SqliteCatalog::open(&path).await.err().unwrap().code, "CATALOG_FAILED");
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("not a database"));
    }
}
