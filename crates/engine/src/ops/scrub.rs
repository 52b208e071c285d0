//! Reads the stored bytes of a backup again: what was proven once may have rotted since.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{Context, SHA256};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::audit::Deed;
use super::copies::Shelf;
use super::{Engine, Meter};
use crate::access::Principal;
use crate::error::{Error, Kind, Result};
use crate::model::{
    Backup, BackupRef, BackupState, EventKind, Failure, Job, JobKind, Outcome, Phase, Right, ScrubOutcome,
    SealedPart, Whole, hex,
};
use crate::vault::AttemptKey;

/// Bytes that are read at once.
const CHUNK_BYTES: usize = 1024 * 1024;

impl Engine {
    /// Adds the job that reads a backup's stored bytes again.
    pub async fn request_scrub(&self, who: &Principal, which: BackupRef) -> Result<Job> {
        self.audited(who, Deed::new(Right::Operate, "backup.scrub", "backup", which), async {
            let scope = who.with(Right::Operate)?;
            let backup = self.visible_backup(&scope, which).await?;
            self.ask_scrub(&backup).await
        })
        .await
    }

    /// As [`Engine::request_scrub`], for a policy. `CONFLICT` while another scrub of the backup waits or runs.
    pub(super) async fn ask_scrub(&self, backup: &Backup) -> Result<Job> {
        readable(backup)?;
        self.request_job(backup, JobKind::Scrub, None, Some(target(backup))).await
    }

    /// Does one attempt of a scrub. A backup that is broken is `damaged` from then on, and its links are over; one that
    /// is found whole again is what it was. A repository that cannot be read says nothing of the backup.
    pub(crate) async fn scrub(
        &self,
        job: &Job,
        meter: &Arc<Meter>,
        cancel: &CancellationToken,
    ) -> Result<()> {
        let backup = self.backup_of(job).await?;
        readable(&backup)?;
        meter.enter(Phase::Checking);
        let started = Instant::now();
        let (mut bytes, mut broken, mut first) = (0, Vec::new(), None);
        let place = Shelf { parts: self.parts.clone(), attempt: AttemptKey::of(&backup) };
        if let Err(error) = until_cancelled(cancel, self.scrub_manifest(&backup, &place)).await {
            first = Some(only_corrupt(error)?);
        }
        let copies = self.copies_to_scrub(&backup).await?;
        let stored: u64 = backup.parts.iter().map(|part| part.sealed.stored_bytes).sum();
        let timing = (started, stored * (1 + copies.len() as u64));
        for part in &backup.parts {
            let read = self.scrub_part(&place, &part.sealed, &mut bytes, timing, meter, cancel);
            let read = until_cancelled(cancel, read).await;
            if let Err(error) = read {
                let error = only_corrupt(error)?;
                broken.push(part.sealed.shard);
                first.get_or_insert(error);
            }
        }
        let mut read = bytes;
        let whole = self.scrub_copies(&backup, &copies, &mut read, timing, meter, cancel).await?;
        if let (Some(error), Some(name)) = (&mut first, whole) {
            let hint = format!("a copy in {name} is whole: keystow backup repair {}", backup.id);
            error.hint = Some(hint.into());
        }
        // It may have been deleted under our eyes; then its objects are missing for a good reason.
        let now = self.catalog.backup_by_id(job.backup).await?;
        readable(now.as_ref().unwrap_or(&backup))?;
        let outcome = ScrubOutcome {
            at: self.clock.now(),
            ok: first.is_none(),
            bytes,
            took_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            broken,
            failure: first.as_ref().map(Failure::from),
            before: before(&backup, self.clock.now()),
        };
        self.catalog.record_outcome(&job.lease(), &Outcome::Scrub(outcome.clone())).await?;
        self.forget_parts(&backup);
        if let Err(error) = self.append_event(&backup, job.number, EventKind::Scrub(outcome)).await {
            // The catalog has it; only a rebuilt one would not.
            tracing::warn!(backup = %backup.id, %error, "cannot keep what a scrub found beside its backup");
        }
        if let Some(error) = first {
            tracing::error!(backup = %backup.id, instance = %backup.instance, %error, "a stored backup is damaged");
            return Err(error);
        }
        self.catalog.finish_job(&job.lease(), self.clock.now()).await
    }

    /// The commit point, which a rebuild of the catalog needs.
    pub(super) async fn scrub_manifest(&self, backup: &Backup, place: &Shelf) -> Result<()> {
        match self.read_manifest_in(place.parts.vault(), &place.attempt).await? {
            Some(manifest) if manifest.backup == backup.id => Ok(()),
            Some(_) => Err(damaged("the manifest", "it is another backup's")),
            None => Err(damaged("the manifest", "it is missing")),
        }
    }

    /// Reads one part as it is stored, no faster than the setting allows.
    pub(super) async fn scrub_part(
        &self,
        place: &Shelf,
        part: &SealedPart,
        read: &mut u64,
        (started, total): (Instant, u64),
        meter: &Meter,
        cancel: &CancellationToken,
    ) -> Result<()> {
        let what = format!("shard {}", part.shard);
        let object = place.parts.open_stored(&place.attempt, part).await?;
        let object = object.ok_or_else(|| damaged(&what, "its object is missing"))?;
        if object.size_bytes() != part.stored_bytes {
            let why = format!("it has {} bytes, not {}", object.size_bytes(), part.stored_bytes);
            return Err(damaged(&what, &why));
        }
        let (mut hash, mut at) = (Context::new(&SHA256), 0);
        loop {
            let chunk = object.read_at(at, CHUNK_BYTES).await?;
            if chunk.is_empty() {
                break;
            }
            hash.update(&chunk);
            at += chunk.len() as u64;
            *read += chunk.len() as u64;
            meter.set_bytes(*read, total);
            self.hold_back(*read, started, cancel).await;
        }
        let found = hex(hash.finish().as_ref());
        if at != part.stored_bytes || found != part.stored_sha256 {
            return Err(damaged(&what, &format!("its SHA-256 is {found}, not {}", part.stored_sha256)));
        }
        Ok(())
    }

    /// Waits until so many bytes may have been read.
    async fn hold_back(&self, read: u64, started: Instant, cancel: &CancellationToken) {
        let Some(rate) = self.settings.scrub_bytes_per_second.filter(|rate| *rate > 0) else { return };
        let due = Duration::from_millis(read.saturating_mul(1000) / rate);
        if let Some(wait) = due.checked_sub(started.elapsed()) {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = cancel.cancelled() => {}
            }
        }
    }
}

/// What no two jobs may judge at the same time: a backup's stored bytes.
pub(super) fn target(backup: &Backup) -> String {
    format!("scrub:{}", backup.id)
}

/// A store that hangs holds up nobody who asks to stop.
pub(super) async fn until_cancelled<T>(
    cancel: &CancellationToken,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    cancel.run_until_cancelled(work).await.unwrap_or_else(|| Err(Error::cancelled()))
}

/// What a backup is while it is whole; of a damaged one, what the scrub that found it so has noted.
pub(super) fn before(backup: &Backup, now: Timestamp) -> Option<Whole> {
    match backup.state {
        BackupState::Damaged => {
            let last = backup.last_scrub.as_ref()?;
            let whole = last.before.clone()?;
            Some(Whole { until: whole.until.or(Some(last.at)), ..whole })
        }
        state => Some(Whole { state, failure: backup.failure.clone(), until: Some(now) }),
    }
}

/// Only bytes that are not right speak of the backup; anything else ends the job.
fn only_corrupt(error: Error) -> Result<Error> {
    if error.kind == Kind::Corrupt { Ok(error) } else { Err(error) }
}

fn readable(backup: &Backup) -> Result<()> {
    if backup.state.keeps_objects() && !backup.parts.is_empty() {
        return Ok(());
    }
    let message = format!("backup {} is {}; there is nothing to read", backup.id, backup.state);
    Err(Error::new(Kind::Conflict, "BACKUP_NOT_AVAILABLE", message)
        .hint("choose another one: keystow backup list"))
}

fn damaged(what: &str, why: &str) -> Error {
    Error::new(Kind::Corrupt, "OBJECT_DAMAGED", format!("the stored bytes of {what} are not what was sealed"))
        .because(why)
        .hint("check the disk of the repository; take a new backup now")
}
