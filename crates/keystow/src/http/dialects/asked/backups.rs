//! Backups: list, take, stop, delete, keep.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use keystow_dialects::{
    AddressLimit, BackupState as Shown, CreateBackup, DeleteBackups, ExportBackup, Fault, LinkRow,
    ListBackups, Networks, Reply, SetExpiry, StopBackup, Unit,
};
use keystow_engine::Kind;
use keystow_engine::model::{
    self, Backup, BackupFilter, BackupId, BackupRef, BackupState, Instance, JobFilter, JobKind, JobState,
    Mode, Right, Topology,
};
use keystow_engine::ops::{BackupOrder, LinkOrder};

use super::{Asking, moment, page, short, until};
use crate::http::dialects::{Refused, told};

/// Days from which a vendor means "as long as the instance lives".
const FOR_EVER_DAYS: u32 = 36_500;

/// The orders of a list's links, which differ by the backup's region alone.
type Orders = HashMap<Option<String>, LinkOrder>;

impl Asking<'_> {
    pub(super) async fn backups(&self, call: ListBackups) -> Result<Reply, Refused> {
        let nothing = Reply::Backups { total: 0, full_bytes: 0, rows: Vec::new() };
        let copies = call.copies.map(|end| self.copies(end));
        let instance = match (&call.instance, &copies) {
            // The copies that a region keeps are of instances elsewhere.
            (Some(id), Some(_)) => Some(self.instance_anywhere(id).await?),
            (id, _) => self.named_instance(id.as_ref()).await?,
        };
        if call.nothing || copies.as_ref().is_some_and(|copies| copies.repositories.is_empty()) {
            return Ok(nothing);
        }
        let backup = match call.backup.as_deref().map(str::parse::<BackupRef>) {
            Some(Err(_)) => return Ok(nothing),
            Some(Ok(which)) => Some(which),
            None => None,
        };
        let id = instance.as_ref().map(|instance| instance.id.clone());
        let full_bytes = match &id {
            Some(id) => self.engine().available_bytes(self.who, id).await?,
            None => 0,
        };
        let filter = BackupFilter {
            project: None,
            instance: id,
            instance_search: call.instance_search,
            search: call.search,
            place: copies.as_ref().map_or_else(|| self.place.clone(), |copies| copies.place.clone()),
            copied_to: copies.as_ref().map(|copies| copies.repositories.clone()).unwrap_or_default(),
            backup,
            job: call.job,
            since: moment(call.since),
            until: until(call.until),
            states: states(&call.states),
            mode: call.automated.map(|automated| if automated { Mode::Automated } else { Mode::Manual }),
            oldest_first: call.oldest_first,
            unit: our_unit(call.unit),
            page: page(call.page),
        };
        let listed = self.engine().backups(self.who, filter).await?;
        if listed.rows.is_empty() {
            self.say_why(instance.as_deref(), call.backup.as_deref()).await?;
        }
        // A list is shown without links to a key that may see but not download.
        let linked = call.links && self.who.role().allows(Right::Link);
        let mut orders = Orders::new();
        let mut rows = Vec::new();
        for backup in &listed.rows {
            let mut row = told::backup(backup, call.unit, self.region.as_deref());
            if let Some(copies) = &copies {
                (row.region, row.copy_region) = self.regions_of(copies, backup).await?;
            }
            if linked && backup.state == BackupState::Available {
                match self.usual_links(backup, &mut orders).await {
                    Ok(links) => row.parts = links,
                    Err(refused) => shown_without_links(backup, refused)?,
                }
            }
            rows.push(row);
        }
        Ok(Reply::Backups { total: listed.total, full_bytes, rows })
    }

    /// Why there is none of a backup that is asked for alone, where the vendor tells one that is gone from one that never
    /// was.
    async fn say_why(&self, instance: Option<&Instance>, backup: Option<&str>) -> Result<(), Refused> {
        match backup.filter(|_| self.is_tencent()) {
            Some(id) => self.backup(instance, id).await.map(drop),
            None => Ok(()),
        }
    }

    /// The links that a list shows: with the limits that the account has set, as long-lived as this vendor's are.
    async fn usual_links(&self, backup: &Backup, orders: &mut Orders) -> Result<Vec<LinkRow>, Refused> {
        let order = match orders.entry(backup.region.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                place.insert(self.order(backup, Networks::Both, AddressLimit::Default, None).await?)
            }
        };
        Ok(told::links(backup, self.engine().issue_links(self.who, backup, order).await?))
    }

    pub(super) async fn create(&self, call: CreateBackup) -> Result<Reply, Refused> {
        self.who.with(Right::Operate)?;
        let instance = self.instance(&call.instance).await?;
        let keep_days = match call.keep_days {
            // This vendor keeps it as long as one that its policy takes.
            None if self.dialect.name() == "alibaba" => self.policy_days(&instance.id).await?,
            asked => asked,
        };
        let order = BackupOrder {
            instance: instance.id.clone(),
            name: call.name,
            remark: call.remark,
            keep_days: keep_days.filter(|days| *days < FOR_EVER_DAYS),
        };
        let asked = self.engine().request_backup(self.who, order).await;
        let backup = asked.map_err(|error| match error.code {
            "BACKUP_RUNNING" => Refused::Fault(Fault::InstanceBusy(instance.id.to_string())),
            _ => Refused::Error(error),
        })?;
        Ok(Reply::Started { job: backup.job, backup: backup.id.to_string() })
    }

    pub(super) async fn stop(&self, call: StopBackup) -> Result<Reply, Refused> {
        self.who.with(Right::Operate)?;
        let backup = self.backup(None, &call.backup).await?;
        if !backup.state.is_active() {
            return Err(Fault::BackupNotReady(short(&call.backup)).into());
        }
        let job = self.engine().cancel_job(self.who, backup.job).await?;
        Ok(Reply::Done { job: Some(job.number) })
    }

    /// All of them or, if one cannot be deleted, none.
    pub(super) async fn delete(&self, call: DeleteBackups) -> Result<Reply, Refused> {
        self.who.with(Right::Operate)?;
        let instance = self.named_instance(call.instance.as_ref()).await?;
        let mut backups: Vec<Backup> = Vec::new();
        for id in &call.backups {
            let backup = self.backup(instance.as_deref(), id).await?;
            if backup.state.is_active() {
                return Err(Fault::BackupNotReady(short(id)).into());
            }
            if backup.protected {
                return Err(Fault::BackupProtected(short(id)).into());
            }
            if !backups.iter().any(|known| known.id == backup.id) {
                backups.push(backup);
            }
        }
        let read = self.read_now().await?;
        if let Some(backup) = backups.iter().find(|backup| read.contains(&backup.id)) {
            return Err(Fault::InstanceBusy(backup.instance.to_string()).into());
        }
        let mut last = None;
        for backup in &backups {
            let deleted = self.engine().delete_backup(self.who, BackupRef::Id(backup.id)).await;
            let (_, job) = deleted.map_err(|error| match error.code {
                "CONFLICT" => Refused::Fault(Fault::InstanceBusy(backup.instance.to_string())),
                _ => Refused::Error(error),
            })?;
            last = Some(job);
        }
        Ok(Reply::Done { job: last })
    }

    /// The backups that jobs read, which must not go meanwhile.
    async fn read_now(&self) -> Result<HashSet<BackupId>, Refused> {
        let filter = JobFilter {
            kinds: vec![JobKind::Restore, JobKind::Drill],
            states: vec![JobState::Queued, JobState::Running],
            ..JobFilter::default()
        };
        let jobs = self.engine().jobs(self.who, filter).await?;
        Ok(jobs.rows.into_iter().map(|listed| listed.job.backup).collect())
    }

    /// A vendor's expiry moves later only: what was promised to be kept is kept. It is shown without seconds.
    pub(super) async fn set_expiry(&self, call: SetExpiry) -> Result<Reply, Refused> {
        self.who.with(Right::Operate)?;
        let instance = self.instance(&call.instance).await?;
        let backup = self.backup(Some(&instance), &call.backup).await?;
        let bad =
            |why: &str| Fault::BadParameter { name: "ExpectExpireTime".to_owned(), why: why.to_owned() };
        let at = moment(Some(call.expires_at)).ok_or_else(|| bad("is not a time"))?;
        if at <= self.engine().clock().now() {
            return Err(bad("has passed already").into());
        }
        let is_earlier = |present: Timestamp| at.as_second() < present.as_second().div_euclid(60) * 60;
        if backup.expires_at.is_some_and(is_earlier) {
            return Err(bad("is earlier than the present one").into());
        }
        let at = backup.expires_at.map_or(at, |present| at.max(present));
        self.engine().set_expiry(self.who, BackupRef::Id(backup.id), Some(at)).await?;
        Ok(Reply::Done { job: None })
    }

    /// What is kept here is what is downloaded, so there is nothing to prepare: the answer names the job that took it.
    pub(super) async fn export(&self, call: ExportBackup) -> Result<Reply, Refused> {
        self.who.with(Right::Operate)?;
        let instance = self.instance(&call.instance).await?;
        if instance.facts.as_ref().is_none_or(|facts| facts.topology != Topology::Cluster) {
            return Err(Fault::ClusterOnly.into());
        }
        let backup = self.backup(Some(&instance), &call.backup).await?;
        if backup.state != BackupState::Available {
            return Err(Fault::BackupNotReady(short(&call.backup)).into());
        }
        Ok(Reply::Started { job: backup.job, backup: backup.id.to_string() })
    }
}

/// A limit that was kept may mean nothing any more, as when its network has left the configuration. That is no reason
/// to hide backups; whoever asks for a link itself is told.
fn shown_without_links(backup: &Backup, refused: Refused) -> Result<(), Refused> {
    let why = match refused {
        Refused::Fault(fault @ Fault::BadParameter { .. }) => fault.to_string(),
        Refused::Error(error) if error.kind == Kind::Invalid => error.to_string(),
        other => return Err(other),
    };
    tracing::warn!(backup = %backup.id, why, "a backup is listed without links");
    Ok(())
}

fn our_unit(unit: Unit) -> model::Unit {
    match unit {
        Unit::Set => model::Unit::Set,
        Unit::Part => model::Unit::Part,
    }
}

/// Our states behind a vendor's. An empty list stays empty: all but the expired ones.
fn states(shown: &[Shown]) -> Vec<BackupState> {
    shown
        .iter()
        .flat_map(|state| match state {
            Shown::Running => &[BackupState::Queued, BackupState::Running][..],
            Shown::Available => &[BackupState::Available],
            Shown::Failed => {
                &[BackupState::Failed, BackupState::Partial, BackupState::Quarantined, BackupState::Damaged]
            }
        })
        .copied()
        .collect()
}
