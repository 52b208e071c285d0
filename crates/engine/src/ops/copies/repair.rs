//! Brings a damaged backup back from a copy that is whole.

use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::super::audit::Deed;
use super::super::scrub::{self, until_cancelled};
use super::super::{Engine, Meter};
use super::Shelf;
use super::copy_backup::{in_good_time, remove};
use crate::access::Principal;
use crate::error::{Error, Kind, Result};
use crate::model::{
    Backup, BackupCopy, BackupRef, BackupState, EventKind, Job, JobKind, Right, ScrubOutcome,
};
use crate::vault::{AttemptKey, BackupKey};

impl Engine {
    /// Adds the job that brings a backup back from a copy.
    pub async fn request_repair(&self, who: &Principal, which: BackupRef) -> Result<Job> {
        self.audited(who, Deed::new(Right::Operate, "backup.repair", "backup", which), async {
            let scope = who.with(Right::Operate)?;
            let backup = self.visible_backup(&scope, which).await?;
            if !self.catalog.copies(backup.id).await?.iter().any(BackupCopy::is_whole) {
                return Err(no_copy(&backup));
            }
            // The target of scrubs: one that had begun before would call what was repaired meanwhile damaged.
            let target = scrub::target(&backup);
            self.request_job(&backup, JobKind::Repair, None, Some(target)).await
        })
        .await
    }

    /// Does one attempt of a repair: from each copy in turn, until one is whole. What is damaged is not written over; the
    /// backup's bytes stand beside it from then on, and it goes.
    pub(crate) async fn repair(
        &self,
        job: &Job,
        meter: &Arc<Meter>,
        cancel: &CancellationToken,
    ) -> Result<()> {
        let backup = self.backup_of(job).await?;
        if !backup.state.keeps_objects() {
            let message = format!("backup {} is {}; there is nothing to repair", backup.id, backup.state);
            return Err(Error::new(Kind::Conflict, "BACKUP_NOT_AVAILABLE", message));
        }
        let mut failed = no_copy(&backup);
        for copy in self.catalog.copies(backup.id).await?.into_iter().filter(BackupCopy::is_whole) {
            let tried = match self.others.vault(&copy.repository) {
                Ok(vault) => {
                    let from = Shelf {
                        parts: self.parts.at(vault),
                        attempt: BackupKey::of(&backup).attempt(copy.attempt),
                    };
                    self.repair_from(&backup, job, &from, meter, cancel).await
                }
                Err(error) => Err(error),
            };
            match tried {
                Ok(()) => return Ok(()),
                Err(error) if matches!(error.kind, Kind::Corrupt | Kind::Unreachable | Kind::Invalid) => {
                    tracing::warn!(backup = %backup.id, from = copy.repository, %error, "not repaired from that copy");
                    failed = error;
                }
                Err(error) => return Err(error),
            }
        }
        Err(failed)
    }

    async fn repair_from(
        &self,
        backup: &Backup,
        job: &Job,
        from: &Shelf,
        meter: &Arc<Meter>,
        cancel: &CancellationToken,
    ) -> Result<()> {
        let started = Instant::now();
        // The job's fence: no two workers write the same objects.
        let number = backup.attempt + job.attempt;
        let to = Shelf { parts: self.parts.clone(), attempt: BackupKey::of(backup).attempt(number) };
        let repaired = async {
            let bytes = until_cancelled(cancel, self.carry(backup, (from, &to), meter, cancel)).await?;
            let found = ScrubOutcome {
                at: self.clock.now(),
                ok: true,
                bytes,
                took_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
                broken: Vec::new(),
                failure: None,
                before: scrub::before(backup, self.clock.now()),
            };
            self.catalog.seal_repair(&job.lease(), number, &found, self.clock.now()).await?;
            Ok(found)
        };
        let found = match repaired.await {
            Ok(found) => found,
            Err(error) => {
                let removal = async {
                    if let Ok(false) = self.is_named(&to.attempt).await {
                        remove(&to).await;
                    }
                };
                in_good_time(backup, cancel, removal).await;
                return Err(error);
            }
        };
        tracing::info!(backup = %backup.id, attempt = number, "repaired from a copy");
        self.forget_parts(backup);
        if backup.state == BackupState::Damaged
            && let Err(error) = self.append_event(backup, job.number, EventKind::Scrub(found)).await
        {
            tracing::warn!(backup = %backup.id, %error, "cannot keep beside a backup that it was repaired");
        }
        remove(&Shelf { attempt: AttemptKey::of(backup), ..to }).await;
        Ok(())
    }
}

fn no_copy(backup: &Backup) -> Error {
    Error::new(Kind::Conflict, "COPY_MISSING", format!("the backup {} has no whole copy", backup.id))
        .hint(format!("see its copies: keystow backup show {}", backup.id))
}
