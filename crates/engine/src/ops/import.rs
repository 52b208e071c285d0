//! Takes in RDB files that were made elsewhere.

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::mpsc::Receiver;
use tokio_util::sync::CancellationToken;

use super::Engine;
use super::audit::Deed;
use super::capture::{CapturedSet, ImportFile, Incoming, import_set};
use super::take_backup::{Record, manifest_of};
use crate::access::Principal;
use crate::error::{Error, Kind, Result};
use crate::model::{
    Backup, BackupFilter, BackupId, BackupState, Instance, InstanceId, Method, Mode, Page, Part, Right,
};
use crate::vault::AttemptKey;

/// RDB files that are to become a backup of an instance.
#[derive(Debug, Clone)]
pub struct ImportOrder {
    /// The instance.
    pub instance: InstanceId,
    /// The files, by shard.
    pub files: Vec<ImportFile>,
    /// The moment that they show.
    pub taken_at: Timestamp,
    /// A person's note.
    pub remark: Option<String>,
}

/// What became of an import.
#[derive(Debug, Clone)]
pub struct Imported {
    /// The backup.
    pub backup: Backup,
    /// `false` if the instance had a backup of the same bytes already.
    pub is_new: bool,
}

/// Imports at once. Each takes two threads and a few MiB.
pub(super) const AT_ONCE: usize = 2;
/// Most files of one backup.
const MOST_FILES: usize = 100;
/// Longest name of a file, and longest note.
const LONGEST_TEXT: usize = 1024;
/// Backups that are looked at together.
const PAGE: u64 = 1000;

impl Engine {
    /// Takes in the files whose bytes come, one after the other, in `pieces`. Nothing is listed before every byte is
    /// proven, and an upload that breaks leaves nothing. Bytes that the instance has a backup of already are not kept
    /// twice.
    pub async fn import_backup(
        &self,
        who: &Principal,
        order: ImportOrder,
        pieces: Receiver<Bytes>,
    ) -> Result<Imported> {
        let deed = Deed::new(Right::Operate, "backup.import", "instance", &order.instance).with(json!({
            "files": order.files.iter().map(|file| &file.name).collect::<Vec<_>>(),
            "taken_at": order.taken_at,
        }));
        self.audited(who, deed, Box::pin(self.import_unlogged(who, &order, pieces))).await
    }

    async fn import_unlogged(
        &self,
        who: &Principal,
        order: &ImportOrder,
        pieces: Receiver<Bytes>,
    ) -> Result<Imported> {
        let scope = who.with(Right::Operate)?;
        let instance = self.visible_instance(&scope, &order.instance).await?;
        check(order, self.clock.now())?;
        let announced: Option<Vec<_>> = order.files.iter().map(|file| file.sha256.as_deref()).collect();
        if let Some(announced) = &announced
            && let Some(backup) = self.same_bytes(&instance, announced).await?
        {
            return Ok(Imported { backup, is_new: false });
        }
        let _turn = self.imports.acquire().await.map_err(|error| Error::internal("no imports", error))?;
        let backup = self.new_row(&instance, order).await?;
        let size = order.files.iter().fold(0u64, |sum, file| sum.saturating_add(file.size_bytes));
        self.guard_space(&backup, size).await?;
        let attempt = AttemptKey::of(&backup);
        let taken = match self.take_in(&attempt, order, pieces).await {
            Ok(set) => self.keep(&instance, backup, &attempt, order, &set).await,
            Err(error) => Err(error),
        };
        if taken.is_err() {
            match self.is_named(&attempt).await {
                Ok(false) => self.remove_failed(&attempt).await,
                // Only the answer to the last write was lost.
                Ok(true) => {}
                Err(error) => {
                    tracing::warn!(backup = %attempt.backup, %error, "cannot tell whether the import is kept");
                }
            }
        }
        taken
    }

    /// Lists what came, unless it is known: what was not announced is looked for only now.
    async fn keep(
        &self,
        instance: &Instance,
        backup: Backup,
        attempt: &AttemptKey,
        order: &ImportOrder,
        set: &CapturedSet,
    ) -> Result<Imported> {
        if order.files.iter().any(|file| file.sha256.is_none()) {
            let came: Vec<_> = set.shards.iter().flatten().map(|part| part.sha256.as_str()).collect();
            if let Some(backup) = self.same_bytes(instance, &came).await? {
                self.remove_failed(attempt).await;
                return Ok(Imported { backup, is_new: false });
            }
        }
        let backup = self.list_import(backup, attempt, order, set).await?;
        Ok(Imported { backup, is_new: true })
    }

    /// A backup of the instance whose parts have these hashes.
    async fn same_bytes(&self, instance: &Instance, hashes: &[&str]) -> Result<Option<Backup>> {
        let mut filter = BackupFilter {
            instance: Some(instance.id.clone()),
            page: Page { offset: 0, limit: PAGE },
            ..BackupFilter::default()
        };
        loop {
            let listed = self.catalog.backups(&instance.account, &filter).await?;
            let read = listed.rows.len() as u64;
            let same = listed.rows.into_iter().find(|backup| {
                let parts = backup.parts.iter().map(|part| part.sealed.sha256.as_str());
                // One that is damaged may be what the import is to make good.
                let is_whole = backup.state.keeps_objects() && backup.state != BackupState::Damaged;
                is_whole && parts.eq(hashes.iter().copied())
            });
            filter.page.offset += read;
            if same.is_some() || read < PAGE {
                return Ok(same);
            }
        }
    }

    async fn new_row(&self, instance: &Instance, order: &ImportOrder) -> Result<Backup> {
        let numbers = self.catalog.mint_numbers(2).await?;
        let &[number, job] = numbers.as_slice() else {
            return Err(Error::internal("an import has no numbers", instance.id.as_str()));
        };
        Ok(Backup {
            id: BackupId::mint(order.taken_at),
            number,
            account: instance.account.clone(),
            instance: instance.id.clone(),
            instance_name: instance.name.clone(),
            project: instance.project.clone(),
            region: instance.region.clone(),
            zone: instance.zone.clone(),
            replica_zone: instance.replica_zone.clone(),
            state: BackupState::Running,
            mode: Mode::Manual,
            method: Method::Physical,
            name: None,
            remark: order.remark.clone(),
            job,
            attempt: 1,
            created_at: order.taken_at,
            started_at: Some(order.taken_at),
            ended_at: Some(order.taken_at),
            expires_at: None,
            protected: false,
            server: None,
            failure: None,
            origin: None,
            last_drill: None,
            last_scrub: None,
            parts: Vec::new(),
        })
    }

    /// Brings the bytes into the repository, on a thread that may block.
    async fn take_in(
        &self,
        attempt: &AttemptKey,
        order: &ImportOrder,
        pieces: Receiver<Bytes>,
    ) -> Result<CapturedSet> {
        let repository = &self.settings.repository;
        let sealing = self.parts.sealing(repository.compress, repository.encrypt).await?;
        let (parts, attempt) = (self.parts.clone(), attempt.clone());
        let (files, taken_at) = (order.files.clone(), order.taken_at);
        tokio::task::spawn_blocking(move || {
            let mut incoming = Incoming::new(pieces);
            let create = |shard| parts.create(&attempt, shard, &sealing);
            import_set(&files, taken_at, &mut incoming, &create)
        })
        .await
        .unwrap_or_else(|error| Err(Error::internal("the import stopped", error)))
    }

    /// Writes the manifest, then the row.
    async fn list_import(
        &self,
        backup: Backup,
        attempt: &AttemptKey,
        order: &ImportOrder,
        set: &CapturedSet,
    ) -> Result<Backup> {
        let mut record = Record::of(set, &backup, order.taken_at)?;
        self.read_back(attempt, &record.parts, &CancellationToken::new()).await?;
        record.origin.imported = order.files.iter().map(|file| file.name.clone()).collect();
        let numbers =
            self.catalog.mint_numbers(u32::try_from(record.parts.len()).unwrap_or(u32::MAX)).await?;
        let parts: Vec<_> = numbers.into_iter().zip(record.parts.clone()).collect();
        let manifest = manifest_of(&backup, attempt, &record, &parts, (order.taken_at, order.taken_at));
        self.write_manifest(attempt, &manifest).await?;
        let backup = Backup {
            state: record.state,
            method: record.method,
            failure: record.failure,
            server: Some(record.server),
            origin: Some(record.origin),
            parts: parts.into_iter().map(|(number, sealed)| Part { number, sealed }).collect(),
            ..backup
        };
        if self.catalog.adopt_backups(std::slice::from_ref(&backup)).await? == 0 {
            return Err(Error::internal("the imported backup was not taken in", backup.id));
        }
        Ok(backup)
    }
}

fn check(order: &ImportOrder, now: Timestamp) -> Result<()> {
    if order.files.is_empty() || order.files.len() > MOST_FILES {
        return Err(Error::invalid(format!("a backup is imported from 1 to {MOST_FILES} files")));
    }
    let texts = order.files.iter().map(|file| &file.name).chain(&order.remark);
    if texts.into_iter().any(|text| text.len() > LONGEST_TEXT) {
        return Err(Error::invalid(format!("a name or note is longer than {LONGEST_TEXT} bytes")));
    }
    if order.taken_at > now {
        return Err(Error::new(Kind::Invalid, "INVALID_VALUE", "the files are of a moment to come")
            .hint("give the moment that they show with --taken-at"));
    }
    Ok(())
}
