//! Values of every type: which bytes belong to one, and whether a server can be trusted with them.
//! What a value is made of is handed to a visitor on the way.

mod hash;
mod list;
mod module;
mod set;
mod sorted_set;
mod stream;
mod stream_node;

use crate::{
    bytes::Bytes,
    event::ModuleId,
    fault::Reason,
    fingerprint::Fingerprints,
    format::{Encoding, Flavour},
    length::Lengths,
    packed::{Item, Packed},
    part::{Frame, Out, Part, Visitor, Want},
    source::GROWTH_BYTES,
    text::{Text, Texts},
};

pub(crate) use module::walk_module_values;

/// Longer members of plain sets, hashes and sorted sets are not compared with the others.
const COMPARED_BYTES: u64 = 64 << 10;

/// What was found of a value.
#[derive(Default)]
pub(crate) struct Value {
    pub(crate) elements: u64,
    /// Fields of a hash that expire.
    pub(crate) expiring_fields: u64,
    /// Bytes, with compressed strings expanded.
    pub(crate) bytes: u64,
    pub(crate) module: Option<ModuleId>,
}

/// What must not stand twice within one value.
pub(crate) struct Seen {
    /// Members, fields, or the consumers of one group.
    members: Fingerprints,
    /// The groups of one stream, or its producers.
    groups: Fingerprints,
    /// The name of the group at hand.
    name: Vec<u8>,
}

impl Seen {
    pub(crate) fn new() -> Self {
        Self { members: Fingerprints::new(), groups: Fingerprints::new(), name: Vec::new() }
    }

    /// Members and groups so far that were not compared with the others of their collection.
    pub(crate) fn not_compared(&self) -> [u64; 2] {
        [self.members.not_compared(), self.groups.not_compared()]
    }

    /// Takes back what was counted in vain.
    pub(crate) fn set_not_compared(&mut self, [members, groups]: [u64; 2]) {
        self.members.set_not_compared(members);
        self.groups.set_not_compared(groups);
    }
}

/// Proves the value that a type byte announces (`RDB_TYPE_*` in Redis `src/rdb.h`).
#[inline]
pub(crate) fn check<B: Bytes, V: Visitor>(
    encoding: Encoding,
    source: &mut B,
    seen: &mut Seen,
    out: &mut Out<'_, V>,
) -> Result<Value, Box<Reason>> {
    let start = source.plain_offset();
    let mut value = Value { elements: 1, expiring_fields: 0, bytes: 0, module: None };
    if encoding.number == 0 {
        string(source, out, Role::Text)?;
    } else {
        check_collection(encoding, source, seen, out, &mut value)?;
    }
    value.bytes = source.plain_offset() - start;
    Ok(value)
}

fn check_collection<B: Bytes, V: Visitor>(
    encoding: Encoding,
    source: &mut B,
    seen: &mut Seen,
    out: &mut Out<'_, V>,
    value: &mut Value,
) -> Result<(), Box<Reason>> {
    let members = &mut seen.members;
    let expiring = &mut value.expiring_fields;
    value.elements = match (encoding.number, encoding.flavour) {
        (1, _) => list::plain(source, out)?,
        (2, _) => set::plain(source, members, out)?,
        (3, _) => sorted_set::plain_text(source, members, out)?,
        (4, _) => hash::plain(source, members, out)?,
        (5, _) => sorted_set::plain_binary(source, members, out)?,
        (7, _) => {
            value.module = Some(module::check(source, out)?);
            1
        }
        (9, _) => hash::zipmap(source, members, out)?,
        (10, _) => list::ziplist(source, out)?,
        (11, _) => set::intset(source, out)?,
        (12, _) => sorted_set::ziplist(source, members, out)?,
        (13, _) => hash::ziplist(source, members, out)?,
        (14, _) => list::quicklist(source, out)?,
        (15, _) => stream::check(source, stream::Layout::V1, seen, out)?,
        (16, _) => hash::listpack(source, members, out)?,
        (17, _) => sorted_set::listpack(source, members, out)?,
        (18, _) => list::quicklist2(source, out)?,
        (19, _) => stream::check(source, stream::Layout::V2, seen, out)?,
        (20, _) => set::listpack(source, members, out)?,
        (21, _) => stream::check(source, stream::Layout::V3, seen, out)?,
        (22, Flavour::Valkey) => hash::expiring_valkey(source, members, out, expiring)?,
        (22, Flavour::Redis) => hash::expiring_pre_ga(source, members, out, expiring)?,
        (23, Flavour::Redis) => hash::expiring_listpack_pre_ga(source, members, out, expiring)?,
        (24, Flavour::Redis) => hash::expiring(source, members, out, expiring)?,
        (25, Flavour::Redis) => hash::expiring_listpack(source, members, out, expiring)?,
        (26, Flavour::Redis) => stream::check(source, stream::Layout::V4, seen, out)?,
        _ => return Err(Reason::UnknownType(encoding).into()),
    };
    Ok(())
}

/// What a string of its own is to the value that it belongs to.
#[derive(Debug, Clone, Copy)]
enum Role {
    Text,
    Element,
    Member,
    Field,
    Value,
}

impl Role {
    #[inline]
    fn part(self, item: Item<'_>) -> Part<'_> {
        match self {
            Self::Text => Part::Text(item),
            Self::Element => Part::Element(item),
            Self::Member => Part::Member(item),
            Self::Field => Part::Field(item),
            Self::Value => Part::Value(item),
        }
    }
}

/// How many things follow.
#[inline]
fn count<B: Bytes, V: Visitor>(source: &mut B, out: &mut Out<'_, V>) -> Result<u64, Box<Reason>> {
    let count = source.length()?;
    out.frame(Frame::Count(count))?;
    Ok(count)
}

/// Proves a string and hands it out. Where only its bytes are wanted it is never held.
#[inline]
fn string<B: Bytes, V: Visitor>(source: &mut B, out: &mut Out<'_, V>, role: Role) -> Result<(), Box<Reason>> {
    let text = source.text()?;
    string_body(source, out, role, text)
}

/// The same for a string whose head was read.
#[inline]
fn string_body<B: Bytes, V: Visitor>(
    source: &mut B,
    out: &mut Out<'_, V>,
    role: Role,
    text: Text,
) -> Result<(), Box<Reason>> {
    if out.wants_parts() {
        return out.part(role.part(source.item(text)?));
    }
    if out.wants_raw() {
        return raw_string(source, out, text);
    }
    source.skip_text(text).map(drop)
}

/// Proves the body of a string of which the bytes are wanted, handing on those of a long one in steps.
fn raw_string<B: Bytes, V: Visitor>(
    source: &mut B,
    out: &mut Out<'_, V>,
    text: Text,
) -> Result<(), Box<Reason>> {
    match text {
        Text::Plain(mut left) => {
            while left > 0 {
                let step = left.min(GROWTH_BYTES as u64);
                source.skip(step)?;
                hand_on(source, out)?;
                left -= step;
            }
        }
        text => drop(source.skip_text(text)?),
    }
    hand_on(source, out)
}

/// Hands on the value's bytes when enough have gathered, and lets the visitor turn to parts. Called between the elements
/// of every collection that has no bound, where all parts so far have been handed out or would have been.
#[inline]
fn between<B: Bytes, V: Visitor>(source: &mut B, out: &mut Out<'_, V>) -> Result<(), Box<Reason>> {
    if !out.wants_raw() {
        return Ok(());
    }
    hand_on(source, out)?;
    if out.visitor.turns_to_parts() {
        source.drain_tap(|bytes| out.visitor.raw(bytes))?;
        source.end_tap();
        out.want = Want::Parts;
    }
    Ok(())
}

/// Hands on the value's bytes when enough have gathered.
#[inline]
fn hand_on<B: Bytes, V: Visitor>(source: &mut B, out: &mut Out<'_, V>) -> Result<(), Box<Reason>> {
    if out.wants_raw() && source.is_tap_full() {
        source.drain_tap(|bytes| out.visitor.raw(bytes))?;
    }
    Ok(())
}

/// Proves a member that is a string of its own, and that it is new in its collection.
#[inline]
fn member<B: Bytes, V: Visitor>(
    source: &mut B,
    members: &mut Fingerprints,
    out: &mut Out<'_, V>,
    what: &'static str,
    role: Role,
) -> Result<(), Box<Reason>> {
    between(source, out)?;
    let text = source.text()?;
    if out.wants_parts() {
        let item = source.item(text)?;
        members.add(item, what)?;
        return out.part(role.part(item));
    }
    let longest = COMPARED_BYTES.min(source.max_blob_bytes());
    match text {
        _ if !members.is_open() => pass_over(source, members, out, text),
        Text::Integer(number) => members.add(Item::Integer(number), what),
        Text::Plain(bytes) if bytes <= longest => members.add(Item::Text(source.bytes(bytes)?), what),
        Text::Lzf { plain, .. } if plain <= longest => members.add(Item::Text(source.decode(text)?), what),
        Text::Plain(_) | Text::Lzf { .. } => pass_over(source, members, out, text),
    }
}

/// Proves a member without comparing it.
fn pass_over<B: Bytes, V: Visitor>(
    source: &mut B,
    members: &mut Fingerprints,
    out: &mut Out<'_, V>,
    text: Text,
) -> Result<(), Box<Reason>> {
    members.pass_over();
    if out.wants_raw() { raw_string(source, out, text) } else { source.skip_text(text).map(drop) }
}

/// Hands out the entries of a packed list and counts them.
fn elements<'a, V: Visitor>(mut items: impl Packed<'a>, out: &mut Out<'_, V>) -> Result<u64, Box<Reason>> {
    let mut count = 0;
    while let Some(item) = items.next_item()? {
        out.part(Part::Element(item))?;
        count += 1;
    }
    Ok(count)
}
