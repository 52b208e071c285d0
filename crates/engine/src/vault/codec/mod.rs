//! Layers over the objects of any repository: zstd in frames, and age around it. Written bytes are encoded on a thread of
//! their own; read bytes are the plain ones, whatever is stored, and any range of them costs one request.

pub mod age;
mod frames;
mod source;
mod stream;
#[cfg(test)]
mod tests;
mod writer;

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::{ObjectReader, ObjectWriter};
use crate::error::{Error, Kind, Result};
use crate::model::Encoding;
use age::{AgeFault, Identity, Recipient};
use source::Source;
pub use writer::{PartWriter, Stored};

/// Stretches that are decoded or wait for their reader at once, of some 4 MiB each.
const MOST_DECODERS: usize = 16;

/// How new objects are encoded.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sealing {
    /// Compress them with zstd.
    pub compress: bool,
    /// Encrypt them to this one.
    pub recipient: Option<Recipient>,
}

impl Sealing {
    /// What that makes of an object.
    pub fn encoding(&self) -> Encoding {
        Encoding {
            compression: self.compress.then_some(crate::model::Compression::Zstd),
            encryption: self.recipient.map(|_| crate::model::Encryption::Age),
        }
    }
}

/// Encodes and decodes objects. All clones share one bound on memory.
#[derive(Clone)]
pub struct Codec {
    decoders: Arc<Semaphore>,
}

impl Default for Codec {
    fn default() -> Self {
        Self { decoders: Arc::new(Semaphore::new(MOST_DECODERS)) }
    }
}

impl Codec {
    /// A writer of plain bytes over one of stored bytes.
    pub fn writer(&self, stored: Box<dyn ObjectWriter>, sealing: &Sealing) -> Result<PartWriter> {
        PartWriter::new(stored, sealing)
    }

    /// A reader of plain bytes over one of stored bytes. Looks at both ends of the object: what was cut or added is
    /// found here. `size_bytes` = plain bytes that it must have.
    ///
    /// # Errors
    /// `IDENTITY_MISSING` if none of `identities` opens it, `OBJECT_DAMAGED` if it is not what was written.
    pub async fn reader(
        &self,
        stored: Arc<dyn ObjectReader>,
        encoding: Encoding,
        size_bytes: u64,
        identities: &[Identity],
    ) -> Result<Arc<dyn ObjectReader>> {
        if encoding.is_plain() {
            return Ok(stored);
        }
        let decoders = self.decoders.clone();
        Ok(Arc::new(Source::open(stored, encoding, size_bytes, identities, decoders).await?))
    }
}

fn damaged(why: impl std::fmt::Display) -> Error {
    Error::new(Kind::Corrupt, "OBJECT_DAMAGED", "the stored bytes of a part are not what was written")
        .because(why)
        .hint("check the store of the repository; take a new backup now")
}

/// What a fault of an object's header or payload means.
fn unopened(fault: AgeFault) -> Error {
    match fault {
        AgeFault::NoIdentity => missing("it is encrypted to another identity than this node holds"),
        AgeFault::Unusable => Error::internal("a part cannot be decrypted", fault),
        _ => damaged(fault),
    }
}

/// The refusal of whoever would need the repository's identity and does not have it.
pub fn missing(why: impl std::fmt::Display) -> Error {
    Error::new(Kind::Conflict, "IDENTITY_MISSING", "this node cannot decrypt the backup").because(why).hint(
        "ask a node that holds an identity, or make this one a recipient: keystow repository recipients add",
    )
}

fn stopped(error: impl std::fmt::Display) -> Error {
    Error::internal("a thread of the codec ended early", error)
}
