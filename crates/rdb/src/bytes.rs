//! Where bytes come from: [`Source`](crate::source::Source), which may have to wait for them, or a [`Slice`] that has
//! them all. Everything that knows the format is written once, for both.

use std::io;

use crate::{fault::Reason, lzf};

/// Bytes in their order, each read once.
pub(crate) trait Bytes {
    /// The next byte.
    fn byte(&mut self) -> Result<u8, Box<Reason>>;

    /// The next `N` bytes.
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Box<Reason>>;

    /// Passes over bytes, however many.
    fn skip(&mut self, bytes: u64) -> Result<(), Box<Reason>>;

    /// The next bytes as one slice, at most `max_blob_bytes`.
    fn bytes(&mut self, bytes: u64) -> Result<&[u8], Box<Reason>>;

    /// Proves a compressed string without expanding it.
    fn prove_lzf(&mut self, stored: u64, plain: u64) -> Result<(), Box<Reason>>;

    /// The most bytes that one slice may have.
    fn max_blob_bytes(&self) -> u64;

    /// Room for what was written in another form: compressed, or as an integer.
    fn decoded(&mut self) -> &mut Vec<u8>;

    /// Bytes taken so far, compressed strings at the length that they expand to.
    fn plain_offset(&self) -> u64;

    /// Counts how much longer a compressed string is than what is stored of it.
    fn count_expansion(&mut self, bytes: u64);

    /// Remembers that a string begins here.
    fn begin_string(&mut self) {}

    /// Whether so many bytes of a value were kept that they should be handed on.
    fn is_tap_full(&self) -> bool {
        false
    }

    /// Bytes are no longer kept.
    fn end_tap(&mut self) {}

    /// Hands on what was kept.
    fn drain_tap(&mut self, _take: impl FnMut(&[u8]) -> io::Result<()>) -> Result<(), Box<Reason>> {
        Ok(())
    }
}

/// Bytes that are all there.
pub(crate) struct Slice<'a> {
    rest: &'a [u8],
    /// How many bytes there were, and what compressed ones have grown by.
    plain_bytes: u64,
    decoded: &'a mut Vec<u8>,
    max_blob_bytes: u64,
}

impl<'a> Slice<'a> {
    pub(crate) fn new(bytes: &'a [u8], decoded: &'a mut Vec<u8>, max_blob_bytes: u64) -> Self {
        Self { rest: bytes, plain_bytes: bytes.len() as u64, decoded, max_blob_bytes }
    }

    /// How many bytes are left.
    pub(crate) fn left(&self) -> usize {
        self.rest.len()
    }

    #[inline]
    fn take(&mut self, bytes: u64) -> Result<&'a [u8], Box<Reason>> {
        let bytes = usize::try_from(bytes).ok();
        let Some((taken, rest)) = bytes.and_then(|bytes| self.rest.split_at_checked(bytes)) else {
            return Err(truncated().into());
        };
        self.rest = rest;
        Ok(taken)
    }
}

impl Bytes for Slice<'_> {
    #[inline]
    fn byte(&mut self) -> Result<u8, Box<Reason>> {
        let Some((byte, rest)) = self.rest.split_first() else { return Err(truncated().into()) };
        self.rest = rest;
        Ok(*byte)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Box<Reason>> {
        let Some((array, rest)) = self.rest.split_first_chunk() else { return Err(truncated().into()) };
        self.rest = rest;
        Ok(*array)
    }

    #[inline]
    fn skip(&mut self, bytes: u64) -> Result<(), Box<Reason>> {
        self.take(bytes).map(drop)
    }

    #[inline]
    fn bytes(&mut self, bytes: u64) -> Result<&[u8], Box<Reason>> {
        let limit = self.max_blob_bytes;
        if bytes > limit {
            return Err(Reason::TooLarge { bytes, limit }.into());
        }
        self.take(bytes)
    }

    fn prove_lzf(&mut self, stored: u64, plain: u64) -> Result<(), Box<Reason>> {
        lzf::prove(self.take(stored)?, plain)
    }

    #[inline]
    fn max_blob_bytes(&self) -> u64 {
        self.max_blob_bytes
    }

    fn decoded(&mut self) -> &mut Vec<u8> {
        self.decoded
    }

    #[inline]
    fn plain_offset(&self) -> u64 {
        self.plain_bytes - self.rest.len() as u64
    }

    #[inline]
    fn count_expansion(&mut self, bytes: u64) {
        self.plain_bytes = self.plain_bytes.saturating_add(bytes);
    }
}

#[cold]
fn truncated() -> Reason {
    Reason::Truncated
}
