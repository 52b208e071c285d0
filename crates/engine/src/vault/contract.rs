//! What every repository must do, whatever it is made of.

use std::sync::Arc;

use bytes::Bytes;

use super::{AttemptKey, BackupKey, Collection, ObjectKey, ObjectReader, Vault};
use crate::error::Kind;
use crate::model::{AccountId, BackupId};

fn attempt(number: u32) -> AttemptKey {
    AttemptKey {
        account: AccountId::default(),
        instance: "crs-1".parse().unwrap(),
        backup: BackupId::mint(jiff::Timestamp::UNIX_EPOCH),
        attempt: number,
    }
}

async fn read_all(reader: &Arc<dyn ObjectReader>) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let bytes = reader.read_at(all.len() as u64, 7).await.unwrap();
        if bytes.is_empty() {
            return all;
        }
        all.extend_from_slice(&bytes);
    }
}

/// Runs the whole contract on an empty repository.
pub(super) async fn run(vault: &dyn Vault) {
    a_sealed_object_reads_back(vault).await;
    nothing_is_visible_before_it_is_sealed(vault).await;
    an_object_is_never_overwritten(vault).await;
    a_removed_attempt_is_gone_but_open_readers_go_on(vault).await;
    attempts_are_listed_with_their_commit_point(vault).await;
    an_object_larger_than_the_limit_is_refused(vault).await;
    what_happened_to_a_backup_is_kept_beside_its_attempts(vault).await;
    a_collection_lists_its_own_objects_by_name(vault).await;
}

async fn a_sealed_object_reads_back(vault: &dyn Vault) {
    let key = ObjectKey::Part(attempt(1), 0);
    let mut writer = vault.create(&key).unwrap();
    writer.write(b"hello ").unwrap();
    writer.write(b"world, and more than one read").unwrap();
    assert_eq!(writer.seal().unwrap(), 35);
    let reader = vault.open(&key).await.unwrap().unwrap();
    assert_eq!(reader.size_bytes(), 35);
    assert_eq!(read_all(&reader).await, b"hello world, and more than one read");
}

async fn nothing_is_visible_before_it_is_sealed(vault: &dyn Vault) {
    let key = ObjectKey::Part(attempt(1), 3);
    let mut writer = vault.create(&key).unwrap();
    writer.write(b"half").unwrap();
    assert!(vault.open(&key).await.unwrap().is_none());
    drop(writer);
    assert!(vault.open(&key).await.unwrap().is_none());
    assert_eq!(vault.sweep_unfinished().await.unwrap(), 0, "a dropped writer leaves nothing");
}

async fn an_object_is_never_overwritten(vault: &dyn Vault) {
    let key = ObjectKey::Manifest(attempt(1));
    vault.put(&key, Bytes::from_static(b"first")).await.unwrap();
    let refused = vault.put(&key, Bytes::from_static(b"second")).await.unwrap_err();
    assert_eq!(refused.kind, Kind::Conflict);
    assert_eq!(vault.get(&key, 100).await.unwrap().unwrap(), b"first");
}

async fn a_removed_attempt_is_gone_but_open_readers_go_on(vault: &dyn Vault) {
    let attempt = attempt(4);
    let part = ObjectKey::Part(attempt.clone(), 0);
    vault.put(&part, Bytes::from_static(b"bytes")).await.unwrap();
    vault.put(&ObjectKey::Manifest(attempt.clone()), Bytes::from_static(b"{}")).await.unwrap();
    let reader = vault.open(&part).await.unwrap().unwrap();
    vault.remove_attempt(&attempt).await.unwrap();
    vault.remove_attempt(&attempt).await.unwrap();
    assert!(vault.open(&part).await.unwrap().is_none());
    assert!(vault.attempts().await.unwrap().iter().all(|stored| stored.key != attempt));
    assert_eq!(read_all(&reader).await, b"bytes");
}

async fn attempts_are_listed_with_their_commit_point(vault: &dyn Vault) {
    let (open, closed) = (attempt(1), attempt(2));
    vault.put(&ObjectKey::Part(open.clone(), 0), Bytes::from_static(b"x")).await.unwrap();
    vault.put(&ObjectKey::Manifest(closed.clone()), Bytes::from_static(b"{}")).await.unwrap();
    let listed = vault.attempts().await.unwrap();
    let find = |key: &AttemptKey| listed.iter().find(|stored| stored.key == *key).unwrap();
    assert!(!find(&open).has_manifest);
    assert!(find(&closed).has_manifest);
}

async fn an_object_larger_than_the_limit_is_refused(vault: &dyn Vault) {
    let key = ObjectKey::Manifest(attempt(9));
    vault.put(&key, Bytes::from(vec![b'x'; 100])).await.unwrap();
    assert_eq!(vault.get(&key, 99).await.unwrap_err().kind, Kind::Corrupt);
    assert!(vault.get(&ObjectKey::Manifest(attempt(10)), 99).await.unwrap().is_none());
}

async fn what_happened_to_a_backup_is_kept_beside_its_attempts(vault: &dyn Vault) {
    let first = attempt(1);
    let AttemptKey { account, instance, backup, .. } = first.clone();
    let key = BackupKey { account, instance, backup };
    let event = ObjectKey::Event(key.clone(), 12);
    vault.put(&event, Bytes::from_static(b"{}")).await.unwrap();
    let listed = vault.attempts().await.unwrap();
    assert!(listed.iter().all(|stored| stored.key.backup != backup), "no attempt yet");
    vault.put(&ObjectKey::Manifest(first.clone()), Bytes::from_static(b"{}")).await.unwrap();
    assert_eq!(
        vault.attempts().await.unwrap().iter().filter(|stored| stored.key.backup == backup).count(),
        1
    );
    vault.remove_attempt(&first).await.unwrap();
    assert_eq!(vault.get(&event, 10).await.unwrap().unwrap(), b"{}");
    vault.remove_events(&key).await.unwrap();
    vault.remove_events(&key).await.unwrap();
    assert!(vault.get(&event, 10).await.unwrap().is_none());
}

async fn a_collection_lists_its_own_objects_by_name(vault: &dyn Vault) {
    assert!(vault.list(&Collection::CatalogCopies).await.unwrap().is_empty());
    let copy = |second: i64| ObjectKey::CatalogCopy(jiff::Timestamp::from_second(1_795_309_200 + second).unwrap());
    for second in [5, 1, 3] {
        vault.put(&copy(second), Bytes::from_static(b"sealed")).await.unwrap();
    }
    assert_eq!(vault.list(&Collection::CatalogCopies).await.unwrap(), [copy(1), copy(3), copy(5)]);
    vault.remove(&copy(3)).await.unwrap();
    vault.remove(&copy(3)).await.unwrap();
    assert_eq!(vault.list(&Collection::CatalogCopies).await.unwrap(), [copy(1), copy(5)]);
    assert_eq!(vault.get(&copy(5), 10).await.unwrap().unwrap(), b"sealed");

    let AttemptKey { account, instance, backup, .. } = attempt(1);
    let key = BackupKey { account, instance, backup };
    let events = Collection::Events(key.clone());
    assert!(vault.list(&events).await.unwrap().is_empty());
    vault.put(&ObjectKey::Event(key.clone(), 7), Bytes::from_static(b"{}")).await.unwrap();
    assert_eq!(vault.list(&events).await.unwrap(), [ObjectKey::Event(key, 7)]);
}
