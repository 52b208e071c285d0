//! Sorted sets: plain with scores as text or as binary doubles, and as ziplist or listpack.

use super::{Role, count, member};
use crate::{
    bytes::Bytes,
    fault::Reason,
    fingerprint::{Distinct, Fingerprints},
    packed::{self, Listpack, Packed, Ziplist},
    part::{Out, Part, Visitor},
    text::Texts,
};

const MEMBER: &str = "member";

/// Type 3: a member string and a score as text each.
pub(super) fn plain_text<B: Bytes, V: Visitor>(
    source: &mut B,
    seen: &mut Fingerprints,
    out: &mut Out<'_, V>,
) -> Result<u64, Box<Reason>> {
    seen.clear();
    let members = count(source, out)?;
    for _ in 0..members {
        member(source, seen, out, MEMBER, Role::Member)?;
        out.part(Part::Score(text_score(source)?))?;
    }
    Ok(members)
}

/// Type 5: a member string and a score as a binary double each.
pub(super) fn plain_binary<B: Bytes, V: Visitor>(
    source: &mut B,
    seen: &mut Fingerprints,
    out: &mut Out<'_, V>,
) -> Result<u64, Box<Reason>> {
    seen.clear();
    let members = count(source, out)?;
    for _ in 0..members {
        member(source, seen, out, MEMBER, Role::Member)?;
        let score = f64::from_le_bytes(source.array()?);
        if score.is_nan() {
            return Err(Reason::Score.into());
        }
        out.part(Part::Score(score))?;
    }
    Ok(members)
}

/// Type 12: a ziplist of members and scores in turn.
pub(super) fn ziplist<B: Bytes, V: Visitor>(
    source: &mut B,
    seen: &mut Fingerprints,
    out: &mut Out<'_, V>,
) -> Result<u64, Box<Reason>> {
    scored(Ziplist::open(source.string()?)?, seen, out)
}

/// Type 17: a listpack of members and scores in turn.
pub(super) fn listpack<B: Bytes, V: Visitor>(
    source: &mut B,
    seen: &mut Fingerprints,
    out: &mut Out<'_, V>,
) -> Result<u64, Box<Reason>> {
    scored(Listpack::open(source.string()?)?, seen, out)
}

fn scored<'a, V: Visitor>(
    mut items: impl Packed<'a>,
    seen: &mut Fingerprints,
    out: &mut Out<'_, V>,
) -> Result<u64, Box<Reason>> {
    let mut distinct = Distinct::new(seen);
    let mut members = 0;
    while let Some(member) = items.next_item()? {
        distinct.add(member, MEMBER)?;
        let score = items.next_item()?.ok_or(Reason::Odd("sorted set"))?;
        let score = score.score().ok_or(Reason::Score)?;
        out.part(Part::Member(member))?;
        out.part(Part::Score(score))?;
        members += 1;
    }
    Ok(members)
}

/// A score of files before Redis 4 (Redis `src/rdb.c`, `rdbLoadDoubleValue`).
fn text_score<B: Bytes>(source: &mut B) -> Result<f64, Box<Reason>> {
    const NAN: u8 = 253;
    const INFINITE: u8 = 254;
    const MINUS_INFINITE: u8 = 255;
    match source.byte()? {
        NAN => Err(Reason::Score.into()),
        INFINITE => Ok(f64::INFINITY),
        MINUS_INFINITE => Ok(f64::NEG_INFINITY),
        length => Ok(packed::score(source.bytes(length.into())?).ok_or(Reason::Score)?),
    }
}
