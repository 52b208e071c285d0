//! When backups are taken by themselves.

use serde::Serialize;

use super::super::{BEIJING_HOURS, DAYS};
use crate::canonical::shift_week;
use crate::vocabulary::Policy;

/// `DescribeAutoBackupConfig` and `ModifyAutoBackupConfig`. No day means that none is taken.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PolicyAnswer {
    auto_backup_type: i64,
    week_days: Vec<&'static str>,
    time_period: String,
    backup_storage_days: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    binlog_storage_days: Option<u32>,
}

/// Only the action that shows a policy tells for how long logs are kept; there are none.
pub(super) fn write(policy: &Policy, shown: bool) -> PolicyAnswer {
    let (days, minute) = shift_week(policy.weekdays, policy.start_minute, BEIJING_HOURS);
    let hour = minute / 60;
    let days = DAYS.into_iter().zip(days).filter(|(_, on)| *on && policy.enabled);
    PolicyAnswer {
        auto_backup_type: 1,
        week_days: days.map(|(name, _)| name).collect(),
        time_period: format!("{hour:02}:00-{:02}:00", (hour + 1) % 24),
        backup_storage_days: policy.keep_days,
        binlog_storage_days: shown.then_some(0),
    }
}
