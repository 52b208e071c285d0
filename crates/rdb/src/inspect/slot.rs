//! Cluster slots (`keyHashSlot` in Redis `src/cluster.c`).

/// How many slots a cluster has.
pub const SLOTS: usize = 16_384;

/// The slot that a cluster keeps a key in: CRC-16/XMODEM of the key, or of what stands between its first `{` and
/// the `}` that follows, unless that is nothing.
pub fn cluster_slot(key: &[u8]) -> u16 {
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

/// The keys of one cluster slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SlotSums {
    /// How many.
    pub keys: u64,
    /// What a server is estimated to hold for them.
    pub memory_bytes: u64,
}

/// Counts keys by slot, a batch at a time: their slots are all over the table, and in a row the memory is waited for
/// many times at once.
pub(super) struct SlotTable {
    slots: Vec<SlotSums>,
    waiting: Vec<(u16, u64)>,
}

impl SlotTable {
    const BATCH: usize = 64;

    pub(super) fn new() -> Self {
        Self { slots: vec![SlotSums::default(); SLOTS], waiting: Vec::with_capacity(Self::BATCH) }
    }

    #[inline]
    pub(super) fn add(&mut self, key: &[u8], memory_bytes: u64) {
        self.waiting.push((cluster_slot(key), memory_bytes));
        if self.waiting.len() >= Self::BATCH {
            self.settle();
        }
    }

    fn settle(&mut self) {
        for (slot, memory_bytes) in self.waiting.drain(..) {
            let slot = &mut self.slots[usize::from(slot)];
            slot.keys += 1;
            slot.memory_bytes = slot.memory_bytes.saturating_add(memory_bytes);
        }
    }

    pub(super) fn finish(mut self) -> Vec<SlotSums> {
        self.settle();
        self.slots
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
        for (key, slot) in [("", 0), ("foo", 12_182), ("somekey", 11_058), ("foo{hash_tag}", 2515)] {
            assert_eq!(cluster_slot(key.as_bytes()), slot, "{key}");
        }
    }

    #[test]
    fn first_tag_with_something_in_it_decides() {
        let same = |a: &str, b: &str| cluster_slot(a.as_bytes()) == cluster_slot(b.as_bytes());
        assert!(same("{user1000}.following", "{user1000}.followers"));
        assert!(same("foo{{bar}}zap", "{bar"));
        assert!(same("foo{bar}{zap}", "bar"));
        assert!(!same("foo{}{bar}", "bar"));
    }
}
