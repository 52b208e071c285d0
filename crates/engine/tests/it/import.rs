//! RDB files that were made elsewhere.

use std::time::Duration;

use bytes::Bytes;
use keystow_engine::model::{BackupRef, BackupState};
use keystow_engine::ops::{ImportFile, ImportOrder, Imported};
use keystow_engine::{Error, Result};

use crate::lab::{Server, fill_with_everything};
use crate::world::{World, code, order, sha256};

/// A world with an instance, and the bytes of a snapshot of it.
async fn world_with_file() -> (Server, World, Vec<u8>) {
    let server = Server::start(&[]);
    fill_with_everything(&server);
    let world = World::new().await;
    world.add("crs-1", &server.url()).await.unwrap();
    let backup = world.take("crs-1").await;
    let bytes = world.bytes(&backup).await;
    world.engine.delete_backup(&world.admin, BackupRef::Id(backup.id)).await.unwrap();
    world.work_off().await;
    (server, world, bytes)
}

fn file(name: &str, bytes: &[u8]) -> ImportFile {
    ImportFile { name: name.to_owned(), size_bytes: bytes.len() as u64, sha256: Some(sha256(bytes)) }
}

/// Imports files, of whose bytes only the first `sent` come.
async fn import(world: &World, files: Vec<ImportFile>, bytes: &[u8], sent: usize) -> Result<Imported> {
    let order = ImportOrder {
        instance: "crs-1".parse().unwrap(),
        files,
        taken_at: world.clock.now() - Duration::from_hours(24),
        remark: Some("from elsewhere".to_owned()),
    };
    let (sender, pieces) = tokio::sync::mpsc::channel(2);
    let bytes = Bytes::copy_from_slice(&bytes[..sent]);
    let sending = async move {
        for piece in bytes.chunks(1000) {
            if sender.send(Bytes::copy_from_slice(piece)).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(world.engine.import_backup(&world.admin, order, pieces), sending).0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_becomes_a_backup_of_its_own_time_once() {
    let (_server, world, bytes) = world_with_file().await;
    let imported = import(&world, vec![file("dump.rdb", &bytes)], &bytes, bytes.len()).await.unwrap();
    let row = world.row(&imported.backup).await;
    assert!(imported.is_new);
    assert_eq!(row.state, BackupState::Available);
    assert_eq!(row.created_at, world.clock.now() - Duration::from_hours(24));
    assert_eq!(row.origin.as_ref().unwrap().imported, ["dump.rdb"]);
    assert!(row.parts[0].sealed.report.keys > 0);
    assert_eq!(world.bytes(&row).await, bytes);
    world.open(&world.link(&row, &order()).await).await.unwrap();

    let again = import(&world, vec![file("copy.rdb", &bytes)], &bytes, bytes.len()).await.unwrap();
    assert_eq!((again.is_new, again.backup.id), (false, row.id));
    world.engine.delete_backup(&world.admin, BackupRef::Id(row.id)).await.unwrap();
    world.work_off().await;
    assert!(!world.has_folder(&row), "no job took it, and it goes all the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_announced_is_known_when_it_has_come() {
    let (_server, world, bytes) = world_with_file().await;
    let unannounced = |name: &str| ImportFile { sha256: None, ..file(name, &bytes) };
    let first = import(&world, vec![unannounced("s3://b/1.rdb")], &bytes, bytes.len()).await.unwrap();
    assert!(first.is_new);
    let kept = world.files();
    for again in [unannounced("s3://b/2.rdb"), file("2.rdb", &bytes)] {
        let again = import(&world, vec![again], &bytes, bytes.len()).await.unwrap();
        assert_eq!((again.is_new, again.backup.id), (false, first.backup.id));
    }
    assert_eq!(world.files(), kept, "nothing is kept twice");
    let cut = import(&world, vec![unannounced("cut.rdb")], &bytes, bytes.len() - 1).await;
    assert_eq!(code(cut), "IMPORT_CUT");
    assert_eq!(world.files(), kept);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_backup_does_not_stand_for_the_same_bytes() {
    let (_server, world, bytes) = world_with_file().await;
    let first = import(&world, vec![file("dump.rdb", &bytes)], &bytes, bytes.len()).await.unwrap();
    let part = world.files().into_iter().find(|file| file.ends_with("/0.rdb")).unwrap();
    std::fs::write(world.repository().join(part), &bytes[1..]).unwrap();
    world.engine.request_scrub(&world.admin, BackupRef::Id(first.backup.id)).await.unwrap();
    world.work_off().await;
    assert_eq!(world.row(&first.backup).await.state, BackupState::Damaged);
    let again = import(&world, vec![file("dump.rdb", &bytes)], &bytes, bytes.len()).await.unwrap();
    assert!(again.is_new);
    assert_eq!(world.bytes(&again.backup).await, bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn shards_become_one_set() {
    let (_server, world, bytes) = world_with_file().await;
    let (_other, _, second) = world_with_file().await;
    let files = vec![file("0.rdb", &bytes), file("1.rdb", &second)];
    let both = [bytes.clone(), second].concat();
    let imported = import(&world, files, &both, both.len()).await.unwrap();
    let shards: Vec<_> = imported.backup.parts.iter().map(|part| part.sealed.shard).collect();
    assert_eq!((imported.backup.state, shards), (BackupState::Available, vec![0, 1]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_arrive_whole_or_is_not_sound_leaves_nothing() {
    let (_server, world, bytes) = world_with_file().await;
    let kept = world.files();
    let end = bytes.len();
    let mut damaged = bytes.clone();
    damaged[end / 2] ^= 1;
    let refused: [(ImportFile, &[u8], usize, &str); 5] = [
        (file("cut.rdb", &bytes), &bytes, end - 1, "IMPORT_CUT"),
        (file("other.rdb", b"something else"), &bytes, end, "SNAPSHOT_CORRUPT"),
        (
            ImportFile { sha256: Some("00".repeat(32)), ..file("changed.rdb", &bytes) },
            &bytes,
            end,
            "IMPORT_MISMATCH",
        ),
        (file("damaged.rdb", &damaged), &damaged, end, "SNAPSHOT_CORRUPT"),
        (file("empty.rdb", b""), b"", 0, "SNAPSHOT_CORRUPT"),
    ];
    for (file, bytes, sent, expected) in refused {
        let name = file.name.clone();
        let refused: Result<Imported, Error> = import(&world, vec![file], bytes, sent).await;
        assert_eq!(code(refused), expected, "{name}");
    }
    assert_eq!(world.files(), kept);
    assert_eq!(code(import(&world, Vec::new(), b"", 0).await), "INVALID_VALUE");
}
