//! Copies of backups in another repository, and what they are good for when the first one is hurt.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use keystow_engine::access::RootKey;
use keystow_engine::catalog::{Catalog, SqliteCatalog};
use keystow_engine::model::{Backup, BackupCopy, BackupRef, BackupState, CopyState, JobKind, JobState};
use keystow_engine::ops::{
    CopySweeps, DeliveryFault, LinkOrder, OtherRepository, PolicyChange, RepositorySettings, begin_rebuild,
};
use keystow_engine::redis::Timeouts;
use keystow_engine::vault::{LocalVault, Vault};
use keystow_engine::{Error, Kind, Result};

use crate::fake::{self, small_snapshot, with_length};
use crate::harmed::{Harmed, Moment, flip};
use crate::world::{ANYWHERE, World, code, eventually, failure_code, files_in, order, split};

pub(crate) const FAR: &str = "far";

/// A repository for copies that is opened so.
pub(crate) fn opened_by(
    name: &str,
    open: impl Fn() -> Result<Arc<dyn Vault>> + Send + Sync + 'static,
) -> OtherRepository {
    OtherRepository { name: name.to_owned(), region: None, open: Box::new(open) }
}

fn folder(name: &str, path: PathBuf) -> OtherRepository {
    opened_by(name, move || Ok(Arc::new(LocalVault::open(&path)?)))
}

/// A world with a backup and a repository for copies beside its own.
pub(crate) async fn copied_world() -> (World, Backup) {
    let mut world = World::new().await;
    let far = folder(FAR, world.path(FAR));
    world.copy_to(vec![far], RepositorySettings::default()).await;
    let backup = take(&world).await;
    (world, backup)
}

pub(crate) async fn take(world: &World) -> Backup {
    world.add("crs-1", &fake::primary(with_length(&small_snapshot()))).await.unwrap();
    let backup = world.take("crs-1").await;
    assert_eq!(backup.state, BackupState::Available, "{:?}", backup.failure);
    backup
}

/// Asks for a copy and waits until its job has ended.
pub(crate) async fn copy(world: &World, backup: &Backup) -> BackupCopy {
    world.engine.request_copy(&world.admin, BackupRef::Id(backup.id), FAR).await.unwrap();
    world.work_off().await;
    row(world, backup).await
}

pub(crate) async fn row(world: &World, backup: &Backup) -> BackupCopy {
    world.engine.copies(&world.admin, BackupRef::Id(backup.id)).await.unwrap().remove(0)
}

/// The only file in a repository that ends so.
pub(crate) fn file(repository: &Path, end: &str) -> PathBuf {
    let found: Vec<_> = files_in(repository).into_iter().filter(|file| file.ends_with(end)).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    repository.join(&found[0])
}

async fn delivered(world: &World, backup: &Backup, order: &LinkOrder) -> Vec<u8> {
    let link = world.link(backup, order).await;
    let part = world.open(&link).await.unwrap().part;
    part.reader.read_at(0, usize::try_from(part.size_bytes).unwrap()).await.unwrap().to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_the_same_bytes_under_a_manifest_of_its_own() {
    let (world, backup) = copied_world().await;
    let made = copy(&world, &backup).await;
    assert_eq!((made.state, made.attempt, made.tried), (CopyState::Available, 1, 1), "{made:?}");
    assert_eq!(made.bytes, small_snapshot().len() as u64);
    assert!(made.stored_at.is_some() && made.verified_at.is_some() && made.failure.is_none());
    let far = world.path(FAR);
    assert_eq!(std::fs::read(file(&far, "/0.rdb")).unwrap(), small_snapshot());
    assert!(std::fs::read_to_string(file(&far, "/manifest.json")).unwrap().contains(&backup.id.to_string()));
    let marks =
        [far.clone(), world.repository()].map(|at| std::fs::read(at.join("repository.json")).unwrap());
    assert_ne!(marks[0], marks[1], "it is a repository of its own");

    let which = BackupRef::Id(backup.id);
    assert_eq!(code(world.engine.request_copy(&world.admin, which, FAR).await), "CONFLICT");
    assert_eq!(code(world.engine.request_copy(&world.admin, which, "nowhere").await), "COPIES_UNKNOWN");
    let vitals = world.engine.vitals(None).await.unwrap();
    assert_eq!((vitals.catalog.copies, vitals.copies_up), (Vec::new(), vec![(FAR.to_owned(), true)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_copies_what_is_there_and_what_comes() {
    let (world, first) = copied_world().await;
    let policy = |copies: &[&str]| PolicyChange {
        copies: Some(copies.iter().map(|&name| name.to_owned()).collect()),
        ..PolicyChange::default()
    };
    let name = "crs-1".parse().unwrap();
    let refused = world.engine.set_policy(&world.admin, &name, policy(&["nowhere"])).await;
    assert_eq!(code(refused), "COPIES_UNKNOWN");
    world.engine.set_policy(&world.admin, &name, policy(&[FAR])).await.unwrap();
    // A new one is asked for in the transaction that makes its backup available.
    let second = world.take("crs-1").await;
    assert_eq!(world.engine.copies(&world.admin, BackupRef::Id(second.id)).await.unwrap().len(), 1);
    world.work_off().await;
    assert!(row(&world, &second).await.is_whole());
    assert_eq!(world.engine.copies(&world.admin, BackupRef::Id(first.id)).await.unwrap(), []);
    world.engine.keep_up().await.unwrap();
    world.work_off().await;
    assert!(row(&world, &first).await.is_whole());
    // Deleted ones go from both.
    world.engine.delete_backup(&world.admin, BackupRef::Id(second.id)).await.unwrap();
    world.work_off().await;
    let left = files_in(&world.path(FAR));
    assert!(!left.iter().any(|file| file.contains(&second.id.to_string())), "{left:?}");
    assert!(left.iter().any(|file| file.contains(&first.id.to_string())), "{left:?}");
    assert_eq!(world.catalog.copies(second.id).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_object_is_read_from_the_copy_and_repaired_from_it() {
    let (world, backup) = copied_world().await;
    let link = world.link(&backup, &order()).await;
    assert_eq!(
        code(world.engine.request_repair(&world.admin, BackupRef::Id(backup.id)).await),
        "COPY_MISSING"
    );
    copy(&world, &backup).await;
    let lost = file(&world.repository(), "/0.rdb");
    std::fs::remove_file(&lost).unwrap();
    assert_eq!(delivered(&world, &backup, &order()).await, small_snapshot());
    world.open(&link).await.unwrap();

    let which = BackupRef::Id(backup.id);
    world.engine.request_scrub(&world.admin, which).await.unwrap();
    world.work_off().await;
    let damaged = world.row(&backup).await;
    assert_eq!((damaged.state, failure_code(&damaged)), (BackupState::Damaged, "OBJECT_DAMAGED"));
    let hint = damaged.failure.unwrap().hint.unwrap();
    assert!(hint.contains(&format!("a copy in {FAR} is whole: keystow backup repair")), "{hint}");
    assert!(row(&world, &backup).await.is_whole(), "the copy was read again too");

    world.engine.request_repair(&world.admin, which).await.unwrap();
    world.work_off().await;
    let repaired = world.row(&backup).await;
    assert_eq!((repaired.state, repaired.attempt, repaired.failure), (BackupState::Available, 2, None));
    world.open(&link).await.unwrap();
    let left = files_in(&world.repository());
    assert!(left.iter().all(|file| !file.contains(&format!("{}/1/", backup.id))), "{left:?}");
    world.engine.request_scrub(&world.admin, which).await.unwrap();
    world.work_off().await;
    assert!(world.row(&backup).await.last_scrub.unwrap().ok);

    // A catalog that is made anew knows it, and finds the copy there.
    let catalog = Arc::new(SqliteCatalog::open(&world.path("rebuilt.db")).await.unwrap());
    let root = RootKey::load(&world.path("root.key")).unwrap();
    let (root, kept, begun) = begin_rebuild(&*catalog, &*world.vault, root).await.unwrap();
    let engine = world.engine_on(catalog.clone(), &root);
    let rebuilt = engine.rebuild(kept.as_ref(), begun, &|_, _| {}).await.unwrap();
    assert_eq!(rebuilt.backups.get("available"), Some(&1), "{rebuilt:?}");
    let far = folder(FAR, world.path(FAR));
    let engine = Arc::into_inner(engine).unwrap().with_copies(vec![far]);
    assert_eq!(engine.open_copies().await, [FAR]);
    engine.sweep_copies_if_due(&mut CopySweeps::default()).await;
    let found = catalog.copies(backup.id).await.unwrap().remove(0);
    assert!(found.is_whole() && found.verified_at.is_none(), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_rots_is_found_and_made_again() {
    let (world, backup) = copied_world().await;
    copy(&world, &backup).await;
    let path = file(&world.path(FAR), "/0.rdb");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[20] ^= 4;
    std::fs::write(&path, bytes).unwrap();
    world.engine.request_scrub(&world.admin, BackupRef::Id(backup.id)).await.unwrap();
    world.work_off().await;
    assert_eq!(world.row(&backup).await.state, BackupState::Available, "the backup itself is whole");
    let rotten = row(&world, &backup).await;
    assert_eq!((rotten.state, rotten.failure.unwrap().code.as_str()), (CopyState::Damaged, "OBJECT_DAMAGED"));
    let asked = LinkOrder { repository: Some(FAR.to_owned()), ..order() };
    assert_eq!(code(world.share(&world.admin, &backup, &asked).await), "COPY_MISSING");
    let counted = world.engine.vitals(None).await.unwrap().catalog.copies;
    assert_eq!(counted, [(FAR.to_owned(), "damaged".to_owned(), 1)]);

    assert_eq!(world.engine.retry_copies().await.unwrap(), 1);
    world.work_off().await;
    let made = row(&world, &backup).await;
    assert_eq!((made.state, made.attempt, made.failure), (CopyState::Available, 2, None));
    assert_eq!(std::fs::read(file(&world.path(FAR), "/2/0.rdb")).unwrap(), small_snapshot());
    assert_eq!(files_in(&world.path(FAR)).iter().filter(|file| file.contains("backups/")).count(), 2);
    assert_eq!(world.engine.retry_copies().await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_can_be_of_the_copy_alone() {
    let (world, backup) = copied_world().await;
    let of_copy = LinkOrder { repository: Some(FAR.to_owned()), ..order() };
    assert_eq!(code(world.share(&world.admin, &backup, &of_copy).await), "COPY_MISSING");
    copy(&world, &backup).await;
    std::fs::remove_file(file(&world.repository(), "/0.rdb")).unwrap();
    assert_eq!(delivered(&world, &backup, &of_copy).await, small_snapshot());
    let link = world.link(&backup, &of_copy).await;
    std::fs::remove_file(file(&world.path(FAR), "/0.rdb")).unwrap();
    world.clock.advance(Duration::from_secs(3));
    assert!(matches!(world.open(&link).await, Err(DeliveryFault::Gone)), "and of nothing else");
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_wait_for_a_repository_that_is_away() {
    let mut world = World::new().await;
    let (path, is_there) = (world.path(FAR), Arc::new(AtomicBool::new(false)));
    let there = is_there.clone();
    let far = opened_by(FAR, move || {
        if there.load(Ordering::Relaxed) {
            Ok(Arc::new(LocalVault::open(&path)?))
        } else {
            Err(Error::new(Kind::Unreachable, "REPOSITORY_UNREACHABLE", "nobody is there"))
        }
    });
    world.copy_to(vec![far], RepositorySettings::default()).await;
    let backup = take(&world).await;
    let failed = copy(&world, &backup).await;
    let failure = failed.failure.unwrap();
    assert_eq!((failed.state, failure.code.as_str()), (CopyState::Failed, "REPOSITORY_UNREACHABLE"));
    assert_eq!(failed.tried, 0, "nothing was begun");
    let health = world.engine.check(&world.admin).await.unwrap();
    let told = health.findings.iter().find(|found| found.subject == "copies far").unwrap();
    assert!(!told.ok && told.detail.contains("nobody is there"), "{told:?}");

    assert_eq!(world.engine.retry_copies().await.unwrap(), 0, "not at once");
    is_there.store(true, Ordering::Relaxed);
    assert_eq!(world.engine.open_copies().await, [FAR]);
    assert_eq!(world.engine.retry_copies().await.unwrap(), 1);
    world.work_off().await;
    assert!(row(&world, &backup).await.is_whole());
}

/// A world whose repository for copies harms what is written.
async fn harmed_world(
    harm: impl Fn(&mut Vec<u8>, Moment) -> Result<()> + Send + Sync + Clone + 'static,
) -> (World, Backup) {
    let mut world = World::new().await;
    let path = world.path(FAR);
    let far =
        opened_by(FAR, move || Ok(Arc::new(Harmed::new(Arc::new(LocalVault::open(&path)?), harm.clone()))));
    world.copy_to(vec![far], RepositorySettings::default()).await;
    let backup = take(&world).await;
    (world, backup)
}

fn nothing_is_left(world: &World) {
    let left = files_in(&world.path(FAR));
    assert!(left.iter().all(|file| !file.starts_with("accounts")), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_kept_there_is_no_copy_and_leaves_nothing() {
    let (world, backup) = harmed_world(|_, _| {
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        Err(Error::io("cannot write", &full))
    })
    .await;
    let failed = copy(&world, &backup).await;
    assert_eq!((failed.state, failed.failure.unwrap().code.as_str()), (CopyState::Failed, "DISK_FULL"));
    assert!(failed.retry_at.is_some());
    nothing_is_left(&world);

    let (world, backup) = harmed_world(|bytes, moment| flip()(bytes, moment)).await;
    let failed = copy(&world, &backup).await;
    assert_eq!((failed.state, failed.failure.unwrap().code.as_str()), (CopyState::Failed, "READBACK_FAILED"));
    nothing_is_left(&world);

    let (world, backup) = copied_world().await;
    std::fs::remove_file(file(&world.repository(), "/0.rdb")).unwrap();
    let failed = copy(&world, &backup).await;
    assert_eq!((failed.state, failed.failure.unwrap().code.as_str()), (CopyState::Failed, "OBJECT_DAMAGED"));
    nothing_is_left(&world);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_stopped_is_not_tried_again() {
    let (entered, stopped) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (told, until) = (entered.clone(), stopped.clone());
    let (world, backup) = harmed_world(move |_, _| {
        told.store(true, Ordering::Relaxed);
        while !until.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(5));
        }
        // Longer than a heartbeat, which brings the word.
        std::thread::sleep(Duration::from_secs(3));
        Ok(())
    })
    .await;
    let job = world.engine.request_copy(&world.admin, BackupRef::Id(backup.id), FAR).await.unwrap();
    assert_eq!(job.kind, JobKind::Copy);
    let worker = world.worker();
    eventually("the copy to begin", async || entered.load(Ordering::Relaxed).then_some(())).await;
    assert_eq!(row(&world, &backup).await.state, CopyState::Running);
    world.engine.cancel_job(&world.admin, job.number).await.unwrap();
    stopped.store(true, Ordering::Relaxed);
    let ended = eventually("the copy to stop", async || {
        let job = world.engine.job(&world.admin, job.number).await.unwrap();
        Some(job).filter(|job| job.ended_at.is_some())
    })
    .await;
    worker.stop().await;
    assert_eq!(ended.state, JobState::Cancelled);
    let stopped = row(&world, &backup).await;
    assert_eq!((stopped.state, stopped.retry_at), (CopyState::Failed, None));
    assert_eq!(stopped.failure.unwrap().code, "CANCELLED");
    nothing_is_left(&world);
    world.clock.advance(Duration::from_hours(2));
    assert_eq!(world.engine.retry_copies().await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_crash_left_is_swept_and_what_nobody_knows_is_kept() {
    let (world, backup) = copied_world().await;
    copy(&world, &backup).await;
    let part = file(&world.path(FAR), "/1/0.rdb");
    let attempt = part.parent().unwrap();
    let beside = attempt.with_file_name("7");
    let foreign = attempt.parent().unwrap().with_file_name("0192d5d8-7b1c-7c3e-8000-000000000001").join("1");
    for folder in [&beside, &foreign] {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::copy(&part, folder.join("0.rdb")).unwrap();
    }
    std::fs::write(attempt.join(".unfinished-1"), "x").unwrap();
    world.engine.sweep_copies_alone().await;
    assert!(!beside.exists() && foreign.exists() && part.exists());
    assert!(!attempt.join(".unfinished-1").exists());
    // A deleted backup whose copy could not be removed then.
    let (kept, known) = (std::fs::read(&part).unwrap(), attempt.to_owned());
    world.engine.delete_backup(&world.admin, BackupRef::Id(backup.id)).await.unwrap();
    world.work_off().await;
    assert!(!known.exists());
    std::fs::create_dir_all(&known).unwrap();
    std::fs::write(known.join("0.rdb"), kept).unwrap();
    world.engine.sweep_copies_if_due(&mut CopySweeps::default()).await;
    assert!(!known.exists() && foreign.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_of_somebody_else_or_the_same_one_is_not_taken() {
    let mut world = World::new().await;
    world.engine.adopt_repository().await.unwrap();
    let stranger = World::new().await;
    stranger.engine.adopt_repository().await.unwrap();
    stranger.engine.copy_catalog(&stranger.admin).await.unwrap();
    let mut others = vec![folder("same", world.repository()), folder("foreign", stranger.repository())];
    others.extend(["one", "two"].map(|name| folder(name, world.path(FAR))));
    world.copy_to(others, RepositorySettings::default()).await;
    let health = world.engine.check(&world.admin).await.unwrap();
    let told = |name: &str| {
        let found = health.findings.iter().find(|found| found.subject == format!("copies {name}")).unwrap();
        assert!(!found.ok);
        found.detail.clone()
    };
    let twice = ["copies one", "copies two"];
    let is_open = health.findings.iter().filter(|found| twice.contains(&found.subject.as_str()) && found.ok);
    assert_eq!(is_open.count(), 1, "of two names for one place one is refused: {:?}", health.findings);
    assert!(told("same").contains("in use already"), "{}", told("same"));
    assert!(told("foreign").contains("another root key"), "{}", told("foreign"));
    assert!(!stranger.files().iter().any(|file| file.starts_with("accounts")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_repository_alone_brings_everything_back() {
    let encrypted = |folder: &Path| RepositorySettings {
        compress: true,
        encrypt: true,
        identity_file: Some(folder.join("node.identity")),
        ..RepositorySettings::default()
    };
    let mut world = World::stored(Timeouts::default(), |vault| vault, encrypted).await;
    let settings = encrypted(world.path("x").parent().unwrap());
    let far = folder(FAR, world.path(FAR));
    world.copy_to(vec![far], settings.clone()).await;
    let backup = take(&world).await;
    world.engine.protect_backup(&world.admin, BackupRef::Id(backup.id), true).await.unwrap();
    let made = copy(&world, &backup).await;
    assert!(made.is_whole(), "{made:?}");
    let later = world.clock.now() + Duration::from_hours(9);
    world.engine.set_expiry(&world.admin, BackupRef::Id(backup.id), Some(later)).await.unwrap();
    let link = world.link(&backup, &order()).await;
    world.engine.copy_catalog_if_due().await.unwrap().unwrap();

    // The first repository and the catalog are gone.
    std::fs::remove_dir_all(world.repository()).unwrap();
    let catalog = Arc::new(SqliteCatalog::open(&world.path("rebuilt.db")).await.unwrap());
    let far = Arc::new(LocalVault::open(&world.path(FAR)).unwrap());
    let root = RootKey::load(&world.path("root.key")).unwrap();
    let (root, kept, begun) = begin_rebuild(&*catalog, &*far, root).await.unwrap();
    let engine = world.engine_over(catalog.clone(), far, &root, settings);
    let rebuilt = engine.rebuild(kept.as_ref(), begun, &|_, _| {}).await.unwrap();
    assert_eq!(rebuilt.backups.get("available"), Some(&1), "{rebuilt:?}");
    assert!(rebuilt.copy_at.is_some() && rebuilt.unknown_instances.is_empty(), "{rebuilt:?}");
    assert!(rebuilt.damaged_events.is_empty() && rebuilt.damaged_parts.is_empty(), "{rebuilt:?}");
    let found = engine.backup(&world.admin, BackupRef::Id(backup.id)).await.unwrap();
    assert_eq!((found.state, found.protected), (BackupState::Available, true));
    assert_eq!(found.expires_at, Some(later), "also what happened after the copy");
    let (path, query) = split(&link.url);
    let network = keystow_engine::model::Network::Public;
    let delivery = engine.open_link(&path, &query, network, ANYWHERE).await.unwrap();
    let bytes = delivery.part.reader.read_at(0, 1 << 20).await.unwrap();
    assert_eq!(bytes, small_snapshot());
}
