//! Reads the copies of a backup again, with the backup itself.

use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::super::scrub::until_cancelled;
use super::super::{Engine, Meter};
use super::Shelf;
use crate::error::{Kind, Result};
use crate::model::{Backup, BackupCopy, CopyState, Failure};
use crate::vault::BackupKey;

impl Engine {
    /// The copies of a backup that can be read again, each with where it is. One whose repository is away waits for the
    /// next scrub.
    pub(in crate::ops) async fn copies_to_scrub(&self, backup: &Backup) -> Result<Vec<(BackupCopy, Shelf)>> {
        let there = |copy: &BackupCopy| {
            matches!(copy.state, CopyState::Available | CopyState::Damaged) && copy.attempt > 0
        };
        let mut found = Vec::new();
        for copy in self.catalog.copies(backup.id).await?.into_iter().filter(there) {
            match self.others.vault(&copy.repository) {
                Ok(vault) => {
                    let (parts, attempt) =
                        (self.parts.at(vault), BackupKey::of(backup).attempt(copy.attempt));
                    found.push((copy, Shelf { parts, attempt }));
                }
                Err(error) => {
                    tracing::warn!(backup = %backup.id, repository = copy.repository, %error, "a copy is not read again");
                }
            }
        }
        Ok(found)
    }

    /// Reads copies again, and writes down what was found. Returns the name of the first that is whole.
    pub(in crate::ops) async fn scrub_copies(
        &self,
        backup: &Backup,
        copies: &[(BackupCopy, Shelf)],
        read: &mut u64,
        timing: (Instant, u64),
        meter: &Arc<Meter>,
        cancel: &CancellationToken,
    ) -> Result<Option<String>> {
        let mut whole = None;
        for (copy, place) in copies {
            let found = async {
                self.scrub_manifest(backup, place).await?;
                for part in &backup.parts {
                    self.scrub_part(place, &part.sealed, read, timing, meter, cancel).await?;
                }
                // What could not be brought when it happened.
                self.bring_events(backup, place.parts.vault()).await
            };
            match until_cancelled(cancel, found).await {
                Ok(()) => {
                    self.catalog.judge_copy(copy, None, self.clock.now()).await?;
                    whole.get_or_insert_with(|| copy.repository.clone());
                }
                Err(error) if error.kind == Kind::Corrupt => {
                    tracing::error!(backup = %backup.id, repository = copy.repository, %error, "a copy is damaged");
                    let failure = Failure::from(&error);
                    self.catalog.judge_copy(copy, Some(&failure), self.clock.now()).await?;
                }
                Err(error) if error.kind == Kind::Cancelled => return Err(error),
                Err(error) => {
                    tracing::warn!(backup = %backup.id, repository = copy.repository, %error, "a copy is not read again");
                }
            }
        }
        Ok(whole)
    }
}
