//! Removes what crashes left in the repositories of copies, and takes in copies that the catalog has lost. Never removes
//! anything of a backup that the catalog does not know.

use std::cmp::Reverse;
use std::collections::HashMap;

use jiff::Timestamp;

use super::super::Engine;
use super::carry::tells_of;
use crate::error::Result;
use crate::model::{Backup, BackupCopy, CopyState};
use crate::vault::{StoredAttempt, Vault};

/// How often each is swept.
const PERIOD_SECONDS: i64 = 3600;

/// When each repository of copies was last swept by this node, by name.
#[derive(Debug, Default)]
pub struct CopySweeps(HashMap<String, Timestamp>);

impl Engine {
    /// Sweeps the repositories of copies before any worker is at work, so that unfinished files may go too.
    pub async fn sweep_copies_alone(&self) {
        for (name, vault) in self.others.open() {
            let swept = async {
                let unfinished = vault.sweep_unfinished().await?;
                Ok::<_, crate::error::Error>((unfinished, self.sweep_copies(name, &*vault).await?))
            };
            match swept.await {
                Ok((unfinished, attempts)) if unfinished + attempts > 0 => {
                    tracing::warn!(repository = name, unfinished, attempts, "cleaned up after a crash");
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(repository = name, %error, "cannot sweep a repository of copies");
                }
            }
        }
    }

    /// Sweeps each repository of copies that is due, one node at a time.
    pub async fn sweep_copies_if_due(&self, done: &mut CopySweeps) {
        let now = self.clock.now();
        for (name, vault) in self.others.open() {
            if done.0.get(name).is_some_and(|at| now.as_second() - at.as_second() < PERIOD_SECONDS) {
                continue;
            }
            done.0.insert(name.to_owned(), now);
            let swept = async {
                let Some(_turn) = self.turns.take(format!("sweep/{name}")).await? else { return Ok(0) };
                self.sweep_copies(name, &*vault).await
            };
            match swept.await {
                Ok(0) => {}
                Ok(attempts) => tracing::info!(repository = name, attempts, "removed what was of no use"),
                Err(error) => {
                    tracing::warn!(repository = name, %error, "cannot sweep a repository of copies");
                }
            }
        }
    }

    /// Returns how many attempts were removed.
    async fn sweep_copies(&self, name: &str, vault: &dyn Vault) -> Result<u64> {
        let mut removed = 0;
        let mut attempts = vault.attempts().await?;
        // Of a copy without a row the newest that is whole gets one.
        attempts.sort_by_key(|stored| Reverse(stored.key.attempt));
        for stored in attempts {
            // Read after the list, so that an attempt in it is known to the row by now.
            let Some(backup) = self.catalog.backup_by_id(stored.key.backup).await? else { continue };
            if backup.account != stored.key.account || backup.instance != stored.key.instance {
                continue;
            }
            if backup.state.keeps_objects() && self.is_copy_wanted(name, vault, &backup, &stored).await? {
                continue;
            }
            if backup.state.is_active() {
                continue;
            }
            match self.sweep_copy_away(name, vault, &backup, &stored).await {
                Ok(()) => removed += 1,
                // As where the store keeps a lock on it.
                Err(error) => {
                    tracing::warn!(backup = %backup.id, repository = name, %error, "cannot remove what is of no use");
                }
            }
        }
        Ok(removed)
    }

    /// Removes an attempt; of a backup that is gone also what happened to it, and the copy's row.
    async fn sweep_copy_away(
        &self,
        name: &str,
        vault: &dyn Vault,
        backup: &Backup,
        stored: &StoredAttempt,
    ) -> Result<()> {
        vault.remove_attempt(&stored.key).await?;
        if backup.state.keeps_objects() {
            return Ok(());
        }
        vault.remove_events(&stored.key.backup_key()).await?;
        self.catalog.forget_copy(backup.id, name).await
    }

    /// The attempt that the row names stays, and one that is at work. Of a copy without a row, as after a rebuild of the
    /// catalog, a whole attempt gets one.
    async fn is_copy_wanted(
        &self,
        name: &str,
        vault: &dyn Vault,
        backup: &Backup,
        stored: &StoredAttempt,
    ) -> Result<bool> {
        let number = stored.key.attempt;
        let copies = self.catalog.copies(backup.id).await?;
        if let Some(copy) = copies.iter().find(|copy| copy.repository == name) {
            let is_at_work = copy.state == CopyState::Running && copy.tried == number;
            return Ok(copy.attempt == number || is_at_work);
        }
        if !stored.has_manifest {
            return Ok(false);
        }
        // One that cannot be believed is none; but nobody has said that it may go.
        let Ok(Some(manifest)) = self.read_manifest_in(vault, &stored.key).await else { return Ok(true) };
        if manifest.attempt != number || !tells_of(&manifest, backup) {
            return Ok(true);
        }
        let copy = BackupCopy {
            backup: backup.id,
            account: backup.account.clone(),
            repository: name.to_owned(),
            state: CopyState::Available,
            job: 0,
            tried: number,
            attempt: number,
            bytes: backup.parts.iter().map(|part| part.sealed.stored_bytes).sum(),
            asked_at: self.clock.now(),
            stored_at: Some(manifest.ended_at),
            verified_at: None,
            retry_at: None,
            failure: None,
        };
        self.catalog.adopt_copy(&copy).await?;
        tracing::info!(backup = %backup.id, repository = name, "found a copy that the catalog did not know");
        Ok(true)
    }
}
