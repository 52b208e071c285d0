//! Instances, their shards, and the regions that they are in.

use std::collections::HashSet;

use keystow_dialects::{ListInstances, ListShards, RegionRow, Reply, ShardRow};
use keystow_engine::Error;
use keystow_engine::model::{BackupFilter, BackupState, InstanceFilter, InstanceId};

use super::{Asking, page};
use crate::http::dialects::{Refused, told};

/// What is listed where neither the operator nor an instance names a region. Every name works then, so this one too.
const ANY_REGION: &str = "default";

impl Asking<'_> {
    pub(super) async fn instances(&self, call: ListInstances) -> Result<Reply, Refused> {
        let filter = InstanceFilter {
            ids: call.ids,
            name: call.name,
            search: call.search,
            topologies: call.topologies.into_iter().map(told::our_topology).collect(),
            place: self.place.clone(),
            page: page(call.page),
            project: None,
        };
        let listed = self.engine().instances(self.who, filter).await?;
        let busy = self.busy().await?;
        let rows = listed.rows.iter();
        let rows = rows.map(|row| told::instance(row, busy.contains(&row.id), self.region.as_deref()));
        Ok(Reply::Instances { total: listed.total, rows: rows.collect() })
    }

    /// The instances with a backup under way.
    async fn busy(&self) -> Result<HashSet<InstanceId>, Error> {
        let filter = BackupFilter {
            states: vec![BackupState::Queued, BackupState::Running],
            ..BackupFilter::default()
        };
        let under_way = self.engine().backups(self.who, filter).await?;
        Ok(under_way.rows.into_iter().map(|backup| backup.instance).collect())
    }

    /// A standalone server is its own only shard. Its replicas are not known one by one.
    pub(super) async fn shards(&self, call: ListShards) -> Result<Reply, Refused> {
        let instance = self.instance(&call.instance).await?;
        let address = instance.address();
        let shard = ShardRow {
            node: instance.id.to_string(),
            shard: 0,
            primary: true,
            slots: None,
            host: address.host,
            port: address.port,
            used_bytes: instance.facts.as_ref().map_or(0, |facts| facts.used_bytes),
            connected: instance.facts.is_some(),
            zone: instance.zone.clone().unwrap_or_default(),
        };
        Ok(Reply::Shards(vec![shard]))
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
