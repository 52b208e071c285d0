//! An object on its way to a store: bytes go into a spool, and a task uploads them from there part by part.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use opendal::Buffer;
use tokio_util::sync::CancellationToken;

use super::fault::fault;
use super::spool::{Closed, Spool};
use super::{Inner, exists};
use crate::error::{Error, Kind, Result};
use crate::vault::ObjectWriter;

/// Bytes of the first parts. Stores take 5 MiB or more.
const FIRST_PART_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of the largest parts.
const LAST_PART_BYTES: usize = 256 * 1024 * 1024;
/// Parts after which they double in size: 10,000 parts, which is what stores allow, hold 1.4 TiB then.
const PARTS_OF_A_SIZE: usize = 1000;
/// Parts on the way at once.
const PARALLEL: usize = 2;
/// How long a dropped writer waits for its upload to be aborted.
const ABORT_PATIENCE: Duration = Duration::from_secs(3);
/// How long the request that is on the way is waited for when the caller gives up.
const LAST_REQUEST: Duration = Duration::from_secs(2);
/// How often a writer that waits for the end of its upload looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(100);

/// The caller's end of an upload. Dropping it without sealing aborts the upload.
pub(super) struct StoreWriter {
    inner: Arc<Inner>,
    spool: Arc<Spool>,
    outcome: Receiver<Result<u64>>,
    /// Cancelled when the caller gives up or is done.
    left: CancellationToken,
    is_over: bool,
}

impl StoreWriter {
    /// Starts the upload of an object.
    pub(super) fn create(inner: &Arc<Inner>, path: String) -> Self {
        let spool =
            Arc::new(Spool::new(inner.options.work_dir.clone(), inner.options.spool_bytes, path.clone()));
        let (told, outcome) = sync_channel(1);
        let left = CancellationToken::new();
        let upload = Upload { inner: inner.clone(), spool: spool.clone(), path, left: left.clone() };
        inner.tasks.spawn_on(
            async move {
                let done = upload.run().await;
                upload.spool.close();
                // A writer that gave up waiting does not want to know.
                let _ = told.send(done);
            },
            &inner.runtime,
        );
        Self { inner: inner.clone(), spool, outcome, left, is_over: false }
    }

    /// Why the upload ended. Somebody who asks to stop does not wait for that.
    fn outcome(&mut self) -> Result<u64> {
        loop {
            match self.outcome.recv_timeout(LOOK) {
                Ok(outcome) => {
                    self.is_over = true;
                    return outcome;
                }
                Err(RecvTimeoutError::Timeout) if self.left.is_cancelled() => return Err(Error::cancelled()),
                Err(RecvTimeoutError::Timeout) => {}
                Err(error) => return Err(Error::internal("the upload stopped", error)),
            }
        }
    }
}

impl ObjectWriter for StoreWriter {
    fn stop_with(&mut self, cancel: &CancellationToken) {
        let (cancel, left, spool) = (cancel.clone(), self.left.clone(), self.spool.clone());
        let listen = async move {
            if left.run_until_cancelled(cancel.cancelled()).await.is_some() {
                left.cancel();
                spool.close();
            }
        };
        self.inner.tasks.spawn_on(listen, &self.inner.runtime);
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        match self.spool.push(bytes)? {
            Ok(()) => Ok(()),
            Err(Closed) => match self.outcome() {
                Err(error) => Err(error),
                Ok(_) => Err(Error::internal("the upload ended", "before its bytes did")),
            },
        }
    }

    fn seal(mut self: Box<Self>) -> Result<u64> {
        self.spool.end();
        self.outcome()
    }
}

impl Drop for StoreWriter {
    fn drop(&mut self) {
        self.left.cancel();
        if self.is_over {
            return;
        }
        self.spool.close();
        // Only so that a test or an operator finds nothing afterwards; it goes on by itself.
        if matches!(self.outcome.recv_timeout(ABORT_PATIENCE), Err(RecvTimeoutError::Timeout)) {
            tracing::warn!("the store is slow to abort an upload; it may keep its parts");
        }
    }
}

/// The other end.
struct Upload {
    inner: Arc<Inner>,
    spool: Arc<Spool>,
    path: String,
    left: CancellationToken,
}

impl Upload {
    async fn run(&self) -> Result<u64> {
        self.inner.breaker.admit()?;
        let options = opendal::options::WriteOptions { concurrent: PARALLEL, ..Default::default() };
        let mut writer = self
            .inner
            .bulk
            .writer_options(&self.path, options)
            .await
            .map_err(|error| self.failed("begin", &error))?;
        let done = self.send_or_leave(&mut writer).await;
        let failure = done.as_ref().err();
        if failure.is_none_or(|error| error.kind != Kind::Cancelled) {
            self.inner.breaker.learn(failure);
        }
        if done.is_err()
            && let Err(error) = writer.abort().await
        {
            tracing::warn!(
                object = self.path,
                error = error.message(),
                "an upload cannot be aborted; the store's rule for unfinished uploads removes its parts"
            );
        }
        done
    }

    /// Sends the object, until the caller gives up.
    async fn send_or_leave(&self, writer: &mut opendal::Writer) -> Result<u64> {
        let mut send = std::pin::pin!(self.send(writer));
        if let Some(sent) = self.left.run_until_cancelled(send.as_mut()).await {
            return sent;
        }
        self.spool.close();
        // Cut off, it might begin an upload whose name nobody learns; but a store that hangs holds up nobody.
        if let Ok(Ok(_)) = tokio::time::timeout(LAST_REQUEST, send).await {
            // It was the last one, and now the object is there, for nobody.
            let _ = self.inner.small.delete(&self.path).await;
        }
        Err(Error::cancelled())
    }

    async fn send(&self, writer: &mut opendal::Writer) -> Result<u64> {
        let mut size_bytes = 0;
        for number in 0.. {
            let want = part_bytes(number);
            let pieces = self.next_part(want).await?;
            let part: Buffer = pieces.into_iter().collect();
            let length = part.len();
            size_bytes += length as u64;
            if length > 0 {
                writer.write(part).await.map_err(|error| self.failed("write", &error))?;
            }
            if length < want {
                break;
            }
        }
        // Two attempts never share a name, so this finds the mistakes of others, and stores that know no conditions.
        if self.inner.size(&self.path).await?.is_some() {
            return Err(exists(&self.path));
        }
        let closed = writer.close().await;
        if let Err(error) = self.check(size_bytes, closed).await {
            // What a late answer may still make visible is nobody's.
            let _ = self.inner.small.delete(&self.path).await;
            return Err(error);
        }
        Ok(size_bytes)
    }

    /// The next bytes, waited for where waiting is allowed.
    async fn next_part(&self, want: usize) -> Result<Vec<bytes::Bytes>> {
        let spool = self.spool.clone();
        let taken = tokio::task::spawn_blocking(move || spool.take(want)).await;
        let taken =
            taken.unwrap_or_else(|error| Err(Error::internal("the spool's thread ended early", error)))?;
        taken.map_err(|Closed| Error::cancelled())
    }

    /// Whether the store has the whole object. An answer that was lost, or that was wrong, does not decide.
    async fn check(&self, size_bytes: u64, closed: opendal::Result<opendal::Metadata>) -> Result<()> {
        match (self.inner.size(&self.path).await?, closed) {
            (Some(stored), closed) if stored == size_bytes => {
                if let Err(error) = closed {
                    tracing::info!(
                        object = self.path,
                        error = error.message(),
                        "the store kept an object that it refused"
                    );
                }
                Ok(())
            }
            (_, Err(error)) => Err(self.failed("finish", &error)),
            (Some(stored), Ok(_)) => Err(super::damaged(&self.path, stored, size_bytes)),
            (None, Ok(_)) => Err(Error::new(
                Kind::Corrupt,
                "OBJECT_DAMAGED",
                format!("the store took {} and does not have it", self.path),
            )
            .hint("the store loses objects: check it")),
        }
    }

    fn failed(&self, what: &str, error: &opendal::Error) -> Error {
        fault(format!("cannot {what} {} in {}", self.path, self.inner.shown), error)
    }
}

/// How large a part is, by its number from 0.
fn part_bytes(number: usize) -> usize {
    let doublings = u32::try_from(number / PARTS_OF_A_SIZE).unwrap_or(u32::MAX).min(5);
    (FIRST_PART_BYTES << doublings).min(LAST_PART_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_parts_hold_a_tebibyte() {
        let most: u64 = (0..10_000).map(|number| part_bytes(number) as u64).sum();
        assert!(most > 1 << 40, "{most}");
        assert_eq!(part_bytes(999), FIRST_PART_BYTES);
        assert_eq!(part_bytes(1000), 2 * FIRST_PART_BYTES);
        assert_eq!(part_bytes(usize::MAX), LAST_PART_BYTES);
    }
}
