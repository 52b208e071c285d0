//! Loading a backup into a throw-away server.

use std::os::unix::fs::PermissionsExt;

use keystow_engine::model::{Backup, BackupRef, EventKind, InstanceId, Job, JobState, Outcome, Role};
use keystow_engine::vault::{BackupKey, ObjectKey};

use crate::lab::{Server, fill_with_everything};
use crate::world::{World, code, eventually};

async fn drilled(world: &World, backup: &Backup, server: Option<&str>) -> Job {
    let which = BackupRef::Id(backup.id);
    let asked = world.engine.request_drill(&world.admin, which, server.map(str::to_owned)).await.unwrap();
    let worker = world.worker();
    let ended = eventually("the drill to end", async || {
        let job = world.engine.job(&world.admin, asked.number).await.unwrap();
        Some(job).filter(|job| job.ended_at.is_some())
    })
    .await;
    worker.stop().await;
    ended
}

fn event_path(world: &World, backup: &Backup, job: &Job) -> std::path::PathBuf {
    let key =
        BackupKey { account: backup.account.clone(), instance: backup.instance.clone(), backup: backup.id };
    let key = ObjectKey::Event(key, job.number);
    world.repository().join(key.folder()).join(key.name())
}

fn left_in_work_area(world: &World) -> usize {
    std::fs::read_dir(world.path("drills")).map_or(0, Iterator::count)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_backup_loads_and_the_drill_is_kept_with_it() {
    let source = Server::start(&[]);
    fill_with_everything(&source);
    // A key that has expired by the time of the drill is in the file all the same.
    // It ends while the backup is kept, not before it is taken.
    source.connect().run("DEBUG SET-ACTIVE-EXPIRE 0");
    source.connect().command(&["SET", "short", "x", "PX", "400"]);
    let before = source.digest();
    let world = World::new().await;
    world.add("crs-1", &source.url()).await.unwrap();
    let backup = world.take("crs-1").await;
    std::thread::sleep(std::time::Duration::from_millis(450));
    let job = drilled(&world, &backup, None).await;
    assert_eq!((job.state, job.failure.clone()), (JobState::Done, None));
    let row = world.row(&backup).await;
    let found = row.last_drill.clone().unwrap();
    assert_eq!(job.outcome, Some(Outcome::Drill(found.clone())));
    assert!(found.ok && found.failure.is_none());
    assert!(found.server.starts_with("redis 7."), "{}", found.server);
    assert_eq!(found.parts.len(), 1);
    assert_eq!(found.parts[0].databases, row.parts[0].sealed.report.databases);
    assert_eq!(found.parts[0].digest.as_deref(), Some(before.as_str()));

    let event = world.engine.read_event(&row, job.number).await.unwrap().unwrap();
    assert_eq!((event.backup, event.job), (backup.id, job.number));
    assert_eq!(event.what, EventKind::Drill(found));
    assert_eq!(left_in_work_area(&world), 0);

    let path = event_path(&world, &row, &job);
    let good = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, good.replace("\"ok\":true", "\"ok\":false")).unwrap();
    assert_eq!(code(world.engine.read_event(&row, job.number).await), "EVENT_DAMAGED");

    // The sweeper takes the folder for no attempt; the removal of the backup takes it along.
    world.engine.sweep(true).await.unwrap();
    assert!(path.exists());
    world.engine.delete_backup(&world.admin, BackupRef::Id(backup.id)).await.unwrap();
    world.work_off().await;
    assert!(!world.has_folder(&backup));
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_bytes_in_the_repository_fail_the_drill_loudly() {
    let source = Server::start(&[]);
    fill_with_everything(&source);
    let world = World::new().await;
    world.add("crs-1", &source.url()).await.unwrap();
    let backup = world.take("crs-1").await;
    let part = world.files().into_iter().find(|file| file.ends_with("/0.rdb")).unwrap();
    let path = world.repository().join(part);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let job = drilled(&world, &backup, None).await;
    assert_eq!((job.state, job.failure.unwrap().code.as_str()), (JobState::Failed, "OBJECT_DAMAGED"));
    let found = world.row(&backup).await.last_drill.unwrap();
    assert_eq!((found.ok, found.failure.unwrap().code.as_str()), (false, "OBJECT_DAMAGED"));
    assert_eq!(left_in_work_area(&world), 0);
}

/// A program that says that it is a server of that version, and does something else.
fn pretender(world: &World, name: &str, does: &str) {
    let folder = world.path("servers");
    std::fs::create_dir_all(&folder).unwrap();
    let text = format!(
        "#!/bin/sh\n[ \"$1\" = --version ] && {{ echo 'Redis server v=7.0.999 sha=0'; exit; }}\n{does}\n"
    );
    std::fs::write(folder.join(name), text).unwrap();
    std::fs::set_permissions(folder.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_load_all_of_it_fails_the_drill() {
    let source = Server::start(&[]);
    source.connect().command(&["SET", "a", "b"]);
    let world = World::new().await;
    world.add("crs-1", &source.url()).await.unwrap();
    let backup = world.take("crs-1").await;
    let ends = "printf '1:M 22 Nov 2026 07:00:00.001 # Cannot load\\033[1m this\\n' > server.log; exit 3";
    pretender(&world, "redis-server-ends", ends);
    // Starts without the snapshot.
    pretender(&world, "redis-server-empty", "rm dump.rdb; exec redis-server \"$@\"");
    pretender(&world, "redis-server-mute", "echo 'cannot read my settings' >&2; exit 1");
    for (name, code, says) in [
        ("redis-server-ends", "DRILL_FAILED", "its log ends: Cannot load[1m this"),
        ("redis-server-mute", "DRILL_FAILED", "its log ends: cannot read my settings"),
        ("redis-server-empty", "DRILL_MISMATCH", "database 0 has 0 keys, not 1"),
    ] {
        let job = drilled(&world, &backup, Some(name)).await;
        let failure = job.failure.unwrap();
        assert_eq!((job.state, failure.code.as_str()), (JobState::Failed, code), "{name}");
        let Some(Outcome::Drill(found)) = job.outcome else { panic!("{name} has no outcome") };
        assert_eq!((found.ok, found.failure), (false, Some(failure.clone())));
        assert!(failure.message.contains(says), "{}", failure.message);
    }
    assert_eq!(left_in_work_area(&world), 0);
    let job = drilled(&world, &backup, Some("redis-server")).await;
    assert_eq!(job.state, JobState::Done, "{:?}", job.failure);
    assert!(world.row(&backup).await.last_drill.unwrap().ok, "the last one counts");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_ends_the_server_says_nothing_of_the_backup() {
    let source = Server::start(&[]);
    source.connect().command(&["SET", "a", "b"]);
    let world = World::new().await;
    world.add("crs-1", &source.url()).await.unwrap();
    let backup = world.take("crs-1").await;
    // As the kernel does when memory runs out.
    pretender(&world, "redis-server-killed", "kill -KILL $$");
    let job = drilled(&world, &backup, Some("redis-server-killed")).await;
    assert_eq!((job.state, job.failure.unwrap().code.as_str()), (JobState::Failed, "DRILL_INTERRUPTED"));
    assert!(job.outcome.is_none() && world.row(&backup).await.last_drill.is_none(), "it found nothing");
    assert_eq!(left_in_work_area(&world), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_that_is_stopped_leaves_no_server_behind() {
    let source = Server::start(&[]);
    source.connect().command(&["SET", "a", "b"]);
    let world = World::new().await;
    world.add("crs-1", &source.url()).await.unwrap();
    let backup = world.take("crs-1").await;
    pretender(&world, "redis-server-slow", "sleep 600 & echo $! > ../../sleeper; wait");
    let which = BackupRef::Id(backup.id);
    let named = Some("redis-server-slow".to_owned());
    let asked = world.engine.request_drill(&world.admin, which, named).await.unwrap();
    let worker = world.worker();
    let sleeper = eventually("the server to start", async || {
        std::fs::read_to_string(world.path("sleeper")).ok().filter(|text| text.ends_with('\n'))
    })
    .await;
    world.engine.cancel_job(&world.admin, asked.number).await.unwrap();
    let ended = eventually("the drill to end", async || {
        let job = world.engine.job(&world.admin, asked.number).await.unwrap();
        Some(job).filter(|job| job.ended_at.is_some())
    })
    .await;
    worker.stop().await;
    assert_eq!(ended.state, JobState::Cancelled);
    assert!(world.row(&backup).await.last_drill.is_none(), "it found nothing");
    // It may be there as a process that nobody has waited for, but it does not run.
    eventually("what the server started to end", async || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", sleeper.trim())).ok();
        stat.is_none_or(|stat| stat.contains(") Z")).then_some(())
    })
    .await;
    assert_eq!(left_in_work_area(&world), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_that_cannot_be_done_is_refused_at_once() {
    let source = Server::start(&[]);
    let world = World::new().await;
    world.add("crs-1", &source.url()).await.unwrap();
    let backup = world.take("crs-1").await;
    let which = BackupRef::Id(backup.id);
    for name in ["/usr/bin/redis-server", "../redis-server", "nothing", ""] {
        let refused = world.engine.request_drill(&world.admin, which, Some(name.to_owned())).await;
        assert_eq!(code(refused), "DRILL_NO_SERVER", "{name}");
    }
    let viewer = world.key(Role::Downloader, None).await;
    assert_eq!(code(world.engine.request_drill(&viewer, which, None).await), "ROLE_DENIED");
    let id: InstanceId = "crs-1".parse().unwrap();
    let waiting = world.request(id.as_str()).await;
    let refused = world.engine.request_drill(&world.admin, BackupRef::Id(waiting.id), None).await;
    assert_eq!(code(refused), "BACKUP_NOT_AVAILABLE");
}
