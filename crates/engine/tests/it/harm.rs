//! What a backup may do to its source, and what it must put back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use keystow_engine::catalog::Catalog;
use keystow_engine::model::{BackupState, CaptureMethod, CaptureOptions, Checks, Debt, InstanceId};

use crate::fake;
use crate::lab::{Reply, Server, fill_with_everything, fill_with_strings, until};
use crate::world::{World, failure_code};

async fn set_capture(world: &World, id: &str, capture: CaptureOptions) {
    let (account, id): (_, InstanceId) = (world.admin.account().clone(), id.parse().unwrap());
    let mut instance = world.catalog.instance(&account, &id).await.unwrap().unwrap();
    instance.capture = capture;
    world.catalog.set_instance(&instance).await.unwrap();
}

fn uncompressed() -> CaptureOptions {
    CaptureOptions { uncompressed: true, ..CaptureOptions::default() }
}

fn compression(source: &Server) -> String {
    match source.connect().command(&["CONFIG", "GET", "rdbcompression"]) {
        Reply::List(pair) => pair.into_iter().nth(1).unwrap().text(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn compression_is_back_while_the_snapshot_is_still_on_its_way() {
    let source = Server::start(&["--rdb-key-save-delay", "20000", "--rdbcompression", "yes"]);
    source.connect().run("DEBUG POPULATE 200 key 20000");
    let world = World::new().await;
    world.add("crs-1", &source.url()).await.unwrap();
    set_capture(&world, "crs-1", uncompressed()).await;
    let before = compression(&source);
    let asked = world.request("crs-1").await;
    let worker = world.worker();
    until("the setting to be switched and put back", || {
        let sending =
            source.connect().command(&["INFO", "persistence"]).text().contains("rdb_bgsave_in_progress:1");
        (sending && compression(&source) == before).then_some(())
    });
    let backup = world.ended(&asked).await;
    worker.stop().await;
    assert_eq!(backup.state, BackupState::Available, "{:?}", backup.failure);
    assert!(backup.size_bytes() > 200 * 20_000, "nothing was compressed: {}", backup.size_bytes());
    assert_eq!(world.catalog.debts().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn compression_is_back_after_a_backup_that_failed() {
    let source = Server::start(&["--rdbcompression", "yes"]);
    fill_with_everything(&source);
    // PSYNC is refused after the setting was switched.
    source.connect().run("ACL SETUSER keystow on >word +replconf +ping +info +config|get +config|set");
    let world = World::new().await;
    let url = format!("redis://keystow:word@127.0.0.1:{}", source.port);
    world.add("crs-1", &url).await.unwrap();
    set_capture(&world, "crs-1", CaptureOptions { method: CaptureMethod::Physical, ..uncompressed() }).await;
    let before = compression(&source);
    let backup = world.take("crs-1").await;
    assert_eq!((backup.state, failure_code(&backup)), (BackupState::Failed, "SOURCE_DENIED"));
    assert_eq!(compression(&source), before);
    assert_eq!(world.catalog.debts().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_crash_left_switched_is_put_back() {
    let source = Server::start(&["--rdbcompression", "no"]);
    let mut gone = Server::start(&[]);
    let world = World::new().await;
    for (id, url) in [("crs-1", source.url()), ("crs-2", gone.url())] {
        world.add(id, &url).await.unwrap();
        let debt = Debt {
            account: world.admin.account().clone(),
            instance: id.parse().unwrap(),
            node: url,
            setting: "rdbcompression".to_owned(),
            value: "yes".to_owned(),
        };
        world.catalog.owe(&debt).await.unwrap();
    }
    gone.kill();
    assert_eq!(world.engine.settle_debts().await.unwrap(), 1, "one server cannot be reached");
    assert_eq!(compression(&source), "yes");
    let left = world.catalog.debts().await.unwrap();
    assert_eq!(left.iter().map(|debt| debt.instance.to_string()).collect::<Vec<_>>(), ["crs-2"]);
    world.engine.delete_instance(&world.admin, &"crs-2".parse().unwrap()).await.unwrap();
    assert_eq!(world.engine.settle_debts().await.unwrap(), 0, "nobody knows how to get there any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_that_a_backup_has_borrowed_is_not_put_back_under_it() {
    let source = Server::start(&["--repl-diskless-sync-delay", "2", "--rdbcompression", "yes"]);
    source.connect().run("DEBUG POPULATE 200 key 20000");
    let world = World::new().await;
    world.add("crs-1", &source.url()).await.unwrap();
    set_capture(&world, "crs-1", uncompressed()).await;
    let asked = world.request("crs-1").await;
    let worker = world.worker();
    // It waits for other replicas before it forks.
    until("the setting to be switched", || (compression(&source) == "no").then_some(()));
    assert_eq!(world.engine.settle_debts().await.unwrap(), 1);
    assert_eq!(compression(&source), "no");
    let backup = world.ended(&asked).await;
    worker.stop().await;
    assert_eq!(backup.state, BackupState::Available, "{:?}", backup.failure);
    assert!(backup.size_bytes() > 200 * 20_000, "nothing was compressed: {}", backup.size_bytes());
    assert_eq!((compression(&source).as_str(), world.catalog.debts().await.unwrap()), ("yes", vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_backup_puts_compression_back() {
    let source = Server::start(&["--repl-diskless-sync-delay", "30", "--rdbcompression", "yes"]);
    let world = World::new().await;
    world.add("crs-1", &source.url()).await.unwrap();
    set_capture(&world, "crs-1", uncompressed()).await;
    let asked = world.request("crs-1").await;
    let worker = world.worker();
    until("the setting to be switched", || (compression(&source) == "no").then_some(()));
    world.engine.cancel_job(&world.admin, asked.job).await.unwrap();
    assert_eq!(failure_code(&world.ended(&asked).await), "CANCELLED");
    worker.stop().await;
    assert_eq!((compression(&source).as_str(), world.catalog.debts().await.unwrap()), ("yes", vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_never_goes_to_a_server_that_the_instance_has_left() {
    let (old, new) = (Server::start(&["--rdbcompression", "no"]), Server::start(&["--rdbcompression", "no"]));
    let world = World::new().await;
    world.add("crs-1", &new.url()).await.unwrap();
    let debt = Debt {
        account: world.admin.account().clone(),
        instance: "crs-1".parse().unwrap(),
        node: old.url(),
        setting: "rdbcompression".to_owned(),
        value: "yes".to_owned(),
    };
    world.catalog.owe(&debt).await.unwrap();
    let connections = || {
        let info = old.connect().command(&["INFO", "stats"]).text();
        let line = info.lines().find_map(|line| line.strip_prefix("total_connections_received:"));
        line.unwrap().trim().parse::<u64>().unwrap()
    };
    let before = connections();
    assert_eq!(world.engine.settle_debts().await.unwrap(), 0, "it is left to people");
    assert_eq!(connections(), before + 1, "only this test looked");
    assert_eq!((compression(&old), compression(&new)), ("no".to_owned(), "no".to_owned()));
    assert_eq!(world.catalog.debts().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_host_forks_once_at_a_time() {
    let sources: Arc<Vec<Server>> =
        Arc::new((0..3).map(|_| Server::start(&["--rdb-key-save-delay", "4000"])).collect());
    let world = World::new().await;
    let mut asked = Vec::new();
    for (index, source) in sources.iter().enumerate() {
        fill_with_strings(source, 100, 100);
        world.add(&format!("crs-{index}"), &source.url()).await.unwrap();
        asked.push(world.request(&format!("crs-{index}")).await);
    }
    let over = Arc::new(AtomicBool::new(false));
    let watch = {
        let (sources, over) = (sources.clone(), over.clone());
        std::thread::spawn(move || {
            let saving = |source: &Server| {
                let info = source.connect().command(&["INFO", "persistence"]).text();
                info.contains("rdb_bgsave_in_progress:1")
            };
            let (mut one, mut more) = (0, 0);
            while !over.load(Ordering::Relaxed) {
                match sources.iter().filter(|source| saving(source)).count() {
                    0 => {}
                    1 => one += 1,
                    _ => more += 1,
                }
            }
            (one, more)
        })
    };
    let workers = [world.worker(), world.worker(), world.worker()];
    for backup in &asked {
        assert_eq!(world.ended(backup).await.state, BackupState::Available);
    }
    over.store(true, Ordering::Relaxed);
    let (one, more) = watch.join().unwrap();
    // A server notices the end of its child ten times a second only: some looks see the next fork meanwhile.
    assert!(one > 20 && more * 2 < one, "{one} looks saw one fork, {more} saw more");
    for worker in workers {
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_short_of_memory_is_refused_unless_it_is_only_to_be_warned_of() {
    let info = "redis_version:7.0.15\r\nrole:master\r\nused_memory_dataset:1000000\r\nused_memory_rss:999999\r\n\
                total_system_memory:1000000\r\n";
    let url = fake::primary_that_says(info, fake::with_length(&fake::small_snapshot()));
    let world = World::new().await;
    world.add("crs-1", &url).await.unwrap();
    let backup = world.take("crs-1").await;
    assert_eq!((backup.state, failure_code(&backup)), (BackupState::Failed, "SOURCE_MEMORY_SHORT"));
    set_capture(&world, "crs-1", CaptureOptions { checks: Checks::Warn, ..CaptureOptions::default() }).await;
    let backup = world.take("crs-1").await;
    assert_eq!(backup.state, BackupState::Available, "{:?}", backup.failure);
    let warnings = backup.origin.unwrap().warnings;
    assert!(warnings.iter().any(|warning| warning.contains("memory")), "{warnings:?}");
}
