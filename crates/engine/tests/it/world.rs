//! An engine on a temporary folder, with a clock to move.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use keystow_engine::access::{Principal, RootKey};
use keystow_engine::catalog::{Catalog, SqliteCatalog};
use keystow_engine::clock::Clock;
use keystow_engine::links::Spelling;
use keystow_engine::model::{Backup, BackupRef, Network, Role, Throughput};
use keystow_engine::ops::{
    BackupOrder, Delivery, DeliveryFault, DrillSettings, Engine, IssuedLink, LinkOrder, NewInstance, NewKey,
    NewLogin, NotifySettings, OtherRepository, RepositorySettings, Settings,
};
use keystow_engine::redis::Timeouts;
use keystow_engine::vault::{AttemptKey, LocalVault, ObjectKey, Vault};
use keystow_engine::work::{WorkerSettings, run_worker};
use keystow_engine::{Error, Result};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::lab::PATIENCE;

/// An engine on a temporary folder.
pub(crate) struct World {
    pub(crate) engine: Arc<Engine>,
    pub(crate) catalog: Arc<SqliteCatalog>,
    pub(crate) vault: Arc<LocalVault>,
    pub(crate) clock: Clock,
    pub(crate) admin: Principal,
    pub(crate) timeouts: Timeouts,
    folder: tempfile::TempDir,
}

pub(crate) const ANYWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));

impl World {
    pub(crate) async fn new() -> Self {
        let timeouts = Timeouts { reply: Duration::from_secs(5), silence: Duration::from_secs(20) };
        Self::with(timeouts, |vault| vault).await
    }

    /// With other limits, and with a vault of the test's own around the local one.
    pub(crate) async fn with(
        timeouts: Timeouts,
        wrap: impl FnOnce(Arc<dyn Vault>) -> Arc<dyn Vault>,
    ) -> Self {
        Self::stored(timeouts, wrap, |_| RepositorySettings::default()).await
    }

    /// With parts stored as `repository` says, which is given the folder beside the repository.
    pub(crate) async fn stored(
        timeouts: Timeouts,
        wrap: impl FnOnce(Arc<dyn Vault>) -> Arc<dyn Vault>,
        repository: impl FnOnce(&Path) -> RepositorySettings,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let catalog = Arc::new(SqliteCatalog::open(&folder.path().join("catalog.db")).await.unwrap());
        let vault = Arc::new(LocalVault::open(&folder.path().join("repository")).unwrap());
        let clock = Clock::manual(Timestamp::from_second(1_795_309_200).unwrap());
        let repository = repository(folder.path());
        let encrypts = repository.encrypt;
        let wrapped = wrap(vault.clone());
        let engine = engine(folder.path(), catalog.clone(), wrapped, clock.clone(), timeouts, repository);
        if encrypts {
            engine.adopt_repository().await.unwrap();
        }
        let key = engine.initialise().await.unwrap().unwrap();
        let admin = engine.sign_in(&key.id, key.secret.expose(), None).await.unwrap();
        Self { engine, catalog, vault, clock, admin, timeouts, folder }
    }

    /// Another node on the same catalog and repository.
    pub(crate) fn another_node(&self) -> Arc<Engine> {
        self.another_node_that(RepositorySettings::default())
    }

    /// Another node that stores parts in its own way.
    pub(crate) fn another_node_that(&self, repository: RepositorySettings) -> Arc<Engine> {
        let (catalog, vault) = (self.catalog.clone(), self.vault.clone());
        engine(self.folder.path(), catalog, vault, self.clock.clone(), self.timeouts, repository)
    }

    /// Another engine in the place of this one, that leaves so many bytes of the repository free.
    pub(crate) fn reserve(&mut self, bytes: u64) {
        let (catalog, vault) = (self.catalog.clone(), self.vault.clone());
        let settings = Settings {
            reserve_bytes: bytes,
            ..settings(self.folder.path(), self.timeouts, RepositorySettings::default())
        };
        let root = RootKey::load_or_create(&self.path("root.key")).unwrap();
        self.engine = Arc::new(Engine::new(catalog, vault, self.clock.clone(), &root, settings).unwrap());
    }

    /// Another engine in the place of this one, with repositories for copies.
    pub(crate) async fn copy_to(&mut self, others: Vec<OtherRepository>, repository: RepositorySettings) {
        let root = RootKey::load_or_create(&self.path("root.key")).unwrap();
        let settings = settings(self.folder.path(), self.timeouts, repository);
        let (catalog, vault) = (self.catalog.clone(), self.vault.clone());
        let engine = Engine::new(catalog, vault, self.clock.clone(), &root, settings).unwrap();
        self.engine = Arc::new(engine.with_copies(others));
        self.engine.adopt_repository().await.unwrap();
        self.engine.open_copies().await;
    }

    /// A node on another catalog and the same repository.
    pub(crate) fn engine_on(&self, catalog: Arc<SqliteCatalog>, root: &RootKey) -> Arc<Engine> {
        self.engine_over(catalog, self.vault.clone(), root, RepositorySettings::default())
    }

    /// A node on another catalog and another repository.
    pub(crate) fn engine_over(
        &self,
        catalog: Arc<SqliteCatalog>,
        vault: Arc<LocalVault>,
        root: &RootKey,
        repository: RepositorySettings,
    ) -> Arc<Engine> {
        let settings = settings(self.folder.path(), self.timeouts, repository);
        Arc::new(Engine::new(catalog, vault, self.clock.clone(), root, settings).unwrap())
    }

    pub(crate) fn repository(&self) -> std::path::PathBuf {
        self.folder.path().join("repository")
    }

    /// A file or folder beside the repository.
    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Every file in the repository but its mark, unfinished ones and all.
    pub(crate) fn files(&self) -> Vec<String> {
        files_in(&self.repository())
    }

    /// Whether the folder of a backup is there, empty or not.
    pub(crate) fn has_folder(&self, backup: &Backup) -> bool {
        self.repository().join(attempt(backup, 1).backup_folder()).exists()
    }

    pub(crate) async fn add(&self, id: &str, url: &str) -> Result<()> {
        self.add_with(NewInstance {
            login: login(url),
            id: Some(id.parse().unwrap()),
            ..NewInstance::default()
        })
        .await
    }

    pub(crate) async fn add_with(&self, new: NewInstance) -> Result<()> {
        self.engine.add_instance(&self.admin, new).await.map(drop)
    }

    pub(crate) async fn request(&self, instance: &str) -> Backup {
        self.engine.request_backup(&self.admin, BackupOrder::of(instance.parse().unwrap())).await.unwrap()
    }

    pub(crate) async fn row(&self, backup: &Backup) -> Backup {
        self.engine.backup(&self.admin, BackupRef::Id(backup.id)).await.unwrap()
    }

    pub(crate) fn worker(&self) -> Worker {
        Worker::start(self.engine.clone())
    }

    /// Asks for a backup and waits until it has ended, well or not.
    pub(crate) async fn take(&self, instance: &str) -> Backup {
        let asked = self.request(instance).await;
        let worker = self.worker();
        let ended = self.ended(&asked).await;
        worker.stop().await;
        ended
    }

    /// The row once it is neither queued nor running.
    pub(crate) async fn ended(&self, backup: &Backup) -> Backup {
        eventually("the backup to end", async || {
            Some(self.row(backup).await).filter(|row| !row.state.is_active())
        })
        .await
    }

    /// Runs a worker until nothing waits.
    pub(crate) async fn work_off(&self) {
        let worker = self.worker();
        eventually("the jobs to be done", async || {
            let jobs =
                self.engine.jobs(&self.admin, keystow_engine::model::JobFilter::default()).await.unwrap();
            jobs.rows.iter().all(|listed| listed.job.ended_at.is_some()).then_some(())
        })
        .await;
        worker.stop().await;
    }

    /// A key of that role, signed in.
    pub(crate) async fn key(&self, role: Role, project: Option<&str>) -> Principal {
        let project = project.map(|id| id.parse().unwrap());
        self.sign_in(NewKey { role: Some(role), project, ..NewKey::default() }).await
    }

    pub(crate) async fn sign_in(&self, new: NewKey) -> Principal {
        let key = self.engine.create_key(&self.admin, new).await.unwrap();
        self.engine.sign_in(&key.id, key.secret.expose(), None).await.unwrap()
    }

    pub(crate) async fn share(
        &self,
        who: &Principal,
        backup: &Backup,
        order: &LinkOrder,
    ) -> Result<Vec<IssuedLink>> {
        self.engine.share_backup(who, BackupRef::Id(backup.id), order).await.map(|(_, links)| links)
    }

    pub(crate) async fn link(&self, backup: &Backup, order: &LinkOrder) -> IssuedLink {
        self.share(&self.admin, backup, order).await.unwrap().remove(0)
    }

    /// Opens a public link from anywhere.
    pub(crate) async fn open(&self, link: &IssuedLink) -> Result<Delivery, DeliveryFault> {
        self.open_from(link, Network::Public, ANYWHERE).await
    }

    pub(crate) async fn open_from(
        &self,
        link: &IssuedLink,
        network: Network,
        address: IpAddr,
    ) -> Result<Delivery, DeliveryFault> {
        let (path, query) = split(&link.url);
        self.engine.open_link(&path, &query, network, address).await
    }

    /// The stored bytes of a backup's only part.
    pub(crate) async fn bytes(&self, backup: &Backup) -> Vec<u8> {
        let encoding = backup.parts[0].sealed.encoding;
        let key = ObjectKey::Part(attempt(backup, backup.attempt), 0, encoding);
        self.vault.get(&key, u64::MAX).await.unwrap().expect("the part is in the repository")
    }
}

/// Every file in a repository but its mark, unfinished ones and all.
pub(crate) fn files_in(repository: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut waiting = vec![repository.to_owned()];
    while let Some(folder) = waiting.pop() {
        // It may be on its way out.
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        for entry in entries.map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                waiting.push(entry.path());
            } else {
                found.push(entry.path().strip_prefix(repository).unwrap().display().to_string());
            }
        }
    }
    // The mark is always there.
    found.retain(|file| file != "repository.json");
    found.sort();
    found
}

/// Where a server is that wants nothing, or whose URL says it.
pub(crate) fn login(url: &str) -> NewLogin {
    NewLogin { url: url.to_owned(), ..NewLogin::default() }
}

/// Path and query of a URL.
pub(crate) fn split(url: &str) -> (String, String) {
    let rest = url.split_once("://").unwrap().1;
    let (path, query) = rest[rest.find('/').unwrap()..].split_once('?').unwrap();
    (path.to_owned(), query.to_owned())
}

/// One public link for an hour.
pub(crate) fn order() -> LinkOrder {
    LinkOrder {
        networks: vec![Network::Public],
        ttl: Duration::from_hours(1),
        spelling: Spelling::Native,
        addresses: Vec::new(),
        denied: Vec::new(),
        shard: None,
        deliveries: None,
        throughput: Throughput::default(),
        remember: false,
        unverified: false,
        repository: None,
    }
}

pub(crate) fn attempt(backup: &Backup, number: u32) -> AttemptKey {
    AttemptKey {
        account: backup.account.clone(),
        instance: backup.instance.clone(),
        backup: backup.id,
        attempt: number,
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    keystow_engine::model::hex(digest.as_ref())
}

fn engine(
    folder: &Path,
    catalog: Arc<dyn Catalog>,
    vault: Arc<dyn Vault>,
    clock: Clock,
    timeouts: Timeouts,
    repository: RepositorySettings,
) -> Arc<Engine> {
    let root = RootKey::load_or_create(&folder.join("root.key")).unwrap();
    Arc::new(Engine::new(catalog, vault, clock, &root, settings(folder, timeouts, repository)).unwrap())
}

fn settings(folder: &Path, timeouts: Timeouts, repository: RepositorySettings) -> Settings {
    Settings {
        public_url: "http://127.0.0.1:7361".to_owned(),
        intranet_url: "http://10.0.0.1:7362".to_owned(),
        longest_link: Duration::from_hours(7 * 24),
        timeouts,
        fail_over: Duration::from_secs(80),
        work_dir: folder.to_owned(),
        advertise: None,
        client: Throughput::default(),
        drill: DrillSettings {
            folder: Some(folder.join("servers")),
            search: std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect(),
            timeout: Duration::from_mins(1),
        },
        reserve_bytes: 0,
        scrub_bytes_per_second: None,
        repository,
        notify: NotifySettings { host: "lab".to_owned(), ..NotifySettings::default() },
    }
}

/// A worker that runs beside the test.
pub(crate) struct Worker {
    stop: CancellationToken,
    task: JoinSet<()>,
}

impl Worker {
    pub(crate) fn start(engine: Arc<Engine>) -> Self {
        let stop = CancellationToken::new();
        let mut task = JoinSet::new();
        // A short lease makes the heartbeats, one in a thirtieth of it, quick.
        let settings = WorkerSettings {
            lease: Duration::from_secs(9),
            poll: Duration::from_millis(10),
            ..WorkerSettings::default()
        };
        task.spawn(run_worker(engine, settings, stop.clone()));
        Self { stop, task }
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.join_all().await;
    }
}

/// Looks again and again until `look` gives something.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("gave up waiting: {what}"))
}

/// The code of a failed backup.
#[track_caller]
pub(crate) fn failure_code(backup: &Backup) -> &str {
    &backup.failure.as_ref().expect("a failure").code
}

/// The code of a refusal.
#[track_caller]
pub(crate) fn code<T>(result: Result<T, Error>) -> &'static str {
    result.err().expect("a refusal").code
}
