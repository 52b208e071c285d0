//! RDB files that somebody brings: into the repository, proven on the way as a capture is.

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::mpsc::Receiver;

use super::proof::{Chunks, prove};
use super::{Captured, CapturedSet};
use crate::error::{Error, Kind, Result};
use crate::model::{Method, PartOrigin, Phase, ServerFacts, Slots, Topology};
use crate::ops::meter::{Gauge, Meter};
use crate::redis::{Layout, Shard};
use crate::vault::codec::PartWriter;

/// A file that is to come.
#[derive(Debug, Clone)]
pub struct ImportFile {
    /// Its name, for people.
    pub name: String,
    /// Its length.
    pub size_bytes: u64,
    /// SHA-256 of its bytes, lower-case hex, if it is known before they come.
    pub sha256: Option<String>,
}

/// The bytes of all files, one after the other, as they come.
pub(in crate::ops) struct Incoming {
    pieces: Receiver<Bytes>,
    rest: Bytes,
}

impl Incoming {
    pub(in crate::ops) fn new(pieces: Receiver<Bytes>) -> Self {
        Self { pieces, rest: Bytes::new() }
    }

    /// Brings bytes into `out`; fewer than its length only at the end. Blocks.
    fn fill(&mut self, out: &mut [u8]) -> Result<()> {
        let mut filled = 0;
        while filled < out.len() {
            if self.rest.is_empty() {
                self.rest = self.pieces.blocking_recv().ok_or_else(|| {
                    Error::new(Kind::Unreachable, "IMPORT_CUT", "the upload ended before the files did")
                        .hint("run the same import again: what is complete is not sent twice")
                })?;
            }
            let length = self.rest.len().min(out.len() - filled);
            out[filled..filled + length].copy_from_slice(&self.rest.split_to(length));
            filled += length;
        }
        Ok(())
    }
}

/// Takes in a set of files, one part each. Blocks.
pub(in crate::ops) fn import_set(
    files: &[ImportFile],
    taken_at: Timestamp,
    incoming: &mut Incoming,
    create: &dyn Fn(u32) -> Result<PartWriter>,
) -> Result<CapturedSet> {
    let meter = Meter::default();
    let mut set = CapturedSet {
        before: Layout {
            topology: if files.len() > 1 { Topology::Cluster } else { Topology::Standalone },
            shards: Vec::new(),
            epoch: None,
            uncovered: Slots::default(),
            moving: Vec::new(),
        },
        after: None,
        shards: Vec::new(),
    };
    for (index, file) in (0..).zip(files) {
        set.shards.push(Ok(import_part(file, taken_at, incoming, create(index)?, &meter)?));
        set.before.shards.push(Shard { index, slots: Slots::default(), nodes: Vec::new() });
    }
    Ok(set)
}

fn import_part(
    file: &ImportFile,
    taken_at: Timestamp,
    incoming: &mut Incoming,
    mut writer: PartWriter,
    meter: &Meter,
) -> Result<Captured> {
    let gauge = Gauge::new(meter);
    gauge.enter(Phase::Receiving);
    let named = |error: Error| Error { message: format!("{}: {}", file.name, error.message).into(), ..error };
    let ((), proven) =
        prove(&mut writer, &Slots::default(), &gauge, |chunks| bring(file.size_bytes, incoming, chunks))
            .map_err(named)?;
    if file.sha256.as_ref().is_some_and(|announced| proven.sha256 != *announced) {
        return Err(named(
            Error::new(Kind::Corrupt, "IMPORT_MISMATCH", "other bytes came than were announced")
                .hint("was the file written to meanwhile? import it again"),
        ));
    }
    let stored = writer.finish()?;
    Ok(Captured {
        stored,
        sha256: proven.sha256,
        server: server(&proven.report),
        report: proven.report,
        doubt: proven.doubt,
        method: Method::Physical,
        replication: None,
        origin: PartOrigin {
            node: format!("file:{}", file.name),
            primary: true,
            why: "imported".to_owned(),
            slots: Slots::default(),
            cut_at: taken_at,
        },
        warnings: Vec::new(),
        missing: None,
    })
}

/// Moves a file's bytes from the upload to the writer and the reader.
fn bring(size_bytes: u64, incoming: &mut Incoming, chunks: &mut Chunks<'_>) -> Result<()> {
    let mut left = size_bytes;
    while left > 0 {
        let mut chunk = chunks.empty();
        chunk.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        incoming.fill(&mut chunk)?;
        chunks.count(chunk.len());
        left -= chunk.len() as u64;
        if !chunks.hand_over(chunk)? {
            return Ok(());
        }
    }
    Ok(())
}

/// What the file says of the server that wrote it.
fn server(report: &keystow_rdb::Report) -> ServerFacts {
    let version = |name: &str| report.aux.get(name).cloned();
    let valkey = version("valkey-ver");
    ServerFacts {
        valkey: valkey.is_some(),
        version: valkey.or_else(|| version("redis-ver")).unwrap_or_default(),
        role: String::new(),
        used_bytes: version("used-mem").and_then(|text| text.parse().ok()).unwrap_or(0),
        max_bytes: 0,
        replicas: 0,
        topology: Topology::Standalone,
        shards: 0,
        nodes: Vec::new(),
    }
}
