//! Commands on a data directory whose server does not run.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use keystow_engine::Result;
use keystow_engine::access::{RootKey, RootKeySource};
use keystow_engine::catalog::Catalog;
use keystow_engine::clock::Clock;
use keystow_engine::ops::Engine;
use keystow_engine::vault::Vault;

use super::serve::{self, OpenCatalog, ServeArgs};
use crate::config::Config;

/// Which service.
#[derive(Debug, Clone, Args)]
pub(super) struct OfflineArgs {
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder of root key, admin key, catalog and repository
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// A service that does not run, and that cannot be started meanwhile.
pub(super) struct Offline {
    pub(super) config: Config,
    pub(super) source: RootKeySource,
    _lock: File,
}

impl OfflineArgs {
    /// Reads the configuration, without touching anything.
    pub(super) fn config(&self) -> Result<Config> {
        let args = ServeArgs {
            config: self.config.clone(),
            data_dir: self.data_dir.clone(),
            api: None,
            download: None,
            intranet: None,
            roles: Vec::new(),
            insecure_http: false,
        };
        Config::read(&args.layers()?)
    }

    /// Reads the configuration as `serve` would; `DATA_DIR_LOCKED` while a server runs.
    pub(super) fn open(&self) -> Result<Offline> {
        let config = self.config()?;
        let lock = serve::lock(&config.data_dir)?;
        Ok(Offline { source: config.root_key_source()?, config, _lock: lock })
    }
}

impl Offline {
    /// The catalog, made if absent.
    pub(super) async fn catalog(&self) -> Result<OpenCatalog> {
        OpenCatalog::open(&self.config).await
    }

    /// The repository.
    pub(super) fn vault(&self) -> Result<Arc<dyn Vault>> {
        self.config.open_vault(&self.config.data_dir.join("work"))
    }

    /// The verbs, with a root key that is settled.
    pub(super) fn engine(
        &self,
        catalog: Arc<dyn Catalog>,
        vault: Arc<dyn Vault>,
        root: &RootKey,
    ) -> Result<Arc<Engine>> {
        let settings = serve::settings(&self.config, self.config.data_dir.join("work"));
        Ok(Arc::new(Engine::new(catalog, vault, Clock::system(), root, settings)?))
    }
}
