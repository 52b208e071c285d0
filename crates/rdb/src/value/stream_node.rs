//! The listpack of one stream node (Redis `src/t_stream.c`, `streamValidateListpackIntegrity`).

use crate::{
    fault::Reason,
    packed::{Item, Listpack, Packed},
};

/// Flags of an entry (`STREAM_ITEM_FLAG_*` in Redis `src/stream.h`).
const DELETED: i64 = 1;
const SAME_FIELDS: i64 = 2;

/// Proves a node and counts its live entries. The counts in its head must be those of the flags: servers
/// trust them.
pub(super) fn check(bytes: &[u8]) -> Result<u64, Box<Reason>> {
    let mut items = Listpack::open(bytes)?;
    let declared_live = number(&mut items)?;
    let declared_deleted = number(&mut items)?;
    let fields = number(&mut items)?;
    skip(&mut items, fields)?;
    if number(&mut items)? != 0 {
        return Err(Reason::Stream("a node's head does not end with a zero").into());
    }
    let (mut live, mut deleted) = (0, 0);
    while let Some(flags) = items.next_item()? {
        let counted = match check_entry(flags, fields, &mut items)? {
            State::Live => &mut live,
            State::Deleted => &mut deleted,
        };
        *counted += 1;
    }
    if (live, deleted) != (declared_live, declared_deleted) {
        return Err(Reason::Stream("a node's counts are not those of its entries").into());
    }
    u64::try_from(live).map_err(|_| Reason::Stream("a negative count").into())
}

enum State {
    Live,
    Deleted,
}

/// One entry behind its flags: its ID, its fields unless they are the node's, its values, and its own size
/// in listpack entries for walking backwards.
fn check_entry(flags: Item<'_>, node_fields: i64, items: &mut Listpack<'_>) -> Result<State, Box<Reason>> {
    let Item::Integer(flags) = flags else {
        return Err(NOT_A_NUMBER.into());
    };
    if flags & !(DELETED | SAME_FIELDS) != 0 {
        return Err(Reason::Stream("an entry has flags that do not exist").into());
    }
    // Milliseconds and sequence, as differences from the node's ID: any number will do.
    number(items)?;
    number(items)?;
    let size = if flags & SAME_FIELDS == 0 {
        let fields = number(items)?;
        skip(items, fields)?;
        skip(items, fields)?;
        fields.saturating_mul(2).saturating_add(4)
    } else {
        skip(items, node_fields)?;
        node_fields.saturating_add(3)
    };
    if number(items)? != size {
        return Err(Reason::Stream("an entry's size is wrong").into());
    }
    Ok(if flags & DELETED == 0 { State::Live } else { State::Deleted })
}

const NOT_A_NUMBER: Reason = Reason::Stream("text where a number belongs");
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
        return Err(Reason::Stream("a negative count").into());
    }
    for _ in 0..entries {
        items.next_item()?.ok_or(CUT)?;
    }
    Ok(())
}
