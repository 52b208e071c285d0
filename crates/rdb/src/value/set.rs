//! Sets: plain, of numbers, and as a listpack.

use std::io::BufRead;

use super::{Role, count, member};
use crate::{
    fault::Reason,
    fingerprint::Fingerprints,
    packed::{Intset, Listpack, Packed},
    part::{Out, Part, Visitor},
    source::Source,
};

const MEMBER: &str = "member";

/// Type 2: one string per member.
pub(super) fn plain<R: BufRead, V: Visitor>(
    source: &mut Source<R>,
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
pub(super) fn intset<R: BufRead, V: Visitor>(
    source: &mut Source<R>,
    out: &mut Out<'_, V>,
) -> Result<u64, Box<Reason>> {
    let mut items = Intset::open(source.string()?)?;
    if out.wants_parts() {
        while let Some(member) = items.next_item()? {
            out.part(Part::Member(member))?;
        }
    }
    Ok(items.len())
}

/// Type 20: a listpack of members.
pub(super) fn listpack<R: BufRead, V: Visitor>(
    source: &mut Source<R>,
    seen: &mut Fingerprints,
    out: &mut Out<'_, V>,
) -> Result<u64, Box<Reason>> {
    seen.clear();
    let mut items = Listpack::open(source.string()?)?;
    let mut members = 0;
    while let Some(item) = items.next_item()? {
        seen.add(item, MEMBER)?;
        out.part(Part::Member(item))?;
        members += 1;
    }
    Ok(members)
}
