//! Protects, deletes and removes backups.

use jiff::Timestamp;
use serde_json::json;

use super::Engine;
use super::audit::Deed;
use crate::access::Principal;
use crate::crash::{CrashPoint, crash_point};
use crate::error::Result;
use crate::model::{Backup, BackupRef, EventKind, Job, Number, RevocationScope, Right};
use crate::vault::BackupKey;

impl Engine {
    /// Keeps a backup whatever retention says, or no longer.
    pub async fn protect_backup(&self, who: &Principal, which: BackupRef, protect: bool) -> Result<Backup> {
        let deed =
            Deed::new(Right::Operate, "backup.protect", "backup", which).with(json!({"protect": protect}));
        self.audited(who, deed, async {
            let scope = who.with(Right::Operate)?;
            let backup = self.visible_backup(&scope, which).await?;
            self.catalog.protect_backup(&scope.account, backup.id, protect).await?;
            self.append_own_event(&backup, EventKind::Protected(protect)).await?;
            Ok(Backup { protected: protect, ..backup })
        })
        .await
    }

    /// Deletes a backup: its links end now, its objects are removed by a job, whose number comes with it.
    pub async fn delete_backup(&self, who: &Principal, which: BackupRef) -> Result<(Backup, Number)> {
        self.audited(who, Deed::new(Right::Operate, "backup.delete", "backup", which), async {
            let scope = who.with(Right::Operate)?;
            let backup = self.visible_backup(&scope, which).await?;
            let now = self.clock.now();
            let job = self.catalog.expire_backup(&scope.account, backup.id, now).await?;
            self.end_links(&backup, now).await?;
            Ok((backup, job))
        })
        .await
    }

    /// Removes a backup that nobody named, unless it is its instance's last good one.
    pub(super) async fn retire(&self, backup: &Backup) -> Result<()> {
        let deed = Deed::new(Right::Operate, "backup.retire", "backup", backup.id).of(Some(&backup.account));
        self.audited_as_service(deed, async {
            let now = self.clock.now();
            self.catalog.retire_backup(backup, now).await?;
            self.end_links(backup, now).await
        })
        .await
    }

    /// Ends the links of a backup that is gone, and wakes the worker that removes its objects.
    async fn end_links(&self, backup: &Backup, now: Timestamp) -> Result<()> {
        crash_point(CrashPoint::BackupExpired);
        self.job_written.notify_one();
        self.catalog.revoke_links_before(&backup.account, &RevocationScope::Backup(backup.id), now).await?;
        self.forget_parts(backup);
        Ok(())
    }

    /// Removes every attempt of an expired backup from the repository. Only those that its job can have made are
    /// looked for: listing the whole repository for each would take longer the more it holds.
    pub(crate) async fn remove_objects(&self, job: &Job) -> Result<()> {
        let taken = match self.catalog.backup_by_id(job.backup).await? {
            Some(backup) => {
                let job = self.catalog.job(&job.account, backup.job).await?;
                // The job is not known of a backup that was imported or whose catalog was rebuilt.
                job.map_or(0, |taken| taken.attempt).max(backup.attempt)
            }
            None => 0,
        };
        let backup = BackupKey::of_job(job);
        for attempt in 1..=taken {
            self.vault.remove_attempt(&backup.attempt(attempt)).await?;
        }
        self.vault.remove_events(&backup).await?;
        self.remove_copies(job).await?;
        crash_point(CrashPoint::ObjectsRemoved);
        self.catalog.finish_job(&job.lease(), self.clock.now()).await
    }
}
