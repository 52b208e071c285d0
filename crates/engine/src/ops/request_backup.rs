//! Asks for a backup.

use std::time::Duration;

use serde_json::json;

use super::Engine;
use super::audit::Deed;
use crate::access::Principal;
use crate::error::{Error, Kind, Result};
use crate::model::{Backup, BackupId, InstanceId, Mode, NewBackup, Right};

/// Longest note that a person may leave on a backup, in bytes.
const LONGEST_REMARK: usize = 1024;
/// Longest time that a backup may be kept for, in days (ten years).
const LONGEST_KEEP: u32 = 3660;

/// A backup that somebody asks for.
#[derive(Debug)]
pub struct BackupOrder {
    /// The instance.
    pub instance: InstanceId,
    /// A person's name for the backup.
    pub name: Option<String>,
    /// A person's note.
    pub remark: Option<String>,
    /// Days to keep it; `None` = for ever.
    pub keep_days: Option<u32>,
}

impl BackupOrder {
    /// A backup of an instance, and nothing more.
    pub fn of(instance: InstanceId) -> Self {
        Self { instance, name: None, remark: None, keep_days: None }
    }
}

impl Engine {
    /// Adds the backup and the job that takes it, and returns at once.
    pub async fn request_backup(&self, who: &Principal, wanted: BackupOrder) -> Result<Backup> {
        let id = BackupId::mint(self.clock.now());
        let deed = Deed::new(Right::Operate, "backup.create", "backup", id).with(json!({
            "instance": wanted.instance,
            "name": wanted.name,
            "keep_days": wanted.keep_days,
        }));
        self.audited(who, deed, self.add_backup(who, id, wanted)).await
    }

    async fn add_backup(&self, who: &Principal, id: BackupId, wanted: BackupOrder) -> Result<Backup> {
        let scope = who.with(Right::Operate)?;
        let BackupOrder { instance, name, remark, keep_days } = wanted;
        // Also refuses an instance of another project.
        self.visible_instance(&scope, &instance).await?;
        for (what, text) in [("name", &name), ("remark", &remark)] {
            if text.as_ref().is_some_and(|text| text.len() > LONGEST_REMARK) {
                return Err(Error::invalid(format!("the {what} is longer than {LONGEST_REMARK} bytes")));
            }
        }
        if keep_days.is_some_and(|days| days > LONGEST_KEEP) {
            return Err(Error::invalid(format!("a backup is kept for at most {LONGEST_KEEP} days")));
        }
        let now = self.clock.now();
        let expires_at = keep_days
            .filter(|days| *days > 0)
            .map(|days| now + Duration::from_secs(u64::from(days) * 24 * 60 * 60));
        let new = NewBackup {
            account: scope.account,
            instance,
            name: name.filter(|text| !text.is_empty()),
            mode: Mode::Manual,
            remark: remark.filter(|text| !text.is_empty()),
            expires_at,
        };
        let asked = self.catalog.request_backup(id, &new, now).await;
        let backup = asked.map_err(|error| match error.kind {
            Kind::Conflict => Error { code: "BACKUP_RUNNING", ..error },
            _ => error,
        })?;
        self.job_written.notify_one();
        Ok(backup)
    }
}
