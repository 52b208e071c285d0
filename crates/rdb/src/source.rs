//! The bytes under the reader: lent from the caller's buffer where possible, summed on the way,
//! copied only in steps as they really arrive.

use std::io::{self, BufRead};

use crate::{bytes::Bytes, crc::Crc, fault::Reason, lzf};

/// Declared lengths are not trusted: memory grows by at most this much ahead of the bytes.
pub(crate) const GROWTH_BYTES: usize = 1 << 20;
/// Bytes of one lent buffer that may wait for the checksum, so that they are summed while in the CPU's cache.
const UNSUMMED_BYTES: usize = 256 << 10;

/// A buffered source with a position and a running checksum.
///
/// The caller's buffer is told of consumed bytes only when all of it was read. Slices lent from it therefore
/// stay good while the position moves on, and the checksum is computed over long stretches.
pub(crate) struct Source<R> {
    inner: R,
    /// Offset in the file of the first byte of the lent buffer.
    base: u64,
    /// Length of the lent buffer.
    len: usize,
    /// How much of it was read.
    taken: usize,
    /// How much of it is in the checksum.
    summed: usize,
    crc: Crc,
    /// Where the string read last begins.
    latest_string: u64,
    /// Bytes that did not lie in one buffer.
    gathered: Vec<u8>,
    /// Bytes that were written in another form: compressed, or as an integer.
    pub(crate) decoded: Vec<u8>,
    /// How much longer the compressed strings so far are than what is stored of them.
    expanded: u64,
    /// Upper bound for `gathered`, `decoded` and `tapped`.
    pub(crate) max_blob_bytes: u64,
    /// Whether the bytes read are also wanted as they stand: those of earlier buffers, and where in the lent
    /// one they go on.
    tapping: bool,
    tapped: Vec<u8>,
    tapped_to: usize,
}

impl<R: BufRead> Source<R> {
    pub(crate) fn new(inner: R, max_blob_bytes: u64) -> Self {
        Self {
            inner,
            base: 0,
            len: 0,
            taken: 0,
            summed: 0,
            crc: Crc::new(),
            latest_string: 0,
            gathered: Vec::new(),
            decoded: Vec::new(),
            expanded: 0,
            max_blob_bytes,
            tapping: false,
            tapped: Vec::new(),
            tapped_to: 0,
        }
    }

    /// Bytes read so far.
    pub(crate) fn offset(&self) -> u64 {
        self.base + self.taken as u64
    }

    /// Where the string read last begins, for messages.
    pub(crate) fn latest_string(&self) -> u64 {
        self.latest_string
    }

    /// The unread part of the buffer: empty only at the end of the source.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "called for every length: measured to be worth it")]
    pub(crate) fn window(&mut self) -> Result<&[u8], Box<Reason>> {
        if self.taken == self.len {
            self.refill()?;
        }
        Ok(&self.inner.fill_buf()?[self.taken..self.len])
    }

    /// Moves on by bytes of the window.
    #[inline]
    pub(crate) fn advance(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.len - self.taken, "advances within the window");
        self.taken += bytes;
    }

    #[inline(never)]
    fn skip_far(&mut self, bytes: u64) -> Result<(), Box<Reason>> {
        let mut left = bytes;
        while left > 0 {
            let here = self.window()?.len();
            if here == 0 {
                return Err(Reason::Truncated.into());
            }
            let step = usize::try_from(left).map_or(here, |left| left.min(here));
            self.taken += step;
            left -= step as u64;
        }
        Ok(())
    }

    /// Makes sure that the checksum does not fall far behind, and that one huge value is not kept for ever.
    #[inline]
    pub(crate) fn settle(&mut self) -> Result<(), Box<Reason>> {
        if self.taken - self.summed >= UNSUMMED_BYTES {
            self.sum()?;
        }
        give_back(&mut self.gathered);
        give_back(&mut self.decoded);
        Ok(())
    }

    /// From here on, bytes are also kept as they stand.
    pub(crate) fn tap(&mut self) {
        (self.tapping, self.tapped_to) = (true, self.taken);
    }

    /// The checksum of all bytes read so far.
    pub(crate) fn checksum(&mut self) -> Result<u64, Box<Reason>> {
        self.sum()?;
        Ok(self.crc.value())
    }

    /// Reads to the end and takes the last eight bytes as the stored checksum: `(stored, computed)`.
    pub(crate) fn drain(&mut self) -> io::Result<Option<(u64, u64)>> {
        loop {
            self.refill_io()?;
            if self.len == 0 {
                return Ok(self.crc.split_stored());
            }
            self.taken = self.len;
        }
    }

    /// Gives the source back, just behind the last byte read.
    pub(crate) fn into_inner(mut self) -> R {
        self.inner.consume(self.taken);
        self.inner
    }

    #[cold]
    fn refill(&mut self) -> Result<(), Box<Reason>> {
        if self.tapping {
            let bytes = (self.tapped.len() + self.taken - self.tapped_to) as u64;
            // What stood before a blob of that length may still be kept with it.
            if bytes > self.max_blob_bytes.saturating_add(2 * GROWTH_BYTES as u64) {
                return Err(Reason::TooLarge { bytes, limit: self.max_blob_bytes }.into());
            }
            self.tapped.extend_from_slice(&self.inner.fill_buf()?[self.tapped_to..self.taken]);
            self.tapped_to = 0;
        }
        Ok(self.refill_io()?)
    }

    /// Leaves what was read behind and asks for a buffer with more; its length is zero at the end.
    fn refill_io(&mut self) -> io::Result<()> {
        self.sum()?;
        self.inner.consume(self.taken);
        self.base += self.taken as u64;
        (self.len, self.taken, self.summed) = (0, 0, 0);
        self.len = loop {
            match self.inner.fill_buf() {
                Ok(buffer) => break buffer.len(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        };
        Ok(())
    }

    fn sum(&mut self) -> io::Result<()> {
        if self.summed < self.taken {
            // A buffer that was filled is lent again as it is: that cannot be interrupted.
            self.crc.update(&self.inner.fill_buf()?[self.summed..self.taken]);
            self.summed = self.taken;
        }
        Ok(())
    }

    #[cold]
    fn gather(&mut self, wanted: usize) -> Result<(), Box<Reason>> {
        let mut gathered = std::mem::take(&mut self.gathered);
        gathered.clear();
        while gathered.len() < wanted {
            let window = self.window()?;
            if window.is_empty() {
                return Err(Reason::Truncated.into());
            }
            let step = window.len().min(wanted - gathered.len());
            if gathered.capacity() - gathered.len() < step {
                gathered.reserve_exact((wanted - gathered.len()).min(step.max(GROWTH_BYTES)));
            }
            gathered.extend_from_slice(&window[..step]);
            self.taken += step;
        }
        self.gathered = gathered;
        Ok(())
    }
}

impl<R: BufRead> Bytes for Source<R> {
    #[inline]
    fn begin_string(&mut self) {
        self.latest_string = self.offset();
    }

    #[inline]
    fn byte(&mut self) -> Result<u8, Box<Reason>> {
        let byte = *self.window()?.first().ok_or(Reason::Truncated)?;
        self.taken += 1;
        Ok(byte)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Box<Reason>> {
        if let Some(array) = self.window()?.first_chunk::<N>().copied() {
            self.taken += N;
            return Ok(array);
        }
        let mut array = [0; N];
        for byte in &mut array {
            *byte = self.byte()?;
        }
        Ok(array)
    }

    #[inline]
    fn skip(&mut self, bytes: u64) -> Result<(), Box<Reason>> {
        match usize::try_from(bytes) {
            Ok(here) if here <= self.len - self.taken => {
                self.taken += here;
                Ok(())
            }
            _ => self.skip_far(bytes),
        }
    }

    #[inline]
    fn bytes(&mut self, bytes: u64) -> Result<&[u8], Box<Reason>> {
        let limit = self.max_blob_bytes;
        let wanted = usize::try_from(bytes)
            .ok()
            .filter(|_| bytes <= limit)
            .ok_or(Reason::TooLarge { bytes, limit })?;
        if self.taken == self.len {
            self.refill()?;
        }
        if wanted <= self.len - self.taken {
            let start = self.taken;
            self.taken += wanted;
            return Ok(&self.inner.fill_buf()?[start..start + wanted]);
        }
        self.gather(wanted)?;
        Ok(&self.gathered)
    }

    #[inline]
    fn plain_offset(&self) -> u64 {
        self.offset().saturating_add(self.expanded)
    }

    #[inline]
    fn count_expansion(&mut self, bytes: u64) {
        self.expanded = self.expanded.saturating_add(bytes);
    }

    #[inline]
    fn is_tap_full(&self) -> bool {
        self.tapped.len() >= GROWTH_BYTES
    }

    fn end_tap(&mut self) {
        self.tapping = false;
    }

    fn drain_tap(&mut self, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> Result<(), Box<Reason>> {
        if !self.tapping {
            return Ok(());
        }
        let mut hand_on = |bytes: &[u8]| match bytes {
            [] => Ok(()),
            bytes => take(bytes).map_err(|error| Reason::output(&error)),
        };
        hand_on(&self.tapped)?;
        self.tapped.clear();
        give_back(&mut self.tapped);
        if self.tapped_to < self.taken {
            hand_on(&self.inner.fill_buf()?[self.tapped_to..self.taken])?;
            self.tapped_to = self.taken;
        }
        Ok(())
    }

    fn prove_lzf(&mut self, stored: u64, plain: u64) -> Result<(), Box<Reason>> {
        lzf::check_ratio(stored, plain)?;
        let mut walk = lzf::Walk::default();
        let mut left = stored;
        while left > 0 {
            let window = self.window()?;
            let step = usize::try_from(left).map_or(window.len(), |left| left.min(window.len()));
            if step == 0 {
                return Err(Reason::Truncated.into());
            }
            walk.feed(&window[..step])?;
            self.taken += step;
            left -= step as u64;
        }
        walk.finish(plain)
    }

    fn max_blob_bytes(&self) -> u64 {
        self.max_blob_bytes
    }

    fn decoded(&mut self) -> &mut Vec<u8> {
        &mut self.decoded
    }
}

/// Frees scratch memory that one huge value has blown up; the usual size is kept for the next value.
#[inline]
pub(crate) fn give_back(scratch: &mut Vec<u8>) {
    if scratch.capacity() > 2 * GROWTH_BYTES {
        *scratch = Vec::new();
    }
}
