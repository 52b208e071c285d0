//! The bytes of an RDB file as they come from another thread: what is read next is fetched while the last is looked at.

use std::io::{self, BufRead, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use crate::failure::{Exit, Failure};

/// Few system calls, and still in the CPU's cache.
const CHUNK_BYTES: usize = 256 << 10;
/// Chunks that are full or being filled, besides the one that is looked at.
const CHUNKS: usize = 4;

/// The bytes of one RDB file, wherever they come from. One type, so that readers are compiled once.
pub(in crate::cli) struct RdbBytes {
    chunk: Vec<u8>,
    at: usize,
    /// Takes a chunk that was read, for its memory, and gives the next; an empty one at the end.
    next: Box<dyn FnMut(Vec<u8>) -> io::Result<Vec<u8>> + Send>,
}

impl RdbBytes {
    /// Bytes that something else gives chunk by chunk.
    pub(super) fn new(next: impl FnMut(Vec<u8>) -> io::Result<Vec<u8>> + Send + 'static) -> Self {
        Self { chunk: Vec::new(), at: 0, next: Box::new(next) }
    }

    /// Bytes that a thread of their own reads ahead. It ends with the source, or when nobody takes them any more.
    pub(super) fn read_ahead(source: Box<dyn Read + Send>) -> Result<Self, Failure> {
        let (full, chunks) = sync_channel(CHUNKS);
        let (spare, empties) = channel();
        for _ in 0..CHUNKS {
            // The receiver lives on in the thread.
            let _ = spare.send(Vec::new());
        }
        thread::Builder::new()
            .name("read-ahead".to_owned())
            .spawn(move || fill(source, &full, &empties))
            .map_err(|error| Failure::new(Exit::Failure, "INTERNAL", "no thread to read").because(error))?;
        Ok(Self::new(move |spent| take(&chunks, &spare, spent)))
    }
}

/// Reads chunk by chunk until the end or the first error.
fn fill(
    mut source: Box<dyn Read + Send>,
    full: &SyncSender<io::Result<Vec<u8>>>,
    empties: &Receiver<Vec<u8>>,
) {
    while let Ok(mut chunk) = empties.recv() {
        chunk.resize(CHUNK_BYTES, 0);
        let read = loop {
            match source.read(&mut chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        let ends = !matches!(read, Ok(1..));
        let chunk = read.map(|bytes| {
            chunk.truncate(bytes);
            chunk
        });
        if full.send(chunk).is_err() || ends {
            return;
        }
    }
}

fn take(
    chunks: &Receiver<io::Result<Vec<u8>>>,
    spare: &Sender<Vec<u8>>,
    spent: Vec<u8>,
) -> io::Result<Vec<u8>> {
    if spent.capacity() > 0 {
        // The thread may have ended.
        let _ = spare.send(spent);
    }
    // A thread that has ended gave an empty chunk or an error before.
    chunks.recv().unwrap_or_else(|_| Ok(Vec::new()))
}

impl BufRead for RdbBytes {
    #[inline]
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.chunk.len() {
            self.chunk = (self.next)(std::mem::take(&mut self.chunk))?;
            self.at = 0;
        }
        Ok(&self.chunk[self.at..])
    }

    #[inline]
    fn consume(&mut self, bytes: usize) {
        self.at = self.chunk.len().min(self.at + bytes);
    }
}

impl Read for RdbBytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut available = self.fill_buf()?;
        let bytes = available.read(buffer)?;
        self.consume(bytes);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time, is interrupted in between and fails at the end.
    struct Awkward(u8);

    impl Read for Awkward {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0 += 1;
            match self.0 {
                100.. => Err(io::ErrorKind::BrokenPipe.into()),
                odd if odd % 2 == 1 => Err(io::ErrorKind::Interrupted.into()),
                even => {
                    buffer[0] = even;
                    Ok(1)
                }
            }
        }
    }

    #[test]
    fn all_bytes_come_in_order_and_then_the_end() {
        let bytes: Vec<u8> = (0..3_000_000u32).map(|number| (number % 251) as u8).collect();
        let mut ahead = RdbBytes::read_ahead(Box::new(io::Cursor::new(bytes.clone()))).unwrap();
        let mut read = Vec::new();
        ahead.read_to_end(&mut read).unwrap();
        assert!(read == bytes);
        assert_eq!(ahead.read(&mut [0]).unwrap(), 0, "the end stays");
    }

    #[test]
    fn interruptions_are_passed_over_and_errors_passed_on() {
        let mut ahead = RdbBytes::read_ahead(Box::new(Awkward(0))).unwrap();
        let mut read = Vec::new();
        assert_eq!(ahead.read_to_end(&mut read).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(read, (2..100).step_by(2).collect::<Vec<u8>>());
    }

    #[test]
    fn nobody_has_to_read_to_the_end() {
        let mut ahead = RdbBytes::read_ahead(Box::new(io::repeat(1))).unwrap();
        ahead.read_exact(&mut [0; 1000]).unwrap();
    }
}
