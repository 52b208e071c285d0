//! The CRC-64 of everything read, kept so that the last eight bytes can still turn out to be the stored one.

use crc_fast::{CrcAlgorithm, Digest};

/// Length of the stored checksum.
pub(crate) const STORED_BYTES: usize = 8;

/// A running CRC-64 "Jones" (Redis `src/crc64.c`).
///
/// The newest eight bytes are held back: a reader that has given up on structure learns only at the end of
/// the source that they were the stored checksum, which does not cover itself.
pub(crate) struct Crc {
    digest: Digest,
    held: [u8; STORED_BYTES],
    holding: usize,
}

impl Crc {
    pub(crate) fn new() -> Self {
        Self { digest: Digest::new(CrcAlgorithm::Crc64Redis), held: [0; STORED_BYTES], holding: 0 }
    }

    /// Takes the next stretch of the file.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        if let Some((older, newest)) = bytes.split_last_chunk::<STORED_BYTES>() {
            self.digest.update(&self.held[..self.holding]);
            self.digest.update(older);
            self.held = *newest;
            self.holding = STORED_BYTES;
        } else {
            let leaving = (self.holding + bytes.len()).saturating_sub(STORED_BYTES);
            self.digest.update(&self.held[..leaving]);
            self.held.copy_within(leaving..self.holding, 0);
            self.holding -= leaving;
            self.held[self.holding..self.holding + bytes.len()].copy_from_slice(bytes);
            self.holding += bytes.len();
        }
    }

    /// The checksum of all bytes so far.
    pub(crate) fn value(&self) -> u64 {
        let mut digest = self.digest;
        digest.update(&self.held[..self.holding]);
        digest.finalize()
    }

    /// Takes the last eight bytes as the stored checksum of those before: `(stored, computed)`.
    pub(crate) fn split_stored(&self) -> Option<(u64, u64)> {
        (self.holding == STORED_BYTES).then(|| (u64::from_le_bytes(self.held), self.digest.finalize()))
    }
}

/// The checksum of bytes that are all there.
pub(crate) fn of(bytes: &[u8]) -> u64 {
    crc_fast::checksum(CrcAlgorithm::Crc64Redis, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_is_the_published_one_however_the_bytes_arrive() {
        assert_eq!(of(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
        for step in 1..=9 {
            let mut crc = Crc::new();
            b"123456789".chunks(step).for_each(|piece| crc.update(piece));
            assert_eq!(crc.value(), 0xe9c6_d914_c4b8_d9ca, "in steps of {step}");
        }
    }

    #[test]
    fn last_eight_bytes_are_the_stored_checksum() {
        let mut file = b"some snapshot".to_vec();
        let mut crc = Crc::new();
        crc.update(&file);
        let expected = crc.value();
        file.extend_from_slice(&expected.to_le_bytes());
        for step in [1, 3, 7, 8, 9, 64] {
            let mut crc = Crc::new();
            file.chunks(step).for_each(|piece| crc.update(piece));
            assert_eq!(crc.split_stored(), Some((expected, expected)), "in steps of {step}");
        }
    }
}
