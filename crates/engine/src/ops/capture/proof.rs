//! The way of a snapshot's bytes: into the repository and past the reader that proves them.
//!
//! Two threads. The caller's brings the bytes and writes each chunk; the other hashes it and checks it as RDB. Chunks
//! go round between them, so memory is bounded whatever the size.

use std::io::{self, BufRead, Read, Write};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use aws_lc_rs::digest::{Context, SHA256};
use keystow_rdb::{Checksum, Event, Fault, Limits, Reader, Report, Summary};

use crate::crash::{CrashPoint, crash_point};
use crate::error::{Error, Kind, Result};
use crate::model::{Slots, hex};
use crate::ops::meter::Gauge;
use crate::vault::ObjectWriter;

/// Bytes of a chunk.
pub(super) const CHUNK_BYTES: usize = 512 * 1024;
/// Chunks in all: what waits between the two threads is bounded by it.
const CHUNKS: usize = 8;

/// The priority of the reader's thread (`nice`).
const NICE: i32 = 10;

/// Bytes that are in the writer's hands, and what the reader thought of them.
pub(super) struct Proven {
    /// SHA-256 of the bytes, lower-case hex.
    pub(super) sha256: String,
    pub(super) report: Report,
    /// Why the validator cannot vouch for it; its checksum is right all the same.
    pub(super) doubt: Option<Fault>,
    /// Keys outside of the slots that were named.
    pub(super) strays: u64,
}

/// Lets `bring` hand over the chunks of a snapshot, and proves them on their way into `writer`. `slots` = those that
/// the keys should be in; empty = any.
pub(super) fn prove<T>(
    writer: &mut dyn ObjectWriter,
    slots: &Slots,
    gauge: &Gauge<'_>,
    bring: impl FnOnce(&mut Chunks<'_>) -> Result<T>,
) -> Result<(T, Proven)> {
    thread::scope(|scope| {
        let (full, taken) = sync_channel(CHUNKS);
        let (spare, empties) = channel();
        for _ in 0..CHUNKS {
            // The receiver lives in this scope.
            let _ = spare.send(Vec::new());
        }
        let reader = thread::Builder::new()
            .name("rdb-reader".to_owned())
            .spawn_scoped(scope, || {
                step_back();
                judge(ChunkReader::new(taken, spare), slots, gauge)
            })
            .map_err(|error| Error::internal("no thread for the reader", error))?;
        let mut chunks = Chunks { writer, gauge, full, empties, brought: 0 };
        let result = bring(&mut chunks);
        let brought = chunks.brought;
        // The reader ends when no more can come.
        drop(chunks);
        let verdict = reader.join().map_err(|_| Error::internal("the reader stopped", "it panicked"))?;
        Ok((result?, verdict.accept(brought)?))
    })
}

/// Lowers this thread's priority: where the source runs on the same host, it and its clients come first. The thread
/// ends with the capture, so nothing has to be raised again, which would take a right.
fn step_back() {
    if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE) {
        tracing::debug!(%error, "the reader keeps its priority");
    }
}

/// Where chunks come from and go to.
pub(super) struct Chunks<'a> {
    writer: &'a mut dyn ObjectWriter,
    gauge: &'a Gauge<'a>,
    full: SyncSender<Vec<u8>>,
    empties: Receiver<Vec<u8>>,
    brought: u64,
}

impl Chunks<'_> {
    /// A chunk to fill; its length is [`CHUNK_BYTES`], its contents are old. Waits until one is free.
    pub(super) fn empty(&mut self) -> Vec<u8> {
        let mut chunk = self.empties.recv().unwrap_or_default();
        chunk.resize(CHUNK_BYTES, 0);
        chunk
    }

    /// Counts bytes of a chunk that is still being filled.
    pub(super) fn count(&self, bytes: usize) {
        self.gauge.add_bytes(bytes as u64);
    }

    /// Hands a filled chunk over. `false` = the reader takes no more; its verdict says why.
    pub(super) fn hand_over(&mut self, chunk: Vec<u8>) -> Result<bool> {
        self.writer.write(&chunk)?;
        self.brought += chunk.len() as u64;
        crash_point(CrashPoint::BytesArriving);
        Ok(self.full.send(chunk).is_ok())
    }
}

/// Chunks as a plain output, for bytes that are made here. Its errors hold those of the repository.
pub(super) struct ChunkWriter<'a, 'b> {
    chunks: &'a mut Chunks<'b>,
    chunk: Vec<u8>,
}

impl<'a, 'b> ChunkWriter<'a, 'b> {
    pub(super) fn new(chunks: &'a mut Chunks<'b>) -> Self {
        Self { chunks, chunk: Vec::new() }
    }

    fn hand_over(&mut self) -> io::Result<()> {
        let chunk = std::mem::take(&mut self.chunk);
        match self.chunks.hand_over(chunk) {
            Ok(true) => Ok(()),
            Ok(false) => Err(io::Error::other("the reader takes no more")),
            // The caller takes it out again.
            Err(error) => Err(io::Error::other(error)),
        }
    }
}

impl Write for ChunkWriter<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.chunk.capacity() == 0 {
            self.chunk = self.chunks.empty();
            self.chunk.clear();
        }
        let length = bytes.len().min(CHUNK_BYTES - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..length]);
        self.chunks.count(length);
        if self.chunk.len() == CHUNK_BYTES {
            self.hand_over()?;
        }
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() { Ok(()) } else { self.hand_over() }
    }
}

/// What the reader thought of the bytes.
struct Verdict {
    report: Report,
    bytes: u64,
    fault: Option<Fault>,
    /// The checksum of a file that was given up on.
    checksum: Option<Checksum>,
    sha256: String,
    strays: u64,
}

impl Verdict {
    /// The report, and the doubt about a file whose checksum is right but which the reader cannot vouch for.
    fn accept(self, brought: u64) -> Result<Proven> {
        let doubt = match (self.fault, self.checksum) {
            (None, _) if self.bytes == brought => None,
            (None, _) => {
                return Err(Error::new(
                    Kind::Corrupt,
                    "TRANSFER_MISMATCH",
                    format!("the snapshot ends at byte {}, but {brought} bytes came", self.bytes),
                )
                .hint(
                    "take the backup again; if it happens twice, check the network and the server's memory",
                ));
            }
            (Some(fault), Some(Checksum::Ok)) => Some(fault),
            (Some(fault), _) => {
                return Err(Error::new(Kind::Corrupt, "SNAPSHOT_CORRUPT", "the snapshot is not sound")
                    .because(format!("{}: {fault}", fault.reason.code()))
                    .hint(
                        "take the backup again; if it happens twice, check the network and the server's memory",
                    ));
            }
        };
        Ok(Proven { sha256: self.sha256, report: self.report, doubt, strays: self.strays })
    }
}

/// Reads the whole snapshot. After a fault the rest still goes through the checksum.
fn judge(source: ChunkReader, slots: &Slots, gauge: &Gauge<'_>) -> Verdict {
    let mut reader = Reader::new(source, Limits::default());
    let mut summary = Summary::default();
    let mut strays = 0;
    let fault = loop {
        match reader.next_event() {
            Ok(Some(event)) => {
                if let Event::Entry(entry) = &event
                    && !slots.is_empty()
                {
                    strays += u64::from(!slots.contains(keystow_rdb::slot(entry.key)));
                }
                summary.add(&event);
                // Not at every key: two threads would fight over the counter.
                if summary.keys() % 256 == 0 {
                    gauge.set_keys(summary.keys());
                }
            }
            Ok(None) => break None,
            Err(fault) => break Some(fault),
        }
    };
    gauge.set_keys(summary.keys());
    let at = reader.offset();
    let report = summary.into_report(&reader);
    let checksum = fault.as_ref().and_then(|_| reader.finish_unparsed().ok());
    // Whatever follows the end is taken all the same: the other thread must not wait for a free chunk. It compares
    // the two ends.
    let mut source = reader.into_inner();
    let _ = io::copy(&mut source, &mut io::sink());
    let sha256 = hex(source.hash.finish().as_ref());
    Verdict { report, bytes: at, fault, checksum, sha256, strays }
}

/// The chunks as one stream, hashed as they come. Used chunks go back.
struct ChunkReader {
    chunks: Receiver<Vec<u8>>,
    spare: Sender<Vec<u8>>,
    chunk: Vec<u8>,
    used: usize,
    hash: Context,
}

impl ChunkReader {
    fn new(chunks: Receiver<Vec<u8>>, spare: Sender<Vec<u8>>) -> Self {
        Self { chunks, spare, chunk: Vec::new(), used: 0, hash: Context::new(&SHA256) }
    }
}

impl BufRead for ChunkReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.used == self.chunk.len() {
            let Ok(next) = self.chunks.recv() else { return Ok(&[]) };
            let old = std::mem::replace(&mut self.chunk, next);
            self.used = 0;
            self.hash.update(&self.chunk);
            // The receiver is gone once the transfer has ended.
            let _ = self.spare.send(old);
        }
        Ok(&self.chunk[self.used..])
    }

    fn consume(&mut self, amount: usize) {
        self.used = (self.used + amount).min(self.chunk.len());
    }
}

impl Read for ChunkReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let length = available.len().min(buffer.len());
        buffer[..length].copy_from_slice(&available[..length]);
        self.consume(length);
        Ok(length)
    }
}
