//! Reads a part while it streams from its link: no file, bounded memory, and a cut connection goes on.

use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use tokio::sync::mpsc::{Sender, channel};
use tokio::task::spawn_blocking;

use super::{Digests, RdbBytes};
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
    let (sender, mut chunks) = channel::<Bytes>(CHUNKS);
    let context = Arc::new(Mutex::new(Context::new(&SHA256)));
    let hashed = Arc::clone(&context);
    let mut bytes = RdbBytes::new(move |mut spent| {
        spent.clear();
        while spent.is_empty() {
            let Some(chunk) = chunks.blocking_recv() else { break };
            hashed.lock().unwrap_or_else(PoisonError::into_inner).update(&chunk);
            spent.extend_from_slice(&chunk);
        }
        Ok(spent)
    });
    // What is dropped here tells the other side that nobody listens any more.
    let reader = spawn_blocking(move || read(&mut bytes));
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
