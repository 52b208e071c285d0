//! Instances, their shards, and the regions that they are in.

use std::collections::HashSet;

use keystow_dialects::{ListInstances, ListShards, RegionRow, Reply};
use keystow_engine::Error;
use keystow_engine::model::{
    BackupFilter, BackupState, InstanceFilter, InstanceId, JobFilter, JobKind, JobState, Order,
};

use super::{Asking, page};
use crate::http::dialects::{Refused, told};

/// What is listed where neither the operator nor an instance names a region. Every name works then, so this one too.
const ANY_REGION: &str = "default";

/// The targets of restores: by id, and where one was named by its address.
#[derive(Default)]
struct Restored {
    ids: HashSet<InstanceId>,
    urls: HashSet<String>,
}

impl Asking<'_> {
    pub(super) async fn instances(&self, call: ListInstances) -> Result<Reply, Refused> {
        let filter = InstanceFilter {
            ids: call.ids,
            name: call.name,
            search: call.search,
            any_of: call.any_of,
            topologies: call.topologies.into_iter().map(told::our_topology).collect(),
            order: told::our_order(call.order),
            descending: call.descending,
            place: self.place.clone(),
            page: page(call.page),
            project: None,
        };
        let listed = self.engine().instances(self.who, filter).await?;
        let (backed_up, restored) = (self.backed_up().await?, self.restored().await?);
        let mut rows = Vec::new();
        for row in &listed.rows {
            let backup = backed_up.contains(&row.id);
            let restore = restored.ids.contains(&row.id) || restored.urls.contains(&row.url);
            // The others show it by an action of its own.
            let policy = match self.dialect.name() {
                "ucloud" | "huawei" => self.shown_policy(&row.id).await?,
                _ => None,
            };
            let doing = told::Doing { backup, restore };
            rows.push(told::instance(row, doing, policy, self.region.as_deref()));
        }
        Ok(Reply::Instances { total: listed.total, rows })
    }

    /// The instances with a backup under way.
    async fn backed_up(&self) -> Result<HashSet<InstanceId>, Error> {
        let filter = BackupFilter {
            states: vec![BackupState::Queued, BackupState::Running],
            ..BackupFilter::default()
        };
        let under_way = self.engine().backups(self.who, filter).await?;
        Ok(under_way.rows.into_iter().map(|backup| backup.instance).collect())
    }

    /// The instances with a restore under way into them. A job's own instance is the one that its backup is of.
    async fn restored(&self) -> Result<Restored, Error> {
        let filter = JobFilter {
            kinds: vec![JobKind::Restore],
            states: vec![JobState::Queued, JobState::Running],
            ..JobFilter::default()
        };
        let under_way = self.engine().jobs(self.who, filter).await?;
        let mut restored = Restored::default();
        for listed in under_way.rows {
            match listed.job.order {
                Some(Order::Restore(order)) => {
                    restored.ids.extend(order.instance);
                    restored.urls.insert(order.url);
                }
                _ => {
                    restored.ids.insert(listed.job.instance);
                }
            }
        }
        Ok(restored)
    }

    pub(super) async fn shards(&self, call: ListShards) -> Result<Reply, Refused> {
        let instance = self.instance(&call.instance).await?;
        Ok(Reply::Shards(told::shards(&instance, call.primaries_only)))
    }

    pub(super) async fn regions(&self) -> Result<Reply, Refused> {
        let listed = self.engine().instances(self.who, InstanceFilter::default()).await?;
        let places = listed.rows.iter().filter_map(|row| Some((row.region.as_deref()?, row.zone.as_deref())));
        let mut rows = self.rules().listed(self.request, places);
        if rows.is_empty() {
            let nowhere = listed.rows.iter().filter(|row| row.region.is_none());
            let zones = nowhere.filter_map(|row| row.zone.clone()).collect::<HashSet<_>>();
            rows.push(RegionRow { id: ANY_REGION.to_owned(), zones: zones.into_iter().collect() });
        }
        Ok(Reply::Regions(rows))
    }
}
