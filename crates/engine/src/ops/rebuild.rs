//! Makes the catalog anew from the repository alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use tokio::task::JoinSet;

use super::catalog_copy::{ReadCopy, newest_copy, restore_rows};
use super::root_key::{settle_root_key, with_retired};
use super::{Engine, IssuedKey, NewKey};
use crate::access::RootKey;
use crate::catalog::Catalog;
use crate::error::{Error, Kind, Result};
use crate::model::{
    Account, AccountId, Backup, BackupEvent, BackupState, EventKind, Failure, InstanceId, Manifest, Part,
    Role, ScrubOutcome, Whole,
};
use crate::vault::{AttemptKey, ObjectKey, StoredAttempt, Vault};

/// The note that says how far a rebuild is.
const NOTE: &str = "rebuild";
/// Its value until everything is there.
const UNFINISHED: &str = "unfinished";
/// Backups that are read at once.
const AT_ONCE: usize = 16;
/// Backups that are written in one transaction.
const BATCH: usize = 500;
/// Numbers that are left out: those that were given to jobs and to backups that are gone since the copy was taken. A
/// link to a part that is gone must never open another.
const GAP: u64 = 100_000;

/// What a rebuild found and made.
#[derive(Debug, Default)]
pub struct Rebuilt {
    /// When the copy was taken that accounts, keys, instances and settings come from; `None` = there was none.
    pub copy_at: Option<Timestamp>,
    /// Rows of the copy that were written.
    pub copied_rows: u64,
    /// Newer copies that do not open, and why.
    pub refused_copies: Vec<String>,
    /// Backups, by state.
    pub backups: BTreeMap<&'static str, u64>,
    /// Manifests that cannot be believed, and why.
    pub damaged_manifests: Vec<String>,
    /// Documents of what happened to backups that cannot be believed, and why.
    pub damaged_events: Vec<String>,
    /// Parts that are not as their manifest says, and why; their backups are `damaged`.
    pub damaged_parts: Vec<String>,
    /// Attempts without a manifest: they were never listed.
    pub unfinished_attempts: u64,
    /// Attempts that a later one of the same backup replaced.
    pub older_attempts: u64,
    /// Instances that have backups, but of which the copy does not know how to reach them.
    pub unknown_instances: BTreeSet<String>,
    /// The admin key that was made because there was none.
    pub admin_key: Option<IssuedKey>,
}

/// What was read of one backup.
struct Found {
    backup: Option<Backup>,
    rebuilt: Rebuilt,
}

/// Begins a rebuild: writes what the newest copy of the catalog holds into a new catalog. `CATALOG_EXISTS` if there is
/// something in the catalog that is not a rebuild's. Returns the root key with those that it replaced.
pub async fn begin_rebuild(
    catalog: &dyn Catalog,
    vault: &dyn Vault,
    root: RootKey,
) -> Result<(RootKey, Option<CopyOf>, Rebuilt)> {
    let begun = catalog.note(NOTE).await?.is_some_and(|state| state == UNFINISHED);
    if !begun && !catalog.accounts().await?.is_empty() {
        return Err(Error::new(
            Kind::Conflict,
            "CATALOG_EXISTS",
            "there is a catalog already, and it is not empty",
        )
        .hint("add --force to move it aside, if it is the one that is broken"));
    }
    if vault.get(&ObjectKey::Repository, 64 * 1024).await?.is_none() {
        return Err(Error::new(Kind::NotFound, "REPOSITORY_EMPTY", "there is no repository to rebuild from")
            .hint("check repository.url; is the disk mounted?"));
    }
    let (copy, refused_copies) = newest_copy(vault, &root).await?;
    if copy.is_none() && !refused_copies.is_empty() {
        return Err(Error::new(Kind::Invalid, "ROOT_KEY_WRONG", "no copy of the catalog opens with this root key")
            .because(refused_copies.join("; "))
            .hint("bring the right key back; to go on without accounts and keys, move the folder catalog out of the repository"));
    }
    catalog.set_note(NOTE, UNFINISHED).await?;
    let mut rebuilt = Rebuilt { refused_copies, ..Rebuilt::default() };
    let root = match &copy {
        Some(copy) => {
            rebuilt.copy_at = Some(copy.at);
            rebuilt.copied_rows = restore_rows(catalog, copy).await?;
            with_retired(root, catalog).await?
        }
        None => root,
    };
    Ok((settle_root_key(root, catalog).await?, copy.map(CopyOf), rebuilt))
}

/// A copy that a rebuild goes by.
pub struct CopyOf(ReadCopy);

/// A catalog whose rebuild was stopped in the middle is no catalog yet.
pub async fn refuse_unfinished_rebuild(catalog: &dyn Catalog) -> Result<()> {
    if catalog.note(NOTE).await?.is_none_or(|state| state != UNFINISHED) {
        return Ok(());
    }
    Err(Error::new(
        Kind::Conflict,
        "CATALOG_UNFINISHED",
        "a rebuild of this catalog was stopped in the middle",
    )
    .hint("run it again: keystow catalog rebuild"))
}

impl Engine {
    /// Goes on with a rebuild that [`begin_rebuild`] began: reads every backup of the repository. `progress` is told how
    /// many of how many are done. Running it again after it was stopped is safe.
    pub async fn rebuild(
        self: &Arc<Self>,
        copy: Option<&CopyOf>,
        mut rebuilt: Rebuilt,
        progress: &(dyn Fn(u64, u64) + Send + Sync),
    ) -> Result<Rebuilt> {
        self.adopt_as_it_is().await?;
        let mut attempts: BTreeMap<(AccountId, InstanceId, String), Vec<StoredAttempt>> = BTreeMap::new();
        for stored in self.vault.attempts().await? {
            let key = &stored.key;
            let backup = (key.account.clone(), key.instance.clone(), key.backup.to_string());
            attempts.entry(backup).or_default().push(stored);
        }
        let total = attempts.len() as u64;
        let mut last_number = copy.map_or(0, |copy| copy.0.rows.last_number);
        let mut known_accounts = BTreeSet::new();
        let (mut done, mut batch) = (0, Vec::new());
        let mut waiting = attempts.into_values();
        let mut reading: JoinSet<Result<Found>> = JoinSet::new();
        loop {
            while reading.len() < AT_ONCE
                && let Some(of_one) = waiting.next()
            {
                let engine = self.clone();
                reading.spawn(async move { engine.read_backup(of_one).await });
            }
            let Some(read) = reading.join_next().await else { break };
            let found = read.map_err(|error| Error::internal("a reader ended early", error))??;
            rebuilt.add(found.rebuilt);
            done += 1;
            progress(done, total);
            let Some(backup) = found.backup else { continue };
            last_number = last_number.max(highest_number(&backup));
            self.know_account(&backup.account, &mut known_accounts).await?;
            if self.catalog.instance(&backup.account, &backup.instance).await?.is_none() {
                rebuilt.unknown_instances.insert(format!("{}/{}", backup.account, backup.instance));
            }
            *rebuilt.backups.entry(backup.state.as_str()).or_default() += 1;
            batch.push(backup);
            if batch.len() >= BATCH {
                self.catalog.adopt_backups(&std::mem::take(&mut batch)).await?;
            }
        }
        self.catalog.adopt_backups(&batch).await?;
        self.catalog.raise_numbers(last_number + GAP).await?;
        rebuilt.copied_rows += self.restore_links(copy).await?;
        rebuilt.admin_key = self.admin_if_none().await?;
        self.catalog.set_note(NOTE, "done").await?;
        Ok(rebuilt)
    }

    /// What the repository tells of one backup: its highest attempt with a whole manifest, and what happened later.
    async fn read_backup(&self, mut attempts: Vec<StoredAttempt>) -> Result<Found> {
        let mut rebuilt = Rebuilt::default();
        attempts.sort_by_key(|stored| std::cmp::Reverse(stored.key.attempt));
        let mut best = None;
        for stored in attempts {
            if best.is_some() {
                rebuilt.older_attempts += 1;
            } else if !stored.has_manifest {
                rebuilt.unfinished_attempts += 1;
            } else {
                match self.believed_manifest(&stored.key).await {
                    Ok(manifest) => best = manifest.map(|manifest| (stored.key, manifest)),
                    Err(error) if error.kind == Kind::Corrupt => {
                        rebuilt.damaged_manifests.push(format!("{}: {error}", stored.key.folder()));
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        let Some((key, manifest)) = best else { return Ok(Found { backup: None, rebuilt }) };
        let mut backup = row_of(manifest);
        let (events, damaged) = self.events(&key.backup_key()).await?;
        rebuilt.damaged_events = damaged;
        for event in events {
            happen(&mut backup, event);
        }
        // Last: what is not there now was perhaps there when a scrub found it whole.
        self.look_at_parts(&key, &mut backup, &mut rebuilt).await?;
        Ok(Found { backup: Some(backup), rebuilt })
    }

    /// A manifest that is authentic and stands where it belongs.
    async fn believed_manifest(&self, key: &AttemptKey) -> Result<Option<Manifest>> {
        let Some(manifest) = self.read_manifest(key).await? else { return Ok(None) };
        let at_home = manifest.account == key.account
            && manifest.instance == key.instance
            && manifest.backup == key.backup
            && manifest.attempt == key.attempt;
        if at_home {
            return Ok(Some(manifest));
        }
        Err(Error::new(Kind::Corrupt, "MANIFEST_DAMAGED", "the manifest is of another attempt")
            .because("it was moved after it was written"))
    }

    /// A part that is gone or has another size makes the backup `damaged`. Its bytes are for a scrub to read.
    async fn look_at_parts(
        &self,
        key: &AttemptKey,
        backup: &mut Backup,
        rebuilt: &mut Rebuilt,
    ) -> Result<()> {
        let whole =
            Whole { state: backup.state, failure: backup.failure.clone(), until: Some(self.clock.now()) };
        for part in &backup.parts {
            let object = ObjectKey::Part(key.clone(), part.sealed.shard, part.sealed.encoding);
            let (wanted, path) = (part.sealed.stored_bytes, format!("{}/{}", object.folder(), object.name()));
            let (code, message) = match self.vault.open(&object).await? {
                Some(reader) if reader.size_bytes() == wanted => continue,
                Some(reader) => {
                    ("OBJECT_DAMAGED", format!("{} instead of {wanted} bytes", reader.size_bytes()))
                }
                None => ("OBJECT_MISSING", "it is gone".to_owned()),
            };
            rebuilt.damaged_parts.push(format!("{path}: {message}"));
            backup.state = BackupState::Damaged;
            let message = format!("{path}, found by a rebuild of the catalog: {message}");
            backup.failure = Some(Failure { code: code.to_owned(), message, hint: None });
        }
        // So that a later scrub that finds it whole knows what it was. What an earlier one found whole says nothing of that.
        let is_news = backup.last_scrub.as_ref().is_none_or(|scrub| scrub.ok);
        if backup.state == BackupState::Damaged && is_news {
            backup.last_scrub = Some(ScrubOutcome {
                at: self.clock.now(),
                ok: false,
                bytes: 0,
                took_ms: 0,
                broken: Vec::new(),
                failure: backup.failure.clone(),
                before: Some(whole),
            });
        }
        Ok(())
    }

    async fn know_account(&self, id: &AccountId, known: &mut BTreeSet<AccountId>) -> Result<()> {
        if !known.insert(id.clone()) {
            return Ok(());
        }
        let account = Account { id: id.clone(), name: id.to_string(), created_at: self.clock.now() };
        match self.catalog.add_account(&account).await {
            // The copy had it.
            Err(error) if error.kind == Kind::Conflict => Ok(()),
            other => other,
        }
    }

    /// Links need their backups, so they come last; those to backups that are gone are left out.
    async fn restore_links(&self, copy: Option<&CopyOf>) -> Result<u64> {
        let Some(copy) = copy else { return Ok(0) };
        let mut links = Vec::new();
        for row in &copy.0.rows.rows {
            if let Some(backup) = row.backup()
                && self.catalog.backup_by_id(backup).await?.is_some()
            {
                links.push(row.clone());
            }
        }
        self.catalog.restore_rows(&links).await
    }

    /// Without an admin key nobody could use the catalog.
    async fn admin_if_none(&self) -> Result<Option<IssuedKey>> {
        let now = self.clock.now();
        let keys = self.catalog.keys(None).await?;
        let usable = keys.iter().any(|key| {
            key.role == Role::Admin && key.revoked_at.is_none() && key.expires_at.is_none_or(|end| end > now)
        });
        if usable {
            return Ok(None);
        }
        let account = AccountId::default();
        self.know_account(&account, &mut BTreeSet::new()).await?;
        let new = NewKey { role: Some(Role::Admin), ..NewKey::default() };
        self.store_key(new, account, None).await.map(Some)
    }
}

impl Rebuilt {
    fn add(&mut self, other: Self) {
        self.damaged_manifests.extend(other.damaged_manifests);
        self.damaged_events.extend(other.damaged_events);
        self.damaged_parts.extend(other.damaged_parts);
        self.unfinished_attempts += other.unfinished_attempts;
        self.older_attempts += other.older_attempts;
    }
}

/// The row that a manifest is the memory of.
fn row_of(manifest: Manifest) -> Backup {
    let parts = manifest.parts.into_iter().map(|part| Part { number: part.number, sealed: part.sealed });
    Backup {
        id: manifest.backup,
        number: manifest.number,
        account: manifest.account,
        instance: manifest.instance,
        instance_name: manifest.instance_name,
        project: manifest.project,
        region: manifest.place.region,
        zone: manifest.place.zone,
        replica_zone: manifest.place.replica_zone,
        state: manifest.state,
        mode: manifest.mode,
        method: manifest.method,
        name: manifest.name,
        remark: manifest.remark,
        job: manifest.job,
        attempt: manifest.attempt,
        created_at: manifest.created_at,
        started_at: Some(manifest.started_at),
        ended_at: Some(manifest.ended_at),
        expires_at: manifest.expires_at,
        protected: false,
        server: manifest.server,
        failure: manifest.failure,
        origin: manifest.origin,
        last_drill: None,
        last_scrub: None,
        parts: parts.collect(),
    }
}

/// What an event changes in the row.
fn happen(backup: &mut Backup, event: BackupEvent) {
    match event.what {
        EventKind::Drill(outcome) => backup.last_drill = Some(outcome),
        EventKind::Protected(protected) => backup.protected = protected,
        EventKind::Expiry(at) => backup.expires_at = at,
        EventKind::Scrub(outcome) => {
            match (&outcome.before, outcome.ok) {
                (_, false) => {
                    backup.state = BackupState::Damaged;
                    backup.failure.clone_from(&outcome.failure);
                }
                (Some(before), true) => {
                    backup.state = before.state;
                    backup.failure.clone_from(&before.failure);
                }
                (None, true) => {}
            }
            backup.last_scrub = Some(outcome);
        }
    }
}

fn highest_number(backup: &Backup) -> u64 {
    backup.parts.iter().map(|part| part.number).chain([backup.number, backup.job]).max().unwrap_or(0)
}
