//! Reading stored bytes again; and the room for new ones.

use keystow_engine::model::{BackupRef, BackupState, EventKind, Job, JobState, Outcome};
use keystow_engine::ops::{DeliveryFault, PolicyChange, RetentionChange};

use crate::lab::{Server, fill_with_everything};
use crate::world::{World, code, eventually, failure_code, order};

async fn scrubbed(world: &World, which: BackupRef) -> Job {
    let asked = world.engine.request_scrub(&world.admin, which).await.unwrap();
    let worker = world.worker();
    let ended = eventually("the scrub to end", async || {
        let job = world.engine.job(&world.admin, asked.number).await.unwrap();
        Some(job).filter(|job| job.ended_at.is_some())
    })
    .await;
    worker.stop().await;
    ended
}

#[tokio::test(flavor = "multi_thread")]
async fn one_flipped_bit_is_found_and_its_repair_too() {
    let server = Server::start(&[]);
    fill_with_everything(&server);
    let world = World::new().await;
    world.add("crs-1", &server.url()).await.unwrap();
    let backup = world.take("crs-1").await;
    let which = BackupRef::Id(backup.id);
    let job = scrubbed(&world, which).await;
    assert_eq!((job.state, job.failure.is_none()), (JobState::Done, true));
    let link = world.link(&backup, &order()).await;
    world.open(&link).await.unwrap();

    let part = world.files().into_iter().find(|file| file.ends_with("/0.rdb")).unwrap();
    let path = world.repository().join(part);
    let good = std::fs::read(&path).unwrap();
    let mut bad = good.clone();
    bad[good.len() / 2] ^= 0x10;
    std::fs::write(&path, &bad).unwrap();
    let job = scrubbed(&world, which).await;
    assert_eq!((job.state, job.failure.unwrap().code.as_str()), (JobState::Failed, "OBJECT_DAMAGED"));
    let row = world.row(&backup).await;
    assert_eq!((row.state, failure_code(&row)), (BackupState::Damaged, "OBJECT_DAMAGED"));
    assert_eq!(row.last_scrub.as_ref().unwrap().broken, [0]);
    assert!(matches!(world.open(&link).await, Err(DeliveryFault::Gone)), "its links are over");
    assert_eq!(code(world.share(&world.admin, &row, &order()).await), "BACKUP_NOT_AVAILABLE");
    let event = world.engine.read_event(&row, job.number).await.unwrap().unwrap();
    assert!(matches!(event.what, EventKind::Scrub(found) if !found.ok));

    // It stays damaged until a scrub has seen all of it whole.
    std::fs::remove_file(&path).unwrap();
    assert_eq!(scrubbed(&world, which).await.state, JobState::Failed);
    std::fs::write(&path, &good).unwrap();
    assert_eq!(world.row(&backup).await.state, BackupState::Damaged);
    let job = scrubbed(&world, which).await;
    assert!(matches!(job.outcome, Some(Outcome::Scrub(found)) if found.ok));
    let row = world.row(&backup).await;
    assert_eq!((row.state, row.failure), (BackupState::Available, None));
    world.open(&link).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_or_forged_manifest_is_damage_too() {
    let server = Server::start(&[]);
    let world = World::new().await;
    world.add("crs-1", &server.url()).await.unwrap();
    let backup = world.take("crs-1").await;
    let manifest = world.files().into_iter().find(|file| file.ends_with("manifest.json")).unwrap();
    let path = world.repository().join(manifest);
    let good = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, good.replace("available", "quarantined")).unwrap();
    let job = scrubbed(&world, BackupRef::Id(backup.id)).await;
    assert_eq!(job.failure.unwrap().code, "MANIFEST_DAMAGED");
    assert_eq!(world.row(&backup).await.state, BackupState::Damaged);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(scrubbed(&world, BackupRef::Id(backup.id)).await.failure.unwrap().code, "OBJECT_DAMAGED");
    std::fs::write(&path, good).unwrap();
    assert_eq!(scrubbed(&world, BackupRef::Id(backup.id)).await.state, JobState::Done);
    assert_eq!(world.row(&backup).await.state, BackupState::Available);
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_nothing_to_scrub_of_a_failed_or_deleted_backup() {
    let mut server = Server::start(&[]);
    let world = World::new().await;
    world.add("crs-1", &server.url()).await.unwrap();
    let good = world.take("crs-1").await;
    server.kill();
    let failed = world.take("crs-1").await;
    let ask = async |id| code(world.engine.request_scrub(&world.admin, BackupRef::Id(id)).await);
    assert_eq!(ask(failed.id).await, "BACKUP_NOT_AVAILABLE");
    world.engine.delete_backup(&world.admin, BackupRef::Id(good.id)).await.unwrap();
    assert_eq!(ask(good.id).await, "BACKUP_NOT_AVAILABLE");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_repository_gives_up_what_policies_let_go_and_nothing_else() {
    let server = Server::start(&[]);
    let mut world = World::new().await;
    world.add("crs-1", &server.url()).await.unwrap();
    for _ in 0..3 {
        world.take("crs-1").await;
        world.clock.advance(std::time::Duration::from_hours(1));
    }
    // As if the disk had nothing to spare.
    world.reserve(u64::MAX / 2);
    let refused = world.take("crs-1").await;
    assert_eq!((refused.state, failure_code(&refused)), (BackupState::Failed, "SPACE_GUARD"));
    assert_eq!(world.files().len(), 6, "nobody lets one by hand go");
    let keep = RetentionChange {
        last: Some(1),
        within: Some(keystow_engine::model::Span::ZERO),
        include_manual: Some(true),
        ..Default::default()
    };
    let change = PolicyChange { keep, ..PolicyChange::default() };
    world.engine.set_policy(&world.admin, &"crs-1".parse().unwrap(), change).await.unwrap();
    let refused = world.take("crs-1").await;
    assert_eq!(failure_code(&refused), "SPACE_GUARD");
    assert_eq!(world.files().len(), 2, "and the last good one stays");
    world.reserve(0);
    assert_eq!(world.take("crs-1").await.state, BackupState::Available);
}
