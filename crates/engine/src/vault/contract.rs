//! What every repository must do, whatever it is made of.

use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinSet;

use super::{AttemptKey, BackupKey, Collection, ObjectKey, ObjectReader, Vault};
use crate::error::{Kind, Result};
use crate::model::{AccountId, BackupId, Encoding};

fn attempt(number: u32) -> AttemptKey {
    AttemptKey {
        account: AccountId::default(),
        instance: "crs-1".parse().unwrap(),
        backup: BackupId::mint(jiff::Timestamp::UNIX_EPOCH),
        attempt: number,
    }
}

/// Bytes that differ from those before and after them, and at every offset.
fn sample(length: usize) -> Vec<u8> {
    let byte = |n: usize| u8::try_from((n % 251) ^ ((n / 251) % 256)).unwrap();
    (0..length).map(byte).collect()
}

async fn read_all(reader: &Arc<dyn ObjectReader>, step: usize) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let bytes = reader.read_at(all.len() as u64, step).await.unwrap();
        if bytes.is_empty() {
            return all;
        }
        assert!(bytes.len() <= step);
        all.extend_from_slice(&bytes);
    }
}

/// Writes an object in chunks, where writing may block.
async fn write(vault: &Arc<dyn Vault>, key: &ObjectKey, bytes: Vec<u8>) -> Result<u64> {
    let (vault, key) = (vault.clone(), key.clone());
    let written = tokio::task::spawn_blocking(move || {
        let mut writer = vault.create(&key)?;
        for chunk in bytes.chunks(500_000) {
            writer.write(chunk)?;
        }
        writer.seal()
    });
    written.await.unwrap()
}

/// Runs the whole contract on an empty repository.
pub(super) async fn run(vault: Arc<dyn Vault>) {
    assert_eq!(vault.attempts().await.unwrap(), [], "an empty repository can be listed");
    assert!(!vault.place().is_empty());
    objects_of_every_size_read_back(&vault).await;
    every_range_reads_back(&vault).await;
    nothing_is_visible_before_it_is_sealed(&vault).await;
    of_two_writers_one_is_refused(&vault).await;
    an_object_is_never_overwritten(&vault).await;
    a_removed_attempt_is_gone_and_open_readers_go_on_or_say_so(&vault).await;
    attempts_are_listed_with_their_commit_point(&vault).await;
    an_object_larger_than_the_limit_is_refused(&vault).await;
    what_happened_to_a_backup_is_kept_beside_its_attempts(&vault).await;
    all_of_many_attempts_are_listed(&vault).await;
    a_collection_lists_its_own_objects_by_name(&vault).await;
}

async fn objects_of_every_size_read_back(vault: &Arc<dyn Vault>) {
    for (number, size) in [0, 1, 35, 300_000, 8 << 20, 20 << 20].into_iter().enumerate() {
        let key = ObjectKey::Part(attempt(1), u32::try_from(number).unwrap(), Encoding::PLAIN);
        let bytes = sample(size);
        assert_eq!(write(vault, &key, bytes.clone()).await.unwrap(), size as u64);
        let reader = vault.open(&key).await.unwrap().unwrap();
        assert_eq!(reader.size_bytes(), size as u64);
        assert!(read_all(&reader, 600_000).await == bytes, "{size} bytes");
    }
}

async fn every_range_reads_back(vault: &Arc<dyn Vault>) {
    let key = ObjectKey::Part(attempt(1), 0, Encoding::PLAIN);
    let bytes = sample(1_000_003);
    write(vault, &key, bytes.clone()).await.unwrap();
    let reader = vault.open(&key).await.unwrap().unwrap();
    let edges =
        [0, 1, 65_535, 65_536, 499_999, 500_000, 1_000_000, 1_000_002, 1_000_003, 1_000_004, 9_000_000];
    for offset in edges {
        for length in [0, 1, 2, 65_536, 262_144, 262_145, 1_000_003, 5_000_000] {
            let read = reader.read_at(offset as u64, length).await.unwrap();
            let expected = &bytes
                [offset.min(bytes.len())..(offset + length).min(bytes.len()).max(offset.min(bytes.len()))];
            // Less may come, but nothing only at the end.
            assert!(
                expected.starts_with(&read) && read.is_empty() == expected.is_empty(),
                "{offset} {length}"
            );
        }
    }
    // Many who read on, side by side.
    let mut readers = JoinSet::new();
    for from in 0..20 {
        let (reader, bytes) = (reader.clone(), bytes.clone());
        readers.spawn(async move {
            let mut at = from * 1000;
            while at < bytes.len() {
                let read = reader.read_at(at as u64, 30_000 + from).await.unwrap();
                assert!(bytes[at..].starts_with(&read) && !read.is_empty());
                at += read.len();
            }
        });
    }
    readers.join_all().await;
}

async fn nothing_is_visible_before_it_is_sealed(vault: &Arc<dyn Vault>) {
    for size in [4, 20 << 20] {
        let key = ObjectKey::Part(attempt(1), 3, Encoding::PLAIN);
        let (writing, path) = (vault.clone(), key.clone());
        let writer = tokio::task::spawn_blocking(move || {
            let mut writer = writing.create(&path).unwrap();
            writer.write(&sample(size)).unwrap();
            writer
        });
        let writer = writer.await.unwrap();
        assert!(vault.open(&key).await.unwrap().is_none());
        tokio::task::spawn_blocking(move || drop(writer)).await.unwrap();
        assert!(vault.open(&key).await.unwrap().is_none());
        assert_eq!(vault.sweep_unfinished().await.unwrap(), 0, "a dropped writer leaves nothing");
        assert_eq!(write(vault, &key, sample(7)).await.unwrap(), 7, "nor is it in the way");
    }
}

async fn of_two_writers_one_is_refused(vault: &Arc<dyn Vault>) {
    for size in [10, 9 << 20] {
        let key = ObjectKey::Part(attempt(1), 7, Encoding::PLAIN);
        let (writing, path) = (vault.clone(), key.clone());
        let refused = tokio::task::spawn_blocking(move || {
            let mut first = writing.create(&path).unwrap();
            let mut second = writing.create(&path).unwrap();
            first.write(&vec![1; size]).unwrap();
            second.write(&vec![2; size]).unwrap();
            assert_eq!(second.seal().unwrap(), size as u64);
            first.seal().unwrap_err()
        });
        assert_eq!(refused.await.unwrap().code, "OBJECT_EXISTS");
        let reader = vault.open(&key).await.unwrap().unwrap();
        assert!(read_all(&reader, 1 << 20).await == vec![2; size], "the first to be sealed stays as it is");
    }
}

async fn an_object_is_never_overwritten(vault: &Arc<dyn Vault>) {
    let key = ObjectKey::Manifest(attempt(1));
    vault.put(&key, Bytes::from_static(b"first")).await.unwrap();
    for again in ["second", "first"] {
        let refused = vault.put(&key, Bytes::from_static(again.as_bytes())).await.unwrap_err();
        assert_eq!((refused.kind, refused.code), (Kind::Conflict, "OBJECT_EXISTS"));
    }
    assert_eq!(vault.get(&key, 100).await.unwrap().unwrap(), b"first");
}

async fn a_removed_attempt_is_gone_and_open_readers_go_on_or_say_so(vault: &Arc<dyn Vault>) {
    let attempt = attempt(4);
    let part = ObjectKey::Part(attempt.clone(), 0, Encoding::PLAIN);
    vault.put(&part, Bytes::from_static(b"bytes")).await.unwrap();
    vault
        .put(&ObjectKey::Part(attempt.clone(), 1, Encoding::PLAIN), Bytes::from_static(b"more"))
        .await
        .unwrap();
    vault.put(&ObjectKey::Manifest(attempt.clone()), Bytes::from_static(b"{}")).await.unwrap();
    let reader = vault.open(&part).await.unwrap().unwrap();
    vault.remove_attempt(&attempt).await.unwrap();
    vault.remove_attempt(&attempt).await.unwrap();
    for key in
        [part, ObjectKey::Part(attempt.clone(), 1, Encoding::PLAIN), ObjectKey::Manifest(attempt.clone())]
    {
        assert!(vault.open(&key).await.unwrap().is_none());
        assert!(vault.get(&key, 100).await.unwrap().is_none());
    }
    assert!(vault.attempts().await.unwrap().iter().all(|stored| stored.key != attempt));
    match reader.read_at(0, 10).await {
        Ok(bytes) => assert_eq!(bytes, "bytes"),
        Err(error) => assert_eq!(error.code, "OBJECT_CHANGED"),
    }
}

async fn attempts_are_listed_with_their_commit_point(vault: &Arc<dyn Vault>) {
    let (open, closed) = (attempt(1), attempt(2));
    vault.put(&ObjectKey::Part(open.clone(), 0, Encoding::PLAIN), Bytes::from_static(b"x")).await.unwrap();
    vault.put(&ObjectKey::Manifest(closed.clone()), Bytes::from_static(b"{}")).await.unwrap();
    let listed = vault.attempts().await.unwrap();
    let find = |key: &AttemptKey| listed.iter().find(|stored| stored.key == *key).unwrap();
    assert!(!find(&open).has_manifest);
    assert!(find(&closed).has_manifest);
}

async fn an_object_larger_than_the_limit_is_refused(vault: &Arc<dyn Vault>) {
    let key = ObjectKey::Manifest(attempt(9));
    vault.put(&key, Bytes::from(vec![b'x'; 100])).await.unwrap();
    assert_eq!(vault.get(&key, 99).await.unwrap_err().kind, Kind::Corrupt);
    assert_eq!(vault.get(&key, 100).await.unwrap().unwrap().len(), 100);
    assert!(vault.get(&ObjectKey::Manifest(attempt(10)), 99).await.unwrap().is_none());
}

async fn what_happened_to_a_backup_is_kept_beside_its_attempts(vault: &Arc<dyn Vault>) {
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

/// More than any store lists in one answer.
async fn all_of_many_attempts_are_listed(vault: &Arc<dyn Vault>) {
    let before = vault.attempts().await.unwrap().len();
    let key = attempt(1);
    let mut tasks = JoinSet::new();
    for worker in 0..10 {
        let (vault, key) = (vault.clone(), key.clone());
        tasks.spawn(async move {
            for number in 0..150 {
                let key = AttemptKey { attempt: 1 + worker * 150 + number, ..key.clone() };
                vault.put(&ObjectKey::Manifest(key), Bytes::from_static(b"{}")).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    let listed = vault.attempts().await.unwrap();
    assert_eq!(listed.len(), before + 1500);
    let ours = listed.iter().filter(|stored| stored.key.backup == key.backup && stored.has_manifest);
    assert_eq!(ours.count(), 1500);
}

async fn a_collection_lists_its_own_objects_by_name(vault: &Arc<dyn Vault>) {
    assert!(vault.list(&Collection::CatalogCopies).await.unwrap().is_empty());
    let copy =
        |second: i64| ObjectKey::CatalogCopy(jiff::Timestamp::from_second(1_795_309_200 + second).unwrap());
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
