//! A part from the repository as one stream of bytes, read ahead on a thread, and proven to be what was sealed.

use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use aws_lc_rs::digest::{Context, SHA256};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Kind, Result};
use crate::model::{SealedPart, hex};
use crate::vault::ObjectReader;

/// Bytes of a chunk.
const CHUNK_BYTES: usize = 1024 * 1024;
/// Chunks in all.
const CHUNKS: usize = 4;

/// A part as one stream of bytes. Its end is reached only if size and SHA-256 are those of the row; else the end is an
/// error, which [`PartReader::failure`] tells.
pub(super) struct PartReader {
    chunks: Receiver<Result<Vec<u8>>>,
    spare: Sender<Vec<u8>>,
    chunk: Vec<u8>,
    used: usize,
    ended: bool,
    failure: Option<Error>,
}

impl PartReader {
    /// Reads an open object from its start. Blocks in its reads; for a thread of a tokio runtime that may.
    /// Somebody who asks to stop ends it, whatever the store does then.
    pub(super) fn open(
        object: Arc<dyn ObjectReader>,
        part: &SealedPart,
        cancel: &CancellationToken,
    ) -> Result<Self> {
        let runtime = Handle::try_current().map_err(|error| Error::internal("no runtime here", error))?;
        let (full, chunks) = sync_channel(CHUNKS);
        let (spare, empties) = channel();
        for _ in 0..CHUNKS {
            // The receiver lives here.
            let _ = spare.send(Vec::new());
        }
        let expected = (part.size_bytes, part.sha256.clone(), part.file_name.clone());
        let cancel = cancel.clone();
        thread::Builder::new()
            .name("part-reader".to_owned())
            .spawn(move || {
                if let Err(error) = read_ahead(&*object, (&runtime, &cancel), &full, &empties, expected) {
                    // Whoever gave up reading does not want to know.
                    let _ = full.send(Err(error));
                }
            })
            .map_err(|error| Error::internal("no thread for reading", error))?;
        Ok(Self { chunks, spare, chunk: Vec::new(), used: 0, ended: false, failure: None })
    }

    /// Why reading ended too early.
    pub(super) fn failure(&mut self) -> Option<Error> {
        self.failure.take()
    }

    /// Reads into the whole of a buffer, less only at the end.
    pub(super) fn read_full(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) => {
                    return Err(self.failure().unwrap_or_else(|| Error::io("cannot read a part", &error)));
                }
            }
        }
        Ok(filled)
    }
}

fn read_ahead(
    object: &dyn ObjectReader,
    (runtime, cancel): (&Handle, &CancellationToken),
    full: &SyncSender<Result<Vec<u8>>>,
    empties: &Receiver<Vec<u8>>,
    (size_bytes, sha256, file_name): (u64, String, String),
) -> Result<()> {
    let mut hash = Context::new(&SHA256);
    let mut at = 0;
    let mut stream = object.stream(0..object.size_bytes());
    while let Ok(mut chunk) = empties.recv() {
        if let Some(stream) = &mut stream {
            chunk.clear();
            let next = runtime.block_on(cancel.run_until_cancelled(stream.next()));
            chunk.extend_from_slice(next.ok_or_else(Error::cancelled)??);
        } else {
            chunk.resize(CHUNK_BYTES, 0);
            let read = read_chunk(object, (runtime, cancel), at, &mut chunk)?;
            chunk.truncate(read);
        }
        hash.update(&chunk);
        at += chunk.len() as u64;
        if chunk.is_empty() {
            if at != size_bytes || hex(hash.finish().as_ref()) != sha256 {
                return Err(Error::new(
                    Kind::Corrupt,
                    "OBJECT_DAMAGED",
                    format!("{file_name} in the repository is not what was sealed"),
                )
                .hint("restore another backup, and check the disk of the repository"));
            }
            // Only an empty chunk is the end: if this thread died, the bytes would just cease.
            let _ = full.send(Ok(chunk));
            return Ok(());
        }
        if full.send(Ok(chunk)).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

fn read_chunk(
    object: &dyn ObjectReader,
    (runtime, cancel): (&Handle, &CancellationToken),
    at: u64,
    chunk: &mut [u8],
) -> Result<usize> {
    if let Some(file) = object.file() {
        return rustix::io::pread(file, chunk, at)
            .map_err(|errno| Error::io("cannot read from the repository", &errno.into()));
    }
    let bytes = runtime.block_on(cancel.run_until_cancelled(object.read_at(at, chunk.len())));
    let bytes = bytes.ok_or_else(Error::cancelled)??;
    let read = bytes.len().min(chunk.len());
    chunk[..read].copy_from_slice(&bytes[..read]);
    Ok(read)
}

impl BufRead for PartReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.used == self.chunk.len() && !self.ended {
            match self.chunks.recv() {
                Ok(Ok(next)) if next.is_empty() => self.ended = true,
                Ok(Ok(next)) => {
                    let old = std::mem::replace(&mut self.chunk, next);
                    self.used = 0;
                    // The other thread is done when it has read all.
                    let _ = self.spare.send(old);
                }
                Ok(Err(error)) => {
                    self.failure = Some(error);
                    return Err(io::Error::other("the part cannot be read to its end"));
                }
                Err(_) => {
                    self.failure =
                        Some(Error::internal("the thread that reads the part ended", "it panicked"));
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
            }
        }
        Ok(&self.chunk[self.used..])
    }

    fn consume(&mut self, amount: usize) {
        self.used = (self.used + amount).min(self.chunk.len());
    }
}

impl Read for PartReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let length = available.len().min(buffer.len());
        buffer[..length].copy_from_slice(&available[..length]);
        self.consume(length);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use bytes::Bytes;

    use super::*;

    struct Object(Vec<u8>);

    #[async_trait]
    impl ObjectReader for Object {
        fn size_bytes(&self) -> u64 {
            self.0.len() as u64
        }

        fn read_now(&self, _: u64, _: &mut [u8]) -> Option<Result<usize>> {
            None
        }

        async fn read_at(&self, offset: u64, len: usize) -> Result<Bytes> {
            let rest = &self.0[usize::try_from(offset).unwrap()..];
            // A store may give less than was asked for.
            Ok(Bytes::copy_from_slice(&rest[..rest.len().min(len).min(700_000)]))
        }
    }

    fn sealed(bytes: &[u8]) -> SealedPart {
        SealedPart {
            shard: 0,
            file_name: "a.rdb".to_owned(),
            size_bytes: bytes.len() as u64,
            sha256: hex(aws_lc_rs::digest::digest(&SHA256, bytes).as_ref()),
            stored_bytes: 0,
            stored_sha256: String::new(),
            encoding: crate::model::Encoding::PLAIN,
            report: crate::model::SnapshotReport::default(),
            origin: None,
        }
    }

    async fn read(stored: Vec<u8>, part: SealedPart) -> (Vec<u8>, Option<Error>) {
        tokio::task::spawn_blocking(move || {
            let mut reader =
                PartReader::open(Arc::new(Object(stored)), &part, &CancellationToken::new()).unwrap();
            let mut out = Vec::new();
            let result = reader.read_to_end(&mut out);
            assert_eq!(result.is_err(), reader.failure.is_some());
            (out, reader.failure())
        })
        .await
        .unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_part_is_read_whole() {
        let bytes: Vec<u8> = (0..9_000_001u32).map(|n| (n % 251) as u8).collect();
        let (read, failure) = read(bytes.clone(), sealed(&bytes)).await;
        assert!(read == bytes && failure.is_none());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_store_that_does_not_answer_holds_up_nobody_who_asks_to_stop() {
        struct Hanging;

        #[async_trait]
        impl ObjectReader for Hanging {
            fn size_bytes(&self) -> u64 {
                5
            }

            fn read_now(&self, _: u64, _: &mut [u8]) -> Option<Result<usize>> {
                None
            }

            async fn read_at(&self, _: u64, _: usize) -> Result<Bytes> {
                std::future::pending().await
            }
        }

        let cancel = CancellationToken::new();
        let reading = tokio::task::spawn_blocking({
            let cancel = cancel.clone();
            move || {
                let mut reader = PartReader::open(Arc::new(Hanging), &sealed(b"bytes"), &cancel).unwrap();
                assert!(reader.read(&mut [0; 5]).is_err());
                reader.failure().unwrap().code
            }
        });
        cancel.cancel();
        assert_eq!(reading.await.unwrap(), "CANCELLED");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_not_what_was_sealed_has_no_end() {
        let bytes = vec![7; 3_000_000];
        let mut flipped = bytes.clone();
        flipped[2_999_999] ^= 1;
        for stored in [flipped, bytes[..2_999_999].to_vec(), Vec::new()] {
            assert_eq!(read(stored, sealed(&bytes)).await.1.unwrap().code, "OBJECT_DAMAGED");
        }
    }
}
