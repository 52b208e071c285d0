//! Looks for room before a backup: a full disk ends every backup of every instance.

use super::Engine;
use crate::error::{Error, Kind, Result};
use crate::model::{Backup, BackupFilter, BackupState, Page};
use crate::vault::AttemptKey;

impl Engine {
    /// Refuses a backup that the repository has no room for: as much as the instance's last one took, and the reserve.
    /// What policies let go already is removed first, and nothing else. A store that does not tell its room has enough.
    /// `size_bytes`: what is known of its size.
    pub(super) async fn guard_space(&self, backup: &Backup, size_bytes: u64) -> Result<()> {
        let size = self.last_size(backup).await?.max(size_bytes);
        let wanted = size.saturating_add(self.settings.reserve_bytes);
        if self.lack(wanted).await? == 0 {
            return Ok(());
        }
        self.make_room(backup, wanted).await?;
        let lack = self.lack(wanted).await?;
        if lack == 0 {
            return Ok(());
        }
        Err(Error::new(
            Kind::NoSpace,
            "SPACE_GUARD",
            format!("the repository lacks {} MiB for this backup", lack.div_ceil(1 << 20)),
        )
        .because(format!(
            "it needs {} MiB: its size or that of the last one, and repository.reserve",
            wanted.div_ceil(1 << 20)
        ))
        .hint("free space, keep less (keystow policy set), or delete backups"))
    }

    /// Bytes that the repository has too few for `wanted`.
    async fn lack(&self, wanted: u64) -> Result<u64> {
        Ok(self.vault.free_bytes().await?.map_or(0, |free| wanted.saturating_sub(free)))
    }

    /// Stored bytes of the instance's last good backup; 0 before there is one.
    async fn last_size(&self, backup: &Backup) -> Result<u64> {
        let filter = BackupFilter {
            instance: Some(backup.instance.clone()),
            states: vec![BackupState::Available],
            page: Page { offset: 0, limit: 1 },
            ..BackupFilter::default()
        };
        let last = self.catalog.backups(&backup.account, &filter).await?.rows.into_iter().next();
        Ok(last.map_or(0, |last| last.parts.iter().map(|part| part.sealed.stored_bytes).sum()))
    }

    /// Removes what policies let go, the instance's own first, until there is room.
    async fn make_room(&self, backup: &Backup, wanted: u64) -> Result<()> {
        // By a clock that is ahead, all would be old.
        if !self.knows_the_time() {
            return Ok(());
        }
        self.prune_now(&backup.account, &backup.instance).await?;
        for account in self.catalog.accounts().await? {
            let scope = crate::access::Scope { account: account.id, project: None };
            for kept in self.all_policies(&scope).await? {
                if self.lack(wanted).await? == 0 {
                    return Ok(());
                }
                self.prune_now(&kept.account, &kept.instance).await?;
            }
        }
        Ok(())
    }

    /// Prunes an instance, and removes the objects at once: the jobs that do it wait for workers, which may all wait for
    /// room.
    async fn prune_now(
        &self,
        account: &crate::model::AccountId,
        instance: &crate::model::InstanceId,
    ) -> Result<()> {
        for backup in self.prune_instance(account, instance).await? {
            self.vault.remove_attempt(&AttemptKey::of(&backup)).await?;
        }
        Ok(())
    }
}
