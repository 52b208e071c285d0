//! Deleting and protecting.

use std::time::Duration;

use keystow_engine::model::{BackupRef, BackupState, Role};
use keystow_engine::ops::{DeliveryFault, LinkOrder};

use crate::lab::{Server, fill_with_everything};
use crate::world::{World, code, order};

#[tokio::test(flavor = "multi_thread")]
async fn a_protected_backup_is_not_deleted_and_a_released_one_leaves_no_trace() {
    let server = Server::start(&[]);
    fill_with_everything(&server);
    let world = World::new().await;
    world.add("crs-1", &server.url()).await.unwrap();
    let backup = world.take("crs-1").await;
    let which = BackupRef::Number(backup.parts[0].number);
    assert!(world.engine.protect_backup(&world.admin, which, true).await.unwrap().protected);
    assert_eq!(code(world.engine.delete_backup(&world.admin, which).await), "CONFLICT");
    assert_eq!(world.files().len(), 3, "the protection is written beside the backup");
    world.engine.protect_backup(&world.admin, which, false).await.unwrap();

    let viewer = world.key(Role::Downloader, None).await;
    assert_eq!(code(world.engine.delete_backup(&viewer, which).await), "ROLE_DENIED");
    assert_eq!(code(world.engine.protect_backup(&viewer, which, true).await), "ROLE_DENIED");

    let link = world.link(&backup, &LinkOrder { remember: true, ..order() }).await;
    let open = world.open(&link).await.unwrap();
    world.engine.delete_backup(&world.admin, which).await.unwrap();
    assert_eq!(world.row(&backup).await.state, BackupState::Expired);
    assert!(matches!(world.open(&link).await, Err(DeliveryFault::Gone)));
    world.work_off().await;
    assert_eq!(world.files(), [""; 0]);
    assert!(!world.has_folder(&backup));
    // Whoever was reading goes on to the end.
    let mut read = 0;
    while read < open.part.size_bytes {
        let bytes = open.part.reader.read_at(read, 64 * 1024).await.unwrap();
        assert!(!bytes.is_empty());
        read += bytes.len() as u64;
    }
    assert!(open.part.reader.read_at(read, 1).await.unwrap().is_empty());
    assert!(matches!(world.open(&link).await, Err(DeliveryFault::Gone)));
    assert_eq!(code(world.engine.delete_backup(&world.admin, which).await), "NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_leaves_the_other_backups_alone() {
    let server = Server::start(&[]);
    let world = World::new().await;
    world.add("crs-1", &server.url()).await.unwrap();
    let first = world.take("crs-1").await;
    world.clock.advance(Duration::from_mins(1));
    let second = world.take("crs-1").await;
    world.engine.delete_backup(&world.admin, BackupRef::Id(first.id)).await.unwrap();
    world.work_off().await;
    assert!(!world.has_folder(&first));
    assert!(world.files().iter().all(|file| file.contains(&second.id.to_string())));
    assert_eq!(world.files().len(), 2);
    world.open(&world.link(&second, &order()).await).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_outlives_its_instance() {
    let server = Server::start(&[]);
    let world = World::new().await;
    world.add("crs-1", &server.url()).await.unwrap();
    let backup = world.take("crs-1").await;
    let id = backup.instance.clone();
    world.request("crs-1").await;
    assert_eq!(code(world.engine.delete_instance(&world.admin, &id).await), "CONFLICT");
    world.work_off().await;
    world.engine.delete_instance(&world.admin, &id).await.unwrap();
    assert_eq!(code(world.engine.instance(&world.admin, &id).await), "INSTANCE_NOT_FOUND");
    world.open(&world.link(&backup, &order()).await).await.unwrap();
    let filter = keystow_engine::model::BackupFilter { instance: Some(id), ..Default::default() };
    assert_eq!(world.engine.backups(&world.admin, filter).await.unwrap().total, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_object_is_never_delivered() {
    let server = Server::start(&[]);
    fill_with_everything(&server);
    let world = World::new().await;
    world.add("crs-1", &server.url()).await.unwrap();
    let backup = world.take("crs-1").await;
    let link = world.link(&backup, &order()).await;
    let part = world.files().into_iter().find(|file| file.ends_with("/0.rdb")).unwrap();
    let path = world.repository().join(part);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    assert!(
        matches!(world.open(&link).await, Err(DeliveryFault::Failed(error)) if error.code == "OBJECT_DAMAGED")
    );
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(world.open(&link).await, Err(DeliveryFault::Gone)));
}
