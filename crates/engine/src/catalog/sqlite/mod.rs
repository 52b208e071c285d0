//! The catalog in one `SQLite` file: WAL, one writer, several readers.

mod accounts;
mod backups;
mod copies;
mod debts;
mod instances;
mod jobs;
mod links;
mod nonces;
mod place;
mod reader;
mod rows;
mod sealed;

use std::borrow::Cow;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Sqlite, Transaction};

use super::{AttemptOutcome, Catalog, CopiedRow, CopiedRows, SealedBackup, SealedSecret};
use crate::error::{Error, Kind, Result};
use crate::model::{
    AccessKey, Account, AccountId, Backup, BackupFilter, BackupId, BackupRef, Debt, Instance, InstanceFilter,
    InstanceId, Job, JobFilter, Lease, LinkRestriction, Listed, ListedJob, NewBackup, NewJob, Number,
    Outcome, Page, Part, Progress, Project, ProjectId, RememberedLink, RevocationScope, ServerFacts,
};
use reader::Reader;

/// The catalog in one `SQLite` file.
pub struct SqliteCatalog {
    writer: SqlitePool,
    reader: SqlitePool,
    single: Reader,
}

/// A schema change: its number, its name and its SQL.
type Change = (i64, &'static str, &'static str);

/// Every schema change, oldest first. A change that has shipped is never edited.
const MIGRATIONS: &[Change] = &[
    (1, "first", include_str!("../migrations/sqlite/0001_first.sql")),
    (2, "places and nonces", include_str!("../migrations/sqlite/0002_places_and_nonces.sql")),
    (3, "parts in their backup", include_str!("../migrations/sqlite/0003_parts_in_their_backup.sql")),
    (4, "restore and drill", include_str!("../migrations/sqlite/0004_restore_and_drill.sql")),
    (5, "one restore a target", include_str!("../migrations/sqlite/0005_one_restore_a_target.sql")),
    (9, "keys and copies", include_str!("../migrations/sqlite/0009_keys_and_copies.sql")),
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
        migrator(MIGRATIONS).run(&writer).await.map_err(|error| cannot_migrate(path, &error))?;
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
        self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(|error| failed(&error))
    }
}

fn migrator(changes: &[Change]) -> Migrator {
    let migrations = changes
        .iter()
        .map(|&(version, name, sql)| {
            Migration::new(
                version,
                Cow::Borrowed(name),
                MigrationType::Simple,
                sqlx::SqlSafeStr::into_sql_str(sql),
                false,
            )
        })
        .collect();
    Migrator { migrations: Cow::Owned(migrations), ..Migrator::DEFAULT }
}

fn cannot_migrate(path: &Path, error: &sqlx::migrate::MigrateError) -> Error {
    use sqlx::migrate::MigrateError::{VersionMissing, VersionTooNew};
    match error {
        VersionMissing(..) | VersionTooNew(..) => Error::new(
            Kind::Invalid,
            "CATALOG_NEWER",
            format!("the catalog {} was changed by a newer version", path.display()),
        )
        .because(error)
        .hint("run that version or a later one; this one has changed nothing"),
        _ => cannot_open(path, error),
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

/// `SQLITE_CONSTRAINT` of a unique index or primary key.
fn is_duplicate(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

/// The next number of the one sequence.
async fn next_number(tx: &mut Transaction<'_, Sqlite>) -> Result<Number> {
    let last: i64 =
        sqlx::query_scalar("UPDATE sequence SET last = last + 1 WHERE name = 'number' RETURNING last")
            .fetch_one(&mut **tx)
            .await
            .map_err(|error| failed(&error))?;
    Ok(rows::number(last))
}

#[async_trait]
impl Catalog for SqliteCatalog {
    async fn note(&self, name: &str) -> Result<Option<String>> {
        sqlx::query_scalar("SELECT value FROM note WHERE name = $1")
            .bind(name)
            .fetch_optional(&self.reader)
            .await
            .map_err(|error| failed(&error))
    }

    async fn set_note(&self, name: &str, value: &str) -> Result<()> {
        sqlx::query(
            "INSERT INTO note (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = $2",
        )
        .bind(name)
        .bind(value)
        .execute(&self.writer)
        .await
        .map_err(|error| failed(&error))?;
        Ok(())
    }

    async fn add_account(&self, account: &Account) -> Result<()> {
        accounts::add_account(self, account).await
    }

    async fn accounts(&self) -> Result<Vec<Account>> {
        accounts::accounts(self).await
    }

    async fn add_project(&self, project: &Project) -> Result<()> {
        accounts::add_project(self, project).await
    }

    async fn projects(&self, account: &AccountId) -> Result<Vec<Project>> {
        accounts::projects(self, account).await
    }

    async fn add_key(&self, key: &AccessKey) -> Result<()> {
        accounts::add_key(self, key).await
    }

    async fn key(&self, id: &str) -> Result<Option<AccessKey>> {
        accounts::key(self, id).await
    }

    async fn keys(&self, account: Option<&AccountId>) -> Result<Vec<AccessKey>> {
        accounts::keys(self, account).await
    }

    async fn rotate_key(
        &self,
        id: &str,
        sealed_secret: &[u8],
        previous_until: Option<Timestamp>,
    ) -> Result<()> {
        accounts::rotate_key(self, id, sealed_secret, previous_until).await
    }

    async fn revoke_key(&self, id: &str, now: Timestamp) -> Result<()> {
        accounts::revoke_key(self, id, now).await
    }

    async fn admit_nonce(&self, key: &str, value: &str, until: Timestamp, now: Timestamp) -> Result<bool> {
        nonces::admit(self, key, value, until, now).await
    }

    async fn add_instance(&self, instance: &Instance) -> Result<()> {
        instances::add(self, instance).await
    }

    async fn instance(&self, account: &AccountId, id: &InstanceId) -> Result<Option<Instance>> {
        instances::one(self, account, id)
    }

    async fn instances(&self, account: &AccountId, filter: &InstanceFilter) -> Result<Listed<Instance>> {
        instances::list(self, account, filter).await
    }

    async fn delete_instance(&self, account: &AccountId, id: &InstanceId) -> Result<()> {
        instances::delete(self, account, id).await
    }

    async fn set_instance(&self, instance: &Instance) -> Result<()> {
        instances::set(self, instance).await
    }

    async fn owe(&self, debt: &Debt) -> Result<()> {
        debts::owe(self, debt).await
    }

    async fn debts(&self) -> Result<Vec<Debt>> {
        debts::all(self).await
    }

    async fn settle_debt(&self, debt: &Debt) -> Result<()> {
        debts::settle(self, debt).await
    }

    async fn record_contact(&self, account: &AccountId, id: &InstanceId, facts: &ServerFacts) -> Result<()> {
        instances::record_contact(self, account, id, facts).await
    }

    async fn request_backup(&self, id: BackupId, new: &NewBackup, now: Timestamp) -> Result<Backup> {
        backups::request(self, id, new, now).await
    }

    async fn backup(&self, account: &AccountId, which: BackupRef) -> Result<Option<Backup>> {
        backups::one(self, Some(account), which)
    }

    async fn backups(&self, account: &AccountId, filter: &BackupFilter) -> Result<Listed<Backup>> {
        backups::list(self, account, filter).await
    }

    async fn available_bytes(&self, account: &AccountId, instance: &InstanceId) -> Result<u64> {
        backups::available_bytes(self, account, instance).await
    }

    async fn part(&self, number: Number) -> Result<Option<(Backup, Part)>> {
        backups::part(self, number)
    }

    async fn backup_by_id(&self, id: BackupId) -> Result<Option<Backup>> {
        backups::one(self, None, BackupRef::Id(id))
    }

    async fn protect_backup(&self, account: &AccountId, id: BackupId, protect: bool) -> Result<()> {
        backups::protect(self, account, id, protect).await
    }

    async fn set_expiry(&self, account: &AccountId, id: BackupId, at: Option<Timestamp>) -> Result<()> {
        backups::set_expiry(self, account, id, at).await
    }

    async fn expire_backup(&self, account: &AccountId, id: BackupId, now: Timestamp) -> Result<Number> {
        backups::expire(self, account, id, now).await
    }

    async fn request_job(&self, new: &NewJob, now: Timestamp) -> Result<Job> {
        jobs::request(self, new, now).await
    }

    async fn claim_job(&self, worker: &str, now: Timestamp, hold: Duration) -> Result<Option<Job>> {
        jobs::claim(self, worker, now, hold).await
    }

    async fn renew_lease(
        &self,
        lease: &Lease,
        progress: &Progress,
        now: Timestamp,
        hold: Duration,
    ) -> Result<bool> {
        jobs::renew(self, lease, progress, now, hold).await
    }

    async fn surrender_leases(&self) -> Result<u64> {
        jobs::surrender(self).await
    }

    async fn mint_numbers(&self, count: u32) -> Result<Vec<Number>> {
        let mut tx = self.write().await?;
        let mut numbers = Vec::new();
        for _ in 0..count {
            numbers.push(next_number(&mut tx).await?);
        }
        tx.commit().await.map_err(|error| failed(&error))?;
        Ok(numbers)
    }

    async fn seal_backup(&self, lease: &Lease, sealed: &SealedBackup, now: Timestamp) -> Result<()> {
        jobs::seal(self, lease, sealed, now).await
    }

    async fn fail_attempt(&self, lease: &Lease, outcome: &AttemptOutcome, now: Timestamp) -> Result<()> {
        jobs::fail(self, lease, outcome, now).await
    }

    async fn record_outcome(&self, lease: &Lease, outcome: &Outcome) -> Result<()> {
        jobs::record(self, lease, outcome).await
    }

    async fn finish_job(&self, lease: &Lease, now: Timestamp) -> Result<()> {
        jobs::finish(self, lease, now).await
    }

    async fn cancel_job(&self, account: &AccountId, number: Number, now: Timestamp) -> Result<Job> {
        jobs::cancel(self, account, number, now).await
    }

    async fn job(&self, account: &AccountId, number: Number) -> Result<Option<Job>> {
        jobs::one(self, account, number).await
    }

    async fn jobs(&self, account: &AccountId, filter: &JobFilter) -> Result<Listed<ListedJob>> {
        jobs::list(self, account, filter).await
    }

    async fn copied_rows(&self, now: Timestamp) -> Result<CopiedRows> {
        copies::read(self, now).await
    }

    async fn restore_rows(&self, rows: &[CopiedRow]) -> Result<u64> {
        copies::restore(self, rows).await
    }

    async fn raise_numbers(&self, last: Number) -> Result<()> {
        copies::raise_numbers(self, last).await
    }

    async fn adopt_backups(&self, backups: &[Backup]) -> Result<u64> {
        copies::adopt(self, backups).await
    }

    async fn sealed_secrets(&self) -> Result<Vec<SealedSecret>> {
        sealed::read(self).await
    }

    async fn replace_secrets(
        &self,
        secrets: &[(SealedSecret, Vec<u8>)],
        notes: &[(&str, String)],
    ) -> Result<()> {
        sealed::replace(self, secrets, notes).await
    }

    async fn remember_link(&self, link: &RememberedLink) -> Result<()> {
        links::remember(self, link).await
    }

    async fn link(&self, id: &str) -> Result<Option<RememberedLink>> {
        links::one(self, id).await
    }

    async fn links(
        &self,
        account: &AccountId,
        project: Option<&ProjectId>,
        page: Page,
    ) -> Result<Listed<RememberedLink>> {
        links::list(self, account, project, page).await
    }

    async fn revoke_link(&self, account: &AccountId, id: &str, now: Timestamp) -> Result<()> {
        links::revoke(self, account, id, now).await
    }

    async fn revoke_links_before(
        &self,
        account: &AccountId,
        scope: &RevocationScope,
        now: Timestamp,
    ) -> Result<()> {
        links::revoke_before(self, account, scope, now).await
    }

    async fn links_revoked_before(
        &self,
        account: &AccountId,
        scopes: &[RevocationScope],
    ) -> Result<Option<Timestamp>> {
        links::revoked_before(self, account, scopes).await
    }

    async fn link_restriction(&self, account: &AccountId, region: &str) -> Result<Option<LinkRestriction>> {
        links::restriction(self, account, region).await
    }

    async fn set_link_restriction(
        &self,
        account: &AccountId,
        region: &str,
        restriction: &LinkRestriction,
    ) -> Result<()> {
        links::set_restriction(self, account, region, restriction).await
    }

    async fn reserve_delivery(&self, link: &str, bytes: u64) -> Result<bool> {
        links::reserve(self, link, bytes).await
    }

    async fn settle_delivery(&self, link: &str, reserved: u64, sent: u64) -> Result<()> {
        links::settle(self, link, reserved, sent).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::catalog::contract;

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
        migrator(&MIGRATIONS[..2]).run(&before).await.unwrap();
        let id = BackupId::mint(Timestamp::UNIX_EPOCH);
        let sealed = |shard: u32| crate::model::SealedPart {
            shard,
            file_name: format!("it's \"{shard}\".rdb"),
            size_bytes: 7,
            sha256: String::new(),
            stored_bytes: 7,
            stored_sha256: String::new(),
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
            let empty = ["revoked_at", "deliveries", "sent_bytes", "reserved_bytes"];
            let left_out = |column: &str| name == "link" && empty.contains(&column);
            for column in columns.iter().filter(|column| !left_out(column)) {
                assert!(
                    table.columns.iter().any(|(known, _)| known == column),
                    "{name}.{column} is not copied"
                );
            }
        }
    }

    #[tokio::test]
    async fn an_idle_worker_looks_at_unfinished_jobs_only() {
        let folder = tempfile::tempdir().unwrap();
        let catalog = SqliteCatalog::open(&folder.path().join("catalog.db")).await.unwrap();
        let plan = format!("EXPLAIN QUERY PLAN {}", jobs::LONGEST_DUE);
        let steps: Vec<(i64, i64, i64, String)> =
            sqlx::query_as(sqlx::AssertSqlSafe(plan)).bind(0).fetch_all(&catalog.reader).await.unwrap();
        assert!(steps.iter().any(|step| step.3.contains("USING INDEX job_due")), "{steps:?}");
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
