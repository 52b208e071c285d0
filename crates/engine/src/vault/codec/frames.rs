//! Zstandard in independent frames of 2 MiB, each with its checksum, and the standard seek table behind them
//! (`contrib/seekable_format` of zstd). Any zstd reads it; we read any stretch of it.

use std::ops::Range;

use zeekstd::{BytesWrapper, SEEK_TABLE_INTEGRITY_SIZE, SeekTable};
use zstd_safe::{CCtx, CParameter, DCtx};

use super::damaged;
use crate::error::{Error, Result};

/// Plain bytes of each frame but the last.
pub(super) const FRAME_BYTES: usize = 2 * 1024 * 1024;
/// Most plain bytes of a frame that is read.
const MOST_FRAME_BYTES: u64 = 8 * 1024 * 1024;
/// No seek table is longer: that of 16 TiB.
const MOST_TABLE_BYTES: u64 = 64 << 20;
/// Bytes of the seek table for each frame, and around them.
const ENTRY_BYTES: u64 = 8;
const TABLE_EXTRA_BYTES: u64 = 8 + SEEK_TABLE_INTEGRITY_SIZE as u64;
/// Compression level: higher ones cost far more than they save.
const LEVEL: i32 = 1;

/// Compresses a stream of bytes.
pub(super) struct FrameWriter {
    context: CCtx<'static>,
    frame: Vec<u8>,
    table: SeekTable,
}

impl FrameWriter {
    pub(super) fn new() -> Result<Self> {
        let mut context = CCtx::create();
        for parameter in [CParameter::CompressionLevel(LEVEL), CParameter::ChecksumFlag(true)] {
            context.set_parameter(parameter).map_err(failed)?;
        }
        Ok(Self { context, frame: Vec::with_capacity(FRAME_BYTES), table: SeekTable::new() })
    }

    /// Takes bytes, and appends what is compressed to `out`.
    pub(super) fn push(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> Result<()> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(FRAME_BYTES - self.frame.len()));
            self.frame.extend_from_slice(now);
            bytes = later;
            if self.frame.len() == FRAME_BYTES {
                self.end_frame(out)?;
            }
        }
        Ok(())
    }

    /// Appends the last frame and the seek table.
    pub(super) fn finish(mut self, out: &mut Vec<u8>) -> Result<()> {
        if !self.frame.is_empty() {
            self.end_frame(out)?;
        }
        let mut table = self.table.into_serializer();
        let start = out.len();
        out.resize(start + table.encoded_len(), 0);
        let written = table.write_into(&mut out[start..]);
        out.truncate(start + written);
        Ok(())
    }

    fn end_frame(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        out.resize(start + zstd_safe::compress_bound(self.frame.len()), 0);
        let length = self.context.compress2(&mut out[start..], &self.frame).map_err(failed)?;
        out.truncate(start + length);
        let size = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        self.table
            .log_frame(size(length), size(self.frame.len()))
            .map_err(|error| Error::internal("a part has too many frames", error))?;
        self.frame.clear();
        Ok(())
    }
}

fn failed(code: usize) -> Error {
    Error::internal("a part cannot be compressed", zstd_safe::get_error_name(code))
}

/// Where the frames of an object are.
pub(super) struct Frames(SeekTable);

impl Frames {
    /// Bytes of the seek table of an object with that many plain bytes, as it is written here.
    pub(super) fn table_bytes(size_bytes: u64) -> u64 {
        size_bytes.div_ceil(FRAME_BYTES as u64) * ENTRY_BYTES + TABLE_EXTRA_BYTES
    }

    /// Bytes of the seek table at the end of `tail`, as it says itself. At most as many as the object has.
    pub(super) fn table_bytes_of(tail: &[u8], object_bytes: u64) -> Result<u64> {
        let count = tail
            .len()
            .checked_sub(SEEK_TABLE_INTEGRITY_SIZE)
            .and_then(|at| tail[at..].first_chunk::<4>())
            .ok_or_else(|| damaged("it ends without a seek table"))?;
        let bytes = u64::from(u32::from_le_bytes(*count)) * ENTRY_BYTES + TABLE_EXTRA_BYTES;
        if bytes > object_bytes.min(MOST_TABLE_BYTES) {
            Err(damaged("its seek table is longer than it is itself"))
        } else {
            Ok(bytes)
        }
    }

    /// Reads the table that `bytes` are, of an object of `object_bytes` with `size_bytes` plain ones.
    pub(super) fn read(bytes: &[u8], object_bytes: u64, size_bytes: u64) -> Result<Self> {
        let table = SeekTable::from_seekable(&mut BytesWrapper::new(bytes))
            .map_err(|error| damaged(format!("its seek table cannot be read: {error}")))?;
        let consistent = table.size_decomp() == size_bytes
            && table.size_comp() + bytes.len() as u64 == object_bytes
            && (0..table.num_frames()).all(|frame| {
                let plain = table.frame_size_decomp(frame).unwrap_or(0);
                let packed = table.frame_size_comp(frame).unwrap_or(u64::MAX);
                (1..=MOST_FRAME_BYTES).contains(&plain) && packed <= 2 * MOST_FRAME_BYTES
            });
        if consistent { Ok(Self(table)) } else { Err(damaged("its seek table speaks of another object")) }
    }

    /// The frames that hold a stretch of plain bytes that is not empty.
    pub(super) fn of(&self, plain: &Range<u64>) -> Range<u32> {
        let first = self.0.frame_index_decomp(plain.start);
        first..self.0.frame_index_decomp(plain.end - 1) + 1
    }

    /// Where frames are in the compressed bytes.
    pub(super) fn packed(&self, frames: &Range<u32>) -> Range<u64> {
        let end = |frame: u32| self.0.frame_end_comp(frame).unwrap_or(0);
        frames.start.checked_sub(1).map_or(0, end)..frames.end.checked_sub(1).map_or(0, end)
    }

    /// Which plain bytes frames hold.
    pub(super) fn plain(&self, frames: &Range<u32>) -> Range<u64> {
        let end = |frame: u32| self.0.frame_end_decomp(frame).unwrap_or(0);
        frames.start.checked_sub(1).map_or(0, end)..frames.end.checked_sub(1).map_or(0, end)
    }

    /// Decompresses whole frames, one after the other, into the whole of `plain`.
    pub(super) fn unpack(
        &self,
        context: &mut DCtx<'static>,
        frames: &Range<u32>,
        packed: &[u8],
        plain: &mut [u8],
    ) -> Result<()> {
        let (mut from, mut filled) = (0, 0);
        for frame in frames.clone() {
            let size = |bytes: zeekstd::Result<u64>| bytes.ok().and_then(|size| usize::try_from(size).ok());
            let (Some(stored), Some(wanted)) =
                (size(self.0.frame_size_comp(frame)), size(self.0.frame_size_decomp(frame)))
            else {
                return Err(damaged("its seek table has no such frame"));
            };
            let target = plain.get_mut(filled..filled + wanted);
            let (Some(target), Some(frame)) = (target, packed.get(from..from + stored)) else {
                return Err(damaged("a frame is cut off"));
            };
            let length = context.decompress(target, frame).map_err(|code| {
                damaged(format!("a frame does not open: {}", zstd_safe::get_error_name(code)))
            })?;
            if length != wanted {
                return Err(damaged("a frame is shorter than the seek table says"));
            }
            from += stored;
            filled += wanted;
        }
        Ok(())
    }
}
