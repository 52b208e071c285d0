//! Instances, for people.

use crate::api::{CaptureRow, InstanceRow, InstanceTestRow, NodeRow, ServerRow};
use crate::cli::output::{count, grid, moment, pairs, size};
use crate::cli::policy::{keep, schedule};

fn server_name(server: &ServerRow) -> String {
    format!("{} {}", server.engine, server.version).trim_end().to_owned()
}

pub(super) fn tabulate(rows: &[InstanceRow]) -> String {
    let cells = rows.iter().map(|row| {
        vec![
            row.id.clone(),
            row.name.clone(),
            row.url.clone(),
            row.topology.clone().unwrap_or_default(),
            row.server.as_ref().map(server_name).unwrap_or_default(),
            row.server.as_ref().map(|server| size(server.used_bytes)).unwrap_or_default(),
            row.region.clone().unwrap_or_default(),
            moment(&row.created_at),
        ]
    });
    grid(&["ID", "NAME", "URL", "TOPOLOGY", "SERVER", "MEMORY", "REGION", "ADDED"], cells.collect())
}

pub(super) fn describe(row: &InstanceRow) -> String {
    pairs([
        ("id", Some(row.id.clone())),
        ("name", Some(row.name.clone())),
        ("url", Some(row.url.clone())),
        ("user", row.username.clone()),
        ("password", Some(if row.has_password { "kept" } else { "none" }.to_owned())),
        ("sentinel user", row.sentinel_username.clone()),
        ("sentinel password", row.has_sentinel_password.then(|| "kept".to_owned())),
        ("tls authorities", row.has_tls_ca.then(|| "kept".to_owned())),
        ("tls certificate", row.has_tls_certificate.then(|| "kept".to_owned())),
        ("tls server name", row.tls_server_name.clone()),
        ("account", Some(row.account.clone())),
        ("project", row.project.clone()),
        ("region", row.region.clone()),
        ("zone", row.zone.clone()),
        ("replica zone", row.replica_zone.clone()),
        ("added", Some(moment(&row.created_at))),
        ("captured", Some(capture(&row.capture))),
        ("topology", row.topology.clone()),
        ("server", row.server.as_ref().map(server_name)),
        ("role", row.server.as_ref().map(|server| server.role.clone())),
        ("memory", row.server.as_ref().map(|server| size(server.used_bytes))),
        ("backups", row.policy.as_ref().map(schedule)),
        ("next backup", row.policy.as_ref().and_then(|policy| policy.next_at.as_deref()).map(moment)),
        ("kept", row.policy.as_ref().map(|policy| keep(&policy.keep))),
    ])
}

/// `auto, replica first, checks refuse, 4 shards at a time`
fn capture(row: &CaptureRow) -> String {
    let mut words = vec![
        row.method.clone(),
        format!("{} first", row.prefer),
        format!("checks {}", row.checks),
        format!("{} shards at a time", row.parallel),
    ];
    words.extend(row.bytes_per_second.map(|rate| format!("at most {}/s", size(rate))));
    words.extend(row.keys_per_second.map(|rate| format!("at most {} keys/s", count(rate))));
    words.extend(row.uncompressed.then(|| "uncompressed".to_owned()));
    words.join(", ")
}

/// What one of the servers said, then every server with what a backup thinks of it.
pub(super) fn describe_test(id: &str, found: &InstanceTestRow) -> String {
    let server = &found.server;
    let mut text = pairs([
        ("connected", Some(id.to_owned())),
        ("topology", Some(server.topology.clone())),
        ("server", Some(server_name(server))),
        ("role", Some(server.role.clone())),
        ("memory", Some(size(server.used_bytes))),
        ("limit", (server.max_bytes > 0).then(|| size(server.max_bytes))),
        ("replicas", Some(server.replicas.to_string())),
        ("no shard has", Some(found.uncovered_slots.clone()).filter(|slots| !slots.is_empty())),
        ("slots moving", (found.moving_slots > 0).then(|| count(found.moving_slots))),
    ]);
    let mut cells = Vec::new();
    for shard in &found.shards {
        for node in &shard.nodes {
            let taken = shard.choice.as_ref() == Some(&node.node);
            cells.push(vec![
                shard.shard.to_string(),
                shard.slots.clone(),
                node.node.clone(),
                node.role.clone(),
                health(node),
                if taken { shard.why.clone().unwrap_or_default() } else { String::new() },
            ]);
        }
    }
    text.push('\n');
    text.push_str(&grid(&["SHARD", "SLOTS", "NODE", "ROLE", "HEALTH", "TAKEN BECAUSE"], cells));
    text
}

fn health(node: &NodeRow) -> String {
    match &node.why {
        Some(why) if !node.healthy => why.clone(),
        _ => "ok".to_owned(),
    }
}
