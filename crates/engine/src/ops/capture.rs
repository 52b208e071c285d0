//! One shard's snapshot, from the socket into the repository, proven on the way.
//!
//! Two threads. This one reads the socket at full speed and writes each chunk; the other hashes it and checks it as
//! RDB. Chunks go round between them, so memory is bounded whatever the size.

use std::fmt;
use std::io::{self, BufRead, Read};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use aws_lc_rs::digest::{Context, SHA256};
use keystow_rdb::{Checksum, Fault, Limits, Reader, Report, Summary};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Kind, Result};
use crate::model::{Phase, Progress, ServerFacts, hex};
use crate::redis::{Connection, Login, Node, Snapshot, Timeouts, probe, request_snapshot};
use crate::vault::ObjectWriter;

/// Bytes of a chunk.
const CHUNK_BYTES: usize = 512 * 1024;
/// Chunks in all: what waits between the two threads is bounded by it.
const CHUNKS: usize = 8;
/// A chunk is full when it has less room than this (more than the 40 bytes of an end mark).
const LEAST_ROOM: usize = 16 * 1024;

/// How far a capture is, for whoever watches.
#[derive(Debug, Default)]
pub struct Meter {
    phase: AtomicU8,
    bytes: AtomicU64,
    total: AtomicU64,
    keys: AtomicU64,
    safe: Mutex<Safe>,
}

/// Tells how many keys of the part under way are safe in a target.
type Gauge = Box<dyn Fn() -> u64 + Send>;

/// Keys that are safe in a target: of the parts that are done, and of the one under way.
#[derive(Default)]
struct Safe {
    parts: Vec<u64>,
    under_way: Option<(usize, Gauge)>,
}

impl Safe {
    /// Keeps what the part under way has come to.
    fn update(&mut self) {
        if let Some((part, gauge)) = &self.under_way {
            if self.parts.len() <= *part {
                self.parts.resize(part + 1, 0);
            }
            self.parts[*part] = gauge();
        }
    }
}

impl fmt::Debug for Safe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.fmt(f)
    }
}

impl Meter {
    /// The present state.
    pub fn progress(&self) -> Progress {
        let total = self.total.load(Ordering::Relaxed);
        Progress {
            phase: match self.phase.load(Ordering::Relaxed) {
                0 => Phase::Waiting,
                1 => Phase::Connecting,
                2 => Phase::Receiving,
                3 => Phase::Sealing,
                4 => Phase::Checking,
                5 => Phase::Restoring,
                _ => Phase::Loading,
            },
            bytes: self.bytes.load(Ordering::Relaxed),
            total_bytes: (total > 0).then_some(total),
            keys: self.keys.load(Ordering::Relaxed),
            safe: {
                let mut safe = self.safe.lock().unwrap_or_else(PoisonError::into_inner);
                safe.update();
                safe.parts.clone()
            },
        }
    }

    /// From now on `gauge` tells how many keys of a part are safe; those of the parts before stay what they were.
    pub(super) fn follow(&self, part: usize, gauge: Gauge) {
        let mut safe = self.safe.lock().unwrap_or_else(PoisonError::into_inner);
        safe.update();
        safe.under_way = Some((part, gauge));
    }

    /// Starts with what an attempt before this one has brought to safety.
    pub(super) fn resume(&self, parts: Vec<u64>) {
        self.safe.lock().unwrap_or_else(PoisonError::into_inner).parts = parts;
    }

    /// So many bytes, of so many in all.
    pub(super) fn set_bytes(&self, bytes: u64, total: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
    }

    /// So many keys.
    pub(super) fn set_keys(&self, keys: u64) {
        self.keys.store(keys, Ordering::Relaxed);
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }
}

/// Where a snapshot comes from.
pub(super) struct Source {
    pub(super) node: Node,
    pub(super) login: Login,
    pub(super) timeouts: Timeouts,
}

/// A snapshot that is safe in the repository.
pub(super) struct Captured {
    pub(super) size_bytes: u64,
    /// SHA-256 of the bytes, lower-case hex.
    pub(super) sha256: String,
    pub(super) report: Report,
    /// Why the validator cannot vouch for it; its checksum is right all the same.
    pub(super) doubt: Option<Fault>,
    pub(super) server: ServerFacts,
    pub(super) replication: (String, i64),
}

/// Takes one snapshot. Blocks. Seals only when the transfer ended properly, the reader saw the end at the same byte,
/// and the checksum agrees.
pub(super) fn capture(
    source: &Source,
    create: impl FnOnce() -> Result<Box<dyn ObjectWriter>>,
    meter: &Meter,
    cancel: &CancellationToken,
) -> Result<Captured> {
    meter.enter(Phase::Connecting);
    let mut connection = Connection::open(&source.node, &source.login, source.timeouts, cancel.clone())?;
    let server = probe(&mut connection)?;
    let mut snapshot = request_snapshot(connection)?;
    meter.total.store(snapshot.total_bytes().unwrap_or(0), Ordering::Relaxed);
    meter.enter(Phase::Receiving);
    let mut writer = create()?;

    let verdict = thread::scope(|scope| {
        let (full, chunks) = sync_channel(CHUNKS);
        let (spare, empties) = channel();
        for _ in 0..CHUNKS {
            // The receiver lives in this scope.
            let _ = spare.send(Vec::new());
        }
        let reader = thread::Builder::new()
            .name("rdb-reader".to_owned())
            .spawn_scoped(scope, || judge(ChunkReader::new(chunks, spare), meter))
            .map_err(|error| Error::internal("no thread for the reader", error))?;
        let received = receive(&mut snapshot, &mut *writer, &full, &empties, meter);
        // The reader ends when no more can come.
        drop(full);
        let verdict = reader.join().map_err(|_| Error::internal("the reader stopped", "it panicked"))?;
        received.map(|bytes| (bytes, verdict))
    });
    let (received, verdict) = verdict.map_err(|error| at_byte(error, meter))?;
    let sha256 = verdict.sha256.clone();
    let (report, doubt) = verdict.accept(received)?;

    meter.enter(Phase::Sealing);
    let size_bytes = writer.seal()?;
    let replication = (snapshot.replication_id.clone(), snapshot.replication_offset);
    Ok(Captured { size_bytes, sha256, report, doubt, server, replication })
}

/// Adds how far the transfer had come.
fn at_byte(mut error: Error, meter: &Meter) -> Error {
    let progress = meter.progress();
    if error.kind == Kind::Unreachable {
        let of = match progress.total_bytes {
            Some(total) => format!(" of {total} ({} %)", progress.bytes.saturating_mul(100) / total.max(1)),
            None => String::new(),
        };
        error.message = format!("{} (at byte {}{of})", error.message, progress.bytes).into();
    }
    error
}

/// Moves the snapshot from the socket to the writer and the reader. Returns its size.
fn receive(
    snapshot: &mut Snapshot,
    writer: &mut dyn ObjectWriter,
    full: &SyncSender<Vec<u8>>,
    empties: &Receiver<Vec<u8>>,
    meter: &Meter,
) -> Result<u64> {
    let mut received = 0;
    loop {
        let mut chunk = empties.recv().unwrap_or_default();
        chunk.resize(CHUNK_BYTES, 0);
        let mut filled = 0;
        let mut ended = false;
        while !ended && chunk.len() - filled > LEAST_ROOM {
            let read = snapshot.read(&mut chunk[filled..])?;
            filled += read;
            ended = read == 0;
            meter.bytes.fetch_add(read as u64, Ordering::Relaxed);
        }
        chunk.truncate(filled);
        writer.write(&chunk)?;
        received += filled as u64;
        // The reader takes chunks to the end even after a fault; if it is gone, its verdict says why.
        if full.send(chunk).is_err() || ended {
            return Ok(received);
        }
    }
}

/// What the reader thought of the bytes.
struct Verdict {
    report: Report,
    bytes: u64,
    fault: Option<Fault>,
    /// The checksum of a file that was given up on.
    checksum: Option<Checksum>,
    /// SHA-256 of all that came, lower-case hex.
    sha256: String,
}

impl Verdict {
    /// The report, and the doubt about a file whose checksum is right but which the reader cannot vouch for.
    fn accept(self, received: u64) -> Result<(Report, Option<Fault>)> {
        match (self.fault, self.checksum) {
            (None, _) if self.bytes == received => Ok((self.report, None)),
            (None, _) => Err(Error::new(
                Kind::Corrupt,
                "TRANSFER_MISMATCH",
                format!("the snapshot ends at byte {}, but {received} bytes came", self.bytes),
            )
            .hint("take the backup again; if it happens twice, check the network and the server's memory")),
            (Some(fault), Some(Checksum::Ok)) => Ok((self.report, Some(fault))),
            (Some(fault), _) => Err(Error::new(
                Kind::Corrupt,
                "SNAPSHOT_CORRUPT",
                "the snapshot is not sound",
            )
            .because(format!("{}: {fault}", fault.reason.code()))
            .hint("take the backup again; if it happens twice, check the network and the server's memory")),
        }
    }
}

/// Reads the whole snapshot. After a fault the rest still goes through the checksum.
fn judge(source: ChunkReader, meter: &Meter) -> Verdict {
    let mut reader = Reader::new(source, Limits::default());
    let mut summary = Summary::default();
    let fault = loop {
        match reader.next_event() {
            Ok(Some(event)) => {
                summary.add(&event);
                meter.keys.store(summary.keys(), Ordering::Relaxed);
            }
            Ok(None) => break None,
            Err(fault) => break Some(fault),
        }
    };
    let at = reader.offset();
    let report = summary.into_report(&reader);
    let checksum = fault.as_ref().and_then(|_| reader.finish_unparsed().ok());
    // Whatever follows the end is taken all the same: the other thread must not wait for a free chunk. It compares
    // the two ends.
    let mut source = reader.into_inner();
    let _ = io::copy(&mut source, &mut io::sink());
    let sha256 = hex(source.hash.finish().as_ref());
    Verdict { report, bytes: at, fault, checksum, sha256 }
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
