//! Shows backups.

use super::Engine;
use crate::access::{Principal, Scope};
use crate::error::{Error, Kind, Result};
use crate::model::{Backup, BackupFilter, BackupRef, InstanceId, Listed, Right};

impl Engine {
    /// One backup.
    pub async fn backup(&self, who: &Principal, which: BackupRef) -> Result<Backup> {
        self.visible_backup(&who.with(Right::View)?, which).await
    }

    /// Backups, newest first.
    pub async fn backups(&self, who: &Principal, filter: BackupFilter) -> Result<Listed<Backup>> {
        let scope = who.with(Right::View)?;
        if let Some(instance) = &filter.instance {
            // A backup outlives its instance, so this looks at either.
            self.known_instance(&scope, instance).await?;
        }
        let project = scope.project.or(filter.project.clone());
        self.catalog.backups(&scope.account, &BackupFilter { project, ..filter }).await
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
