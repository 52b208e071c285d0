//! Takes a backup: the snapshot, then its manifest, then the row.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::capture::{Captured, Source, capture};
use super::instances::only_node;
use super::{Engine, Meter};
use crate::catalog::SealedBackup;
use crate::error::{Error, Kind, Result};
use crate::model::{
    Backup, BackupState, Failure, Instance, Job, KindCount, Manifest, ManifestPart, SealedPart,
    SnapshotReport,
};
use crate::redis::{Credentials, Login};
use crate::vault::{AttemptKey, ObjectKey};

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
        let backup = self.catalog.backup_by_id(job.backup).await?;
        let backup = backup.ok_or_else(|| Error::internal("a job has no backup", job.number))?;
        let instance = self.catalog.instance(&job.account, &job.instance).await?.ok_or_else(|| {
            Error::new(Kind::NotFound, "INSTANCE_GONE", format!("the instance {} was deleted", job.instance))
        })?;
        let attempt = AttemptKey {
            account: job.account.clone(),
            instance: job.instance.clone(),
            backup: job.backup,
            attempt: job.attempt,
        };
        let captured = self.capture_shard(&instance, &attempt, 0, meter, cancel).await;
        let sealed = match captured {
            Ok(captured) => self.commit(&backup, job, &attempt, captured).await,
            Err(error) => Err(error),
        };
        let Err(error) = sealed else { return Ok(()) };
        match self.is_named(&attempt).await {
            Ok(true) => {
                tracing::warn!(backup = %job.backup, %error, "the catalog failed after it had taken the backup");
                return Ok(());
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
    async fn is_named(&self, attempt: &AttemptKey) -> Result<bool> {
        let row = self.catalog.backup_by_id(attempt.backup).await?;
        Ok(row.is_some_and(|row| row.state.keeps_objects() && row.attempt == attempt.attempt))
    }

    /// Nothing half-written stays; what a crash leaves, the sweeper finds.
    async fn remove_failed(&self, attempt: &AttemptKey) {
        if let Err(error) = self.vault.remove_attempt(attempt).await {
            tracing::warn!(backup = %attempt.backup, %error, "cannot remove what a failed attempt left");
        }
    }

    async fn capture_shard(
        &self,
        instance: &Instance,
        attempt: &AttemptKey,
        shard: u32,
        meter: &Arc<Meter>,
        cancel: &CancellationToken,
    ) -> Result<Captured> {
        let source = self.source(instance)?;
        let (vault, key) = (self.vault.clone(), ObjectKey::Part(attempt.clone(), shard));
        let (meter, cancel) = (meter.clone(), cancel.clone());
        tokio::task::spawn_blocking(move || capture(&source, || vault.create(&key), &meter, &cancel))
            .await
            .unwrap_or_else(|error| Err(Error::internal("the capture stopped", error)))
    }

    /// Where an instance is, with its password in clear.
    pub(super) fn source(&self, instance: &Instance) -> Result<Source> {
        let place = password_place(instance.account.as_str(), instance.id.as_str());
        let password = match &instance.sealed_password {
            Some(sealed) => Some(self.sealer.open(&place, sealed)?),
            None => None,
        };
        Ok(Source {
            node: only_node(instance.url.parse()?)?,
            login: Login {
                credentials: Credentials { username: instance.username.clone(), password },
                ..Login::default()
            },
            timeouts: self.settings.timeouts,
        })
    }

    /// Writes the manifest, which commits the attempt, and then the row that names it.
    async fn commit(
        &self,
        backup: &Backup,
        job: &Job,
        attempt: &AttemptKey,
        captured: Captured,
    ) -> Result<()> {
        let number = *self
            .catalog
            .mint_numbers(1)
            .await?
            .first()
            .ok_or_else(|| Error::internal("no number for a part", job.number))?;
        let started_at = job.started_at.unwrap_or(job.created_at);
        let (state, failure) = match &captured.doubt {
            None => (BackupState::Available, None),
            Some(doubt) => (BackupState::Quarantined, Some(quarantine(doubt))),
        };
        let part = sealed_part(backup, started_at, &captured);
        let manifest = Manifest {
            format: 1,
            backup: backup.id,
            number: backup.number,
            account: backup.account.clone(),
            instance: backup.instance.clone(),
            instance_name: backup.instance_name.clone(),
            attempt: attempt.attempt,
            state,
            mode: backup.mode,
            method: backup.method,
            remark: backup.remark.clone(),
            created_at: backup.created_at,
            started_at,
            ended_at: self.clock.now(),
            expires_at: backup.expires_at,
            server: Some(captured.server.clone()),
            origin: None,
            parts: vec![ManifestPart {
                number,
                object: ObjectKey::Part(attempt.clone(), part.shard).name(),
                sealed: part.clone(),
            }],
        };
        self.write_manifest(attempt, &manifest).await?;
        let sealed = SealedBackup {
            state,
            method: backup.method,
            origin: None,
            parts: vec![(number, part)],
            server: Some(captured.server.clone()),
            failure,
        };
        self.catalog.seal_backup(&job.lease(), &sealed, self.clock.now()).await?;
        // Only for lists; the backup is safe whether or not this works.
        if let Err(error) = self.catalog.record_contact(&job.account, &job.instance, &captured.server).await {
            tracing::warn!(instance = %job.instance, %error, "cannot keep what the server said of itself");
        }
        Ok(())
    }
}

fn quarantine(doubt: &keystow_rdb::Fault) -> Failure {
    Failure {
        code: "QUARANTINED".to_owned(),
        message: format!(
            "every byte arrived and the checksum is right, but it cannot be vouched for: {doubt}"
        ),
        hint: Some(
            "the bytes are kept; check whether a newer version of Keystow knows this format".to_owned(),
        ),
    }
}

fn sealed_part(backup: &Backup, started_at: jiff::Timestamp, captured: &Captured) -> SealedPart {
    let stamp = started_at.strftime("%Y%m%dT%H%M%SZ");
    SealedPart {
        shard: 0,
        file_name: format!("{}_{stamp}_0.rdb", backup.instance),
        size_bytes: captured.size_bytes,
        sha256: captured.sha256.clone(),
        stored_bytes: captured.size_bytes,
        stored_sha256: captured.sha256.clone(),
        report: snapshot_report(captured),
        origin: None,
    }
}

fn snapshot_report(captured: &Captured) -> SnapshotReport {
    let report = &captured.report;
    SnapshotReport {
        magic: report.magic.clone(),
        rdb_version: report.rdb_version,
        checksum: match report.checksum {
            keystow_rdb::Checksum::Absent if captured.doubt.is_none() => "absent",
            _ => "ok",
        }
        .to_owned(),
        keys: report.keys,
        databases: report.databases.iter().map(|(index, database)| (*index, database.keys)).collect(),
        kinds: report
            .kinds
            .iter()
            .map(|(kind, count)| (kind.to_string(), KindCount { keys: count.keys, bytes: count.bytes }))
            .collect(),
        functions: report.functions,
        modules: report.modules.iter().cloned().collect(),
        replication_id: Some(captured.replication.0.clone()),
        replication_offset: Some(captured.replication.1),
        not_compared: report.not_compared.keys + report.not_compared.members,
        doubt: captured.doubt.as_ref().map(ToString::to_string),
    }
}
