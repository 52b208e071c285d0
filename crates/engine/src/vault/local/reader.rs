//! An open file. Bytes that are in memory are handed out at once; only others are waited for, on a thread that may.

use std::io::IoSliceMut;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use rustix::fs;
use rustix::io::{self, Errno, ReadWriteFlags};

use crate::error::{Error, Result};
use crate::vault::ObjectReader;

/// `statfs` type of tmpfs (linux/magic.h), whose files are always in memory.
const TMPFS_MAGIC: i64 = 0x0102_1994;

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

    fn read_now(&self, offset: u64, out: &mut [u8]) -> Option<Result<usize>> {
        let flags = if self.in_memory { ReadWriteFlags::empty() } else { ReadWriteFlags::NOWAIT };
        match io::preadv2(&self.file, &mut [IoSliceMut::new(out)], offset, flags) {
            Err(Errno::AGAIN | Errno::OPNOTSUPP) => None,
            other => Some(other.map_err(failed)),
        }
    }

    async fn read_at(&self, offset: u64, len: usize) -> Result<Bytes> {
        let mut bytes = vec![0; len];
        let read = if let Some(read) = self.read_now(offset, &mut bytes) {
            read?
        } else {
            let file = self.file.clone();
            let read = tokio::task::spawn_blocking(move || {
                io::pread(&file, &mut bytes[..], offset).map(|read| (read, bytes)).map_err(failed)
            });
            let read = read.await;
            let (read, filled) =
                read.unwrap_or_else(|error| Err(Error::internal("the storage thread ended early", error)))?;
            bytes = filled;
            read
        };
        bytes.truncate(read);
        Ok(Bytes::from(bytes))
    }

    fn file(&self) -> Option<BorrowedFd<'_>> {
        Some(self.file.as_fd())
    }
}

fn failed(errno: Errno) -> Error {
    Error::io("cannot read from the repository", &errno.into())
}
