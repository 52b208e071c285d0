//! Bytes on their way to a store: a little memory, then a file of bounded size that is filled in the round. A slow store
//! does not hold up the source before both are full.

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::error::{Error, Kind, Result};

/// Bytes that wait in memory before the file is used.
const MEMORY_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of a segment: all memory of an upload is made of them, and they are used again and again.
const SEGMENT_BYTES: usize = 512 * 1024;

/// What lies between a writer and its upload.
pub(super) struct Spool {
    state: Mutex<State>,
    changed: Condvar,
    folder: PathBuf,
    /// Most bytes of the file.
    file_bytes: u64,
    /// What is written, for warnings.
    shown: String,
    segments: Arc<Segments>,
    /// Whether somebody was told that the source has to wait.
    warned: AtomicBool,
}

/// Segments that nobody uses now.
#[derive(Default)]
struct Segments(Mutex<Vec<Vec<u8>>>);

impl Segments {
    /// An empty one.
    fn take(&self) -> Vec<u8> {
        let free = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        free.unwrap_or_else(|| Vec::with_capacity(SEGMENT_BYTES))
    }

    /// Bytes that bring their segment back when they are dropped.
    fn lend(self: &Arc<Self>, bytes: Vec<u8>) -> Bytes {
        Bytes::from_owner(Segment { bytes, home: self.clone() })
    }
}

struct Segment {
    bytes: Vec<u8>,
    home: Arc<Segments>,
}

impl AsRef<[u8]> for Segment {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        self.home.0.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
    }
}

#[derive(Default)]
struct State {
    /// The oldest bytes.
    memory: VecDeque<Bytes>,
    /// Those after them, in a segment that has room left.
    filling: Vec<u8>,
    /// Bytes of both.
    memory_bytes: usize,
    /// The bytes after those in memory: from `read` to `written`, each position modulo the file's size.
    file: Option<File>,
    written: u64,
    read: u64,
    ended: bool,
    /// One of the two sides takes no more part in it.
    closed: bool,
    /// A writer waits for room.
    waiting: bool,
}

/// One side finds that the other has left.
#[derive(Debug)]
pub(super) struct Closed;

impl Spool {
    /// An empty one, whose file would lie in `folder` without a name.
    pub(super) fn new(folder: PathBuf, file_bytes: u64, shown: String) -> Self {
        let (state, changed) = (Mutex::default(), Condvar::new());
        let (segments, warned) = (Arc::default(), AtomicBool::new(false));
        Self { state, changed, folder, file_bytes, shown, segments, warned }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends bytes; blocks while everything is full. `Ok(Err(Closed))` = nobody takes them any more.
    pub(super) fn push(&self, mut bytes: &[u8]) -> Result<std::result::Result<(), Closed>> {
        let mut state = self.lock();
        while !bytes.is_empty() {
            if state.closed {
                return Ok(Err(Closed));
            }
            let file_is_empty = state.written == state.read;
            if file_is_empty && (state.memory_bytes == 0 || state.memory_bytes + bytes.len() <= MEMORY_BYTES)
            {
                self.push_to_memory(&mut state, bytes);
                bytes = &[];
            } else {
                let written = self.push_to_file(&mut state, bytes)?;
                if written == 0 {
                    self.warn();
                    state.waiting = true;
                    self.changed.notify_all();
                    state = self.wait(state);
                    state.waiting = false;
                    continue;
                }
                bytes = &bytes[written..];
            }
            self.changed.notify_all();
        }
        Ok(if state.closed { Err(Closed) } else { Ok(()) })
    }

    fn push_to_memory(&self, state: &mut State, mut bytes: &[u8]) {
        state.memory_bytes += bytes.len();
        while !bytes.is_empty() {
            if state.filling.capacity() == 0 {
                state.filling = self.segments.take();
            }
            let (now, later) = bytes.split_at(bytes.len().min(SEGMENT_BYTES - state.filling.len()));
            state.filling.extend_from_slice(now);
            bytes = later;
            if state.filling.len() == SEGMENT_BYTES {
                let full = std::mem::take(&mut state.filling);
                state.memory.push_back(self.segments.lend(full));
            }
        }
    }

    /// Appends to the file what fits there at once; 0 if it is full.
    fn push_to_file(&self, state: &mut State, bytes: &[u8]) -> Result<usize> {
        let free = self.file_bytes - (state.written - state.read);
        if free == 0 {
            return Ok(0);
        }
        let failed = |error: std::io::Error| {
            let message = format!("cannot spool {} in {}", self.shown, self.folder.display());
            Error::io(message, &error).hint("free space on the disk of data_dir, or lower repository.spool")
        };
        if state.file.is_none() {
            state.file = Some(tempfile::tempfile_in(&self.folder).map_err(failed)?);
        }
        let at = state.written % self.file_bytes;
        let until_wrap = self.file_bytes - at;
        let length = (bytes.len() as u64).min(free).min(until_wrap);
        let length = usize::try_from(length).unwrap_or(bytes.len());
        if let Some(file) = &state.file {
            file.write_all_at(&bytes[..length], at).map_err(failed)?;
        }
        state.written += length as u64;
        Ok(length)
    }

    fn warn(&self) {
        if !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                object = self.shown,
                "the store is slower than the source, and repository.spool is full: the source has to wait"
            );
        }
    }

    /// No more bytes come.
    pub(super) fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }

    /// Whoever calls it takes no more part.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        (state.memory, state.filling, state.file) = (VecDeque::new(), Vec::new(), None);
        self.changed.notify_all();
    }

    /// The next `want` bytes, in pieces; less only at the end. Blocks until they are there.
    pub(super) fn take(&self, want: usize) -> Result<std::result::Result<Vec<Bytes>, Closed>> {
        let (mut pieces, mut have) = (Vec::new(), 0);
        let mut state = self.lock();
        loop {
            if state.closed {
                return Ok(Err(Closed));
            }
            let before = have;
            while have < want
                && let Some(piece) = self.next(&mut state, want - have)?
            {
                have += piece.len();
                pieces.push(piece);
            }
            if have > before {
                self.changed.notify_all();
            }
            if have == want || state.ended {
                return Ok(Ok(pieces));
            }
            state = self.wait(state);
        }
    }

    /// The oldest bytes, at most `most`; `None` if there are none.
    fn next(&self, state: &mut State, most: usize) -> Result<Option<Bytes>> {
        // A segment goes out full, unless nothing more can come into it: small writes do not become many segments.
        let is_last = state.ended || state.waiting || state.written > state.read;
        if state.memory.is_empty() && !state.filling.is_empty() && is_last {
            let last = std::mem::take(&mut state.filling);
            state.memory.push_back(self.segments.lend(last));
        }
        if let Some(oldest) = state.memory.front_mut() {
            let piece = oldest.split_to(oldest.len().min(most));
            if oldest.is_empty() {
                state.memory.pop_front();
            }
            state.memory_bytes -= piece.len();
            return Ok(Some(piece));
        }
        let Some(file) = state.file.as_ref().filter(|_| state.written > state.read) else { return Ok(None) };
        let at = state.read % self.file_bytes;
        let length = (state.written - state.read).min(self.file_bytes - at);
        let length = usize::try_from(length).unwrap_or(most).min(most).min(SEGMENT_BYTES);
        let mut piece = self.segments.take();
        piece.resize(length, 0);
        file.read_exact_at(&mut piece, at).map_err(|error| {
            Error::new(Kind::Internal, "STORAGE_FAILED", format!("cannot read the spool of {}", self.shown))
                .because(error)
        })?;
        state.read += length as u64;
        Ok(Some(self.segments.lend(piece)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    fn spool(file_bytes: u64) -> Arc<Spool> {
        Arc::new(Spool::new(std::env::temp_dir(), file_bytes, "a test".to_owned()))
    }

    fn bytes(count: usize) -> Vec<u8> {
        (0..count).map(|n| u8::try_from((n / 7) % 251).unwrap()).collect()
    }

    /// Takes all, but only when nothing more fits.
    fn take_all(spool: &Spool, step: usize) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            loop {
                let state = spool.lock();
                if state.ended || state.written - state.read == spool.file_bytes {
                    break;
                }
                drop(state);
                thread::yield_now();
            }
            let part = spool.take(step).unwrap().unwrap().concat();
            let ended = part.len() < step;
            all.extend(part);
            if ended {
                return all;
            }
        }
    }

    #[test]
    fn what_goes_in_comes_out_through_memory_and_around_the_file() {
        let sent = bytes(40_000_000);
        let spool = spool(3_000_001);
        thread::scope(|scope| {
            scope.spawn(|| {
                for chunk in sent.chunks(511_111) {
                    spool.push(chunk).unwrap().unwrap();
                }
                spool.end();
            });
            assert!(take_all(&spool, 600_000) == sent);
        });
        assert!(spool.lock().written > 10_000_000, "the file was used, and more than once around");
    }

    #[test]
    fn a_writer_goes_on_until_memory_and_file_are_full_and_not_beyond() {
        let spool = spool(1_000_000);
        let sent = bytes(5_000_000);
        for chunk in sent.chunks(1_000_000) {
            spool.push(chunk).unwrap().unwrap();
        }
        let pushed = thread::spawn({
            let spool = spool.clone();
            move || spool.push(b"one more").unwrap().is_ok()
        });
        while !spool.warned.load(Ordering::Relaxed) {
            thread::yield_now();
        }
        assert!(!pushed.is_finished());
        assert!(spool.take(sent.len()).unwrap().unwrap().concat() == sent);
        assert!(pushed.join().unwrap());
    }

    #[test]
    fn small_writes_share_segments_and_those_come_back() {
        let spool = spool(0);
        for _ in 0..3 {
            for _ in 0..2000 {
                spool.push(&[7; 1000]).unwrap().unwrap();
            }
            let pieces = spool.take(3 * SEGMENT_BYTES).unwrap().unwrap();
            assert_eq!(pieces.len(), 3);
            drop(pieces);
        }
        assert!(spool.segments.0.lock().unwrap().len() <= 5);
    }

    #[test]
    fn whoever_waits_hears_that_the_other_left() {
        let full = spool(0);
        full.push(&bytes(MEMORY_BYTES)).unwrap().unwrap();
        let writer = thread::spawn({
            let full = full.clone();
            move || full.push(b"x").unwrap().is_err()
        });
        full.close();
        assert!(writer.join().unwrap());
        let empty = spool(0);
        let reader = thread::spawn({
            let empty = empty.clone();
            move || empty.take(1).unwrap().is_err()
        });
        empty.close();
        assert!(reader.join().unwrap());
    }
}
