//! Stops a job.

use super::Engine;
use super::audit::Deed;
use crate::access::Principal;
use crate::error::{Error, Kind, Result};
use crate::model::{Job, JobFilter, Listed, ListedJob, Number, Right};

impl Engine {
    /// Asks a job to stop. A waiting one ends at once, a running one at its next heartbeat.
    pub async fn cancel_job(&self, who: &Principal, number: Number) -> Result<Job> {
        self.audited(who, Deed::new(Right::Operate, "job.cancel", "job", number), async {
            let scope = who.with(Right::Operate)?;
            self.job(who, number).await?;
            self.catalog.cancel_job(&scope.account, number, self.clock.now()).await
        })
        .await
    }

    /// One job.
    pub async fn job(&self, who: &Principal, number: Number) -> Result<Job> {
        let scope = who.with(Right::View)?;
        let missing = || Error::new(Kind::NotFound, "NOT_FOUND", format!("no such job: {number}"));
        let job = self.catalog.job(&scope.account, number).await?.ok_or_else(missing)?;
        if scope.project.is_some() {
            let backup = self.catalog.backup_by_id(job.backup).await?;
            backup.filter(|backup| backup.project == scope.project).ok_or_else(missing)?;
        }
        Ok(job)
    }

    /// Jobs, newest first. A key that is bound to a project sees those of its project only.
    pub async fn jobs(&self, who: &Principal, filter: JobFilter) -> Result<Listed<ListedJob>> {
        let scope = who.with(Right::View)?;
        if let Some(instance) = &filter.instance {
            self.known_instance(&scope, instance).await?;
        }
        let project = scope.project.or(filter.project.clone());
        self.catalog.jobs(&scope.account, &JobFilter { project, ..filter }).await
    }
}
