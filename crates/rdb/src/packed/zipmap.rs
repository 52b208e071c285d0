//! Zipmaps (Redis `src/zipmap.c`, `zipmapValidateIntegrity`), the small hashes before Redis 2.6.

use super::{Item, position};
use crate::{fault::Reason, fingerprint::Fingerprints};

const END: u8 = 0xff;
/// Announces a length of four more bytes; as the map's count it means "too many to say".
const LONG: u8 = 254;

/// Proves a zipmap and counts its fields.
pub(crate) fn check(bytes: &[u8], seen: &mut Fingerprints) -> Result<u64, Box<Reason>> {
    let declared = *bytes.first().ok_or_else(|| fault(0, "it is empty"))?;
    let mut fields = 0;
    let mut at = 1;
    while let Some((field, next)) = take_text(bytes, at, 0)? {
        let Some((_, next)) = take_text(bytes, next, 1)? else {
            return Err(fault(next, "a field without a value").into());
        };
        seen.add(Item::Text(field), "field")?;
        at = next;
        fields += 1;
    }
    if at + 1 != bytes.len() {
        return Err(fault(at, "an end mark before the end").into());
    }
    if declared < LONG && u64::from(declared) != fields {
        return Err(fault(0, "the header's count is not that of the fields").into());
    }
    Ok(fields)
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
