//! Removes what crashes left in the repository. Never anything that the catalog does not know.

use super::Engine;
use crate::error::Result;
use crate::model::{Backup, BackupState, JobKind, JobState};
use crate::vault::StoredAttempt;

/// What a sweep did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Unfinished files removed.
    pub unfinished: u64,
    /// Attempts removed.
    pub attempts: u64,
    /// Attempts with a manifest whose backup the catalog does not know: kept, for a rebuild of the catalog.
    pub unknown: u64,
}

impl Engine {
    /// Sweeps the repository. `alone` says that no writer is at work, so that unfinished files may go too.
    pub async fn sweep(&self, alone: bool) -> Result<Swept> {
        let mut swept = Swept::default();
        if alone {
            swept.unfinished = self.vault.sweep_unfinished().await?;
        }
        for stored in self.vault.attempts().await? {
            let backup = self.catalog.backup_by_id(stored.key.backup).await?;
            let Some(backup) = backup else {
                swept.unknown += u64::from(stored.has_manifest);
                // Without a commit point it was never listed anywhere.
                if alone && !stored.has_manifest {
                    swept.attempts += self.sweep_away(&stored).await;
                }
                continue;
            };
            if !self.is_wanted(&backup, &stored, alone).await? {
                swept.attempts += self.sweep_away(&stored).await;
                if backup.state == BackupState::Expired {
                    self.sweep_events_away(&stored).await;
                }
            }
        }
        Ok(swept)
    }

    /// Sweeps beside other nodes; `None` while one of them does.
    pub async fn sweep_in_turn(&self) -> Result<Option<Swept>> {
        let Some(_turn) = self.turns.take("sweep".to_owned()).await? else { return Ok(None) };
        self.sweep(false).await.map(Some)
    }

    /// Removes an attempt; 0 if it cannot be removed now, as where the store keeps a lock on it. The next sweep sees.
    async fn sweep_away(&self, stored: &StoredAttempt) -> u64 {
        match self.vault.remove_attempt(&stored.key).await {
            Ok(()) => 1,
            Err(error) => {
                tracing::warn!(backup = %stored.key.backup, %error, "cannot remove what is of no use");
                0
            }
        }
    }

    /// Whether an attempt behind the one that the row named is a repair's, which writes beside what is damaged: one that
    /// is at work, or one that has ended since, and which the row names by now.
    async fn is_repair(&self, stored: &StoredAttempt) -> Result<bool> {
        if self.catalog.is_at_work(stored.key.backup, JobKind::Repair).await? {
            return Ok(true);
        }
        let row = self.catalog.backup_by_id(stored.key.backup).await?;
        Ok(row.is_none_or(|row| row.attempt == stored.key.attempt))
    }

    /// Removes the events of a backup whose own removal has failed.
    async fn sweep_events_away(&self, stored: &StoredAttempt) {
        if let Err(error) = self.vault.remove_events(&stored.key.backup_key()).await {
            tracing::warn!(backup = %stored.key.backup, %error, "cannot remove what is of no use");
        }
    }

    /// An attempt stays if the row names it, or if it is at work now.
    async fn is_wanted(&self, backup: &Backup, stored: &StoredAttempt, alone: bool) -> Result<bool> {
        let same_place = backup.account == stored.key.account && backup.instance == stored.key.instance;
        if backup.state.keeps_objects() {
            if !same_place || backup.attempt == stored.key.attempt {
                return Ok(true);
            }
            return Ok(!alone && stored.key.attempt > backup.attempt && self.is_repair(stored).await?);
        }
        if backup.state == BackupState::Running && !alone {
            let job = self.catalog.job(&backup.account, backup.job).await?;
            return Ok(
                job.is_none_or(|job| job.state != JobState::Running || job.attempt <= stored.key.attempt)
            );
        }
        Ok(false)
    }
}
