//! Proves what was stored, not only what was received: a part is read back from the repository and decoded to the same
//! hash, before anything says that it is there.

use std::io;

use aws_lc_rs::digest::{Context, SHA256};
use tokio_util::sync::CancellationToken;

use super::Engine;
use super::part_reader::PartReader;
use super::parts::Parts;
use crate::error::{Error, Kind, Result};
use crate::model::{SealedPart, hex};
use crate::vault::AttemptKey;

/// Bytes that are read at a time where a part cannot be decoded.
const STEP_BYTES: usize = 2 * 1024 * 1024;

/// How a part is proven after it was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verify {
    /// By reading it back.
    ReadBack,
    /// By the hash of what was written, and the store's word that it is safe.
    Hash,
}

impl Engine {
    /// Reads the parts back that the settings want read back.
    ///
    /// # Errors
    /// `READBACK_FAILED` if one is not what was taken.
    pub(super) async fn read_back(
        &self,
        attempt: &AttemptKey,
        parts: &[SealedPart],
        cancel: &CancellationToken,
    ) -> Result<()> {
        for part in parts {
            let repository = &self.settings.repository;
            let by_default = repository.remote || !part.encoding.is_plain();
            let verify =
                repository.verify.unwrap_or(if by_default { Verify::ReadBack } else { Verify::Hash });
            if verify == Verify::ReadBack {
                read_part_back(&self.parts, attempt, part, cancel).await?;
            }
        }
        Ok(())
    }
}

/// Reads a part back from the repository of `parts`, and decodes it to the same bytes.
///
/// # Errors
/// `READBACK_FAILED` if it is not what was taken.
pub(super) async fn read_part_back(
    parts: &Parts,
    attempt: &AttemptKey,
    part: &SealedPart,
    cancel: &CancellationToken,
) -> Result<()> {
    let decodes = part.encoding.encryption.is_none() || parts.can_decrypt().await;
    let read = async {
        if decodes {
            decode_part(parts, attempt, part, cancel).await
        } else {
            hash_part(parts, attempt, part).await
        }
    };
    tokio::select! {
        read = read => read.map_err(|error| match error.kind {
            // The store may be well again soon.
            Kind::Unreachable | Kind::Cancelled => error,
            _ => failed(part, &error),
        }),
        () = cancel.cancelled() => Err(Error::cancelled()),
    }
}

async fn decode_part(
    parts: &Parts,
    attempt: &AttemptKey,
    part: &SealedPart,
    cancel: &CancellationToken,
) -> Result<()> {
    let object = parts.open(attempt, part).await?.ok_or_else(|| failed(part, &"it is missing"))?;
    let (part, cancel) = (part.clone(), cancel.clone());
    let read = move || {
        let mut reader = PartReader::open(object, &part, &cancel)?;
        let drained = io::copy(&mut reader, &mut Until(&cancel));
        match (reader.failure(), drained) {
            (Some(failure), _) => Err(failure),
            (None, Err(_)) => Err(Error::cancelled()),
            (None, Ok(_)) => Ok(()),
        }
    };
    let done = tokio::task::spawn_blocking(read).await;
    done.unwrap_or_else(|error| Err(Error::internal("reading back stopped", error)))
}

/// A node that cannot decrypt still sees whether the store kept what it was given.
async fn hash_part(parts: &Parts, attempt: &AttemptKey, part: &SealedPart) -> Result<()> {
    let stored = parts.open_stored(attempt, part).await?.ok_or_else(|| failed(part, &"it is missing"))?;
    let (mut hash, mut at) = (Context::new(&SHA256), 0);
    loop {
        let bytes = stored.read_at(at, STEP_BYTES).await?;
        if bytes.is_empty() {
            break;
        }
        hash.update(&bytes);
        at += bytes.len() as u64;
    }
    if at == part.stored_bytes && hex(hash.finish().as_ref()) == part.stored_sha256 {
        return Ok(());
    }
    Err(failed(part, &"its SHA-256 is another one"))
}

fn failed(part: &SealedPart, why: &dyn std::fmt::Display) -> Error {
    Error::new(
        Kind::Corrupt,
        "READBACK_FAILED",
        format!("{} read back from the repository is not what was taken", part.file_name),
    )
    .because(why)
    .hint("check the store and the memory of this host; the backup was removed and may be taken again")
}

/// Takes bytes until somebody asks to stop.
struct Until<'a>(&'a CancellationToken);

impl io::Write for Until<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.is_cancelled() { Err(io::Error::other("stopped")) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
