//! Sets: plain, of numbers, and as a listpack.

use std::io::BufRead;

use super::member;
use crate::{
    fault::Reason,
    fingerprint::Fingerprints,
    packed::{self, Listpack, Packed},
    source::Source,
};

const MEMBER: &str = "member";

/// Type 2: one string per member.
pub(super) fn plain<R: BufRead>(source: &mut Source<R>, seen: &mut Fingerprints) -> Result<u64, Box<Reason>> {
    seen.clear();
    let members = source.length()?;
    for _ in 0..members {
        member(source, seen, MEMBER)?;
    }
    Ok(members)
}

/// Type 11: an intset, whose order shows that members are distinct.
pub(super) fn intset<R: BufRead>(source: &mut Source<R>) -> Result<u64, Box<Reason>> {
    packed::intset::check(source.string()?)
}

/// Type 20: a listpack of members.
pub(super) fn listpack<R: BufRead>(
    source: &mut Source<R>,
    seen: &mut Fingerprints,
) -> Result<u64, Box<Reason>> {
    seen.clear();
    let mut items = Listpack::open(source.string()?)?;
    let mut members = 0;
    while let Some(item) = items.next_item()? {
        seen.add(item, MEMBER)?;
        members += 1;
    }
    Ok(members)
}
