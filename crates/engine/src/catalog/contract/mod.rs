//! What every catalog must do, whatever it is made of. Each claim starts from a fresh one with two accounts, and
//! time is a parameter, so nothing here waits.

mod access_log;
mod accounts;
mod audit;
mod backup_copies;
mod backups;
mod copies;
mod debts;
mod instances;
mod jobs;
mod links;
mod nodes;
mod nonces;
mod policies;
pub(super) mod tallies;
mod vitals;
mod webhooks;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::{Catalog, SealedBackup};
use crate::error::{Error, Kind};
use crate::model::{
    Account, AccountId, Backup, BackupId, BackupRef, BackupState, CaptureOptions, Instance, InstanceId, Job,
    Method, Mode, NewBackup, Project, SealedPart, SnapshotReport,
};

/// Runs the whole contract; `open` gives an empty catalog each time.
pub(super) async fn run(open: impl AsyncFn() -> Arc<dyn Catalog>) {
    accounts::run(&open).await;
    instances::run(&open).await;
    backups::run(&open).await;
    jobs::run(&open).await;
    links::run(&open).await;
    nodes::run(&open).await;
    nonces::run(&open).await;
    debts::run(&open).await;
    policies::run(&open).await;
    backup_copies::run(&open).await;
    copies::run(&open).await;
    audit::run(&open).await;
    access_log::run(&open).await;
    tallies::run(&open).await;
    vitals::run(&open).await;
    webhooks::run(&open).await;
}

const HOLD: Duration = Duration::from_secs(30);

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_795_309_200 + second).unwrap()
}

fn id<T: std::str::FromStr<Err = Error>>(text: &str) -> T {
    text.parse().unwrap()
}

fn acme() -> AccountId {
    id("acme")
}

fn rival() -> AccountId {
    id("rival")
}

fn is_missing(error: &Error) -> bool {
    error.kind == Kind::NotFound
}

fn is_conflict(error: &Error) -> bool {
    (error.kind, error.code) == (Kind::Conflict, "CONFLICT")
}

/// Two accounts. `acme` has `crs-1` (project `web`, region `north`) and `crs-2` (neither); `rival` has a `crs-1` too.
struct Fixture {
    catalog: Arc<dyn Catalog>,
}

impl std::ops::Deref for Fixture {
    type Target = dyn Catalog;

    fn deref(&self) -> &Self::Target {
        &*self.catalog
    }
}

async fn fixture(open: &impl AsyncFn() -> Arc<dyn Catalog>) -> Fixture {
    let catalog = open().await;
    for account in [acme(), rival()] {
        catalog
            .add_account(&Account { name: account.to_string(), id: account, created_at: at(0) })
            .await
            .unwrap();
    }
    for project in ["web", "shop"] {
        let project =
            Project { id: id(project), account: acme(), name: project.to_owned(), created_at: at(0) };
        catalog.add_project(&project).await.unwrap();
    }
    let first =
        Instance { project: Some(id("web")), region: Some("north".to_owned()), ..instance(acme(), "crs-1") };
    for instance in [first, instance(acme(), "crs-2"), instance(rival(), "crs-1")] {
        catalog.add_instance(&instance).await.unwrap();
    }
    Fixture { catalog }
}

fn instance(account: AccountId, name: &str) -> Instance {
    Instance {
        id: id(name),
        account,
        project: None,
        name: format!("name of {name}"),
        url: "redis://127.0.0.1:6379".to_owned(),
        username: Some("backup".to_owned()),
        sealed_password: Some(vec![0, 255, 7]),
        sealed_login: None,
        capture: CaptureOptions::default(),
        region: None,
        zone: Some("north-1".to_owned()),
        replica_zone: Some("north-2".to_owned()),
        created_at: at(0),
        facts: None,
    }
}

fn order(account: AccountId, instance: &str) -> NewBackup {
    NewBackup {
        account,
        instance: id::<InstanceId>(instance),
        mode: Mode::Manual,
        name: None,
        remark: None,
        expires_at: None,
    }
}

fn part(shard: u32, size_bytes: u64) -> SealedPart {
    SealedPart {
        shard,
        file_name: format!("{shard}.rdb"),
        size_bytes,
        sha256: "ab".repeat(32),
        stored_bytes: size_bytes,
        stored_sha256: "ab".repeat(32),
        encoding: crate::model::Encoding::PLAIN,
        origin: None,
        report: SnapshotReport { magic: "REDIS0010".to_owned(), keys: 3, ..SnapshotReport::default() },
    }
}

/// A sealed backup without parts.
fn nothing() -> SealedBackup {
    SealedBackup {
        state: BackupState::Available,
        method: Method::Physical,
        origin: None,
        parts: Vec::new(),
        server: None,
        failure: None,
        small: None,
    }
}

impl Fixture {
    async fn request(&self, account: AccountId, instance: &str, second: i64) -> Backup {
        let new = order(account, instance);
        self.request_backup(BackupId::mint(at(second)), &new, at(second)).await.unwrap()
    }

    async fn claim(&self, second: i64) -> Option<Job> {
        self.claim_job("w", at(second), HOLD).await.unwrap()
    }

    /// A backup of so many parts, asked for, claimed and sealed in that second.
    async fn available(&self, account: AccountId, instance: &str, second: i64, parts: u32) -> Backup {
        let asked = self.request(account.clone(), instance, second).await;
        let job = self.claim(second).await.unwrap();
        assert_eq!(job.backup, asked.id, "nothing else may be due");
        let numbers = self.mint_numbers(parts).await.unwrap();
        let sealed = SealedBackup {
            state: BackupState::Available,
            parts: numbers.into_iter().zip((0..parts).map(|shard| part(shard, 100))).collect(),
            ..nothing()
        };
        self.seal_backup(&job.lease(), &sealed, at(second)).await.unwrap();
        self.row(&account, asked.id).await
    }

    async fn row(&self, account: &AccountId, backup: BackupId) -> Backup {
        self.backup(account, BackupRef::Id(backup)).await.unwrap().unwrap()
    }
}
