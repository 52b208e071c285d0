//! What is written down of a captured set: its state, its parts, where they came from.

use jiff::Timestamp;

use crate::error::{Error, Result};
use crate::model::{
    Backup, BackupOrigin, BackupState, Failure, KindCount, Method, Missing, SLOT_COUNT, SealedPart,
    ServerFacts, Slots, SnapshotReport,
};
use crate::ops::capture::{Captured, CapturedSet};
use crate::redis::Layout;

/// A captured set as it is written down.
pub(in crate::ops) struct Record {
    pub(in crate::ops) state: BackupState,
    pub(in crate::ops) method: Method,
    pub(in crate::ops) failure: Option<Failure>,
    pub(in crate::ops) server: ServerFacts,
    pub(in crate::ops) origin: BackupOrigin,
    pub(in crate::ops) parts: Vec<SealedPart>,
    /// Slots changed hands meanwhile: their keys may be in two parts or in none, and another attempt may do better.
    pub(in crate::ops) is_unsettled: bool,
}

impl Record {
    /// An error if no shard was captured.
    pub(in crate::ops) fn of(set: &CapturedSet, backup: &Backup, started_at: Timestamp) -> Result<Self> {
        let captured: Vec<_> = set
            .before
            .shards
            .iter()
            .zip(&set.shards)
            .filter_map(|(shard, captured)| Some((shard.index, captured.as_ref().ok()?)))
            .collect();
        let Some((_, first)) = captured.first() else {
            let error = set.shards.iter().find_map(|shard| shard.as_ref().err());
            return Err(error
                .cloned()
                .unwrap_or_else(|| Error::internal("nothing was captured", "no shard")));
        };
        let unsettled = unsettled_slots(set);
        let is_unsettled = unsettled.is_some() && matches!(set.after, Some(Ok(_)));
        let missing = missing(set, unsettled);
        let doubt = captured.iter().find_map(|(_, captured)| captured.doubt.as_ref());
        let (state, failure) = match (missing.first(), doubt) {
            (Some(first), _) => (BackupState::Partial, Some(partial(&missing, &first.failure))),
            (None, Some(doubt)) => (BackupState::Quarantined, Some(quarantine(doubt))),
            (None, None) => (BackupState::Available, None),
        };
        let logical = captured.iter().any(|(_, captured)| captured.method == Method::Logical);
        let origin = BackupOrigin {
            topology: set.before.topology,
            epoch: set.before.epoch,
            skew_ms: skew_ms(&captured),
            one_instant: !logical,
            missing,
            imported: Vec::new(),
            warnings: captured.iter().flat_map(|(_, captured)| captured.warnings.clone()).collect(),
        };
        Ok(Self {
            state,
            method: if logical { Method::Logical } else { Method::Physical },
            failure,
            server: ServerFacts { nodes: Vec::new(), ..set.before.described(first.server.clone()) },
            origin,
            parts: captured
                .iter()
                .map(|(shard, part)| sealed_part(backup, started_at, *shard, part))
                .collect(),
            is_unsettled,
        })
    }
}

/// Slots that changed hands or were between two nodes, all if that is not known; `None` if the cluster stood still.
fn unsettled_slots(set: &CapturedSet) -> Option<Slots> {
    let Ok(after) = set.after.as_ref()? else {
        return Some(Slots::new([(0, SLOT_COUNT - 1)]));
    };
    if set.before.same_owners(after) {
        return None;
    }
    let (old, new) = (owners(&set.before), owners(after));
    let moved = (0..SLOT_COUNT).filter(|slot| {
        let slot = usize::from(*slot);
        old[slot] != new[slot]
    });
    let moving = set.before.moving.iter().chain(&after.moving).copied();
    Some(Slots::new(moved.chain(moving).map(|slot| (slot, slot))))
}

/// The primary of each slot, by its id.
fn owners(layout: &Layout) -> Vec<Option<String>> {
    let mut owners = vec![None; usize::from(SLOT_COUNT)];
    for shard in &layout.shards {
        let owner =
            shard.primary().map(|member| member.id.clone().unwrap_or_else(|| member.node.to_string()));
        for (first, last) in shard.slots.ranges() {
            owners[usize::from(*first)..=usize::from(*last)].fill(owner.clone());
        }
    }
    owners
}

fn missing(set: &CapturedSet, unsettled: Option<Slots>) -> Vec<Missing> {
    let mut missing: Vec<_> = set
        .before
        .shards
        .iter()
        .zip(&set.shards)
        .filter_map(|(shard, captured)| {
            let error = match captured {
                Ok(captured) => captured.missing.as_ref()?,
                Err(error) => error,
            };
            Some(Missing { slots: shard.slots.clone(), failure: Failure::from(error) })
        })
        .collect();
    let note = |code: &str, message: &str, hint: &str| Failure {
        code: code.to_owned(),
        message: message.to_owned(),
        hint: Some(hint.to_owned()),
    };
    if !set.before.uncovered.is_empty() {
        missing.push(Missing {
            slots: set.before.uncovered.clone(),
            failure: note(
                "SLOTS_UNCOVERED",
                "no primary of the cluster owns these slots",
                "repair the cluster, then take the backup again",
            ),
        });
    }
    if let Some(slots) = unsettled {
        let what = match &set.after {
            Some(Err(error)) => {
                format!("the cluster could not be looked at again after the backup ({error})")
            }
            _ => "the cluster changed during the backup".to_owned(),
        };
        missing.push(Missing {
            slots,
            failure: note(
                super::TOPOLOGY_CHANGED,
                &format!("{what}; keys of these slots may be in two parts or in none"),
                "take the backup again when the resharding or fail-over is over",
            ),
        });
    }
    missing
}

fn partial(missing: &[Missing], first: &Failure) -> Failure {
    let slots: Vec<_> = missing
        .iter()
        .filter(|missing| !missing.slots.is_empty())
        .map(|missing| missing.slots.to_string())
        .collect();
    let of_slots = if slots.is_empty() { String::new() } else { format!(" (slots {})", slots.join("; ")) };
    Failure {
        code: "PARTIAL".to_owned(),
        message: format!("not all is in it{of_slots}: {}", first.message),
        hint: first.hint.clone(),
    }
}

fn quarantine(doubt: &keystow_rdb::Fault) -> Failure {
    Failure {
        code: "QUARANTINED".to_owned(),
        message: format!(
            "every byte arrived and the checksum is right, but it cannot be vouched for: {doubt}"
        ),
        hint: Some(
            "the bytes are kept; check whether a newer version of Keystow knows this format".to_owned(),
        ),
    }
}

/// Milliseconds between the first and the last part's moment.
fn skew_ms(captured: &[(u32, &Captured)]) -> Option<u64> {
    let moments = || captured.iter().map(|(_, captured)| captured.origin.cut_at.as_millisecond());
    let skew = moments().max()?.abs_diff(moments().min()?);
    (captured.len() > 1).then_some(skew)
}

fn sealed_part(backup: &Backup, started_at: Timestamp, shard: u32, captured: &Captured) -> SealedPart {
    let stamp = started_at.strftime("%Y%m%dT%H%M%SZ");
    SealedPart {
        shard,
        file_name: format!("{}_{stamp}_{shard}.rdb", backup.instance),
        size_bytes: captured.stored.plain_bytes,
        sha256: captured.sha256.clone(),
        stored_bytes: captured.stored.bytes,
        stored_sha256: captured.stored.sha256.as_ref().unwrap_or(&captured.sha256).clone(),
        encoding: captured.stored.encoding,
        report: snapshot_report(captured),
        origin: Some(captured.origin.clone()),
    }
}

fn snapshot_report(captured: &Captured) -> SnapshotReport {
    let report = &captured.report;
    SnapshotReport {
        magic: report.magic.clone(),
        rdb_version: report.rdb_version,
        checksum: match report.checksum {
            keystow_rdb::Checksum::Absent if captured.doubt.is_none() => "absent",
            _ => "ok",
        }
        .to_owned(),
        keys: report.keys,
        databases: report.databases.iter().map(|(index, database)| (*index, database.keys)).collect(),
        kinds: report
            .kinds
            .iter()
            .map(|(kind, count)| (kind.to_string(), KindCount { keys: count.keys, bytes: count.bytes }))
            .collect(),
        functions: report.functions,
        modules: report.modules.iter().cloned().collect(),
        replication_id: captured.replication.as_ref().map(|(id, _)| id.clone()),
        replication_offset: captured.replication.as_ref().map(|(_, offset)| *offset),
        not_compared: report.not_compared.keys + report.not_compared.members,
        doubt: captured.doubt.as_ref().map(ToString::to_string),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::model::Topology;

    fn cluster(epoch: u64) -> Layout {
        Layout {
            topology: Topology::Cluster,
            shards: Vec::new(),
            epoch: Some(epoch),
            uncovered: Slots::default(),
            moving: Vec::new(),
        }
    }

    #[test]
    fn a_cluster_that_cannot_be_looked_at_again_leaves_every_slot_in_doubt() {
        let set = |after| CapturedSet { before: cluster(1), after: Some(after), shards: Vec::new() };
        let still = set(Ok(cluster(1)));
        assert!(unsettled_slots(&still).is_none() && missing(&still, None).is_empty());
        let gone = set(Err(Error::new(Kind::Unreachable, "CLUSTER_UNREACHABLE", "nobody answers")));
        let noted = missing(&gone, unsettled_slots(&gone));
        assert_eq!(noted.len(), 1);
        assert_eq!(noted[0].slots.to_string(), "0-16383");
        assert_eq!(noted[0].failure.code, "TOPOLOGY_CHANGED");
        assert!(noted[0].failure.message.contains("nobody answers"), "{}", noted[0].failure.message);
    }
}
