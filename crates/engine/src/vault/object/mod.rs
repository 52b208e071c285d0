//! The repository in an object store, through the crate `opendal`. What a store says is not believed where a mistake would lose a
//! backup: sizes are asked for after writing, conditions are no lock, and what is read has to be of the length asked for.

mod breaker;
mod bucket;
mod fault;
mod reader;
mod spool;
mod store;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt;
use opendal::options::{ListOptions, ReadOptions, WriteOptions};
use opendal::raw::BoxedStaticFuture;
use opendal::{ErrorKind, Execute, Executor, Metadata, Operator};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::layout::{ACCOUNTS, MANIFEST};
use super::{AttemptKey, BackupKey, Collection, ObjectKey, ObjectReader, ObjectWriter, StoredAttempt, Vault};
use crate::error::{Error, Kind, Result};
use crate::model::Network;
use breaker::Breaker;
pub use bucket::{Bucket, BucketFile, of_bucket};
use fault::fault;
use reader::{StoreReader, Streams};
pub use store::Credentials;
use store::{Patience, Place, patient};
use writer::StoreWriter;

/// How patient small calls are: 20 s of silence, five tries.
const SMALL: Patience = Patience { timeout: Duration::from_secs(20), retries: 4 };
/// How patient uploads are: a part of 8 MiB may take two minutes, seven tries.
const BULK: Patience = Patience { timeout: Duration::from_mins(2), retries: 6 };
/// Most bytes that are sent in one piece, in the time of a small call.
const ONE_PIECE: usize = 1 << 20;
/// Bytes of a piece of what is longer, as a large catalog's copy is.
const PIECE: usize = 8 << 20;
/// Longest life of a presigned URL; the stores allow no more.
const LONGEST_PRESIGNED: Duration = Duration::from_hours(7 * 24);
/// Requests for pieces at once, in the whole process.
const MOST_PIECES: usize = 24;
/// How often idle streams are looked through.
const EXPIRY: Duration = Duration::from_secs(10);

/// What an operator says about a store.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// `s3://bucket/prefix?endpoint=…&region=…`, and the same for `oss`, `cos` and `obs`.
    pub url: String,
    /// Who we are there.
    pub credentials: Credentials,
    /// Whether it hands out presigned URLs.
    pub direct_links: bool,
    /// Endpoint in presigned URLs of public links; that of `url` if absent.
    pub public_endpoint: Option<String>,
    /// Endpoint in presigned URLs of intranet links; that of `url` if absent.
    pub intranet_endpoint: Option<String>,
    /// Most bytes of the file between a source and a slow store, for each part that is written; 0 = none.
    pub spool_bytes: u64,
    /// The folder of that file. It must exist.
    pub work_dir: PathBuf,
}

/// The repository in an object store.
pub struct ObjectVault(Arc<Inner>);

struct Inner {
    small: Operator,
    bulk: Operator,
    /// For presigned URLs: public and intranet.
    presigners: [Operator; 2],
    options: StoreOptions,
    /// The place, for people.
    shown: String,
    breaker: Breaker,
    streams: Streams,
    /// Places of requests for pieces: what is on its way takes memory.
    pieces: Semaphore,
    expires_streams: AtomicBool,
    tasks: TaskTracker,
    runtime: Handle,
}

impl ObjectVault {
    /// A client of the store, which is not asked yet. Only on a tokio runtime.
    pub fn open(options: StoreOptions) -> Result<Self> {
        // The client library's HTTP; once is enough, and more does no harm.
        opendal::install_default();
        let place = Place::parse(&options.url)?;
        let runtime = Handle::try_current().map_err(|error| Error::internal("no runtime here", error))?;
        let tasks = TaskTracker::new();
        let client = place.client(&options.credentials)?;
        let on_runtime = Executor::with(OnRuntime { tasks: tasks.clone(), runtime: runtime.clone() });
        let context = client.base_context().with_executor(on_runtime);
        let client = client.with_context(context);
        let presigner = |endpoint: &Option<String>| {
            let presigner = match endpoint {
                Some(endpoint) => place.through(endpoint)?.client(&options.credentials)?,
                None => client.clone(),
            };
            Ok::<_, Error>(patient(presigner, &SMALL))
        };
        Ok(Self(Arc::new(Inner {
            presigners: [presigner(&options.public_endpoint)?, presigner(&options.intranet_endpoint)?],
            small: patient(client.clone(), &SMALL),
            bulk: patient(client, &BULK),
            shown: place.shown(),
            options,
            breaker: Breaker::default(),
            streams: Streams::default(),
            pieces: Semaphore::new(MOST_PIECES),
            expires_streams: AtomicBool::new(false),
            tasks,
            runtime,
        })))
    }
}

/// Where the client library sends parts side by side.
struct OnRuntime {
    tasks: TaskTracker,
    runtime: Handle,
}

impl Execute for OnRuntime {
    fn execute(&self, work: BoxedStaticFuture<()>) {
        self.tasks.spawn_on(work, &self.runtime);
    }
}

impl Inner {
    /// One call, unless the store is known to be down. `None` if what it is about is absent.
    async fn call<T>(
        &self,
        what: &str,
        path: &str,
        call: impl Future<Output = opendal::Result<T>>,
    ) -> Result<Option<T>> {
        self.breaker.admit()?;
        let outcome = match call.await {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(fault(format!("cannot {what} {path} in {}", self.shown), &error)),
        };
        self.breaker.learn(outcome.as_ref().err());
        outcome
    }

    async fn stat(&self, path: &str) -> Result<Option<Metadata>> {
        self.call("look at", path, self.small.stat(path)).await
    }

    async fn size(&self, path: &str) -> Result<Option<u64>> {
        Ok(self.stat(path).await?.map(|found| found.content_length()))
    }

    /// The whole of a small object.
    async fn get(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let read = async {
            let mut pieces = self.small.reader(path).await?.into_stream(..).await?;
            let mut bytes = Vec::new();
            while let Some(piece) = pieces.try_next().await? {
                if (bytes.len() + piece.len()) as u64 > limit {
                    return Ok(None);
                }
                bytes.extend_from_slice(&piece.to_bytes());
            }
            Ok(Some(bytes))
        };
        match self.call("read", path, read).await? {
            Some(None) => {
                let message = format!("{path} is larger than it can be");
                Err(Error::new(Kind::Corrupt, "OBJECT_TOO_LARGE", message))
            }
            found => Ok(found.flatten()),
        }
    }

    /// Removes the objects of a folder, a manifest before anything else.
    async fn remove_folder(&self, folder: &str) -> Result<()> {
        let manifest = format!("{folder}/{MANIFEST}");
        self.call("remove", &manifest, self.small.delete(&manifest)).await?;
        let inside = format!("{folder}/");
        let options = ListOptions { recursive: true, ..ListOptions::default() };
        let found = self.call("list", &inside, self.small.list_options(&inside, options)).await?;
        let objects = found.unwrap_or_default().into_iter().map(|entry| entry.path().to_owned());
        let objects = objects.filter(|path| !path.ends_with('/'));
        self.call("remove", &inside, self.small.delete_iter(objects)).await.map(drop)
    }

    /// Lets idle streams end though nobody reads any more.
    fn expire_streams(this: &Arc<Self>) {
        if this.expires_streams.swap(true, Ordering::Relaxed) {
            return;
        }
        let inner = Arc::downgrade(this);
        let expiry = async move {
            loop {
                tokio::time::sleep(EXPIRY).await;
                let Some(inner) = inner.upgrade() else { return };
                if inner.streams.expire(None) == 0 {
                    inner.expires_streams.store(false, Ordering::Relaxed);
                    return;
                }
            }
        };
        this.tasks.spawn_on(expiry, &this.runtime);
    }
}

/// The object's name in the store.
fn path(key: &ObjectKey) -> String {
    match key.folder().as_str() {
        "" => key.name(),
        folder => format!("{folder}/{}", key.name()),
    }
}

fn exists(path: &str) -> Error {
    Error::new(Kind::Conflict, "OBJECT_EXISTS", format!("{path} exists already"))
}

fn damaged(path: &str, stored: u64, expected: u64) -> Error {
    Error::new(Kind::Corrupt, "OBJECT_DAMAGED", format!("{path} is not what was written"))
        .because(format!("the store has {stored} instead of {expected} bytes"))
        .hint("take the backup again; if it happens twice, check the store")
}

#[async_trait]
impl Vault for ObjectVault {
    fn place(&self) -> String {
        self.0.shown.clone()
    }

    fn create(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>> {
        Ok(Box::new(StoreWriter::create(&self.0, path(key))))
    }

    async fn put(&self, key: &ObjectKey, bytes: Bytes) -> Result<()> {
        let (inner, path) = (&self.0, path(key));
        if inner.size(&path).await?.is_some() {
            return Err(exists(&path));
        }
        let if_not_exists = inner.small.info().capability().write_with_if_not_exists;
        let (store, options) = if bytes.len() <= ONE_PIECE {
            (&inner.small, WriteOptions { if_not_exists, ..WriteOptions::default() })
        } else {
            (&inner.bulk, WriteOptions { chunk: Some(PIECE), ..WriteOptions::default() })
        };
        inner.breaker.admit()?;
        let written = store.write_options(&path, bytes.clone(), options).await;
        // Read back: this may be what makes a backup one, and an answer may have been lost on a try before the last.
        let stored = inner.get(&path, bytes.len() as u64).await;
        match (written, stored) {
            (_, Ok(Some(stored))) if stored == bytes => Ok(()),
            (Err(error), _) if error.kind() == ErrorKind::ConditionNotMatch => Err(exists(&path)),
            (Err(error), _) => {
                let error = fault(format!("cannot write {path} to {}", inner.shown), &error);
                inner.breaker.learn(Some(&error));
                Err(error)
            }
            (Ok(_), Err(error)) if error.code != "OBJECT_TOO_LARGE" => Err(error),
            (Ok(_), stored) => {
                let length = stored.ok().flatten().map_or(0, |stored| stored.len() as u64);
                Err(damaged(&path, length, bytes.len() as u64))
            }
        }
    }

    async fn get(&self, key: &ObjectKey, limit: u64) -> Result<Option<Vec<u8>>> {
        self.0.get(&path(key), limit).await
    }

    async fn open(&self, key: &ObjectKey) -> Result<Option<Arc<dyn ObjectReader>>> {
        let opened = StoreReader::open(&self.0, path(key)).await?;
        Ok(opened.map(|reader| Arc::new(reader) as Arc<dyn ObjectReader>))
    }

    async fn attempts(&self) -> Result<Vec<StoredAttempt>> {
        let inner = &self.0;
        let folder = format!("{ACCOUNTS}/");
        let listed = async {
            let options = ListOptions { recursive: true, ..ListOptions::default() };
            let mut entries = inner.small.lister_options(&folder, options).await?;
            let mut found = BTreeMap::new();
            while let Some(entry) = entries.try_next().await? {
                let Some((folder, name)) = entry.path().rsplit_once('/') else { continue };
                if !name.is_empty() && AttemptKey::from_folder(folder).is_some() {
                    *found.entry(folder.to_owned()).or_insert(false) |= name == MANIFEST;
                }
            }
            Ok(found)
        };
        let found = inner.call("list", &folder, listed).await?.unwrap_or_default();
        let attempts = found.into_iter().filter_map(|(folder, has_manifest)| {
            Some(StoredAttempt { key: AttemptKey::from_folder(&folder)?, has_manifest })
        });
        Ok(attempts.collect())
    }

    async fn list(&self, collection: &Collection) -> Result<Vec<ObjectKey>> {
        let inner = &self.0;
        let folder = format!("{}/", collection.folder());
        let listed = async {
            let mut entries = inner.small.lister_options(&folder, ListOptions::default()).await?;
            let mut found = Vec::new();
            while let Some(entry) = entries.try_next().await? {
                let name = entry.path().rsplit_once('/').map(|(_, name)| name.to_owned());
                found.extend(name.and_then(|name| collection.object(&name)));
            }
            Ok(found)
        };
        let mut found = inner.call("list", &folder, listed).await?.unwrap_or_default();
        found.sort_by_cached_key(ObjectKey::name);
        Ok(found)
    }

    async fn remove(&self, key: &ObjectKey) -> Result<()> {
        let path = path(key);
        self.0.call("remove", &path, self.0.small.delete(&path)).await.map(drop)
    }

    async fn remove_attempt(&self, key: &AttemptKey) -> Result<()> {
        self.0.remove_folder(&key.folder()).await
    }

    async fn remove_events(&self, key: &BackupKey) -> Result<()> {
        self.0.remove_folder(&key.events_folder()).await
    }

    /// Nothing unfinished is visible. Uploads that a crash left are not listed by the client library; a rule of the bucket
    /// removes them (docs/operate/repository.md).
    async fn sweep_unfinished(&self) -> Result<u64> {
        Ok(0)
    }

    /// A store does not tell; that it answers, and with a repository, is found out.
    async fn free_bytes(&self) -> Result<Option<u64>> {
        let mark = path(&ObjectKey::Repository);
        match self.0.get(&mark, 64 * 1024).await? {
            Some(_) => Ok(None),
            None => Err(Error::new(
                Kind::NotFound,
                "REPOSITORY_MISSING",
                format!("there is no {mark} in {}", self.0.shown),
            )
            .hint("check repository.url; does the bucket exist?")),
        }
    }

    async fn presigned(
        &self,
        key: &ObjectKey,
        network: Network,
        life: Duration,
        file_name: &str,
    ) -> Result<Option<String>> {
        if !self.0.options.direct_links || life > LONGEST_PRESIGNED {
            return Ok(None);
        }
        let presigner = match network {
            Network::Public => &self.0.presigners[0],
            Network::Intranet => &self.0.presigners[1],
        };
        let can_name = presigner.info().capability().read_with_override_content_disposition;
        let plain = |c: char| c.is_ascii_graphic() && !"\"\\;%".contains(c);
        let disposition = (can_name && file_name.chars().all(plain))
            .then(|| format!("attachment; filename=\"{file_name}\""));
        let options = ReadOptions { override_content_disposition: disposition, ..ReadOptions::default() };
        let path = path(key);
        let signed = presigner.presign_read_options(&path, life, options).await;
        let signed = signed.map_err(|error| fault(format!("cannot sign a URL of {path}"), &error))?;
        Ok(Some(signed.uri().to_string()))
    }
}
