//! The payload: chunks of 64 KiB, each sealed by itself with its number and with a mark on the last (STREAM).

use std::ops::Range;

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

use super::{AgeFault, FileKey};

/// Plain bytes of every chunk but the last, which has at most as many.
pub const CHUNK_BYTES: usize = 64 * 1024;
/// Bytes that authenticate a chunk.
pub const TAG_BYTES: usize = 16;
/// Stored bytes of every chunk but the last.
pub const SEALED_CHUNK_BYTES: usize = CHUNK_BYTES + TAG_BYTES;
/// Bytes before the first chunk.
pub(super) const NONCE_BYTES: usize = 16;

fn key(file_key: &FileKey, nonce: &[u8]) -> Result<LessSafeKey, AgeFault> {
    let key = file_key.derive(nonce, b"payload")?;
    UnboundKey::new(&CHACHA20_POLY1305, key.as_slice()).map(LessSafeKey::new).map_err(|_| AgeFault::Unusable)
}

/// The nonce of a chunk: its number in 11 bytes, and whether it is the last.
fn nonce_of(chunk: u64, last: bool) -> Nonce {
    let mut nonce = [0; 12];
    nonce[3..11].copy_from_slice(&chunk.to_be_bytes());
    nonce[11] = u8::from(last);
    Nonce::assume_unique_for_key(nonce)
}

/// Seals a stream of bytes.
pub struct ChunkSealer {
    key: LessSafeKey,
    chunk: u64,
    /// Bytes of the chunk in the making. A full one waits until it is known whether it is the last.
    held: Vec<u8>,
}

impl ChunkSealer {
    pub(super) fn new(file_key: &FileKey, nonce: &[u8]) -> Result<Self, AgeFault> {
        Ok(Self { key: key(file_key, nonce)?, chunk: 0, held: Vec::with_capacity(CHUNK_BYTES) })
    }

    /// Takes bytes, and appends what is sealed to `out`.
    pub fn push(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> Result<(), AgeFault> {
        while !bytes.is_empty() {
            if self.held.len() == CHUNK_BYTES {
                self.seal(false, out)?;
            }
            let (now, later) = bytes.split_at(bytes.len().min(CHUNK_BYTES - self.held.len()));
            self.held.extend_from_slice(now);
            bytes = later;
        }
        Ok(())
    }

    /// Appends the last chunk, which is empty only if nothing came.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), AgeFault> {
        self.seal(true, out)
    }

    fn seal(&mut self, last: bool, out: &mut Vec<u8>) -> Result<(), AgeFault> {
        let start = out.len();
        out.extend_from_slice(&self.held);
        self.held.clear();
        let nonce = nonce_of(self.chunk, last);
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce, Aad::empty(), &mut out[start..])
            .map_err(|_| AgeFault::Unusable)?;
        out.extend_from_slice(tag.as_ref());
        self.chunk += 1;
        Ok(())
    }
}

/// A payload that is read: its key and its shape.
pub struct Payload {
    key: LessSafeKey,
    sealed_bytes: u64,
    chunks: u64,
}

impl Payload {
    /// `sealed_bytes` = bytes of all its chunks, without the nonce.
    pub fn new(file_key: &FileKey, nonce: &[u8], sealed_bytes: u64) -> Result<Self, AgeFault> {
        let chunks = sealed_bytes.div_ceil(SEALED_CHUNK_BYTES as u64);
        let last = sealed_bytes.saturating_sub(chunks.saturating_sub(1) * SEALED_CHUNK_BYTES as u64);
        // An empty last chunk is right only where there is no other.
        let needed = TAG_BYTES as u64 + u64::from(chunks > 1);
        if last < needed {
            return Err(AgeFault::Malformed("a last chunk that is too short"));
        }
        Ok(Self { key: key(file_key, nonce)?, sealed_bytes, chunks })
    }

    /// Bytes of the nonce before the chunks.
    pub const NONCE_BYTES: usize = NONCE_BYTES;

    /// Plain bytes of all its chunks.
    pub fn plain_bytes(&self) -> u64 {
        self.sealed_bytes - self.chunks * TAG_BYTES as u64
    }

    /// The chunks that hold a stretch of plain bytes. An empty one at the end is in the last chunk.
    pub fn chunks_of(&self, plain: &Range<u64>) -> Range<u64> {
        let first = (plain.start / CHUNK_BYTES as u64).min(self.chunks - 1);
        let end = plain.end.div_ceil(CHUNK_BYTES as u64);
        first..end.clamp(first + 1, self.chunks)
    }

    /// Where those chunks are, from the first chunk on.
    pub fn sealed_range(&self, chunks: &Range<u64>) -> Range<u64> {
        let at = |chunk: u64| chunk.saturating_mul(SEALED_CHUNK_BYTES as u64).min(self.sealed_bytes);
        at(chunks.start)..at(chunks.end)
    }

    /// Opens whole chunks in place, the first of which has that number; their plain bytes stand at the start of
    /// `bytes` afterwards. Returns how many.
    pub fn open(&self, first: u64, bytes: &mut [u8]) -> Result<usize, AgeFault> {
        let (mut chunk, mut from, mut filled) = (first, 0, 0);
        while from < bytes.len() || chunk == first {
            let end = bytes.len().min(from + SEALED_CHUNK_BYTES);
            let last = chunk + 1 == self.chunks;
            let opened = self
                .key
                .open_in_place(nonce_of(chunk, last), Aad::empty(), &mut bytes[from..end])
                .map_err(|_| AgeFault::ChunkChanged(chunk))?
                .len();
            bytes.copy_within(from..from + opened, filled);
            filled += opened;
            from = end;
            chunk += 1;
        }
        Ok(filled)
    }
}
