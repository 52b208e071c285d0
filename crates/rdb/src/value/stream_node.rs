//! The listpack of one stream node (Redis `src/t_stream.c`, `streamValidateListpackIntegrity`).

use crate::{
    fault::Reason,
    packed::{Item, Listpack, Packed},
    part::{Out, Part, StreamId, Visitor},
};

/// Flags of an entry (`STREAM_ITEM_FLAG_*` in Redis `src/stream.h`).
const DELETED: i64 = 1;
const SAME_FIELDS: i64 = 2;

/// Proves a node and counts its live entries, which are handed out. The counts in its head must be those of the
/// flags: servers trust them.
pub(super) fn check<V: Visitor>(
    first: StreamId,
    bytes: &[u8],
    out: &mut Out<'_, V>,
) -> Result<u64, Box<Reason>> {
    let mut items = Listpack::open(bytes)?;
    let declared_live = number(&mut items)?;
    let declared_deleted = number(&mut items)?;
    let fields = number(&mut items)?;
    let node = Node { first, fields, names: items.clone() };
    skip(&mut items, fields)?;
    if number(&mut items)? != 0 {
        return Err(Reason::Stream("a node's head does not end with a zero").into());
    }
    let (mut live, mut deleted) = (0, 0);
    while let Some(flags) = items.next_item()? {
        let counted = match node.entry(flags, &mut items, out)? {
            State::Live => &mut live,
            State::Deleted => &mut deleted,
        };
        *counted += 1;
    }
    if (live, deleted) != (declared_live, declared_deleted) {
        return Err(Reason::Stream("a node's counts are not those of its entries").into());
    }
    u64::try_from(live).map_err(|_| NEGATIVE.into())
}

enum State {
    Live,
    Deleted,
}

/// What the entries of a node have in common.
struct Node<'a> {
    /// The ID that theirs count from.
    first: StreamId,
    /// How many fields an entry has that does not bring its own.
    fields: i64,
    /// Stands before the names of those.
    names: Listpack<'a>,
}

impl<'a> Node<'a> {
    /// One entry behind its flags: its ID, its fields unless they are the node's, its values, and its own size
    /// in listpack entries for walking backwards.
    fn entry<V: Visitor>(
        &self,
        flags: Item<'_>,
        items: &mut Listpack<'a>,
        out: &mut Out<'_, V>,
    ) -> Result<State, Box<Reason>> {
        let Item::Integer(flags) = flags else {
            return Err(NOT_A_NUMBER.into());
        };
        if flags & !(DELETED | SAME_FIELDS) != 0 {
            return Err(Reason::Stream("an entry has flags that do not exist").into());
        }
        // Milliseconds and sequence, as differences from the node's ID: any number will do.
        let id = StreamId {
            ms: self.first.ms.wrapping_add_signed(number(items)?),
            seq: self.first.seq.wrapping_add_signed(number(items)?),
        };
        let has_own_fields = flags & SAME_FIELDS == 0;
        let fields = if has_own_fields { number(items)? } else { self.fields };
        let is_live = flags & DELETED == 0;
        if is_live && out.wants_parts() {
            let names = if has_own_fields { None } else { Some(self.names.clone()) };
            hand_out(id, fields, names, items, out)?;
        } else {
            skip(items, fields)?;
            if has_own_fields {
                skip(items, fields)?;
            }
        }
        // Flags and ID, and the number of the fields with the fields themselves where it has its own.
        let size = if has_own_fields {
            fields.saturating_mul(2).saturating_add(4)
        } else {
            fields.saturating_add(3)
        };
        if number(items)? != size {
            return Err(Reason::Stream("an entry's size is wrong").into());
        }
        Ok(if is_live { State::Live } else { State::Deleted })
    }
}

/// Hands out an entry whose fields stand under `names`, or each before its value.
fn hand_out<'a, V: Visitor>(
    id: StreamId,
    fields: i64,
    mut names: Option<Listpack<'a>>,
    items: &mut Listpack<'a>,
    out: &mut Out<'_, V>,
) -> Result<(), Box<Reason>> {
    let fields = u64::try_from(fields).map_err(|_| NEGATIVE)?;
    out.part(Part::StreamEntry { id, fields })?;
    for _ in 0..fields {
        let name = names.as_mut().unwrap_or(items).next_item()?.ok_or(CUT)?;
        out.part(Part::Field(name))?;
        out.part(Part::Value(items.next_item()?.ok_or(CUT)?))?;
    }
    Ok(())
}

const NOT_A_NUMBER: Reason = Reason::Stream("text where a number belongs");
const NEGATIVE: Reason = Reason::Stream("a negative count");
const CUT: Reason = Reason::Stream("a node ends inside an entry");

fn number(items: &mut Listpack<'_>) -> Result<i64, Box<Reason>> {
    match items.next_item()? {
        Some(Item::Integer(number)) => Ok(number),
        Some(Item::Text(_)) => Err(NOT_A_NUMBER.into()),
        None => Err(CUT.into()),
    }
}

/// Passes over that many entries; a lying number ends with the listpack.
fn skip(items: &mut Listpack<'_>, entries: i64) -> Result<(), Box<Reason>> {
    if entries < 0 {
        return Err(NEGATIVE.into());
    }
    for _ in 0..entries {
        items.next_item()?.ok_or(CUT)?;
    }
    Ok(())
}
