//! What must be there before the service can say a word: the data directory, the catalog, the root key, the repository.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use keystow_engine::access::RootKey;
use keystow_engine::catalog::{Catalog, PostgresCatalog, SqliteCatalog};
use keystow_engine::clock::Clock;
use keystow_engine::ops::{DRILLS, Engine, IssuedKey, refuse_unfinished_rebuild, settle_root_key};
use keystow_engine::redis::throwaway;
use keystow_engine::{Error, Kind, Result};

use super::settings::settings;
use crate::api::KeySecret;
use crate::config::{CatalogPlace, Config};

/// The catalog, in whichever database.
pub(in crate::cli) enum OpenCatalog {
    Sqlite(Arc<SqliteCatalog>),
    Postgres(Arc<PostgresCatalog>),
}

impl OpenCatalog {
    pub(in crate::cli) async fn open(config: &Config) -> Result<Self> {
        Ok(match config.catalog_place()? {
            CatalogPlace::Sqlite(path) => Self::Sqlite(Arc::new(SqliteCatalog::open(&path).await?)),
            CatalogPlace::Postgres(options) => {
                Self::Postgres(Arc::new(PostgresCatalog::open(&options).await?))
            }
        })
    }

    pub(in crate::cli) fn shared(&self) -> Arc<dyn Catalog> {
        match self {
            Self::Sqlite(catalog) => catalog.clone(),
            Self::Postgres(catalog) => catalog.clone(),
        }
    }

    pub(super) fn is_shared(&self) -> bool {
        self.shared().is_shared()
    }

    pub(in crate::cli) async fn close(&self) {
        match self {
            Self::Sqlite(catalog) => catalog.close().await,
            Self::Postgres(catalog) => catalog.close().await,
        }
    }
}

/// How long the start of the service waits for repositories of copies; what comes later is opened when it comes.
const COPIES_PATIENCE: Duration = Duration::from_secs(5);

/// The engine over catalog and repository, which is adopted if it is new.
pub(super) async fn open(config: &Config) -> Result<(Arc<Engine>, OpenCatalog)> {
    let catalog = OpenCatalog::open(config).await?;
    let facts = catalog.shared();
    refuse_unfinished_rebuild(&*facts).await?;
    let root = root_key(config, &*facts).await?;
    let work_dir = work_dir(config)?;
    let vault = config.open_vault(&work_dir)?;
    let copies = config.copies(&work_dir);
    let settings = settings(config, work_dir);
    let engine = Engine::new(facts, vault, Clock::system(), &root, settings)?.with_copies(copies);
    engine.adopt_repository().await?;
    Ok((Arc::new(engine), catalog))
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
pub(super) async fn recover(engine: &Engine, catalog: &OpenCatalog) -> Result<()> {
    if tokio::time::timeout(COPIES_PATIENCE, engine.open_copies()).await.is_err() {
        tracing::warn!("a repository for copies does not answer yet; the service begins without it");
    }
    if catalog.is_shared() {
        return Ok(());
    }
    engine.sweep_copies_alone().await;
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

/// Keeps a second server out of the data directory for as long as the file is open.
pub(in crate::cli) fn lock(data_dir: &Path) -> Result<File> {
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

/// Writes an admin key where the CLI on this host finds it.
pub(in crate::cli) fn keep_admin_key(data_dir: &Path, key: &KeySecret) -> Result<()> {
    let text =
        serde_json::to_vec(key).map_err(|error| Error::internal("the admin key cannot be written", error))?;
    let (path, fresh) = (data_dir.join("admin.key"), data_dir.join("admin.key.new"));
    let failed = |error| Error::io(format!("cannot replace {}", path.display()), &error);
    // Left by a run that was stopped.
    match std::fs::remove_file(&fresh) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    keystow_engine::access::write_private(&fresh, &text)?;
    // At no moment is there none.
    std::fs::rename(&fresh, &path).map_err(failed)
}

/// A new key as it is shown, once.
pub(in crate::cli) fn key_secret(key: &IssuedKey) -> KeySecret {
    KeySecret {
        access_key_id: key.id.clone(),
        secret: String::from_utf8_lossy(key.secret.expose()).into_owned(),
    }
}
