//! The access log, and what links were used for.

use super::*;
use crate::model::{
    AccessFilter, AccessKind, AccessRecord, LinkUsage, Network, Page, RememberedLink, Throughput,
};

pub(super) async fn run(open: &impl AsyncFn() -> Arc<dyn Catalog>) {
    records_read_back_newest_first_in_their_account(&fixture(open).await).await;
    records_are_found_by_what_they_say(&fixture(open).await).await;
    downloads_add_to_the_usage_of_their_link(&fixture(open).await).await;
    old_records_go(&fixture(open).await).await;
}

fn record(second: i64, backup: &Backup) -> AccessRecord {
    AccessRecord {
        number: 0,
        at: at(second),
        kind: AccessKind::Download,
        account: backup.account.to_string(),
        access_key: "AK1".to_owned(),
        address: Some("203.0.113.9".to_owned()),
        via: "download".to_owned(),
        backup: Some(backup.id),
        instance: Some(backup.instance.clone()),
        parts: vec![7, 8],
        networks: vec![Network::Public, Network::Intranet],
        link: None,
        expires_at: Some(at(100)),
        range: Some((3, 5_000_000_000)),
        sent_bytes: 4_000_000_000,
        outcome: "done".to_owned(),
        requests: 1,
    }
}

/// Records as they were before they were kept.
fn unnumbered(records: Vec<AccessRecord>) -> Vec<AccessRecord> {
    records.into_iter().map(|record| AccessRecord { number: 0, ..record }).collect()
}

async fn records_read_back_newest_first_in_their_account(catalog: &Fixture) {
    let backup = catalog.available(acme(), "crs-1", 0, 1).await;
    let bare = AccessRecord {
        kind: AccessKind::Lost,
        address: None,
        backup: None,
        instance: None,
        parts: Vec::new(),
        networks: Vec::new(),
        expires_at: None,
        range: None,
        ..record(2, &backup)
    };
    // More than one statement takes.
    let many: Vec<_> = std::iter::once(bare.clone()).chain((3..1203).map(|n| record(n, &backup))).collect();
    catalog.record_access(&many).await.unwrap();
    catalog.record_access(&[record(1, &backup)]).await.unwrap();
    let everything = AccessFilter { page: Page { offset: 0, limit: 5000 }, ..AccessFilter::default() };
    let listed = catalog.access_log(&acme(), &everything).await.unwrap();
    let expected: Vec<_> = many.iter().cloned().chain([record(1, &backup)]).rev().collect();
    assert!(listed.rows.windows(2).all(|pair| pair[0].number == pair[1].number + 1));
    assert_eq!((listed.total, unnumbered(listed.rows) == expected), (1202, true));
    let page = AccessFilter { page: Page { offset: 1200, limit: 5 }, ..AccessFilter::default() };
    let listed = catalog.access_log(&acme(), &page).await.unwrap();
    assert_eq!(unnumbered(listed.rows), [record(3, &backup), bare]);
    assert_eq!(catalog.access_log(&rival(), &everything).await.unwrap().total, 0);
    catalog.record_access(&[]).await.unwrap();
}

async fn records_are_found_by_what_they_say(catalog: &Fixture) {
    let backup = catalog.available(acme(), "crs-1", 0, 1).await;
    let other = catalog.available(acme(), "crs-2", 1, 1).await;
    let first = record(1, &backup);
    let second = AccessRecord { kind: AccessKind::Links, access_key: "AK2".to_owned(), ..record(2, &other) };
    let third = AccessRecord { link: Some("lnk-1".to_owned()), ..record(3, &backup) };
    catalog.record_access(&[first, second, third]).await.unwrap();
    let all = AccessFilter::default();
    for (filter, expected) in [
        (AccessFilter { backup: Some(backup.id), ..all.clone() }, vec![3, 1]),
        (AccessFilter { instance: Some(id("crs-2")), ..all.clone() }, vec![2]),
        (AccessFilter { link: Some("lnk-1".to_owned()), ..all.clone() }, vec![3]),
        (AccessFilter { access_key: Some("AK2".to_owned()), ..all.clone() }, vec![2]),
        (AccessFilter { kind: Some(AccessKind::Links), ..all.clone() }, vec![2]),
        (AccessFilter { since: Some(at(2)), until: Some(at(3)), ..all.clone() }, vec![2]),
        (AccessFilter { project: Some(id("web")), ..all.clone() }, vec![3, 1]),
        (AccessFilter { project: Some(id("shop")), ..all }, vec![]),
    ] {
        let listed = catalog.access_log(&acme(), &filter).await.unwrap();
        let found: Vec<_> = listed.rows.iter().map(|record| record.at).collect();
        assert_eq!(found, expected.into_iter().map(at).collect::<Vec<_>>(), "{filter:?}");
        assert_eq!(listed.total, found.len() as u64);
    }
}

async fn downloads_add_to_the_usage_of_their_link(catalog: &Fixture) {
    let backup = catalog.available(acme(), "crs-1", 0, 1).await;
    let link = RememberedLink {
        id: "lnk-1".to_owned(),
        account: acme(),
        backup: backup.id,
        part: backup.parts[0].number,
        file_name: "0.rdb".to_owned(),
        network: Network::Public,
        access_key: "AK1".to_owned(),
        created_at: at(0),
        expires_at: at(100),
        revoked_at: None,
        addresses: Vec::new(),
        budget: None,
        throughput: Throughput::default(),
        usage: LinkUsage::default(),
    };
    catalog.remember_link(&link).await.unwrap();
    let used = |second: i64, bytes: u64, from: &str| AccessRecord {
        link: Some("lnk-1".to_owned()),
        sent_bytes: bytes,
        requests: 2,
        address: Some(from.to_owned()),
        ..record(second, &backup)
    };
    let refused = AccessRecord { range: None, ..used(9, 0, "198.51.100.7") };
    catalog.record_access(&[used(1, 10, "10.0.0.1"), used(2, 20, "10.0.0.2"), refused]).await.unwrap();
    catalog.record_access(&[used(3, 5, "10.0.0.3")]).await.unwrap();
    let usage = catalog.link("lnk-1").await.unwrap().unwrap().usage;
    let expected =
        LinkUsage { requests: 6, bytes: 35, last_at: Some(at(3)), last_address: Some("10.0.0.3".to_owned()) };
    assert_eq!(usage, expected, "a refused request is no use of the link");
}

async fn old_records_go(catalog: &Fixture) {
    let backup = catalog.available(acme(), "crs-1", 0, 1).await;
    let many: Vec<_> = (0..6).map(|second| record(second, &backup)).collect();
    catalog.record_access(&many).await.unwrap();
    assert_eq!(catalog.prune_access(at(4)).await.unwrap(), 4);
    assert_eq!(catalog.prune_access(at(4)).await.unwrap(), 0);
    let left = catalog.access_log(&acme(), &AccessFilter::default()).await.unwrap();
    assert_eq!(unnumbered(left.rows), [record(5, &backup), record(4, &backup)]);
    catalog.record_access(&[record(6, &backup)]).await.unwrap();
    let left = catalog.access_log(&acme(), &AccessFilter::default()).await.unwrap();
    assert_eq!(left.total, 3, "a number is never given twice");
}
