//! Plain bytes on their way into an object: compressed, encrypted and hashed on a thread of their own, so that whoever
//! reads a socket is not held up.

use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{Builder, JoinHandle};

use aws_lc_rs::digest::{Context, SHA256};

use super::age::{self, ChunkSealer};
use super::frames::FrameWriter;
use super::{Sealing, stopped};
use crate::error::{Error, Result};
use crate::model::{Encoding, hex};
use crate::vault::ObjectWriter;

/// Chunks that wait for the thread, each as long as the caller's.
const CHUNKS: usize = 4;
/// Encoded bytes that are written at a time.
const PIECE_BYTES: usize = 512 * 1024;

/// An object that is written as plain bytes. Dropped before [`PartWriter::finish`], nothing of it stays.
pub struct PartWriter {
    way: Way,
    plain_bytes: u64,
    encoding: Encoding,
}

enum Way {
    Plain(Box<dyn ObjectWriter>),
    Encoded(Encoder),
}

/// What was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Plain bytes.
    pub plain_bytes: u64,
    /// Bytes as stored.
    pub bytes: u64,
    /// SHA-256 of the bytes as stored, lower-case hex; `None` if they are the plain ones.
    pub sha256: Option<String>,
    /// How they are stored.
    pub encoding: Encoding,
}

impl PartWriter {
    pub(super) fn new(stored: Box<dyn ObjectWriter>, sealing: &Sealing) -> Result<Self> {
        let encoding = sealing.encoding();
        let way = if encoding.is_plain() {
            Way::Plain(stored)
        } else {
            Way::Encoded(Encoder::start(stored, sealing)?)
        };
        Ok(Self { way, plain_bytes: 0, encoding })
    }

    /// Makes the object safe and visible, all at once. Blocks.
    pub fn finish(self) -> Result<Stored> {
        let (bytes, sha256) = match self.way {
            Way::Plain(stored) => (stored.seal()?, None),
            Way::Encoded(encoder) => {
                let (bytes, sha256) = encoder.finish()?;
                (bytes, Some(sha256))
            }
        };
        Ok(Stored { plain_bytes: self.plain_bytes, bytes, sha256, encoding: self.encoding })
    }
}

impl ObjectWriter for PartWriter {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        match &mut self.way {
            Way::Plain(stored) => stored.write(bytes)?,
            Way::Encoded(encoder) => encoder.write(bytes)?,
        }
        self.plain_bytes += bytes.len() as u64;
        Ok(())
    }

    fn seal(self: Box<Self>) -> Result<u64> {
        self.finish().map(|stored| stored.bytes)
    }
}

enum Message {
    Bytes(Vec<u8>),
    End,
}

/// The caller's end of the thread.
struct Encoder {
    full: Option<SyncSender<Message>>,
    empties: Receiver<Vec<u8>>,
    thread: Option<JoinHandle<Result<(u64, String)>>>,
}

impl Encoder {
    fn start(stored: Box<dyn ObjectWriter>, sealing: &Sealing) -> Result<Self> {
        let layers = Layers::new(stored, sealing)?;
        let (full, taken) = sync_channel(CHUNKS);
        let (spare, empties) = channel();
        for _ in 0..CHUNKS {
            // The receiver lives here.
            let _ = spare.send(Vec::new());
        }
        // A store that is spoken to over the network needs the runtime, wherever it is called from.
        let runtime = tokio::runtime::Handle::try_current().ok();
        let thread = Builder::new()
            .name("part-encoder".to_owned())
            .spawn(move || {
                let _entered = runtime.as_ref().map(tokio::runtime::Handle::enter);
                encode(layers, &taken, &spare)
            })
            .map_err(|error| Error::internal("no thread for encoding", error))?;
        Ok(Self { full: Some(full), empties, thread: Some(thread) })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let Ok(mut chunk) = self.empties.recv() else { return Err(self.failure()) };
        chunk.clear();
        chunk.extend_from_slice(bytes);
        self.send(Message::Bytes(chunk))
    }

    fn send(&mut self, message: Message) -> Result<()> {
        match self.full.as_ref().map(|full| full.send(message)) {
            Some(Ok(())) => Ok(()),
            _ => Err(self.failure()),
        }
    }

    fn finish(mut self) -> Result<(u64, String)> {
        self.send(Message::End)?;
        self.join()
    }

    /// Why the thread takes no more.
    fn failure(&mut self) -> Error {
        match self.join() {
            Ok(_) => stopped("it was told to"),
            Err(error) => error,
        }
    }

    fn join(&mut self) -> Result<(u64, String)> {
        self.full = None;
        let Some(thread) = self.thread.take() else { return Err(stopped("it failed before")) };
        thread.join().unwrap_or_else(|_| Err(stopped("it panicked")))
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // What was begun is gone when this returns.
        if self.thread.is_some() {
            let _ = self.join();
        }
    }
}

fn encode(mut layers: Layers, taken: &Receiver<Message>, spare: &Sender<Vec<u8>>) -> Result<(u64, String)> {
    loop {
        match taken.recv() {
            Ok(Message::Bytes(chunk)) => {
                layers.push(&chunk)?;
                // Nobody waits for a chunk after the last.
                let _ = spare.send(chunk);
            }
            Ok(Message::End) => return layers.finish(),
            Err(_) => return Err(Error::cancelled()),
        }
    }
}

/// zstd, age, a hash, and the object.
struct Layers {
    zstd: Option<FrameWriter>,
    age: Option<ChunkSealer>,
    packed: Vec<u8>,
    /// Encoded bytes that wait to be written.
    out: Vec<u8>,
    hash: Context,
    stored: Box<dyn ObjectWriter>,
}

impl Layers {
    fn new(stored: Box<dyn ObjectWriter>, sealing: &Sealing) -> Result<Self> {
        let (out, age) = match &sealing.recipient {
            Some(recipient) => {
                let (head, sealer) = age::begin(&[*recipient]).map_err(failed)?;
                (head, Some(sealer))
            }
            None => (Vec::new(), None),
        };
        let zstd = if sealing.compress { Some(FrameWriter::new()?) } else { None };
        Ok(Self { zstd, age, packed: Vec::new(), out, hash: Context::new(&SHA256), stored })
    }

    fn push(&mut self, bytes: &[u8]) -> Result<()> {
        match (&mut self.zstd, &mut self.age) {
            (Some(zstd), Some(age)) => {
                zstd.push(bytes, &mut self.packed)?;
                age.push(&self.packed, &mut self.out).map_err(failed)?;
                self.packed.clear();
            }
            (Some(zstd), None) => zstd.push(bytes, &mut self.out)?,
            (None, Some(age)) => age.push(bytes, &mut self.out).map_err(failed)?,
            (None, None) => self.out.extend_from_slice(bytes),
        }
        if self.out.len() >= PIECE_BYTES { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<()> {
        self.hash.update(&self.out);
        self.stored.write(&self.out)?;
        self.out.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<(u64, String)> {
        if let Some(zstd) = self.zstd.take() {
            let to = if self.age.is_some() { &mut self.packed } else { &mut self.out };
            zstd.finish(to)?;
        }
        if let Some(mut age) = self.age.take() {
            age.push(&self.packed, &mut self.out).and_then(|()| age.finish(&mut self.out)).map_err(failed)?;
        }
        self.write()?;
        Ok((self.stored.seal()?, hex(self.hash.finish().as_ref())))
    }
}

fn failed(fault: age::AgeFault) -> Error {
    Error::internal("a part cannot be encrypted", fault)
}
