//! Streams: their nodes, consumer groups and pending entries (Redis `src/rdb.c`, `rdbLoadObject`).

use super::{Seen, between, count, stream_node};
use crate::{
    bytes::Bytes,
    fault::Reason,
    fingerprint::Fingerprints,
    length::Lengths,
    packed::Item,
    part::{Frame, Out, Part, StreamFacts, StreamHistory, StreamId, Visitor},
    text::Texts,
};

/// Which fields a stream is written with; later layouts have all fields of earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Layout {
    /// Type 15, Redis 5.
    V1,
    /// Type 19, Redis 7.0: first and highest deleted ID, entries ever added, entries read per group.
    V2,
    /// Type 21, Redis 7.2: when a consumer was last active.
    V3,
    /// Type 26, Redis 8.6: what producers added (librdb `src/lib/parser.c`).
    V4,
}

/// Types 15, 19, 21 and 26. Gives the number of entries, as the stream itself counts them.
pub(super) fn check<B: Bytes, V: Visitor>(
    source: &mut B,
    layout: Layout,
    seen: &mut Seen,
    out: &mut Out<'_, V>,
) -> Result<u64, Box<Reason>> {
    let live = check_nodes(source, out)?;
    let length = source.length()?;
    // Trimming in early Redis 5 left the length too high, and servers live with that; but one that finds no
    // entry at all in a stream with a length panics (`streamLastValidID`).
    if live > length || (live == 0 && length > 0) {
        return Err(Reason::Stream("its length is not the number of its entries").into());
    }
    let last_id = id(source)?;
    let history = match layout {
        Layout::V1 => None,
        _ => Some(StreamHistory {
            first_id: id(source)?,
            max_deleted_id: id(source)?,
            entries_added: source.length()?,
        }),
    };
    out.part(Part::StreamFacts(StreamFacts { length, last_id, history }))?;
    seen.groups.clear();
    for _ in 0..count(source, out)? {
        check_group(source, layout, seen, out)?;
    }
    if layout >= Layout::V4 {
        check_producers(source, &mut seen.groups, &mut seen.members, out)?;
    }
    Ok(length)
}

/// An ID as two lengths.
fn id<B: Bytes>(source: &mut B) -> Result<StreamId, Box<Reason>> {
    Ok(StreamId { ms: source.length()?, seq: source.length()? })
}

/// The nodes that hold the entries, each a listpack under the ID that its entries count from.
fn check_nodes<B: Bytes, V: Visitor>(source: &mut B, out: &mut Out<'_, V>) -> Result<u64, Box<Reason>> {
    let mut live = 0;
    let mut before: Option<[u8; 16]> = None;
    for _ in 0..count(source, out)? {
        let id = <[u8; 16]>::try_from(source.string()?)
            .map_err(|_| Reason::Stream("a node's ID is not of 16 bytes"))?;
        // Nodes come out of a radix tree, and IDs are big endian: bytes in order, none twice.
        if before.is_some_and(|before| before >= id) {
            return Err(Reason::Stream("its nodes are not in order").into());
        }
        before = Some(id);
        let (first, listpack) = (StreamId::from_bytes(id), source.string()?);
        live += stream_node::check(first, listpack, out)?;
        out.frame(Frame::StreamNode { first, listpack })?;
        between(source, out)?;
    }
    Ok(live)
}

/// One consumer group: what is pending in it, and to which consumer each pending entry belongs.
fn check_group<B: Bytes, V: Visitor>(
    source: &mut B,
    layout: Layout,
    seen: &mut Seen,
    out: &mut Out<'_, V>,
) -> Result<(), Box<Reason>> {
    let mut name = std::mem::take(&mut seen.name);
    name.clear();
    name.extend_from_slice(source.string()?);
    seen.groups.add(Item::Text(&name), "consumer group")?;
    let last_id = id(source)?;
    let entries_read = match layout {
        Layout::V1 => None,
        // All ones stand for "not known".
        _ => Some(source.length()?).filter(|read| *read != u64::MAX),
    };
    out.part(Part::Group { name: &name, last_id, entries_read })?;
    seen.name = name;

    let consumers = &mut seen.members;
    consumers.clear();
    let mut pending = Pending::default();
    for _ in 0..count(source, out)? {
        let id = source.array()?;
        pending.add(id, consumers)?;
        let (delivered_ms, deliveries) = (source.milliseconds()?, source.length()?);
        out.part(Part::Pending { id: StreamId::from_bytes(id), delivered_ms, deliveries })?;
        between(source, out)?;
    }
    let owned = check_consumers(source, layout, consumers, out)?;
    if owned.entries != pending.entries || owned.sum != pending.sum {
        return Err(
            Reason::Stream("the pending entries of its consumers are not those of their group").into()
        );
    }
    Ok(())
}

/// The consumers of a group. Gives what is pending for all of them.
fn check_consumers<B: Bytes, V: Visitor>(
    source: &mut B,
    layout: Layout,
    consumers: &mut Fingerprints,
    out: &mut Out<'_, V>,
) -> Result<Pending, Box<Reason>> {
    let mut owned = Pending::default();
    let mut name = Vec::new();
    for _ in 0..count(source, out)? {
        let written = source.string()?;
        consumers.add(Item::Text(written), "consumer")?;
        if out.wants_parts() {
            name.clear();
            name.extend_from_slice(written);
        }
        let seen_ms = source.milliseconds()?;
        let active_ms = match layout {
            Layout::V1 | Layout::V2 => None,
            // Minus one stands for "never".
            _ => Some(source.milliseconds()?).filter(|ms| *ms != -1),
        };
        out.part(Part::Consumer { name: &name, seen_ms, active_ms })?;
        owned.newest = None;
        for _ in 0..count(source, out)? {
            let id = source.array()?;
            owned.add(id, consumers)?;
            out.part(Part::ConsumerPending(StreamId::from_bytes(id)))?;
            between(source, out)?;
        }
        between(source, out)?;
    }
    Ok(owned)
}

/// What producers added, so that a repeated addition is recognised.
fn check_producers<B: Bytes, V: Visitor>(
    source: &mut B,
    producers: &mut Fingerprints,
    iids: &mut Fingerprints,
    out: &mut Out<'_, V>,
) -> Result<(), Box<Reason>> {
    let (seconds, max_entries) = (source.length()?, source.length()?);
    out.part(Part::Idempotence { seconds, max_entries })?;
    producers.clear();
    let mut iid = Vec::new();
    for _ in 0..count(source, out)? {
        let producer = source.string()?;
        producers.add(Item::Text(producer), "producer")?;
        out.part(Part::Producer(producer))?;
        iids.clear();
        for _ in 0..count(source, out)? {
            iid.clear();
            iid.extend_from_slice(source.string()?);
            iids.add(Item::Text(&iid), "producer's ID")?;
            let id = id(source)?;
            out.part(Part::Produced { iid: &iid, id })?;
            between(source, out)?;
        }
        between(source, out)?;
    }
    // IDs ever added, and repeated ones.
    source.length()?;
    source.length()?;
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
