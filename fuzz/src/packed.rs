//! Encodings that live inside one string: walked alone, backwards, and as part of a file.

use keystow_rdb::{
    Format, Reason,
    lzf::{self, Walk},
    packed::{Digits, Intset, Item, Listpack, Packed, Ziplist},
};

use super::whole::{LIMITS, Outcome, read_value};

const LIST_ZIPLIST: u8 = 10;
const SET_INTSET: u8 = 11;
const LIST_QUICKLIST2: u8 = 18;

/// A compressed string; the first two bytes say how long it promises to be.
///
/// # Panics
/// An invariant does not hold.
pub fn lzf(bytes: &[u8]) {
    let Some((promise, compressed)) = bytes.split_first_chunk() else { return };
    let plain = u64::from(u16::from_le_bytes(*promise));
    let walk = |step: usize| -> Result<(), Box<Reason>> {
        let mut walk = Walk::default();
        compressed.chunks(step).try_for_each(|piece| walk.feed(piece))?;
        walk.finish(plain)
    };
    let proven = walk(compressed.len().max(1));
    assert_eq!(proven.is_ok(), walk(1).is_ok(), "pieces make no difference");
    match lzf::expand(compressed, plain, u64::from(u16::MAX)) {
        Ok(expanded) => {
            assert!(proven.is_ok(), "what expands is proven");
            assert_eq!(expanded.len() as u64, plain);
            assert_eq!(Some(expanded), plainly_expanded(compressed), "as the simplest decoder");
        }
        Err(_) => assert!(proven.is_err() || compressed.is_empty(), "what is proven expands"),
    }
    if plain > 0 {
        let refused = lzf::expand(compressed, plain, plain - 1).map_err(|reason| reason.code());
        assert_eq!(refused, Err("RDB_TOO_LARGE"));
    }
}

/// Byte by byte, as the format is told; for sound input.
fn plainly_expanded(compressed: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut bytes = compressed.iter().map(|byte| usize::from(*byte));
    while let Some(control) = bytes.next() {
        if control < 32 {
            for _ in 0..=control {
                out.push(u8::try_from(bytes.next()?).ok()?);
            }
            continue;
        }
        let mut length = control >> 5;
        if length == 7 {
            length += bytes.next()?;
        }
        let distance = ((control & 31) << 8 | bytes.next()?) + 1;
        for _ in 0..length + 2 {
            out.push(out[out.len().checked_sub(distance)?]);
        }
    }
    Some(out)
}

/// A listpack, which is then the only node of a list.
///
/// # Panics
/// An invariant does not hold.
pub fn listpack(bytes: &[u8]) {
    let walked = Listpack::open(bytes).and_then(texts);
    if let Ok(texts) = &walked {
        let declared = u16::from_le_bytes([bytes[4], bytes[5]]);
        assert!(declared == u16::MAX || usize::from(declared) == texts.len());
        assert_eq!(listpack_backwards(bytes), texts.len(), "as many backwards");
    }
    let node = [&[1, 2], &written(bytes)[..]].concat();
    agree(walked, &read_value(Format::REDIS_11, LIST_QUICKLIST2, &node));
}

/// Counts the elements from the end mark on, by their back lengths.
fn listpack_backwards(bytes: &[u8]) -> usize {
    const HEADER_BYTES: usize = 6;
    let (mut at, mut elements) = (bytes.len() - 1, 0);
    while at > HEADER_BYTES {
        let (mut size, mut back) = (0usize, 0);
        loop {
            let byte = bytes[at - 1 - back];
            size |= usize::from(byte & 0x7f) << (7 * back);
            back += 1;
            if byte & 0x80 == 0 {
                break;
            }
        }
        at -= back + size;
        elements += 1;
    }
    assert_eq!(at, HEADER_BYTES);
    elements
}

/// A ziplist, which is then a list.
///
/// # Panics
/// An invariant does not hold.
pub fn ziplist(bytes: &[u8]) {
    let walked = Ziplist::open(bytes).and_then(texts);
    if let Ok(texts) = &walked {
        let declared = u16::from_le_bytes([bytes[8], bytes[9]]);
        assert!(declared == u16::MAX || usize::from(declared) == texts.len());
        if !texts.is_empty() {
            assert_eq!(ziplist_backwards(bytes), texts.len(), "as many backwards");
        }
    }
    agree(walked, &read_value(Format::REDIS_11, LIST_ZIPLIST, &written(bytes)));
}

/// Counts the entries from the tail on, by their previous lengths.
fn ziplist_backwards(bytes: &[u8]) -> usize {
    const HEADER_BYTES: usize = 10;
    let number = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let (mut at, mut entries) = (number(4) as usize, 1);
    while at > HEADER_BYTES {
        at -= match bytes[at] {
            254 => number(at + 1) as usize,
            short => usize::from(short),
        };
        entries += 1;
    }
    assert_eq!(at, HEADER_BYTES);
    entries
}

/// An intset, which is then a set.
///
/// # Panics
/// An invariant does not hold.
pub fn intset(bytes: &[u8]) {
    let walked = Intset::open(bytes).and_then(|intset| {
        let declared = intset.len();
        let texts = texts(intset)?;
        let numbers: Vec<i64> = texts.iter().filter_map(|text| text.parse().ok()).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "numbers in order, none twice");
        assert_eq!((numbers.len(), declared), (texts.len(), texts.len() as u64));
        Ok(texts)
    });
    agree(walked, &read_value(Format::REDIS_11, SET_INTSET, &written(bytes)));
}

/// A string as a file holds it.
fn written(bytes: &[u8]) -> Vec<u8> {
    [&[0x81], &(bytes.len() as u64).to_be_bytes()[..], bytes].concat()
}

/// What every element reads as; bytes that are no text are told by their escapes.
fn texts<'a>(mut items: impl Packed<'a>) -> Result<Vec<String>, Box<Reason>> {
    let mut texts = Vec::new();
    while let Some(item) = items.next_item()? {
        texts.push(text(item));
    }
    Ok(texts)
}

/// An element as text, its bytes escaped where they are none.
pub fn text(item: Item<'_>) -> String {
    item.bytes(&mut Digits::default()).escape_ascii().to_string()
}

/// Whether alone and in a file the same was found.
fn agree(walked: Result<Vec<String>, Box<Reason>>, read: &Outcome) {
    match (walked, read) {
        (Ok(texts), Ok(Some(entry))) => {
            assert_eq!(entry.elements, texts.len() as u64);
            assert_eq!(entry.texts, texts);
        }
        (Err(reason), Err(fault)) => {
            // The file's limit on strings is the only thing that the walk does not know.
            assert!(*reason == fault.reason || bytes_over_limit(fault), "{reason} is not {fault}");
        }
        (walked, read) => panic!("alone {walked:?}, in a file {read:?}"),
    }
}

fn bytes_over_limit(fault: &keystow_rdb::Fault) -> bool {
    matches!(fault.reason, Reason::TooLarge { limit, .. } if limit == LIMITS.max_blob_bytes)
}
