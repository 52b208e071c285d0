//! Sorted sets: plain with scores as text or as binary doubles, and as ziplist or listpack.

use std::io::BufRead;

use super::member;
use crate::{
    fault::Reason,
    fingerprint::Fingerprints,
    packed::{self, Listpack, Packed, Ziplist},
    source::Source,
};

const MEMBER: &str = "member";

/// Type 3: a member string and a score as text each.
pub(super) fn plain_text<R: BufRead>(
    source: &mut Source<R>,
    seen: &mut Fingerprints,
) -> Result<u64, Box<Reason>> {
    seen.clear();
    let members = source.length()?;
    for _ in 0..members {
        member(source, seen, MEMBER)?;
        text_score(source)?;
    }
    Ok(members)
}

/// Type 5: a member string and a score as a binary double each.
pub(super) fn plain_binary<R: BufRead>(
    source: &mut Source<R>,
    seen: &mut Fingerprints,
) -> Result<u64, Box<Reason>> {
    seen.clear();
    let members = source.length()?;
    for _ in 0..members {
        member(source, seen, MEMBER)?;
        if f64::from_le_bytes(source.array()?).is_nan() {
            return Err(Reason::Score.into());
        }
    }
    Ok(members)
}

/// Type 12: a ziplist of members and scores in turn.
pub(super) fn ziplist<R: BufRead>(
    source: &mut Source<R>,
    seen: &mut Fingerprints,
) -> Result<u64, Box<Reason>> {
    scored(Ziplist::open(source.string()?)?, seen)
}

/// Type 17: a listpack of members and scores in turn.
pub(super) fn listpack<R: BufRead>(
    source: &mut Source<R>,
    seen: &mut Fingerprints,
) -> Result<u64, Box<Reason>> {
    scored(Listpack::open(source.string()?)?, seen)
}

fn scored<'a>(mut items: impl Packed<'a>, seen: &mut Fingerprints) -> Result<u64, Box<Reason>> {
    seen.clear();
    let mut members = 0;
    while let Some(member) = items.next_item()? {
        seen.add(member, MEMBER)?;
        let score = items.next_item()?.ok_or(Reason::Odd("sorted set"))?;
        if !score.is_score() {
            return Err(Reason::Score.into());
        }
        members += 1;
    }
    Ok(members)
}

/// A score of files before Redis 4 (Redis `src/rdb.c`, `rdbLoadDoubleValue`).
fn text_score<R: BufRead>(source: &mut Source<R>) -> Result<(), Box<Reason>> {
    const NAN: u8 = 253;
    const INFINITE: u8 = 254;
    const MINUS_INFINITE: u8 = 255;
    match source.byte()? {
        NAN => Err(Reason::Score.into()),
        INFINITE | MINUS_INFINITE => Ok(()),
        length if packed::is_score(source.bytes(length.into())?) => Ok(()),
        _ => Err(Reason::Score.into()),
    }
}
