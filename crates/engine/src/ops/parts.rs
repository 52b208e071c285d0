//! The one way to a part's bytes, whatever is stored: plain bytes go in, plain bytes come out.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::keyring::KeyRing;
use crate::error::Result;
use crate::model::{Encryption, Part, SealedPart};
use crate::vault::codec::{Codec, PartWriter, Sealing};
use crate::vault::{AttemptKey, ObjectKey, ObjectReader, Vault};

/// The parts in the repository. Clones are the same ones.
#[derive(Clone)]
pub(super) struct Parts {
    vault: Arc<dyn Vault>,
    ring: Arc<KeyRing>,
    codec: Codec,
}

impl Parts {
    pub(super) fn new(vault: Arc<dyn Vault>, ring: Arc<KeyRing>) -> Self {
        Self { vault, ring, codec: Codec::default() }
    }

    /// How parts are to be stored from now on.
    pub(super) async fn sealing(&self, compress: bool, encrypt: bool) -> Result<Sealing> {
        let recipient = if encrypt { Some(self.ring.recipient().await?) } else { None };
        Ok(Sealing { compress, recipient })
    }

    /// Starts a part. Blocks; for a thread of its own.
    pub(super) fn create(&self, attempt: &AttemptKey, shard: u32, sealing: &Sealing) -> Result<PartWriter> {
        self.create_until(attempt, shard, sealing, &CancellationToken::new())
    }

    /// Starts a part whose writing ends when somebody asks to stop, whatever the store does then.
    pub(super) fn create_until(
        &self,
        attempt: &AttemptKey,
        shard: u32,
        sealing: &Sealing,
        cancel: &CancellationToken,
    ) -> Result<PartWriter> {
        let key = ObjectKey::Part(attempt.clone(), shard, sealing.encoding());
        let mut stored = self.vault.create(&key)?;
        stored.stop_with(cancel);
        self.codec.writer(stored, sealing)
    }

    /// Opens a part; `None` if its object is gone.
    pub(super) async fn open(
        &self,
        attempt: &AttemptKey,
        part: &SealedPart,
    ) -> Result<Option<Arc<dyn ObjectReader>>> {
        let Some(stored) = self.open_stored(attempt, part).await? else { return Ok(None) };
        if part.encoding.is_plain() {
            return Ok(Some(stored));
        }
        let opened = match part.encoding.encryption {
            None => self.codec.reader(stored, part.encoding, part.size_bytes, &[]).await,
            Some(Encryption::Age) => self.decrypt(stored, part).await,
        };
        opened.map(Some)
    }

    /// The object as it is stored.
    pub(super) async fn open_stored(
        &self,
        attempt: &AttemptKey,
        part: &SealedPart,
    ) -> Result<Option<Arc<dyn ObjectReader>>> {
        self.vault.open(&ObjectKey::Part(attempt.clone(), part.shard, part.encoding)).await
    }

    /// Looks for new identities before it gives up.
    async fn decrypt(
        &self,
        stored: Arc<dyn ObjectReader>,
        part: &SealedPart,
    ) -> Result<Arc<dyn ObjectReader>> {
        let mut fresh = false;
        loop {
            let known = self.ring.identities(fresh).await?;
            let opened =
                self.codec.reader(stored.clone(), part.encoding, part.size_bytes, &known.identities).await;
            match opened {
                Err(error) if error.code == "IDENTITY_MISSING" && !fresh => fresh = true,
                other => return other,
            }
        }
    }

    /// Refuses what this node could not read.
    ///
    /// # Errors
    /// `IDENTITY_MISSING`, with the reason.
    pub(super) async fn check_readable(&self, parts: &[Part]) -> Result<()> {
        if parts.iter().all(|part| part.sealed.encoding.encryption.is_none()) {
            return Ok(());
        }
        self.ring.identities(false).await.map(drop)
    }

    /// Whether this node can decrypt what it encrypts.
    pub(super) async fn can_decrypt(&self) -> bool {
        self.ring.identities(false).await.is_ok()
    }
}
