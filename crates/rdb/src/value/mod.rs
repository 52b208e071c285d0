//! Values of every type: which bytes belong to one, and whether a server can be trusted with them.
//! Nothing is handed out but the kind and the number of elements.

mod hash;
mod list;
mod module;
mod set;
mod sorted_set;
mod stream;
mod stream_node;

use std::io::BufRead;

use crate::{
    event::{Kind, ModuleId},
    fault::Reason,
    fingerprint::Fingerprints,
    packed::{Item, Packed},
    source::Source,
    text::Text,
};

pub(crate) use module::skip_module_values;

/// Longer members of plain sets, hashes and sorted sets are not compared with the others.
const COMPARED_BYTES: u64 = 64 << 10;

/// What was found of a value.
pub(crate) struct Value {
    pub(crate) kind: Kind,
    pub(crate) elements: u64,
    pub(crate) module: Option<ModuleId>,
}

/// What must not stand twice within one value.
pub(crate) struct Seen {
    /// Members, fields, or the consumers of one group.
    members: Fingerprints,
    /// The groups of one stream.
    groups: Fingerprints,
}

impl Seen {
    pub(crate) fn new() -> Self {
        Self { members: Fingerprints::new(), groups: Fingerprints::new() }
    }
}

/// Proves the value that a type byte announces (`RDB_TYPE_*` in Redis `src/rdb.h`).
#[inline]
pub(crate) fn check<R: BufRead>(
    encoding: u8,
    source: &mut Source<R>,
    seen: &mut Seen,
) -> Result<Value, Box<Reason>> {
    if encoding == 0 {
        source.skip_string()?;
        return Ok(Value { kind: Kind::String, elements: 1, module: None });
    }
    check_collection(encoding, source, seen)
}

fn check_collection<R: BufRead>(
    encoding: u8,
    source: &mut Source<R>,
    seen: &mut Seen,
) -> Result<Value, Box<Reason>> {
    let mut module = None;
    let members = &mut seen.members;
    let (kind, elements) = match encoding {
        1 => (Kind::List, list::plain(source)?),
        2 => (Kind::Set, set::plain(source, members)?),
        3 => (Kind::SortedSet, sorted_set::plain_text(source, members)?),
        4 => (Kind::Hash, hash::plain(source, members)?),
        5 => (Kind::SortedSet, sorted_set::plain_binary(source, members)?),
        7 => {
            module = Some(module::check(source)?);
            (Kind::Module, 1)
        }
        9 => (Kind::Hash, hash::zipmap(source, members)?),
        10 => (Kind::List, list::ziplist(source)?),
        11 => (Kind::Set, set::intset(source)?),
        12 => (Kind::SortedSet, sorted_set::ziplist(source, members)?),
        13 => (Kind::Hash, hash::ziplist(source, members)?),
        14 => (Kind::List, list::quicklist(source)?),
        15 => (Kind::Stream, stream::check(source, stream::Layout::V1, seen)?),
        16 => (Kind::Hash, hash::listpack(source, members)?),
        17 => (Kind::SortedSet, sorted_set::listpack(source, members)?),
        18 => (Kind::List, list::quicklist2(source)?),
        19 => (Kind::Stream, stream::check(source, stream::Layout::V2, seen)?),
        20 => (Kind::Set, set::listpack(source, members)?),
        21 => (Kind::Stream, stream::check(source, stream::Layout::V3, seen)?),
        _ => return Err(Reason::UnknownType(encoding).into()),
    };
    Ok(Value { kind, elements, module })
}

/// Proves a member that is a string of its own, and that it is new in its collection.
#[inline]
fn member<R: BufRead>(
    source: &mut Source<R>,
    members: &mut Fingerprints,
    what: &'static str,
) -> Result<(), Box<Reason>> {
    let text = source.text()?;
    let longest = COMPARED_BYTES.min(source.max_blob_bytes);
    match text {
        _ if !members.is_open() => source.skip_text(text).map(drop),
        Text::Integer(number) => members.add(Item::Integer(number), what),
        Text::Plain(bytes) if bytes <= longest => members.add(Item::Text(source.bytes(bytes)?), what),
        Text::Lzf { plain, .. } if plain <= longest => members.add(Item::Text(source.decode(text)?), what),
        Text::Plain(_) | Text::Lzf { .. } => source.skip_text(text).map(drop),
    }
}

/// Counts the entries of a packed list.
fn count_items<'a>(mut items: impl Packed<'a>) -> Result<u64, Box<Reason>> {
    let mut count = 0;
    while items.next_item()?.is_some() {
        count += 1;
    }
    Ok(count)
}
