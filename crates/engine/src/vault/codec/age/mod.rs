//! The age file format, version 1 (age-encryption.org/v1), on the cryptography that the rest uses.
//!
//! A header wraps a file key for each recipient; the payload is chunks of 64 KiB, each sealed by itself, the last one
//! marked, so that any stretch of it can be read and nothing can be cut off unseen. The rules are those of
//! <https://c2sp.org/age>.

mod bech32;
mod header;
mod keys;
mod passphrase;
mod payload;

use zeroize::Zeroizing;

pub use header::FileKey;
pub use keys::{Identity, Recipient};
pub use passphrase::wrap_with_passphrase;
pub use payload::{CHUNK_BYTES, ChunkSealer, Payload, SEALED_CHUNK_BYTES, TAG_BYTES};

/// Longest header that is read. One with 500 recipients is 50 KiB long.
pub const LONGEST_HEADER: usize = 64 * 1024;

/// Why bytes do not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgeFault {
    /// They are not what the format says; where.
    Malformed(&'static str),
    /// The header goes on behind the bytes that were given.
    Incomplete,
    /// None of the identities is meant.
    NoIdentity,
    /// The header was changed after it was written.
    HeaderChanged,
    /// A chunk was changed, moved or cut after it was written; which, from 0.
    ChunkChanged(u64),
    /// The cryptography refused to work.
    Unusable,
}

impl std::fmt::Display for AgeFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Malformed(what) => write!(f, "not in the age format: {what}"),
            Self::Incomplete => f.write_str("the age header has no end"),
            Self::NoIdentity => f.write_str("it is encrypted to others"),
            Self::HeaderChanged => f.write_str("the age header was changed"),
            Self::ChunkChanged(chunk) => write!(f, "chunk {chunk} was changed"),
            Self::Unusable => f.write_str("the cryptography refused to work"),
        }
    }
}

impl std::error::Error for AgeFault {}

/// Starts a file: its header with the nonce behind it, and what seals its payload.
pub fn begin(recipients: &[Recipient]) -> Result<(Vec<u8>, ChunkSealer), AgeFault> {
    let file_key = FileKey::random()?;
    let mut head = header::write(&file_key, &header::wrap(&file_key, recipients)?)?;
    let sealer = begin_payload(&file_key, &mut head)?;
    Ok((head, sealer))
}

fn begin_payload(file_key: &FileKey, head: &mut Vec<u8>) -> Result<ChunkSealer, AgeFault> {
    let mut nonce = [0; payload::NONCE_BYTES];
    aws_lc_rs::rand::fill(&mut nonce).map_err(|_| AgeFault::Unusable)?;
    head.extend_from_slice(&nonce);
    ChunkSealer::new(file_key, &nonce)
}

/// Reads the start of a file: its file key, and where its payload begins (at the nonce).
pub fn read_header(bytes: &[u8], identities: &[Identity]) -> Result<(FileKey, usize), AgeFault> {
    let header = header::read(bytes)?;
    Ok((header.open(identities)?, header.length))
}

/// Seals something small, whole.
pub fn seal(recipients: &[Recipient], plain: &[u8]) -> Result<Vec<u8>, AgeFault> {
    let (mut out, sealer) = begin(recipients)?;
    seal_whole(sealer, plain, &mut out)?;
    Ok(out)
}

fn seal_whole(mut sealer: ChunkSealer, plain: &[u8], out: &mut Vec<u8>) -> Result<(), AgeFault> {
    sealer.push(plain, out)?;
    sealer.finish(out)
}

/// Opens something small, whole.
pub fn open(identities: &[Identity], bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, AgeFault> {
    let (file_key, start) = read_header(bytes, identities)?;
    open_payload(&file_key, &bytes[start..])
}

fn open_payload(file_key: &FileKey, bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, AgeFault> {
    let (nonce, sealed) =
        bytes.split_at_checked(payload::NONCE_BYTES).ok_or(AgeFault::Malformed("no nonce"))?;
    let payload = Payload::new(file_key, nonce, sealed.len() as u64)?;
    let mut clear = Zeroizing::new(sealed.to_vec());
    let length = payload.open(0, &mut clear)?;
    clear.truncate(length);
    Ok(clear)
}

#[cfg(test)]
mod tests;
