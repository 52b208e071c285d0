//! Restores. The clouds overwrite the instance: what it holds goes, what the backup holds comes, with the expiries that
//! it has there.

use std::time::{Duration, SystemTime};

use keystow_dialects::{Fault, Reply, Restore, RestoreFrom};
use keystow_engine::model::{
    Backup, BackupFilter, BackupRef, BackupState, Instance, InstanceId, KeyChoice, OnConflict, RestoreMethod,
    Right, Secret, TtlPolicy,
};
use keystow_engine::ops::{RestoreRequest, Target};
use keystow_engine::{Error, Kind};

use super::{Asking, moment, short};
use crate::http::dialects::Refused;

/// Times of restores are told to the minute by some vendors.
const MINUTE: Duration = Duration::from_mins(1);

impl Asking<'_> {
    pub(super) async fn restore(&self, call: Restore) -> Result<Reply, Refused> {
        self.who.with(Right::Operate)?;
        let instance = self.instance(&call.instance).await?;
        let backup = match &call.from {
            RestoreFrom::Backup(id) => self.backup(Some(&instance), id).await?,
            RestoreFrom::Moment { instance: None, at } => self.backup_of_moment(&instance.id, *at).await?,
            RestoreFrom::Moment { instance: Some(source), at } => {
                let source = self.instance(source).await?;
                self.backup_of_moment(&source.id, *at).await?
            }
        };
        if backup.state.is_active() {
            return Err(Fault::BackupBusy(short(&backup.id.to_string())).into());
        }
        if backup.state != BackupState::Available {
            return Err(Fault::BackupNotReady(short(&backup.id.to_string())).into());
        }
        if let Some(password) = &call.password
            && !self.engine().accepts_password(&instance, &Secret::new(password.expose().to_vec()))?
        {
            return Err(Fault::WrongPassword.into());
        }
        let wanted = RestoreRequest {
            backup: BackupRef::Id(backup.id),
            target: Target::Instance(instance.id.clone()),
            method: RestoreMethod::Auto,
            on_conflict: OnConflict::Replace,
            ttl: TtlPolicy::Keep,
            choice: KeyChoice::default(),
            wipe: true,
            accept_partial: false,
        };
        let asked = self.engine().request_restore(self.who, wanted).await;
        let (_, job) = asked.map_err(|error| refusal(error, &instance))?;
        Ok(Reply::Started { job: job.number, backup: backup.id.to_string() })
    }

    /// The backup that a moment stands for. Between two backups nothing is known of an instance, so that it must be a
    /// backup's own: to the millisecond, or where the caller tells minutes only, the one that began in that minute.
    async fn backup_of_moment(&self, instance: &InstanceId, at: SystemTime) -> Result<Backup, Refused> {
        let no_backup = || {
            let name = if self.dialect.name() == "alibaba" { "RestoreTime" } else { "restore_time" };
            let why = "is not the time of a backup; there is nothing to restore in between".to_owned();
            Refused::Fault(Fault::BadParameter { name: name.to_owned(), why })
        };
        let from = moment(Some(at)).ok_or_else(no_backup)?;
        let until = from.checked_add(MINUTE).map_err(|_| no_backup())?;
        let filter = BackupFilter {
            instance: Some(instance.clone()),
            place: self.place.clone(),
            since: Some(from),
            until: Some(until),
            states: vec![BackupState::Available],
            ..BackupFilter::default()
        };
        let found = self.engine().backups(self.who, filter).await?.rows;
        let began = |backup: &Backup| backup.started_at.unwrap_or(backup.created_at);
        let exact = found.iter().find(|backup| began(backup).as_millisecond() == from.as_millisecond());
        let minute = from.as_millisecond() % 60_000 == 0;
        let within = || found.iter().find(|backup| minute && began(backup) < until);
        exact.or_else(within).cloned().ok_or_else(no_backup)
    }
}

/// What a vendor's client is told of a restore that is refused. That the target is not in a state for it, or keeps us
/// out, is nothing that the caller did wrong.
fn refusal(error: Error, instance: &Instance) -> Refused {
    match error.code {
        "RESTORE_BACKUP_STATE" => Fault::BackupNotReady(error.message.to_string()).into(),
        "CONFLICT" => Fault::InstanceBusy(instance.id.to_string()).into(),
        code if code.starts_with("TARGET_") && error.kind != Kind::Internal => {
            Fault::InstanceAbnormal(error.to_string()).into()
        }
        code if code.starts_with("RESTORE_") && error.kind != Kind::Internal => {
            Fault::Unavailable(error.to_string()).into()
        }
        _ => Refused::Error(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_that_refuses_is_not_the_callers_fault() {
        let instance = Instance {
            id: "r-1".parse().unwrap(),
            account: keystow_engine::model::AccountId::default(),
            project: None,
            name: String::new(),
            url: String::new(),
            username: None,
            sealed_password: None,
            sealed_login: None,
            capture: keystow_engine::model::CaptureOptions::default(),
            region: None,
            zone: None,
            replica_zone: None,
            created_at: jiff::Timestamp::UNIX_EPOCH,
            facts: None,
        };
        let told = |kind, code| refusal(Error::new(kind, code, "x"), &instance);
        let unavailable = |refused| matches!(refused, Refused::Fault(Fault::Unavailable(_)));
        let abnormal = |refused| matches!(refused, Refused::Fault(Fault::InstanceAbnormal(_)));
        assert!(abnormal(told(Kind::Denied, "TARGET_DENIED")));
        assert!(abnormal(told(Kind::Unreachable, "TARGET_UNREACHABLE")));
        assert!(unavailable(told(Kind::Invalid, "RESTORE_TARGET_REPLICA")));
        assert!(
            matches!(told(Kind::Conflict, "CONFLICT"), Refused::Fault(Fault::InstanceBusy(id)) if id == "r-1")
        );
        assert!(matches!(
            told(Kind::Conflict, "RESTORE_BACKUP_STATE"),
            Refused::Fault(Fault::BackupNotReady(_))
        ));
        assert!(matches!(told(Kind::Internal, "INTERNAL"), Refused::Error(_)));
    }
}
