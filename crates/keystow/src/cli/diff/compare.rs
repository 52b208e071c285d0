//! Finds the keys that only one side has, and brings those together that both have.

use std::cmp::Ordering;
use std::sync::Arc;

use super::record::Record;
use super::side::{Part, Parting, Side};
use crate::failure::Failure;

/// A key of one side or of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pair<'a> {
    Removed(Record<'a>),
    Added(Record<'a>),
    Both(Record<'a>, Record<'a>),
}

/// Hands out every key of both sides once.
pub(super) fn compare(
    before: Side,
    after: Side,
    take: &mut impl FnMut(Pair<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    if let (Some(before), Some(after)) = (before.memory(), after.memory()) {
        return merge(before, after, take);
    }
    let parting = Arc::clone(before.parting());
    for (before, after) in before.into_parts()?.into_iter().zip(after.into_parts()?) {
        compare_parts(before, after, &parting, take)?;
    }
    Ok(())
}

fn compare_parts(
    before: Part,
    after: Part,
    parting: &Parting,
    take: &mut dyn FnMut(Pair<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let Some(below) = parting.below(before.bytes().max(after.bytes())).map(Arc::new) else {
        return merge(&before.read(parting)?, &after.read(parting)?, &mut |pair| take(pair));
    };
    let before = before.split(parting, Arc::clone(&below))?;
    let after = after.split(parting, Arc::clone(&below))?;
    for (before, after) in before.into_parts()?.into_iter().zip(after.into_parts()?) {
        compare_parts(before, after, &below, take)?;
    }
    Ok(())
}

/// Compares records in memory, in the order of databases and keys.
fn merge(
    before: &[u8],
    after: &[u8],
    take: &mut impl FnMut(Pair<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let (mut before, mut after) = (sorted(before).peekable(), sorted(after).peekable());
    loop {
        let order = match (before.peek(), after.peek()) {
            (None, None) => return Ok(()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(before), Some(after)) => before.name().cmp(&after.name()),
        };
        let earlier = if order.is_le() { before.next() } else { None };
        let later = if order.is_ge() { after.next() } else { None };
        match (earlier, later) {
            (Some(before), Some(after)) => take(Pair::Both(before, after))?,
            (Some(before), None) => take(Pair::Removed(before))?,
            (None, Some(after)) => take(Pair::Added(after))?,
            (None, None) => return Ok(()),
        }
    }
}

/// The records in order. Only their places are sorted, so that memory holds them once.
fn sorted(bytes: &[u8]) -> impl Iterator<Item = Record<'_>> {
    let record_at = move |place: &usize| {
        let mut rest = &bytes[*place..];
        Record::read(&mut rest)
    };
    let mut places = Vec::new();
    let mut rest = bytes;
    loop {
        let place = bytes.len() - rest.len();
        if Record::read(&mut rest).is_none() {
            break;
        }
        places.push(place);
    }
    places.sort_unstable_by(|one, other| {
        record_at(one).map(|record| record.name()).cmp(&record_at(other).map(|record| record.name()))
    });
    places.into_iter().filter_map(move |place| record_at(&place))
}
