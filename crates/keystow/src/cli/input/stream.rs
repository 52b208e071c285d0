//! Reads a part while it streams from its link: no file, bounded memory, and a cut connection goes on.

use std::io::{BufReader, Read};
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};
use bytes::{Buf, Bytes};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::spawn_blocking;

use super::{BUFFER_BYTES, Digests, RdbBytes};
use crate::cli::fetch::patience::Patience;
use crate::cli::fetch::remote::{Facts, Remote, Trouble};
use crate::cli::fetch::{Linked, ask, fatal, hex};
use crate::cli::progress::Progress;
use crate::failure::Failure;

/// Chunks between the connection and the reader.
const CHUNKS: usize = 64;

/// Hands a part's bytes to the reader, and hashes what the reader took.
pub(super) async fn read<T: Send + 'static>(
    link: Linked,
    progress: Arc<Progress>,
    read: impl FnOnce(&mut RdbBytes) -> T + Send + 'static,
) -> Result<(T, Option<Digests>), Failure> {
    let remote = Remote::new(&link.url)?;
    let facts = ask(&remote, &link).await?;
    if let Some(size) = facts.size {
        progress.set_total(size);
    }
    let (sender, chunks) = channel(CHUNKS);
    let context = Arc::new(Mutex::new(Context::new(&SHA256)));
    let hashed = Hashed { chunks, chunk: Bytes::new(), context: Arc::clone(&context) };
    let reader = spawn_blocking(move || {
        // What is dropped here tells the other side that nobody listens any more.
        read(&mut BufReader::with_capacity(BUFFER_BYTES, Box::new(hashed)))
    });
    let sent = send_all(&remote, &facts, sender, &progress).await;
    let value = reader.await.map_err(super::died)?;
    // A transfer that broke says nothing about the backup.
    sent.map_err(fatal)?;
    let digests = link.known.map(|(name, _, expected)| {
        let context = context.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Digests { name, found: hex(context.finish().as_ref()), expected }
    });
    Ok((value, digests))
}

/// Sends the whole file, chunk by chunk, as long as somebody listens.
async fn send_all(
    remote: &Remote,
    facts: &Facts,
    sender: Sender<Bytes>,
    progress: &Progress,
) -> Result<(), Trouble> {
    let mut offset = 0;
    let mut patience = Patience::long();
    loop {
        let before = offset;
        let Err(trouble) = send_rest(remote, facts, &sender, progress, &mut offset).await else {
            return Ok(());
        };
        if !facts.ranges && offset > 0 {
            // The reader has seen bytes that could only be asked for again from the start.
            return Err(trouble);
        }
        if offset > before {
            patience.renew();
        }
        patience.endure(trouble, &remote.shown()).await?;
    }
}

async fn send_rest(
    remote: &Remote,
    facts: &Facts,
    sender: &Sender<Bytes>,
    progress: &Progress,
    offset: &mut u64,
) -> Result<(), Trouble> {
    let mut response = match facts.size {
        Some(size) if *offset >= size && size > 0 => return Ok(()),
        Some(size) if facts.ranges => remote.range(*offset, size, facts).await?,
        _ => remote.whole().await?,
    };
    while let Some(chunk) = response.chunk().await? {
        *offset += chunk.len() as u64;
        progress.add(chunk.len() as u64);
        if sender.send(chunk).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// The blocking end: hashes what it hands on.
struct Hashed {
    chunks: Receiver<Bytes>,
    chunk: Bytes,
    context: Arc<Mutex<Context>>,
}

impl Read for Hashed {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.chunk.is_empty() {
            let Some(chunk) = self.chunks.blocking_recv() else { return Ok(0) };
            self.context.lock().unwrap_or_else(PoisonError::into_inner).update(&chunk);
            self.chunk = chunk;
        }
        let bytes = self.chunk.len().min(buffer.len());
        self.chunk.copy_to_slice(&mut buffer[..bytes]);
        Ok(bytes)
    }
}
