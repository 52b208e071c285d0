//! Streams: their nodes, consumer groups and pending entries (Redis `src/rdb.c`, `rdbLoadObject`).

use std::io::BufRead;

use super::{Seen, stream_node};
use crate::{fault::Reason, fingerprint::Fingerprints, packed::Item, source::Source};

/// Which fields a stream is written with; later layouts have all fields of earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Layout {
    /// Type 15, Redis 5.
    V1,
    /// Type 19, Redis 7.0: first and highest deleted ID, entries ever added, entries read per group.
    V2,
    /// Type 21, Redis 7.2: when a consumer was last active.
    V3,
}

/// Types 15, 19 and 21. Gives the number of entries, as the stream itself counts them.
pub(super) fn check<R: BufRead>(
    source: &mut Source<R>,
    layout: Layout,
    seen: &mut Seen,
) -> Result<u64, Box<Reason>> {
    let live = check_nodes(source)?;
    let entries = source.length()?;
    // Trimming in early Redis 5 left the length too high, and servers live with that; but one that finds no
    // entry at all in a stream with a length panics (`streamLastValidID`).
    if live > entries || (live == 0 && entries > 0) {
        return Err(Reason::Stream("its length is not the number of its entries").into());
    }
    // Last ID; then first ID, highest deleted ID and entries added: two, two and one.
    let numbers = if layout >= Layout::V2 { 2 + 5 } else { 2 };
    for _ in 0..numbers {
        source.length()?;
    }
    seen.groups.clear();
    for _ in 0..source.length()? {
        seen.groups.add(Item::Text(source.string()?), "consumer group")?;
        check_group(source, layout, &mut seen.members)?;
    }
    Ok(entries)
}

/// The nodes that hold the entries, each a listpack under the ID that its entries count from.
fn check_nodes<R: BufRead>(source: &mut Source<R>) -> Result<u64, Box<Reason>> {
    let mut live = 0;
    let mut before: Option<[u8; 16]> = None;
    for _ in 0..source.length()? {
        let id = <[u8; 16]>::try_from(source.string()?)
            .map_err(|_| Reason::Stream("a node's ID is not of 16 bytes"))?;
        // Nodes come out of a radix tree, and IDs are big endian: bytes in order, none twice.
        if before.is_some_and(|before| before >= id) {
            return Err(Reason::Stream("its nodes are not in order").into());
        }
        before = Some(id);
        live += stream_node::check(source.string()?)?;
    }
    Ok(live)
}

/// One consumer group: what is pending in it, and to which consumer each pending entry belongs.
fn check_group<R: BufRead>(
    source: &mut Source<R>,
    layout: Layout,
    consumers: &mut Fingerprints,
) -> Result<(), Box<Reason>> {
    // Last delivered ID; then the entries read.
    let numbers = if layout >= Layout::V2 { 2 + 1 } else { 2 };
    for _ in 0..numbers {
        source.length()?;
    }
    consumers.clear();
    let mut pending = Pending::default();
    for _ in 0..source.length()? {
        pending.add(source.array()?, consumers)?;
        // Delivery time and count.
        source.skip(8)?;
        source.length()?;
    }
    let mut owners = Pending::default();
    for _ in 0..source.length()? {
        consumers.add(Item::Text(source.string()?), "consumer")?;
        source.skip(if layout >= Layout::V3 { 16 } else { 8 })?;
        owners.newest = None;
        for _ in 0..source.length()? {
            owners.add(source.array()?, consumers)?;
        }
    }
    if owners.entries != pending.entries || owners.sum != pending.sum {
        return Err(
            Reason::Stream("the pending entries of its consumers are not those of their group").into()
        );
    }
    Ok(())
}

/// Pending entries as a keyed sum. IDs in order are distinct; if the consumers' IDs are as many and have the
/// same sum, each entry of the group belongs to exactly one consumer: however many there are, without
/// keeping them. Servers crash on entries with two owners or none.
#[derive(Default)]
struct Pending {
    entries: u64,
    sum: u64,
    newest: Option<[u8; 16]>,
}

impl Pending {
    fn add(&mut self, id: [u8; 16], key: &Fingerprints) -> Result<(), Box<Reason>> {
        if self.newest.is_some_and(|newest| newest >= id) {
            return Err(Reason::Stream("its pending entries are not in order").into());
        }
        self.newest = Some(id);
        self.entries += 1;
        self.sum = self.sum.wrapping_add(key.of_id(id));
        Ok(())
    }
}
