//! A backup of a real server, from the request to the stored and proven bytes.

use std::time::Duration;

use keystow_engine::model::{BackupState, InstanceId, Role};
use keystow_engine::ops::BackupOrder;
use keystow_engine::vault::{ObjectKey, Vault};

use crate::lab::{Server, fill_with_everything, fill_with_strings};
use crate::world::{World, attempt, code, failure_code, sha256};

/// Takes a backup of everything and loads it into a second server.
async fn a_backup_restores_to_the_same_data(options: &[&str]) {
    let source = Server::start(options);
    fill_with_everything(&source);
    let world = World::new().await;
    world.add("crs-1", &source.url()).await.unwrap();

    let backup = world.take("crs-1").await;
    assert_eq!(backup.state, BackupState::Available, "{:?}", backup.failure);
    assert_eq!((backup.attempt, backup.parts.len()), (1, 1));
    let part = &backup.parts[0].sealed;
    let report = &part.report;
    assert_eq!(report.databases.iter().map(|(db, keys)| (*db, *keys)).collect::<Vec<_>>(), [(0, 18), (9, 1)]);
    assert_eq!((report.keys, report.functions, report.checksum.as_str()), (19, 1, "ok"));
    let keys = |kind: &str| -> u64 {
        report.kinds.iter().filter(|(name, _)| name.contains(kind)).map(|(_, count)| count.keys).sum()
    };
    assert_eq!((keys("stream"), keys("hash"), keys("list")), (1, 2, 2));
    assert_eq!(report.replication_id.as_ref().unwrap().len(), 40);
    assert_eq!(backup.server.as_ref().unwrap().role, "master");

    let bytes = world.bytes(&backup).await;
    assert_eq!((sha256(&bytes), bytes.len() as u64), (part.sha256.clone(), part.size_bytes));
    assert_eq!((&part.stored_sha256, part.stored_bytes), (&part.sha256, part.size_bytes));
    assert_eq!(world.files().len(), 2, "{:?}", world.files());

    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("dump.rdb"), &bytes).unwrap();
    let restored = Server::start_on(folder, &[]);
    crate::lab::until("the backup to load", || {
        restored.connect().command(&["PING"]).is_status("PONG").then_some(())
    });
    assert_eq!(restored.digest(), source.digest());
    assert_ne!(restored.digest(), "0".repeat(40));
    assert_eq!(restored.connect().command(&["FCALL", "f", "0"]).number(), 1, "functions are restored");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_diskless_transfer_restores_to_the_same_data() {
    a_backup_restores_to_the_same_data(&["--repl-diskless-sync", "yes"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_from_disk_restores_to_the_same_data() {
    a_backup_restores_to_the_same_data(&["--repl-diskless-sync", "no"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_without_checksums_is_backed_up() {
    let source = Server::start(&["--rdbchecksum", "no"]);
    fill_with_everything(&source);
    let world = World::new().await;
    world.add("crs-1", &source.url()).await.unwrap();
    let backup = world.take("crs-1").await;
    assert_eq!(backup.state, BackupState::Available, "{:?}", backup.failure);
    assert_eq!(backup.parts[0].sealed.report.checksum, "absent");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_source_is_backed_up() {
    let source = Server::start(&[]);
    let world = World::new().await;
    world.add("crs-1", &source.url()).await.unwrap();
    let backup = world.take("crs-1").await;
    assert_eq!((backup.state, backup.parts[0].sealed.report.keys), (BackupState::Available, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_larger_than_all_buffers_is_whole() {
    let source = Server::start(&[]);
    fill_with_strings(&source, 300, 100_000);
    let world = World::new().await;
    world.add("crs-1", &source.url()).await.unwrap();
    let backup = world.take("crs-1").await;
    assert_eq!(backup.state, BackupState::Available, "{:?}", backup.failure);
    let part = &backup.parts[0].sealed;
    assert!(part.size_bytes > 30_000_000);
    assert_eq!(sha256(&world.bytes(&backup).await), part.sha256);
    assert_eq!(
        world.engine.available_bytes(&world.admin, &"crs-1".parse().unwrap()).await.unwrap(),
        part.size_bytes
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_over_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("redis.sock");
    let source = Server::start(&["--unixsocket", path.to_str().unwrap()]);
    fill_with_everything(&source);
    let world = World::new().await;
    world.add("crs-1", &format!("unix://{}", path.display())).await.unwrap();
    assert_eq!(world.take("crs-1").await.state, BackupState::Available);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_replica_and_its_primary_agree() {
    let primary = Server::start(&[]);
    fill_with_everything(&primary);
    let replica = Server::start(&["--replicaof", &format!("127.0.0.1 {}", primary.port)]);
    crate::lab::until("the replica to follow", || {
        replica
            .connect()
            .command(&["INFO", "replication"])
            .text()
            .contains("master_link_status:up")
            .then_some(())
    });
    let world = World::new().await;
    world.add("of-replica", &replica.url()).await.unwrap();
    world.add("of-primary", &primary.url()).await.unwrap();
    let (first, second) = (world.take("of-replica").await, world.take("of-primary").await);
    assert_eq!((first.state, second.state), (BackupState::Available, BackupState::Available));
    let keys = |backup: &keystow_engine::model::Backup| backup.parts[0].sealed.report.keys;
    assert_eq!(keys(&first), keys(&second));
    assert_eq!(first.server.unwrap().role, "slave");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_leaves_no_replica_behind() {
    let source = Server::start(&[]);
    fill_with_everything(&source);
    let world = World::new().await;
    world.add("crs-1", &source.url()).await.unwrap();
    assert_eq!(world.take("crs-1").await.state, BackupState::Available);
    crate::lab::until("the server to forget us", || {
        source.connect().command(&["INFO", "replication"]).text().contains("connected_slaves:0").then_some(())
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn the_manifest_says_what_the_row_says_and_refuses_a_changed_byte() {
    let source = Server::start(&[]);
    fill_with_everything(&source);
    let world = World::new().await;
    world.add("crs-1", &source.url()).await.unwrap();
    let backup = world.take("crs-1").await;

    let key = attempt(&backup, 1);
    let manifest = world.engine.read_manifest(&key).await.unwrap().unwrap();
    assert_eq!((manifest.backup, manifest.number, manifest.attempt), (backup.id, backup.number, 1));
    assert_eq!(manifest.parts.len(), 1);
    assert_eq!(
        (manifest.parts[0].number, manifest.parts[0].object.as_str()),
        (backup.parts[0].number, "0.rdb")
    );
    assert_eq!(manifest.parts[0].sealed.sha256, backup.parts[0].sealed.sha256);
    assert_eq!(manifest.parts[0].sealed.report, backup.parts[0].sealed.report);
    assert!(world.engine.read_manifest(&attempt(&backup, 2)).await.unwrap().is_none());

    let path = world.repository().join(key.folder()).join("manifest.json");
    let good = world.vault.get(&ObjectKey::Manifest(key.clone()), u64::MAX).await.unwrap().unwrap();
    for place in (0..good.len()).step_by(7) {
        let mut changed = good.clone();
        changed[place] ^= 1;
        std::fs::write(&path, &changed).unwrap();
        let read = world.engine.read_manifest(&key).await;
        assert_eq!(code(read), "MANIFEST_DAMAGED", "byte {place}");
    }
    for length in [0, 1, good.len() / 2, good.len() - 1] {
        std::fs::write(&path, &good[..length]).unwrap();
        assert_eq!(code(world.engine.read_manifest(&key).await), "MANIFEST_DAMAGED");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_request_waits_for_the_first_to_end() {
    let source = Server::start(&[]);
    let world = World::new().await;
    world.add("crs-1", &source.url()).await.unwrap();
    let first = world.request("crs-1").await;
    let second = world.engine.request_backup(&world.admin, BackupOrder::of(first.instance.clone())).await;
    assert_eq!(code(second), "BACKUP_RUNNING");
    world.work_off().await;
    assert_eq!(world.row(&first).await.state, BackupState::Available);
    assert_eq!(world.take("crs-1").await.state, BackupState::Available);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_share_the_work() {
    let source = Server::start(&[]);
    let world = World::new().await;
    let mut asked = Vec::new();
    for number in 0..8 {
        let id = format!("crs-{number}");
        world.add(&id, &source.url()).await.unwrap();
        asked.push(world.request(&id).await);
    }
    let (one, other) = (world.worker(), crate::world::Worker::start(world.another_node()));
    for backup in &asked {
        let ended = world.ended(backup).await;
        assert_eq!((ended.state, ended.attempt), (BackupState::Available, 1), "{:?}", ended.failure);
    }
    one.stop().await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remark_and_a_keep_time_are_kept() {
    let source = Server::start(&[]);
    let world = World::new().await;
    world.add("crs-1", &source.url()).await.unwrap();
    let operator = world.key(Role::Operator, None).await;
    let instance_id: InstanceId = "crs-1".parse().unwrap();
    let order = |remark, keep_days| BackupOrder { remark, keep_days, ..BackupOrder::of(instance_id.clone()) };
    let remark = Some("before the move".to_owned());
    let asked = world.engine.request_backup(&operator, order(remark.clone(), Some(7))).await.unwrap();
    world.work_off().await;
    let row = world.row(&asked).await;
    assert_eq!(row.remark, remark);
    assert_eq!(row.expires_at, Some(row.created_at + Duration::from_hours(7 * 24)));
    let manifest = world.engine.read_manifest(&attempt(&row, 1)).await.unwrap().unwrap();
    assert_eq!((manifest.remark, manifest.expires_at), (row.remark, row.expires_at));
    let long = Some("x".repeat(1025));
    assert_eq!(code(world.engine.request_backup(&operator, order(long, None)).await), "INVALID_VALUE");
    assert_eq!(
        code(world.engine.request_backup(&operator, order(None, Some(99_999))).await),
        "INVALID_VALUE"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_workers_keep_dying_is_given_up() {
    let source = Server::start(&[]);
    let world = World::new().await;
    world.add("crs-1", &source.url()).await.unwrap();
    let asked = world.request("crs-1").await;
    for _ in 0..3 {
        use keystow_engine::catalog::Catalog;
        // Claimed, and never heard of again.
        let hold = Duration::from_secs(30);
        world.catalog.claim_job("dying", world.clock.now(), hold).await.unwrap().unwrap();
        world.clock.advance(hold + Duration::from_secs(1));
    }
    world.work_off().await;
    let row = world.row(&asked).await;
    assert_eq!((row.state, failure_code(&row)), (BackupState::Failed, "WORKER_DIED"));
}
