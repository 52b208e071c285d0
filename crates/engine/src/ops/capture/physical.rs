//! One node's snapshot, by replication, at the socket's full speed.

use std::sync::atomic::Ordering;

use crate::error::{Error, Kind, Result};
use crate::model::Phase;
use crate::ops::meter::Gauge;
use crate::redis::{Connection, Snapshot, begin_snapshot};
use crate::vault::codec::PartWriter;

use super::ShardOrder;
use super::proof::{Chunks, Proven, prove};
use super::uncompressed::Uncompressed;

/// A chunk is full when it has less room than this (more than the 40 bytes of an end mark).
const LEAST_ROOM: usize = 16 * 1024;

/// A snapshot whose bytes are in the writer's hands.
pub(super) struct Taken {
    pub(super) proven: Proven,
    pub(super) replication: (String, i64),
    /// The moment that it shows.
    pub(super) cut_at: jiff::Timestamp,
    /// Whether the node queued no stream for us meanwhile.
    pub(super) rdb_only: bool,
}

/// Takes the snapshot. `uncompressed` is put back as soon as the node has forked.
pub(super) fn take(
    connection: Connection,
    uncompressed: Option<Uncompressed<'_>>,
    bytes_per_second: Option<u64>,
    order: &ShardOrder<'_>,
    create: impl FnOnce() -> Result<PartWriter>,
    gauge: &Gauge<'_>,
) -> Result<(Taken, PartWriter)> {
    let started = begin_snapshot(connection)?;
    order.forked.store(true, Ordering::Relaxed);
    let cut_at = order.clock.now();
    let replication = (started.replication_id.clone(), started.replication_offset);
    if let Some(uncompressed) = uncompressed {
        uncompressed.put_back()?;
    }
    let mut snapshot = started.payload()?.limit(bytes_per_second);
    gauge.expect(snapshot.total_bytes().unwrap_or(0));
    gauge.enter(Phase::Receiving);
    let mut writer = create()?;
    let ((), proven) = prove(&mut writer, &order.slots, gauge, |chunks| receive(&mut snapshot, chunks))
        .map_err(|error| at_byte(error, gauge))?;
    Ok((Taken { proven, replication, cut_at, rdb_only: snapshot.rdb_only }, writer))
}

/// Adds how far the transfer had come.
fn at_byte(mut error: Error, gauge: &Gauge<'_>) -> Error {
    let (bytes, total) = gauge.received();
    if error.kind == Kind::Unreachable {
        let of = match total {
            Some(total) => format!(" of {total} ({} %)", bytes.saturating_mul(100) / total.max(1)),
            None => String::new(),
        };
        error.message = format!("{} (at byte {bytes}{of})", error.message).into();
    }
    error
}

/// Moves the snapshot from the socket to the writer and the reader.
fn receive(snapshot: &mut Snapshot, chunks: &mut Chunks<'_>) -> Result<()> {
    loop {
        let mut chunk = chunks.empty();
        let mut filled = 0;
        let mut ended = false;
        while !ended && chunk.len() - filled > LEAST_ROOM {
            let read = snapshot.read(&mut chunk[filled..])?;
            filled += read;
            ended = read == 0;
            chunks.count(read);
        }
        chunk.truncate(filled);
        // The reader takes chunks to the end even after a fault; if it is gone, its verdict says why.
        if !chunks.hand_over(chunk)? || ended {
            return Ok(());
        }
    }
}
