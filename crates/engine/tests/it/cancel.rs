//! Stopping: a job on request, a worker for good.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use keystow_engine::catalog::{AttemptOutcome, Catalog};
use keystow_engine::model::{BackupState, JobState, Node, NodeRole, Phase, Secret};
use keystow_engine::redis::Timeouts;
use keystow_engine::vault::{Credentials, ObjectVault, StoreOptions};
use keystow_engine::work::{WorkerSettings, keep_seen, run_worker};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::lab::{Server, fill_with_strings};
use crate::proxy::{self, Harm};
use crate::world::{World, code, eventually, failure_code};

/// A server that takes some twenty seconds for its snapshot, unless told to hurry.
fn slow() -> Server {
    let server = Server::start(&["--repl-diskless-sync", "yes", "--rdb-key-save-delay", "10000"]);
    fill_with_strings(&server, 2000, 10_000);
    server
}

async fn receiving(world: &World, job: u64) {
    eventually("the transfer to begin", async || {
        let job = world.engine.job(&world.admin, job).await.unwrap();
        (job.progress.phase == Phase::Receiving && job.progress.bytes > 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_job_stops_on_request_and_leaves_nothing() {
    let server = slow();
    let world = World::new().await;
    world.add("crs-1", &server.url()).await.unwrap();
    let asked = world.request("crs-1").await;
    let worker = world.worker();
    receiving(&world, asked.job).await;
    let told = world.engine.cancel_job(&world.admin, asked.job).await.unwrap();
    assert!(told.cancel_requested);
    let started = Instant::now();
    let backup = world.ended(&asked).await;
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert_eq!((backup.state, failure_code(&backup)), (BackupState::Failed, "CANCELLED"));
    let job = world.engine.job(&world.admin, asked.job).await.unwrap();
    assert_eq!(job.state, JobState::Cancelled);
    assert_eq!(world.files(), [""; 0]);
    assert_eq!(code(world.engine.cancel_job(&world.admin, asked.job).await), "CONFLICT");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_job_stops_at_once() {
    let server = Server::start(&[]);
    let world = World::new().await;
    world.add("crs-1", &server.url()).await.unwrap();
    let asked = world.request("crs-1").await;
    world.engine.cancel_job(&world.admin, asked.job).await.unwrap();
    let backup = world.row(&asked).await;
    assert_eq!((backup.state, failure_code(&backup)), (BackupState::Failed, "CANCELLED"));
    assert_eq!(world.take("crs-1").await.state, BackupState::Available, "the next one is free to run");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_worker_hands_its_job_back_and_another_completes_it() {
    let server = slow();
    let world = World::new().await;
    world.add("crs-1", &server.url()).await.unwrap();
    let asked = world.request("crs-1").await;
    let worker = world.worker();
    receiving(&world, asked.job).await;
    let started = Instant::now();
    worker.stop().await;
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert_eq!(world.row(&asked).await.state, BackupState::Queued);
    assert_eq!(world.files(), [""; 0]);

    server.connect().run("CONFIG SET rdb-key-save-delay 0");
    world.work_off().await;
    let backup = world.row(&asked).await;
    assert_eq!((backup.state, backup.attempt), (BackupState::Available, 2), "{:?}", backup.failure);
    assert!(
        world.files().iter().all(|file| file.contains(&format!("{}/2/", backup.id))),
        "{:?}",
        world.files()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_undo_a_request_to_cancel() {
    let server = slow();
    let world = World::new().await;
    world.add("crs-1", &server.url()).await.unwrap();
    let asked = world.request("crs-1").await;
    let worker = world.worker();
    receiving(&world, asked.job).await;
    world.engine.cancel_job(&world.admin, asked.job).await.unwrap();
    worker.stop().await;
    world.work_off().await;
    let backup = world.row(&asked).await;
    assert_eq!((backup.state, failure_code(&backup)), (BackupState::Failed, "CANCELLED"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_lost_its_lease_stops_and_changes_nothing() {
    let server = slow();
    let world = World::new().await;
    world.add("crs-1", &server.url()).await.unwrap();
    let asked = world.request("crs-1").await;
    let worker = world.worker();
    receiving(&world, asked.job).await;
    // The clock jumps; unless the worker's heartbeat is quicker, another takes the job over.
    let hold = Duration::from_hours(1000);
    let taken = eventually("the lease to run out", async || {
        world.clock.advance(Duration::from_secs(10));
        world.catalog.claim_job("other", world.clock.now(), hold).await.unwrap()
    })
    .await;
    assert_eq!((taken.number, taken.attempt), (asked.job, 2));
    eventually("the first attempt's files to go", async || world.files().is_empty().then_some(())).await;
    worker.stop().await;
    let row = world.row(&asked).await;
    assert_eq!((row.state, row.failure.is_none()), (BackupState::Running, true));
    assert_eq!(world.engine.job(&world.admin, asked.job).await.unwrap().attempt, 2);
    world.catalog.fail_attempt(&taken.lease(), &AttemptOutcome::HandedBack, world.clock.now()).await.unwrap();
    server.connect().run("CONFIG SET rdb-key-save-delay 0");
    world.work_off().await;
    let backup = world.row(&asked).await;
    assert_eq!((backup.state, backup.attempt), (BackupState::Available, 3), "{:?}", backup.failure);
    let which = keystow_engine::model::BackupRef::Id(backup.id);
    world.engine.delete_backup(&world.admin, which).await.unwrap();
    world.work_off().await;
    assert!(!world.has_folder(&backup), "whatever attempt it was");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_cannot_renew_its_lease_stops_by_itself() {
    let server = slow();
    let world = World::new().await;
    world.add("crs-1", &server.url()).await.unwrap();
    let asked = world.request("crs-1").await;
    let worker = world.worker();
    receiving(&world, asked.job).await;
    assert!(!world.files().is_empty());
    // Another process holds the catalog.
    let options = SqliteConnectOptions::new().filename(world.path("catalog.db"));
    let mut other = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let started = Instant::now();
    eventually("the attempt's files to go", async || world.files().is_empty().then_some(())).await;
    assert!(started.elapsed() < Duration::from_secs(12), "{:?}", started.elapsed());
    server.connect().run("CONFIG SET rdb-key-save-delay 0");
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    // It was not stopped on request: the job is handed back and begins anew.
    let backup = world.ended(&asked).await;
    worker.stop().await;
    assert_eq!((backup.state, backup.attempt), (BackupState::Available, 2), "{:?}", backup.failure);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_the_catalog_took_long_for_is_not_lost_at_once() {
    let server = slow();
    let world = World::new().await;
    world.add("crs-1", &server.url()).await.unwrap();
    let asked = world.request("crs-1").await;
    // Another process holds the catalog, for longer than a heartbeat may be late.
    let options = SqliteConnectOptions::new().filename(world.path("catalog.db"));
    let mut other = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let settings = WorkerSettings { lease: Duration::from_secs(6), ..WorkerSettings::default() };
    let (stop, mut worker) = (CancellationToken::new(), JoinSet::new());
    worker.spawn(run_worker(world.engine.clone(), settings, stop.clone()));
    tokio::time::sleep(Duration::from_millis(4500)).await;
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    receiving(&world, asked.job).await;
    server.connect().run("CONFIG SET rdb-key-save-delay 0");
    let backup = world.ended(&asked).await;
    stop.cancel();
    worker.join_all().await;
    assert_eq!((backup.state, backup.attempt), (BackupState::Available, 1), "{:?}", backup.failure);
}

/// What a world's node says of itself.
fn node(world: &World) -> Node {
    Node {
        id: world.engine.node_id().to_owned(),
        host: "here".to_owned(),
        roles: vec![NodeRole::Worker],
        version: String::new(),
        started_at: world.clock.now(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_keeps_its_turn_until_its_captures_have_ended() {
    let server = slow();
    let world = World::new().await;
    world.add("crs-1", &server.url()).await.unwrap();
    let asked = world.request("crs-1").await;
    let worker = world.worker();
    receiving(&world, asked.job).await;
    let (stop, mut seen) = (CancellationToken::new(), JoinSet::new());
    stop.cancel();
    seen.spawn(keep_seen(world.engine.clone(), node(&world), stop));
    let take = async || {
        let (now, hold) = (world.clock.now(), Duration::from_secs(30));
        world.catalog.take_turn("host 127.0.0.1", "other", now, hold).await.unwrap()
    };
    eventually("the node to say that it is there", async || {
        let nodes = world.catalog.nodes(world.clock.now()).await.unwrap();
        (!nodes.is_empty()).then_some(())
    })
    .await;
    assert!(!take().await, "the capture is still under way");
    worker.stop().await;
    seen.join_all().await;
    assert!(take().await);
    assert!(world.catalog.nodes(world.clock.now()).await.unwrap().is_empty(), "it has gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capture_whose_turn_another_node_took_is_handed_back() {
    let server = slow();
    let world = World::new().await;
    world.add("crs-1", &server.url()).await.unwrap();
    let asked = world.request("crs-1").await;
    let worker = world.worker();
    receiving(&world, asked.job).await;
    // This node was not seen for a while, and another has taken its turn.
    world.catalog.give_turn("host 127.0.0.1", world.engine.node_id()).await.unwrap();
    let (now, hold) = (world.clock.now(), Duration::from_secs(30));
    assert!(world.catalog.take_turn("host 127.0.0.1", "other", now, hold).await.unwrap());
    world.engine.be_seen(&node(&world)).await.unwrap();
    eventually("the attempt's files to go", async || world.files().is_empty().then_some(())).await;
    world.catalog.give_turn("host 127.0.0.1", "other").await.unwrap();
    server.connect().run("CONFIG SET rdb-key-save-delay 0");
    let backup = world.ended(&asked).await;
    worker.stop().await;
    assert_eq!((backup.state, backup.attempt), (BackupState::Available, 2), "{:?}", backup.failure);
}

/// The address of a store that says what it has, which is nothing, and hangs at every change.
fn store_that_hangs() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut lines = BufReader::new(client.try_clone().unwrap()).lines().map_while(Result::ok);
                while let Some(request) = lines.next() {
                    lines.by_ref().take_while(|line| !line.is_empty()).for_each(drop);
                    let empty = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";
                    let answer = match request.split(' ').next() {
                        Some("GET") => format!("200 OK\r\ncontent-length: {}\r\n\r\n{empty}", empty.len()),
                        Some("HEAD") => "404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned(),
                        _ => continue,
                    };
                    (&client).write_all(format!("HTTP/1.1 {answer}").as_bytes()).unwrap();
                }
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_into_a_store_that_hangs_stops_on_request() {
    let server = Server::start(&["--rdbcompression", "no"]);
    fill_with_strings(&server, 100, 10_000);
    let work = tempfile::tempdir().unwrap();
    let store = ObjectVault::open(StoreOptions {
        url: format!("s3://b?endpoint=http://{}", store_that_hangs()),
        credentials: Credentials::Keys {
            id: "AK".to_owned(),
            secret: Secret::new("SK"),
            session_token: None,
        },
        direct_links: false,
        public_endpoint: None,
        intranet_endpoint: None,
        spool_bytes: 1 << 20,
        work_dir: work.path().to_owned(),
    })
    .unwrap();
    let timeouts = Timeouts { reply: Duration::from_secs(5), silence: Duration::from_secs(20) };
    let world = World::with(timeouts, |_| Arc::new(store)).await;
    world.add("crs-1", &server.url()).await.unwrap();
    let asked = world.request("crs-1").await;
    let worker = world.worker();
    eventually("the part to be sealed", async || {
        let job = world.engine.job(&world.admin, asked.job).await.unwrap();
        (job.progress.phase == Phase::Sealing).then_some(())
    })
    .await;
    world.engine.cancel_job(&world.admin, asked.job).await.unwrap();
    let started = Instant::now();
    assert_eq!(failure_code(&world.ended(&asked).await), "CANCELLED");
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_transfer_stops_on_request() {
    let server = Server::start(&[]);
    fill_with_strings(&server, 100, 10_000);
    let world = World::new().await;
    world.add("crs-1", &proxy::start(server.port, || Harm::StallAfter(500_000))).await.unwrap();
    let asked = world.request("crs-1").await;
    let worker = world.worker();
    receiving(&world, asked.job).await;
    world.engine.cancel_job(&world.admin, asked.job).await.unwrap();
    let started = Instant::now();
    assert_eq!(failure_code(&world.ended(&asked).await), "CANCELLED");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    worker.stop().await;
}

/// A port whose queue of new connections is full, so that the next connect gets no answer.
fn deaf_port() -> (TcpListener, Vec<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let limit = Duration::from_millis(300);
    let waiting: Vec<TcpStream> =
        (0..10_000).map_while(|_| TcpStream::connect_timeout(&address, limit).ok()).collect();
    assert!(waiting.len() < 10_000, "the queue never filled up");
    (listener, waiting)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connect_without_an_answer_is_given_up_on_request_and_in_time() {
    let server = Server::start(&[]);
    let timeouts = Timeouts { reply: Duration::from_secs(30), silence: Duration::from_secs(30) };
    let world = World::with(timeouts, |vault| vault).await;
    world.add("crs-1", &server.url()).await.unwrap();
    // The address behind the instance goes deaf.
    let (listener, _waiting) = deaf_port();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let impatient = Timeouts { reply: Duration::from_millis(200), ..timeouts };
    let other = World::with(impatient, |vault| vault).await;
    assert_eq!(code(other.add("crs-1", &url).await), "SOURCE_UNREACHABLE");

    let mut instance =
        (*world.engine.instance(&world.admin, &"crs-1".parse().unwrap()).await.unwrap()).clone();
    instance.id = "deaf".parse().unwrap();
    instance.url = url;
    world.catalog.add_instance(&instance).await.unwrap();
    let asked = world.request("deaf").await;
    let worker = world.worker();
    eventually("the job to start", async || {
        Some(world.row(&asked).await).filter(|row| row.state == BackupState::Running)
    })
    .await;
    let started = Instant::now();
    worker.stop().await;
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert_eq!(world.row(&asked).await.state, BackupState::Queued);
}
