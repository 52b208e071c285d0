//! Does what a call asks for.

mod account;
mod backups;
mod copies;
mod instances;
mod jobs;
mod links;
mod policy;
mod restore;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use keystow_dialects::{Call, Dialect, Fault, Reply, Request};
use keystow_engine::access::Principal;
use keystow_engine::model::{Backup, BackupRef, BackupState, Instance, InstanceId, Page, Place};
use keystow_engine::ops::Engine;

use super::rules::Rules;
use super::{Dialects, Refused};

/// What of a second comes after its beginning; the catalog keeps microseconds.
const SECOND: Duration = Duration::from_micros(999_999);

/// One caller's one call.
pub(super) struct Asking<'a> {
    dialects: &'a Dialects,
    dialect: &'static dyn Dialect,
    request: &'a Request,
    who: &'a Principal,
    /// Where it looks.
    place: Place,
    /// The region in the caller's spelling, in which it is shown again.
    region: Option<String>,
}

impl<'a> Asking<'a> {
    pub(super) fn new(
        dialects: &'a Dialects,
        dialect: &'static dyn Dialect,
        request: &'a Request,
        who: &'a Principal,
        call: &Call,
    ) -> Result<Self, Fault> {
        let asked = call.place().cloned().unwrap_or_default();
        let place = dialects.rules.place(request, &asked)?;
        Ok(Self { dialects, dialect, request, who, place, region: asked.region })
    }

    pub(super) async fn perform(&self, call: Call) -> Result<Reply, Refused> {
        match call {
            Call::ListInstances(call) => self.instances(call).await,
            Call::ListShards(call) => self.shards(call).await,
            Call::ListRegions => self.regions().await,
            Call::ListProjects(call) => self.projects(call).await,
            Call::ShowAccount => self.account().await.map(Reply::Account),
            Call::ListBackups(call) => self.backups(call).await,
            Call::CreateBackup(call) => self.create(call).await,
            Call::StopBackup(call) => self.stop(call).await,
            Call::DeleteBackups(call) => self.delete(call).await,
            Call::SetExpiry(call) => self.set_expiry(call).await,
            Call::ExportBackup(call) => self.export(call).await,
            Call::LinkBackup(call) => self.link(call).await,
            Call::ListJobs(call) => self.jobs(call).await,
            Call::ShowRestriction(_) => self.restriction().await,
            Call::SetRestriction(call) => self.set_restriction(call).await,
            Call::IssueToken(call) => self.issue_token(call).await,
            Call::ShowPolicy(call) => self.policy(call).await,
            Call::Restore(call) => self.restore(call).await,
            Call::SetPolicy(call) => self.set_policy(call).await,
        }
    }

    fn engine(&self) -> &Engine {
        &self.dialects.engine
    }

    fn rules(&self) -> &Rules {
        &self.dialects.rules
    }

    fn holds(&self, region: Option<&String>, zone: Option<&String>, replica_zone: Option<&String>) -> bool {
        self.place.holds(
            region.map(String::as_str),
            zone.map(String::as_str),
            replica_zone.map(String::as_str),
        )
    }

    /// An instance that the caller sees, wherever it is.
    async fn instance_anywhere(&self, id: &str) -> Result<Arc<Instance>, Refused> {
        let missing = || Refused::Fault(Fault::NoSuchInstance(short(id)));
        let parsed: InstanceId = id.parse().map_err(|_| missing())?;
        match self.engine().instance(self.who, &parsed).await {
            Err(error) if error.code == "INSTANCE_NOT_FOUND" => {
                let foreign = self.engine().is_in_another_project(self.who, &parsed).await?;
                Err(if foreign { Fault::InstanceDenied.into() } else { missing() })
            }
            found => Ok(found?),
        }
    }

    /// An instance that the caller sees in the place asked for.
    async fn instance(&self, id: &str) -> Result<Arc<Instance>, Refused> {
        let missing = || Refused::Fault(Fault::NoSuchInstance(short(id)));
        let instance = self.instance_anywhere(id).await?;
        let there =
            self.holds(instance.region.as_ref(), instance.zone.as_ref(), instance.replica_zone.as_ref());
        if there { Ok(instance) } else { Err(missing()) }
    }

    /// A backup that the caller sees in the place asked for, of that instance if one is named.
    async fn backup(&self, instance: Option<&Instance>, id: &str) -> Result<Backup, Refused> {
        let missing = || Refused::Fault(Fault::NoSuchBackup(short(id)));
        let which: BackupRef = id.parse().map_err(|_| missing())?;
        let backup = self.engine().backup(self.who, which).await.map_err(|error| match error.code {
            "BACKUP_NOT_FOUND" => missing(),
            _ => Refused::Error(error),
        })?;
        let of_another = instance.is_some_and(|instance| instance.id != backup.instance);
        let there = self.holds(backup.region.as_ref(), backup.zone.as_ref(), backup.replica_zone.as_ref());
        if of_another || !there {
            return Err(missing());
        }
        match backup.state {
            // This vendor's lists forget it, but its errors still tell it from one that never was.
            BackupState::Expired if self.is_tencent() => Err(Fault::BackupNotReady(short(id)).into()),
            BackupState::Expired => Err(missing()),
            _ => Ok(backup),
        }
    }

    fn is_tencent(&self) -> bool {
        self.dialect.name().starts_with("tencent")
    }

    /// The instance that a call names, if it names one.
    async fn named_instance(&self, id: Option<&String>) -> Result<Option<Arc<Instance>>, Refused> {
        match id {
            Some(id) => self.instance(id).await.map(Some),
            None => Ok(None),
        }
    }
}

/// A caller's text, cut to what an answer may repeat.
fn short(text: &str) -> String {
    text.chars().take(80).collect()
}

fn page(page: keystow_dialects::Page) -> Page {
    Page { offset: page.offset, limit: page.limit }
}

/// The end of a range, which belongs to it. Rows are shown cut to the second, so that a whole second means all of it.
fn until(at: Option<SystemTime>) -> Option<Timestamp> {
    let at = moment(at)?;
    if at.subsec_nanosecond() > 0 {
        return Some(at);
    }
    Some(at.checked_add(SECOND).unwrap_or(at))
}

/// A moment that our calendar has; one beyond it narrows nothing.
fn moment(at: Option<SystemTime>) -> Option<Timestamp> {
    at.and_then(|at| at.try_into().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_second_ends_with_its_last_moment() {
        let shown = |text: &str| until(Some(text.parse::<Timestamp>().unwrap().into())).unwrap().to_string();
        assert_eq!(shown("2026-11-22T10:00:00Z"), "2026-11-22T10:00:00.999999Z");
        assert_eq!(shown("2026-11-22T10:00:00.25Z"), "2026-11-22T10:00:00.25Z");
        assert_eq!(until(None), None);
    }
}
