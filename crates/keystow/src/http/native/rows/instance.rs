//! Instances and their servers.

use keystow_engine::model::{CaptureOptions, Instance, ServerFacts};
use keystow_engine::ops::{Engine, InstanceTest};
use keystow_engine::redis::Shard;

use super::{engine_name, moment, role, text};
use crate::api::{CaptureRow, InstanceRow, InstanceTestRow, NodeRow, ServerRow, ShardRow};

pub(in super::super) fn server(facts: &ServerFacts) -> ServerRow {
    ServerRow {
        engine: engine_name(facts).to_owned(),
        version: facts.version.clone(),
        role: facts.role.clone(),
        used_bytes: facts.used_bytes,
        max_bytes: facts.max_bytes,
        replicas: facts.replicas,
        topology: facts.topology.as_str().to_owned(),
    }
}

pub(in super::super) fn instance(engine: &Engine, instance: &Instance) -> InstanceRow {
    let kept = engine.kept_login(instance);
    InstanceRow {
        id: text(&instance.id),
        name: instance.name.clone(),
        url: instance.url.clone(),
        username: instance.username.clone(),
        has_password: instance.sealed_password.is_some(),
        sentinel_username: kept.sentinel_username,
        has_sentinel_password: kept.has_sentinel_password,
        has_tls_ca: kept.has_tls_ca,
        has_tls_certificate: kept.has_tls_certificate,
        tls_server_name: kept.tls_server_name,
        topology: instance.facts.as_ref().map(|facts| facts.topology.as_str().to_owned()),
        capture: capture(&instance.capture),
        account: text(&instance.account),
        project: instance.project.as_ref().map(text),
        region: instance.region.clone(),
        zone: instance.zone.clone(),
        replica_zone: instance.replica_zone.clone(),
        created_at: moment(instance.created_at),
        server: instance.facts.as_ref().map(server),
        policy: None,
    }
}

fn capture(options: &CaptureOptions) -> CaptureRow {
    CaptureRow {
        method: text(&options.method),
        prefer: text(&options.prefer),
        checks: text(&options.checks),
        bytes_per_second: options.bytes_per_second,
        keys_per_second: options.keys_per_second,
        parallel: options.parallel,
        uncompressed: options.uncompressed,
    }
}

pub(in super::super) fn tested(found: &InstanceTest) -> InstanceTestRow {
    InstanceTestRow {
        server: server(&found.facts),
        shards: found.layout.shards.iter().map(|one| shard(one, found)).collect(),
        uncovered_slots: text(&found.layout.uncovered),
        moving_slots: found.layout.moving.len() as u64,
    }
}

fn shard(shard: &Shard, found: &InstanceTest) -> ShardRow {
    let choice = shard.candidates(found.prefer).into_iter().next();
    let nodes = shard.nodes.iter().map(|member| NodeRow {
        node: text(&member.node),
        role: role(member.primary),
        healthy: member.healthy,
        why: Some(member.why.clone()).filter(|why| !why.is_empty()),
        lag_bytes: member.lag_bytes,
    });
    ShardRow {
        shard: shard.index,
        slots: text(&shard.slots),
        choice: choice.as_ref().map(|choice| text(&choice.node)),
        why: choice.map(|choice| choice.why),
        nodes: nodes.collect(),
    }
}
