//! The audit log: in order, without gaps, whoever writes.

use tokio::task::JoinSet;

use super::*;
use crate::model::{AuditChain, AuditFacts, AuditFilter, BEGUN, NO_HASH, Page};

pub(super) async fn run(open: &impl AsyncFn() -> Arc<dyn Catalog>) {
    an_entry_reads_back_behind_those_before_it(&fixture(open).await).await;
    entries_are_found_by_what_they_say(&fixture(open).await).await;
    concurrent_entries_stand_in_one_chain(&fixture(open).await).await;
}

fn facts(second: i64, who: &str, action: &str) -> AuditFacts {
    AuditFacts {
        at: at(second),
        stage: BEGUN.to_owned(),
        answers: None,
        account: "acme".to_owned(),
        who: who.to_owned(),
        address: Some("203.0.113.9".to_owned()),
        via: "native".to_owned(),
        action: action.to_owned(),
        kind: "backup".to_owned(),
        subject: "it's \"7\"".to_owned(),
        parameters: "{\"keep\":1}".to_owned(),
        code: None,
    }
}

fn chain() -> AuditChain {
    AuditChain::new(&[3; 32], &[])
}

async fn an_entry_reads_back_behind_those_before_it(catalog: &Fixture) {
    let start = catalog.audit_head().await.unwrap();
    assert_eq!((start.sequence, start.hash.as_str()), (0, NO_HASH));
    let first = facts(1, "AK1", "backup.delete");
    let second = AuditFacts {
        address: None,
        answers: Some(1),
        code: Some("CONFLICT".to_owned()),
        ..facts(2, "keystow", "x")
    };
    let one = catalog.append_audit(&first, &chain()).await.unwrap();
    let two = catalog.append_audit(&second, &chain()).await.unwrap();
    assert_eq!((one.sequence, two.sequence), (1, 2));
    assert_eq!(one.hash, chain().hash(NO_HASH, 1, &first));
    assert_eq!(two.hash, chain().hash(&one.hash, 2, &second));
    assert_eq!(catalog.audit_head().await.unwrap(), two);
    let all = catalog.audit_after(0, 10).await.unwrap();
    let read: Vec<_> = all.iter().map(|entry| (entry.sequence, &entry.hash, &entry.facts)).collect();
    assert_eq!(read, [(1, &one.hash, &first), (2, &two.hash, &second)]);
    assert_eq!(catalog.audit_after(1, 10).await.unwrap(), all[1..]);
    assert_eq!(catalog.audit_after(0, 1).await.unwrap(), all[..1]);
}

async fn entries_are_found_by_what_they_say(catalog: &Fixture) {
    for (second, who, action) in
        [(1, "AK1", "backup.delete"), (2, "AK2", "backup.protect"), (3, "AK1", "backups.none")]
    {
        catalog.append_audit(&facts(second, who, action), &chain()).await.unwrap();
    }
    let text = |text: &str| Some(text.to_owned());
    let all = AuditFilter::default();
    for (filter, expected) in [
        (all.clone(), vec![3, 2, 1]),
        (AuditFilter { who: text("AK1"), ..all.clone() }, vec![3, 1]),
        (AuditFilter { action: text("backup"), ..all.clone() }, vec![2, 1]),
        (AuditFilter { action: text("backup.delete"), ..all.clone() }, vec![1]),
        (AuditFilter { action: text("back%"), ..all.clone() }, vec![]),
        (AuditFilter { since: Some(at(2)), ..all.clone() }, vec![3, 2]),
        (AuditFilter { until: Some(at(2)), ..all.clone() }, vec![1]),
        (AuditFilter { account: text("rival"), ..all.clone() }, vec![]),
    ] {
        let listed = catalog.audit(&filter).await.unwrap();
        let found: Vec<_> = listed.rows.iter().map(|entry| entry.sequence).collect();
        assert_eq!(found, expected, "{filter:?}");
        assert_eq!(listed.total, expected.len() as u64);
    }
    let page = AuditFilter { page: Page { offset: 1, limit: 1 }, ..all };
    let listed = catalog.audit(&page).await.unwrap();
    assert_eq!((listed.total, listed.rows.len(), listed.rows[0].sequence), (3, 1, 2));
}

async fn concurrent_entries_stand_in_one_chain(catalog: &Fixture) {
    let mut writing = JoinSet::new();
    for writer in 0..4 {
        let catalog = catalog.catalog.clone();
        writing.spawn(async move {
            for second in 0..25 {
                let who = format!("AK{writer}");
                catalog.append_audit(&facts(second, &who, "backup.delete"), &chain()).await.unwrap();
            }
        });
    }
    writing.join_all().await;
    let entries = catalog.audit_after(0, 1000).await.unwrap();
    assert_eq!(entries.len(), 100);
    let mut previous = NO_HASH.to_owned();
    for (at, entry) in entries.iter().enumerate() {
        assert_eq!(entry.sequence, at as u64 + 1);
        assert_eq!(entry.hash, chain().hash(&previous, entry.sequence, &entry.facts));
        previous.clone_from(&entry.hash);
    }
    assert_eq!(catalog.audit_head().await.unwrap().hash, previous);
}
