//! Nodes, and whose turn it is among them.

use tokio::task::JoinSet;

use super::*;
use crate::model::{BackupFilter, Node, NodeRole, Page};

pub(super) async fn run(open: &impl AsyncFn() -> Arc<dyn Catalog>) {
    a_node_that_is_not_seen_is_lost(&fixture(open).await).await;
    a_turn_is_one_nodes(&fixture(open).await).await;
    a_turn_that_is_held_stays(&fixture(open).await).await;
    of_many_nodes_one_has_the_turn(&fixture(open).await).await;
    tallies_follow_every_change(&fixture(open).await).await;
}

fn node(id: &str) -> Node {
    let roles = vec![NodeRole::Api, NodeRole::Worker];
    Node { id: id.to_owned(), host: "h".to_owned(), roles, version: "1.2.3".to_owned(), started_at: at(0) }
}

async fn a_node_that_is_not_seen_is_lost(catalog: &Fixture) {
    catalog.beat(&node("a"), at(0), HOLD).await.unwrap();
    catalog.beat(&node("b"), at(0), HOLD).await.unwrap();
    catalog.beat(&node("a"), at(20), HOLD).await.unwrap();
    let seen = catalog.nodes(at(40)).await.unwrap();
    assert_eq!(seen[0].node, node("a"));
    let shown: Vec<_> = seen.iter().map(|seen| (seen.node.id.as_str(), seen.seen_at, seen.alive)).collect();
    assert_eq!(shown, [("a", at(20), true), ("b", at(0), false)]);
    catalog.leave("a").await.unwrap();
    catalog.beat(&node("c"), at(86_500), HOLD).await.unwrap();
    let ids: Vec<_> = catalog.nodes(at(86_500)).await.unwrap().into_iter().map(|seen| seen.node.id).collect();
    assert_eq!(ids, ["c"], "one has gone, the other was lost long ago");
}

async fn a_turn_is_one_nodes(catalog: &Fixture) {
    let take = async |name, node, second| catalog.take_turn(name, node, at(second), HOLD).await.unwrap();
    assert!(take("host 10.0.0.1", "a", 0).await);
    assert!(!take("host 10.0.0.1", "b", 1).await);
    assert!(take("host 10.0.0.2", "b", 1).await);
    assert!(take("host 10.0.0.1", "a", 2).await, "it has it already");
    catalog.give_turn("host 10.0.0.1", "b").await.unwrap();
    assert!(!take("host 10.0.0.1", "b", 3).await, "it is not b's to give");
    catalog.give_turn("host 10.0.0.1", "a").await.unwrap();
    assert!(take("host 10.0.0.1", "b", 4).await);
    catalog.leave("b").await.unwrap();
    assert!(take("host 10.0.0.1", "a", 5).await && take("host 10.0.0.2", "a", 5).await);
}

async fn a_turn_that_is_held_stays(catalog: &Fixture) {
    let take = async |node, second| catalog.take_turn("t", node, at(second), HOLD).await.unwrap();
    let hold = async |node, second| catalog.hold_turn("t", node, at(second), HOLD).await.unwrap();
    assert!(!hold("a", 0).await, "it was never a's");
    assert!(take("a", 0).await);
    assert!(hold("a", 20).await);
    assert!(!take("b", 50).await);
    assert!(hold("a", 90).await, "it had run out, and nobody else wanted it");
    catalog.beat(&node("a"), at(120), HOLD).await.unwrap();
    assert!(take("b", 121).await, "a lives, but holds it no longer");
    assert!(!hold("a", 122).await);
    assert!(!take("a", 150).await, "what was lost is not held by the one who lost it");
    catalog.give_turn("t", "b").await.unwrap();
    assert!(!hold("a", 151).await, "another had it meanwhile");
}

async fn of_many_nodes_one_has_the_turn(catalog: &Fixture) {
    for second in [0, 100] {
        let mut asking = JoinSet::new();
        for number in 0..8 {
            let catalog = catalog.catalog.clone();
            asking.spawn(async move {
                catalog.take_turn("t", &format!("{second}/{number}"), at(second), HOLD).await.unwrap()
            });
        }
        assert_eq!(asking.join_all().await.into_iter().filter(|&taken| taken).count(), 1);
    }
}

async fn tallies_follow_every_change(catalog: &Fixture) {
    // `total` comes from the tallies where the filter allows, and else from the rows themselves.
    let agree = async || {
        for project in [None, Some(id("web"))] {
            for instance in [None, Some(id("crs-1"))] {
                for states in [vec![], vec![BackupState::Available, BackupState::Failed]] {
                    let filter = BackupFilter {
                        project: project.clone(),
                        instance: instance.clone(),
                        states,
                        page: Page { offset: 0, limit: 1 },
                        ..BackupFilter::default()
                    };
                    let tallied = catalog.backups(&acme(), &filter).await.unwrap().total;
                    let counted = BackupFilter { since: Some(at(-9)), ..filter };
                    assert_eq!(tallied, catalog.backups(&acme(), &counted).await.unwrap().total);
                }
            }
        }
        catalog.backups(&acme(), &BackupFilter::default()).await.unwrap().total
    };
    let first = catalog.available(acme(), "crs-1", 0, 2).await;
    catalog.available(acme(), "crs-2", 1, 1).await;
    catalog.available(rival(), "crs-1", 2, 1).await;
    assert_eq!(agree().await, 2);
    let asked = catalog.request(acme(), "crs-1", 3).await;
    assert_eq!(agree().await, 3);
    catalog.cancel_job(&acme(), asked.job, at(4)).await.unwrap();
    assert_eq!(agree().await, 3);
    catalog.expire_backup(&acme(), first.id, at(5)).await.unwrap();
    assert_eq!(agree().await, 2);
}
