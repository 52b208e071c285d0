//! Hashes without field expiry: plain, and as zipmap, ziplist or listpack.

use std::io::BufRead;

use super::member;
use crate::{
    fault::Reason,
    fingerprint::Fingerprints,
    packed::{self, Listpack, Packed, Ziplist},
    source::Source,
};

const FIELD: &str = "field";

/// Type 4: a field and a value string each.
pub(super) fn plain<R: BufRead>(source: &mut Source<R>, seen: &mut Fingerprints) -> Result<u64, Box<Reason>> {
    seen.clear();
    let fields = source.length()?;
    for _ in 0..fields {
        member(source, seen, FIELD)?;
        source.skip_string()?;
    }
    Ok(fields)
}

/// Type 9: a zipmap.
pub(super) fn zipmap<R: BufRead>(
    source: &mut Source<R>,
    seen: &mut Fingerprints,
) -> Result<u64, Box<Reason>> {
    seen.clear();
    packed::zipmap::check(source.string()?, seen)
}

/// Type 13: a ziplist of fields and values in turn.
pub(super) fn ziplist<R: BufRead>(
    source: &mut Source<R>,
    seen: &mut Fingerprints,
) -> Result<u64, Box<Reason>> {
    pairs(Ziplist::open(source.string()?)?, seen)
}

/// Type 16: a listpack of fields and values in turn.
pub(super) fn listpack<R: BufRead>(
    source: &mut Source<R>,
    seen: &mut Fingerprints,
) -> Result<u64, Box<Reason>> {
    pairs(Listpack::open(source.string()?)?, seen)
}

fn pairs<'a>(mut items: impl Packed<'a>, seen: &mut Fingerprints) -> Result<u64, Box<Reason>> {
    seen.clear();
    let mut fields = 0;
    while let Some(field) = items.next_item()? {
        seen.add(field, FIELD)?;
        items.next_item()?.ok_or(Reason::Odd("hash"))?;
        fields += 1;
    }
    Ok(fields)
}
