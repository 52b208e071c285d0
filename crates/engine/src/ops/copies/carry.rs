//! Carries a backup from one repository to another: the stored bytes as they are, checked on the way and read back, then the
//! manifest, which makes them count.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::super::parts::Parts;
use super::super::read_back::read_part_back;
use super::super::{Engine, Meter};
use super::others::put_once;
use crate::crash::{CrashPoint, crash_point};
use crate::error::{Error, Kind, Result};
use crate::model::{Backup, EventKind, Manifest, Phase, SealedPart};
use crate::ops::event;
use crate::ops::part_reader::PartReader;
use crate::vault::{AttemptKey, BackupKey, Collection, ObjectKey, Vault};

/// Bytes that are written at once.
const CHUNK_BYTES: usize = 1024 * 1024;
/// How long the copies of a backup have to take in what has happened to it.
const TELLING: Duration = Duration::from_secs(2);

/// One attempt of a backup in one repository.
#[derive(Clone)]
pub(in crate::ops) struct Shelf {
    /// The parts of the repository.
    pub(in crate::ops) parts: Parts,
    /// The attempt.
    pub(in crate::ops) attempt: AttemptKey,
}

impl Engine {
    /// Carries every part of a backup, proves it there, and writes the manifest there. Returns the bytes as stored.
    pub(super) async fn carry(
        &self,
        backup: &Backup,
        (from, to): (&Shelf, &Shelf),
        meter: &Arc<Meter>,
        cancel: &CancellationToken,
    ) -> Result<u64> {
        meter.enter(Phase::Copying);
        let total = backup.parts.iter().map(|part| part.sealed.stored_bytes).sum();
        let mut before = 0;
        for part in &backup.parts {
            carry_part(&part.sealed, (from, to), (before, total), meter, cancel).await?;
            before += part.sealed.stored_bytes;
            crash_point(CrashPoint::CopyPartSealed);
        }
        meter.enter(Phase::Checking);
        for part in &backup.parts {
            read_part_back(&to.parts, &to.attempt, &part.sealed, cancel).await?;
        }
        crash_point(CrashPoint::CopyProven);
        let manifest = self.read_manifest_in(from.parts.vault(), &from.attempt).await?;
        let mut manifest = manifest.ok_or_else(|| lost("the manifest"))?;
        if !tells_of(&manifest, backup) {
            return Err(lost("the manifest").because("it tells of other parts"));
        }
        manifest.attempt = to.attempt.attempt;
        self.write_manifest_to(to.parts.vault(), &to.attempt, &manifest).await?;
        crash_point(CrashPoint::CopyManifestWritten);
        Ok(total)
    }

    /// Brings what happened to a backup to where its copy is. What scrubs found is of the repository's own bytes, and
    /// stays.
    pub(super) async fn bring_events(&self, backup: &Backup, vault: &dyn Vault) -> Result<()> {
        let events = Collection::Events(BackupKey::of(backup));
        let there = vault.list(&events).await?;
        for key in self.vault.list(&events).await? {
            if there.contains(&key) {
                continue;
            }
            match self.event_at(&key).await {
                Ok(Some(event)) if !matches!(event.what, EventKind::Scrub(_)) => {
                    let Some(bytes) = self.vault.get(&key, event::LONGEST).await? else { continue };
                    put_once(vault, &key, bytes).await?;
                }
                Err(error) if error.kind != Kind::Corrupt => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Tells the copies of a backup what has happened to it. One that cannot be told now is told by its next scrub.
    pub(in crate::ops) async fn tell_copies(&self, backup: &Backup) {
        let told = async {
            for copy in self.catalog.copies(backup.id).await?.iter().filter(|copy| copy.attempt > 0) {
                self.bring_events(backup, &*self.others.vault(&copy.repository)?).await?;
            }
            Ok::<_, Error>(())
        };
        // Whoever protects a backup does not wait for a store that hangs.
        let told = tokio::time::timeout(TELLING, told).await;
        let late = || Error::new(Kind::Unreachable, "REPOSITORY_UNREACHABLE", "it does not answer in time");
        if let Err(error) = told.unwrap_or_else(|_| Err(late())) {
            tracing::warn!(backup = %backup.id, %error, "a copy does not know yet what has happened to its backup");
        }
    }
}

/// Whether a manifest is of these parts of this backup.
pub(super) fn tells_of(manifest: &Manifest, backup: &Backup) -> bool {
    let hashes = manifest.parts.iter().map(|part| &part.sealed.stored_sha256);
    manifest.backup == backup.id && hashes.eq(backup.parts.iter().map(|part| &part.sealed.stored_sha256))
}

/// Carries one part, checking size and SHA-256 of the stored bytes on the way.
async fn carry_part(
    part: &SealedPart,
    (from, to): (&Shelf, &Shelf),
    (before, total): (u64, u64),
    meter: &Arc<Meter>,
    cancel: &CancellationToken,
) -> Result<()> {
    let stored = from.parts.open_stored(&from.attempt, part).await?;
    let stored = stored.ok_or_else(|| lost(&format!("shard {}", part.shard)))?;
    let key = ObjectKey::Part(to.attempt.clone(), part.shard, part.encoding);
    let vault = to.parts.shared_vault();
    let (meter, cancel) = (meter.clone(), cancel.clone());
    let as_stored =
        SealedPart { size_bytes: part.stored_bytes, sha256: part.stored_sha256.clone(), ..part.clone() };
    let carried = tokio::task::spawn_blocking(move || {
        let mut reader = PartReader::open(stored, &as_stored, &cancel)?;
        let mut writer = vault.create(&key)?;
        writer.stop_with(&cancel);
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut done = 0;
        loop {
            if cancel.is_cancelled() {
                return Err(Error::cancelled());
            }
            let read = reader.read_full(&mut chunk)?;
            if read == 0 {
                break;
            }
            writer.write(&chunk[..read])?;
            done += read as u64;
            meter.set_bytes(before + done, total);
        }
        writer.seal().map(drop)
    });
    carried.await.unwrap_or_else(|error| Err(Error::internal("the copy stopped", error)))
}

fn lost(what: &str) -> Error {
    Error::new(Kind::Corrupt, "OBJECT_DAMAGED", format!("{what} of the backup is not in its repository"))
        .hint("read it again, to see what is left: keystow backup scrub")
}
