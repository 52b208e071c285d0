//! The one way to a part's bytes, whatever is stored: plain bytes go in, plain bytes come out.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::copies::Others;
use super::keyring::KeyRing;
use crate::catalog::Catalog;
use crate::error::{Kind, Result};
use crate::model::{Encryption, Part, SealedPart};
use crate::vault::codec::{Codec, PartWriter, Sealing};
use crate::vault::{AttemptKey, ObjectKey, ObjectReader, Vault};

/// The parts in the repository. Clones are the same ones.
#[derive(Clone)]
pub(super) struct Parts {
    vault: Arc<dyn Vault>,
    ring: Arc<KeyRing>,
    codec: Codec,
    /// Where else a part may be.
    elsewhere: Option<Elsewhere>,
}

/// The repositories that hold copies, and what tells which of them.
#[derive(Clone)]
struct Elsewhere {
    catalog: Arc<dyn Catalog>,
    others: Arc<Others>,
}

impl Parts {
    pub(super) fn new(vault: Arc<dyn Vault>, ring: Arc<KeyRing>) -> Self {
        Self { vault, ring, codec: Codec::default(), elsewhere: None }
    }

    /// Knowing where copies are.
    pub(super) fn beside(self, catalog: Arc<dyn Catalog>, others: Arc<Others>) -> Self {
        Self { elsewhere: Some(Elsewhere { catalog, others }), ..self }
    }

    /// The parts in another repository.
    pub(super) fn at(&self, vault: Arc<dyn Vault>) -> Self {
        Self { vault, elsewhere: None, ..self.clone() }
    }

    /// The repository.
    pub(super) fn vault(&self) -> &dyn Vault {
        &*self.vault
    }

    /// The repository, for another thread.
    pub(super) fn shared_vault(&self) -> Arc<dyn Vault> {
        self.vault.clone()
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

    /// Opens a part wherever it is whole: here, or else where a copy of the backup is. `None` if its object is gone from
    /// everywhere.
    pub(super) async fn find(
        &self,
        attempt: &AttemptKey,
        part: &SealedPart,
    ) -> Result<Option<Arc<dyn ObjectReader>>> {
        let here = self.open(attempt, part).await;
        let is_lost = match &here {
            Ok(Some(reader)) => reader.size_bytes() != part.size_bytes,
            Ok(None) => true,
            Err(error) => matches!(error.kind, Kind::Unreachable | Kind::Corrupt),
        };
        let Some(elsewhere) = self.elsewhere.as_ref().filter(|_| is_lost) else { return here };
        for copy in elsewhere.catalog.copies(attempt.backup).await?.iter().filter(|copy| copy.is_whole()) {
            match self.open_copy(&elsewhere.others, &copy.repository, copy.attempt, attempt, part).await {
                Ok(Some(reader)) if reader.size_bytes() == part.size_bytes => {
                    tracing::warn!(
                        backup = %attempt.backup, shard = part.shard, from = copy.repository,
                        "read from a copy: the repository has lost its object, or does not answer"
                    );
                    return Ok(Some(reader));
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(backup = %attempt.backup, from = copy.repository, %error, "no copy");
                }
            }
        }
        here
    }

    /// Opens a part in the repository of that name only, if the backup has a whole copy there.
    pub(super) async fn find_in(
        &self,
        repository: &str,
        attempt: &AttemptKey,
        part: &SealedPart,
    ) -> Result<Option<Arc<dyn ObjectReader>>> {
        let Some(elsewhere) = &self.elsewhere else { return Ok(None) };
        let copies = elsewhere.catalog.copies(attempt.backup).await?;
        match copies.iter().find(|copy| copy.repository == repository && copy.is_whole()) {
            Some(copy) => self.open_copy(&elsewhere.others, repository, copy.attempt, attempt, part).await,
            None => Ok(None),
        }
    }

    async fn open_copy(
        &self,
        others: &Others,
        repository: &str,
        number: u32,
        attempt: &AttemptKey,
        part: &SealedPart,
    ) -> Result<Option<Arc<dyn ObjectReader>>> {
        let there = self.at(others.vault(repository)?);
        there.open(&AttemptKey { attempt: number, ..attempt.clone() }, part).await
    }

    /// Opens a part here; `None` if its object is gone.
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
