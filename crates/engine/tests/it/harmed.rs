//! A repository that does something to the parts that are written.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use keystow_engine::vault::{
    AttemptKey, BackupKey, Collection, ObjectKey, ObjectReader, ObjectWriter, StoredAttempt, Vault,
};
use keystow_engine::{Error, Result};

/// What is being done to an object.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Moment {
    FirstWrite,
    LaterWrite,
    Seal,
}

/// What happens to the bytes of each write, and before an object is sealed.
type Harm = Arc<dyn Fn(&mut Vec<u8>, Moment) -> Result<()> + Send + Sync>;

/// A repository that harms what is written to it.
pub(crate) struct Harmed {
    inner: Arc<dyn Vault>,
    harm: Harm,
    /// The small objects as well: manifests, events.
    puts_too: bool,
    /// While it is true, nothing that is asked for is answered.
    hangs: Arc<AtomicBool>,
}

struct HarmedWriter {
    inner: Box<dyn ObjectWriter>,
    harm: Harm,
    moment: Moment,
}

impl Harmed {
    /// Harms the parts alone.
    pub(crate) fn new(
        inner: Arc<dyn Vault>,
        harm: impl Fn(&mut Vec<u8>, Moment) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self { inner, harm: Arc::new(harm), puts_too: false, hangs: Arc::default() }
    }

    /// Does not answer while `hangs`.
    pub(crate) fn silent(inner: Arc<dyn Vault>, hangs: Arc<AtomicBool>) -> Self {
        Self { hangs, ..Self::new(inner, |_, _| Ok(())) }
    }

    async fn answer(&self) {
        if self.hangs.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }

    /// A disk that is full after `left` bytes in all; or, with `at_seal`, one that says so only at the end.
    pub(crate) fn full(inner: Arc<dyn Vault>, left: Arc<Mutex<u64>>, at_seal: bool) -> Self {
        let harm = move |bytes: &mut Vec<u8>, moment| {
            let mut left = left.lock().unwrap();
            match (moment, at_seal) {
                (Moment::Seal, true) if *left == 0 => Err(disk_full()),
                (Moment::FirstWrite | Moment::LaterWrite, false) => {
                    *left = left.checked_sub(bytes.len() as u64).ok_or_else(disk_full)?;
                    Ok(())
                }
                _ => Ok(()),
            }
        };
        Self { inner, harm: Arc::new(harm), puts_too: true, hangs: Arc::default() }
    }
}

/// One bit of every part.
pub(crate) fn flip() -> impl Fn(&mut Vec<u8>, Moment) -> Result<()> + Send + Sync + 'static {
    |bytes, moment| {
        if let Some(last) = bytes.last_mut()
            && moment == Moment::FirstWrite
        {
            *last ^= 1;
        }
        Ok(())
    }
}

fn disk_full() -> Error {
    // ENOSPC
    Error::io("cannot write the object", &std::io::Error::from_raw_os_error(28))
}

impl ObjectWriter for HarmedWriter {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let mut bytes = bytes.to_vec();
        (self.harm)(&mut bytes, std::mem::replace(&mut self.moment, Moment::LaterWrite))?;
        self.inner.write(&bytes)
    }

    fn seal(self: Box<Self>) -> Result<u64> {
        (self.harm)(&mut Vec::new(), Moment::Seal)?;
        self.inner.seal()
    }
}

#[async_trait]
impl Vault for Harmed {
    fn create(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>> {
        let inner = self.inner.create(key)?;
        Ok(Box::new(HarmedWriter { inner, harm: self.harm.clone(), moment: Moment::FirstWrite }))
    }

    async fn put(&self, key: &ObjectKey, bytes: Bytes) -> Result<()> {
        self.answer().await;
        if !self.puts_too {
            return self.inner.put(key, bytes).await;
        }
        let mut writer = self.create(key)?;
        writer.write(&bytes)?;
        writer.seal().map(drop)
    }

    async fn get(&self, key: &ObjectKey, limit: u64) -> Result<Option<Vec<u8>>> {
        self.answer().await;
        self.inner.get(key, limit).await
    }

    async fn open(&self, key: &ObjectKey) -> Result<Option<Arc<dyn ObjectReader>>> {
        self.answer().await;
        self.inner.open(key).await
    }

    async fn attempts(&self) -> Result<Vec<StoredAttempt>> {
        self.answer().await;
        self.inner.attempts().await
    }

    async fn list(&self, collection: &Collection) -> Result<Vec<ObjectKey>> {
        self.answer().await;
        self.inner.list(collection).await
    }

    async fn remove(&self, key: &ObjectKey) -> Result<()> {
        self.answer().await;
        self.inner.remove(key).await
    }

    async fn remove_attempt(&self, key: &AttemptKey) -> Result<()> {
        self.answer().await;
        self.inner.remove_attempt(key).await
    }

    async fn remove_events(&self, key: &BackupKey) -> Result<()> {
        self.answer().await;
        self.inner.remove_events(key).await
    }

    async fn sweep_unfinished(&self) -> Result<u64> {
        self.answer().await;
        self.inner.sweep_unfinished().await
    }

    async fn free_bytes(&self) -> Result<Option<u64>> {
        self.answer().await;
        self.inner.free_bytes().await
    }
}
