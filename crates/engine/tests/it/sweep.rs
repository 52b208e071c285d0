//! What crashes leave behind, and what a sweep must never touch.

use std::path::PathBuf;

use keystow_engine::model::{Backup, BackupId, BackupState, Phase};
use keystow_engine::ops::Swept;
use keystow_engine::vault::AttemptKey;

use crate::lab::{Server, fill_with_everything, fill_with_strings};
use crate::world::{World, attempt, eventually};

async fn world_with_backup() -> (Server, World, Backup) {
    let server = Server::start(&[]);
    fill_with_everything(&server);
    let world = World::new().await;
    world.add("crs-1", &server.url()).await.unwrap();
    let backup = world.take("crs-1").await;
    assert_eq!(backup.state, BackupState::Available);
    (server, world, backup)
}

fn plant(world: &World, key: &AttemptKey, names: &[&str]) -> PathBuf {
    let folder = world.repository().join(key.folder());
    std::fs::create_dir_all(&folder).unwrap();
    for name in names {
        std::fs::write(folder.join(name), "left").unwrap();
    }
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn leftovers_of_a_crash_go_and_the_backup_stays() {
    let (_server, world, backup) = world_with_backup().await;
    let kept = world.files();
    // An unfinished file in the attempt that is kept, and one at the root.
    plant(&world, &attempt(&backup, 1), &[".unfinished-1"]);
    std::fs::write(world.repository().join(".unfinished-2"), "left").unwrap();
    // Attempts that were never committed, before and after, and one that was, but that no row names.
    let older = plant(&world, &attempt(&backup, 0), &["0.rdb"]);
    let newer = plant(&world, &attempt(&backup, 2), &["0.rdb", ".unfinished-3"]);
    let late = plant(&world, &attempt(&backup, 3), &["0.rdb", "manifest.json"]);
    // One of a backup that no row knows, never committed.
    let stranger = AttemptKey { backup: BackupId::mint(world.clock.now()), ..attempt(&backup, 1) };
    let unknown = plant(&world, &stranger, &["0.rdb"]);

    let swept = world.engine.sweep(true).await.unwrap();
    assert_eq!(swept, Swept { unfinished: 3, attempts: 4, unknown: 0 });
    assert_eq!(world.files(), kept);
    for folder in [older, newer, late, unknown] {
        assert!(!folder.exists(), "{}", folder.display());
    }
    assert_eq!(world.engine.sweep(true).await.unwrap(), Swept::default(), "once is enough");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_committed_attempt_that_the_catalog_does_not_know_stays_and_is_counted() {
    let (_server, world, backup) = world_with_backup().await;
    let stranger = AttemptKey { backup: BackupId::mint(world.clock.now()), ..attempt(&backup, 1) };
    let folder = plant(&world, &stranger, &["0.rdb", "manifest.json"]);
    for alone in [true, false] {
        assert_eq!(world.engine.sweep(alone).await.unwrap(), Swept { unknown: 1, ..Swept::default() });
        assert!(folder.join("0.rdb").exists() && folder.join("manifest.json").exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_beside_writers_leaves_what_may_be_theirs() {
    let (_server, world, backup) = world_with_backup().await;
    let stranger = AttemptKey { backup: BackupId::mint(world.clock.now()), ..attempt(&backup, 1) };
    let folder = plant(&world, &stranger, &["0.rdb", ".unfinished-1"]);
    assert_eq!(world.engine.sweep(false).await.unwrap(), Swept::default());
    assert!(folder.join(".unfinished-1").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_does_not_touch_a_live_attempt() {
    let server = Server::start(&["--repl-diskless-sync", "yes", "--rdb-key-save-delay", "10000"]);
    fill_with_strings(&server, 1000, 10_000);
    let world = World::new().await;
    world.add("crs-1", &server.url()).await.unwrap();
    let asked = world.request("crs-1").await;
    let worker = world.worker();
    eventually("the transfer to begin", async || {
        let job = world.engine.job(&world.admin, asked.job).await.unwrap();
        (job.progress.phase == Phase::Receiving && job.progress.bytes > 0).then_some(())
    })
    .await;
    // What an earlier attempt left goes, the live one stays.
    let older = plant(&world, &attempt(&asked, 0), &["0.rdb"]);
    let swept = world.engine.sweep(false).await.unwrap();
    assert_eq!(swept, Swept { attempts: 1, ..Swept::default() });
    assert!(!older.exists());
    server.connect().run("CONFIG SET rdb-key-save-delay 0");
    world.engine.cancel_job(&world.admin, asked.job).await.unwrap();
    world.ended(&asked).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_manifest_and_row_is_taken_again() {
    use keystow_engine::catalog::Catalog;
    use std::time::Duration;
    let server = Server::start(&[]);
    fill_with_everything(&server);
    let world = World::new().await;
    world.add("crs-1", &server.url()).await.unwrap();
    let asked = world.request("crs-1").await;
    world.catalog.claim_job("dead", world.clock.now(), Duration::from_secs(30)).await.unwrap().unwrap();
    let half = plant(&world, &attempt(&asked, 1), &["0.rdb", "manifest.json"]);
    // What a start does.
    assert_eq!(world.catalog.surrender_leases().await.unwrap(), 1);
    assert_eq!(world.engine.sweep(true).await.unwrap(), Swept { attempts: 1, ..Swept::default() });
    assert!(!half.exists());
    world.work_off().await;
    let row = world.row(&asked).await;
    assert_eq!((row.state, row.attempt), (BackupState::Available, 2));
}
