//! RDB files for servers of other versions: what is written, and that nothing is written by half.

use std::path::{Path, PathBuf};

use crate::lab::{Redis, Server, run};

fn fixture(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rdb/tests/fixtures");
    folder.join(name).to_str().unwrap().to_owned()
}

fn names(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn file_of_a_newer_server_loads_in_an_older_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("older.rdb");
    let (path, source) = (file.to_str().unwrap(), fixture("srv-valkey-8.1.1-all.rdb"));
    let said = run(&["relabel", &source, "--to", "redis-7.0", "-o", path, "--json"]).json();
    let file_said = &said["files"][0];
    assert_eq!((&file_said["from"], &file_said["to"]), (&"REDIS0011".into(), &"REDIS0010".into()));
    assert_eq!((file_said["keys"].as_u64(), file_said["path"].as_str()), (Some(40), Some(path)));
    assert_eq!(file_said["types"]["set"], serde_json::json!({ "kept": 4, "converted": 1, "left_out": 0 }));
    assert_eq!(file_said["size_bytes"].as_u64().unwrap(), std::fs::metadata(&file).unwrap().len());
    assert_eq!(names(folder.path()), std::slice::from_ref(&file));
    let digest = Redis::load(&file).digest();
    let original = folder.path().join("original.rdb");
    std::fs::copy(fixture("srv-redis-7.0.15-all.rdb"), &original).unwrap();
    assert_eq!(digest, Redis::load(&original).digest());
}

#[test]
fn what_cannot_be_written_leaves_the_old_file_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dump.rdb");
    std::fs::write(&file, b"precious").unwrap();
    let relabel = |source: &str, options: &[&str]| {
        let words = [&["relabel", source, "-o", file.to_str().unwrap()], options].concat();
        run(&words)
    };
    let sound = fixture("srv-redis-8.2.3-all.rdb");
    for (source, options, exit, code) in [
        (fixture("trunc-half.rdb"), &["--to", "12", "--force"][..], 7, "RDB_TRUNCATED"),
        (fixture("flip-in-crc.rdb"), &["--to", "12", "--force"], 7, "RDB_CHECKSUM"),
        (sound.clone(), &["--to", "redis-6.2", "--force"], 1, "RELABEL_IMPOSSIBLE"),
        (sound.clone(), &["--to", "redis-7.2", "--force"], 1, "RELABEL_IMPOSSIBLE"),
        (sound.clone(), &["--to", "valkey-9.0"], 6, "FILE_EXISTS"),
        (sound.clone(), &["--to", "redis-9.9", "--force"], 2, "redis-8.4"),
        ("/no/such/file".to_owned(), &["--to", "9", "--force"], 5, "FILE_NOT_FOUND"),
    ] {
        let said = relabel(&source, options);
        assert_eq!(said.code, exit, "{source} {options:?}: {said:?}");
        assert!(said.err.contains(code), "{source} {options:?}: {said:?}");
        assert_eq!(std::fs::read(&file).unwrap(), b"precious");
        assert_eq!(names(folder.path()), std::slice::from_ref(&file));
    }
    let said = relabel(&sound, &["--to", "redis-7.2", "--force", "--json"]);
    assert!(said.err.contains("in key \\\"hfe:"), "the key is named: {said:?}");
    assert_eq!(relabel(&sound, &["--to", "valkey-9.0", "--force"]).code, 0);
    assert_eq!(run(&["verify", file.to_str().unwrap()]).code, 0);
}

#[test]
fn only_the_keys_that_were_asked_for_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hashes.rdb");
    let (path, source) = (file.to_str().unwrap(), fixture("srv-redis-7.0.15-all.rdb"));
    let said = run(&["relabel", &source, "--to", "11", "--type", "hash", "-o", path, "--json"]).json();
    assert_eq!(said["files"][0]["keys"], 3);
    let verified = run(&["verify", path, "--json"]).json();
    assert_eq!((&verified["keys"], &verified["magic"]), (&3.into(), &"REDIS0011".into()));
}

#[test]
fn backup_is_relabelled_through_its_link() {
    let redis = Redis::start(&[]);
    redis.ask("RPUSH l 1 2 3\r\nHSET h a 1");
    let server = Server::start();
    let backup = server.backup_of(&redis, "crs-1");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("older.rdb");
    let id = backup["id"].as_str().unwrap();
    let said = server.json(&["relabel", id, "--to", "redis-6.2", "-o", file.to_str().unwrap()]);
    assert_eq!(said["files"][0]["keys"], 2);
    assert_eq!(Redis::load(&file).digest(), redis.digest());
}
