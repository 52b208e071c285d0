//! Shows backups.

use super::Engine;
use crate::access::{Principal, Scope};
use crate::error::{Error, Kind, Result};
use crate::model::{Backup, BackupFilter, BackupRef, InstanceId, Listed, Right};

impl Engine {
    /// One backup. Its expiry is its own, or else the one that follows from its instance's policy.
    pub async fn backup(&self, who: &Principal, which: BackupRef) -> Result<Backup> {
        let mut backup = self.visible_backup(&who.with(Right::View)?, which).await?;
        self.tell_expiries(std::slice::from_mut(&mut backup)).await?;
        Ok(backup)
    }

    /// Fills in when policies let backups go that have no expiry of their own, where age alone decides that.
    async fn tell_expiries(&self, backups: &mut [Backup]) -> Result<()> {
        let now = self.clock.now();
        for backup in backups.iter_mut().filter(|backup| backup.expires_at.is_none()) {
            let policy = self.known_policy(&backup.account, &backup.instance, now).await?;
            backup.expires_at = policy.as_ref().as_ref().and_then(|policy| policy.keep.ends(backup));
        }
        Ok(())
    }

    /// Backups, newest first, with expiries as [`Engine::backup`] tells them.
    pub async fn backups(&self, who: &Principal, filter: BackupFilter) -> Result<Listed<Backup>> {
        let scope = who.with(Right::View)?;
        if let Some(instance) = &filter.instance {
            // A backup outlives its instance, so this looks at either.
            self.known_instance(&scope, instance).await?;
        }
        let project = scope.project.or(filter.project.clone());
        let mut listed = self.catalog.backups(&scope.account, &BackupFilter { project, ..filter }).await?;
        self.tell_expiries(&mut listed.rows).await?;
        Ok(listed)
    }

    /// Plain bytes of all available backups of an instance.
    pub async fn available_bytes(&self, who: &Principal, instance: &InstanceId) -> Result<u64> {
        let scope = who.with(Right::View)?;
        if scope.project.is_some() {
            match self.known_instance(&scope, instance).await {
                Err(error) if error.kind == Kind::NotFound => return Ok(0),
                known => known?,
            }
        }
        self.catalog.available_bytes(&scope.account, instance).await
    }

    /// A backup that the caller may see; a foreign one looks like a missing one.
    pub(super) async fn visible_backup(&self, scope: &Scope, which: BackupRef) -> Result<Backup> {
        let found = self.catalog.backup(&scope.account, which).await?;
        found.filter(|backup| sees(scope, backup)).ok_or_else(|| no_backup(which))
    }

    /// Refuses an instance that the caller cannot see and that left no backup either.
    pub(super) async fn known_instance(&self, scope: &Scope, id: &InstanceId) -> Result<()> {
        match self.visible_instance(scope, id).await {
            Err(error) if error.kind == Kind::NotFound => {
                let filter = BackupFilter {
                    instance: Some(id.clone()),
                    project: scope.project.clone(),
                    page: crate::model::Page { offset: 0, limit: 1 },
                    ..BackupFilter::default()
                };
                let left = self.catalog.backups(&scope.account, &filter).await?;
                if left.total == 0 { Err(error) } else { Ok(()) }
            }
            other => other.map(drop),
        }
    }
}

/// Whether a backup is in the part of the catalog that the caller may see.
pub(super) fn sees(scope: &Scope, backup: &Backup) -> bool {
    backup.account == scope.account && (scope.project.is_none() || backup.project == scope.project)
}

/// The one answer to a missing and to a foreign backup.
pub(super) fn no_backup(which: BackupRef) -> Error {
    Error::new(Kind::NotFound, "BACKUP_NOT_FOUND", format!("no such backup: {which}"))
        .hint("list the backups with: keystow backup list")
}
