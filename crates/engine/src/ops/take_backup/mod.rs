//! Takes a backup: every shard's snapshot, then the manifest, then the row.

mod record;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::capture::{CapturedSet, SetOrder, Source};
use super::{Engine, Meter, manifest};
use crate::catalog::SealedBackup;
use crate::crash::{CrashPoint, crash_point};
use crate::error::{Error, Kind, Result};
use crate::model::{
    Backup, BackupState, Instance, Job, Manifest, ManifestPart, ManifestPlace, Number, SealedPart,
};
use crate::vault::{AttemptKey, BackupKey, ObjectKey};
pub(super) use record::Record;

/// The code of a backup that must begin anew, because the cluster's slots changed hands under it.
pub(crate) const TOPOLOGY_CHANGED: &str = "TOPOLOGY_CHANGED";
/// Attempts at a cluster whose slots keep changing hands, before what was had is kept as a partial set.
const MOST_ATTEMPTS: u32 = 3;

/// How long an attempt that is asked to stop may take for it, and for removing what it left.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// Where an instance's password is sealed for.
pub(super) fn password_place(account: &str, instance: &str) -> String {
    format!("instance/{account}/{instance}/password")
}

impl Engine {
    /// Does one attempt of a backup job. Every write names the job's fence.
    pub(crate) async fn take_backup(
        &self,
        job: &Job,
        meter: &Arc<Meter>,
        cancel: &CancellationToken,
    ) -> Result<()> {
        let backup = self.backup_of(job).await?;
        let instance = self.catalog.instance(&job.account, &job.instance).await?.ok_or_else(|| {
            Error::new(Kind::NotFound, "INSTANCE_GONE", format!("the instance {} was deleted", job.instance))
        })?;
        let attempt = BackupKey::of_job(job).attempt(job.attempt);
        let guarded = cancel.run_until_cancelled(self.guard_space(&backup, 0)).await;
        guarded.ok_or_else(Error::cancelled)??;
        let sealed = async {
            let set = self.capture_set(instance, &attempt, meter, cancel).await?;
            self.commit(&backup, job, &attempt, &set, cancel).await
        };
        let sealed = tokio::select! {
            sealed = sealed => sealed,
            () = out_of_patience(cancel) => Err(Error::cancelled()),
        };
        let Err(error) = sealed else { return Ok(()) };
        match self.is_named(&attempt).await {
            Ok(true) => {
                tracing::warn!(backup = %job.backup, %error, "the catalog failed after it had taken the backup");
                return Ok(());
            }
            Ok(false) if cancel.is_cancelled() => {
                let removed = tokio::time::timeout(GRACE, self.remove_failed(&attempt)).await;
                if removed.is_err() {
                    tracing::warn!(backup = %job.backup, "the repository does not answer; a sweep removes what is left");
                }
            }
            Ok(false) => self.remove_failed(&attempt).await,
            // The sweeper will see.
            Err(error) => {
                tracing::warn!(backup = %job.backup, %error, "cannot tell whether the attempt is kept");
            }
        }
        Err(error)
    }

    /// Whether the row names the attempt after all, as when only the answer to the last write was lost.
    pub(super) async fn is_named(&self, attempt: &AttemptKey) -> Result<bool> {
        let row = self.catalog.settled_backup(attempt.backup).await?;
        Ok(row.is_some_and(|row| row.state.keeps_objects() && row.attempt == attempt.attempt))
    }

    /// Nothing half-written stays; what a crash leaves, the sweeper finds.
    pub(super) async fn remove_failed(&self, attempt: &AttemptKey) {
        if let Err(error) = self.vault.remove_attempt(attempt).await {
            tracing::warn!(backup = %attempt.backup, %error, "cannot remove what a failed attempt left");
        }
    }

    async fn capture_set(
        &self,
        instance: Instance,
        attempt: &AttemptKey,
        meter: &Arc<Meter>,
        cancel: &CancellationToken,
    ) -> Result<CapturedSet> {
        let repository = &self.settings.repository;
        let order = SetOrder {
            source: self.source(&instance)?,
            instance: Arc::new(instance),
            attempt: attempt.clone(),
            spool: self.settings.work_dir.clone(),
            store: self.parts.clone(),
            sealing: self.parts.sealing(repository.compress, repository.encrypt).await?,
            catalog: self.catalog.clone(),
            clock: self.clock.clone(),
            turns: self.turns.clone(),
            fail_over: self.settings.fail_over,
            meter: meter.clone(),
            cancel: cancel.clone(),
        };
        order.capture().await
    }

    /// Where an instance is, with its password in clear.
    pub(super) fn source(&self, instance: &Instance) -> Result<Source> {
        Ok(Source {
            address: instance.url.parse()?,
            login: self.login_of(instance)?,
            timeouts: self.settings.timeouts,
        })
    }

    /// Reads back what was stored, writes the manifest, which commits the attempt, and then the row that names it.
    async fn commit(
        &self,
        backup: &Backup,
        job: &Job,
        attempt: &AttemptKey,
        set: &CapturedSet,
        cancel: &CancellationToken,
    ) -> Result<()> {
        crash_point(CrashPoint::SetCaptured);
        let record = Record::of(set, backup, job.started_at.unwrap_or(job.created_at))?;
        if record.is_unsettled && job.attempt < MOST_ATTEMPTS {
            return Err(Error::new(
                Kind::Conflict,
                TOPOLOGY_CHANGED,
                "slots changed hands during the backup",
            )
            .hint("it begins anew by itself"));
        }
        self.read_back(attempt, &record.parts, cancel).await?;
        let numbers =
            self.catalog.mint_numbers(u32::try_from(record.parts.len()).unwrap_or(u32::MAX)).await?;
        let parts: Vec<_> = numbers.into_iter().zip(record.parts.clone()).collect();
        let moments = (job.started_at.unwrap_or(job.created_at), self.clock.now());
        let manifest = manifest_of(backup, attempt, &record, &parts, moments);
        self.write_manifest(attempt, &manifest).await?;
        crash_point(CrashPoint::ManifestWritten);
        let small = match record.state {
            BackupState::Available => self.too_small(backup, &record.parts).await,
            _ => None,
        };
        let sealed = SealedBackup {
            state: record.state,
            method: record.method,
            origin: Some(record.origin),
            parts,
            server: Some(record.server.clone()),
            failure: record.failure,
            small,
        };
        self.catalog.seal_backup(&job.lease(), &sealed, self.clock.now()).await?;
        crash_point(CrashPoint::BackupSealed);
        // Only for lists; the backup is safe whether or not this works.
        let seen = set.before.described(record.server);
        if let Err(error) = self.catalog.record_contact(&job.account, &job.instance, &seen).await {
            tracing::warn!(instance = %job.instance, %error, "cannot keep what the server said of itself");
        }
        Ok(())
    }
}

/// Ends when somebody has asked to stop, and what was asked has not stopped: it waits for a store that hangs.
async fn out_of_patience(cancel: &CancellationToken) {
    cancel.cancelled().await;
    tokio::time::sleep(GRACE).await;
}

/// The manifest of an attempt that began and ended at these moments.
pub(super) fn manifest_of(
    backup: &Backup,
    attempt: &AttemptKey,
    record: &Record,
    parts: &[(Number, SealedPart)],
    (started_at, ended_at): (Timestamp, Timestamp),
) -> Manifest {
    Manifest {
        format: manifest::FORMAT,
        backup: backup.id,
        number: backup.number,
        account: backup.account.clone(),
        instance: backup.instance.clone(),
        instance_name: backup.instance_name.clone(),
        attempt: attempt.attempt,
        state: record.state,
        mode: backup.mode,
        method: record.method,
        project: backup.project.clone(),
        place: ManifestPlace {
            region: backup.region.clone(),
            zone: backup.zone.clone(),
            replica_zone: backup.replica_zone.clone(),
        },
        job: backup.job,
        name: backup.name.clone(),
        remark: backup.remark.clone(),
        failure: record.failure.clone(),
        created_at: backup.created_at,
        started_at,
        ended_at,
        expires_at: backup.expires_at,
        server: Some(record.server.clone()),
        origin: Some(record.origin.clone()),
        parts: parts
            .iter()
            .map(|(number, part)| ManifestPart {
                number: *number,
                object: ObjectKey::Part(attempt.clone(), part.shard, part.encoding).name(),
                sealed: part.clone(),
            })
            .collect(),
    }
}
