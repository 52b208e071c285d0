//! An encoded object as plain bytes. A range is planned from the outside in (frames, then chunks, then bytes of the
//! store), and read from the store in one request.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zstd_safe::DCtx;

use super::age::{self, AgeFault, Identity, Payload};
use super::frames::{FRAME_BYTES, Frames};
use super::stream::PlainStream;
use super::{damaged, stopped, unopened};
use crate::error::{Error, Result};
use crate::model::Encoding;
use crate::vault::{ObjectReader, ObjectStream};

/// Bytes that are read to find an object's header; that of one recipient is 200 long.
const HEAD_BYTES: usize = 4096;
/// Most plain bytes of one step.
pub(super) const STEP_BYTES: u64 = FRAME_BYTES as u64;

/// An open encoded object. Clones are the same one.
#[derive(Clone)]
pub(super) struct Source(Arc<Inner>);

struct Inner {
    stored: Arc<dyn ObjectReader>,
    size_bytes: u64,
    age: Option<Envelope>,
    frames: Option<Frames>,
    decoders: Arc<Semaphore>,
}

/// The age layer.
struct Envelope {
    payload: Payload,
    /// Where the first chunk begins.
    start: u64,
}

/// Memory for one stretch, and the right to it.
pub(super) struct Scratch {
    /// Stored bytes, then the decrypted ones.
    data: Vec<u8>,
    plain: Vec<u8>,
    context: Option<DCtx<'static>>,
    _permit: OwnedSemaphorePermit,
}

impl Scratch {
    pub(super) fn new(permit: OwnedSemaphorePermit) -> Self {
        Self { data: Vec::new(), plain: Vec::new(), context: None, _permit: permit }
    }
}

/// A decoded stretch.
pub(super) struct Piece {
    pub(super) scratch: Scratch,
    is_unpacked: bool,
    range: Range<usize>,
}

impl Piece {
    pub(super) fn bytes(&self) -> &[u8] {
        let from = if self.is_unpacked { &self.scratch.plain } else { &self.scratch.data };
        from.get(self.range.clone()).unwrap_or(&[])
    }
}

/// What has to be read and done for a stretch of plain bytes.
struct Plan {
    /// Bytes of the store.
    stored: Range<u64>,
    /// The first chunk of them.
    chunk: u64,
    /// What of the decrypted bytes is wanted.
    clear: Range<u64>,
    frames: Range<u32>,
    /// The plain bytes that these frames hold.
    unpacked: Range<u64>,
}

impl Source {
    /// Opens an object: its header, its last chunk, its seek table.
    pub(super) async fn open(
        stored: Arc<dyn ObjectReader>,
        encoding: Encoding,
        size_bytes: u64,
        identities: &[Identity],
        decoders: Arc<Semaphore>,
    ) -> Result<Self> {
        let age = match encoding.encryption {
            Some(_) => Some(open_envelope(&*stored, identities).await?),
            None => None,
        };
        let mut inner = Inner { stored, size_bytes, age, frames: None, decoders };
        let packed_bytes = inner.packed_bytes();
        if encoding.compression.is_some() {
            let mut tail = inner.read_tail(Frames::table_bytes(size_bytes).min(packed_bytes)).await?;
            let table = Frames::table_bytes_of(&tail, packed_bytes)?;
            if table > tail.len() as u64 {
                tail = inner.read_tail(table).await?;
            }
            let start = tail.len() - usize::try_from(table).unwrap_or(0);
            inner.frames = Some(Frames::read(&tail[start..], packed_bytes, size_bytes)?);
        } else {
            if packed_bytes != size_bytes {
                return Err(damaged(format!("it holds {packed_bytes} instead of {size_bytes} bytes")));
            }
            // Only the last chunk says that it is the last.
            inner.read_tail(packed_bytes.min(1)).await?;
        }
        Ok(Self(Arc::new(inner)))
    }

    /// A permit for memory, once there is one.
    pub(super) async fn scratch(&self) -> Result<Scratch> {
        self.0.decoders.clone().acquire_owned().await.map(Scratch::new).map_err(stopped)
    }

    /// Memory, if more than `reserve` permits are free: for reading ahead.
    pub(super) fn spare_scratch(&self, reserve: usize) -> Option<Scratch> {
        if self.0.decoders.available_permits() <= reserve {
            return None;
        }
        self.0.decoders.clone().try_acquire_owned().ok().map(Scratch::new)
    }

    /// Where the step ends that begins at `at`: with its frame, at most [`STEP_BYTES`] on.
    pub(super) fn step_end(&self, at: u64) -> u64 {
        let end = match &self.0.frames {
            Some(frames) => frames.plain(&frames.of(&(at..at + 1))).end,
            None => (at / STEP_BYTES + 1) * STEP_BYTES,
        };
        end.min(self.0.size_bytes)
    }

    /// Reads and decodes a stretch that is not empty and within the object.
    pub(super) async fn decode(self, range: Range<u64>, mut scratch: Scratch) -> Result<Piece> {
        let plan = self.0.plan(&range);
        if self.0.stored.file().is_none() {
            scratch.data = fetch(&*self.0.stored, &plan.stored, scratch.data).await?;
        }
        let work = move || {
            if let Some(file) = self.0.stored.file() {
                read_file(file, &plan.stored, &mut scratch.data)?;
            }
            self.0.work(&plan, range, scratch)
        };
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(stopped(error)))
    }
}

impl Inner {
    /// Bytes inside of the age layer.
    fn packed_bytes(&self) -> u64 {
        match &self.age {
            Some(age) => age.payload.plain_bytes(),
            None => self.stored.size_bytes(),
        }
    }

    /// What is stored of a stretch inside of the age layer: where, and the first chunk of it.
    fn stored_range(&self, packed: &Range<u64>) -> (Range<u64>, u64) {
        let Some(age) = &self.age else { return (packed.clone(), 0) };
        let chunks = age.payload.chunks_of(packed);
        let sealed = age.payload.sealed_range(&chunks);
        (age.start + sealed.start..age.start + sealed.end, chunks.start)
    }

    fn plan(&self, range: &Range<u64>) -> Plan {
        let (packed, frames, unpacked) = match &self.frames {
            Some(table) => {
                let frames = table.of(range);
                (table.packed(&frames), frames.clone(), table.plain(&frames))
            }
            None => (range.clone(), 0..0, range.clone()),
        };
        let (stored, chunk) = self.stored_range(&packed);
        let before = if self.age.is_some() { chunk * age::CHUNK_BYTES as u64 } else { packed.start };
        Plan { stored, chunk, clear: packed.start - before..packed.end - before, frames, unpacked }
    }

    /// Decrypts and decompresses what was read.
    fn work(&self, plan: &Plan, range: Range<u64>, mut scratch: Scratch) -> Result<Piece> {
        self.decrypt(plan.chunk, &mut scratch.data)?;
        let clear = within(&plan.clear)?;
        let Some(frames) = &self.frames else {
            return Ok(Piece { scratch, is_unpacked: false, range: clear });
        };
        let packed = scratch.data.get(clear).ok_or_else(|| damaged("it ends too early"))?;
        let unpacked = usize::try_from(plan.unpacked.end - plan.unpacked.start).map_err(damaged)?;
        scratch.plain.resize(unpacked, 0);
        let context = scratch.context.get_or_insert_with(DCtx::create);
        frames.unpack(context, &plan.frames, packed, &mut scratch.plain)?;
        let range = within(&(range.start - plan.unpacked.start..range.end - plan.unpacked.start))?;
        Ok(Piece { scratch, is_unpacked: true, range })
    }

    /// Decrypts whole chunks in place.
    fn decrypt(&self, chunk: u64, data: &mut Vec<u8>) -> Result<()> {
        if let Some(age) = &self.age {
            let length = age.payload.open(chunk, data).map_err(unopened)?;
            data.truncate(length);
        }
        Ok(())
    }

    /// The last bytes inside of the age layer. Its last chunk is authenticated by that.
    async fn read_tail(&self, bytes: u64) -> Result<Vec<u8>> {
        let end = self.packed_bytes();
        let packed = end - bytes..end;
        let (stored, chunk) = self.stored_range(&packed);
        let mut data = fetch(&*self.stored, &stored, Vec::new()).await?;
        self.decrypt(chunk, &mut data)?;
        let wanted = usize::try_from(bytes).map_err(damaged)?;
        let start = data.len().checked_sub(wanted).ok_or_else(|| damaged("it ends too early"))?;
        data.drain(..start);
        Ok(data)
    }
}

fn within(range: &Range<u64>) -> Result<Range<usize>> {
    Ok(usize::try_from(range.start).map_err(damaged)?..usize::try_from(range.end).map_err(damaged)?)
}

async fn open_envelope(stored: &dyn ObjectReader, identities: &[Identity]) -> Result<Envelope> {
    let mut wanted = HEAD_BYTES;
    loop {
        let length = stored.size_bytes().min(wanted as u64);
        let head = fetch(stored, &(0..length), Vec::new()).await?;
        match age::read_header(&head, identities) {
            Err(AgeFault::Incomplete) if wanted < age::LONGEST_HEADER && length == wanted as u64 => {
                wanted = age::LONGEST_HEADER;
            }
            Err(fault) => return Err(unopened(fault)),
            Ok((file_key, at)) => {
                let start = at + Payload::NONCE_BYTES;
                let nonce = match head.get(at..start) {
                    Some(nonce) => nonce.to_vec(),
                    None => fetch(stored, &(at as u64..start as u64), Vec::new()).await?,
                };
                let sealed = stored.size_bytes().saturating_sub(start as u64);
                let payload = Payload::new(&file_key, &nonce, sealed).map_err(unopened)?;
                return Ok(Envelope { payload, start: start as u64 });
            }
        }
    }
}

/// A stretch of the store, all of it, into a buffer that is used again.
async fn fetch(stored: &dyn ObjectReader, range: &Range<u64>, mut data: Vec<u8>) -> Result<Vec<u8>> {
    data.clear();
    let wanted = usize::try_from(range.end.saturating_sub(range.start)).map_err(damaged)?;
    while data.len() < wanted {
        // A store may give less than it was asked for.
        let bytes = stored.read_at(range.start + data.len() as u64, wanted - data.len()).await?;
        if bytes.is_empty() {
            return Err(damaged("it ends too early"));
        }
        data.extend_from_slice(&bytes[..bytes.len().min(wanted - data.len())]);
    }
    Ok(data)
}

/// As [`fetch`], from a file. Blocks.
fn read_file(file: std::os::fd::BorrowedFd<'_>, range: &Range<u64>, data: &mut Vec<u8>) -> Result<()> {
    data.resize(usize::try_from(range.end - range.start).map_err(damaged)?, 0);
    let mut filled = 0;
    while filled < data.len() {
        match rustix::io::pread(file, &mut data[filled..], range.start + filled as u64) {
            Ok(0) => return Err(damaged("it ends too early")),
            Ok(read) => filled += read,
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(Error::io("cannot read from the repository", &errno.into())),
        }
    }
    Ok(())
}

#[async_trait]
impl ObjectReader for Source {
    fn size_bytes(&self) -> u64 {
        self.0.size_bytes
    }

    fn read_now(&self, _: u64, _: &mut [u8]) -> Option<Result<usize>> {
        None
    }

    async fn read_at(&self, offset: u64, len: usize) -> Result<Bytes> {
        let end = offset.saturating_add((len as u64).min(STEP_BYTES)).min(self.0.size_bytes);
        if offset >= end {
            return Ok(Bytes::new());
        }
        let scratch = self.scratch().await?;
        let piece = self.clone().decode(offset..end, scratch).await?;
        Ok(Bytes::copy_from_slice(piece.bytes()))
    }

    fn stream(&self, range: Range<u64>) -> Option<Box<dyn ObjectStream>> {
        Some(Box::new(PlainStream::new(self.clone(), range)))
    }
}
