//! Hashes: plain, as zipmap, ziplist or listpack, and those whose fields expire.

use super::{Role, count, member, string};
use crate::{
    bytes::Bytes,
    fault::Reason,
    fingerprint::{Distinct, Fingerprints},
    length::Lengths,
    packed::{self, Item, Listpack, Packed, Ziplist},
    part::{Out, Part, Visitor},
    text::Texts,
};

const FIELD: &str = "field";
/// The latest expiry of a field in Redis (`EB_EXPIRE_TIME_MAX` in `src/ebuckets.h`), Unix milliseconds.
const LATEST_EXPIRY: u64 = (1 << 48) - 1;

const TOO_LATE: Reason = Reason::FieldExpiry("a field expires later than servers can tell");
const NEGATIVE: Reason = Reason::FieldExpiry("a field's expiry is negative");

/// Type 4: a field and a value string each.
pub(super) fn plain<B: Bytes, V: Visitor>(
    source: &mut B,
    seen: &mut Fingerprints,
    out: &mut Out<'_, V>,
) -> Result<u64, Box<Reason>> {
    seen.clear();
    let fields = count(source, out)?;
    for _ in 0..fields {
        member(source, seen, out, FIELD, Role::Field)?;
        string(source, out, Role::Value)?;
    }
    Ok(fields)
}

/// Type 9: a zipmap.
pub(super) fn zipmap<B: Bytes, V: Visitor>(
    source: &mut B,
    seen: &mut Fingerprints,
    out: &mut Out<'_, V>,
) -> Result<u64, Box<Reason>> {
    pairs(packed::Zipmap::open(source.string()?)?, seen, out)
}

/// Type 13: a ziplist of fields and values in turn.
pub(super) fn ziplist<B: Bytes, V: Visitor>(
    source: &mut B,
    seen: &mut Fingerprints,
    out: &mut Out<'_, V>,
) -> Result<u64, Box<Reason>> {
    pairs(Ziplist::open(source.string()?)?, seen, out)
}

/// Type 16: a listpack of fields and values in turn.
pub(super) fn listpack<B: Bytes, V: Visitor>(
    source: &mut B,
    seen: &mut Fingerprints,
    out: &mut Out<'_, V>,
) -> Result<u64, Box<Reason>> {
    pairs(Listpack::open(source.string()?)?, seen, out)
}

fn pairs<'a, V: Visitor>(
    mut items: impl Packed<'a>,
    seen: &mut Fingerprints,
    out: &mut Out<'_, V>,
) -> Result<u64, Box<Reason>> {
    let mut distinct = Distinct::new(seen);
    let mut fields = 0;
    while let Some(field) = items.next_item()? {
        distinct.add(field, FIELD)?;
        let value = items.next_item()?.ok_or(Reason::Odd("hash"))?;
        out.part(Part::Field(field))?;
        out.part(Part::Value(value))?;
        fields += 1;
    }
    Ok(fields)
}

/// Type 24 of Redis: the earliest expiry, then a distance from it (0: none), a field and a value each
/// (Redis `src/rdb.c`, `RDB_TYPE_HASH_METADATA`).
pub(super) fn expiring<B: Bytes, V: Visitor>(
    source: &mut B,
    seen: &mut Fingerprints,
    out: &mut Out<'_, V>,
    expiring: &mut u64,
) -> Result<u64, Box<Reason>> {
    let earliest = earliest(source)?;
    expiring_by(source, seen, out, expiring, |distance| distance.checked_add(earliest).map(|sum| sum - 1))
}

/// Type 22 of Redis, of the release candidates of 7.4: the same with the expiry itself.
pub(super) fn expiring_pre_ga<B: Bytes, V: Visitor>(
    source: &mut B,
    seen: &mut Fingerprints,
    out: &mut Out<'_, V>,
    expiring: &mut u64,
) -> Result<u64, Box<Reason>> {
    expiring_by(source, seen, out, expiring, Some)
}

fn expiring_by<B: Bytes, V: Visitor>(
    source: &mut B,
    seen: &mut Fingerprints,
    out: &mut Out<'_, V>,
    expiring: &mut u64,
    to_expiry: impl Fn(u64) -> Option<u64>,
) -> Result<u64, Box<Reason>> {
    seen.clear();
    let fields = count(source, out)?;
    for _ in 0..fields {
        let expiry = match source.length()? {
            0 => None,
            written => Some(to_expiry(written).and_then(valid).ok_or(TOO_LATE)?),
        };
        member(source, seen, out, FIELD, Role::Field)?;
        string(source, out, Role::Value)?;
        if let Some(expiry) = expiry {
            *expiring += 1;
            out.part(Part::FieldExpiry(expiry))?;
        }
    }
    Ok(fields)
}

/// Type 22 of Valkey: a field, a value and an expiry (-1: none) each (Valkey `src/rdb.c`, `RDB_TYPE_HASH_2`).
pub(super) fn expiring_valkey<B: Bytes, V: Visitor>(
    source: &mut B,
    seen: &mut Fingerprints,
    out: &mut Out<'_, V>,
    expiring: &mut u64,
) -> Result<u64, Box<Reason>> {
    seen.clear();
    let fields = count(source, out)?;
    for _ in 0..fields {
        member(source, seen, out, FIELD, Role::Field)?;
        string(source, out, Role::Value)?;
        match source.milliseconds()? {
            -1 => {}
            expiry @ 0.. => {
                *expiring += 1;
                out.part(Part::FieldExpiry(expiry))?;
            }
            _ => return Err(NEGATIVE.into()),
        }
    }
    Ok(fields)
}

/// Type 25 of Redis: the earliest expiry, which says nothing that the listpack does not, and the listpack.
pub(super) fn expiring_listpack<B: Bytes, V: Visitor>(
    source: &mut B,
    seen: &mut Fingerprints,
    out: &mut Out<'_, V>,
    expiring: &mut u64,
) -> Result<u64, Box<Reason>> {
    earliest(source)?;
    expiring_listpack_pre_ga(source, seen, out, expiring)
}

/// Type 23 of Redis: a listpack of fields, values and expiries (0: none) in turn, the earliest first and
/// those without last. Servers find what has expired by that order.
pub(super) fn expiring_listpack_pre_ga<B: Bytes, V: Visitor>(
    source: &mut B,
    seen: &mut Fingerprints,
    out: &mut Out<'_, V>,
    expiring: &mut u64,
) -> Result<u64, Box<Reason>> {
    let mut distinct = Distinct::new(seen);
    let mut items = Listpack::open(source.string()?)?;
    let (mut fields, mut before) = (0, 0);
    while let Some(field) = items.next_item()? {
        distinct.add(field, FIELD)?;
        let value = items.next_item()?.ok_or(Reason::Odd("hash"))?;
        let expiry = match items.next_item()?.ok_or(Reason::Odd("hash"))? {
            Item::Integer(expiry) => u64::try_from(expiry).map_err(|_| NEGATIVE)?,
            Item::Text(_) => return Err(Reason::FieldExpiry("a field's expiry is not a number").into()),
        };
        let rank = if expiry == 0 { u64::MAX } else { expiry };
        if rank < before {
            return Err(Reason::FieldExpiry("its fields are not in the order of their expiry").into());
        }
        before = rank;
        out.part(Part::Field(field))?;
        out.part(Part::Value(value))?;
        if expiry > 0 {
            *expiring += 1;
            out.part(Part::FieldExpiry(valid(expiry).ok_or(TOO_LATE)?))?;
        }
        fields += 1;
    }
    Ok(fields)
}

/// The earliest expiry of any field; one over the latest stands for none.
fn earliest<B: Bytes>(source: &mut B) -> Result<u64, Box<Reason>> {
    match u64::try_from(source.milliseconds()?) {
        Ok(earliest) if earliest <= LATEST_EXPIRY + 1 => Ok(earliest),
        _ => Err(TOO_LATE.into()),
    }
}

fn valid(expiry: u64) -> Option<i64> {
    i64::try_from(expiry).ok().filter(|_| expiry <= LATEST_EXPIRY)
}
