//! Copies of the catalog, and what is made of them.

use super::*;
use crate::catalog::copied::TABLES;
use crate::catalog::{CopiedRow, SealedColumn};
use crate::model::{AccessKey, LinkRestriction, RevocationScope, Role};

pub(super) async fn run(open: &impl AsyncFn() -> Arc<dyn Catalog>) {
    a_copy_read_into_an_empty_catalog_is_the_same(open).await;
    backups_are_taken_in_once_and_numbers_go_on_behind_them(open).await;
    secrets_are_replaced_all_or_none(&fixture(open).await).await;
    a_key_keeps_its_previous_secret_and_addresses(&fixture(open).await).await;
}

fn key(name: &str) -> AccessKey {
    AccessKey {
        id: name.to_owned(),
        account: acme(),
        project: Some(id("web")),
        role: Role::Operator,
        sealed_secret: vec![1, 2, 255],
        sealed_session_token: Some(vec![0]),
        previous: Some((vec![9, 9], at(60))),
        addresses: vec!["10.0.0.0/8".to_owned()],
        created_at: at(0),
        expires_at: None,
        revoked_at: None,
    }
}

async fn a_copy_read_into_an_empty_catalog_is_the_same(open: &impl AsyncFn() -> Arc<dyn Catalog>) {
    let catalog = fixture(open).await;
    catalog.add_key(&key("AK1")).await.unwrap();
    let restriction = LinkRestriction { intranet_only: true, limit: None };
    catalog.set_link_restriction(&acme(), "north", &restriction).await.unwrap();
    let scope = RevocationScope::AccessKey("AK0".to_owned());
    catalog.revoke_links_before(&acme(), &scope, at(7)).await.unwrap();
    let copied = catalog.copied_rows(at(10)).await.unwrap();
    assert!(copied.last_number >= 1000);

    let other = open().await;
    let restored = other.restore_rows(&copied.rows).await.unwrap();
    assert_eq!(restored, copied.rows.len() as u64);
    assert_eq!(other.restore_rows(&copied.rows).await.unwrap(), 0, "twice is once");
    assert_eq!(other.copied_rows(at(10)).await.unwrap().rows, copied.rows);
    let kept = other.key("AK1").await.unwrap().unwrap();
    assert_eq!((kept.sealed_secret, kept.previous), (vec![1, 2, 255], Some((vec![9, 9], at(60)))));
    assert_eq!(other.links_revoked_before(&acme(), &[scope]).await.unwrap(), Some(at(7)));
    assert!(other.instance(&rival(), &id("crs-1")).await.unwrap().is_some());
    let unknown = CopiedRow { table: "later".to_owned(), row: serde_json::Map::new() };
    assert_eq!(other.restore_rows(&[unknown]).await.unwrap(), 0);
    assert!(TABLES.iter().all(|table| !table.columns.is_empty()));
}

async fn backups_are_taken_in_once_and_numbers_go_on_behind_them(open: &impl AsyncFn() -> Arc<dyn Catalog>) {
    let catalog = fixture(open).await;
    let mut backup = catalog.available(acme(), "crs-1", 1, 2).await;
    backup.protected = true;
    backup.last_scrub = Some(crate::model::ScrubOutcome {
        at: at(2),
        ok: true,
        bytes: 100,
        took_ms: 1,
        broken: Vec::new(),
        failure: None,
        before: None,
    });
    let other = fixture(open).await;
    assert_eq!(other.adopt_backups(&[backup.clone(), backup.clone()]).await.unwrap(), 1);
    let kept = other.row(&acme(), backup.id).await;
    assert_eq!(
        (kept.number, kept.state, kept.attempt, kept.protected),
        (backup.number, backup.state, 1, true)
    );
    assert_eq!((kept.job, &kept.last_scrub), (backup.job, &backup.last_scrub));
    let last = backup.parts[1].number;
    let (owner, part) = other.part(last).await.unwrap().unwrap();
    assert_eq!((owner.id, part.sealed.shard), (backup.id, 1));
    other.raise_numbers(last + 10).await.unwrap();
    other.raise_numbers(3).await.unwrap();
    assert_eq!(other.mint_numbers(1).await.unwrap(), [last + 11]);
}

async fn secrets_are_replaced_all_or_none(catalog: &Fixture) {
    catalog.add_key(&key("AK1")).await.unwrap();
    let secrets = catalog.sealed_secrets().await.unwrap();
    let of = |column| secrets.iter().filter(|secret| secret.column == column).count();
    assert_eq!(SealedColumn::ALL.map(of), [1, 1, 1, 3, 0, 0]);
    let mut pairs: Vec<_> = secrets.into_iter().map(|secret| (secret, vec![42])).collect();
    catalog.replace_secrets(&pairs, &[("n", "v".to_owned())]).await.unwrap();
    assert_eq!(catalog.key("AK1").await.unwrap().unwrap().sealed_secret, [42]);
    assert_eq!(catalog.note("n").await.unwrap().as_deref(), Some("v"));
    for (before, after) in &mut pairs {
        before.sealed = vec![42];
        *after = vec![43];
    }
    pairs.last_mut().unwrap().0.sealed = vec![41];
    assert!(is_conflict(&catalog.replace_secrets(&pairs, &[("n", "w".to_owned())]).await.unwrap_err()));
    assert_eq!(catalog.key("AK1").await.unwrap().unwrap().sealed_secret, [42]);
    assert_eq!(catalog.note("n").await.unwrap().as_deref(), Some("v"));
}

async fn a_key_keeps_its_previous_secret_and_addresses(catalog: &Fixture) {
    catalog.add_key(&AccessKey { previous: None, ..key("AK1") }).await.unwrap();
    let kept = catalog.key("AK1").await.unwrap().unwrap();
    assert_eq!((kept.previous, kept.addresses), (None, vec!["10.0.0.0/8".to_owned()]));
    catalog.rotate_key("AK1", &[7], Some(at(90))).await.unwrap();
    let kept = catalog.key("AK1").await.unwrap().unwrap();
    assert_eq!((kept.sealed_secret, kept.previous), (vec![7], Some((vec![1, 2, 255], at(90)))));
    catalog.rotate_key("AK1", &[8], None).await.unwrap();
    let kept = catalog.key("AK1").await.unwrap().unwrap();
    assert_eq!((kept.sealed_secret, kept.previous), (vec![8], None));
}
