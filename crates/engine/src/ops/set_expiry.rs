//! Sets when retention may remove a backup.

use jiff::Timestamp;
use serde_json::json;

use super::Engine;
use super::audit::Deed;
use crate::access::Principal;
use crate::error::{Error, Result};
use crate::model::{Backup, BackupRef, EventKind, Right};

impl Engine {
    /// Sets when retention may remove a backup; `None` = never by itself.
    pub async fn set_expiry(
        &self,
        who: &Principal,
        which: BackupRef,
        at: Option<Timestamp>,
    ) -> Result<Backup> {
        let deed =
            Deed::new(Right::Operate, "backup.set_expiry", "backup", which).with(json!({"expires_at": at}));
        self.audited(who, deed, async {
            let scope = who.with(Right::Operate)?;
            let backup = self.visible_backup(&scope, which).await?;
            if at.is_some_and(|at| at <= self.clock.now()) {
                return Err(
                    Error::invalid("the moment has passed already").hint("to remove a backup now, delete it")
                );
            }
            self.catalog.set_expiry(&scope.account, backup.id, at).await?;
            self.append_own_event(&backup, EventKind::Expiry(at)).await?;
            Ok(Backup { expires_at: at, ..backup })
        })
        .await
    }
}
