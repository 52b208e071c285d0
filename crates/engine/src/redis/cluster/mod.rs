//! Finding the shards of a cluster and their servers (Redis `src/cluster.c`, Valkey `src/cluster_legacy.c`).

mod slots;
mod view;

use std::collections::BTreeSet;

use super::discover::{MOST_MEMBERS, Search, none_helped};
use super::layout::{Layout, Shard, holes_and_overlaps};
use super::standing::{Role, Seen, Standing, members};
use super::together::together;
use super::{Connection, Node};
use crate::error::{Error, Kind, Result};
use crate::model::{Slots, Topology};

/// Shards of a cluster; Redis itself advises against more than a thousand nodes.
const MOST_SHARDS: usize = 1000;

/// One shard, as a node of the cluster tells of it.
struct Group {
    slots: Slots,
    nodes: Vec<Seen>,
}

/// The cluster, as one of its nodes sees it.
struct View {
    /// `cluster_state:ok`
    ok: bool,
    epoch: u64,
    groups: Vec<Group>,
}

/// Asks one seed after the other how the cluster is laid out, and then each node how it is.
pub(super) fn find(search: &Search<'_>, seeds: &[Node]) -> Result<Layout> {
    let mut failures = Vec::new();
    let mut second_best = None;
    for seed in seeds {
        match search.open(seed).and_then(|mut connection| view::ask(&mut connection)) {
            Ok(view) if view.ok => return confirmed(search, view),
            // It may be cut off from the others, which are well.
            Ok(view) => {
                second_best.get_or_insert(view);
            }
            Err(error) if error.kind == Kind::Cancelled => return Err(error),
            Err(error) => failures.push(error),
        }
    }
    match second_best {
        Some(view) => confirmed(search, view),
        None => Err(none_helped(
            "CLUSTER_UNREACHABLE",
            "no node tells how the cluster is laid out".to_owned(),
            failures,
        )),
    }
}

/// What a node says of itself.
struct Told {
    standing: Result<Standing>,
    /// Its slots on their way in or out, which it alone knows of, and the epoch that it has seen.
    moving: Vec<u16>,
    epoch: u64,
}

/// Asks each node itself; the others' opinion of it lags.
fn confirmed(search: &Search<'_>, mut view: View) -> Result<Layout> {
    view.groups.retain(|group| !group.slots.is_empty());
    if view.groups.len() > MOST_SHARDS {
        return Err(Error::new(
            Kind::Invalid,
            "TOPOLOGY_UNSUPPORTED",
            format!("the cluster has more than {MOST_SHARDS} shards"),
        )
        .hint("back its shards up as instances of their own"));
    }
    for group in &mut view.groups {
        group.nodes.sort_by_key(|node| !node.primary);
        group.nodes.truncate(MOST_MEMBERS);
    }
    view.groups.sort_by_key(|group| group.slots.ranges()[0]);

    // All the primaries first: what they are sent in the meantime is not what a replica is behind.
    let ask_all = |groups: &mut [Group], primaries: bool| {
        let mut seen: Vec<_> = groups
            .iter_mut()
            .flat_map(|group| &mut group.nodes)
            .filter(|node| node.primary == primaries)
            .collect();
        let nodes: Vec<_> = seen.iter().map(|seen| seen.node.clone()).collect();
        let told = together(&nodes, |node| ask(search, node));
        let mut rest = Vec::new();
        for (seen, told) in seen.iter_mut().zip(told) {
            seen.standing = Some(told.standing);
            rest.push((told.moving, told.epoch));
        }
        rest
    };
    let mut rest = ask_all(&mut view.groups, true);
    rest.extend(ask_all(&mut view.groups, false));
    if search.cancel.is_cancelled() {
        return Err(Error::cancelled());
    }

    let (uncovered, claimed_twice) = holes_and_overlaps(view.groups.iter().map(|group| &group.slots));
    let moving: BTreeSet<u16> =
        rest.iter().flat_map(|(moving, _)| moving).copied().chain(claimed_twice).collect();
    let epoch = rest.iter().map(|(_, epoch)| *epoch).chain([view.epoch]).max();
    let shards = (0..).zip(view.groups);
    let shards =
        shards.map(|(index, group)| Shard { index, slots: group.slots, nodes: members(group.nodes) });
    Ok(Layout {
        topology: Topology::Cluster,
        shards: shards.collect(),
        epoch,
        uncovered,
        moving: moving.into_iter().collect(),
    })
}

fn ask(search: &Search<'_>, node: &Node) -> Told {
    let asked = || {
        let mut connection = search.open(node)?;
        let standing = Standing::ask(&mut connection)?;
        if standing.role == Role::Replica {
            return Ok((standing, Vec::new(), 0));
        }
        let (_, epoch) = view::state(&mut connection)?;
        let moving = slots::moving(&mut connection, standing.moves_ranges)?;
        Ok((standing, moving, epoch))
    };
    match asked() {
        Ok((standing, moving, epoch)) => Told { standing: Ok(standing), moving, epoch },
        Err(error) => Told { standing: Err(error), moving: Vec::new(), epoch: 0 },
    }
}

/// What an error reply to a question about the cluster means.
fn refusal(connection: &Connection, text: &str) -> Error {
    if text.contains("cluster support disabled") {
        return Error::new(
            Kind::Invalid,
            "SOURCE_NOT_CLUSTER",
            format!("{} is no node of a cluster", connection.node()),
        )
        .because(text)
        .hint("a single server is written as redis://host:port");
    }
    let refusal = connection.refusal("tell how its cluster is laid out (CLUSTER)", text);
    if refusal.code == "SOURCE_DENIED" {
        return refusal.hint(
            "give the user what a backup of a cluster needs: ACL SETUSER <user> on ><password> +psync +replconf \
             +ping +info +cluster|shards +cluster|slots +cluster|nodes +cluster|info (and \
             with Valkey 9 +cluster|getslotmigrations)",
        );
    }
    refusal
}
