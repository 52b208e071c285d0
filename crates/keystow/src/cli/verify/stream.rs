//! Verifies a part while it streams from its link: no file, bounded memory, and a cut connection goes on.

use std::io::{BufRead, Read};
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use bytes::{Buf, Bytes};
use keystow_rdb::Limits;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::spawn_blocking;

use super::report::Verdict;
use crate::cli::fetch::patience::Patience;
use crate::cli::fetch::remote::{Facts, Remote, Trouble};
use crate::cli::fetch::{Linked, ask, fatal, hex};
use crate::cli::progress::Progress;
use crate::failure::Failure;

/// Chunks between the connection and the reader.
const CHUNKS: usize = 64;

/// Reads a part through and compares it with what the catalog says.
pub(super) async fn verify(link: &Linked, progress: Arc<Progress>) -> Result<Verdict, Failure> {
    let remote = Remote::new(&link.url)?;
    let facts = ask(&remote, link).await?;
    if let Some(size) = facts.size {
        progress.set_total(size);
    }
    let (sender, chunks) = channel(CHUNKS);
    let reader = spawn_blocking(move || {
        let mut hashed = Hashed { chunks, chunk: Bytes::new(), context: Context::new(&SHA256) };
        let outcome = keystow_rdb::verify(&mut hashed, Limits::default());
        // What is dropped here tells the other side that nobody listens any more.
        (Verdict::of(outcome), hex(hashed.context.finish().as_ref()))
    });
    let sent = send_all(&remote, &facts, sender, &progress).await;
    let (mut verdict, sha256) = reader.await.map_err(super::died)?;
    // A transfer that broke says nothing about the backup.
    sent.map_err(fatal)?;
    if let Some((name, _, expected)) = &link.known {
        verdict.compare(name, sha256, expected);
    }
    Ok(verdict)
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
    context: Context,
}

impl BufRead for Hashed {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        while self.chunk.is_empty() {
            match self.chunks.blocking_recv() {
                Some(chunk) => {
                    self.context.update(&chunk);
                    self.chunk = chunk;
                }
                None => break,
            }
        }
        Ok(&self.chunk)
    }

    fn consume(&mut self, bytes: usize) {
        self.chunk.advance(bytes);
    }
}

impl Read for Hashed {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let available = self.fill_buf()?;
        let bytes = available.len().min(buffer.len());
        buffer[..bytes].copy_from_slice(&available[..bytes]);
        self.consume(bytes);
        Ok(bytes)
    }
}
