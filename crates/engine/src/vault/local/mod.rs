//! The repository in a local folder: a temporary file, fsync, a link to the final name, fsync of the folder.
//! Everything is opened beneath the root, never through a symbolic link.

mod folder;
mod reader;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use rustix::io::Errno;

use super::layout::{ACCOUNTS, MANIFEST};
use super::{AttemptKey, BackupKey, Collection, ObjectKey, ObjectReader, ObjectWriter, StoredAttempt, Vault};
use crate::crash::{CrashPoint, crash_point};
use crate::error::{Error, Kind, Result};
use folder::Folder;
use reader::LocalReader;
use writer::LocalWriter;

/// What the name of an unfinished object starts with.
const UNFINISHED: &str = ".unfinished-";

/// The repository in a local folder.
#[derive(Clone)]
pub struct LocalVault {
    root: Arc<Folder>,
    path: PathBuf,
}

impl LocalVault {
    /// Opens the folder, making it (mode 0700) if absent.
    pub fn open(path: &Path) -> Result<Self> {
        let root = Folder::open_root(path).map_err(|error| {
            Error::io(format!("cannot open the repository {}", path.display()), &error.into())
        })?;
        Ok(Self { root: Arc::new(root), path: path.to_owned() })
    }

    /// Runs file work where it may block.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let vault = self.clone();
        tokio::task::spawn_blocking(move || work(&vault))
            .await
            .unwrap_or_else(|error| Err(Error::internal("the storage thread ended early", error)))
    }

    fn failed(&self, what: &str, key: &ObjectKey, errno: Errno) -> Error {
        let path = self.path.join(key.folder()).join(key.name());
        Error::io(format!("cannot {what} {}", path.display()), &errno.into())
    }

    fn open_reader(&self, key: &ObjectKey) -> Result<Option<LocalReader>> {
        let opened = self.root.folder(&key.folder()).and_then(|folder| folder.open_file(&key.name()));
        match opened {
            Ok(file) => LocalReader::new(file).map(Some).map_err(|errno| self.failed("open", key, errno)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.failed("open", key, errno)),
        }
    }

    fn attempts_now(&self) -> Result<Vec<StoredAttempt>> {
        let mut found = Vec::new();
        self.root
            .walk(ACCOUNTS, &mut |path, folder| {
                if let Some(key) = AttemptKey::from_folder(path) {
                    let has_manifest = folder.names()?.iter().any(|name| name == MANIFEST);
                    found.push(StoredAttempt { key, has_manifest });
                }
                Ok(())
            })
            .map_err(|errno| Error::io("cannot list the repository", &errno.into()))?;
        Ok(found)
    }

    fn list_now(&self, collection: &Collection) -> Result<Vec<ObjectKey>> {
        let names = self.root.folder(&collection.folder()).and_then(|folder| folder.names());
        match names {
            Err(Errno::NOENT) => Ok(Vec::new()),
            Err(errno) => Err(Error::io("cannot list the repository", &errno.into())),
            Ok(mut names) => {
                names.sort_unstable();
                Ok(names.iter().filter_map(|name| collection.object(name)).collect())
            }
        }
    }

    fn remove_now(&self, key: &ObjectKey) -> Result<()> {
        let removed = self.root.folder(&key.folder()).and_then(|folder| {
            folder.unlink(&key.name())?;
            folder.sync()
        });
        match removed {
            Err(Errno::NOENT) => Ok(()),
            other => other.map_err(|errno| self.failed("remove", key, errno)),
        }
    }

    fn remove_attempt_now(&self, key: &AttemptKey) -> Result<()> {
        self.remove_folder(&key.folder(), &key.backup_folder())
    }

    /// Removes a folder of objects, a manifest before anything else; and the backup's own folder with its last one.
    fn remove_folder(&self, path: &str, backup: &str) -> Result<()> {
        let failed = |errno: Errno| {
            Error::io(format!("cannot remove {}", self.path.join(path).display()), &errno.into())
        };
        let gone = |result: Result<(), Errno>| match result {
            Err(Errno::NOENT) => Ok(()),
            other => other.map_err(failed),
        };
        let folder = match self.root.folder(path) {
            Err(Errno::NOENT) => return Ok(()),
            other => other.map_err(failed)?,
        };
        gone(folder.unlink(MANIFEST))?;
        gone(folder.sync())?;
        crash_point(CrashPoint::ManifestRemoved);
        for name in folder.names().map_err(failed)? {
            gone(folder.unlink(&name))?;
        }
        gone(self.root.remove_empty(path))?;
        match self.root.remove_empty(backup) {
            Err(Errno::NOTEMPTY) => Ok(()),
            other => gone(other),
        }
    }
}

#[async_trait]
impl Vault for LocalVault {
    fn place(&self) -> String {
        self.path.display().to_string()
    }

    fn create(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>> {
        let folder =
            self.root.make_folder(&key.folder()).map_err(|errno| self.failed("create", key, errno))?;
        let shown = self.path.join(key.folder()).join(key.name());
        Ok(Box::new(LocalWriter::create(folder, key.name(), shown)?))
    }

    async fn put(&self, key: &ObjectKey, bytes: Bytes) -> Result<()> {
        let key = key.clone();
        self.blocking(move |vault| {
            let mut writer = vault.create(&key)?;
            writer.write(&bytes)?;
            writer.seal().map(drop)
        })
        .await
    }

    async fn get(&self, key: &ObjectKey, limit: u64) -> Result<Option<Vec<u8>>> {
        let key = key.clone();
        self.blocking(move |vault| {
            let Some(reader) = vault.open_reader(&key)? else { return Ok(None) };
            if reader.size_bytes() > limit {
                let message = format!("{} is larger than it can be", key.name());
                return Err(Error::new(Kind::Corrupt, "OBJECT_TOO_LARGE", message));
            }
            reader.read_whole().map(Some).map_err(|errno| vault.failed("read", &key, errno))
        })
        .await
    }

    async fn open(&self, key: &ObjectKey) -> Result<Option<Arc<dyn ObjectReader>>> {
        let key = key.clone();
        self.blocking(move |vault| {
            Ok(vault.open_reader(&key)?.map(|reader| Arc::new(reader) as Arc<dyn ObjectReader>))
        })
        .await
    }

    async fn attempts(&self) -> Result<Vec<StoredAttempt>> {
        self.blocking(Self::attempts_now).await
    }

    async fn list(&self, collection: &Collection) -> Result<Vec<ObjectKey>> {
        let collection = collection.clone();
        self.blocking(move |vault| vault.list_now(&collection)).await
    }

    async fn remove(&self, key: &ObjectKey) -> Result<()> {
        let key = key.clone();
        self.blocking(move |vault| vault.remove_now(&key)).await
    }

    async fn remove_attempt(&self, key: &AttemptKey) -> Result<()> {
        let key = key.clone();
        self.blocking(move |vault| vault.remove_attempt_now(&key)).await
    }

    async fn remove_events(&self, key: &BackupKey) -> Result<()> {
        let key = key.clone();
        self.blocking(move |vault| vault.remove_folder(&key.events_folder(), &key.folder())).await
    }

    async fn sweep_unfinished(&self) -> Result<u64> {
        self.blocking(|vault| {
            let mut removed = 0;
            vault
                .root
                .walk("", &mut |_, folder| {
                    for name in folder.names()? {
                        if name.starts_with(UNFINISHED) {
                            folder.unlink(&name)?;
                            removed += 1;
                        }
                    }
                    Ok(())
                })
                .map_err(|errno| Error::io("cannot sweep the repository", &errno.into()))?;
            Ok(removed)
        })
        .await
    }

    async fn free_bytes(&self) -> Result<Option<u64>> {
        self.blocking(|vault| {
            vault
                .root
                .free_bytes()
                .map(Some)
                .map_err(|errno| Error::io("cannot ask for free space", &errno.into()))
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::contract;

    #[tokio::test(flavor = "multi_thread")]
    async fn keeps_the_contract() {
        let folder = tempfile::tempdir().unwrap();
        contract::run(Arc::new(LocalVault::open(folder.path()).unwrap())).await;
    }

    #[test]
    fn an_attempt_begins_while_the_one_before_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let root = Folder::open_root(folder.path()).unwrap();
        for _ in 0..100 {
            std::thread::scope(|scope| {
                // A few removals a time: only one that never ends could keep an attempt from beginning.
                scope.spawn(|| {
                    for _ in 0..20 {
                        let _ = root.remove_empty("backup");
                    }
                });
                root.make_folder("backup/2").unwrap();
            });
            root.remove_empty("backup/2").unwrap();
        }
    }

    #[tokio::test]
    async fn a_symbolic_link_out_of_the_root_is_not_followed() {
        let outside = tempfile::tempdir().unwrap();
        let inside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("repository.json"), "secret").unwrap();
        std::os::unix::fs::symlink(
            outside.path().join("repository.json"),
            inside.path().join("repository.json"),
        )
        .unwrap();
        let vault = LocalVault::open(inside.path()).unwrap();
        assert!(vault.get(&ObjectKey::Repository, 1000).await.is_err());
    }
}
