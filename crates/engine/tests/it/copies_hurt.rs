//! Copies of backups where something is in their way: stores that hang, damage, and what a lost catalog left behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use keystow_engine::catalog::Catalog;
use keystow_engine::model::{Backup, BackupRef, BackupState, Job, JobState};
use keystow_engine::ops::{CopySweeps, PolicyChange, RepositorySettings, RetentionChange};
use keystow_engine::vault::LocalVault;
use keystow_engine::work::keep_copies;
use keystow_engine::{Error, Kind};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::copies::{FAR, copied_world, copy, file, opened_by, row, take};
use crate::harmed::Harmed;
use crate::world::{Worker, World, eventually};

/// A world whose repository for copies does not answer while that is true.
async fn silent_world() -> (World, Backup, Arc<AtomicBool>) {
    let mut world = World::new().await;
    let (path, hangs) = (world.path(FAR), Arc::new(AtomicBool::new(false)));
    let silence = hangs.clone();
    let far = opened_by(FAR, move || {
        Ok(Arc::new(Harmed::silent(Arc::new(LocalVault::open(&path)?), silence.clone())))
    });
    world.copy_to(vec![far], RepositorySettings::default()).await;
    let backup = take(&world).await;
    (world, backup, hangs)
}

/// Has a worker begin a job that then hangs.
async fn hanging(world: &World, job: &Job) -> Worker {
    let worker = world.worker();
    eventually("the job to begin", async || {
        let row = world.engine.job(&world.admin, job.number).await.unwrap();
        (row.state == JobState::Running).then_some(())
    })
    .await;
    worker
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_hangs_is_stopped_and_handed_back() {
    let (world, backup, hangs) = silent_world().await;
    let which = BackupRef::Id(backup.id);
    hangs.store(true, Ordering::Relaxed);
    let job = world.engine.request_copy(&world.admin, which, FAR).await.unwrap();
    let worker = hanging(&world, &job).await;
    world.engine.cancel_job(&world.admin, job.number).await.unwrap();
    let ended = eventually("the copy to stop", async || {
        let job = world.engine.job(&world.admin, job.number).await.unwrap();
        Some(job).filter(|job| job.ended_at.is_some())
    })
    .await;
    worker.stop().await;
    assert_eq!((ended.state, row(&world, &backup).await.tried), (JobState::Cancelled, 0));

    hangs.store(false, Ordering::Relaxed);
    copy(&world, &backup).await;
    hangs.store(true, Ordering::Relaxed);
    let scrub = world.engine.request_scrub(&world.admin, which).await.unwrap();
    hanging(&world, &scrub).await.stop().await;
    let handed_back = world.engine.job(&world.admin, scrub.number).await.unwrap();
    assert_eq!((handed_back.state, handed_back.failure), (JobState::Queued, None));
    hangs.store(false, Ordering::Relaxed);
    world.work_off().await;
    assert!(world.row(&backup).await.last_scrub.unwrap().ok);
    assert!(row(&world, &backup).await.is_whole());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_hangs_holds_up_no_other_and_no_shutdown() {
    let mut world = World::new().await;
    let is_there = Arc::new(AtomicBool::new(false));
    let at = |name: &'static str, hangs: bool| {
        let (path, there) = (world.path(name), is_there.clone());
        opened_by(name, move || {
            if !there.load(Ordering::Relaxed) {
                return Err(Error::new(Kind::Unreachable, "REPOSITORY_UNREACHABLE", "nobody is there"));
            }
            let (vault, silence) = (LocalVault::open(&path)?, AtomicBool::new(hangs));
            Ok(Arc::new(Harmed::silent(Arc::new(vault), Arc::new(silence))))
        })
    };
    let others = vec![at("silent", true), at(FAR, false)];
    world.copy_to(others, RepositorySettings::default()).await;
    is_there.store(true, Ordering::Relaxed);
    let stop = CancellationToken::new();
    let mut keeper = JoinSet::new();
    keeper.spawn(keep_copies(world.engine.clone(), stop.clone()));
    let up = eventually("the other one to be open", async || {
        let up = world.engine.vitals(None).await.unwrap().copies_up;
        up.iter().any(|(name, is_up)| name == FAR && *is_up).then_some(up)
    })
    .await;
    assert_eq!(up, [("silent".to_owned(), false), (FAR.to_owned(), true)]);
    stop.cancel();
    // Less than anybody waits for the silent one.
    tokio::time::timeout(Duration::from_secs(8), keeper.join_all()).await.expect("it ends at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_backup_stays_while_a_copy_is_whole() {
    let (world, backup) = copied_world().await;
    copy(&world, &backup).await;
    std::fs::remove_file(file(&world.repository(), "/0.rdb")).unwrap();
    let which = BackupRef::Id(backup.id);
    let scrub = world.engine.request_scrub(&world.admin, which).await.unwrap();
    // They would judge the same bytes.
    let refused = world.engine.request_repair(&world.admin, which).await.unwrap_err();
    assert!(refused.code == "CONFLICT" && refused.message.contains(&scrub.number.to_string()), "{refused}");
    world.work_off().await;
    assert_eq!(world.row(&backup).await.state, BackupState::Damaged);
    world.clock.advance(Duration::from_hours(1));
    world.take("crs-1").await;
    let name = "crs-1".parse().unwrap();
    let keep = RetentionChange { last: Some(1), ..RetentionChange::default() };
    let policy = PolicyChange { keep, ..PolicyChange::default() };
    world.engine.set_policy(&world.admin, &name, policy).await.unwrap();
    world.clock.advance(Duration::from_hours(24 * 365));
    let judged = async |dry_run| {
        let judged = world.engine.prune(&world.admin, Some(&name), dry_run).await.unwrap();
        judged.into_iter().find(|row| row.backup.id == backup.id).unwrap()
    };
    for dry_run in [true, false] {
        let verdict = judged(dry_run).await;
        assert!(verdict.keep && verdict.reasons[0].contains("keystow backup repair"), "{verdict:?}");
    }
    world.catalog.forget_copy(backup.id, FAR).await.unwrap();
    assert!(!judged(true).await.keep, "nothing is left of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_copies_that_nobody_knows_the_newest_is_taken_in() {
    let (world, backup) = copied_world().await;
    copy(&world, &backup).await;
    let older = file(&world.path(FAR), "/1/0.rdb").parent().unwrap().to_owned();
    let aside = world.path("aside");
    std::fs::rename(&older, &aside).unwrap();
    world.engine.request_scrub(&world.admin, BackupRef::Id(backup.id)).await.unwrap();
    world.work_off().await;
    assert_eq!(world.engine.retry_copies().await.unwrap(), 1);
    world.work_off().await;
    assert_eq!(row(&world, &backup).await.attempt, 2);
    std::fs::rename(&aside, &older).unwrap();
    world.catalog.forget_copy(backup.id, FAR).await.unwrap();
    world.engine.sweep_copies_if_due(&mut CopySweeps::default()).await;
    assert_eq!((row(&world, &backup).await.attempt, older.exists()), (2, false));
    assert!(file(&world.path(FAR), "/2/0.rdb").exists());
}
