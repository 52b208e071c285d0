//! Removes the backups that no rule keeps. A dry run and a real run follow one plan.

use std::collections::HashSet;

use super::Engine;
use super::audit::Deed;
use crate::access::Principal;
use crate::error::{Kind, Result};
use crate::model::{
    AccountId, Backup, BackupFilter, BackupState, InstanceFilter, InstanceId, Page, ProjectId, Right,
    Verdict, retain,
};

/// A backup, and what becomes of it.
#[derive(Debug, Clone)]
pub struct Pruned {
    /// The backup as it was.
    pub backup: Backup,
    /// Whether it stays.
    pub keep: bool,
    /// Why.
    pub reasons: Vec<String>,
}

/// Backups of one instance that are looked at; more than anybody keeps.
const MOST: u64 = 100_000;

impl Engine {
    /// Judges the backups of an instance, or of all that the caller sees, and removes those that nothing keeps, unless
    /// it is a dry run. Each instance's backups are newest first.
    pub async fn prune(
        &self,
        who: &Principal,
        instance: Option<&InstanceId>,
        dry_run: bool,
    ) -> Result<Vec<Pruned>> {
        if dry_run {
            return self.judge(who, instance, true).await;
        }
        let subject = instance.map_or_else(|| "*".to_owned(), ToString::to_string);
        let deed = Deed::new(Right::Operate, "backup.prune", "instance", subject);
        self.audited(who, deed, self.judge(who, instance, false)).await
    }

    async fn judge(
        &self,
        who: &Principal,
        instance: Option<&InstanceId>,
        dry_run: bool,
    ) -> Result<Vec<Pruned>> {
        let scope = who.with(if dry_run { Right::View } else { Right::Operate })?;
        let instances = match instance {
            Some(id) => {
                self.known_instance(&scope, id).await?;
                vec![id.clone()]
            }
            None => self.instances_with_backups(&scope.account, scope.project.as_ref()).await?,
        };
        let mut all = Vec::new();
        for instance in instances {
            let plan = self.plan_prune(&scope.account, &instance).await?;
            // An instance that was moved between projects has left backups in the other one.
            let plan = plan.into_iter().filter(|row| super::list::sees(&scope, &row.backup)).collect();
            all.extend(if dry_run { plan } else { self.follow(plan).await? });
        }
        Ok(all)
    }

    /// Removes what nothing keeps of one instance. Returns what went.
    pub(super) async fn prune_instance(
        &self,
        account: &AccountId,
        instance: &InstanceId,
    ) -> Result<Vec<Backup>> {
        let plan = self.plan_prune(account, instance).await?;
        if plan.iter().all(|row| row.keep) {
            return Ok(Vec::new());
        }
        let gone = self.follow(plan).await?.into_iter().filter(|row| !row.keep);
        Ok(gone.map(|row| row.backup).collect())
    }

    /// What would become of each backup of an instance now.
    async fn plan_prune(&self, account: &AccountId, instance: &InstanceId) -> Result<Vec<Pruned>> {
        let backups = self.backups_of(account, instance).await?;
        let kept = self.catalog.policy(account, instance).await?;
        let verdicts = match &kept {
            Some(kept) => {
                let calendar = kept.policy.calendar(account, instance)?;
                retain(self.clock.now(), &backups, Some((&kept.policy.keep, calendar.zone())))
            }
            None => retain(self.clock.now(), &backups, None),
        };
        let row = |(backup, verdict): (Backup, Verdict)| Pruned {
            backup,
            keep: verdict.keep,
            reasons: verdict.reasons,
        };
        let mut plan: Vec<_> = backups.into_iter().zip(verdicts).map(row).collect();
        self.keep_what_can_be_repaired(account, instance, &mut plan).await?;
        Ok(plan)
    }

    /// With a damaged backup its copies would go, of which one may be all that is left of it. One with an expiry of its
    /// own goes all the same: somebody said so.
    async fn keep_what_can_be_repaired(
        &self,
        account: &AccountId,
        instance: &InstanceId,
        plan: &mut [Pruned],
    ) -> Result<()> {
        let goes_damaged = |row: &Pruned| {
            !row.keep && row.backup.state == BackupState::Damaged && row.backup.expires_at.is_none()
        };
        if !plan.iter().any(goes_damaged) {
            return Ok(());
        }
        let copies = self.catalog.copies_of(account, instance).await?;
        let whole: HashSet<_> =
            copies.iter().filter(|copy| copy.is_whole()).map(|copy| copy.backup).collect();
        for row in plan.iter_mut().filter(|row| goes_damaged(row) && whole.contains(&row.backup.id)) {
            row.keep = true;
            row.reasons = vec!["damaged, but a copy is whole: keystow backup repair".to_owned()];
        }
        Ok(())
    }

    /// Does what a plan says. What changed meanwhile stays, and says so.
    async fn follow(&self, plan: Vec<Pruned>) -> Result<Vec<Pruned>> {
        let mut done = Vec::with_capacity(plan.len());
        for row in plan {
            if row.keep {
                done.push(row);
                continue;
            }
            match self.retire(&row.backup).await {
                Ok(()) => {
                    tracing::info!(backup = %row.backup.id, why = row.reasons.join(", "), "removed by its policy");
                    done.push(row);
                }
                Err(error) if matches!(error.kind, Kind::Conflict | Kind::NotFound) => {
                    done.push(Pruned { keep: true, reasons: vec![error.message.into_owned()], ..row });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    /// Every backup of an instance that is not expired, newest first.
    pub(super) async fn backups_of(&self, account: &AccountId, instance: &InstanceId) -> Result<Vec<Backup>> {
        let mut all: Vec<Backup> = Vec::new();
        loop {
            let page = Page { offset: all.len() as u64, limit: 1000 };
            let filter = BackupFilter { instance: Some(instance.clone()), page, ..BackupFilter::default() };
            let found = self.catalog.backups(account, &filter).await?.rows;
            let is_last = (found.len() as u64) < page.limit;
            all.extend(found);
            if is_last || all.len() as u64 >= MOST {
                // One that was asked for meanwhile has pushed another onto the next page.
                let mut seen = HashSet::new();
                all.retain(|backup| seen.insert(backup.id));
                return Ok(all);
            }
        }
    }

    /// Instances of an account, and those that were deleted and left backups with an expiry behind.
    async fn instances_with_backups(
        &self,
        account: &AccountId,
        project: Option<&ProjectId>,
    ) -> Result<Vec<InstanceId>> {
        let mut all = Vec::new();
        loop {
            let page = Page { offset: all.len() as u64, limit: 1000 };
            let filter = InstanceFilter { project: project.cloned(), page, ..InstanceFilter::default() };
            let found = self.catalog.instances(account, &filter).await?.rows;
            let is_last = (found.len() as u64) < page.limit;
            all.extend(found.into_iter().map(|instance| instance.id));
            if is_last {
                break;
            }
        }
        let expired = self.catalog.instances_with_expired(self.clock.now()).await?;
        all.extend(expired.into_iter().filter(|(owner, _)| owner == account).map(|(_, instance)| instance));
        all.sort();
        all.dedup();
        Ok(all)
    }
}
