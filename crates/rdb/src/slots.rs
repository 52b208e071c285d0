//! Cluster slots (`keyHashSlot` in Redis `src/cluster.c`), and sets of them.

use std::{fmt, ops::RangeInclusive};

/// How many slots a cluster has.
pub const SLOTS: usize = 16_384;

/// The slot that a cluster keeps a key in: CRC-16/XMODEM of the key, or of what stands between its first `{` and
/// the `}` that follows, unless that is nothing.
pub fn slot(key: &[u8]) -> u16 {
    #[expect(clippy::cast_possible_truncation, reason = "16,383 fits")]
    const MASK: u16 = SLOTS as u16 - 1;
    crc16(hashed(key)) & MASK
}

/// The part of a key that decides on its slot.
fn hashed(key: &[u8]) -> &[u8] {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let tail = &key[open + 1..];
        tail.iter().position(|byte| *byte == b'}').map(|close| &tail[..close])
    });
    tag.filter(|tag| !tag.is_empty()).unwrap_or(key)
}

/// Some of the slots: those of a shard.
///
/// ```
/// use keystow_rdb::{SlotSet, slot};
///
/// let shard: SlotSet = [0..=5460, 12_182..=12_182].into_iter().collect();
/// assert!(shard.contains(slot(b"foo")) && !shard.contains(6000));
/// assert_eq!(shard.len(), 5462);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct SlotSet(Box<[u64; WORDS]>);

const WORDS: usize = SLOTS / 64;

impl SlotSet {
    /// No slot.
    pub fn new() -> Self {
        Self(Box::new([0; WORDS]))
    }

    /// Adds slots, both ends included. Numbers that are no slots are passed over.
    pub fn add(&mut self, slots: RangeInclusive<u16>) {
        for slot in slots {
            let Some(word) = self.0.get_mut(usize::from(slot / 64)) else { return };
            *word |= 1 << (slot % 64);
        }
    }

    /// Whether a slot is one of them.
    #[inline]
    pub fn contains(&self, slot: u16) -> bool {
        self.0.get(usize::from(slot / 64)).is_some_and(|word| word >> (slot % 64) & 1 == 1)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for SlotSet {
    fn default() -> Self {
        Self::new()
    }
}

impl FromIterator<RangeInclusive<u16>> for SlotSet {
    fn from_iter<I: IntoIterator<Item = RangeInclusive<u16>>>(ranges: I) -> Self {
        let mut set = Self::new();
        ranges.into_iter().for_each(|range| set.add(range));
        set
    }
}

impl fmt::Debug for SlotSet {
    /// How many: all of them would be pages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SlotSet({} slots)", self.len())
    }
}

/// Four bytes at a time: each table answers for one of them, and none has to wait for the others.
#[inline]
fn crc16(bytes: &[u8]) -> u16 {
    let (fours, rest) = bytes.as_chunks::<4>();
    let crc = fours.iter().fold(0, |crc: u16, [a, b, c, d]| {
        let [high, low] = crc.to_be_bytes();
        TABLES[3][usize::from(a ^ high)]
            ^ TABLES[2][usize::from(b ^ low)]
            ^ TABLES[1][usize::from(*c)]
            ^ TABLES[0][usize::from(*d)]
    });
    rest.iter().fold(crc, |crc, byte| {
        let [high, low] = crc.to_be_bytes();
        TABLES[0][usize::from(byte ^ high)] ^ u16::from(low) << 8
    })
}

static TABLES: [[u16; 256]; 4] = tables();

/// What a byte comes to with zero to three more behind it, by steps of the division by x¹⁶ + x¹² + x⁵ + 1.
const fn tables() -> [[u16; 256]; 4] {
    let mut tables = [[0; 256]; 4];
    let mut byte = 0u16;
    while byte < 256 {
        let mut crc = byte << 8;
        let mut bit = 0;
        while bit < 8 * tables.len() {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 };
            bit += 1;
            if bit % 8 == 0 {
                tables[bit / 8 - 1][byte as usize] = crc;
            }
        }
        byte += 1;
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_is_the_published_one() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(crc16(b"A"), 0x58e5);
    }

    #[test]
    fn slots_are_those_that_servers_answer() {
        // `CLUSTER KEYSLOT` of Redis 7.0.
        for (key, expected) in [("", 0), ("foo", 12_182), ("somekey", 11_058), ("foo{hash_tag}", 2515)] {
            assert_eq!(slot(key.as_bytes()), expected, "{key}");
        }
    }

    #[test]
    fn first_tag_with_something_in_it_decides() {
        let same = |a: &str, b: &str| slot(a.as_bytes()) == slot(b.as_bytes());
        assert!(same("{user1000}.following", "{user1000}.followers"));
        assert!(same("foo{{bar}}zap", "{bar"));
        assert!(same("foo{bar}{zap}", "bar"));
        assert!(!same("foo{}{bar}", "bar"));
    }

    #[test]
    fn sets_hold_what_was_added_and_nothing_else() {
        let mut set = SlotSet::new();
        assert!(set.is_empty());
        set.add(63..=64);
        set.add(16_383..=u16::MAX);
        let held: Vec<u16> = (0..=u16::MAX).filter(|slot| set.contains(*slot)).collect();
        assert_eq!((held, set.len()), (vec![63, 64, 16_383], 3));
        let all: SlotSet = [0..=16_383].into_iter().collect();
        assert_eq!(all.len(), SLOTS);
        assert_eq!(format!("{all:?}"), "SlotSet(16384 slots)");
    }
}
