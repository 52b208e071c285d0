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

fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        let [high, _] = u16::to_be_bytes(crc);
        crc << 8 ^ TABLE[usize::from(high ^ byte)]
    })
}

const TABLE: [u16; 256] = table();

/// For each byte: eight steps of the division by x¹⁶ + x¹² + x⁵ + 1.
const fn table() -> [u16; 256] {
    let mut table = [0; 256];
    let mut byte = 0u16;
    while byte < 256 {
        let mut crc = byte << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 };
            bit += 1;
        }
        table[byte as usize] = crc;
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_is_the_published_one() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
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
