//! Zipmaps (Redis `src/zipmap.c`, `zipmapValidateIntegrity`), the small hashes before Redis 2.6.

use super::{Item, Packed, position};
use crate::fault::Reason;

const END: u8 = 0xff;
/// Announces a length of four more bytes; as the map's count it means "too many to say".
const LONG: u8 = 254;

/// A walk over a zipmap, fields and values in turn, that proves each as it comes.
#[derive(Debug, Clone)]
pub struct Zipmap<'a> {
    bytes: &'a [u8],
    at: usize,
    declared: u8,
    items: u64,
}

impl<'a> Zipmap<'a> {
    /// Takes the header.
    ///
    /// # Errors
    /// There is none.
    pub fn open(bytes: &'a [u8]) -> Result<Self, Box<Reason>> {
        let declared = *bytes.first().ok_or_else(|| fault(0, "it is empty"))?;
        Ok(Self { bytes, at: 1, declared, items: 0 })
    }

    /// Judges the end mark's place and the header's count.
    #[cold]
    fn finish(&self) -> Result<(), Box<Reason>> {
        if !self.items.is_multiple_of(2) {
            return Err(fault(self.at, "a field without a value").into());
        }
        if self.at + 1 != self.bytes.len() {
            return Err(fault(self.at, "an end mark before the end").into());
        }
        if self.declared < LONG && u64::from(self.declared) != self.items / 2 {
            return Err(fault(0, "the header's count is not that of the fields").into());
        }
        Ok(())
    }
}

impl<'a> Packed<'a> for Zipmap<'a> {
    fn next_item(&mut self) -> Result<Option<Item<'a>>, Box<Reason>> {
        // Behind a value's length stands how many bytes behind the value are unused.
        let free_bytes = usize::from(!self.items.is_multiple_of(2));
        let Some((text, next)) = take_text(self.bytes, self.at, free_bytes)? else {
            return self.finish().map(|()| None);
        };
        self.at = next;
        self.items += 1;
        Ok(Some(Item::Text(text)))
    }
}

/// A text, behind it as many unused bytes as the `free_bytes` bytes after its length say; `None` at the end mark.
fn take_text(bytes: &[u8], at: usize, free_bytes: usize) -> Result<Option<(&[u8], usize)>, Box<Reason>> {
    let cut = || fault(at, "an entry reaches over the end");
    let rest = bytes.get(at..).ok_or_else(cut)?;
    let (length, head) = match *rest.first().ok_or_else(cut)? {
        END => return Ok(None),
        LONG => {
            let long = rest[1..].first_chunk().ok_or_else(cut)?;
            let long = usize::try_from(u32::from_le_bytes(*long)).map_err(|_| cut())?;
            (long, 5)
        }
        short => (usize::from(short), 1),
    };
    let unused = match free_bytes {
        0 => 0,
        _ => usize::from(*rest.get(head).ok_or_else(cut)?),
    };
    let start = head + free_bytes;
    let end = start.checked_add(length).ok_or_else(cut)?;
    let text = rest.get(start..end).ok_or_else(cut)?;
    Ok(Some((text, at + end + unused)))
}

#[cold]
fn fault(at: usize, what: &'static str) -> Reason {
    let at = position(at);
    Reason::Zipmap { at, what }
}
