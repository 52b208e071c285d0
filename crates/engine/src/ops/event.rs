//! What happened to a backup after it was sealed: small documents beside it in the repository, authenticated under a key
//! derived from the root key.

use aws_lc_rs::hmac;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Engine;
use super::manifest::is_authentic;
use crate::error::{Error, Kind, Result};
use crate::model::{Backup, BackupEvent, EventKind, Number, hex};
use crate::vault::{BackupKey, Collection, ObjectKey};

/// An event as it is stored: `mac` is HMAC-SHA-256, in hex, of the bytes of `event` as they stand there.
#[derive(Serialize, Deserialize)]
struct Authenticated<'a> {
    #[serde(borrow)]
    event: &'a RawValue,
    mac: String,
}

/// The one field that every form of events has.
#[derive(Deserialize)]
struct Form {
    format: u32,
}

/// The form of events that this version reads and writes.
const FORMAT: u32 = 1;
/// No event is longer; a drill of 1,000 shards has about 200 KiB.
pub(super) const LONGEST: u64 = 4 * 1024 * 1024;

impl Engine {
    /// Appends what a job did to a backup. The catalog knows it as well; this is for the day when the catalog is lost.
    pub(super) async fn append_event(&self, backup: &Backup, job: Number, what: EventKind) -> Result<()> {
        let key = BackupKey::of(backup);
        let event = BackupEvent {
            format: FORMAT,
            backup: backup.id,
            account: backup.account.clone(),
            job,
            at: self.clock.now(),
            what,
        };
        let failed = |error: serde_json::Error| Error::internal("an event cannot be written", error);
        let text = serde_json::value::to_raw_value(&event).map_err(failed)?;
        let mac = hmac::sign(&self.event_keys[0], text.get().as_bytes());
        let whole = Authenticated { event: &text, mac: hex(mac.as_ref()) };
        let bytes = serde_json::to_vec(&whole).map_err(failed)?;
        match self.vault.put(&ObjectKey::Event(key.clone(), job), Bytes::from(bytes)).await {
            // An attempt of the job before this one came as far as here.
            Err(error) if error.code == "OBJECT_EXISTS" => {}
            other => other?,
        }
        // Whoever removes the backup meanwhile has either seen the event, or has marked the row before.
        let row = self.catalog.backup_by_id(backup.id).await?;
        if row.is_none_or(|row| !row.state.keeps_objects() && !row.state.is_active()) {
            self.vault.remove_events(&key).await?;
        } else {
            self.tell_copies(backup).await;
        }
        Ok(())
    }

    /// Appends something that no job did; it has a number of its own.
    pub(super) async fn append_own_event(&self, backup: &Backup, what: EventKind) -> Result<()> {
        let numbers = self.catalog.mint_numbers(1).await?;
        let number = numbers.first().ok_or_else(|| Error::internal("an event has no number", backup.id))?;
        self.append_event(backup, *number, what).await
    }

    /// Everything that happened to a backup, oldest first; and what cannot be believed of it, and why.
    pub(super) async fn events(&self, backup: &BackupKey) -> Result<(Vec<BackupEvent>, Vec<String>)> {
        let (mut events, mut damaged) = (Vec::new(), Vec::new());
        for key in self.vault.list(&Collection::Events(backup.clone())).await? {
            match self.event_at(&key).await {
                Ok(Some(event)) if event.backup == backup.backup && event.account == backup.account => {
                    events.push(event);
                }
                Ok(Some(_)) => {
                    damaged.push(format!("{}/{}: it is another backup's", key.folder(), key.name()));
                }
                Ok(None) => {}
                Err(error) if error.kind == Kind::Corrupt => damaged.push(error.to_string()),
                Err(error) => return Err(error),
            }
        }
        events.sort_by_key(|event| (event.at, event.job));
        Ok((events, damaged))
    }

    /// Reads what a job did to a backup; `None` if it did nothing that is kept.
    pub async fn read_event(&self, backup: &Backup, job: Number) -> Result<Option<BackupEvent>> {
        self.event_at(&ObjectKey::Event(BackupKey::of(backup), job)).await
    }

    pub(super) async fn event_at(&self, key: &ObjectKey) -> Result<Option<BackupEvent>> {
        let Some(bytes) = self.vault.get(key, LONGEST).await? else { return Ok(None) };
        read(&bytes, key, &self.event_keys).map(Some)
    }
}

fn read(bytes: &[u8], key: &ObjectKey, keys: &[hmac::Key]) -> Result<BackupEvent> {
    let place = || format!("{}/{}", key.folder(), key.name());
    let damaged = |why: &str| {
        Error::new(Kind::Corrupt, "EVENT_DAMAGED", format!("the event {} is damaged", place()))
            .because(why)
            .hint("it was changed after it was written, or the root key is another one")
    };
    let whole: Authenticated<'_> =
        serde_json::from_slice(bytes).map_err(|error| damaged(&error.to_string()))?;
    if !is_authentic(keys, whole.event.get(), &whole.mac) {
        return Err(damaged("its authentication code is wrong"));
    }
    let form: Form = serde_json::from_str(whole.event.get()).map_err(|error| damaged(&error.to_string()))?;
    if form.format > FORMAT {
        let why = format!("{} has format {}, this program reads {FORMAT}", place(), form.format);
        return Err(Error::new(
            Kind::Invalid,
            "REPOSITORY_NEWER",
            "an event of a backup is of a newer version",
        )
        .because(why)
        .hint("run that version or a later one"));
    }
    serde_json::from_str(whole.event.get()).map_err(|error| damaged(&error.to_string()))
}

/// Where a backup is in any repository.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::BackupId;

    #[test]
    fn what_a_newer_version_wrote_is_not_guessed_at() {
        let (id, account) = (BackupId::mint(jiff::Timestamp::UNIX_EPOCH), "acme".parse().unwrap());
        let key = BackupKey { account, instance: "crs-1".parse().unwrap(), backup: id };
        let key = ObjectKey::Event(key, 7);
        let keys = [hmac::Key::new(hmac::HMAC_SHA256, &[1; 32])];
        let written = |format: u32, what: &str| {
            let event = format!(
                r#"{{"format":{format},"backup":"{id}","account":"acme","job":7,"at":"2026-11-22T00:00:00Z","what":{what}}}"#
            );
            let mac = hex(hmac::sign(&keys[0], event.as_bytes()).as_ref());
            format!(r#"{{"event":{event},"mac":"{mac}"}}"#)
        };
        let ours = read(written(1, r#"{"protected":true}"#).as_bytes(), &key, &keys).unwrap();
        assert_eq!((ours.job, ours.what), (7, EventKind::Protected(true)));
        // What it looks like is for that version to know.
        for what in [r#"{"protected":true}"#, r#"{"moved":[1]}"#] {
            let newer = read(written(2, what).as_bytes(), &key, &keys).unwrap_err();
            assert_eq!(newer.code, "REPOSITORY_NEWER");
            assert!(newer.cause.unwrap().contains("events/7.json has format 2"));
        }
        assert_eq!(read(written(1, "{}").as_bytes(), &key, &keys).unwrap_err().code, "EVENT_DAMAGED");
    }
}
