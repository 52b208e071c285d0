//! Which file does which call.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{
    IS_SHARED, Store, access_log, accounts, audit, backup_copies, backup_list, backups, copies, debts,
    instances, job_list, jobs, links, nodes, nonces, notes, outcomes, policies, promises, sealed, tally,
    vitals,
};
use crate::catalog::{
    AttemptOutcome, Catalog, CopiedRow, CopiedRows, SealedBackup, SealedCopy, SealedSecret,
};
use crate::error::Result;
use crate::model::{
    AccessFilter, AccessKey, AccessRecord, Account, AccountId, Admission, AuditChain, AuditEntry, AuditFacts,
    AuditFilter, AuditHead, Backup, BackupCopy, BackupFilter, BackupId, BackupRef, CatalogVitals, Debt,
    Failure, Fire, FireOutcome, Firing, Instance, InstanceFilter, InstanceId, Job, JobFilter, JobKind,
    KeptPolicy, Lease, LinkRestriction, Listed, ListedJob, NewBackup, NewCopy, NewJob, Node, Number, Outcome,
    Page, Part, Progress, Project, ProjectId, Promise, RememberedLink, RevocationScope, ScrubOutcome,
    SeenNode, ServerFacts,
};

#[async_trait]
impl Catalog for Store {
    async fn note(&self, name: &str) -> Result<Option<String>> {
        notes::note(self, name).await
    }

    async fn set_note(&self, name: &str, value: &str) -> Result<()> {
        notes::set(self, name, value).await
    }

    fn is_shared(&self) -> bool {
        IS_SHARED
    }

    async fn beat(&self, node: &Node, now: Timestamp, hold: Duration) -> Result<()> {
        nodes::beat(self, node, now, hold).await
    }

    async fn leave(&self, node: &str) -> Result<()> {
        nodes::leave(self, node).await
    }

    async fn nodes(&self, now: Timestamp) -> Result<Vec<SeenNode>> {
        nodes::all(self, now).await
    }

    async fn take_turn(&self, name: &str, node: &str, now: Timestamp, hold: Duration) -> Result<bool> {
        nodes::take_turn(self, name, node, now, hold).await
    }

    async fn hold_turn(&self, name: &str, node: &str, now: Timestamp, hold: Duration) -> Result<bool> {
        nodes::hold_turn(self, name, node, now, hold).await
    }

    async fn give_turn(&self, name: &str, node: &str) -> Result<()> {
        nodes::give_turn(self, name, node).await
    }

    async fn add_account(&self, account: &Account) -> Result<()> {
        accounts::add_account(self, account).await
    }

    async fn accounts(&self) -> Result<Vec<Account>> {
        accounts::accounts(self).await
    }

    async fn add_project(&self, project: &Project) -> Result<()> {
        accounts::add_project(self, project).await
    }

    async fn projects(&self, account: &AccountId) -> Result<Vec<Project>> {
        accounts::projects(self, account).await
    }

    async fn add_key(&self, key: &AccessKey) -> Result<()> {
        accounts::add_key(self, key).await
    }

    async fn key(&self, id: &str) -> Result<Option<AccessKey>> {
        accounts::key(self, id).await
    }

    async fn keys(&self, account: Option<&AccountId>) -> Result<Vec<AccessKey>> {
        accounts::keys(self, account).await
    }

    async fn rotate_key(
        &self,
        id: &str,
        sealed_secret: &[u8],
        previous_until: Option<Timestamp>,
    ) -> Result<()> {
        accounts::rotate_key(self, id, sealed_secret, previous_until).await
    }

    async fn revoke_key(&self, id: &str, now: Timestamp) -> Result<()> {
        accounts::revoke_key(self, id, now).await
    }

    async fn admit_nonce(&self, key: &str, value: &str, until: Timestamp, now: Timestamp) -> Result<bool> {
        nonces::admit(self, key, value, until, now).await
    }

    async fn add_instance(&self, instance: &Instance) -> Result<()> {
        instances::add(self, instance).await
    }

    async fn instance(&self, account: &AccountId, id: &InstanceId) -> Result<Option<Instance>> {
        instances::one(self, account, id).await
    }

    async fn instances(&self, account: &AccountId, filter: &InstanceFilter) -> Result<Listed<Instance>> {
        instances::list(self, account, filter).await
    }

    async fn delete_instance(&self, account: &AccountId, id: &InstanceId) -> Result<()> {
        instances::delete(self, account, id).await
    }

    async fn set_instance(&self, instance: &Instance) -> Result<()> {
        instances::set(self, instance).await
    }

    async fn owe(&self, debt: &Debt) -> Result<()> {
        debts::owe(self, debt).await
    }

    async fn debts(&self) -> Result<Vec<Debt>> {
        debts::all(self).await
    }

    async fn settle_debt(&self, debt: &Debt) -> Result<()> {
        debts::settle(self, debt).await
    }

    async fn record_contact(&self, account: &AccountId, id: &InstanceId, facts: &ServerFacts) -> Result<()> {
        instances::record_contact(self, account, id, facts).await
    }

    async fn request_backup(&self, id: BackupId, new: &NewBackup, now: Timestamp) -> Result<Backup> {
        backups::request(self, id, new, now).await
    }

    async fn backup(&self, account: &AccountId, which: BackupRef) -> Result<Option<Backup>> {
        backups::one(self, Some(account), which).await
    }

    async fn backups(&self, account: &AccountId, filter: &BackupFilter) -> Result<Listed<Backup>> {
        backup_list::list(self, account, filter).await
    }

    async fn available_bytes(&self, account: &AccountId, instance: &InstanceId) -> Result<u64> {
        tally::available_bytes(self, account, instance).await
    }

    async fn part(&self, number: Number) -> Result<Option<(Backup, Part)>> {
        backups::part(self, number).await
    }

    async fn backup_by_id(&self, id: BackupId) -> Result<Option<Backup>> {
        backups::one(self, None, BackupRef::Id(id)).await
    }

    async fn settled_backup(&self, id: BackupId) -> Result<Option<Backup>> {
        backups::settled(self, id).await
    }

    async fn protect_backup(&self, account: &AccountId, id: BackupId, protect: bool) -> Result<()> {
        backups::protect(self, account, id, protect).await
    }

    async fn set_expiry(&self, account: &AccountId, id: BackupId, at: Option<Timestamp>) -> Result<()> {
        backups::set_expiry(self, account, id, at).await
    }

    async fn expire_backup(&self, account: &AccountId, id: BackupId, now: Timestamp) -> Result<Number> {
        backups::expire(self, account, id, None, now).await
    }

    async fn retire_backup(&self, judged: &Backup, now: Timestamp) -> Result<Number> {
        backups::expire(self, &judged.account, judged.id, Some(judged), now).await
    }

    async fn policy(&self, account: &AccountId, instance: &InstanceId) -> Result<Option<KeptPolicy>> {
        policies::one(self, account, instance).await
    }

    async fn policies(
        &self,
        account: &AccountId,
        project: Option<&ProjectId>,
        page: Page,
    ) -> Result<Vec<KeptPolicy>> {
        policies::list(self, account, project, page).await
    }

    async fn set_policy(&self, new: &KeptPolicy, seen: u64) -> Result<KeptPolicy> {
        policies::set(self, new, seen).await
    }

    async fn delete_policy(
        &self,
        account: &AccountId,
        instance: &InstanceId,
        now: Timestamp,
    ) -> Result<bool> {
        policies::delete(self, account, instance, now).await
    }

    async fn due_policies(&self, now: Timestamp, most: u64) -> Result<Vec<KeptPolicy>> {
        policies::due(self, now, most).await
    }

    async fn fire_policy(
        &self,
        firing: &Firing,
        now: Timestamp,
    ) -> Result<Option<(FireOutcome, Option<Backup>)>> {
        policies::fire(self, firing, now).await
    }

    async fn fires(&self, account: &AccountId, instance: &InstanceId, most: u64) -> Result<Vec<Fire>> {
        policies::fires(self, account, instance, most).await
    }

    async fn due_upkeep(&self, now: Timestamp, most: u64) -> Result<Vec<KeptPolicy>> {
        policies::due_upkeep(self, now, most).await
    }

    async fn begin_upkeep(&self, kept: &KeptPolicy, next: Timestamp) -> Result<bool> {
        policies::begin_upkeep(self, kept, next).await
    }

    async fn note_drill(&self, account: &AccountId, instance: &InstanceId, now: Timestamp) -> Result<()> {
        policies::note_drill(self, account, instance, now).await
    }

    async fn instances_with_expired(&self, now: Timestamp) -> Result<Vec<(AccountId, InstanceId)>> {
        policies::with_expired(self, now).await
    }

    async fn request_job(&self, new: &NewJob, now: Timestamp) -> Result<Job> {
        jobs::request(self, new, now).await
    }

    async fn claim_job(&self, worker: &str, now: Timestamp, hold: Duration) -> Result<Option<Job>> {
        jobs::claim(self, worker, now, hold).await
    }

    async fn renew_lease(
        &self,
        lease: &Lease,
        progress: &Progress,
        now: Timestamp,
        hold: Duration,
    ) -> Result<bool> {
        jobs::renew(self, lease, progress, now, hold).await
    }

    async fn surrender_leases(&self) -> Result<u64> {
        jobs::surrender(self).await
    }

    async fn mint_numbers(&self, count: u32) -> Result<Vec<Number>> {
        jobs::mint(self, count).await
    }

    async fn seal_backup(&self, lease: &Lease, sealed: &SealedBackup, now: Timestamp) -> Result<()> {
        outcomes::seal(self, lease, sealed, now).await
    }

    async fn fail_attempt(&self, lease: &Lease, outcome: &AttemptOutcome, now: Timestamp) -> Result<()> {
        outcomes::fail(self, lease, outcome, now).await
    }

    async fn record_outcome(&self, lease: &Lease, outcome: &Outcome) -> Result<()> {
        outcomes::record(self, lease, outcome).await
    }

    async fn finish_job(&self, lease: &Lease, now: Timestamp) -> Result<()> {
        outcomes::finish(self, lease, now).await
    }

    async fn cancel_job(&self, account: &AccountId, number: Number, now: Timestamp) -> Result<Job> {
        jobs::cancel(self, account, number, now).await
    }

    async fn job(&self, account: &AccountId, number: Number) -> Result<Option<Job>> {
        jobs::one(self, account, number).await
    }

    async fn jobs(&self, account: &AccountId, filter: &JobFilter) -> Result<Listed<ListedJob>> {
        job_list::list(self, account, filter).await
    }

    async fn request_copy(&self, new: &NewCopy, now: Timestamp) -> Result<Job> {
        backup_copies::request(self, new, now).await
    }

    async fn begin_copy(&self, lease: &Lease, repository: &str) -> Result<u32> {
        backup_copies::begin(self, lease, repository).await
    }

    async fn seal_copy(&self, lease: &Lease, sealed: &SealedCopy, now: Timestamp) -> Result<()> {
        backup_copies::seal(self, lease, sealed, now).await
    }

    async fn copies(&self, backup: BackupId) -> Result<Vec<BackupCopy>> {
        backup_copies::of_backup(self, backup).await
    }

    async fn copies_of(&self, account: &AccountId, instance: &InstanceId) -> Result<Vec<BackupCopy>> {
        backup_copies::of_instance(self, account, instance).await
    }

    async fn due_copies(&self, repositories: &[String], now: Timestamp, most: u64) -> Result<Vec<NewCopy>> {
        backup_copies::due(self, repositories, now, most).await
    }

    async fn hasten_copies(&self, repository: &str, now: Timestamp) -> Result<()> {
        backup_copies::hasten(self, repository, now).await
    }

    async fn judge_copy(&self, copy: &BackupCopy, failure: Option<&Failure>, now: Timestamp) -> Result<()> {
        backup_copies::judge(self, copy, failure, now).await
    }

    async fn adopt_copy(&self, copy: &BackupCopy) -> Result<()> {
        backup_copies::adopt(self, copy).await
    }

    async fn forget_copy(&self, backup: BackupId, repository: &str) -> Result<()> {
        backup_copies::forget(self, backup, repository).await
    }

    async fn seal_repair(
        &self,
        lease: &Lease,
        attempt: u32,
        found: &ScrubOutcome,
        now: Timestamp,
    ) -> Result<()> {
        backup_copies::seal_repair(self, lease, attempt, found, now).await
    }

    async fn is_at_work(&self, backup: BackupId, kind: JobKind) -> Result<bool> {
        backup_copies::is_at_work(self, backup, kind).await
    }

    async fn copied_rows(&self, now: Timestamp) -> Result<CopiedRows> {
        copies::read(self, now).await
    }

    async fn restore_rows(&self, rows: &[CopiedRow]) -> Result<u64> {
        copies::restore(self, rows).await
    }

    async fn raise_numbers(&self, last: Number) -> Result<()> {
        copies::raise_numbers(self, last).await
    }

    async fn adopt_backups(&self, backups: &[Backup]) -> Result<u64> {
        copies::adopt(self, backups).await
    }

    async fn sealed_secrets(&self) -> Result<Vec<SealedSecret>> {
        sealed::read(self).await
    }

    async fn replace_secrets(
        &self,
        secrets: &[(SealedSecret, Vec<u8>)],
        notes: &[(&str, String)],
    ) -> Result<()> {
        sealed::replace(self, secrets, notes).await
    }

    async fn remember_link(&self, link: &RememberedLink) -> Result<()> {
        links::remember(self, link).await
    }

    async fn link(&self, id: &str) -> Result<Option<RememberedLink>> {
        links::one(self, id).await
    }

    async fn links(
        &self,
        account: &AccountId,
        project: Option<&ProjectId>,
        page: Page,
    ) -> Result<Listed<RememberedLink>> {
        links::list(self, account, project, page).await
    }

    async fn revoke_link(&self, account: &AccountId, id: &str, now: Timestamp) -> Result<()> {
        links::revoke(self, account, id, now).await
    }

    async fn revoke_links_before(
        &self,
        account: &AccountId,
        scope: &RevocationScope,
        now: Timestamp,
    ) -> Result<()> {
        links::revoke_before(self, account, scope, now).await
    }

    async fn links_revoked_before(
        &self,
        account: &AccountId,
        scopes: &[RevocationScope],
    ) -> Result<Option<Timestamp>> {
        links::revoked_before(self, account, scopes).await
    }

    async fn link_restriction(&self, account: &AccountId, region: &str) -> Result<Option<LinkRestriction>> {
        links::restriction(self, account, region).await
    }

    async fn set_link_restriction(
        &self,
        account: &AccountId,
        region: &str,
        restriction: &LinkRestriction,
    ) -> Result<()> {
        links::set_restriction(self, account, region, restriction).await
    }

    async fn reserve_delivery(&self, promise: &Promise, now: Timestamp, hold: Duration) -> Result<Admission> {
        promises::reserve(self, promise, now, hold).await
    }

    async fn hold_promises(&self, node: &str, now: Timestamp, hold: Duration) -> Result<()> {
        promises::hold(self, node, now, hold).await
    }

    async fn settle_delivery(&self, promise: &str, sent: u64, doubtful: u64) -> Result<()> {
        promises::settle(self, promise, sent, doubtful).await
    }

    async fn append_audit(&self, facts: &AuditFacts, chain: &AuditChain) -> Result<AuditHead> {
        audit::append(self, facts, chain).await
    }

    async fn audit_head(&self) -> Result<AuditHead> {
        audit::head(self).await
    }

    async fn audit_after(&self, sequence: u64, limit: u64) -> Result<Vec<AuditEntry>> {
        audit::after(self, sequence, limit).await
    }

    async fn audit(&self, filter: &AuditFilter) -> Result<Listed<AuditEntry>> {
        audit::list(self, filter).await
    }

    async fn record_access(&self, records: &[AccessRecord]) -> Result<()> {
        access_log::record(self, records).await
    }

    async fn access_log(&self, account: &AccountId, filter: &AccessFilter) -> Result<Listed<AccessRecord>> {
        access_log::list(self, account, filter).await
    }

    async fn prune_access(&self, before: Timestamp) -> Result<u64> {
        access_log::prune(self, before).await
    }

    async fn vitals(
        &self,
        account: Option<&AccountId>,
        project: Option<&ProjectId>,
    ) -> Result<CatalogVitals> {
        vitals::all(self, account, project).await
    }
}
