//! An open file. Bytes that are in memory are handed out at once; only others are waited for, on a thread that may.

use std::io::IoSliceMut;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use rustix::fs;
use rustix::io::{self, Errno, ReadWriteFlags};

use crate::error::{Error, Result};
use crate::vault::ObjectReader;

/// `statfs` type of tmpfs (linux/magic.h), whose files are always in memory.
const TMPFS_MAGIC: i64 = 0x0102_1994;
/// Buffers kept for the next read.
const SPARE_BUFFERS: usize = 64;

pub(super) struct LocalReader {
    file: Arc<OwnedFd>,
    size_bytes: u64,
    in_memory: bool,
}

impl LocalReader {
    pub(super) fn new(file: OwnedFd) -> io::Result<Self> {
        let size_bytes = u64::try_from(fs::fstat(&file)?.st_size).unwrap_or(0);
        let in_memory = fs::fstatfs(&file)?.f_type == TMPFS_MAGIC;
        Ok(Self { file: Arc::new(file), size_bytes, in_memory })
    }

    /// The whole of a small file. Blocks.
    pub(super) fn read_whole(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(self.size_bytes).map_err(|_| Errno::FBIG)?];
        let mut filled = 0;
        while filled < bytes.len() {
            match io::pread(&self.file, &mut bytes[filled..], filled as u64)? {
                0 => return Err(Errno::IO),
                read => filled += read,
            }
        }
        Ok(bytes)
    }
}

#[async_trait]
impl ObjectReader for LocalReader {
    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn read_now(&self, offset: u64, len: usize) -> Option<Result<Bytes>> {
        let flags = if self.in_memory { ReadWriteFlags::empty() } else { ReadWriteFlags::NOWAIT };
        match read(&self.file, offset, len, flags) {
            Err(Errno::AGAIN | Errno::OPNOTSUPP) => None,
            other => Some(other.map_err(failed)),
        }
    }

    async fn read_at(&self, offset: u64, len: usize) -> Result<Bytes> {
        if let Some(result) = self.read_now(offset, len) {
            return result;
        }
        let file = self.file.clone();
        tokio::task::spawn_blocking(move || read(&file, offset, len, ReadWriteFlags::empty()).map_err(failed))
            .await
            .unwrap_or_else(|error| Err(Error::internal("the storage thread ended early", error)))
    }

    fn file(&self) -> Option<BorrowedFd<'_>> {
        Some(self.file.as_fd())
    }
}

fn failed(errno: Errno) -> Error {
    Error::io("cannot read from the repository", &errno.into())
}

fn read(file: &OwnedFd, offset: u64, len: usize, flags: ReadWriteFlags) -> io::Result<Bytes> {
    let mut buffer = Buffer::take(len);
    let filled = io::preadv2(file, &mut [IoSliceMut::new(&mut buffer.0[..len])], offset, flags)?;
    let mut bytes = Bytes::from_owner(buffer);
    bytes.truncate(filled);
    Ok(bytes)
}

/// A buffer that goes back on a shelf when the last slice of it is dropped. Its bytes are initialised once, not at
/// every read.
struct Buffer(Vec<u8>);

static SPARE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

impl Buffer {
    /// A buffer of at least `len` bytes.
    fn take(len: usize) -> Self {
        let mut shelf = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = shelf.iter().rposition(|spare| spare.len() >= len && spare.len() / 4 <= len);
        let spare = fits.map(|at| shelf.swap_remove(at));
        drop(shelf);
        Self(spare.unwrap_or_else(|| vec![0; len]))
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < SPARE_BUFFERS {
            spare.push(std::mem::take(&mut self.0));
        }
    }
}
