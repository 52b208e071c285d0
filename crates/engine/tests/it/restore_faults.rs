//! Stories of restores that do not go well: what the target holds then, and how they go on.

use std::time::{Duration, Instant};

use keystow_engine::model::{Backup, InstanceId, JobState, OnConflict, Phase, RestoreMethod, TtlPolicy};
use keystow_engine::ops::{InstanceChange, RestoreRequest, Target};

use crate::fake;
use crate::lab::{Reply, Server, fill_with_everything, fill_with_strings, free_port, until};
use crate::restore::{
    backup_of, by, done, ended, failed, outcome, plan, refusals, restored, role, setting, to,
};
use crate::world::{World, code, eventually};

fn size(server: &Server) -> i64 {
    server.connect().command(&["DBSIZE"]).number()
}

fn by_commands(backup: &Backup, url: &str) -> RestoreRequest {
    by(RestoreMethod::Commands, to(backup, url))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_without_memory_says_how_far_it_came() {
    let (world, source) = (World::new().await, Server::start(&[]));
    fill_with_strings(&source, 3000, 10_000);
    let backup = backup_of(&world, &source).await;
    let target = Server::start(&["--maxmemory", "10mb", "--maxmemory-policy", "noeviction"]);
    let request = by_commands(&backup, &target.url());
    let planned = plan(&world, &request).await.unwrap();
    assert!(planned.warnings.iter().any(|warning| warning.contains("maxmemory")), "{:?}", planned.warnings);
    let (why, outcome) = failed(restored(&world, request).await);
    assert_eq!((why.as_str(), outcome.changed), ("TARGET_FULL", true));
    assert_eq!(i64::try_from(outcome.restored).unwrap(), size(&target));
    assert!(outcome.restored > 0 && outcome.restored < 3000, "{outcome:?}");

    // Nothing was written: nothing is said to be.
    let full = Server::start(&["--maxmemory", "1", "--maxmemory-policy", "noeviction"]);
    let (why, outcome) = failed(restored(&world, by_commands(&backup, &full.url())).await);
    assert_eq!((why.as_str(), outcome.changed, size(&full)), ("TARGET_FULL", false, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_was_loaded_is_a_change() {
    let (world, source, target) = (World::new().await, Server::start(&[]), Server::start(&[]));
    fill_with_everything(&source);
    let backup = backup_of(&world, &source).await;
    target.connect().run("ACL SETUSER some on >pw ~nothing +@all");
    let url = format!("redis://some:pw@127.0.0.1:{}", target.port);
    let (why, outcome) = failed(restored(&world, by_commands(&backup, &url)).await);
    assert_eq!((why.as_str(), outcome.changed, size(&target)), ("TARGET_DENIED", true, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn targets_that_cannot_take_it_are_refused_beforehand() {
    let (world, source) = (World::new().await, Server::start(&[]));
    source.connect().run("SET a 1\nSELECT 9\nSET b 2");
    let backup = backup_of(&world, &source).await;
    let replica = Server::start(&["--replicaof", "127.0.0.1", &source.port.to_string()]);
    until("the replica to follow", || {
        replica.connect().command(&["INFO"]).text().contains("master_link_status:up").then_some(())
    });
    let planned = plan(&world, &to(&backup, &replica.url())).await.unwrap();
    assert_eq!(refusals(&planned), ["RESTORE_TARGET_REPLICA"]);

    let small = Server::start(&["--databases", "5"]);
    let request = to(&backup, &small.url());
    assert_eq!(refusals(&plan(&world, &request).await.unwrap()), ["RESTORE_DATABASES"]);
    assert_eq!(code(world.engine.request_restore(&world.admin, request).await), "RESTORE_DATABASES");

    let target = Server::start(&[]);
    target.connect().run("ACL SETUSER weak on >pw ~* +info +ping +config|get +select");
    let url = format!("redis://weak:pw@127.0.0.1:{}", target.port);
    let planned = plan(&world, &to(&backup, &url)).await.unwrap();
    assert_eq!((planned.method, refusals(&planned)), (RestoreMethod::Commands, vec!["TARGET_DENIED"]));
    let wrong = format!("redis://:wrong@127.0.0.1:{}", target.port);
    assert_eq!(code(plan(&world, &to(&backup, &wrong)).await), "TARGET_AUTH");
    let nobody = format!("redis://127.0.0.1:{}", free_port());
    assert_eq!(code(plan(&world, &to(&backup, &nobody)).await), "TARGET_UNREACHABLE");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_accounts_backup_is_not_there() {
    let (world, source) = (World::new().await, Server::start(&[]));
    let backup = backup_of(&world, &source).await;
    let viewer = world.key(keystow_engine::model::Role::Viewer, None).await;
    let request = to(&backup, &source.url());
    assert_eq!(code(world.engine.plan_restore(&viewer, &request).await), "ROLE_DENIED");
    world.engine.add_project(&world.admin, "elsewhere".parse().unwrap(), None, None).await.unwrap();
    let other = world.key(keystow_engine::model::Role::Operator, Some("elsewhere")).await;
    assert_eq!(code(world.engine.plan_restore(&other, &request).await), "BACKUP_NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_connections_are_mended() {
    let (world, source, target) = (World::new().await, Server::start(&[]), Server::start(&[]));
    fill_with_strings(&source, 20_000, 1000);
    let backup = backup_of(&world, &source).await;
    let request = by_commands(&backup, &target.url());
    let (_, asked) = world.engine.request_restore(&world.admin, request).await.unwrap();
    let mut client = target.connect();
    let worker = world.worker();
    let mut cuts = 0;
    let job = eventually("the restore to end", async || {
        let job = world.engine.job(&world.admin, asked.number).await.unwrap();
        if cuts < 5 && size(&target) > cuts * 3000 {
            client.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
            cuts += 1;
        }
        job.ended_at.is_some().then_some(job)
    })
    .await;
    worker.stop().await;
    let outcome = outcome(&job);
    assert_eq!(job.state, JobState::Done, "{:?}", job.failure);
    assert!(
        cuts > 1 && outcome.warnings.iter().any(|text| text.contains("found again")),
        "{cuts} {outcome:?}"
    );
    assert_eq!((outcome.restored, size(&target)), (20_000, 20_000));
    assert_eq!(target.digest(), source.digest());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_comes_back_without_keys_is_not_called_restored() {
    let (world, source, target) = (World::new().await, Server::start(&[]), Server::start(&[]));
    fill_with_strings(&source, 40_000, 1000);
    let backup = backup_of(&world, &source).await;
    let request = by_commands(&backup, &target.url());
    let (_, asked) = world.engine.request_restore(&world.admin, request).await.unwrap();
    let worker = world.worker();
    eventually("a part of the keys to arrive", async || (size(&target) > 2000).then_some(())).await;
    // What a replica does that takes over too early, or a server that is started anew.
    target.connect().run("FLUSHALL\nCLIENT KILL TYPE normal SKIPME yes");
    let job = ended(&world, &asked).await;
    worker.stop().await;
    let (why, outcome) = failed((job.clone(), outcome(&job)));
    assert_eq!((why.as_str(), outcome.restored), ("RESTORE_INCOMPLETE", 40_000));
    assert!(outcome.changed && outcome.keys_after < 40_000, "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_stops_hands_on_what_is_safe() {
    for on_conflict in [OnConflict::Fail, OnConflict::Replace, OnConflict::Skip] {
        let (world, source, target) = (World::new().await, Server::start(&[]), Server::start(&[]));
        fill_with_strings(&source, 40_000, 1000);
        let backup = backup_of(&world, &source).await;
        let request = RestoreRequest { on_conflict, ..by_commands(&backup, &target.url()) };
        let (_, asked) = world.engine.request_restore(&world.admin, request).await.unwrap();
        let mut client = target.connect();
        let worker = world.worker();
        eventually("a part of the keys to arrive", async || (size(&target) > 2000).then_some(())).await;
        // What has come stays; the rest has to wait.
        client.command(&["CLIENT", "PAUSE", "20000", "WRITE"]);
        let safe = eventually("the worker to say what is safe", async || {
            let job = world.engine.job(&world.admin, asked.number).await.unwrap();
            job.progress.safe.first().copied().filter(|safe| *safe > 0)
        })
        .await;
        worker.stop().await;
        client.command(&["CLIENT", "UNPAUSE"]);
        let job = world.engine.job(&world.admin, asked.number).await.unwrap();
        assert_eq!(job.state, JobState::Queued);
        assert!(safe < 40_000 && outcome(&job).changed, "{safe}");

        let another = world.worker();
        let job = ended(&world, &asked).await;
        another.stop().await;
        let outcome = done((job.clone(), outcome(&job)));
        assert_eq!((job.attempt, outcome.restored + outcome.skipped), (2, 40_000), "{on_conflict}");
        assert_eq!(target.digest(), source.digest());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_was_damaged_in_the_repository_is_found_out() {
    let (world, source) = (World::new().await, Server::start(&[]));
    fill_with_strings(&source, 300, 10_000);
    let backup = backup_of(&world, &source).await;
    let name = world.files().into_iter().find(|name| name.contains(".rdb")).unwrap();
    let path = world.repository().join(name);
    let mut bytes = std::fs::read(&path).unwrap();
    let place = bytes.len() - 5000;
    bytes[place] ^= 1;
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, &bytes).unwrap();
    for method in [RestoreMethod::Primary, RestoreMethod::Commands] {
        let target = Server::start(&[]);
        let (why, outcome) = failed(restored(&world, by(method, to(&backup, &target.url()))).await);
        assert_eq!(why, "OBJECT_DAMAGED", "{method}");
        assert_eq!(role(&target), "master");
        if method == RestoreMethod::Primary {
            assert_eq!((outcome.changed, size(&target)), (false, 0));
            assert_eq!(setting(&target, "masterauth"), "");
        }
    }
    // Over the disk, the target keeps what it has; by commands, nothing is wiped for a backup that is not sound.
    for method in [RestoreMethod::Primary, RestoreMethod::Commands] {
        let target = Server::start(&[]);
        target.connect().run("SET mine 1");
        let request = RestoreRequest { wipe: true, ..by(method, to(&backup, &target.url())) };
        let (why, outcome) = failed(restored(&world, request).await);
        assert_eq!((why.as_str(), outcome.changed, size(&target)), ("OBJECT_DAMAGED", false, 1), "{method}");
    }
    // Also one that would load from the connection for want of keys.
    let target = Server::start(&["--repl-diskless-load", "on-empty-db"]);
    let code = "#!lua name=mine\nredis.register_function('g', function() return 7 end)";
    target.connect().command(&["FUNCTION", "LOAD", code]);
    let request = RestoreRequest { wipe: true, ..by(RestoreMethod::Primary, to(&backup, &target.url())) };
    let (why, outcome) = failed(restored(&world, request).await);
    assert_eq!((why.as_str(), outcome.changed), ("OBJECT_DAMAGED", false));
    assert_eq!(target.connect().command(&["FCALL", "g", "0"]).number(), 7);
    assert_eq!(setting(&target, "repl-diskless-load"), "on-empty-db");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_loading_is_let_go_when_stopped() {
    let (world, source) = (World::new().await, Server::start(&[]));
    fill_with_strings(&source, 2000, 10_000);
    let backup = backup_of(&world, &source).await;
    // Twenty seconds, unless told to hurry.
    let target =
        Server::start(&["--key-load-delay", "10000", "--loading-process-events-interval-bytes", "1024"]);
    let (_, asked) = world.engine.request_restore(&world.admin, to(&backup, &target.url())).await.unwrap();
    let worker = world.worker();
    eventually("the target to load", async || {
        let job = world.engine.job(&world.admin, asked.number).await.unwrap();
        (matches!(job.progress.phase, Phase::Restoring | Phase::Loading) && job.progress.bytes > 0)
            .then_some(())
    })
    .await;
    let second = world.engine.request_restore(&world.admin, by_commands(&backup, &target.url())).await;
    assert!(["CONFLICT", "TARGET_BUSY", "TARGET_REFUSED", "RESTORE_TARGET_REPLICA"].contains(&code(second)));
    world.engine.cancel_job(&world.admin, asked.number).await.unwrap();
    let started = Instant::now();
    let job = ended(&world, &asked).await;
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    worker.stop().await;
    assert_eq!(job.state, JobState::Cancelled);
    assert_eq!((role(&target), setting(&target, "masterauth")), ("master".to_owned(), String::new()));
    assert_eq!(setting(&target, "repl-diskless-load"), "disabled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_restore_to_the_same_target_waits_for_nobody() {
    let (world, source, target) = (World::new().await, Server::start(&[]), Server::start(&[]));
    let backup = backup_of(&world, &source).await;
    world.engine.request_restore(&world.admin, to(&backup, &target.url())).await.unwrap();
    // By whatever name it is called.
    for url in [target.url(), format!("redis://localhost:{}", target.port)] {
        let second = world.engine.request_restore(&world.admin, to(&backup, &url)).await;
        assert_eq!(code(second), "CONFLICT", "{url}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_into_an_instance_goes_where_it_was_when_asked_for() {
    let (world, source) = (World::new().await, Server::start(&[]));
    source.connect().run("SET a 1");
    let (planned, other) = (Server::start(&[]), Server::start(&[]));
    let backup = backup_of(&world, &source).await;
    world.add("target", &planned.url()).await.unwrap();
    let id: InstanceId = "target".parse().unwrap();
    let into = || RestoreRequest { target: Target::Instance(id.clone()), ..to(&backup, "") };
    let (_, asked) = world.engine.request_restore(&world.admin, into()).await.unwrap();
    let moved = InstanceChange { url: Some(other.url()), ..InstanceChange::default() };
    world.engine.set_instance(&world.admin, &id, moved).await.unwrap();
    let worker = world.worker();
    let job = ended(&world, &asked).await;
    worker.stop().await;
    assert_eq!((job.state, job.failure.unwrap().code.as_str()), (JobState::Failed, "RESTORE_TARGET_MOVED"));
    assert_eq!((size(&planned), size(&other)), (0, 0));
    // Asked for again, it goes there.
    done(restored(&world, into()).await);
    assert_eq!((size(&planned), size(&other)), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_dies_in_the_middle_is_told() {
    let (world, source) = (World::new().await, Server::start(&[]));
    fill_with_strings(&source, 2000, 10_000);
    let backup = backup_of(&world, &source).await;
    let mut target =
        Server::start(&["--key-load-delay", "10000", "--loading-process-events-interval-bytes", "1024"]);
    let (_, asked) = world.engine.request_restore(&world.admin, to(&backup, &target.url())).await.unwrap();
    let worker = world.worker();
    eventually("the target to load", async || {
        let job = world.engine.job(&world.admin, asked.number).await.unwrap();
        (matches!(job.progress.phase, Phase::Restoring | Phase::Loading) && job.progress.bytes > 0)
            .then_some(())
    })
    .await;
    target.kill();
    let job = ended(&world, &asked).await;
    worker.stop().await;
    let (why, outcome) = failed((job.clone(), outcome(&job)));
    assert!(["TARGET_LOST", "TARGET_UNREACHABLE"].contains(&why.as_str()), "{why}");
    assert!(outcome.warnings.iter().any(|text| text.contains("REPLICAOF NO ONE")), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_the_target_does_not_know_are_refused_beforehand() {
    use keystow_rdb::model::HashField;
    use keystow_rdb::{Format, Record, Value, Writer};

    let target = Server::start(&[]);
    let mut writer = Writer::new(Vec::new(), Format::REDIS_12).unwrap();
    writer.value(&Record::new(b"plain"), &Value::Set(vec![b"a".to_vec()])).unwrap();
    let field = |expires_ms| HashField { field: b"f".to_vec(), value: b"v".to_vec(), expires_ms };
    writer.value(&Record::new(b"lasting"), &Value::Hash(vec![field(None)])).unwrap();
    let lasting = writer.end().unwrap();
    let mut writer = Writer::new(Vec::new(), Format::REDIS_12).unwrap();
    writer.value(&Record::new(b"passing"), &Value::Hash(vec![field(Some(4_102_444_800_000))])).unwrap();
    let passing = writer.end().unwrap();

    for (file, refused) in [(lasting, None), (passing, Some("RESTORE_TARGET_OLDER"))] {
        let world = World::new().await;
        world.add("src", &fake::primary(fake::with_length(&file))).await.unwrap();
        let backup = world.take("src").await;
        assert_eq!(backup.parts[0].sealed.report.magic, "REDIS0012");
        for method in [RestoreMethod::Primary, RestoreMethod::Commands] {
            let request = RestoreRequest { wipe: true, ..by(method, to(&backup, &target.url())) };
            let planned = plan(&world, &request).await.unwrap();
            assert_eq!(refusals(&planned), refused.as_slice());
            if refused.is_none() {
                // Rewritten on the way.
                let outcome = done(restored(&world, request).await);
                assert_eq!((outcome.restored, size(&target)), (2, 2), "{method}");
            }
        }
        // Without expiries there is nothing that the target does not know.
        let request = RestoreRequest { ttl: TtlPolicy::Strip, wipe: true, ..to(&backup, &target.url()) };
        assert_eq!(refusals(&plan(&world, &request).await.unwrap()), [""; 0]);
    }
}

/// Two nodes with half of the slots each.
fn cluster() -> [Server; 2] {
    let start = || {
        let bus = free_port().to_string();
        Server::start(&["--cluster-enabled", "yes", "--cluster-port", &bus])
    };
    let nodes = [start(), start()];
    nodes[0].connect().run("CLUSTER ADDSLOTSRANGE 0 8191");
    nodes[1].connect().run("CLUSTER ADDSLOTSRANGE 8192 16383");
    nodes[1].connect().run("CLUSTER SET-CONFIG-EPOCH 2");
    let bus = setting(&nodes[1], "cluster-port");
    nodes[0].connect().run(&format!("CLUSTER MEET 127.0.0.1 {} {bus}", nodes[1].port));
    until("the cluster to be one", || {
        let is_one = |node: &Server| {
            let info = node.connect().command(&["CLUSTER", "INFO"]).text();
            info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:2")
        };
        nodes.iter().all(is_one).then_some(())
    });
    nodes
}

fn id(node: &Server) -> String {
    node.connect().command(&["CLUSTER", "MYID"]).text()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_gets_each_key_where_it_belongs() {
    let (world, source, nodes) = (World::new().await, Server::start(&[]), cluster());
    fill_with_everything(&source);
    let backup = backup_of(&world, &source).await;
    let planned = plan(&world, &to(&backup, &nodes[0].url())).await.unwrap();
    assert_eq!((planned.target.primaries, refusals(&planned)), (2, vec!["RESTORE_DATABASES"]));
    let mut request = to(&backup, &nodes[0].url());
    request.choice.databases = vec![0];
    let outcome = done(restored(&world, request).await);
    let held = u64::try_from(size(&nodes[0]) + size(&nodes[1])).unwrap();
    let keys = backup.parts[0].sealed.report.databases[&0];
    assert_eq!((outcome.restored, held, outcome.left_out), (keys, keys, 1));
    for node in &nodes {
        assert!(size(node) > 0);
        assert_eq!(node.connect().command(&["FCALL", "f", "0"]).number(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_that_move_in_the_middle_are_followed() {
    let (world, source, nodes) = (World::new().await, Server::start(&[]), cluster());
    fill_with_strings(&source, 20_000, 500);
    let backup = backup_of(&world, &source).await;
    let (_, asked) = world.engine.request_restore(&world.admin, to(&backup, &nodes[1].url())).await.unwrap();
    let mut first = nodes[0].connect();
    let worker = world.worker();
    eventually("keys to arrive", async || (size(&nodes[0]) > 100).then_some(())).await;
    // The first node takes nothing for now, so that slots can go that hold no key yet.
    first.command(&["CLIENT", "PAUSE", "20000", "WRITE"]);
    let new_owner = id(&nodes[1]);
    let mut second = nodes[1].connect();
    let mut moved = 0;
    for slot in 0..8000 {
        let slot = slot.to_string();
        if first.command(&["CLUSTER", "COUNTKEYSINSLOT", &slot]).number() > 0 {
            continue;
        }
        for client in [&mut second, &mut first] {
            let reply = client.command(&["CLUSTER", "SETSLOT", &slot, "NODE", &new_owner]);
            assert_eq!(reply, Reply::Status("OK".to_owned()));
        }
        moved += 1;
    }
    assert!(moved > 100, "the restore was faster than the test");
    first.command(&["CLIENT", "UNPAUSE"]);
    let job = ended(&world, &asked).await;
    worker.stop().await;
    let outcome = done((job.clone(), outcome(&job)));
    assert_eq!((outcome.restored, size(&nodes[0]) + size(&nodes[1])), (20_000, 20_000));
    assert!(outcome.warnings.iter().any(|text| text.contains("found again")), "{outcome:?}");
}
