//! The repositories that hold copies: opened when they can be, and known again.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::sync::{Mutex, MutexGuard};

use super::super::Engine;
use crate::error::{Error, Kind, Result};
use crate::ops::Finding;
use crate::vault::{ObjectKey, Vault};

/// Longest object under `keys/`.
const LONGEST_KEY: u64 = 1024 * 1024;

/// How long one of them has to answer before copies wait for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Opens a repository, or says why it cannot be.
type OpenVault = Box<dyn Fn() -> Result<Arc<dyn Vault>> + Send + Sync>;

/// A repository for copies, as an operator names it.
pub struct OtherRepository {
    /// Its name.
    pub name: String,
    /// The region that it is in, if that was said.
    pub region: Option<String>,
    /// Opens it; tried again until it works.
    pub open: OpenVault,
}

impl fmt::Debug for OtherRepository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtherRepository").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Every repository for copies.
#[derive(Default)]
pub(in crate::ops) struct Others {
    all: Vec<Other>,
    /// Held while the catalog is told which one is behind a name.
    settling: Mutex<()>,
}

struct Other {
    said: OtherRepository,
    /// The open one, found to be ours; before that, what stood in the way.
    vault: RwLock<Result<Arc<dyn Vault>>>,
    /// Key objects up to this number are there.
    keys: AtomicU64,
}

impl Others {
    pub(in crate::ops) fn new(said: Vec<OtherRepository>) -> Self {
        let other = |said: OtherRepository| Other {
            vault: RwLock::new(Err(not_yet(&said.name))),
            keys: AtomicU64::new(0),
            said,
        };
        Self { all: said.into_iter().map(other).collect(), settling: Mutex::default() }
    }

    /// The names of all.
    pub(in crate::ops) fn names(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|other| other.said.name.as_str())
    }

    fn named(&self, name: &str) -> Result<&Other> {
        self.all.iter().find(|other| other.said.name == name).ok_or_else(|| unknown(name))
    }

    /// Refuses a name that no repository has.
    pub(in crate::ops) fn check(&self, name: &str) -> Result<()> {
        self.named(name).map(drop)
    }

    /// Whoever has this tells the catalog alone which repository is behind a name.
    pub(in crate::ops) async fn settling(&self) -> MutexGuard<'_, ()> {
        self.settling.lock().await
    }

    /// The repository of that name, if it is open.
    pub(in crate::ops) fn vault(&self, name: &str) -> Result<Arc<dyn Vault>> {
        self.named(name)?.vault()
    }

    /// The names of all, and whether each is open.
    pub(in crate::ops) fn states(&self) -> Vec<(String, bool)> {
        self.all.iter().map(|other| (other.said.name.clone(), other.vault().is_ok())).collect()
    }

    /// Those that are open, by name.
    pub(in crate::ops) fn open(&self) -> Vec<(&str, Arc<dyn Vault>)> {
        let open = self.all.iter().filter_map(|other| Some((other.said.name.as_str(), other.vault().ok()?)));
        open.collect()
    }
}

impl Other {
    fn vault(&self) -> Result<Arc<dyn Vault>> {
        self.vault.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Engine {
    /// With repositories for copies.
    #[must_use]
    pub fn with_copies(self, others: Vec<OtherRepository>) -> Self {
        let others = Arc::new(Others::new(others));
        let parts = self.parts.clone().beside(self.catalog.clone(), others.clone());
        Self { parts, others, ..self }
    }

    /// Opens the repositories for copies that are not open yet, side by side, so that one that hangs holds up no other.
    /// One that cannot be opened is told once, and copies wait for it. Returns the names of those that were opened now.
    pub async fn open_copies(&self) -> Vec<String> {
        let opened = join_all(self.others.all.iter().map(|other| self.open_other(other))).await;
        opened.into_iter().flatten().collect()
    }

    async fn open_other(&self, other: &Other) -> Option<String> {
        let before = other.vault().err()?;
        let name = &other.said.name;
        let found = in_time(name, PATIENCE, async {
            let vault = (other.said.open)()?;
            self.adopt_other(name, &*vault).await?;
            self.catalog.hasten_copies(name, self.clock.now()).await?;
            Ok(vault)
        });
        let found = found.await;
        if let Err(error) = &found
            && (error.code != before.code || error.message != before.message)
        {
            tracing::error!(repository = name, code = error.code, %error, "copies wait for their repository");
        }
        let opened = found.is_ok().then(|| name.clone());
        *other.vault.write().unwrap_or_else(PoisonError::into_inner) = found;
        opened
    }

    /// The names of all repositories for copies, with the regions that they are in.
    pub fn copy_repositories(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.others.all.iter().map(|other| (other.said.name.as_str(), other.said.region.as_deref()))
    }

    /// Brings the repository's key objects to where copies are, so that these can be read without it.
    pub(super) async fn bring_keys(&self, name: &str) -> Result<()> {
        let Some(known) = self.ring.refresh().await? else { return Ok(()) };
        let (newest, other) = (known.facts.number, self.others.named(name)?);
        let vault = other.vault()?;
        for number in other.keys.load(Ordering::Relaxed) + 1..=newest {
            // The facts last: they make the others count.
            for key in
                [ObjectKey::Keys(number), ObjectKey::PassphraseKey(number), ObjectKey::KeyFacts(number)]
            {
                let Some(bytes) = self.vault.get(&key, LONGEST_KEY).await? else { continue };
                put_once(&*vault, &key, bytes).await?;
            }
            other.keys.store(number, Ordering::Relaxed);
        }
        Ok(())
    }

    /// How the repositories for copies are.
    pub(in crate::ops) async fn check_copies(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for other in &self.others.all {
            let subject = format!("copies {}", other.said.name);
            let looked = async {
                let vault = other.vault()?;
                let free = vault.free_bytes().await?;
                Ok::<_, Error>((vault.place(), free))
            };
            findings.push(match looked.await {
                Ok((place, free)) => {
                    let free = free.map_or_else(String::new, |free| format!("{} GiB free in ", free >> 30));
                    Finding { subject, ok: true, detail: format!("{free}{place}"), hint: None }
                }
                Err(error) => crate::ops::check::failed(subject, &error),
            });
        }
        findings
    }
}

/// Writes an object unless it is there.
pub(super) async fn put_once(vault: &dyn Vault, key: &ObjectKey, bytes: Vec<u8>) -> Result<()> {
    match vault.put(key, Bytes::from(bytes)).await {
        Err(error) if error.code == "OBJECT_EXISTS" => Ok(()),
        put => put,
    }
}

/// Before it was found out how a repository is.
fn not_yet(name: &str) -> Error {
    silent(format!("the repository copies.{name} does not answer yet"))
}

/// What comes of a look at a repository for copies, unless that takes longer than `patience`.
async fn in_time<T>(name: &str, patience: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(patience, work).await.unwrap_or_else(|_| {
        let seconds = patience.as_secs();
        Err(silent(format!("the repository copies.{name} does not answer within {seconds} s")))
    })
}

fn silent(message: String) -> Error {
    Error::new(Kind::Unreachable, "REPOSITORY_UNREACHABLE", message)
        .hint("copies are made as soon as it does; see how it is: keystow doctor")
}

fn unknown(name: &str) -> Error {
    let shown: String = name.chars().take(80).collect();
    Error::new(Kind::Invalid, "COPIES_UNKNOWN", format!("no repository for copies is called '{shown}'"))
        .hint(format!("say where it is in the configuration: [copies.{shown}] url = \"…\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_repository_that_hangs_is_unreachable() {
        assert_eq!(in_time("far", PATIENCE, async { Ok(7) }).await.unwrap(), 7);
        let waited = in_time("far", Duration::ZERO, std::future::pending::<Result<()>>()).await;
        let error = waited.unwrap_err();
        assert_eq!((error.kind, error.code), (Kind::Unreachable, "REPOSITORY_UNREACHABLE"));
        assert!(error.message.contains("copies.far does not answer within 0 s"), "{error}");
    }
}
