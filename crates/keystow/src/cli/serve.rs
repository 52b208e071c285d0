//! `keystow serve`: runs the service until it is told to stop.

mod greeting;
mod listeners;
mod open;
mod settings;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use keystow_engine::model::{Node, NodeRole};
use keystow_engine::ops::Engine;
use keystow_engine::work::{
    WorkerSettings, collect_debts, keep_copies, keep_seen, keep_swept, run_notifier, run_scheduler,
    run_worker, write_access_log,
};
use keystow_engine::{Error, Kind, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::greeting::{greet, say};
use self::listeners::bind;
pub(super) use self::open::{OpenCatalog, keep_admin_key, key_secret, lock};
use self::open::{open, recover};
pub(super) use self::settings::settings;
use self::settings::{limits, rules};
use crate::config::{Config, Layers, LogFormat};
use crate::failure::Failure;
use crate::http::serve;

/// Flags of `serve`. Each beats the environment, which beats the file.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServeArgs {
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Folder of root key, admin key, catalog and repository [default: ./keystow-data]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Address of the native API and the vendors' APIs [default: 127.0.0.1:7360]
    #[arg(long, value_name = "ADDR")]
    pub(crate) api: Option<String>,
    /// Address of public downloads [default: 127.0.0.1:7361]
    #[arg(long, value_name = "ADDR")]
    pub(crate) download: Option<String>,
    /// Address of intranet downloads [default: 127.0.0.1:7362]
    #[arg(long, value_name = "ADDR")]
    pub(crate) intranet: Option<String>,
    /// What this node does: any of api, download, worker, scheduler, with commas between [default: all]
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
        keep_admin_key(&config.data_dir, &key_secret(key))?;
    }
    recover(&engine, &catalog).await?;

    let (stop, tracker) = (CancellationToken::new(), TaskTracker::new());
    greet(&config, admin.as_ref());
    serve(&engine, listeners, limits(&config), rules(&config), config.metrics.open, &tracker, &stop);
    work(&config, &engine, &tracker, &stop);
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
fn work(config: &Config, engine: &Arc<Engine>, tracker: &TaskTracker, stop: &CancellationToken) {
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
        tracker.spawn(keep_swept(engine.clone(), stop.clone()));
    }
    if config.has_role(NodeRole::Scheduler) {
        tracker.spawn(run_scheduler(engine.clone(), stop.clone()));
        tracker.spawn(run_notifier(engine.clone(), stop.clone()));
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
