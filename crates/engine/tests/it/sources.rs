//! Sources that refuse, are not there, or are something else.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use keystow_engine::model::{BackupState, Method, Secret};
use keystow_engine::ops::{InstanceChange, NewInstance, NewLogin};
use keystow_engine::redis::Timeouts;

use crate::fake;
use crate::lab::{Server, fill_with_everything, fill_with_strings, free_port, until};
use crate::world::{World, code, failure_code, login};

fn new(url: &str, password: Option<&str>) -> NewInstance {
    NewInstance {
        login: NewLogin { password: password.map(Secret::new), ..login(url) },
        id: Some("crs-1".parse().unwrap()),
        ..NewInstance::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_a_password_is_backed_up_and_the_password_is_nowhere_in_clear() {
    let source = Server::start(&["--requirepass", "s3cret-and-long"]);
    fill_with_everything(&source);
    let world = World::new().await;
    assert_eq!(code(world.add_with(new(&source.url(), None)).await), "SOURCE_AUTH");
    assert_eq!(code(world.add_with(new(&source.url(), Some("wrong"))).await), "SOURCE_AUTH");
    world.add_with(new(&source.url(), Some("s3cret-and-long"))).await.unwrap();
    assert_eq!(world.take("crs-1").await.state, BackupState::Available);
    let instance = world.engine.instance(&world.admin, &"crs-1".parse().unwrap()).await.unwrap();
    let kept =
        [format!("{:?}", instance.url).into_bytes(), instance.sealed_password.clone().unwrap()].concat();
    assert!(!kept.windows(6).any(|window| window == b"s3cret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_for_a_server_without_one_is_an_error() {
    let source = Server::start(&[]);
    let world = World::new().await;
    assert_eq!(code(world.add_with(new(&source.url(), Some("needless"))).await), "SOURCE_AUTH");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_smallest_acl_user_is_enough() {
    let source = Server::start(&[]);
    fill_with_everything(&source);
    source.connect().run("ACL SETUSER keystow on >p@ss:word/1 +psync +replconf +ping");
    let world = World::new().await;
    let url = format!("redis://keystow:p%40ss%3Aword%2F1@127.0.0.1:{}", source.port);
    world.add("crs-1", &url).await.unwrap();
    let backup = world.take("crs-1").await;
    assert_eq!(backup.state, BackupState::Available, "{:?}", backup.failure);
    assert_eq!(backup.server.unwrap().version, "", "it may not ask");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_right_is_named() {
    let source = Server::start(&[]);
    for (rights, named) in [("+replconf +ping +info", "psync"), ("+psync +ping +info", "replconf")] {
        source.connect().run(&format!("ACL SETUSER keystow reset on >word {rights}"));
        let world = World::new().await;
        let url = format!("redis://keystow:word@127.0.0.1:{}", source.port);
        world.add("crs-1", &url).await.unwrap();
        let backup = world.take("crs-1").await;
        assert_eq!((backup.state, failure_code(&backup)), (BackupState::Failed, "SOURCE_DENIED"));
        let failure = backup.failure.unwrap();
        assert!(failure.message.contains(named), "{}", failure.message);
        assert!(failure.hint.unwrap().contains("+psync +replconf"));
        assert_eq!(world.files(), [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_check_names_a_missing_right_before_a_backup_does() {
    let source = Server::start(&[]);
    let world = World::new().await;
    let url = format!("redis://keystow:word@127.0.0.1:{}", source.port);
    source.connect().run("ACL SETUSER keystow on >word +replconf +ping +info +acl|whoami +acl|dryrun");
    world.add("crs-1", &url).await.unwrap();
    let finding = world.engine.check(&world.admin).await.unwrap().findings.pop().unwrap();
    assert!(!finding.ok && finding.detail.contains("PSYNC"), "{finding:?}");
    assert!(finding.hint.unwrap().contains("+psync +replconf +ping"));
    source.connect().run("ACL SETUSER keystow +psync");
    let finding = world.engine.check(&world.admin).await.unwrap().findings.pop().unwrap();
    assert!(finding.ok, "{finding:?}");
    assert!(source.connect().command(&["INFO", "replication"]).text().contains("connected_slaves:0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_was_changed_fails_the_backup() {
    let source = Server::start(&["--requirepass", "old-password"]);
    let world = World::new().await;
    world.add_with(new(&source.url(), Some("old-password"))).await.unwrap();
    source.connect().run("CONFIG SET requirepass new-password");
    let backup = world.take("crs-1").await;
    assert_eq!((backup.state, failure_code(&backup)), (BackupState::Failed, "SOURCE_AUTH"));
    let shown = format!("{:?}", backup.failure);
    assert!(!shown.contains("old-password"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_nobody_listens_on_is_unreachable() {
    let world = World::new().await;
    let refused = world.add("crs-1", &format!("redis://127.0.0.1:{}", free_port())).await.unwrap_err();
    assert_eq!(refused.code, "SOURCE_UNREACHABLE");
    assert!(refused.worth_retrying());
    let unnamed = world.add("crs-1", "redis://no-such-host.invalid:6379").await;
    assert_eq!(code(unnamed), "SOURCE_UNREACHABLE");
    assert_eq!(code(world.add("crs-1", "unix:///nowhere/redis.sock").await), "SOURCE_UNREACHABLE");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_gone_by_then_fails_the_backup() {
    let mut source = Server::start(&[]);
    let world = World::new().await;
    world.add("crs-1", &source.url()).await.unwrap();
    source.kill();
    let backup = world.take("crs-1").await;
    assert_eq!((backup.state, failure_code(&backup)), (BackupState::Failed, "SOURCE_UNREACHABLE"));
    assert_eq!(world.files(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_redis_is_told_from_one() {
    let world = World::new().await;
    for banner in
        ["HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", "SSH-2.0-OpenSSH_9.2p1 Debian\r\n"]
    {
        let url = fake::listen(move |mut socket| {
            let _ = socket.write_all(banner.as_bytes());
            let _ = socket.read(&mut [0; 1024]);
        });
        assert_eq!(code(world.add("crs-1", &url).await), "SOURCE_NOT_REDIS", "{banner}");
    }
    let closing = fake::listen(|mut socket| {
        let _ = socket.read(&mut [0; 1024]);
    });
    let refused = code(world.add("crs-1", &closing).await);
    assert!(["SOURCE_CLOSED", "SOURCE_LOST"].contains(&refused), "{refused}");
}

fn short() -> Timeouts {
    Timeouts { reply: Duration::from_millis(100), silence: Duration::from_millis(100) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_says_nothing_is_given_up() {
    let world = World::with(short(), |vault| vault).await;
    let url = fake::listen(|mut socket| {
        let _ = std::io::copy(&mut socket, &mut std::io::sink());
    });
    assert_eq!(code(world.add("crs-1", &url).await), "SOURCE_SILENT");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_drips_in_is_given_up() {
    let world = World::with(short(), |vault| vault).await;
    let url = fake::listen(|mut socket| {
        let deadline = Instant::now() + Duration::from_secs(30);
        while Instant::now() < deadline && socket.write_all(b"+").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    assert_eq!(code(world.add("crs-1", &url).await), "SOURCE_SILENT");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_loading_is_told_from_a_broken_one() {
    let first = Server::start(&[]);
    fill_with_strings(&first, 2000, 100);
    assert!(first.connect().command(&["SAVE"]).is_status("OK"));
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(first.folder().join("dump.rdb"), folder.path().join("dump.rdb")).unwrap();
    // 10 ms a key; while loading, the server answers between chunks of keys only.
    let loading = Server::start_on(
        folder,
        &["--key-load-delay", "10000", "--loading-process-events-interval-bytes", "1024"],
    );
    let world = World::new().await;
    let refused = world.add("crs-1", &loading.url()).await.unwrap_err();
    assert_eq!(refused.code, "SOURCE_LOADING");
    assert!(refused.worth_retrying());
    // Not now; later it works.
    loading.connect().run("CONFIG SET key-load-delay 0");
    until("the server to load", || loading.connect().command(&["PING"]).is_status("PONG").then_some(()));
    world.add("crs-1", &loading.url()).await.unwrap();
    assert_eq!(world.take("crs-1").await.state, BackupState::Available);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_without_its_primary_is_refused() {
    let replica = Server::start(&["--replicaof", &format!("127.0.0.1 {}", free_port())]);
    let world = World::new().await;
    let refused = world.add("crs-1", &replica.url()).await.unwrap_err();
    assert_eq!(refused.code, "SOURCE_REPLICA_STALE");
    assert!(refused.worth_retrying());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hides_psync_is_read_key_by_key() {
    let source = Server::start(&["--rename-command", "PSYNC", ""]);
    fill_with_everything(&source);
    let world = World::new().await;
    world.add("crs-1", &source.url()).await.unwrap();
    let backup = world.take("crs-1").await;
    assert_eq!((backup.state, backup.method), (BackupState::Available, Method::Logical));
    let origin = backup.origin.clone().unwrap();
    assert!(!origin.one_instant);
    assert!(origin.warnings.iter().any(|warning| warning.contains("key by key")), "{:?}", origin.warnings);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("dump.rdb"), world.bytes(&backup).await).unwrap();
    assert_eq!(Server::start_on(folder, &[]).digest(), source.digest());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_of_one_is_one_part_and_without_all_slots_partial() {
    let node = Server::start(&["--cluster-enabled", "yes"]);
    let mut client = node.connect();
    client.run("CLUSTER ADDSLOTSRANGE 0 9999");
    client.run("CLUSTER SET-CONFIG-EPOCH 1");
    client.run("CONFIG SET cluster-require-full-coverage no");
    let world = World::new().await;
    world.add("crs-1", &node.url()).await.unwrap();
    let backup = world.take("crs-1").await;
    assert_eq!((backup.state, failure_code(&backup)), (BackupState::Partial, "PARTIAL"));
    let missing = &backup.origin.as_ref().unwrap().missing;
    assert_eq!((missing.len(), missing[0].slots.to_string().as_str()), (1, "10000-16383"));
    client.run("CLUSTER ADDSLOTSRANGE 10000 16383");
    let backup = world.take("crs-1").await;
    assert_eq!(backup.state, BackupState::Available, "{:?}", backup.failure);
    let origin = backup.parts[0].sealed.origin.clone().unwrap();
    assert_eq!((origin.slots.to_string().as_str(), origin.primary), ("0-16383", true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_was_changed_at_the_server_is_changed_here_too() {
    let source = Server::start(&["--requirepass", "first"]);
    let world = World::new().await;
    world.add_with(new(&source.url(), Some("first"))).await.unwrap();
    let id = "crs-1".parse().unwrap();
    let set = async |change| world.engine.set_instance(&world.admin, &id, change).await;
    let password =
        |text: &str| InstanceChange { password: Some(Secret::new(text)), ..InstanceChange::default() };

    assert_eq!(code(set(password("second")).await), "SOURCE_AUTH", "the server does not know it yet");
    assert_eq!(world.take("crs-1").await.state, BackupState::Available, "nothing was changed");
    source.connect().command(&["CONFIG", "SET", "requirepass", "second"]);
    let failed = world.take("crs-1").await;
    assert_eq!(failure_code(&failed), "SOURCE_AUTH");
    let changed = set(password("second")).await.unwrap();
    assert!(changed.sealed_password.is_some() && changed.sealed_login.is_none());
    assert_eq!(world.take("crs-1").await.state, BackupState::Available);
    let accepts = |text: &str| world.engine.accepts_password(&changed, &Secret::new(text)).unwrap();
    assert!(accepts("second") && !accepts("first") && !accepts(""));

    let elsewhere = Server::start(&[]);
    let moved = InstanceChange { url: Some(elsewhere.url()), ..InstanceChange::default() };
    assert_eq!(code(set(moved).await), "INVALID_VALUE", "the password stays where it is");
    let moved = InstanceChange { url: Some(elsewhere.url()), ..password("") };
    assert_eq!(set(moved).await.unwrap().url, elsewhere.url());
    assert!(world.engine.instance(&world.admin, &id).await.unwrap().sealed_password.is_none());
    assert_eq!(world.take("crs-1").await.state, BackupState::Available);
}
