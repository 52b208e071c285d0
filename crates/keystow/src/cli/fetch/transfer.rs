//! Moves the bytes of one file: several ranges at once where the server can, in one go where it cannot.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::BytesMut;
use tokio::task::{JoinSet, spawn_blocking};

use super::patience::Patience;
use super::remote::{Facts, Remote, Trouble};
use super::state::{Ledger, PartState};
use super::target::{Target, remove};
use crate::cli::progress::Progress;
use crate::failure::{Exit, Failure};

/// Bytes gathered before they are written.
const WRITE_BYTES: usize = 1 << 20;

/// One file on its way.
pub(super) struct Transfer {
    /// Where it comes from.
    pub(super) remote: Arc<Remote>,
    /// What the server says of it.
    pub(super) facts: Facts,
    /// Where it goes.
    pub(super) target: Target,
    /// The open part file.
    pub(super) file: Arc<File>,
    /// Who hears of it.
    pub(super) progress: Arc<Progress>,
    /// Ranges at once, at most.
    pub(super) connections: usize,
}

impl Transfer {
    /// Fills the part file. Gives the bytes that an earlier run had brought.
    pub(super) async fn run(self) -> Result<u64, Trouble> {
        match self.facts.size {
            Some(size) if self.facts.ranges && size > 0 => self.in_pieces(size).await,
            _ => self.in_one_go().await.map(|()| 0),
        }
    }

    async fn in_pieces(self, size: u64) -> Result<u64, Trouble> {
        let etag = self.facts.etag.as_deref();
        let arrived = self.file.metadata().map_or(0, |metadata| metadata.len());
        let state = if let Some(state) = PartState::resume(&self.target.state(), arrived, size, etag) {
            state
        } else {
            remove(&self.target.state())?;
            self.target.reserve(&self.file, size)?;
            PartState::fresh(size, self.facts.etag.clone())
        };
        let resumed = state.total();
        self.progress.set_total(size);
        self.progress.begin_at(resumed);
        let keeper = Keeper(Arc::new(Ledger::new(self.target.state(), state)));
        let workers = self.connections.min(keeper.0.open_pieces());
        let shared =
            Arc::new(Pieces { transfer: self, ledger: keeper.0.clone(), retries: AtomicU32::new(0) });
        let mut tasks = JoinSet::new();
        for _ in 0..workers {
            tasks.spawn(shared.clone().work());
        }
        while let Some(ended) = tasks.join_next().await {
            ended.map_err(|error| {
                Failure::new(Exit::Failure, "INTERNAL", "a download task died").because(error)
            })??;
        }
        Ok(resumed)
    }

    /// For servers that know no ranges: every try starts from the beginning.
    async fn in_one_go(self) -> Result<(), Trouble> {
        remove(&self.target.state())?;
        let mut patience = Patience::long();
        loop {
            self.target.reserve(&self.file, 0)?;
            self.progress.set(0);
            match self.stream().await {
                Err(trouble) => patience.endure(trouble, &self.remote.shown()).await?,
                Ok(()) => return Ok(()),
            }
        }
    }

    async fn stream(&self) -> Result<(), Trouble> {
        let mut response = self.remote.whole().await?;
        let expected = response.content_length();
        if let Some(expected) = expected {
            self.progress.set_total(expected);
        }
        let (mut offset, mut buffer) = (0, BytesMut::new());
        while let Some(chunk) = response.chunk().await? {
            buffer.extend_from_slice(&chunk);
            if buffer.len() >= WRITE_BYTES {
                offset += self.write(&mut buffer, offset).await?;
            }
        }
        offset += self.write(&mut buffer, offset).await?;
        if expected.is_some_and(|expected| expected != offset) {
            return Err(Trouble::passing("the connection was cut"));
        }
        Ok(())
    }

    /// Writes what was gathered; gives the number of bytes.
    async fn write(&self, buffer: &mut BytesMut, offset: u64) -> Result<u64, Failure> {
        let (bytes, file) = (buffer.split().freeze(), self.file.clone());
        let length = bytes.len() as u64;
        let written = spawn_blocking(move || file.write_all_at(&bytes, offset)).await;
        let failed = |error| Failure::file(format!("cannot write {}", self.target.part().display()), &error);
        written.unwrap_or_else(|error| Err(error.into())).map_err(failed)?;
        self.progress.add(length);
        Ok(length)
    }
}

/// Saves where the transfer stands whenever it stops, Ctrl-C included.
struct Keeper(Arc<Ledger>);

impl Drop for Keeper {
    fn drop(&mut self) {
        // If it cannot be saved, the next run starts from an older state: slower, never wrong.
        let _ = self.0.save_now();
    }
}

/// What the connections of a transfer share.
struct Pieces {
    transfer: Transfer,
    ledger: Arc<Ledger>,
    retries: AtomicU32,
}

impl Pieces {
    /// One connection: takes pieces until there are none.
    async fn work(self: Arc<Self>) -> Result<(), Trouble> {
        while let Some(piece) = self.ledger.claim() {
            let mut patience = Patience::long();
            loop {
                let before = self.ledger.rest(piece);
                let Err(trouble) = self.fill(piece).await else { break };
                if self.ledger.rest(piece) != before {
                    patience.renew();
                }
                patience.endure(trouble, &self.transfer.remote.shown()).await?;
                let retries = self.retries.fetch_add(1, Ordering::Relaxed) + 1;
                self.transfer.progress.say(if retries == 1 {
                    "1 retry".into()
                } else {
                    format!("{retries} retries")
                });
            }
        }
        Ok(())
    }

    /// Asks for the rest of a piece and writes what comes of it.
    async fn fill(&self, piece: usize) -> Result<(), Trouble> {
        let (mut offset, end) = self.ledger.rest(piece);
        let transfer = &self.transfer;
        let mut response = transfer.remote.range(offset, end, &transfer.facts).await?;
        let mut buffer = BytesMut::with_capacity(WRITE_BYTES);
        loop {
            let chunk = response.chunk().await;
            let wanted = end - offset - buffer.len() as u64;
            let is_last = !matches!(chunk, Ok(Some(_)));
            if let Ok(Some(chunk)) = &chunk {
                let wanted = usize::try_from(wanted).unwrap_or(usize::MAX).min(chunk.len());
                buffer.extend_from_slice(&chunk[..wanted]);
            }
            if is_last || buffer.len() >= WRITE_BYTES {
                let written = transfer.write(&mut buffer, offset).await?;
                self.ledger.add(piece, written);
                offset += written;
                self.save_if_due().await?;
            }
            if is_last {
                chunk?;
                return if offset == end { Ok(()) } else { Err(Trouble::passing("the connection was cut")) };
            }
        }
    }

    /// Saves the state, after the bytes that it speaks of.
    async fn save_if_due(&self) -> Result<(), Failure> {
        let Some(state) = self.ledger.due() else { return Ok(()) };
        let (file, ledger) = (self.transfer.file.clone(), self.ledger.clone());
        let saved = spawn_blocking(move || file.sync_data().and_then(|()| ledger.save(&state))).await;
        let failed =
            |error| Failure::file(format!("cannot write {}", self.transfer.target.state().display()), &error);
        saved.unwrap_or_else(|error| Err(error.into())).map_err(failed)
    }
}
