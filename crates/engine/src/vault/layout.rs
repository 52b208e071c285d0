//! Every name an object can have: the repository's layout is this file.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::model::{AccountId, Backup, BackupId, Encoding, InstanceId, Job};

/// One attempt of one backup. Two workers can never write the same one, since the attempt is the job's fence.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AttemptKey {
    /// The account that owns the backup.
    pub account: AccountId,
    /// The instance.
    pub instance: InstanceId,
    /// The backup.
    pub backup: BackupId,
    /// The attempt.
    pub attempt: u32,
}

impl AttemptKey {
    /// The attempt at a backup that its row names.
    pub fn of(backup: &Backup) -> Self {
        BackupKey::of(backup).attempt(backup.attempt)
    }

    /// The backup.
    pub fn backup_key(&self) -> BackupKey {
        BackupKey { account: self.account.clone(), instance: self.instance.clone(), backup: self.backup }
    }
}

/// One backup, whatever its attempts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BackupKey {
    /// The account that owns the backup.
    pub account: AccountId,
    /// The instance.
    pub instance: InstanceId,
    /// The backup.
    pub backup: BackupId,
}

impl BackupKey {
    /// The backup of a row.
    pub fn of(backup: &Backup) -> Self {
        Self { account: backup.account.clone(), instance: backup.instance.clone(), backup: backup.id }
    }

    /// The backup that a job is about.
    pub fn of_job(job: &Job) -> Self {
        Self { account: job.account.clone(), instance: job.instance.clone(), backup: job.backup }
    }

    /// An attempt at it.
    pub fn attempt(&self, attempt: u32) -> AttemptKey {
        let Self { account, instance, backup } = self.clone();
        AttemptKey { account, instance, backup, attempt }
    }
}

/// The name of an object.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ObjectKey {
    /// Format version and id of the repository; written once.
    Repository,
    /// What every node may know of the repository's identity, by the number of the change.
    KeyFacts(u64),
    /// The repository's identity, wrapped to its recipients, by the number of the change.
    Keys(u64),
    /// An identity that is a recipient, wrapped under a passphrase, by the number of the change that brought it.
    PassphraseKey(u64),
    /// A part's bytes: its shard, and how it is stored.
    Part(AttemptKey, u32, Encoding),
    /// The commit point of an attempt.
    Manifest(AttemptKey),
    /// Something that happened to a backup later; its number is that of the job that did it, or one of its own.
    Event(BackupKey, u64),
    /// A sealed copy of what manifests do not hold, of that moment (whole microseconds).
    CatalogCopy(Timestamp),
}

/// Objects that are listed together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Collection {
    /// What happened to a backup.
    Events(BackupKey),
    /// The copies of the catalog.
    CatalogCopies,
}

/// The folder that holds all accounts.
pub(super) const ACCOUNTS: &str = "accounts";
/// The folder of the catalog's copies.
const COPIES: &str = "catalog";
/// How a copy's moment is written in its name: sorted by name, copies are sorted by time.
const COPY_MOMENT: &str = "%Y%m%dT%H%M%S.%6fZ";
/// What the name of a copy ends with.
const COPY_END: &str = ".sealed";
/// The folder of the repository's identity.
const KEYS: &str = "keys";
/// The name of an attempt's manifest.
pub(super) const MANIFEST: &str = "manifest.json";

impl AttemptKey {
    /// The folder of the attempt, relative to the root.
    pub fn folder(&self) -> String {
        format!("{}/{}", self.backup_folder(), self.attempt)
    }

    /// The folder of the backup, relative to the root.
    pub fn backup_folder(&self) -> String {
        backup_folder(&self.account, &self.instance, self.backup)
    }

    /// The attempt of a folder `accounts/<account>/instances/<instance>/backups/<backup>/<attempt>`.
    pub fn from_folder(path: &str) -> Option<Self> {
        let mut names = path.split('/');
        let mut expect = |word: &str| (names.next()? == word).then(|| names.next()).flatten();
        let account = expect(ACCOUNTS)?.parse().ok()?;
        let instance = expect("instances")?.parse().ok()?;
        let backup = expect("backups")?.parse().ok()?;
        let attempt = names.next()?.parse().ok()?;
        names.next().is_none().then_some(Self { account, instance, backup, attempt })
    }
}

impl BackupKey {
    /// The folder of the backup, relative to the root.
    pub fn folder(&self) -> String {
        backup_folder(&self.account, &self.instance, self.backup)
    }

    /// The folder of what happened to the backup. Its name is no attempt's.
    pub fn events_folder(&self) -> String {
        format!("{}/events", self.folder())
    }
}

fn backup_folder(account: &AccountId, instance: &InstanceId, backup: BackupId) -> String {
    format!("{ACCOUNTS}/{account}/instances/{instance}/backups/{backup}")
}

impl ObjectKey {
    /// The object's folder, relative to the root; empty for the root itself.
    pub fn folder(&self) -> String {
        match self {
            Self::Repository => String::new(),
            Self::KeyFacts(_) | Self::Keys(_) | Self::PassphraseKey(_) => KEYS.to_owned(),
            Self::Part(attempt, ..) | Self::Manifest(attempt) => attempt.folder(),
            Self::Event(backup, _) => backup.events_folder(),
            Self::CatalogCopy(_) => COPIES.to_owned(),
        }
    }

    /// The object's name in its folder.
    pub fn name(&self) -> String {
        match self {
            Self::Repository => "repository.json".to_owned(),
            Self::KeyFacts(number) | Self::Event(_, number) => format!("{number}.json"),
            Self::Keys(number) => format!("{number}.age"),
            Self::PassphraseKey(number) => format!("{number}.passphrase.age"),
            Self::Part(_, shard, encoding) => format!("{shard}.rdb{}", encoding.suffix()),
            Self::Manifest(_) => MANIFEST.to_owned(),
            Self::CatalogCopy(at) => format!("{}{COPY_END}", at.strftime(COPY_MOMENT)),
        }
    }
}

impl Collection {
    /// The folder of the objects, relative to the root.
    pub fn folder(&self) -> String {
        match self {
            Self::Events(backup) => backup.events_folder(),
            Self::CatalogCopies => COPIES.to_owned(),
        }
    }

    /// The object of that name; `None` for a name that no object of the collection has.
    pub fn object(&self, name: &str) -> Option<ObjectKey> {
        let key = match self {
            Self::Events(backup) => {
                ObjectKey::Event(backup.clone(), name.strip_suffix(".json")?.parse().ok()?)
            }
            Self::CatalogCopies => {
                let moment = DateTime::strptime(COPY_MOMENT, name.strip_suffix(COPY_END)?).ok()?;
                ObjectKey::CatalogCopy(moment.to_zoned(TimeZone::UTC).ok()?.timestamp())
            }
        };
        (key.name() == name).then_some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Compression, Encryption};

    fn attempt() -> AttemptKey {
        AttemptKey {
            account: AccountId::default(),
            instance: "crs-1".parse().unwrap(),
            backup: "0192d5d8-7b1c-7c3e-8000-000000000001".parse().unwrap(),
            attempt: 2,
        }
    }

    #[test]
    fn an_attempts_folder_reads_back() {
        assert_eq!(AttemptKey::from_folder(&attempt().folder()), Some(attempt()));
    }

    #[test]
    fn other_folders_are_no_attempts() {
        for path in
            ["", "accounts", "accounts/a/instances/i/backups/x/1", "a/b/c/d/e/f/g", "accounts/../instances"]
        {
            assert_eq!(AttemptKey::from_folder(path), None, "{path}");
        }
        assert_eq!(AttemptKey::from_folder(&format!("{}/more", attempt().folder())), None);
    }

    #[test]
    fn what_happened_to_a_backup_is_no_attempt_of_it() {
        let AttemptKey { account, instance, backup, .. } = attempt();
        let key = ObjectKey::Event(BackupKey { account, instance, backup }, 7);
        assert_eq!(key.folder(), format!("{}/events", attempt().backup_folder()));
        assert_eq!(key.name(), "7.json");
        assert_eq!(AttemptKey::from_folder(&key.folder()), None);
    }

    #[test]
    fn a_listed_name_reads_back() {
        let AttemptKey { account, instance, backup, .. } = attempt();
        let events = BackupKey { account, instance, backup };
        let copy = ObjectKey::CatalogCopy(Timestamp::from_microsecond(1_795_309_200_000_007).unwrap());
        assert_eq!(copy.name(), "20261122T010000.000007Z.sealed");
        for (collection, key) in [
            (Collection::Events(events.clone()), ObjectKey::Event(events.clone(), 7)),
            (Collection::CatalogCopies, copy),
        ] {
            assert_eq!(key.folder(), collection.folder());
            assert_eq!(collection.object(&key.name()), Some(key));
        }
        for name in ["7", "07.json", "x.json", ".unfinished-1", "20261122T060000.000007Z.json", ".sealed"] {
            assert_eq!(Collection::Events(events.clone()).object(name), None, "{name}");
            assert_eq!(Collection::CatalogCopies.object(name), None, "{name}");
        }
    }

    #[test]
    fn names_are_as_the_design_says() {
        let name = |key: ObjectKey| format!("{}/{}", key.folder(), key.name());
        let both = Encoding { compression: Some(Compression::Zstd), encryption: Some(Encryption::Age) };
        let folder = "accounts/default/instances/crs-1/backups/0192d5d8-7b1c-7c3e-8000-000000000001/2";
        assert_eq!(name(ObjectKey::Part(attempt(), 0, Encoding::PLAIN)), format!("{folder}/0.rdb"));
        assert_eq!(name(ObjectKey::Part(attempt(), 3, both)), format!("{folder}/3.rdb.zst.age"));
        assert_eq!(name(ObjectKey::Keys(7)), "keys/7.age");
    }
}
