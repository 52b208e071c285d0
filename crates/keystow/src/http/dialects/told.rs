//! Our nouns in the words that all vendors share.

use std::collections::BTreeMap;

use keystow_dialects::{BackupRow, BackupState as Shown, Fault, InstanceRow, LinkRow, Topology, Unit};
use keystow_engine::model::{self, Backup, BackupState, Instance, Method, Mode, Network, Number};
use keystow_engine::ops::IssuedLink;
use keystow_engine::{Error, Kind};

/// What a vendor's client is told of our error.
pub(super) fn fault(error: &Error, request_id: &str) -> Fault {
    if super::is_ours(error) {
        tracing::error!(request = request_id, code = error.code, %error, "a request failed");
    }
    match error.kind {
        Kind::Invalid => Fault::BadParameter { name: error.code.to_owned(), why: error.to_string() },
        Kind::Unauthenticated => Fault::UnknownKey,
        Kind::Denied if error.code == "ROLE_DENIED" => Fault::ActionDenied,
        Kind::Denied => Fault::InstanceDenied,
        Kind::NotFound if error.code == "INSTANCE_NOT_FOUND" => {
            Fault::NoSuchInstance(error.message.to_string())
        }
        Kind::NotFound => Fault::NoSuchBackup(error.message.to_string()),
        Kind::Conflict | Kind::Unreachable => Fault::Unavailable(error.to_string()),
        Kind::Cancelled | Kind::Corrupt | Kind::NoSpace | Kind::Internal => Fault::Internal,
    }
}

fn topology(topology: model::Topology) -> Topology {
    match topology {
        model::Topology::Standalone => Topology::Standalone,
        model::Topology::Sentinel => Topology::Sentinel,
        model::Topology::Cluster => Topology::Cluster,
    }
}

pub(super) fn instance(instance: &Instance, busy: bool) -> InstanceRow {
    let address = instance.address();
    let facts = instance.facts.as_ref();
    let used_bytes = facts.map_or(0, |facts| facts.used_bytes);
    InstanceRow {
        id: instance.id.to_string(),
        name: instance.name.clone(),
        region: instance.region.clone().unwrap_or_default(),
        zone: instance.zone.clone().unwrap_or_default(),
        project: instance.project.as_ref().map(ToString::to_string).unwrap_or_default(),
        version: facts.map(|facts| facts.version.clone()).unwrap_or_default(),
        valkey: facts.is_some_and(|facts| facts.valkey),
        topology: facts.map_or(Topology::Standalone, |facts| topology(facts.topology)),
        shards: 1,
        replicas: facts.map_or(0, |facts| facts.replicas),
        host: address.host,
        port: address.port,
        memory_bytes: facts.map(|facts| facts.max_bytes).filter(|max| *max > 0).unwrap_or(used_bytes),
        used_bytes,
        password: instance.sealed_password.is_some(),
        busy,
        created_at: instance.created_at.into(),
    }
}

pub(super) fn backup(backup: &Backup, unit: Unit) -> BackupRow {
    let server = backup.server.as_ref();
    let number = match (unit, backup.parts.first()) {
        (Unit::Part, Some(part)) => part.number,
        _ => backup.number,
    };
    BackupRow {
        id: backup.id.to_string(),
        number,
        job: backup.job,
        instance: backup.instance.to_string(),
        instance_name: backup.instance_name.clone(),
        region: backup.region.clone().unwrap_or_default(),
        // A standalone server is its own only node.
        node: backup.instance.to_string(),
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
        size_bytes: backup.size_bytes(),
        started_at: backup.started_at.unwrap_or(backup.created_at).into(),
        ended_at: backup.ended_at.map(Into::into),
        expires_at: backup.expires_at.map(Into::into),
        links: Vec::new(),
    }
}

/// One row a part, with the links of both networks.
pub(super) fn links(issued: Vec<IssuedLink>) -> Vec<LinkRow> {
    let mut rows: BTreeMap<Number, LinkRow> = BTreeMap::new();
    for link in issued {
        let row = rows.entry(link.part).or_insert_with(|| LinkRow {
            file_name: link.file_name.clone(),
            size_bytes: link.size_bytes,
            public_url: None,
            intranet_url: None,
            expires_at: link.expires_at.into(),
        });
        match link.network {
            Network::Public => row.public_url = Some(link.url),
            Network::Intranet => row.intranet_url = Some(link.url),
        }
    }
    rows.into_values().collect()
}
