//! Asks for the copies that policies want, and again for those that failed.

use std::collections::HashSet;

use super::super::Engine;
use crate::error::{Kind, Result};
use crate::model::{Backup, BackupState, KeptPolicy, NewCopy};

/// Copies that are asked for at once: they share the workers with backups.
const AT_ONCE: u64 = 10;

impl Engine {
    /// Asks for copies that failed or were found broken, as their time comes. Returns how many.
    pub async fn retry_copies(&self) -> Result<u64> {
        let names: Vec<String> = self.others.names().map(str::to_owned).collect();
        let mut asked = 0;
        for new in self.catalog.due_copies(&names, self.clock.now(), AT_ONCE).await? {
            asked += u64::from(self.ask_unless_busy(&new).await?);
        }
        Ok(asked)
    }

    /// Asks for the copies of an instance's available backups that its policy wants and that nobody has asked for, as
    /// after a change of the policy or an import. `true` if there are more than are asked for at once.
    pub(in crate::ops) async fn ask_missing_copies(
        &self,
        kept: &KeptPolicy,
        backups: &[Backup],
    ) -> Result<bool> {
        if kept.policy.copies.is_empty() {
            return Ok(false);
        }
        let known = self.catalog.copies_of(&kept.account, &kept.instance).await?;
        let known: HashSet<_> = known.iter().map(|copy| (copy.backup, copy.repository.as_str())).collect();
        let mut asked = 0;
        for backup in backups.iter().filter(|backup| backup.state == BackupState::Available) {
            for repository in &kept.policy.copies {
                if known.contains(&(backup.id, repository.as_str())) || self.others.check(repository).is_err()
                {
                    continue;
                }
                if asked == AT_ONCE {
                    return Ok(true);
                }
                let new = NewCopy {
                    account: kept.account.clone(),
                    backup: backup.id,
                    instance: kept.instance.clone(),
                    repository: repository.clone(),
                };
                asked += u64::from(self.ask_unless_busy(&new).await?);
            }
        }
        Ok(false)
    }

    /// A copy that is there or under way already is as good.
    async fn ask_unless_busy(&self, new: &NewCopy) -> Result<bool> {
        match self.ask_copy(new).await {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.kind, Kind::Conflict | Kind::NotFound) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
