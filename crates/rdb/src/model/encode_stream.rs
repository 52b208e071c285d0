//! Writes streams, with nodes built here (Redis `src/rdb.c`, `rdbSaveObject`; `src/t_stream.c`, `streamAppendItem`).

use super::{Consumer, Group, Pending, Stream, StreamEntry};
use crate::{
    encode,
    format::Format,
    packed::{Item, ListpackBuilder, TooLong},
    part::{StreamHistory, StreamId},
    unwritable::Unwritable,
};

/// Most entries and bytes of a node (`stream-node-max-entries` and `-bytes`, their defaults).
const NODE_ENTRIES: usize = 100;
const NODE_BYTES: usize = 4096;

/// An entry whose fields are those of its node (`STREAM_ITEM_FLAG_SAMEFIELDS` in Redis `src/stream.h`).
const SAME_FIELDS: i64 = 2;

/// Which of a stream's facts a format has a place for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Layout {
    /// Type 15.
    V1,
    /// Type 19: history, entries read.
    V2,
    /// Type 21: when a consumer was active.
    V3,
}

impl Layout {
    /// The newest that servers of the format read.
    pub(crate) fn of(format: Format) -> Self {
        match format.version {
            ..10 => Self::V1,
            10 => Self::V2,
            11.. => Self::V3,
        }
    }

    /// Its type byte.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::V1 => 15,
            Self::V2 => 19,
            Self::V3 => 21,
        }
    }
}

/// Writes a stream and gives its type byte.
pub(super) fn stream(out: &mut Vec<u8>, stream: &Stream, format: Format) -> Result<u8, Unwritable> {
    if stream.idempotence.as_ref().is_some_and(|idempotence| !idempotence.producers.is_empty()) {
        return Err(Unwritable::Producers(format));
    }
    let ids = stream.entries.iter().map(|entry| entry.id);
    let last_id = ids.clone().next_back().unwrap_or_default();
    if !ids.is_sorted_by(|a, b| a < b) || last_id > stream.last_id {
        return Err(Unwritable::StreamOrder);
    }
    let layout = Layout::of(format);
    nodes(out, &stream.entries).map_err(Unwritable::too_long(format))?;
    encode::count(out, stream.entries.len());
    encode::id(out, stream.last_id);
    if layout >= Layout::V2 {
        history(out, stream.history.unwrap_or_else(|| history_of(&stream.entries)));
    }
    encode::count(out, stream.groups.len());
    for each in &stream.groups {
        group(out, each, layout)?;
    }
    Ok(layout.number())
}

/// What follows a stream's last ID in types 19 and 21.
pub(crate) fn history(out: &mut Vec<u8>, history: StreamHistory) {
    encode::id(out, history.first_id);
    encode::id(out, history.max_deleted_id);
    encode::length(out, history.entries_added);
}

/// What servers take for a stream's history when the file is too old to tell (Redis `src/rdb.c`, `rdbLoadObject`).
fn history_of(entries: &[StreamEntry]) -> StreamHistory {
    StreamHistory {
        first_id: entries.first().map(|entry| entry.id).unwrap_or_default(),
        max_deleted_id: StreamId::default(),
        entries_added: entries.len() as u64,
    }
}

fn nodes(out: &mut Vec<u8>, entries: &[StreamEntry]) -> Result<(), TooLong> {
    let mut body = Vec::new();
    let mut node = ListpackBuilder::new();
    let (mut written, mut rest) = (0, entries);
    while let Some(first) = rest.first() {
        let filled = fill(&mut node, first, rest)?;
        encode::plain(&mut body, &first.id.to_bytes());
        encode::plain(&mut body, node.finish()?);
        rest = &rest[filled..];
        written += 1;
    }
    encode::length(out, written);
    out.append(&mut body);
    Ok(())
}

/// Fills a node with as many entries as belong into one; gives their number.
fn fill(node: &mut ListpackBuilder, first: &StreamEntry, entries: &[StreamEntry]) -> Result<usize, TooLong> {
    let mut bytes = 0;
    let filled = entries.iter().take(NODE_ENTRIES).take_while(|entry| {
        let has_room = bytes < NODE_BYTES;
        bytes += entry.fields.iter().map(|(field, value)| field.len() + value.len()).sum::<usize>();
        has_room
    });
    let filled = filled.count();
    node.clear();
    number(node, filled)?;
    number(node, 0)?;
    number(node, first.fields.len())?;
    for (field, _) in &first.fields {
        node.push(Item::Text(field))?;
    }
    number(node, 0)?;
    for each in &entries[..filled] {
        entry(node, first, each)?;
    }
    Ok(filled)
}

fn entry(node: &mut ListpackBuilder, first: &StreamEntry, entry: &StreamEntry) -> Result<(), TooLong> {
    let names = |entry: &StreamEntry| entry.fields.len();
    let same = names(entry) == names(first)
        && entry.fields.iter().zip(&first.fields).all(|((field, _), (of_first, _))| field == of_first);
    node.push(Item::Integer(if same { SAME_FIELDS } else { 0 }))?;
    // Differences may be negative, and wrap.
    node.push(Item::Integer(entry.id.ms.wrapping_sub(first.id.ms).cast_signed()))?;
    node.push(Item::Integer(entry.id.seq.wrapping_sub(first.id.seq).cast_signed()))?;
    if !same {
        number(node, entry.fields.len())?;
    }
    for (field, value) in &entry.fields {
        if !same {
            node.push(Item::Text(field))?;
        }
        node.push(Item::Text(value))?;
    }
    // How many listpack entries this one takes, for walking backwards.
    let fields = entry.fields.len();
    number(node, if same { fields + 3 } else { 2 * fields + 4 })
}

fn number(node: &mut ListpackBuilder, number: usize) -> Result<(), TooLong> {
    node.push(Item::Integer(i64::try_from(number).map_err(|_| TooLong)?))
}

fn group(out: &mut Vec<u8>, group: &Group, layout: Layout) -> Result<(), Unwritable> {
    group_head(out, &group.name, group.last_id, group.entries_read, layout);
    let mut pending: Vec<&Pending> = group.consumers.iter().flat_map(|consumer| &consumer.pending).collect();
    pending.sort_unstable_by_key(|pending| pending.id);
    if !pending.is_sorted_by(|a, b| a.id < b.id) {
        return Err(Unwritable::StreamOrder);
    }
    encode::count(out, pending.len());
    for each in pending {
        group_pending(out, *each);
    }
    encode::count(out, group.consumers.len());
    for consumer in &group.consumers {
        let Consumer { name, seen_ms, active_ms, pending } = consumer;
        if !pending.is_sorted_by(|a, b| a.id < b.id) {
            return Err(Unwritable::StreamOrder);
        }
        consumer_head(out, name, *seen_ms, *active_ms, layout);
        encode::count(out, pending.len());
        for each in pending {
            out.extend(each.id.to_bytes());
        }
    }
    Ok(())
}

/// A group up to its pending entries.
pub(crate) fn group_head(
    out: &mut Vec<u8>,
    name: &[u8],
    last_id: StreamId,
    entries_read: Option<u64>,
    layout: Layout,
) {
    encode::string(out, name);
    encode::id(out, last_id);
    if layout >= Layout::V2 {
        // All ones stand for "not known".
        encode::length(out, entries_read.unwrap_or(u64::MAX));
    }
}

/// An entry that is pending in a group.
pub(crate) fn group_pending(out: &mut Vec<u8>, pending: Pending) {
    out.extend(pending.id.to_bytes());
    encode::milliseconds(out, pending.delivered_ms);
    encode::length(out, pending.deliveries);
}

/// A consumer up to what is pending for it.
pub(crate) fn consumer_head(
    out: &mut Vec<u8>,
    name: &[u8],
    seen_ms: i64,
    active_ms: Option<i64>,
    layout: Layout,
) {
    encode::string(out, name);
    encode::milliseconds(out, seen_ms);
    if layout >= Layout::V3 {
        // Minus one stands for "never".
        encode::milliseconds(out, active_ms.unwrap_or(-1));
    }
}
