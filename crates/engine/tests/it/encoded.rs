//! Parts that are stored compressed and encrypted: proven, delivered plain, and refused where nobody could read them.

use std::path::Path;
use std::sync::Arc;

use keystow_engine::Error;
use keystow_engine::model::{Backup, BackupRef, BackupState};
use keystow_engine::ops::{NewHolder, RepositorySettings};
use keystow_engine::redis::Timeouts;
use keystow_engine::vault::codec::age::Identity;

use crate::fake;
use crate::fake::{small_snapshot, with_length};
use crate::harmed::{Harmed, flip};
use crate::world::{World, code, failure_code, order, sha256};

fn settings(folder: &Path) -> RepositorySettings {
    RepositorySettings {
        compress: true,
        encrypt: true,
        identity_file: Some(folder.join("node.identity")),
        ..RepositorySettings::default()
    }
}

async fn take(world: &World) -> Backup {
    world.add("crs-1", &fake::primary(with_length(&small_snapshot()))).await.unwrap();
    world.take("crs-1").await
}

async fn encrypted() -> (World, Backup) {
    let world = World::stored(Timeouts::default(), |vault| vault, settings).await;
    let backup = take(&world).await;
    assert_eq!(backup.state, BackupState::Available, "{:?}", backup.failure);
    (world, backup)
}

async fn delivered(world: &World, backup: &Backup) -> Vec<u8> {
    let link = world.link(backup, &order()).await;
    let delivery = world.open(&link).await.unwrap();
    let size = usize::try_from(delivery.part.size_bytes).unwrap();
    delivery.part.reader.read_at(0, size).await.unwrap().to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_part_is_stored_so_and_delivered_plain() {
    let (world, backup) = encrypted().await;
    let part = &backup.parts[0].sealed;
    let stored = world.bytes(&backup).await;
    assert!(stored.starts_with(b"age-encryption.org/v1\n"));
    assert_eq!((part.stored_bytes, &part.stored_sha256), (stored.len() as u64, &sha256(&stored)));
    assert_eq!((part.size_bytes, &part.sha256), (small_snapshot().len() as u64, &sha256(&small_snapshot())));
    assert_eq!(delivered(&world, &backup).await, small_snapshot());
    assert!(world.files().iter().any(|file| file.ends_with("/1/0.rdb.zst.age")), "{:?}", world.files());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_an_identity_takes_backups_and_refuses_to_read_them() {
    let (world, first) = encrypted().await;
    let writer = world
        .another_node_that(RepositorySettings { identity_file: None, ..settings(Path::new("/nowhere")) });
    writer.adopt_repository().await.unwrap();
    let refused = writer.share_backup(&world.admin, BackupRef::Id(first.id), &order()).await;
    assert_eq!(code(refused), "IDENTITY_MISSING");
    let refused = writer.request_drill(&world.admin, BackupRef::Id(first.id), None).await;
    assert_eq!(code(refused), "IDENTITY_MISSING");
    let worker = crate::world::Worker::start(writer);
    let asked = world.request("crs-1").await;
    let second = world.ended(&asked).await;
    worker.stop().await;
    // The source that stands in for a server answers once.
    assert!(matches!(second.state, BackupState::Available | BackupState::Failed), "{:?}", second.failure);
}

#[tokio::test(flavor = "multi_thread")]
async fn old_backups_open_after_the_identity_and_the_people_have_changed() {
    let (world, backup) = encrypted().await;
    let operator = Identity::generate().unwrap();
    let new = NewHolder {
        recipient: operator.recipient(),
        name: "ann".to_owned(),
        node: false,
        passphrase_key: None,
    };
    let facts = world.engine.add_recipient(&world.admin, new.clone()).await.unwrap();
    assert_eq!(code(world.engine.add_recipient(&world.admin, new).await), "RECIPIENT_EXISTS");
    let rotated = world.engine.rotate_identity(&world.admin).await.unwrap();
    assert_ne!(rotated.recipient, facts.recipient);
    assert_eq!(rotated.number, 3);
    let node = rotated.holders[0].recipient.to_string();
    assert_eq!(code(world.engine.remove_recipient(&world.admin, &node).await), "RECIPIENT_OWN");
    assert_eq!(code(world.engine.remove_recipient(&world.admin, "bob").await), "NOT_FOUND");
    let left = world.engine.remove_recipient(&world.admin, "ann").await.unwrap();
    assert_eq!(left.holders.len(), 1);
    assert_eq!(delivered(&world, &backup).await, small_snapshot());
    let viewer = world.key(keystow_engine::model::Role::Operator, None).await;
    assert_eq!(code(world.engine.rotate_identity(&viewer).await), "ROLE_DENIED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_keeps_other_bytes_is_found_out_before_the_backup_is_listed() {
    for remote in [false, true] {
        // Plain bytes are read back where the repository is beyond this host.
        let stored = |folder: &Path| {
            if remote {
                RepositorySettings { remote, ..RepositorySettings::default() }
            } else {
                settings(folder)
            }
        };
        let world =
            World::stored(Timeouts::default(), |vault| Arc::new(Harmed::new(vault, flip())), stored).await;
        let backup = take(&world).await;
        assert_eq!(backup.state, BackupState::Failed);
        assert_eq!(failure_code(&backup), "READBACK_FAILED");
        assert!(!world.files().iter().any(|file| file.contains("0.rdb")), "{:?}", world.files());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_part_that_was_changed_is_never_delivered() {
    let (world, backup) = encrypted().await;
    let link = world.link(&backup, &order()).await;
    let file = world.files().into_iter().find(|file| file.ends_with("/0.rdb.zst.age")).unwrap();
    let path = world.repository().join(file);
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.len() - 20;
    bytes[at] ^= 1;
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, bytes).unwrap();
    let failed = world.open(&link).await.err().unwrap();
    let keystow_engine::ops::DeliveryFault::Failed(Error { code, .. }) = failed else {
        panic!("{failed:?}");
    };
    assert_eq!(code, "OBJECT_DAMAGED");
}
