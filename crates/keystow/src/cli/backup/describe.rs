//! Backups, for people.

use std::collections::BTreeSet;

use crate::api::{BackupRow, DrillRow, OriginRow, PartRow, PrunedRow, ScrubRow};
use crate::cli::copy::describe_copies;
use crate::cli::output::{count, grid, moment, pairs, size, yes_no};

pub(super) fn tabulate(rows: &[BackupRow]) -> String {
    let cells = rows.iter().map(|row| {
        let sealed = !row.parts.is_empty();
        vec![
            row.id.clone(),
            row.number.to_string(),
            row.instance.clone(),
            moment(row.started_at.as_ref().unwrap_or(&row.created_at)),
            row.mode.clone(),
            row.state.clone(),
            if sealed { size(row.size_bytes) } else { String::new() },
            if sealed { count(row.keys) } else { String::new() },
            if row.protected {
                "protected".to_owned()
            } else {
                row.expires_at.as_deref().map(moment).unwrap_or_default()
            },
        ]
    });
    grid(
        &["ID", "NUMBER", "INSTANCE", "STARTED", "MODE", "STATE", "SIZE", "KEYS", "EXPIRES"],
        cells.collect(),
    )
}

pub(super) fn describe(row: &BackupRow) -> String {
    let sealed = !row.parts.is_empty();
    let mut text = pairs([
        ("id", Some(row.id.clone())),
        ("number", Some(row.number.to_string())),
        ("state", Some(row.state.clone())),
        ("instance", Some(row.instance.clone())),
        ("server", row.server.clone()),
        ("account", Some(row.account.clone())),
        ("project", row.project.clone()),
        ("taken", Some(format!("{}, {}", row.mode, row.method))),
        ("name", row.name.clone()),
        ("remark", row.remark.clone()),
        ("job", Some(row.job.to_string())),
        ("asked for", Some(moment(&row.created_at))),
        ("started", row.started_at.as_deref().map(moment)),
        ("ended", row.ended_at.as_deref().map(moment)),
        ("expires", row.expires_at.as_deref().map(moment)),
        ("protected", row.protected.then(|| yes_no(true))),
        ("size", sealed.then(|| format!("{} ({} bytes)", size(row.size_bytes), row.size_bytes))),
        ("stored", (row.stored_bytes > 0).then(|| stored(row.stored_bytes, encodings(row)))),
        ("keys", sealed.then(|| count(row.keys))),
        ("failure", row.failure.as_ref().map(|note| format!("{}: {}", note.code, note.message))),
        ("try", row.failure.as_ref().and_then(|note| note.hint.clone())),
        ("source", row.origin.as_ref().map(describe_origin)),
        ("last drill", row.last_drill.as_ref().map(describe_drill)),
        ("read again", row.last_scrub.as_ref().map(describe_scrub)),
    ]);
    for missing in row.origin.iter().flat_map(|origin| &origin.missing) {
        let why = format!("slots {}: {}", missing.slots, missing.failure.message);
        text.push_str(&pairs([("missing", Some(why))]));
    }
    for warning in row.origin.iter().flat_map(|origin| &origin.warnings) {
        text.push_str(&pairs([("warning", Some(warning.clone()))]));
    }
    text.push_str(&describe_copies(&row.copies));
    for part in &row.parts {
        text.push('\n');
        text.push_str(&describe_part(part));
    }
    text
}

/// How the parts are stored; one word where it is the same for all.
fn encodings(row: &BackupRow) -> BTreeSet<&str> {
    row.parts.iter().map(|part| part.encoding.as_str()).collect()
}

/// `1.2 MiB, zstd+age`
fn stored<'a>(bytes: u64, encodings: impl IntoIterator<Item = &'a str>) -> String {
    let words = std::iter::once(size(bytes)).chain(encodings.into_iter().map(str::to_owned));
    words.collect::<Vec<_>>().join(", ")
}

/// `redis://10.2.0.12:6379, replica: healthy replica, 0 bytes behind`
fn describe_node(node: &str, part: &PartRow) -> String {
    let role = part.node_role.as_deref().unwrap_or_default();
    format!("{node}, {role}: {}", part.why.as_deref().unwrap_or_default())
}

/// `cluster, epoch 7, shards 1250 ms apart`
fn describe_origin(origin: &OriginRow) -> String {
    let mut words = vec![origin.topology.clone()];
    words.extend(origin.epoch.map(|epoch| format!("epoch {epoch}")));
    words.extend(origin.skew_ms.map(|skew| format!("shards {} ms apart", count(skew))));
    if !origin.one_instant {
        words.push("read key by key: not of one instant".to_owned());
    }
    words.join(", ")
}

fn describe_drill(drill: &DrillRow) -> String {
    let end = match &drill.failure {
        Some(note) => format!("failed: {}: {}", note.code, note.message),
        None => format!("loaded in {} ms", count(drill.took_ms)),
    };
    format!("{} by {}, {end}", moment(&drill.at), drill.server)
}

fn describe_scrub(scrub: &ScrubRow) -> String {
    let found = if scrub.ok { "as it was sealed" } else { "damaged" };
    format!("{}, {found}", moment(&scrub.at))
}

fn describe_part(part: &PartRow) -> String {
    let databases: Vec<_> =
        part.databases.iter().map(|(db, keys)| format!("{db}: {}", count(*keys))).collect();
    let types: Vec<_> = part
        .types
        .iter()
        .map(|(name, kind)| format!("{name}: {} ({})", count(kind.keys), size(kind.bytes)))
        .collect();
    pairs([
        ("part", Some(part.name.clone())),
        ("  server", part.node.as_ref().map(|node| describe_node(node, part))),
        ("  slots", part.slots.clone()),
        ("  shows", part.cut_at.as_deref().map(moment)),
        ("  number", Some(part.number.to_string())),
        ("  size", Some(size(part.size_bytes))),
        ("  stored", (part.stored_bytes > 0).then(|| stored(part.stored_bytes, [part.encoding.as_str()]))),
        ("  sha256", Some(part.sha256.clone())),
        ("  format", Some(format!("{}, checksum {}", part.magic, part.checksum))),
        ("  keys", Some(count(part.keys))),
        ("  databases", (!databases.is_empty()).then(|| databases.join(", "))),
        ("  types", (!types.is_empty()).then(|| types.join(", "))),
    ])
}

pub(super) fn tabulate_pruned(rows: &[PrunedRow], dry_run: bool, all: bool) -> String {
    let cells: Vec<_> = rows
        .iter()
        .filter(|row| all || dry_run || !row.keep)
        .map(|row| {
            vec![
                row.backup.id.clone(),
                row.backup.instance.clone(),
                moment(&row.backup.created_at),
                row.backup.state.clone(),
                if row.keep { "stays" } else { "goes" }.to_owned(),
                row.reasons.join(", "),
            ]
        })
        .collect();
    if cells.is_empty() {
        return String::new();
    }
    grid(&["ID", "INSTANCE", "ASKED FOR", "STATE", "VERDICT", "BECAUSE"], cells)
}
