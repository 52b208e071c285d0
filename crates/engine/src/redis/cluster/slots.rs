//! Slots on their way between shards. Only the two shards that do it know.

use super::refusal;
use crate::error::Result;
use crate::model::{SLOT_COUNT, Slots};
use crate::redis::{Connection, Reply};

/// The slots that this node is giving away or taking over. `ranges` says whether it can move many at once, which CLUSTER
/// NODES does not show.
pub(super) fn moving(connection: &mut Connection, ranges: Option<bool>) -> Result<Vec<u16>> {
    let mut slots = match connection.call(&[b"CLUSTER", b"NODES"])? {
        Reply::Bulk(Some(text)) => open(&String::from_utf8_lossy(&text)),
        Reply::Error(text) => return Err(refusal(connection, &text)),
        _ => return Err(connection.no_redis("an odd reply to CLUSTER NODES")),
    };
    if ranges != Some(false) {
        match connection.call(&[b"CLUSTER", b"GETSLOTMIGRATIONS"])? {
            Reply::Error(text) if ranges == Some(true) => return Err(refusal(connection, &text)),
            reply => slots.extend(migrating(&reply)),
        }
    }
    Ok(slots)
}

/// `<id> <place> myself,master - 0 0 1 connected 0-99 [93->-<id>] [77-<-<id>]`
fn open(nodes: &str) -> Vec<u16> {
    let own = nodes.lines().find(|line| {
        line.split(' ').nth(2).is_some_and(|flags| flags.split(',').any(|flag| flag == "myself"))
    });
    let words = own.unwrap_or_default().split(' ').skip(8);
    let slot = |word: &str| word.strip_prefix('[')?.split('-').next()?.parse().ok();
    words.filter_map(slot).filter(|slot| *slot < SLOT_COUNT).collect()
}

/// Entries of names and values: `state`, and `slot_ranges` such as `0-99 200-300` (Valkey
/// `src/cluster_migrateslots.c`). Ended ones stay listed for a while.
fn migrating(reply: &Reply) -> Vec<u16> {
    let mut ranges = Vec::new();
    for entry in reply.elements() {
        let text = |name| entry.field(name).and_then(Reply::text).unwrap_or_default();
        if matches!(text("state").as_str(), "success" | "failed" | "cancelled") {
            continue;
        }
        for range in text("slot_ranges").split([' ', ',']) {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            if let (Ok(first), Ok(last)) = (first.parse(), last.parse()) {
                ranges.extend(Slots::range(first, last));
            }
        }
    }
    // Joined first: bounded, however often a server lists them.
    Slots::new(ranges).iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_slots_stand_in_a_nodes_own_line() {
        let nodes = "aa 10.0.0.1:7000@17000 master - 0 0 1 connected 0-99 [1->-bb]\n\
            bb 10.0.0.2:7000@17000,host myself,master - 0 0 1 connected 100-200 300 [150->-aa] [7-<-cc] [x] [99999->-aa]\n";
        assert_eq!(open(nodes), [150, 7]);
        assert_eq!(open(""), [0; 0]);
    }

    #[test]
    fn migrations_that_have_not_ended_are_counted() {
        let text = |text: &str| Reply::Bulk(Some(text.as_bytes().to_vec()));
        let entry = |state: &str, ranges: &str| {
            let words = ["name", "x", "state", state, "slot_ranges", ranges];
            Reply::Array(Some(words.iter().map(|word| text(word)).collect()))
        };
        let reply = Reply::Array(Some(vec![
            entry("success", "0-10"),
            entry("snapshotting", "20-22 30-30"),
            entry("connecting", "22-23"),
            entry("cancelled", "40-50"),
            entry("replicating", "x-y 9-8 16000-99999"),
        ]));
        assert_eq!(migrating(&reply), [20, 21, 22, 23, 30]);
        assert_eq!(migrating(&Reply::Error("ERR unknown subcommand".to_owned())), [0; 0]);
    }
}
