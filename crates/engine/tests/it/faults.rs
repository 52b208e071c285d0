//! Transfers that break, and bytes that are wrong: nothing of them is ever listed as available.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use keystow_engine::model::{Backup, BackupState};
use keystow_engine::redis::Timeouts;

use crate::fake::{self, full_resync, small_snapshot, summed, with_length};
use crate::harmed::Harmed;
use crate::lab::{Server, fill_with_strings};
use crate::proxy::{self, Harm};
use crate::world::{World, attempt, code, failure_code, order};

/// What every failure must leave: a failed row that says why, and not one file.
#[track_caller]
fn assert_nothing_kept(world: &World, backup: &Backup, codes: &[&str]) {
    assert_eq!(backup.state, BackupState::Failed);
    assert!(codes.contains(&failure_code(backup)), "{:?}", backup.failure);
    assert!(backup.parts.is_empty());
    assert_eq!(world.files(), [""; 0]);
    assert!(!world.has_folder(backup), "the backup's folder is gone as well");
}

/// Bytes of the snapshot of three hundred strings of ten thousand bytes, roughly.
const SIZE: u64 = 3_000_000;

fn source(options: &[&str]) -> Server {
    let server = Server::start(options);
    fill_with_strings(&server, 300, 10_000);
    server
}

async fn take_through(server: &Server, harm: impl FnMut() -> Harm + Send + 'static) -> (World, Backup) {
    let world = World::new().await;
    world.add("crs-1", &proxy::start(server.port, harm)).await.unwrap();
    let backup = world.take("crs-1").await;
    (world, backup)
}

/// The number behind "at byte".
fn byte_named(backup: &Backup) -> u64 {
    let message = &backup.failure.as_ref().unwrap().message;
    let rest = message.split("at byte ").nth(1).unwrap_or_else(|| panic!("no byte in: {message}"));
    rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_cut_in_the_middle_leaves_nothing() {
    for mode in ["yes", "no"] {
        let server = source(&["--repl-diskless-sync", mode]);
        for percent in [0, 10, 50, 90] {
            let limit = SIZE * percent / 100;
            let (world, backup) = take_through(&server, move || Harm::CutAfter(limit)).await;
            assert_nothing_kept(&world, &backup, &["TRANSFER_TRUNCATED", "SOURCE_LOST"]);
            let named = byte_named(&backup);
            // Up to forty bytes are held back, for they may be the end mark.
            assert!(named <= limit && named + 40 >= limit, "{named} of {limit}");
            let message = backup.failure.unwrap().message;
            assert_eq!(
                message.contains(" %)"),
                mode == "no",
                "of how many is known from disk only: {message}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_right_before_the_end_leaves_nothing() {
    let server = source(&["--repl-diskless-sync", "no"]);
    let world = World::new().await;
    world.add("whole", &server.url()).await.unwrap();
    let size = world.take("whole").await.size_bytes();
    for missing in [1, 8, 9] {
        let (world, backup) = take_through(&server, move || Harm::CutAfter(size - missing)).await;
        assert_nothing_kept(&world, &backup, &["TRANSFER_TRUNCATED", "SOURCE_LOST"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_in_the_middle_leaves_nothing() {
    for percent in [10, 50, 90] {
        // A pause after every key keeps the transfer going until the kill.
        let server = source(&["--repl-diskless-sync", "yes", "--rdb-key-save-delay", "1000"]);
        let port = server.port;
        let server = Arc::new(Mutex::new(server));
        // The proxy serves to the end of the process; the server must not live that long.
        let victim = Arc::downgrade(&server);
        let world = World::new().await;
        let url = proxy::start(port, move || {
            let victim = victim.clone();
            let kill = move || victim.upgrade().unwrap().lock().unwrap().kill();
            Harm::At(SIZE * percent / 100, Box::new(kill))
        });
        world.add("crs-1", &url).await.unwrap();
        let backup = world.take("crs-1").await;
        assert_nothing_kept(&world, &backup, &["TRANSFER_TRUNCATED", "SOURCE_LOST"]);
        assert!(byte_named(&backup) > 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_while_it_prepares_leaves_nothing() {
    let server = source(&["--repl-diskless-sync", "no", "--rdb-key-save-delay", "100000"]);
    let timeouts = Timeouts { reply: Duration::from_secs(5), silence: Duration::from_secs(5) };
    let world = World::with(timeouts, |vault| vault).await;
    world.add("crs-1", &server.url()).await.unwrap();
    let asked = world.request("crs-1").await;
    let worker = world.worker();
    crate::lab::until("the server to save for us", || {
        server
            .connect()
            .command(&["INFO", "persistence"])
            .text()
            .contains("rdb_bgsave_in_progress:1")
            .then_some(())
    });
    drop(server);
    let backup = world.ended(&asked).await;
    worker.stop().await;
    // The child that saves has inherited our connection: if it outlives its parent, there is silence, not an end.
    assert_nothing_kept(&world, &backup, &["SOURCE_CLOSED", "SOURCE_LOST", "SOURCE_SILENT"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_that_stalls_is_given_up() {
    let server = source(&[]);
    let timeouts = Timeouts { reply: Duration::from_secs(5), silence: Duration::from_secs(3) };
    let world = World::with(timeouts, |vault| vault).await;
    world.add("crs-1", &proxy::start(server.port, || Harm::StallAfter(SIZE / 2))).await.unwrap();
    let backup = world.take("crs-1").await;
    assert_nothing_kept(&world, &backup, &["SOURCE_SILENT"]);
    assert!(byte_named(&backup) > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_flipped_bit_is_found_wherever_it_is() {
    for mode in ["yes", "no"] {
        let server = source(&["--repl-diskless-sync", mode]);
        for place in [4, 100, 1000, SIZE / 2, SIZE - 1000] {
            let (world, backup) = take_through(&server, move || Harm::Flip(place)).await;
            assert_nothing_kept(&world, &backup, &["SNAPSHOT_CORRUPT"]);
        }
    }
}

async fn take_from_fake(pieces: Vec<Vec<u8>>) -> (World, Backup) {
    let world = World::new().await;
    world.add("crs-1", &fake::primary(pieces)).await.unwrap();
    let backup = world.take("crs-1").await;
    (world, backup)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fake_primary_is_good_enough_for_a_good_backup() {
    let (world, backup) = take_from_fake(with_length(&small_snapshot())).await;
    assert_eq!(backup.state, BackupState::Available, "{:?}", backup.failure);
    assert_eq!(world.bytes(&backup).await, small_snapshot());
}

/// Whole and with a right checksum, but nothing that this version can vouch for.
fn doubtful() -> [(Vec<u8>, &'static str); 3] {
    [
        (summed(b"REDIS0099\xfe\x00\xf7whatever it is\xff".to_vec()), "99"),
        (summed(b"VALKEY999\xfe\x00\xf7whatever it is\xff".to_vec()), "999"),
        (summed(b"REDIS0010\xfe\x00\x3c\x03key\x05value\xff".to_vec()), "type 60"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_vouched_for_is_kept_in_quarantine() {
    for (payload, named) in doubtful() {
        let (world, backup) = take_from_fake(with_length(&payload)).await;
        assert_eq!((backup.state, failure_code(&backup)), (BackupState::Quarantined, "QUARANTINED"));
        let failure = backup.failure.as_ref().unwrap();
        assert!(failure.message.contains(named), "{}", failure.message);
        assert!(failure.hint.as_ref().unwrap().contains("kept"));
        assert_eq!(world.bytes(&backup).await, payload, "not one byte is lost");
        let manifest = world.engine.read_manifest(&attempt(&backup, 1)).await.unwrap().unwrap();
        assert_eq!(manifest.state, BackupState::Quarantined);
        assert!(manifest.parts[0].sealed.report.doubt.is_some());

        let refused = world.share(&world.admin, &backup, &order()).await.unwrap_err();
        assert_eq!(refused.code, "BACKUP_NOT_AVAILABLE");
        assert!(refused.to_string().contains("vouched"), "{refused}");
        let knowing = keystow_engine::ops::LinkOrder { unverified: true, ..order() };
        let link = world.link(&backup, &knowing).await;
        assert_eq!(world.open(&link).await.unwrap().part.size_bytes, payload.len() as u64);
        assert_eq!(world.engine.available_bytes(&world.admin, &backup.instance).await.unwrap(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unknown_and_has_a_wrong_checksum_is_not_kept() {
    for (mut payload, _) in doubtful() {
        let end = payload.len() - 1;
        payload[end] ^= 1;
        let (world, backup) = take_from_fake(with_length(&payload)).await;
        assert_nothing_kept(&world, &backup, &["SNAPSHOT_CORRUPT"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_is_none_is_not_kept() {
    for payload in [&b""[..], b"REDIS", b"<html>no</html>", &[0; 100]] {
        let (world, backup) = take_from_fake(with_length(payload)).await;
        assert_nothing_kept(&world, &backup, &["SNAPSHOT_CORRUPT"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_behind_the_end_of_the_snapshot_are_a_mismatch() {
    let payload = [&small_snapshot()[..], b"garbage behind the end"].concat();
    let (world, backup) = take_from_fake(with_length(&payload)).await;
    assert_nothing_kept(&world, &backup, &["TRANSFER_MISMATCH"]);
    let much = [&small_snapshot()[..], &vec![7; 9_000_000]].concat();
    let (world, backup) = take_from_fake(with_length(&much)).await;
    assert_nothing_kept(&world, &backup, &["TRANSFER_MISMATCH"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_shorter_than_the_snapshot_is_not_kept() {
    let whole = small_snapshot();
    let (world, backup) = take_from_fake(with_length(&whole[..whole.len() - 3])).await;
    assert_nothing_kept(&world, &backup, &["SNAPSHOT_CORRUPT"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn keepalives_and_a_cut_end_mark_are_no_harm() {
    let mark = "m".repeat(40);
    let (half, rest) = mark.split_at(13);
    let pieces = vec![
        b"\n\n".to_vec(),
        [b"\n", &full_resync()[..]].concat(),
        b"\n\n".to_vec(),
        format!("\n$EOF:{mark}\r\n").into_bytes(),
        [&small_snapshot()[..], half.as_bytes()].concat(),
        rest.as_bytes().to_vec(),
    ];
    let (world, backup) = take_from_fake(pieces).await;
    assert_eq!(backup.state, BackupState::Available, "{:?}", backup.failure);
    assert_eq!(world.bytes(&backup).await, small_snapshot());
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_behind_the_end_mark_are_no_proper_end() {
    let mark = "m".repeat(40);
    let payload = [&small_snapshot()[..], mark.as_bytes(), b"garbage"].concat();
    let pieces = vec![full_resync(), format!("$EOF:{mark}\r\n").into_bytes(), payload];
    let (world, backup) = take_from_fake(pieces).await;
    // Unless the mark came in a read of its own; then the end was proper and the garbage was never read.
    if backup.state == BackupState::Failed {
        assert_nothing_kept(&world, &backup, &["TRANSFER_TRUNCATED", "SOURCE_LOST"]);
    } else {
        assert_eq!(world.bytes(&backup).await, small_snapshot());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_fails_the_backup_and_space_heals_it() {
    let server = source(&[]);
    for (room, at_seal) in [(0, false), (SIZE / 2, false), (0, true)] {
        let left = Arc::new(Mutex::new(room));
        let timeouts = Timeouts::default();
        let world = World::with(timeouts, |inner| Arc::new(Harmed::full(inner, left.clone(), at_seal))).await;
        world.add("crs-1", &server.url()).await.unwrap();
        let backup = world.take("crs-1").await;
        assert_nothing_kept(&world, &backup, &["DISK_FULL"]);
        assert!(backup.failure.unwrap().hint.unwrap().contains("free space"));
        *left.lock().unwrap() = u64::MAX;
        assert_eq!(world.take("crs-1").await.state, BackupState::Available);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_for_the_manifest_leaves_no_part_either() {
    let payload = small_snapshot();
    // Room for the part, not for its manifest.
    let left = Arc::new(Mutex::new(payload.len() as u64 + 10));
    let world = World::with(Timeouts::default(), |inner| Arc::new(Harmed::full(inner, left, false))).await;
    world.add("crs-1", &fake::primary(with_length(&payload))).await.unwrap();
    let backup = world.take("crs-1").await;
    assert_nothing_kept(&world, &backup, &["DISK_FULL"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_backup_has_no_links() {
    let (world, backup) = take_from_fake(with_length(b"no")).await;
    assert_eq!(code(world.share(&world.admin, &backup, &order()).await), "BACKUP_NOT_AVAILABLE");
}
