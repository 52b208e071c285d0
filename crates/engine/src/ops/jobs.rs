//! What the jobs on a backup have in common.

use super::Engine;
use crate::error::{Error, Result};
use crate::model::{Backup, Job, JobKind, NewJob, Order};

impl Engine {
    /// Adds a job on a backup. `target`: what no other job may change meanwhile; `CONFLICT` while one does.
    pub(super) async fn request_job(
        &self,
        backup: &Backup,
        kind: JobKind,
        order: Option<Order>,
        target: Option<String>,
    ) -> Result<Job> {
        let new = NewJob {
            account: backup.account.clone(),
            backup: backup.id,
            instance: backup.instance.clone(),
            kind,
            order,
            target,
        };
        let job = self.catalog.request_job(&new, self.clock.now()).await?;
        self.job_written.notify_one();
        Ok(job)
    }

    /// The backup that a job is about.
    pub(super) async fn backup_of(&self, job: &Job) -> Result<Backup> {
        let backup = self.catalog.backup_by_id(job.backup).await?;
        backup.ok_or_else(|| Error::internal("a job has no backup", job.number))
    }
}
