//! `keystow serve`: runs the service until it is told to stop.

use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use keystow_engine::access::RootKey;
use keystow_engine::catalog::{Catalog, PostgresCatalog, SqliteCatalog};
use keystow_engine::clock::Clock;
use keystow_engine::model::{Node, NodeRole, Throughput};
use keystow_engine::ops::{
    DRILLS, DrillSettings, Engine, IssuedKey, RepositorySettings, Settings, Verify,
    refuse_unfinished_rebuild, settle_root_key,
};
use keystow_engine::redis::{Timeouts, throwaway};
use keystow_engine::work::{
    WorkerSettings, collect_debts, keep_copies, keep_seen, keep_swept, run_scheduler, run_worker,
    write_access_log,
};
use keystow_engine::{Error, Kind, Result};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{
    self, CatalogPlace, Config, DialectConfig, Layers, LogFormat, NetworkConfig, RegionConfig,
};
use crate::failure::Failure;
use crate::http::{
    Certificates, DialectRules, Entrance, Limits, LinkLives, Listener, Listeners, Region, Rules, TlsFiles,
    TrustedProxies, VpcNetwork, serve,
};

/// Flags of `serve`. Each beats the environment, which beats the file.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServeArgs {
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Folder of root key, admin key, catalog and repository
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Address of the native API and the vendors' APIs
    #[arg(long, value_name = "ADDR")]
    pub(crate) api: Option<String>,
    /// Address of public downloads
    #[arg(long, value_name = "ADDR")]
    pub(crate) download: Option<String>,
    /// Address of intranet downloads
    #[arg(long, value_name = "ADDR")]
    pub(crate) intranet: Option<String>,
    /// What this node does: any of api, download, worker, scheduler, with commas between
    #[arg(long, value_name = "ROLES", value_delimiter = ',')]
    pub(crate) roles: Vec<String>,
    /// Listen beyond loopback without TLS, because the network is trusted
    #[arg(long)]
    pub(crate) insecure_http: bool,
}

impl ServeArgs {
    /// The merged settings.
    pub(super) fn layers(&self) -> Result<Layers> {
        let mut layers = Layers::new();
        if let Some(path) = &self.config {
            layers.add_file(path)?;
        }
        layers.add_environment(std::env::vars())?;
        let data_dir = self.data_dir.as_ref().map(|path| path.to_string_lossy().into_owned());
        let roles = (!self.roles.is_empty()).then(|| self.roles.join(","));
        let flags = [
            ("roles", roles.as_deref(), "--roles"),
            ("data_dir", data_dir.as_deref(), "--data-dir"),
            ("listen.api", self.api.as_deref(), "--api"),
            ("listen.download", self.download.as_deref(), "--download"),
            ("listen.intranet", self.intranet.as_deref(), "--intranet"),
            ("listen.insecure_http", self.insecure_http.then_some("true"), "--insecure-http"),
        ];
        for (name, value, flag) in flags {
            if let Some(value) = value {
                layers.add_flag(name, value, flag)?;
            }
        }
        Ok(layers)
    }
}

/// Runs the service. Returns after SIGTERM or SIGINT, when everything under way has ended or its time is up.
pub(crate) async fn run(args: ServeArgs) -> Result<(), Failure> {
    let mut config = Config::read(&args.layers()?)?;
    start_log(&config)?;
    let _lock = lock(&config.data_dir)?;
    let listeners = bind(&mut config).await?;
    let (engine, catalog) = open(&config).await?;
    let admin = engine.initialise().await?;
    if let Some(key) = &admin {
        keep_admin_key(&config.data_dir, key)?;
    }
    recover(&engine, &catalog).await?;

    let (stop, tracker) = (CancellationToken::new(), TaskTracker::new());
    greet(&config, admin.as_ref());
    serve(&engine, listeners, limits(&config), rules(&config), config.metrics.open, &tracker, &stop);
    work(&config, &engine, catalog.is_shared(), &tracker, &stop);
    tracker.spawn(keep_copies(engine.clone(), stop.clone()));
    tracker.spawn(write_access_log(engine.clone(), config.log.access_keep.0, stop.clone()));
    say("ready");
    wait_for_signal().await?;
    shut_down(&tracker, &stop, config.limits.drain.0).await;
    let ending = async {
        if let Err(error) = engine.write_access_log().await {
            tracing::error!(%error, "the end of the access log is lost");
        }
        catalog.close().await;
    };
    // A database that hangs must not keep the process.
    if tokio::time::timeout(Duration::from_secs(10), ending).await.is_err() {
        tracing::error!("the catalog does not answer; ended without it");
    }
    Ok(())
}

/// The host's name, for people.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .or_else(|_| std::fs::read_to_string("/etc/hostname"));
    name.map_or_else(|_| "unknown".to_owned(), |name| name.trim().to_owned())
}

/// Starts what nobody asks for: what the node's roles say, and the word to the other nodes that it is there.
fn work(
    config: &Config,
    engine: &Arc<Engine>,
    is_shared: bool,
    tracker: &TaskTracker,
    stop: &CancellationToken,
) {
    let node = Node {
        id: engine.node_id().to_owned(),
        host: host_name(),
        roles: config.roles.iter().map(|role| role.0).collect(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: engine.clock().now(),
    };
    let name: String = node.id.chars().take(8).collect();
    tracker.spawn(keep_seen(engine.clone(), node, stop.clone()));
    if config.has_role(NodeRole::Worker) {
        for number in 1..=config.work.workers {
            let settings = WorkerSettings {
                name: format!("{name}/{number}"),
                lease: config.work.lease.0,
                ..WorkerSettings::default()
            };
            tracker.spawn(run_worker(engine.clone(), settings, stop.clone()));
        }
        tracker.spawn(collect_debts(engine.clone(), stop.clone()));
        if is_shared {
            tracker.spawn(keep_swept(engine.clone(), stop.clone()));
        }
    }
    if config.has_role(NodeRole::Scheduler) {
        tracker.spawn(run_scheduler(engine.clone(), stop.clone()));
    }
}

fn start_log(config: &Config) -> Result<()> {
    // What PostgreSQL notices is nothing to act on.
    let level = format!("sqlx=warn,{}", config.log.level);
    let filter = tracing_subscriber::EnvFilter::try_new(level).map_err(|error| {
        Error::new(Kind::Invalid, "CONFIG_INVALID", "log.level is not valid").because(error)
    })?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match config.log.format {
        LogFormat::Json => log.json().try_init(),
        LogFormat::Text => log.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
    };
    started.map_err(|error| Error::internal("the log cannot be started", error))
}

/// Keeps a second server out of the data directory for as long as the file is open.
pub(super) fn lock(data_dir: &Path) -> Result<File> {
    use std::os::unix::fs::DirBuilderExt;
    let shown = data_dir.display();
    let failed = |error: std::io::Error| Error::io(format!("cannot open the data directory {shown}"), &error);
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data_dir).map_err(failed)?;
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(data_dir.join("lock"))
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            Err(Error::new(Kind::Conflict, "DATA_DIR_LOCKED", format!("another server uses {shown}"))
                .hint("stop it, or give this one its own --data-dir"))
        }
        Err(std::fs::TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Binds the listeners. A port 0 becomes the one that was given, so that links can name it.
async fn bind(config: &mut Config) -> Result<Listeners> {
    async fn one(name: &str, address: &mut SocketAddr, url: Option<&mut String>) -> Result<TcpListener> {
        let failed = |error: std::io::Error| {
            let kind =
                if error.kind() == std::io::ErrorKind::AddrInUse { Kind::Conflict } else { Kind::Internal };
            Error::new(kind, "LISTEN_FAILED", format!("cannot listen on {address} ({name})"))
                .because(error)
                .hint(format!("choose another address with --{name}"))
        };
        let listener = TcpListener::bind(*address).await.map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        if let Some(url) = url
            && let Some((scheme, rest)) = url.split_once("://")
            && rest == address.to_string()
        {
            *url = format!("{scheme}://{bound}");
        }
        *address = bound;
        Ok(listener)
    }
    let [api, download, intranet] = entrances(config)?;
    let (listen, links) = (&mut config.listen, &mut config.links);
    let has = |role| config.roles.contains(&config::Role(role));
    let mut listeners = Listeners { api: None, download: None, intranet: None };
    if has(NodeRole::Download) {
        let socket = one("download", &mut listen.download, Some(&mut links.public_url)).await?;
        listeners.download = Some(Listener { socket, entrance: download });
        let socket = one("intranet", &mut listen.intranet, Some(&mut links.intranet_url)).await?;
        listeners.intranet = Some(Listener { socket, entrance: intranet });
    }
    if has(NodeRole::Api) {
        let socket = one("api", &mut listen.api, None).await?;
        listeners.api = Some(Listener { socket, entrance: api });
    }
    Ok(listeners)
}

/// How the three listeners take connections in.
fn entrances(config: &Config) -> Result<[Entrance; 3]> {
    let trusted = config.listen.trusted_proxies.iter().map(|range| range.0).collect();
    let trusted = Arc::new(TrustedProxies(trusted));
    let entrance = |listener| {
        let tls = config.tls.files(listener).map(|files| {
            Certificates::load(TlsFiles { cert: files.cert, key: files.key, client_ca: files.client_ca })
        });
        let proxy_protocol = config.listen.proxy_protocol.contains(&listener);
        Ok(Entrance { tls: tls.transpose()?.map(Arc::new), proxy_protocol, trusted: trusted.clone() })
    };
    Ok([
        entrance(config::Listener::Api)?,
        entrance(config::Listener::Download)?,
        entrance(config::Listener::Intranet)?,
    ])
}

/// The catalog, in whichever database.
pub(super) enum OpenCatalog {
    Sqlite(Arc<SqliteCatalog>),
    Postgres(Arc<PostgresCatalog>),
}

impl OpenCatalog {
    pub(super) async fn open(config: &Config) -> Result<Self> {
        Ok(match config.catalog_place()? {
            CatalogPlace::Sqlite(path) => Self::Sqlite(Arc::new(SqliteCatalog::open(&path).await?)),
            CatalogPlace::Postgres(options) => {
                Self::Postgres(Arc::new(PostgresCatalog::open(&options).await?))
            }
        })
    }

    pub(super) fn shared(&self) -> Arc<dyn Catalog> {
        match self {
            Self::Sqlite(catalog) => catalog.clone(),
            Self::Postgres(catalog) => catalog.clone(),
        }
    }

    fn is_shared(&self) -> bool {
        self.shared().is_shared()
    }

    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite(catalog) => catalog.close().await,
            Self::Postgres(catalog) => catalog.close().await,
        }
    }
}

async fn open(config: &Config) -> Result<(Arc<Engine>, OpenCatalog)> {
    let catalog = OpenCatalog::open(config).await?;
    let facts = catalog.shared();
    refuse_unfinished_rebuild(&*facts).await?;
    let root = root_key(config, &*facts).await?;
    let work_dir = work_dir(config)?;
    let vault = config.open_vault(&work_dir)?;
    let settings = settings(config, work_dir);
    let engine = Arc::new(Engine::new(facts, vault, Clock::system(), &root, settings)?);
    engine.adopt_repository().await?;
    Ok((engine, catalog))
}

/// The root key, made at the first run only: a catalog that holds something has one already.
async fn root_key(config: &Config, catalog: &dyn Catalog) -> Result<RootKey> {
    let source = config.root_key_source()?;
    let root = match source.load() {
        Err(error) if error.code == "NOT_INITIALISED" && !catalog.accounts().await?.is_empty() => {
            return Err(Error::new(
                Kind::NotFound,
                "ROOT_KEY_MISSING",
                "the root key of this catalog is not there",
            )
            .because(error)
            .hint("bring it back from your copy; see docs/operate/runbooks.md"));
        }
        Err(error) if error.code == "NOT_INITIALISED" => source.load_or_create()?,
        loaded => loaded?,
    };
    settle_root_key(root, catalog).await
}

/// What the configuration says about the verbs.
pub(super) fn settings(config: &Config, work_dir: PathBuf) -> Settings {
    Settings {
        public_url: config.links.public_url.clone(),
        intranet_url: config.links.intranet_url.clone(),
        longest_link: config.links.max_ttl.0,
        client: Throughput {
            bytes_per_second: Some(config.limits.client_bytes_per_second).filter(|rate| *rate > 0),
            connections: Some(config.limits.client_downloads).filter(|most| *most > 0),
        },
        timeouts: Timeouts { reply: config.source.reply_timeout.0, silence: config.source.silence_timeout.0 },
        fail_over: config.source.fail_over.0,
        work_dir,
        advertise: Some(config.restore.advertise.clone()).filter(|host| !host.is_empty()),
        drill: DrillSettings {
            folder: Some(config.drill.folder.clone()).filter(|folder| !folder.as_os_str().is_empty()),
            search: std::env::var_os("PATH")
                .map(|path| std::env::split_paths(&path).collect())
                .unwrap_or_default(),
            timeout: config.drill.timeout.0,
        },
        reserve_bytes: config.repository.reserve.0,
        scrub_bytes_per_second: Some(config.scrub.bytes_per_second.0).filter(|rate| *rate > 0),
        repository: repository(config),
    }
}

/// How parts are stored.
fn repository(config: &Config) -> RepositorySettings {
    let repository = &config.repository;
    RepositorySettings {
        compress: repository.compression == config::Compression::Zstd,
        encrypt: repository.encryption == config::Encryption::Age,
        verify: match repository.verify {
            config::Verify::Auto => None,
            config::Verify::Readback => Some(Verify::ReadBack),
            config::Verify::Hash => Some(Verify::Hash),
        },
        remote: !repository.is_local(),
        identity_file: config.identity_file(),
    }
}

/// The folder for work that does not fit into memory, empty.
fn work_dir(config: &Config) -> Result<PathBuf> {
    let folder = config.data_dir.join("work");
    let failed = |error: std::io::Error| {
        Error::internal(format!("the folder {} cannot be used", folder.display()), error)
    };
    // Throw-away servers of a server that was killed may still run there.
    throwaway::sweep(&folder.join(DRILLS))?;
    // What is in it goes; the folder itself may be a disk of its own.
    match std::fs::read_dir(&folder) {
        Ok(entries) => entries.flatten().try_for_each(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => std::fs::remove_dir_all(entry.path()),
            _ => std::fs::remove_file(entry.path()),
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let mut builder = std::fs::DirBuilder::new();
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700).create(&folder)
        }
        Err(error) => Err(error),
    }
    .map_err(failed)?;
    Ok(folder)
}

/// Gives back the jobs of a server that died, and removes what it left half done. Safe because of the lock, where the
/// catalog is this node's own. With others beside it, leases run out by themselves, and the sweep waits for its turn.
async fn recover(engine: &Engine, catalog: &OpenCatalog) -> Result<()> {
    if catalog.is_shared() {
        return Ok(());
    }
    let jobs = catalog.shared().surrender_leases().await?;
    let swept = engine.sweep(true).await?;
    if jobs > 0 || swept.unfinished > 0 || swept.attempts > 0 {
        tracing::warn!(
            jobs,
            unfinished = swept.unfinished,
            attempts = swept.attempts,
            "cleaned up after a crash"
        );
    }
    if swept.unknown > 0 {
        tracing::warn!(
            backups = swept.unknown,
            "the repository holds backups that the catalog does not know; kept"
        );
    }
    Ok(())
}

fn limits(config: &Config) -> Limits {
    Limits {
        connections: config.limits.connections,
        body_bytes: config.limits.body_bytes,
        header_timeout: config.limits.header_timeout.0,
        idle_timeout: config.limits.idle_timeout.0,
    }
}

/// What the operator says that vendors' names mean here.
fn rules(config: &Config) -> Rules {
    let ttl = &config.links.ttl;
    let region = |(name, region): (&String, &RegionConfig)| Region {
        spellings: std::iter::once(name).chain(&region.aliases).cloned().collect(),
        zones: region.zones.clone(),
        hosts: region.hosts.clone(),
        isolated: region.isolated,
    };
    let network = |network: &NetworkConfig| VpcNetwork {
        vpc_id: network.vpc_id.clone(),
        region: Some(network.region.clone()).filter(|region| !region.is_empty()),
        addresses: network.cidrs.iter().map(|cidr| cidr.0).collect(),
    };
    let dialect = |(name, dialect): (&String, &DialectConfig)| {
        let rules = DialectRules {
            rate: dialect.rate,
            rates: dialect.rates.clone(),
            hosts: dialect.hosts.clone(),
            allow_list: dialect.allow_list.clone(),
            cluster_only: dialect.cluster_only,
        };
        (name.clone(), rules)
    };
    Rules {
        lives: LinkLives {
            native: ttl.native.0,
            alibaba: ttl.alibaba.0,
            tencent_v3: ttl.tencent_v3.0,
            tencent_v2: ttl.tencent_v2.0,
            ucloud: ttl.ucloud.0,
            huawei: ttl.huawei.0,
        },
        regions: config.regions.iter().map(region).collect(),
        networks: config.networks.values().map(network).collect(),
        dialects: config.dialects.iter().map(dialect).collect(),
    }
}

/// Writes the first admin key where the CLI on this host finds it.
pub(super) fn keep_admin_key(data_dir: &Path, key: &IssuedKey) -> Result<()> {
    let document = crate::api::KeySecret {
        access_key_id: key.id.clone(),
        secret: String::from_utf8_lossy(key.secret.expose()).into_owned(),
    };
    let text = serde_json::to_vec(&document)
        .map_err(|error| Error::internal("the admin key cannot be written", error))?;
    let path = data_dir.join("admin.key");
    // A catalog that was started anew has a new admin; the old key opens nothing.
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io(format!("cannot replace {}", path.display()), &error))
        }
        _ => keystow_engine::access::write_private(&path, &text),
    }
}

fn greet(config: &Config, admin: Option<&IssuedKey>) {
    say(&format!("keystow {}  data {}", env!("CARGO_PKG_VERSION"), config.data_dir.display()));
    if let Some(key) = admin {
        say("first run: this admin key is shown once");
        say(&format!("  access key  {}", key.id));
        say(&format!("  secret      {}", String::from_utf8_lossy(key.secret.expose())));
        say(&format!(
            "  kept in     {} (0600), where the CLI finds it",
            config.data_dir.join("admin.key").display()
        ));
        say("  root key    copy it somewhere safe: keystow root-key backup --to FILE");
    }
    let shown = |listener, address| match config.tls.files(listener) {
        Some(_) => format!("{address} (TLS)"),
        None => format!("{address}"),
    };
    if config.has_role(NodeRole::Api) && config.has_role(NodeRole::Download) {
        say(&format!(
            "listening  api {}  downloads public {}  intranet {}",
            shown(config::Listener::Api, config.listen.api),
            shown(config::Listener::Download, config.listen.download),
            shown(config::Listener::Intranet, config.listen.intranet),
        ));
    } else if config.has_role(NodeRole::Api) {
        say(&format!("listening  api {}", shown(config::Listener::Api, config.listen.api)));
    } else if config.has_role(NodeRole::Download) {
        say(&format!(
            "listening  downloads public {}  intranet {}",
            shown(config::Listener::Download, config.listen.download),
            shown(config::Listener::Intranet, config.listen.intranet),
        ));
    }
}

/// A line for people, on stderr.
fn say(line: &str) {
    // Nobody is there to be told that stderr is gone.
    let _ = writeln!(std::io::stderr(), "{line}");
}

async fn wait_for_signal() -> Result<()> {
    let failed = |error: std::io::Error| Error::internal("cannot wait for signals", error);
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Stops accepting at once; gives what is under way its time. A second signal ends it.
async fn shut_down(tracker: &TaskTracker, stop: &CancellationToken, drain: Duration) {
    say("stopping: no new connections; running downloads may end");
    stop.cancel();
    tracker.close();
    tokio::select! {
        () = tracker.wait() => say("stopped"),
        () = tokio::time::sleep(drain) => say("stopped: some downloads did not end in time"),
        _ = wait_for_signal() => say("stopped at once"),
    }
}
