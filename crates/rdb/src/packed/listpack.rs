//! Listpacks (Redis `src/listpack.c`, `lpValidateIntegrity`), the small collections of Redis 7 and of streams.

use super::{Item, Packed, position};
use crate::fault::Reason;

const HEADER_BYTES: usize = 6;
const END: u8 = 0xff;
/// The header's count when there were too many entries for its 16 bits.
const UNKNOWN_COUNT: u16 = u16::MAX;

/// A walk over a listpack that proves each entry as it comes.
#[derive(Debug, Clone)]
pub struct Listpack<'a> {
    bytes: &'a [u8],
    at: usize,
    declared: u16,
    items: u64,
}

impl<'a> Listpack<'a> {
    /// Checks the header against the bytes.
    ///
    /// # Errors
    /// [`Reason::Listpack`].
    pub fn open(bytes: &'a [u8]) -> Result<Self, Box<Reason>> {
        let header: &[u8; HEADER_BYTES] =
            bytes.first_chunk().ok_or_else(|| fault(0, "too short for a header"))?;
        let [t0, t1, t2, t3, c0, c1] = *header;
        if usize::try_from(u32::from_le_bytes([t0, t1, t2, t3])).ok() != Some(bytes.len()) {
            return Err(fault(0, "the header's length is not that of the listpack").into());
        }
        // Not part of the header's six bytes, so there must be a seventh.
        if bytes.len() == HEADER_BYTES || bytes.last() != Some(&END) {
            return Err(fault(bytes.len() - 1, "no end mark").into());
        }
        Ok(Self { bytes, at: HEADER_BYTES, declared: u16::from_le_bytes([c0, c1]), items: 0 })
    }

    /// Judges the end mark's place and the header's count.
    #[cold]
    fn finish(&self) -> Result<(), Box<Reason>> {
        if self.at + 1 != self.bytes.len() {
            return Err(fault(self.at, "an end mark before the end").into());
        }
        if self.declared != UNKNOWN_COUNT && self.items != u64::from(self.declared) {
            return Err(fault(4, "the header's count is not that of the entries").into());
        }
        Ok(())
    }
}

impl<'a> Packed<'a> for Listpack<'a> {
    #[inline]
    fn next_item(&mut self) -> Result<Option<Item<'a>>, Box<Reason>> {
        match self.short_item() {
            Some(item) => Ok(Some(item)),
            None => self.any_item(),
        }
    }
}

impl<'a> Listpack<'a> {
    /// The next entry if it is one of those that nearly all are: a number below 128 or a text below 64 bytes, and
    /// sound.
    #[inline]
    fn short_item(&mut self) -> Option<Item<'a>> {
        let (&first, rest) = self.bytes.get(self.at..)?.split_first()?;
        let (item, bytes) = match first {
            0..=0x7f => (Item::Integer(first.into()), 0),
            0x80..=0xbf => {
                let bytes = usize::from(first & 0x3f);
                (Item::Text(rest.get(..bytes)?), bytes)
            }
            _ => return None,
        };
        // The back length is one byte, and there is something behind it.
        let sound = usize::from(*rest.get(bytes)?) == bytes + 1 && rest.len() > bytes + 1;
        sound.then(|| {
            self.at += bytes + 2;
            self.items += 1;
            item
        })
    }

    /// The next entry, whatever it is.
    fn any_item(&mut self) -> Result<Option<Item<'a>>, Box<Reason>> {
        let entry = &self.bytes[self.at..];
        let Some((item, size)) = decode(entry).map_err(|what| fault(self.at, what))? else {
            return self.finish().map(|()| None);
        };
        let back = back_length_bytes(size);
        if !back_length_matches(&entry[size..], size, back) {
            return Err(fault(self.at + size, "a wrong back length").into());
        }
        self.at += size + back;
        // The end mark is always there to be read next; stepping on it from within an entry is not.
        if self.at >= self.bytes.len() {
            return Err(fault(self.at, "an entry reaches over the end mark").into());
        }
        self.items += 1;
        Ok(Some(item))
    }
}

/// The entry at the start of the bytes and the size of its encoding and data; `None` at the end mark.
#[inline]
fn decode(entry: &[u8]) -> Result<Option<(Item<'_>, usize)>, &'static str> {
    const CUT: &str = "an entry reaches over the end";
    let (&first, rest) = entry.split_first().ok_or(CUT)?;
    let text = |head: usize, bytes: usize| {
        // `head` counts the encoding's bytes behind the first.
        let text = rest.get(head..head.saturating_add(bytes)).ok_or(CUT)?;
        Ok(Some((Item::Text(text), 1 + head + bytes)))
    };
    let low = |mask: u8| usize::from(first & mask);
    match first {
        0..=0x7f => Ok(Some((Item::Integer(first.into()), 1))),
        0x80..=0xbf => text(0, low(0x3f)),
        0xc0..=0xdf => {
            let second = *rest.first().ok_or(CUT)?;
            let unsigned = i64::from(first & 0x1f) << 8 | i64::from(second);
            let number = if unsigned >= 1 << 12 { unsigned - (1 << 13) } else { unsigned };
            Ok(Some((Item::Integer(number), 2)))
        }
        0xe0..=0xef => text(1, low(0x0f) << 8 | usize::from(*rest.first().ok_or(CUT)?)),
        0xf0 => {
            let bytes = u32::from_le_bytes(*rest.first_chunk().ok_or(CUT)?);
            text(4, usize::try_from(bytes).map_err(|_| CUT)?)
        }
        0xf1 => {
            let number = i16::from_le_bytes(*rest.first_chunk().ok_or(CUT)?);
            Ok(Some((Item::Integer(number.into()), 3)))
        }
        0xf2 => {
            let [a, b, c] = *rest.first_chunk().ok_or(CUT)?;
            // In the upper three bytes, so that the shift brings the sign down.
            let number = i32::from_le_bytes([0, a, b, c]) >> 8;
            Ok(Some((Item::Integer(number.into()), 4)))
        }
        0xf3 => {
            let number = i32::from_le_bytes(*rest.first_chunk().ok_or(CUT)?);
            Ok(Some((Item::Integer(number.into()), 5)))
        }
        0xf4 => {
            let number = i64::from_le_bytes(*rest.first_chunk().ok_or(CUT)?);
            Ok(Some((Item::Integer(number), 9)))
        }
        0xf5..=0xfe => Err("an encoding that does not exist"),
        END => Ok(None),
    }
}

/// How many bytes the back length of an entry takes, with Redis' own bounds (`lpEncodeBacklenBytes`).
#[inline]
pub(super) fn back_length_bytes(size: usize) -> usize {
    match size {
        0..=127 => 1,
        128..16_383 => 2,
        16_383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    }
}

/// Whether the bytes begin with that back length: seven bits each, the most significant first, and on all
/// but the first the mark that more are to be read backwards.
#[inline]
fn back_length_matches(bytes: &[u8], size: usize, back: usize) -> bool {
    if back == 1 {
        return bytes.first().is_some_and(|byte| usize::from(*byte) == size);
    }
    bytes.get(..back).is_some_and(|bytes| {
        bytes.iter().enumerate().all(|(place, byte)| {
            let seven = (size >> (7 * (back - 1 - place))) & 0x7f;
            let mark = if place == 0 { 0 } else { 0x80 };
            usize::from(*byte) == seven | mark
        })
    })
}

#[cold]
fn fault(at: usize, what: &'static str) -> Reason {
    let at = position(at);
    Reason::Listpack { at, what }
}
