//! Where facts live. Each call is one transaction, named after what it means.
//!
//! Every call that touches an account's rows takes the account, so a foreign id looks like a missing one.

mod changes;
#[cfg(test)]
mod contract;
mod copied;
mod postgres;
mod sealed;
mod sqlite;
mod webhooks;

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::error::{Error, Kind, Result};
use crate::model::{
    AccessFilter, AccessKey, AccessRecord, Account, AccountId, Admission, AuditChain, AuditEntry, AuditFacts,
    AuditFilter, AuditHead, Backup, BackupCopy, BackupFilter, BackupId, BackupOrigin, BackupRef, BackupState,
    CatalogVitals, Debt, Failure, Fire, FireOutcome, Firing, Instance, InstanceFilter, InstanceId, Job,
    JobFilter, JobKind, KeptPolicy, Lease, LinkRestriction, Listed, ListedJob, Method, NewBackup, NewCopy,
    NewJob, Node, Number, Outcome, Page, Part, Progress, Project, ProjectId, Promise, RememberedLink,
    RevocationScope, ScrubOutcome, SealedPart, SeenNode, ServerFacts,
};

pub use copied::{CopiedRow, CopiedRows};
pub use postgres::{PostgresCatalog, PostgresOptions};
pub use sealed::{SealedColumn, SealedSecret};
pub use sqlite::SqliteCatalog;
pub use webhooks::WebhookCatalog;

/// The facts. The worker's calls name a lease; with a lost one they fail with `LEASE_LOST` and change nothing.
#[async_trait]
pub trait Catalog: WebhookCatalog {
    // Setting up
    /// A named fact about the catalog itself.
    async fn note(&self, name: &str) -> Result<Option<String>>;
    /// Writes a named fact about the catalog itself.
    async fn set_note(&self, name: &str, value: &str) -> Result<()>;

    /// Whether other nodes may have it open at the same time.
    fn is_shared(&self) -> bool;

    // Nodes
    /// Says that a node is there, and holds it for so long from `now`.
    async fn beat(&self, node: &Node, now: Timestamp, hold: Duration) -> Result<()>;
    /// A node goes; its turns are free.
    async fn leave(&self, node: &str) -> Result<()>;
    /// Every node that was seen in the last day, by host.
    async fn nodes(&self, now: Timestamp) -> Result<Vec<SeenNode>>;
    /// Takes the turn of that name for a node. `false` = another node has it. A node that has it already holds it longer.
    async fn take_turn(&self, name: &str, node: &str, now: Timestamp, hold: Duration) -> Result<bool>;
    /// Holds a turn longer. `false` = the node has lost it: another has it, or had it meanwhile.
    async fn hold_turn(&self, name: &str, node: &str, now: Timestamp, hold: Duration) -> Result<bool>;
    /// Gives up a turn; one that another node has by now stays there.
    async fn give_turn(&self, name: &str, node: &str) -> Result<()>;

    // Accounts, projects, access keys
    /// Adds an account; `CONFLICT` if it exists.
    async fn add_account(&self, account: &Account) -> Result<()>;
    /// All accounts, by id.
    async fn accounts(&self) -> Result<Vec<Account>>;
    /// Adds a project to an account that exists.
    async fn add_project(&self, project: &Project) -> Result<()>;
    /// The projects of an account, by id.
    async fn projects(&self, account: &AccountId) -> Result<Vec<Project>>;
    /// Adds an access key to an account that exists.
    async fn add_key(&self, key: &AccessKey) -> Result<()>;
    /// An access key by its id, revoked or not.
    async fn key(&self, id: &str) -> Result<Option<AccessKey>>;
    /// The access keys of an account, or all, oldest first.
    async fn keys(&self, account: Option<&AccountId>) -> Result<Vec<AccessKey>>;
    /// Replaces a key's secret; the one before stays good until `previous_until`, if that is given.
    async fn rotate_key(
        &self,
        id: &str,
        sealed_secret: &[u8],
        previous_until: Option<Timestamp>,
    ) -> Result<()>;
    /// Ends a key.
    async fn revoke_key(&self, id: &str, now: Timestamp) -> Result<()>;

    /// Takes in a one-time value of a key's request until `until`. `false` = it was taken in before and is not over.
    async fn admit_nonce(&self, key: &str, value: &str, until: Timestamp, now: Timestamp) -> Result<bool>;

    // Instances
    /// Adds an instance; `CONFLICT` if its account has one of that id.
    async fn add_instance(&self, instance: &Instance) -> Result<()>;
    /// One instance.
    async fn instance(&self, account: &AccountId, id: &InstanceId) -> Result<Option<Instance>>;
    /// Instances by id.
    async fn instances(&self, account: &AccountId, filter: &InstanceFilter) -> Result<Listed<Instance>>;
    /// Removes an instance. `CONFLICT` while a backup of it is running. Its backups stay.
    async fn delete_instance(&self, account: &AccountId, id: &InstanceId) -> Result<()>;
    /// Writes where an instance is, how to sign in there and how it is captured.
    async fn set_instance(&self, instance: &Instance) -> Result<()>;
    /// Keeps what the server said of itself.
    async fn record_contact(&self, account: &AccountId, id: &InstanceId, facts: &ServerFacts) -> Result<()>;

    /// Notes the value of a source's setting before it is changed for a while. A value noted earlier stays.
    async fn owe(&self, debt: &Debt) -> Result<()>;
    /// Every setting that is still to be put back.
    async fn debts(&self) -> Result<Vec<Debt>>;
    /// A setting was put back.
    async fn settle_debt(&self, debt: &Debt) -> Result<()>;

    // Backups
    /// Adds a backup and the job that takes it. `CONFLICT` while another of that instance is queued or running.
    async fn request_backup(&self, id: BackupId, new: &NewBackup, now: Timestamp) -> Result<Backup>;
    /// One backup with its parts.
    async fn backup(&self, account: &AccountId, which: BackupRef) -> Result<Option<Backup>>;
    /// Backups, newest first.
    async fn backups(&self, account: &AccountId, filter: &BackupFilter) -> Result<Listed<Backup>>;
    /// Plain bytes of all available backups of an instance.
    async fn available_bytes(&self, account: &AccountId, instance: &InstanceId) -> Result<u64>;
    /// The part of that number, with its backup.
    async fn part(&self, number: Number) -> Result<Option<(Backup, Part)>>;
    /// Every backup of every account, for a check of the repository against the catalog.
    async fn backup_by_id(&self, id: BackupId) -> Result<Option<Backup>>;
    /// The same, after all writes that are under way: for whoever was not told how one of them ended.
    async fn settled_backup(&self, id: BackupId) -> Result<Option<Backup>>;
    /// Keeps a backup whatever retention says, or no longer.
    async fn protect_backup(&self, account: &AccountId, id: BackupId, protect: bool) -> Result<()>;
    /// Sets when retention may remove a backup; `None` = never by itself.
    async fn set_expiry(&self, account: &AccountId, id: BackupId, at: Option<Timestamp>) -> Result<()>;
    /// Marks a backup expired and adds the job that removes its objects, whose number it returns. `CONFLICT` while it
    /// is active or protected, or a restore or a drill of it is queued or running.
    async fn expire_backup(&self, account: &AccountId, id: BackupId, now: Timestamp) -> Result<Number>;
    /// As [`Catalog::expire_backup`], for a backup that nobody named: `CONFLICT` also if it is its instance's last good
    /// one, or has another expiry than when it was judged.
    async fn retire_backup(&self, judged: &Backup, now: Timestamp) -> Result<Number>;

    // Policies
    /// The policy of an instance.
    async fn policy(&self, account: &AccountId, instance: &InstanceId) -> Result<Option<KeptPolicy>>;
    /// The policies of an account, of one project's instances if it is given, the next to fire first.
    async fn policies(
        &self,
        account: &AccountId,
        project: Option<&ProjectId>,
        page: Page,
    ) -> Result<Vec<KeptPolicy>>;
    /// Writes a policy over the version that its writer has seen (0 = none), which is one more then. `CONFLICT` if it
    /// is another one by now. Another try of a failed backup is given up.
    async fn set_policy(&self, new: &KeptPolicy, seen: u64) -> Result<KeptPolicy>;
    /// Removes a policy. `false` = there was none.
    async fn delete_policy(&self, account: &AccountId, instance: &InstanceId, now: Timestamp)
    -> Result<bool>;
    /// Policies of all accounts with a fire or another try that is due, at most so many.
    async fn due_policies(&self, now: Timestamp, most: u64) -> Result<Vec<KeptPolicy>>;
    /// Writes down what becomes of a fire, moves the policy to its next, and adds the backup with its job; all at once.
    /// `None` = another node was faster, the policy was changed, or the moment has had its fire already.
    async fn fire_policy(
        &self,
        firing: &Firing,
        now: Timestamp,
    ) -> Result<Option<(FireOutcome, Option<Backup>)>>;
    /// The last fires of a policy, newest first. The last 100 are kept.
    async fn fires(&self, account: &AccountId, instance: &InstanceId, most: u64) -> Result<Vec<Fire>>;
    /// Policies of all accounts whose backups are to be looked through, at most so many.
    async fn due_upkeep(&self, now: Timestamp, most: u64) -> Result<Vec<KeptPolicy>>;
    /// Says that it is done now, and when it is done next. `false` = another node does it.
    async fn begin_upkeep(&self, kept: &KeptPolicy, next: Timestamp) -> Result<bool>;
    /// Notes that a policy has asked for a drill.
    async fn note_drill(&self, account: &AccountId, instance: &InstanceId, now: Timestamp) -> Result<()>;
    /// Instances of all accounts with backups whose own expiry has passed.
    async fn instances_with_expired(&self, now: Timestamp) -> Result<Vec<(AccountId, InstanceId)>>;

    // Jobs
    /// Adds work on a backup, unless that has expired. `CONFLICT` while another job with the same target is queued or
    /// running; it is named only to its own account.
    async fn request_job(&self, new: &NewJob, now: Timestamp) -> Result<Job>;
    /// The next job that is due, with a new fence. A job whose lease ran out is due again.
    async fn claim_job(&self, worker: &str, now: Timestamp, hold: Duration) -> Result<Option<Job>>;
    /// Holds a lease longer and notes how far the job is. `true` = somebody asked to stop it.
    async fn renew_lease(
        &self,
        lease: &Lease,
        progress: &Progress,
        now: Timestamp,
        hold: Duration,
    ) -> Result<bool>;
    /// Gives every claimed job back. Only for a catalog that no other process has open.
    async fn surrender_leases(&self) -> Result<u64>;
    /// A number for each of so many parts.
    async fn mint_numbers(&self, count: u32) -> Result<Vec<Number>>;
    /// The attempt's bytes are safe: its parts, its state, the job done; all at once.
    async fn seal_backup(&self, lease: &Lease, sealed: &SealedBackup, now: Timestamp) -> Result<()>;
    /// The attempt sealed nothing: given up, cancelled or handed back.
    async fn fail_attempt(&self, lease: &Lease, outcome: &AttemptOutcome, now: Timestamp) -> Result<()>;
    /// Keeps what a job has done so far; a drill's or a scrub's outcome is also its backup's last, and a scrub's decides
    /// whether that is `damaged`.
    async fn record_outcome(&self, lease: &Lease, outcome: &Outcome) -> Result<()>;
    /// A job that is not a backup is done.
    async fn finish_job(&self, lease: &Lease, now: Timestamp) -> Result<()>;
    /// Asks a job to stop; a waiting one is cancelled at once, but for a restore that has an outcome already: whoever
    /// claims it next must put its target right.
    async fn cancel_job(&self, account: &AccountId, number: Number, now: Timestamp) -> Result<Job>;
    /// One job.
    async fn job(&self, account: &AccountId, number: Number) -> Result<Option<Job>>;
    /// Jobs, newest first.
    async fn jobs(&self, account: &AccountId, filter: &JobFilter) -> Result<Listed<ListedJob>>;

    // Copies of backups in other repositories
    /// Adds a copy of a backup and the job that makes it. `CONFLICT` if there is one already, or is about to be.
    async fn request_copy(&self, new: &NewCopy, now: Timestamp) -> Result<Job>;
    /// Begins an attempt at a copy: its number, under which nobody else writes.
    async fn begin_copy(&self, lease: &Lease, repository: &str) -> Result<u32>;
    /// The attempt's bytes are safe and were read back: the copy is available, the job done.
    async fn seal_copy(&self, lease: &Lease, sealed: &SealedCopy, now: Timestamp) -> Result<()>;
    /// The copies of a backup, by repository.
    async fn copies(&self, backup: BackupId) -> Result<Vec<BackupCopy>>;
    /// The copies of all backups of an instance.
    async fn copies_of(&self, account: &AccountId, instance: &InstanceId) -> Result<Vec<BackupCopy>>;
    /// Copies in these repositories that failed or were found broken and are to be made again, at most so many.
    async fn due_copies(&self, repositories: &[String], now: Timestamp, most: u64) -> Result<Vec<NewCopy>>;
    /// Copies that failed because this repository did not answer are due now.
    async fn hasten_copies(&self, repository: &str, now: Timestamp) -> Result<()>;
    /// Writes what reading a copy again has found; `None` = every byte is there.
    async fn judge_copy(&self, copy: &BackupCopy, failure: Option<&Failure>, now: Timestamp) -> Result<()>;
    /// Takes in a copy that was found in its repository, unless one is known.
    async fn adopt_copy(&self, copy: &BackupCopy) -> Result<()>;
    /// A copy is gone.
    async fn forget_copy(&self, backup: BackupId, repository: &str) -> Result<()>;
    /// A backup is whole again, as this attempt, of which `found` tells; the job is done.
    async fn seal_repair(
        &self,
        lease: &Lease,
        attempt: u32,
        found: &ScrubOutcome,
        now: Timestamp,
    ) -> Result<()>;
    /// Whether a job of that kind is at work on a backup, or waits to be.
    async fn is_at_work(&self, backup: BackupId, kind: JobKind) -> Result<bool>;

    // Copies of the catalog, rebuilding, a new root key
    /// The rows that a copy of the catalog holds, all of one moment.
    async fn copied_rows(&self, now: Timestamp) -> Result<CopiedRows>;
    /// Writes rows of a copy where there are none of the same key; how many were written.
    async fn restore_rows(&self, rows: &[CopiedRow]) -> Result<u64>;
    /// Makes sure that the next number is above this one.
    async fn raise_numbers(&self, last: Number) -> Result<()>;
    /// Takes in backups whose objects are in the repository; how many. One that is known already stays as it is.
    async fn adopt_backups(&self, backups: &[Backup]) -> Result<u64>;
    /// Every sealed secret.
    async fn sealed_secrets(&self) -> Result<Vec<SealedSecret>>;
    /// Replaces sealed secrets and writes notes, all or nothing. `CONFLICT` if one is not what it was.
    async fn replace_secrets(
        &self,
        secrets: &[(SealedSecret, Vec<u8>)],
        notes: &[(&str, String)],
    ) -> Result<()>;

    // Links
    /// Keeps a link.
    async fn remember_link(&self, link: &RememberedLink) -> Result<()>;
    /// A remembered link.
    async fn link(&self, id: &str) -> Result<Option<RememberedLink>>;
    /// The remembered links of an account, newest first, of one project's backups if it is given.
    async fn links(
        &self,
        account: &AccountId,
        project: Option<&ProjectId>,
        page: Page,
    ) -> Result<Listed<RememberedLink>>;
    /// Ends one link.
    async fn revoke_link(&self, account: &AccountId, id: &str, now: Timestamp) -> Result<()>;
    /// Ends all links of a scope that were issued before `now`.
    async fn revoke_links_before(
        &self,
        account: &AccountId,
        scope: &RevocationScope,
        now: Timestamp,
    ) -> Result<()>;
    /// The latest "all links issued before" of any of the scopes.
    async fn links_revoked_before(
        &self,
        account: &AccountId,
        scopes: &[RevocationScope],
    ) -> Result<Option<Timestamp>>;
    /// Who may use an account's links of a region unless a call says otherwise; `None` = nothing was set.
    async fn link_restriction(&self, account: &AccountId, region: &str) -> Result<Option<LinkRestriction>>;
    /// Sets that.
    async fn set_link_restriction(
        &self,
        account: &AccountId,
        region: &str,
        restriction: &LinkRestriction,
    ) -> Result<()>;
    /// Promises bytes of a counted link to a transfer, for so long from `now`, if its budget allows them.
    async fn reserve_delivery(&self, promise: &Promise, now: Timestamp, hold: Duration) -> Result<Admission>;
    /// Holds all promises of a node for so long from `now`.
    async fn hold_promises(&self, node: &str, now: Timestamp, hold: Duration) -> Result<()>;
    /// Turns a promise into what was really sent: once, however often it is said.
    async fn settle_delivery(&self, promise: &str, sent: u64, doubtful: u64) -> Result<()>;

    // Audit log and access log
    /// Adds an entry to the audit log, behind all others, whoever else adds one; says where that log now ends.
    async fn append_audit(&self, facts: &AuditFacts, chain: &AuditChain) -> Result<AuditHead>;
    /// Where the audit log ends.
    async fn audit_head(&self) -> Result<AuditHead>;
    /// The next entries behind that number, in order.
    async fn audit_after(&self, sequence: u64, limit: u64) -> Result<Vec<AuditEntry>>;
    /// Entries of the audit log, newest first.
    async fn audit(&self, filter: &AuditFilter) -> Result<Listed<AuditEntry>>;
    /// Adds records to the access log, and to the usage of the remembered links among them; all at once.
    async fn record_access(&self, records: &[AccessRecord]) -> Result<()>;
    /// Records of an account, newest first.
    async fn access_log(&self, account: &AccountId, filter: &AccessFilter) -> Result<Listed<AccessRecord>>;
    /// Removes some records from before that moment; 0 = none are left.
    async fn prune_access(&self, before: Timestamp) -> Result<u64>;

    /// How things stand, of one account or project or of all.
    async fn vitals(&self, account: Option<&AccountId>, project: Option<&ProjectId>)
    -> Result<CatalogVitals>;
}

/// An attempt whose bytes are safe in the repository.
#[derive(Debug, Clone)]
pub struct SealedBackup {
    /// `available`, `partial` or `quarantined`.
    pub state: BackupState,
    /// How it was taken in the end.
    pub method: Method,
    /// Where it came from.
    pub origin: Option<BackupOrigin>,
    /// The parts with their numbers.
    pub parts: Vec<(Number, SealedPart)>,
    /// What the server said of itself.
    pub server: Option<ServerFacts>,
    /// Why it is quarantined or partial.
    pub failure: Option<Failure>,
    /// Why it looks too small beside those before it, if it does.
    pub small: Option<Failure>,
}

/// An attempt at a copy that is whole in its repository.
#[derive(Debug, Clone)]
pub struct SealedCopy {
    /// The repository.
    pub repository: String,
    /// The attempt.
    pub attempt: u32,
    /// Bytes as stored.
    pub bytes: u64,
}

/// How an attempt that sealed nothing ended.
#[derive(Debug, Clone)]
pub enum AttemptOutcome {
    /// Given up.
    Failed(Failure),
    /// Stopped on request.
    Cancelled,
    /// Handed back untouched, because the worker stops.
    HandedBack,
}

/// What a single row is found by.
#[derive(Debug, Clone, Copy)]
enum Key<'a> {
    Text(&'a str),
    Number(Number),
}

/// The error of a write that names a lost lease.
pub fn lease_lost() -> Error {
    Error::new(Kind::Conflict, "LEASE_LOST", "another worker has taken over this job")
}

fn not_found(noun: &'static str, id: impl std::fmt::Display) -> Error {
    Error::new(Kind::NotFound, "NOT_FOUND", format!("no such {noun}: {id}"))
}

fn conflict(message: String) -> Error {
    Error::new(Kind::Conflict, "CONFLICT", message)
}
