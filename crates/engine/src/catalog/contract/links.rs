//! Remembered links, budgets and revocations.

use tokio::task::JoinSet;

use super::*;
use crate::model::{
    Admission, DeliveryBudget, LinkLimit, LinkRestriction, LinkUsage, Network, Page, Promise, RememberedLink,
    RevocationScope, Throughput,
};

pub(super) async fn run(open: &impl AsyncFn() -> Arc<dyn Catalog>) {
    a_link_reads_back_in_its_account_only(&fixture(open).await).await;
    a_link_is_revoked_by_its_owner(&fixture(open).await).await;
    links_are_listed_by_project(&fixture(open).await).await;
    revocations_are_kept_by_scope(&fixture(open).await).await;
    a_restriction_is_kept_by_account_and_region(&fixture(open).await).await;
    a_budget_counts_what_was_sent(&fixture(open).await).await;
    concurrent_reservations_never_exceed_the_budget(&fixture(open).await).await;
    promises_to_dead_transfers_are_forgotten(&fixture(open).await).await;
    promises_of_a_lost_node_are_free_again(&fixture(open).await).await;
    a_promise_is_settled_once(&fixture(open).await).await;
    what_a_broken_connection_held_back_is_forgiven(&fixture(open).await).await;
}

fn link(name: &str, backup: &Backup, deliveries: Option<u32>) -> RememberedLink {
    RememberedLink {
        id: name.to_owned(),
        account: backup.account.clone(),
        backup: backup.id,
        part: backup.parts[0].number,
        file_name: "0.rdb".to_owned(),
        network: Network::Intranet,
        access_key: "AK1".to_owned(),
        created_at: at(5),
        expires_at: at(50),
        revoked_at: None,
        addresses: vec!["10.0.0.0/8".to_owned()],
        budget: deliveries.map(|deliveries| DeliveryBudget {
            deliveries,
            size_bytes: 1000,
            sent_bytes: 0,
            forgiven_bytes: 0,
        }),
        throughput: Throughput {
            bytes_per_second: deliveries.map(|_| 5_000_000_000),
            connections: deliveries,
        },
        usage: LinkUsage::default(),
    }
}

async fn a_link_reads_back_in_its_account_only(catalog: &Fixture) {
    let backup = catalog.available(acme(), "crs-1", 0, 1).await;
    catalog.remember_link(&link("lnk-1", &backup, None)).await.unwrap();
    let second = RememberedLink { created_at: at(6), ..link("lnk-2", &backup, Some(2)) };
    catalog.remember_link(&second).await.unwrap();
    let read = catalog.link("lnk-2").await.unwrap().unwrap();
    assert_eq!(format!("{read:?}"), format!("{second:?}"));
    assert!(catalog.link("lnk-1").await.unwrap().unwrap().budget.is_none());
    assert!(catalog.link("lnk-3").await.unwrap().is_none());
    let listed = catalog.links(&acme(), None, Page::default()).await.unwrap();
    let ids: Vec<_> = listed.rows.iter().map(|link| link.id.as_str()).collect();
    assert_eq!((listed.total, ids), (2, vec!["lnk-2", "lnk-1"]), "newest first");
    let page = catalog.links(&acme(), None, Page { offset: 1, limit: 5 }).await.unwrap();
    assert_eq!((page.total, page.rows[0].id.as_str()), (2, "lnk-1"));
    assert_eq!(catalog.links(&rival(), None, Page::default()).await.unwrap().total, 0);
}

async fn a_link_is_revoked_by_its_owner(catalog: &Fixture) {
    let backup = catalog.available(acme(), "crs-1", 0, 1).await;
    catalog.remember_link(&link("lnk-1", &backup, None)).await.unwrap();
    assert!(is_missing(&catalog.revoke_link(&rival(), "lnk-1", at(7)).await.unwrap_err()));
    assert_eq!(catalog.link("lnk-1").await.unwrap().unwrap().revoked_at, None);
    catalog.revoke_link(&acme(), "lnk-1", at(8)).await.unwrap();
    catalog.revoke_link(&acme(), "lnk-1", at(9)).await.unwrap();
    assert_eq!(
        catalog.link("lnk-1").await.unwrap().unwrap().revoked_at,
        Some(at(8)),
        "the first moment stays"
    );
    assert!(is_missing(&catalog.revoke_link(&acme(), "lnk-2", at(9)).await.unwrap_err()));
}

async fn links_are_listed_by_project(catalog: &Fixture) {
    let web = catalog.available(acme(), "crs-1", 0, 1).await;
    let none = catalog.available(acme(), "crs-2", 1, 1).await;
    catalog.remember_link(&link("lnk-1", &web, None)).await.unwrap();
    catalog.remember_link(&link("lnk-2", &none, None)).await.unwrap();
    let listed = catalog.links(&acme(), Some(&id("web")), Page::default()).await.unwrap();
    assert_eq!((listed.total, listed.rows[0].id.as_str()), (1, "lnk-1"));
    assert_eq!(catalog.links(&acme(), Some(&id("shop")), Page::default()).await.unwrap().total, 0);
}

async fn revocations_are_kept_by_scope(catalog: &Fixture) {
    let backup = BackupId::mint(at(0));
    let scopes = [
        RevocationScope::AccessKey("AK1".to_owned()),
        RevocationScope::Backup(backup),
        RevocationScope::Instance(id("crs-1")),
    ];
    for (scope, second) in scopes.iter().zip([10, 30, 20]) {
        assert_eq!(catalog.links_revoked_before(&acme(), std::slice::from_ref(scope)).await.unwrap(), None);
        catalog.revoke_links_before(&acme(), scope, at(second)).await.unwrap();
        // A clock that was set back never gives a revoked link its life again.
        catalog.revoke_links_before(&acme(), scope, at(second - 5)).await.unwrap();
        let found = catalog.links_revoked_before(&acme(), std::slice::from_ref(scope)).await.unwrap();
        assert_eq!(found, Some(at(second)));
    }
    assert_eq!(
        catalog.links_revoked_before(&acme(), &scopes).await.unwrap(),
        Some(at(30)),
        "the latest of any"
    );
    assert_eq!(catalog.links_revoked_before(&acme(), &[]).await.unwrap(), None);
    assert_eq!(catalog.links_revoked_before(&rival(), &scopes).await.unwrap(), None);
}

/// Promises so many bytes of a link to a transfer of the node `a`, in that second.
async fn promise(
    catalog: &dyn Catalog,
    id: &str,
    link: &str,
    bytes: u64,
    second: i64,
) -> Result<Admission, Error> {
    let (id, link, node) = (id.to_owned(), link.to_owned(), "a".to_owned());
    catalog.reserve_delivery(&Promise { id, link, node, bytes }, at(second), HOLD).await
}

async fn a_budget_counts_what_was_sent(catalog: &Fixture) {
    let backup = catalog.available(acme(), "crs-1", 0, 1).await;
    catalog.remember_link(&link("lnk-1", &backup, Some(1))).await.unwrap();
    let sent = async || catalog.link("lnk-1").await.unwrap().unwrap().budget.unwrap().sent_bytes;
    assert_eq!(promise(&**catalog, "1", "lnk-1", 1000, 6).await.unwrap(), Admission::Now);
    assert_eq!(
        promise(&**catalog, "2", "lnk-1", 1000, 6).await.unwrap(),
        Admission::Later,
        "promised already"
    );
    catalog.settle_delivery("1", 400, 0).await.unwrap();
    assert_eq!(sent().await, 400);
    assert_eq!(
        promise(&**catalog, "3", "lnk-1", 600, 6).await.unwrap(),
        Admission::Now,
        "the rest after a broken transfer"
    );
    catalog.settle_delivery("3", 600, 0).await.unwrap();
    assert_eq!(promise(&**catalog, "4", "lnk-1", 1, 6).await.unwrap(), Admission::Never, "used up");
    assert!(is_missing(&promise(&**catalog, "5", "lnk-9", 1, 6).await.unwrap_err()));
    catalog.remember_link(&link("lnk-2", &backup, None)).await.unwrap();
    assert_eq!(
        promise(&**catalog, "6", "lnk-2", u64::MAX / 4, 6).await.unwrap(),
        Admission::Now,
        "no budget, no limit"
    );
    assert_eq!(
        promise(&**catalog, "7", "lnk-2", u64::MAX / 4, 6).await.unwrap(),
        Admission::Now,
        "no budget, no limit"
    );
}

async fn concurrent_reservations_never_exceed_the_budget(catalog: &Fixture) {
    let backup = catalog.available(acme(), "crs-1", 0, 1).await;
    catalog.remember_link(&link("lnk-1", &backup, Some(3))).await.unwrap();
    let mut asking = JoinSet::new();
    for number in 0..20 {
        let catalog = catalog.catalog.clone();
        asking.spawn(async move { promise(&*catalog, &number.to_string(), "lnk-1", 1000, 6).await.unwrap() });
    }
    assert_eq!(
        asking.join_all().await.into_iter().filter(|admission| *admission == Admission::Now).count(),
        3
    );
}

async fn promises_to_dead_transfers_are_forgotten(catalog: &Fixture) {
    let backup = catalog.available(acme(), "crs-1", 0, 1).await;
    catalog.remember_link(&link("lnk-1", &backup, Some(1))).await.unwrap();
    assert_eq!(promise(&**catalog, "1", "lnk-1", 1000, 6).await.unwrap(), Admission::Now);
    catalog.surrender_leases().await.unwrap();
    assert_eq!(promise(&**catalog, "2", "lnk-1", 1000, 6).await.unwrap(), Admission::Now);
}

async fn promises_of_a_lost_node_are_free_again(catalog: &Fixture) {
    let backup = catalog.available(acme(), "crs-1", 0, 1).await;
    catalog.remember_link(&link("lnk-1", &backup, Some(1))).await.unwrap();
    assert_eq!(promise(&**catalog, "1", "lnk-1", 1000, 6).await.unwrap(), Admission::Now);
    catalog.hold_promises("a", at(20), HOLD).await.unwrap();
    catalog.hold_promises("b", at(40), HOLD).await.unwrap();
    assert_eq!(
        promise(&**catalog, "2", "lnk-1", 1000, 50).await.unwrap(),
        Admission::Later,
        "its node was seen"
    );
    assert_eq!(
        promise(&**catalog, "3", "lnk-1", 1000, 51).await.unwrap(),
        Admission::Now,
        "its node is lost"
    );
    // It was only away: what it has sent counts, and what is promised to the other stays promised.
    catalog.settle_delivery("1", 10, 0).await.unwrap();
    assert_eq!(catalog.link("lnk-1").await.unwrap().unwrap().budget.unwrap().sent_bytes, 10);
    assert_eq!(promise(&**catalog, "4", "lnk-1", 990, 52).await.unwrap(), Admission::Later);
    // Nobody ever settles it, and in the end nobody remembers it.
    catalog.hold_promises("b", at(100_000), HOLD).await.unwrap();
    catalog.settle_delivery("3", 10, 0).await.unwrap();
    assert_eq!(catalog.link("lnk-1").await.unwrap().unwrap().budget.unwrap().sent_bytes, 10);
}

async fn a_promise_is_settled_once(catalog: &Fixture) {
    let backup = catalog.available(acme(), "crs-1", 0, 1).await;
    catalog.remember_link(&link("lnk-1", &backup, Some(2))).await.unwrap();
    assert_eq!(promise(&**catalog, "1", "lnk-1", 1000, 6).await.unwrap(), Admission::Now);
    assert_eq!(promise(&**catalog, "2", "lnk-1", 1000, 6).await.unwrap(), Admission::Now);
    // The answer was lost, and it is said again.
    for _ in 0..2 {
        catalog.settle_delivery("1", 700, 0).await.unwrap();
    }
    assert_eq!(catalog.link("lnk-1").await.unwrap().unwrap().budget.unwrap().sent_bytes, 700);
    assert_eq!(promise(&**catalog, "3", "lnk-1", 300, 6).await.unwrap(), Admission::Now);
    assert_eq!(
        promise(&**catalog, "4", "lnk-1", 1000, 6).await.unwrap(),
        Admission::Later,
        "the second is still promised"
    );
}

async fn what_a_broken_connection_held_back_is_forgiven(catalog: &Fixture) {
    let backup = catalog.available(acme(), "crs-1", 0, 1).await;
    catalog.remember_link(&link("lnk-1", &backup, Some(1))).await.unwrap();
    let counted = async || {
        let budget = catalog.link("lnk-1").await.unwrap().unwrap().budget.unwrap();
        (budget.sent_bytes, budget.forgiven_bytes)
    };
    promise(&**catalog, "1", "lnk-1", 1000, 6).await.unwrap();
    catalog.settle_delivery("1", 700, 300).await.unwrap();
    assert_eq!(counted().await, (400, 300));
    // No more than was sent, and half of a delivery in all.
    promise(&**catalog, "2", "lnk-1", 600, 6).await.unwrap();
    catalog.settle_delivery("2", 50, 9000).await.unwrap();
    assert_eq!(counted().await, (400, 350));
    promise(&**catalog, "3", "lnk-1", 600, 6).await.unwrap();
    catalog.settle_delivery("3", 600, 9000).await.unwrap();
    assert_eq!(counted().await, (850, 500));
}

async fn a_restriction_is_kept_by_account_and_region(catalog: &Fixture) {
    let limit = LinkLimit {
        except: true,
        addresses: vec!["10.0.0.0/8".to_owned()],
        vpcs: vec![("vpc-1".to_owned(), "north".to_owned())],
    };
    let restriction = LinkRestriction { intranet_only: false, limit: Some(limit) };
    catalog.set_link_restriction(&acme(), "north", &restriction).await.unwrap();
    let kept = async |account: &AccountId, region| catalog.link_restriction(account, region).await.unwrap();
    assert_eq!(kept(&acme(), "north").await, Some(restriction));
    assert_eq!(kept(&acme(), "").await, None);
    assert_eq!(kept(&rival(), "north").await, None);
    let intranet = LinkRestriction { intranet_only: true, limit: None };
    catalog.set_link_restriction(&acme(), "north", &intranet).await.unwrap();
    assert_eq!(kept(&acme(), "north").await, Some(intranet));
}
