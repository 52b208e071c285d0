//! Copies that repositories of other regions keep.

use keystow_dialects::{CopyEnd, Fault};
use keystow_engine::model::{Backup, BackupRef, Place};

use super::Asking;
use crate::http::dialects::Refused;

/// The copies that a list asks for.
pub(super) struct Copies {
    end: CopyEnd,
    /// The repositories that keep them.
    pub(super) repositories: Vec<String>,
    /// Where their instances are.
    pub(super) place: Place,
}

impl Asking<'_> {
    /// The copies of this region's instances in others, or those of others' instances in this region.
    pub(super) fn copies(&self, end: CopyEnd) -> Copies {
        let asked = self.rules().canonical(self.region.as_deref());
        let wanted =
            |region: &str| (self.rules().canonical(Some(region)) == asked) == (end == CopyEnd::Target);
        let repositories = self.engine().copy_repositories();
        let repositories = repositories.filter(|(_, region)| region.is_some_and(wanted));
        let place = match end {
            CopyEnd::Source => self.place.clone(),
            CopyEnd::Target => {
                let beyond = [self.place.beyond.clone(), self.place.regions.clone()].concat();
                Place { regions: Vec::new(), beyond, ..self.place.clone() }
            }
        };
        Copies { end, repositories: repositories.map(|(name, _)| name.to_owned()).collect(), place }
    }

    /// The region of a backup's instance, and the one that keeps its copy: the caller's own as the caller spells it, the
    /// other as it was set.
    pub(super) async fn regions_of(
        &self,
        copies: &Copies,
        backup: &Backup,
    ) -> Result<(String, String), Refused> {
        let asked = self.region.clone().unwrap_or_default();
        if copies.end == CopyEnd::Target {
            return Ok((backup.region.clone().unwrap_or_default(), asked));
        }
        let found = self.engine().copies(self.who, BackupRef::Id(backup.id)).await?;
        let found =
            found.iter().find(|copy| copy.is_whole() && copies.repositories.contains(&copy.repository));
        let away = found.and_then(|copy| self.region_of(&copy.repository)).unwrap_or_default();
        Ok((backup.region.as_ref().map(|_| asked).unwrap_or_default(), away.to_owned()))
    }

    /// The repository of another region that has a whole copy of a backup.
    pub(super) async fn copy_elsewhere(&self, backup: &Backup) -> Result<String, Refused> {
        let home = self.rules().canonical(backup.region.as_deref().or(self.region.as_deref()));
        let copies = self.engine().copies(self.who, BackupRef::Id(backup.id)).await?;
        let is_elsewhere = |name: &str| {
            self.region_of(name).is_some_and(|region| self.rules().canonical(Some(region)) != home)
        };
        let found = copies.into_iter().find(|copy| copy.is_whole() && is_elsewhere(&copy.repository));
        found.map(|copy| copy.repository).ok_or_else(|| Fault::NoSuchBackup(backup.id.to_string()).into())
    }

    fn region_of(&self, repository: &str) -> Option<&str> {
        self.engine().copy_repositories().find(|(name, _)| *name == repository)?.1
    }
}
