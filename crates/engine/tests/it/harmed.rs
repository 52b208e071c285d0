//! A repository that does something to the parts that are written.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use keystow_engine::Result;
use keystow_engine::vault::{
    AttemptKey, BackupKey, Collection, ObjectKey, ObjectReader, ObjectWriter, StoredAttempt, Vault,
};

/// What happens to each piece of a part; the first of an object is told from the others.
type Harm = Arc<dyn Fn(&mut Vec<u8>, bool) -> Result<()> + Send + Sync>;

/// A repository that harms the parts that are written.
pub(crate) struct Harmed {
    inner: Arc<dyn Vault>,
    harm: Harm,
}

struct HarmedWriter {
    inner: Box<dyn ObjectWriter>,
    harm: Harm,
    is_first: bool,
}

impl Harmed {
    pub(crate) fn new(
        inner: Arc<dyn Vault>,
        harm: impl Fn(&mut Vec<u8>, bool) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self { inner, harm: Arc::new(harm) }
    }
}

/// One bit of every part.
pub(crate) fn flip() -> impl Fn(&mut Vec<u8>, bool) -> Result<()> + Send + Sync + 'static {
    |bytes, is_first| {
        if let Some(last) = bytes.last_mut()
            && is_first
        {
            *last ^= 1;
        }
        Ok(())
    }
}

impl ObjectWriter for HarmedWriter {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let mut bytes = bytes.to_vec();
        (self.harm)(&mut bytes, std::mem::replace(&mut self.is_first, false))?;
        self.inner.write(&bytes)
    }

    fn seal(self: Box<Self>) -> Result<u64> {
        self.inner.seal()
    }
}

#[async_trait]
impl Vault for Harmed {
    fn create(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>> {
        let inner = self.inner.create(key)?;
        Ok(Box::new(HarmedWriter { inner, harm: self.harm.clone(), is_first: true }))
    }

    async fn put(&self, key: &ObjectKey, bytes: Bytes) -> Result<()> {
        self.inner.put(key, bytes).await
    }

    async fn get(&self, key: &ObjectKey, limit: u64) -> Result<Option<Vec<u8>>> {
        self.inner.get(key, limit).await
    }

    async fn open(&self, key: &ObjectKey) -> Result<Option<Arc<dyn ObjectReader>>> {
        self.inner.open(key).await
    }

    async fn attempts(&self) -> Result<Vec<StoredAttempt>> {
        self.inner.attempts().await
    }

    async fn list(&self, collection: &Collection) -> Result<Vec<ObjectKey>> {
        self.inner.list(collection).await
    }

    async fn remove(&self, key: &ObjectKey) -> Result<()> {
        self.inner.remove(key).await
    }

    async fn remove_attempt(&self, key: &AttemptKey) -> Result<()> {
        self.inner.remove_attempt(key).await
    }

    async fn remove_events(&self, key: &BackupKey) -> Result<()> {
        self.inner.remove_events(key).await
    }

    async fn sweep_unfinished(&self) -> Result<u64> {
        self.inner.sweep_unfinished().await
    }

    async fn free_bytes(&self) -> Result<Option<u64>> {
        self.inner.free_bytes().await
    }
}
