//! How an instance is laid out: its shards, the servers of each, and which of them a backup may ask.

use std::collections::BTreeMap;

use super::Node;
use crate::model::{NodeFacts, Prefer, SLOT_COUNT, ServerFacts, Slots, Topology};

/// An instance as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// How it is laid out.
    pub topology: Topology,
    /// Its shards, by their first slot; one where there are no slots.
    pub shards: Vec<Shard>,
    /// The cluster's `cluster_current_epoch`: it grows when slots move or a replica takes over. `None` for others.
    pub epoch: Option<u64>,
    /// Slots of a cluster that no shard has.
    pub uncovered: Slots,
    /// Slots of a cluster that are on their way from one shard to another, or that two shards claim.
    pub moving: Vec<u16>,
}

/// Servers that hold the same data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    /// From 0.
    pub index: u32,
    /// The slots that it holds; none unless it is part of a cluster.
    pub slots: Slots,
    /// Its servers, the primary first.
    pub nodes: Vec<Member>,
}

/// A server of a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Where it is.
    pub node: Node,
    /// Whether it is the primary.
    pub primary: bool,
    /// Whether a backup may ask it.
    pub healthy: bool,
    /// Why not; empty if it may.
    pub why: String,
    /// How many bytes of the replication stream it is behind its primary, as far as known.
    pub lag_bytes: Option<u64>,
    /// Its id in the cluster.
    pub id: Option<String>,
}

/// A server that a backup may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Where it is.
    pub node: Node,
    /// Whether it is the primary.
    pub primary: bool,
    /// Why it has this place among the candidates.
    pub why: String,
}

impl Layout {
    /// What one of its servers said of itself, with what was found of them all.
    pub fn described(&self, facts: ServerFacts) -> ServerFacts {
        let nodes = self.shards.iter().flat_map(|shard| {
            shard.nodes.iter().map(|member| NodeFacts {
                shard: shard.index,
                url: member.node.to_string(),
                primary: member.primary,
                healthy: member.healthy,
                slots: shard.slots.clone(),
            })
        });
        ServerFacts {
            topology: self.topology,
            shards: u32::try_from(self.shards.len()).unwrap_or(u32::MAX),
            nodes: nodes.collect(),
            ..facts
        }
    }

    /// Whether every slot has a shard, and every shard a server that can be asked. Slots may be moving all the same.
    pub fn is_complete(&self) -> bool {
        let reachable = |shard: &Shard| shard.nodes.iter().any(|member| member.healthy);
        self.uncovered.is_empty() && !self.shards.is_empty() && self.shards.iter().all(reachable)
    }

    /// Whether the same primaries hold the same slots in both, at the same epoch, and nothing moves in either: what was
    /// taken between the two is of one piece, as far as shards go.
    pub fn same_owners(&self, other: &Self) -> bool {
        let quiet = self.moving.is_empty() && other.moving.is_empty();
        quiet && self.epoch == other.epoch && self.owners() == other.owners()
    }

    /// Who holds which slots.
    fn owners(&self) -> BTreeMap<String, Slots> {
        let mut owners: BTreeMap<String, Vec<(u16, u16)>> = BTreeMap::new();
        for shard in &self.shards {
            let owner =
                shard.primary().map(|member| member.id.clone().unwrap_or_else(|| member.node.to_string()));
            owners.entry(owner.unwrap_or_default()).or_default().extend(shard.slots.ranges());
        }
        owners.into_iter().map(|(owner, slots)| (owner, Slots::new(slots))).collect()
    }
}

impl Shard {
    /// Its primary.
    pub fn primary(&self) -> Option<&Member> {
        self.nodes.iter().find(|member| member.primary)
    }

    /// [`Shard::candidates`], or where there is none, the primary or only server all the same: what it says to being
    /// asked is the best reason that there is.
    pub fn candidates_or_first(&self, prefer: Prefer) -> Vec<Choice> {
        let mut candidates = self.candidates(prefer);
        if candidates.is_empty()
            && let Some(first) = self.primary().or(self.nodes.first())
        {
            let why = format!("no server is healthy; of this one it is known: {}", first.why);
            candidates.push(Choice { node: first.node.clone(), primary: first.primary, why });
        }
        candidates
    }

    /// Whether it is the same shard in a later layout: it holds the first of the same slots.
    pub fn is_of(&self, earlier: &Self) -> bool {
        match earlier.slots.iter().next() {
            Some(first) => self.slots.contains(first),
            None => self.index == earlier.index,
        }
    }

    /// The servers that may be asked, the best first: replicas by how little they are behind, and the primary before or
    /// after them. None that is not healthy.
    pub fn candidates(&self, prefer: Prefer) -> Vec<Choice> {
        let healthy = |primary| self.nodes.iter().filter(move |node| node.healthy && node.primary == primary);
        let mut replicas: Vec<_> = healthy(false).collect();
        replicas.sort_by_key(|member| member.lag_bytes.unwrap_or(u64::MAX));
        let primary_why = match prefer {
            _ if self.nodes.len() == 1 => "the only server",
            Prefer::Primary => "the primary",
            Prefer::Replica if replicas.is_empty() => "no healthy replica",
            Prefer::Replica => "the primary, if no replica can do it",
        };
        let primaries = healthy(true).map(|member| Choice {
            node: member.node.clone(),
            primary: true,
            why: primary_why.to_owned(),
        });
        let replicas = replicas.into_iter().map(|member| Choice {
            node: member.node.clone(),
            primary: false,
            why: match member.lag_bytes {
                _ if self.nodes.len() == 1 => "the only server".to_owned(),
                Some(bytes) => format!("healthy replica, {bytes} bytes behind"),
                None => "healthy replica".to_owned(),
            },
        });
        match prefer {
            Prefer::Replica => replicas.chain(primaries).collect(),
            Prefer::Primary => primaries.chain(replicas).collect(),
        }
    }
}

/// The slots of a cluster that none of these have, and those that two have.
pub(super) fn holes_and_overlaps<'a>(all: impl Iterator<Item = &'a Slots>) -> (Slots, Vec<u16>) {
    let (mut claimed, mut twice) = (vec![false; usize::from(SLOT_COUNT)], Vec::new());
    for slot in all.flat_map(Slots::iter) {
        if std::mem::replace(&mut claimed[usize::from(slot)], true) {
            twice.push(slot);
        }
    }
    let holes = (0..SLOT_COUNT).zip(&claimed).filter(|(_, claimed)| !**claimed);
    (Slots::new(holes.map(|(slot, _)| (slot, slot))), twice)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(port: u16, primary: bool, healthy: bool, lag_bytes: Option<u64>) -> Member {
        let node = Node::Tcp { host: "h".to_owned(), port, tls: false };
        Member { node, primary, healthy, why: String::new(), lag_bytes, id: Some(format!("id{port}")) }
    }

    fn shard(index: u32, slots: &[(u16, u16)], nodes: Vec<Member>) -> Shard {
        let slots = Slots::new(slots.iter().copied());
        Shard { index, slots, nodes }
    }

    fn layout(shards: Vec<Shard>) -> Layout {
        let (uncovered, moving) = holes_and_overlaps(shards.iter().map(|shard| &shard.slots));
        Layout { topology: Topology::Cluster, shards, epoch: Some(3), uncovered, moving }
    }

    fn ranked(shard: &Shard, prefer: Prefer) -> Vec<(String, String)> {
        shard.candidates(prefer).into_iter().map(|choice| (choice.node.to_string(), choice.why)).collect()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(node, why)| ((*node).to_owned(), (*why).to_owned())).collect()
    }

    #[test]
    fn replicas_come_by_their_lag_and_the_primary_after_them() {
        let nodes = vec![
            member(1, true, true, None),
            member(2, false, true, Some(10)),
            member(3, false, true, None),
            member(4, false, false, Some(0)),
            member(5, false, true, Some(0)),
        ];
        let all = shard(0, &[], nodes.clone());
        let expected = [
            ("redis://h:5", "healthy replica, 0 bytes behind"),
            ("redis://h:2", "healthy replica, 10 bytes behind"),
            ("redis://h:3", "healthy replica"),
            ("redis://h:1", "the primary, if no replica can do it"),
        ];
        assert_eq!(ranked(&all, Prefer::Replica), pairs(&expected));
        assert_eq!(ranked(&all, Prefer::Primary)[0], pairs(&[("redis://h:1", "the primary")])[0]);
        let ill = shard(0, &[], vec![nodes[0].clone(), nodes[3].clone()]);
        assert_eq!(ranked(&ill, Prefer::Replica), pairs(&[("redis://h:1", "no healthy replica")]));
        let one = shard(0, &[], vec![nodes[1].clone()]);
        assert_eq!(ranked(&one, Prefer::Replica), pairs(&[("redis://h:2", "the only server")]));
        let none = shard(0, &[], vec![nodes[3].clone()]);
        assert_eq!(ranked(&none, Prefer::Primary), []);
    }

    #[test]
    fn a_layout_is_complete_when_each_slot_can_be_asked_for() {
        let nodes = |port| vec![member(port, true, true, None)];
        let two =
            layout(vec![shard(0, &[(0, 99), (200, 16_383)], nodes(1)), shard(1, &[(100, 199)], nodes(2))]);
        assert!(two.is_complete() && two.moving.is_empty());
        let hole = layout(vec![shard(0, &[(0, 7), (9, 9), (11, 16_382)], nodes(1))]);
        assert!(!hole.is_complete());
        assert_eq!(hole.uncovered.to_string(), "8,10,16383");
        let claimed_twice = layout(vec![shard(0, &[(0, 16_383)], nodes(1)), shard(1, &[(5, 6)], nodes(2))]);
        assert_eq!(claimed_twice.moving, [5, 6]);
        let ill = layout(vec![shard(0, &[(0, 16_383)], vec![member(1, true, false, None)])]);
        assert!(!ill.is_complete() && !layout(Vec::new()).is_complete());
    }

    #[test]
    fn owners_are_the_same_however_the_ranges_are_cut() {
        let with =
            |slots: &[(u16, u16)], port| layout(vec![shard(0, slots, vec![member(port, true, true, None)])]);
        let whole = with(&[(0, 16_383)], 1);
        assert!(whole.same_owners(&with(&[(101, 16_383), (0, 100)], 1)));
        assert!(!whole.same_owners(&with(&[(0, 16_383)], 2)));
        assert!(!whole.same_owners(&with(&[(0, 16_382)], 1)));
        assert!(!whole.same_owners(&Layout { epoch: Some(4), ..whole.clone() }));
        assert!(!whole.same_owners(&Layout { moving: vec![1], ..whole.clone() }));
    }
}
