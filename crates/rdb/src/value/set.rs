//! Sets: plain, of numbers, and as a listpack.

use super::{Role, count, member};
use crate::{
    bytes::Bytes,
    fault::Reason,
    fingerprint::{Distinct, Fingerprints},
    packed::{Intset, Listpack, Packed},
    part::{Out, Part, Visitor},
    text::Texts,
};

const MEMBER: &str = "member";

/// Type 2: one string per member.
pub(super) fn plain<B: Bytes, V: Visitor>(
    source: &mut B,
    seen: &mut Fingerprints,
    out: &mut Out<'_, V>,
) -> Result<u64, Box<Reason>> {
    seen.clear();
    let members = count(source, out)?;
    for _ in 0..members {
        member(source, seen, out, MEMBER, Role::Member)?;
    }
    Ok(members)
}

/// Type 11: an intset, whose order shows that members are distinct. Servers refuse an empty one.
pub(super) fn intset<B: Bytes, V: Visitor>(source: &mut B, out: &mut Out<'_, V>) -> Result<u64, Box<Reason>> {
    let mut items = Intset::open(source.string()?)?;
    if out.wants_parts() {
        while let Some(member) = items.next_item()? {
            out.part(Part::Member(member))?;
        }
    }
    Ok(items.len())
}

/// Type 20: a listpack of members.
pub(super) fn listpack<B: Bytes, V: Visitor>(
    source: &mut B,
    seen: &mut Fingerprints,
    out: &mut Out<'_, V>,
) -> Result<u64, Box<Reason>> {
    let mut distinct = Distinct::new(seen);
    let mut items = Listpack::open(source.string()?)?;
    let mut members = 0;
    while let Some(item) = items.next_item()? {
        distinct.add(item, MEMBER)?;
        out.part(Part::Member(item))?;
        members += 1;
    }
    Ok(members)
}
