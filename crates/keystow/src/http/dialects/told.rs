//! Our nouns in the words that all vendors share.

use std::collections::BTreeMap;

use keystow_dialects::{
    AddressLimit, BackupRow, BackupState as Shown, Fault, InstanceOrder as Order, InstanceRow,
    JobKind as ShownKind, JobRow, JobState as ShownJob, LinkRow, Networks, Policy, Restriction, ShardRow,
    Topology, Unit,
};
use keystow_engine::model::{
    self, Backup, BackupState, Instance, InstanceId, InstanceOrder, JobKind, JobState, LinkRestriction,
    ListedJob, Method, Mode, Network, NodeFacts, Number, Part, ServerFacts,
};
use keystow_engine::ops::IssuedLink;
use keystow_engine::{Error, Kind};

/// What a vendor's client is told of our error.
pub(super) fn fault(error: &Error, request_id: &str) -> Fault {
    if super::is_ours(error) {
        tracing::error!(request = request_id, code = error.code, %error, "a request failed");
    }
    match error.kind {
        Kind::Invalid => bad_value(&error.to_string()),
        Kind::Unauthenticated if error.code == "SESSION_OVER" => Fault::TokenOver,
        Kind::Unauthenticated => Fault::UnknownKey,
        // What is beyond a key's project has no instance either.
        Kind::Denied if matches!(error.code, "ROLE_DENIED" | "PROJECT_DENIED") => Fault::ActionDenied,
        Kind::Denied if error.code == "ADDRESS_DENIED" => Fault::AddressDenied,
        Kind::Denied => Fault::InstanceDenied,
        Kind::NotFound if error.code == "INSTANCE_NOT_FOUND" => {
            Fault::NoSuchInstance(error.message.to_string())
        }
        Kind::NotFound if error.code == "BACKUP_NOT_FOUND" => Fault::NoSuchBackup(error.message.to_string()),
        Kind::NotFound => Fault::NoSuchJob(error.message.to_string()),
        Kind::Conflict | Kind::Unreachable => Fault::Unavailable(error.to_string()),
        Kind::Cancelled | Kind::Corrupt | Kind::NoSpace | Kind::Internal => Fault::Internal,
    }
}

/// Our text names the value in its first words, such as "the remark is longer than 1024 bytes".
fn bad_value(text: &str) -> Fault {
    let named = text.strip_prefix("the ").and_then(|text| text.split_once(" is "));
    let (name, why) = match named {
        Some((name, why)) if !name.contains(' ') => (name, format!("is {why}")),
        _ => ("value", text.to_owned()),
    };
    Fault::BadParameter { name: name.to_owned(), why }
}

fn topology(topology: model::Topology) -> Topology {
    match topology {
        model::Topology::Standalone => Topology::Standalone,
        model::Topology::Sentinel => Topology::Sentinel,
        model::Topology::Cluster => Topology::Cluster,
    }
}

/// The region of something, in the spelling that the caller used for it.
fn region(own: Option<&String>, asked: Option<&str>) -> String {
    own.map(|own| asked.unwrap_or(own).to_owned()).unwrap_or_default()
}

/// Node id of a shard: the instance's own for anything but a cluster.
pub(super) fn node(backup: &Backup, shard: u32) -> String {
    node_of(&backup.instance, backup.server.as_ref(), shard)
}

fn node_of(instance: &InstanceId, facts: Option<&ServerFacts>, shard: u32) -> String {
    match facts.map(|facts| facts.topology) {
        Some(model::Topology::Cluster) => format!("{instance}-db-{shard}"),
        _ => instance.to_string(),
    }
}

/// Bytes that an instance of so many shards may use and uses. A server speaks of itself; shards are taken to be alike.
fn memory(facts: Option<&ServerFacts>, shards: u32) -> (u64, u64) {
    let Some(facts) = facts else { return (0, 0) };
    let most = if facts.max_bytes > 0 { facts.max_bytes } else { facts.used_bytes };
    (most.saturating_mul(shards.into()), facts.used_bytes.saturating_mul(shards.into()))
}

/// What runs on an instance.
#[derive(Debug, Clone, Copy)]
pub(super) struct Doing {
    pub(super) backup: bool,
    pub(super) restore: bool,
}

pub(super) fn instance(
    instance: &Instance,
    doing: Doing,
    policy: Option<Policy>,
    asked: Option<&str>,
) -> InstanceRow {
    let address = instance.address();
    let facts = instance.facts.as_ref();
    let shards = facts.map_or(1, |facts| facts.shards.max(1));
    let (memory_bytes, used_bytes) = memory(facts, shards);
    InstanceRow {
        id: instance.id.to_string(),
        name: instance.name.clone(),
        region: region(instance.region.as_ref(), asked),
        zone: instance.zone.clone().unwrap_or_default(),
        replica_zone: instance.replica_zone.clone().unwrap_or_default(),
        project: instance.project.as_ref().map(ToString::to_string).unwrap_or_default(),
        version: facts.map(|facts| facts.version.clone()).unwrap_or_default(),
        valkey: facts.is_some_and(|facts| facts.valkey),
        topology: facts.map_or(Topology::Standalone, |facts| topology(facts.topology)),
        shards,
        replicas: facts.map_or(0, |facts| facts.replicas),
        host: address.host,
        port: address.port,
        memory_bytes,
        used_bytes,
        password: instance.sealed_password.is_some(),
        busy: doing.backup || doing.restore,
        restoring: doing.restore,
        policy,
        created_at: instance.created_at.into(),
    }
}

/// An instance's servers, shard by shard, the primary first. What is known of one server alone is its own only shard.
pub(super) fn shards(instance: &Instance, primaries_only: bool) -> Vec<ShardRow> {
    let facts = instance.facts.as_ref();
    let (memory_bytes, used_bytes) = memory(facts, 1);
    let address = instance.address();
    let alone = ShardRow {
        node: node_of(&instance.id, facts, 0),
        shard: 0,
        primary: true,
        slots: Vec::new(),
        host: address.host,
        port: address.port,
        memory_bytes,
        used_bytes,
        connected: facts.is_some(),
        zone: instance.zone.clone().unwrap_or_default(),
    };
    let mut nodes: Vec<_> = facts.iter().flat_map(|facts| &facts.nodes).collect();
    if nodes.is_empty() {
        return vec![alone];
    }
    nodes.sort_by_key(|node| (node.shard, !node.primary));
    if primaries_only {
        // Of a shard without one, the first server stands for it.
        nodes.dedup_by_key(|node| node.shard);
    }
    let row = |node: &NodeFacts| {
        let address = node.address();
        let zone = if node.primary { None } else { instance.replica_zone.as_ref() };
        ShardRow {
            node: node_of(&instance.id, facts, node.shard),
            shard: node.shard,
            primary: node.primary,
            slots: node.slots.ranges().to_vec(),
            host: address.host,
            port: address.port,
            connected: node.healthy,
            zone: zone.or(instance.zone.as_ref()).cloned().unwrap_or_default(),
            ..alone.clone()
        }
    };
    nodes.into_iter().map(row).collect()
}

pub(super) fn backup(backup: &Backup, unit: Unit, asked: Option<&str>) -> BackupRow {
    let server = backup.server.as_ref();
    // In a list of parts, each record carries its own part alone.
    let part = backup.parts.first().filter(|_| unit == Unit::Part);
    let parts = u32::try_from(backup.parts.len()).unwrap_or(u32::MAX);
    let shards = parts.max(server.map_or(1, |facts| facts.shards)).max(1);
    BackupRow {
        id: backup.id.to_string(),
        name: backup.name.clone().unwrap_or_default(),
        number: part.map_or(backup.number, |part| part.number),
        job: backup.job,
        instance: backup.instance.to_string(),
        instance_name: backup.instance_name.clone(),
        region: region(backup.region.as_ref(), asked),
        zone: backup.zone.clone().unwrap_or_default(),
        node: node(backup, part.map_or(0, |part| part.sealed.shard)),
        state: match backup.state {
            BackupState::Queued | BackupState::Running => Shown::Running,
            BackupState::Available => Shown::Available,
            BackupState::Partial
            | BackupState::Quarantined
            | BackupState::Failed
            | BackupState::Expired
            | BackupState::Damaged => Shown::Failed,
        },
        automated: backup.mode == Mode::Automated,
        logical: backup.method == Method::Logical,
        incremental: false,
        remark: backup.remark.clone().unwrap_or_default(),
        version: server.map(|facts| facts.version.clone()).unwrap_or_default(),
        topology: server.map_or(Topology::Standalone, |facts| topology(facts.topology)),
        valkey: server.is_some_and(|facts| facts.valkey),
        shards,
        replicas: server.map_or(0, |facts| facts.replicas),
        memory_bytes: memory(server, shards).0,
        size_bytes: backup.size_bytes(),
        started_at: backup.started_at.unwrap_or(backup.created_at).into(),
        ended_at: backup.ended_at.map(Into::into),
        expires_at: backup.expires_at.map(Into::into),
        copy_region: String::new(),
        parts: match backup.state {
            BackupState::Available => backup.parts.iter().map(|part| bare(backup, part)).collect(),
            _ => Vec::new(),
        },
    }
}

/// A part without links.
fn bare(backup: &Backup, part: &Part) -> LinkRow {
    LinkRow {
        number: part.number,
        node: node(backup, part.sealed.shard),
        file_name: part.sealed.file_name.clone(),
        size_bytes: part.sealed.size_bytes,
        ..LinkRow::default()
    }
}

/// One row a part that links were issued for, with the links of each network.
pub(super) fn links(backup: &Backup, issued: Vec<IssuedLink>) -> Vec<LinkRow> {
    let mut rows: BTreeMap<Number, LinkRow> = BTreeMap::new();
    for link in issued {
        let Some(part) = backup.parts.iter().find(|part| part.number == link.part) else { continue };
        let row = rows.entry(part.number).or_insert_with(|| bare(backup, part));
        row.expires_at = link.expires_at.into();
        match link.network {
            Network::Public => row.public_url = Some(link.url),
            Network::Intranet => row.intranet_url = Some(link.url),
        }
    }
    rows.into_values().collect()
}

pub(super) fn our_order(order: Order) -> InstanceOrder {
    match order {
        Order::Id => InstanceOrder::Id,
        Order::Created => InstanceOrder::Created,
        Order::Name => InstanceOrder::Name,
        Order::Project => InstanceOrder::Project,
        Order::Topology => InstanceOrder::Topology,
    }
}

pub(super) fn our_topology(topology: Topology) -> model::Topology {
    match topology {
        Topology::Standalone => model::Topology::Standalone,
        Topology::Sentinel => model::Topology::Sentinel,
        Topology::Cluster => model::Topology::Cluster,
    }
}

pub(super) fn job(listed: &ListedJob) -> JobRow {
    let job = &listed.job;
    JobRow {
        number: job.number,
        kind: match job.kind {
            JobKind::TakeBackup => ShownKind::Backup,
            JobKind::RemoveBackup => ShownKind::RemoveBackup,
            // No vendor has the others; they are never listed to one.
            JobKind::Restore | JobKind::Drill | JobKind::Scrub | JobKind::Copy | JobKind::Repair => {
                ShownKind::Restore
            }
        },
        state: match job.state {
            JobState::Queued => ShownJob::Waiting,
            JobState::Running => ShownJob::Running,
            // What it took is not all, or not vouched for: no vendor calls such a backup one.
            JobState::Done if in_doubt(job) => ShownJob::Failed,
            JobState::Done => ShownJob::Done,
            JobState::Failed | JobState::Cancelled => ShownJob::Failed,
        },
        percent: percent(job),
        automated: listed.mode == Mode::Automated,
        instance: job.instance.to_string(),
        instance_name: listed.instance_name.clone(),
        project: listed.project.as_ref().map(ToString::to_string).unwrap_or_default(),
        backup: job.backup.to_string(),
        created_at: job.created_at.into(),
        started_at: job.started_at.map(Into::into),
        ended_at: job.ended_at.map(Into::into),
        failure: job.failure.as_ref().map(|failure| failure.message.clone()).unwrap_or_default(),
    }
}

/// Whether a job ended without all that it was to take.
fn in_doubt(job: &model::Job) -> bool {
    job.kind == JobKind::TakeBackup && job.failure.is_some()
}

/// How much of a job is done. Without a size in advance a running one stays at 0; only a done one is at 100.
fn percent(job: &model::Job) -> u8 {
    match (job.state, job.progress.total_bytes) {
        (JobState::Done, _) if !in_doubt(job) => 100,
        (_, Some(total)) if total > 0 => {
            let done = u128::from(job.progress.bytes) * 100 / u128::from(total);
            u8::try_from(done.min(99)).unwrap_or(99)
        }
        _ => 0,
    }
}

pub(super) fn restriction(kept: &LinkRestriction) -> Restriction {
    Restriction {
        networks: if kept.intranet_only { Networks::Intranet } else { Networks::Both },
        limit: match &kept.limit {
            None => AddressLimit::None,
            Some(limit) => AddressLimit::Custom {
                except: limit.except,
                addresses: limit.addresses.clone(),
                vpcs: limit.vpcs.clone(),
            },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster() -> Instance {
        let node = |shard: u32, port: u16, primary: bool, slots: &[(u16, u16)]| NodeFacts {
            shard,
            url: format!("redis://10.0.0.1:{port}"),
            primary,
            healthy: true,
            slots: model::Slots::new(slots.iter().copied()),
        };
        let (first, second) = ([(0, 9), (20, 8191)], [(10, 19), (8192, 16383)]);
        let facts = ServerFacts {
            valkey: true,
            version: "9.1.2".to_owned(),
            role: "master".to_owned(),
            used_bytes: 5,
            max_bytes: 100,
            replicas: 1,
            topology: model::Topology::Cluster,
            shards: 2,
            nodes: vec![
                node(0, 1, false, &first),
                node(0, 2, true, &first),
                node(1, 3, true, &second),
                node(1, 4, false, &second),
            ],
        };
        Instance {
            id: "r-1".parse().unwrap(),
            account: model::AccountId::default(),
            project: None,
            name: String::new(),
            url: "redis-cluster://10.0.0.1:1".to_owned(),
            username: None,
            sealed_password: None,
            sealed_login: None,
            capture: model::CaptureOptions::default(),
            region: None,
            zone: None,
            replica_zone: None,
            created_at: jiff::Timestamp::UNIX_EPOCH,
            facts: Some(facts),
        }
    }

    #[test]
    fn a_cluster_has_the_memory_of_all_its_shards_and_a_row_for_each() {
        let doing = Doing { backup: false, restore: true };
        let row = instance(&cluster(), doing, None, None);
        assert_eq!((row.shards, row.memory_bytes, row.used_bytes), (2, 200, 10));
        assert!(row.busy && row.restoring);
        let told = |rows: &[ShardRow]| -> Vec<_> {
            rows.iter().map(|row| (row.node.clone(), row.port, row.primary)).collect()
        };
        let node = |shard: u32| format!("r-1-db-{shard}");
        let primaries = shards(&cluster(), true);
        assert_eq!(told(&primaries), [(node(0), 2, true), (node(1), 3, true)]);
        assert_eq!(primaries[0].slots, [(0, 9), (20, 8191)]);
        assert_eq!((primaries[0].memory_bytes, primaries[0].used_bytes), (100, 5));
        let all = shards(&cluster(), false);
        let expected = [(node(0), 2, true), (node(0), 1, false), (node(1), 3, true), (node(1), 4, false)];
        assert_eq!(told(&all), expected);
        let unknown = Instance { facts: None, ..cluster() };
        assert_eq!(told(&shards(&unknown, false)), [("r-1".to_owned(), 1, true)]);
    }

    #[test]
    fn a_value_that_does_not_fit_is_named() {
        let bad = |name: &str, why: &str| Fault::BadParameter { name: name.to_owned(), why: why.to_owned() };
        let told = |text: &'static str| fault(&Error::invalid(text), "id");
        assert_eq!(told("the remark is longer than 1024 bytes"), bad("remark", "is longer than 1024 bytes"));
        let other = "a backup is kept for at most 36500 days";
        assert_eq!(told(other), bad("value", other));
    }
}
