//! Copies a backup into another repository.

use std::sync::Arc;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::super::audit::Deed;
use super::super::scrub::until_cancelled;
use super::super::take_backup::GRACE;
use super::super::{Engine, Meter};
use super::Shelf;
use crate::access::Principal;
use crate::catalog::SealedCopy;
use crate::crash::{CrashPoint, crash_point};
use crate::error::{Error, Kind, Result};
use crate::model::{Backup, BackupCopy, BackupRef, BackupState, Job, NewCopy, Order, Right};
use crate::vault::{AttemptKey, BackupKey, Vault};

/// Attempts before the one that succeeded whose remains are looked for. What is older, the sweep finds.
const LOOK_BACK: u32 = 3;

impl Engine {
    /// Adds the job that copies a backup into the repository of that name.
    pub async fn request_copy(&self, who: &Principal, which: BackupRef, to: &str) -> Result<Job> {
        let deed = Deed::new(Right::Operate, "backup.copy", "backup", which).with(json!({"to": to}));
        self.audited(who, deed, async {
            let scope = who.with(Right::Operate)?;
            let backup = self.visible_backup(&scope, which).await?;
            self.others.check(to)?;
            copyable(&backup)?;
            let new = NewCopy {
                account: backup.account,
                backup: backup.id,
                instance: backup.instance,
                repository: to.to_owned(),
            };
            self.ask_copy(&new).await
        })
        .await
    }

    /// As [`Engine::request_copy`], for a policy.
    pub(super) async fn ask_copy(&self, new: &NewCopy) -> Result<Job> {
        let job = self.catalog.request_copy(new, self.clock.now()).await?;
        self.job_written.notify_one();
        Ok(job)
    }

    /// The copies of a backup, by repository.
    pub async fn copies(&self, who: &Principal, which: BackupRef) -> Result<Vec<BackupCopy>> {
        let backup = self.visible_backup(&who.with(Right::View)?, which).await?;
        self.catalog.copies(backup.id).await
    }

    /// Does one attempt of a copy.
    pub(crate) async fn copy_backup(
        &self,
        job: &Job,
        meter: &Arc<Meter>,
        cancel: &CancellationToken,
    ) -> Result<()> {
        let Some(Order::Copy(order)) = &job.order else {
            return Err(Error::internal("a job does not say where to", job.number));
        };
        let backup = self.backup_of(job).await?;
        copyable(&backup)?;
        let vault = self.others.vault(&order.to)?;
        until_cancelled(cancel, room_for(&backup, &order.to, &*vault)).await?;
        let number = self.catalog.begin_copy(&job.lease(), &order.to).await?;
        let to = Shelf { parts: self.parts.at(vault), attempt: BackupKey::of(&backup).attempt(number) };
        // A store that hangs holds up nobody who asks to stop.
        let copied = self.copy_to(&backup, job, &order.to, &to, meter, cancel);
        if let Err(error) = until_cancelled(cancel, copied).await {
            in_good_time(&backup, cancel, self.remove_failed_copy(&order.to, &to)).await;
            return Err(error);
        }
        crash_point(CrashPoint::CopySealed);
        for older in number.saturating_sub(LOOK_BACK).max(1)..number {
            remove(&Shelf { attempt: BackupKey::of(&backup).attempt(older), ..to.clone() }).await;
        }
        Ok(())
    }

    async fn copy_to(
        &self,
        backup: &Backup,
        job: &Job,
        name: &str,
        to: &Shelf,
        meter: &Arc<Meter>,
        cancel: &CancellationToken,
    ) -> Result<()> {
        self.bring_keys(name).await?;
        let from = Shelf { parts: self.parts.clone(), attempt: AttemptKey::of(backup) };
        let bytes = self.carry(backup, (&from, to), meter, cancel).await?;
        self.bring_events(backup, to.parts.vault()).await?;
        crash_point(CrashPoint::CopyComplete);
        let sealed = SealedCopy { repository: name.to_owned(), attempt: to.attempt.attempt, bytes };
        self.catalog.seal_copy(&job.lease(), &sealed, self.clock.now()).await
    }

    /// Nothing half-written stays, unless the row names the attempt after all, as when only the answer was lost.
    async fn remove_failed_copy(&self, name: &str, to: &Shelf) {
        let copies = async {
            // Whatever was under way has ended then.
            self.catalog.settled_backup(to.attempt.backup).await?;
            self.catalog.copies(to.attempt.backup).await
        };
        match copies.await {
            Ok(copies) => {
                let number = to.attempt.attempt;
                if !copies.iter().any(|copy| copy.repository == *name && copy.attempt == number) {
                    remove(to).await;
                }
            }
            // The sweep will see.
            Err(error) => {
                tracing::warn!(backup = %to.attempt.backup, %error, "cannot tell whether a copy is kept");
            }
        }
    }

    /// Removes the copies of a backup that is gone, their manifests first. One whose repository is away stays for the
    /// sweep, and is told.
    pub(in crate::ops) async fn remove_copies(&self, job: &Job) -> Result<()> {
        let mut failed = None;
        for copy in self.catalog.copies(job.backup).await? {
            let removed = async {
                match self.others.vault(&copy.repository) {
                    Ok(vault) => remove_copy(job, copy.tried, &*vault).await?,
                    Err(error) if error.code == "COPIES_UNKNOWN" => {
                        tracing::warn!(
                            backup = %job.backup, repository = copy.repository,
                            "a copy stays where the configuration does not reach any more"
                        );
                    }
                    Err(error) => return Err(error),
                }
                self.catalog.forget_copy(job.backup, &copy.repository).await
            };
            if let Err(error) = removed.await {
                tracing::error!(backup = %job.backup, repository = copy.repository, %error, "a copy is not removed yet");
                failed = Some(error);
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

async fn remove_copy(job: &Job, tried: u32, vault: &dyn Vault) -> Result<()> {
    let backup = BackupKey::of_job(job);
    for attempt in 1..=tried {
        vault.remove_attempt(&backup.attempt(attempt)).await?;
    }
    vault.remove_events(&backup).await
}

/// Removes what an attempt left; once somebody has asked to stop, a store that hangs is not waited for.
pub(super) async fn in_good_time(
    backup: &Backup,
    cancel: &CancellationToken,
    removal: impl Future<Output = ()>,
) {
    if !cancel.is_cancelled() {
        removal.await;
    } else if tokio::time::timeout(GRACE, removal).await.is_err() {
        tracing::warn!(backup = %backup.id, "a repository does not answer; a sweep removes what is left");
    }
}

/// Removes an attempt of which nothing is needed.
pub(super) async fn remove(place: &Shelf) {
    if let Err(error) = place.parts.vault().remove_attempt(&place.attempt).await {
        tracing::warn!(backup = %place.attempt.backup, %error, "cannot remove what an attempt left; a sweep will");
    }
}

/// Refuses a backup of which there is nothing whole to copy.
fn copyable(backup: &Backup) -> Result<()> {
    let is_whole =
        matches!(backup.state, BackupState::Available | BackupState::Partial | BackupState::Quarantined);
    if is_whole && !backup.parts.is_empty() {
        return Ok(());
    }
    let message = format!("backup {} is {}; it cannot be copied", backup.id, backup.state);
    Err(Error::new(Kind::Conflict, "BACKUP_NOT_AVAILABLE", message)
        .hint("choose another one: keystow backup list"))
}

/// Refuses to fill a disk. Also finds a store that does not answer before an attempt is begun.
async fn room_for(backup: &Backup, name: &str, vault: &dyn Vault) -> Result<()> {
    let wanted: u64 = backup.parts.iter().map(|part| part.sealed.stored_bytes).sum();
    match vault.free_bytes().await? {
        Some(free) if free < wanted => Err(Error::new(
            Kind::NoSpace,
            "SPACE_GUARD",
            format!("the repository {name} lacks {} MiB for this copy", (wanted - free).div_ceil(1 << 20)),
        )
        .hint(format!("free space in {}, or keep less (keystow policy set)", vault.place()))),
        _ => Ok(()),
    }
}
