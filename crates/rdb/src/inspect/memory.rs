//! How much memory a server takes for a key: a model, for comparing keys and for a rough total.

use crate::event::Entry;

/// Bytes that a 64-bit server with jemalloc holds for a key and its value, as a rough estimate made from lengths
/// and counts alone; no value is looked into.
///
/// Every allocation is rounded up to its size class (jemalloc with `lg-quantum=3`, as Redis builds it: multiples
/// of 8 up to 64, above that eight classes per doubling of the second half). With `A(n)` for that and `sds(n)` for
/// a string of `n` bytes with its header (`src/sds.h`):
///
/// | what | bytes |
/// |---|---|
/// | every key | `dictEntry` 24, its share of the table 12, `A(sds(key))` |
/// | with an expiry | a second `dictEntry` and its share: 36 |
/// | string: a number | `robj` 16 |
/// | string of up to 44 bytes | `A(16 + 3 + n + 1)`: embedded in its `robj` |
/// | longer string | `robj` 16, `A(sds(n))` |
/// | listpack, ziplist, intset, zipmap | `robj` 16, `A(n)` |
/// | list | `robj` 16, `quicklist` 40, per 8 KiB a `quicklistNode` of 32, the elements' bytes |
/// | set, hash as table | `robj` 16, `dict` 56, per element `dictEntry` 24 and 12, `A(sds(mean))` for the member, or for field and value each; 24 more where fields expire |
/// | sorted set as skip list | `robj` 16, `zset` 16, `dict` 56, `zskiplist` 32 and its first node 640, per member `dictEntry` 24 and 12, `A(sds(mean))`, `zskiplistNode` 48 |
/// | stream | `robj` 16, `stream` 112, per 4 KiB or part of it a node of the radix tree of 96 and 4 KiB |
/// | module | `robj` 16, the bytes as stored |
///
/// The sizes are those of `dict.c`, `object.c`, `quicklist.h`, `server.h` and `stream.h` in Redis `src/`. Not in it:
/// buffers, scripts, replication, fragmentation, and what modules make of their data.
pub fn memory_estimate(entry: &Entry<'_>) -> u64 {
    // With figures no larger than these nothing below overflows. A stream may claim any length.
    let (bytes, elements) = (content(entry.value_bytes).min(1 << 48), entry.elements.min(1 << 40));
    let value = match entry.encoding.number {
        0 => string(entry.value_bytes, bytes),
        1 | 10 | 14 | 18 => list(bytes),
        2 => table(elements, bytes, 1, 0),
        3 => skip_list(elements, bytes, TEXT_SCORE),
        5 => skip_list(elements, bytes, 8),
        4 => table(elements, bytes, 2, 0),
        22 | 24 => table(elements, bytes, 2, FIELD_EXPIRY),
        9 | 11..=13 | 16 | 17 | 20 | 23 | 25 => OBJECT + allocated(bytes),
        15 | 19 | 21 | 26 => stream(bytes),
        _ => OBJECT + bytes,
    };
    let expiry = if entry.expires_ms.is_some() { SLOT_OF_TABLE } else { 0 };
    SLOT_OF_TABLE + expiry + sds(entry.key.len() as u64) + value
}

/// An entry of a hash table (`dictEntry`) and its share of the table, which is between half full and full.
const SLOT_OF_TABLE: u64 = 24 + 12;
/// `robj`: what every value has.
const OBJECT: u64 = 16;
/// `dict`: a hash table of its own.
const TABLE: u64 = 56;
/// What a field with an expiry takes more.
const FIELD_EXPIRY: u64 = 24;
/// About what the text of a score takes in files before Redis 4.
const TEXT_SCORE: u64 = 4;

fn string(value_bytes: u64, bytes: u64) -> u64 {
    const MOST_EMBEDDED: u64 = 44;
    match value_bytes {
        // A number of one, two or four bytes behind its mark; or, rarer, a text as short.
        2 | 3 | 5 => OBJECT,
        _ if bytes <= MOST_EMBEDDED => allocated(OBJECT + 3 + bytes + 1),
        _ => OBJECT + sds(bytes),
    }
}

fn list(bytes: u64) -> u64 {
    const QUICKLIST: u64 = 40;
    const NODE: u64 = 32;
    const NODE_BYTES: u64 = 8192;
    let (full, rest) = (bytes / NODE_BYTES, bytes % NODE_BYTES);
    OBJECT + QUICKLIST + full * (NODE + NODE_BYTES) + NODE + allocated(rest)
}

fn table(elements: u64, bytes: u64, strings: u64, more: u64) -> u64 {
    // Each string has a length of a byte or more in front of it.
    let mean = bytes.checked_div(elements * strings).unwrap_or(0).saturating_sub(1);
    OBJECT + TABLE + elements * (SLOT_OF_TABLE + more + strings * sds(mean))
}

fn skip_list(elements: u64, bytes: u64, score: u64) -> u64 {
    const SKIP_LIST: u64 = 16 + 32 + 640;
    const NODE: u64 = 48;
    let members = bytes.saturating_sub(elements * score);
    SKIP_LIST + table(elements, members, 1, 0) + elements * NODE
}

fn stream(bytes: u64) -> u64 {
    const STREAM: u64 = 112;
    const NODE: u64 = 96;
    // A node has room for this much from its first entry on (`STREAM_LISTPACK_MAX_PRE_ALLOCATE`).
    const NODE_BYTES: u64 = 4096;
    OBJECT + STREAM + bytes.div_ceil(NODE_BYTES).max(1) * (NODE_BYTES + NODE)
}

/// A string with its header and the zero at its end.
fn sds(bytes: u64) -> u64 {
    let header = match bytes {
        0..32 => 1,
        32..256 => 3,
        256..0x1_0000 => 5,
        0x1_0000..0x1_0000_0000 => 9,
        _ => 17,
    };
    allocated(bytes + header + 1)
}

/// The size class of an allocation.
fn allocated(bytes: u64) -> u64 {
    const FINE: u64 = 64;
    if bytes <= FINE {
        return bytes.max(1).next_multiple_of(8);
    }
    bytes.next_multiple_of(bytes.next_power_of_two() / 8)
}

/// What a value holds without the length in front of it.
fn content(value_bytes: u64) -> u64 {
    let length = match value_bytes {
        0..65 => 1,
        65..16_386 => 2,
        _ => 5,
    };
    value_bytes.saturating_sub(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Encoding, Flavour};

    fn estimate(number: u8, key: &[u8], elements: u64, value_bytes: u64) -> u64 {
        let encoding = Encoding { number, flavour: Flavour::Redis };
        memory_estimate(&Entry {
            database: 0,
            key,
            kind: encoding.kind().unwrap(),
            encoding,
            expires_ms: None,
            idle_seconds: None,
            frequency: None,
            elements,
            stored_bytes: value_bytes,
            value_bytes,
            expiring_fields: 0,
            module: None,
        })
    }

    #[test]
    fn size_classes_are_those_of_jemalloc() {
        for (bytes, class) in [(1, 8), (24, 24), (64, 64), (65, 80), (128, 128), (129, 160), (1025, 1280)] {
            assert_eq!(allocated(bytes), class, "{bytes}");
        }
    }

    #[test]
    fn string_is_embedded_up_to_44_bytes() {
        // 36 for the table and 8 for the key, then the object.
        assert_eq!(estimate(0, b"k", 1, 45), 44 + 64);
        assert_eq!(estimate(0, b"k", 1, 46), 44 + 16 + 56);
        assert_eq!(estimate(0, b"k", 1, 5), 44 + 16);
    }

    #[test]
    fn no_figures_overflow() {
        for number in 0..=26 {
            let encoding = Encoding { number, flavour: Flavour::Redis };
            if encoding.kind().is_some() {
                for (elements, bytes) in [(0, 0), (1, u64::MAX), (u64::MAX, 0), (u64::MAX, u64::MAX)] {
                    assert!(estimate(number, b"", elements, bytes) > 0, "{number}");
                }
            }
        }
    }
}
