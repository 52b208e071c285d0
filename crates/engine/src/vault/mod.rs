//! The repository: where bytes live. Append-only; an object is visible whole or not at all.

pub mod codec;
#[cfg(test)]
mod contract;
mod layout;
mod local;
mod object;

use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use crate::error::Result;
use crate::model::Network;

pub use layout::{AttemptKey, BackupKey, Collection, ObjectKey};
pub use local::LocalVault;
pub use object::{Bucket, BucketFile, Credentials, ObjectVault, StoreOptions, of_bucket};

/// A place for objects.
#[async_trait]
pub trait Vault: Send + Sync {
    /// Where it is, for people; nothing in it is secret.
    fn place(&self) -> String {
        String::new()
    }

    /// Starts an object. Blocks; for a thread of its own. Nothing is visible before `seal`, nothing stays after
    /// a drop without it.
    fn create(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>>;

    /// Writes a small object whole. `CONFLICT` if it exists.
    async fn put(&self, key: &ObjectKey, bytes: Bytes) -> Result<()>;

    /// Reads a small object whole; `None` if it is absent, an error if it is larger than `limit` bytes.
    async fn get(&self, key: &ObjectKey, limit: u64) -> Result<Option<Vec<u8>>>;

    /// Opens an object for reading; `None` if it is absent. What is open stays readable after a removal, or its reads
    /// fail with `OBJECT_CHANGED`, as in a store that knows no open objects.
    async fn open(&self, key: &ObjectKey) -> Result<Option<Arc<dyn ObjectReader>>>;

    /// Every attempt of every backup that left an object.
    async fn attempts(&self) -> Result<Vec<StoredAttempt>>;

    /// The objects of a collection, by name.
    async fn list(&self, collection: &Collection) -> Result<Vec<ObjectKey>>;

    /// Removes one object. Removing what is not there succeeds.
    async fn remove(&self, key: &ObjectKey) -> Result<()>;

    /// Removes an attempt, the manifest first. Removing what is not there succeeds.
    async fn remove_attempt(&self, key: &AttemptKey) -> Result<()>;

    /// Removes all that happened to a backup. Removing what is not there succeeds.
    async fn remove_events(&self, key: &BackupKey) -> Result<()>;

    /// Removes what writers that died left behind. Only while no writer is at work. Returns how many.
    async fn sweep_unfinished(&self) -> Result<u64>;

    /// Bytes that may still be written, where the store can tell. An error if it does not answer.
    async fn free_bytes(&self) -> Result<Option<u64>>;

    /// A URL of the store's own that delivers an object's bytes as they are stored, for so long, whatever becomes of
    /// access keys and backups; `None` if there is no such thing.
    async fn presigned(
        &self,
        _key: &ObjectKey,
        _network: Network,
        _life: Duration,
        _file_name: &str,
    ) -> Result<Option<String>> {
        Ok(None)
    }
}

/// An object that is being written.
pub trait ObjectWriter: Send {
    /// Ends the writing, whatever it waits for, as soon as somebody asks to stop: with `CANCELLED`, and nothing of it
    /// stays. What never waits for long need not listen.
    fn stop_with(&mut self, _cancel: &CancellationToken) {}

    /// Appends bytes. Blocks.
    fn write(&mut self, bytes: &[u8]) -> Result<()>;

    /// Makes the object safe against power loss and visible under its key, all at once. Returns its size in bytes.
    /// Blocks.
    fn seal(self: Box<Self>) -> Result<u64>;
}

/// An open object.
#[async_trait]
pub trait ObjectReader: Send + Sync {
    /// Bytes.
    fn size_bytes(&self) -> u64;

    /// Bytes from `offset` into `out`, if they can be had without waiting; how many, 0 only at the end.
    fn read_now(&self, offset: u64, out: &mut [u8]) -> Option<Result<usize>>;

    /// Up to `len` bytes from `offset`; empty only at the end.
    async fn read_at(&self, offset: u64, len: usize) -> Result<Bytes>;

    /// The open file, where there is one that holds the object's bytes as they are: for `sendfile`.
    fn file(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// The bytes of a range within the object from its start to its end, prepared ahead; `None` where `read_at` in a
    /// row is as good.
    fn stream(&self, _range: Range<u64>) -> Option<Box<dyn ObjectStream>> {
        None
    }
}

/// Bytes of an open object, one piece after the other.
#[async_trait]
pub trait ObjectStream: Send {
    /// The next piece; empty only at the end of the range.
    async fn next(&mut self) -> Result<&[u8]>;
}

/// An attempt as the store has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAttempt {
    /// Which attempt of which backup.
    pub key: AttemptKey,
    /// Whether its commit point was reached.
    pub has_manifest: bool,
}
