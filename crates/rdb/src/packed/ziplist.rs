//! Ziplists (Redis `src/ziplist.c`, `ziplistValidateIntegrity`), the small collections before Redis 7.

use super::{Item, Packed, position};
use crate::fault::Reason;

const HEADER_BYTES: usize = 10;
const END: u8 = 0xff;
/// Announces a previous length of four more bytes.
const LONG_PREVIOUS: u8 = 254;
/// The header's count when there were too many entries for its 16 bits.
const UNKNOWN_COUNT: u16 = u16::MAX;

/// A walk over a ziplist that proves each entry as it comes.
#[derive(Debug, Clone)]
pub struct Ziplist<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where the last entry begins, says the header.
    tail: usize,
    declared: u16,
    items: u64,
    /// Where the newest entry begins, and its size.
    newest: (usize, usize),
}

impl<'a> Ziplist<'a> {
    /// Checks the header against the bytes.
    ///
    /// # Errors
    /// [`Reason::Ziplist`].
    pub fn open(bytes: &'a [u8]) -> Result<Self, Box<Reason>> {
        let header: &[u8; HEADER_BYTES] =
            bytes.first_chunk().ok_or_else(|| fault(0, "too short for a header"))?;
        let [l0, l1, l2, l3, t0, t1, t2, t3, c0, c1] = *header;
        if usize::try_from(u32::from_le_bytes([l0, l1, l2, l3])).ok() != Some(bytes.len()) {
            return Err(fault(0, "the header's length is not that of the ziplist").into());
        }
        if bytes.len() == HEADER_BYTES || bytes.last() != Some(&END) {
            return Err(fault(bytes.len() - 1, "no end mark").into());
        }
        let tail = u32::from_le_bytes([t0, t1, t2, t3]);
        Ok(Self {
            bytes,
            at: HEADER_BYTES,
            tail: usize::try_from(tail).map_err(|_| fault(4, "a wrong tail offset"))?,
            declared: u16::from_le_bytes([c0, c1]),
            items: 0,
            newest: (HEADER_BYTES, 0),
        })
    }

    /// Judges the end mark's place and the header's tail and count.
    #[cold]
    fn finish(&self) -> Result<(), Box<Reason>> {
        if self.at + 1 != self.bytes.len() {
            return Err(fault(self.at, "an end mark before the end").into());
        }
        if self.tail != self.newest.0 {
            return Err(fault(4, "the header's tail is not the last entry").into());
        }
        if self.declared != UNKNOWN_COUNT && self.items != u64::from(self.declared) {
            return Err(fault(8, "the header's count is not that of the entries").into());
        }
        Ok(())
    }
}

impl<'a> Packed<'a> for Ziplist<'a> {
    #[inline]
    fn next_item(&mut self) -> Result<Option<Item<'a>>, Box<Reason>> {
        let entry = &self.bytes[self.at..];
        if entry.first() == Some(&END) {
            return self.finish().map(|()| None);
        }
        let (previous, head) = previous_length(entry).map_err(|what| fault(self.at, what))?;
        if previous != self.newest.1 {
            return Err(fault(self.at, "a wrong previous length").into());
        }
        let (item, size) = decode(&entry[head..]).map_err(|what| fault(self.at + head, what))?;
        self.newest = (self.at, head + size);
        self.at += head + size;
        if self.at >= self.bytes.len() {
            return Err(fault(self.at, "an entry reaches over the end mark").into());
        }
        self.items += 1;
        Ok(Some(item))
    }
}

/// The size of the entry before, and of its own bytes. The long form may hold a small size: servers leave
/// it so when an entry shrinks.
#[inline]
fn previous_length(entry: &[u8]) -> Result<(usize, usize), &'static str> {
    const CUT: &str = "an entry reaches over the end";
    let (&first, rest) = entry.split_first().ok_or(CUT)?;
    if first < LONG_PREVIOUS {
        return Ok((first.into(), 1));
    }
    let long = u32::from_le_bytes(*rest.first_chunk().ok_or(CUT)?);
    Ok((usize::try_from(long).map_err(|_| CUT)?, 5))
}

/// The entry's value and the size of its encoding and data.
#[inline]
fn decode(entry: &[u8]) -> Result<(Item<'_>, usize), &'static str> {
    const CUT: &str = "an entry reaches over the end";
    let (&first, rest) = entry.split_first().ok_or(CUT)?;
    let text = |head: usize, bytes: usize| {
        // `head` counts the encoding's bytes behind the first.
        let text = rest.get(head..head.saturating_add(bytes)).ok_or(CUT)?;
        Ok((Item::Text(text), 1 + head + bytes))
    };
    let low = usize::from(first & 0x3f);
    match first {
        0..=0x3f => text(0, low),
        0x40..=0x7f => text(1, low << 8 | usize::from(*rest.first().ok_or(CUT)?)),
        0x80 => {
            let bytes = u32::from_be_bytes(*rest.first_chunk().ok_or(CUT)?);
            text(4, usize::try_from(bytes).map_err(|_| CUT)?)
        }
        0xc0 => {
            let number = i16::from_le_bytes(*rest.first_chunk().ok_or(CUT)?);
            Ok((Item::Integer(number.into()), 3))
        }
        0xd0 => {
            let number = i32::from_le_bytes(*rest.first_chunk().ok_or(CUT)?);
            Ok((Item::Integer(number.into()), 5))
        }
        0xe0 => {
            let number = i64::from_le_bytes(*rest.first_chunk().ok_or(CUT)?);
            Ok((Item::Integer(number), 9))
        }
        0xf0 => {
            let [a, b, c] = *rest.first_chunk().ok_or(CUT)?;
            // In the upper three bytes, so that the shift brings the sign down.
            let number = i32::from_le_bytes([0, a, b, c]) >> 8;
            Ok((Item::Integer(number.into()), 4))
        }
        0xfe => {
            let number = i8::from_le_bytes(*rest.first_chunk().ok_or(CUT)?);
            Ok((Item::Integer(number.into()), 2))
        }
        0xf1..=0xfd => Ok((Item::Integer(i64::from(first & 0x0f) - 1), 1)),
        _ => Err("an encoding that does not exist"),
    }
}

#[cold]
fn fault(at: usize, what: &'static str) -> Reason {
    let at = position(at);
    Reason::Ziplist { at, what }
}
