//! Getting a backup back, and knowing beforehand that it can be done: the commands, as a person or a script uses them.

use std::path::Path;

use serde_json::Value;

use crate::lab::{Redis, Server, run};

fn filled() -> Redis {
    let redis = Redis::start(&[]);
    redis.ask("DEBUG POPULATE 500 user 50");
    redis.ask(
        "HSET h a 1 b 2\r\nRPUSH l 1 2 3\r\nZADD z 1 a 2 b\r\nSADD s x y\r\nXADD x * f v\r\nSET e v EX 10000",
    );
    redis
}

fn keys(redis: &Redis) -> String {
    redis.ask("DBSIZE").unwrap().trim().trim_start_matches(':').to_owned()
}

#[test]
fn a_backup_is_put_into_another_server_after_a_plan() {
    let (source, target) = (filled(), Redis::start(&[]));
    let server = Server::start();
    let id = server.backup_of(&source, "crs-1")["id"].as_str().unwrap().to_owned();
    let to = target.url();

    let planned = server.json(&["restore", &id, "--to", &to, "--dry-run"]);
    assert_eq!(planned["job"], Value::Null);
    assert_eq!(
        (planned["plan"]["keys"].as_u64(), planned["plan"]["target"]["keys"].as_u64()),
        (Some(506), Some(0))
    );
    assert_eq!(keys(&target), "0", "a plan changes nothing");

    let done = server.json(&["restore", &id, "--to", &to]);
    assert_eq!(done["job"]["state"], "done");
    let outcome = &done["job"]["outcome"]["restore"];
    assert_eq!((outcome["restored"].as_u64(), outcome["keys_after"].as_u64()), (Some(506), Some(506)));
    assert_eq!(target.digest(), source.digest());

    // Now it holds something.
    let said = server.cli(&["restore", &id, "--to", &to]);
    assert_eq!(said.code, 6, "{said:?}");
    assert!(said.err.contains("RESTORE_"), "{said:?}");
    let said = server.cli(&["restore", &id, "--to", &to, "--wipe"]);
    assert_eq!(said.code, 2, "nobody can be asked: {said:?}");
    target.ask("SET other x");
    assert_eq!(server.cli(&["restore", &id, "--to", &to, "--wipe", "--yes"]).code, 0);
    assert_eq!(target.digest(), source.digest(), "what was there before is gone");
}

#[test]
fn some_keys_go_under_other_names_and_without_expiry() {
    let (source, target) = (filled(), Redis::start(&[]));
    target.ask("SET h mine");
    let server = Server::start();
    let id = server.backup_of(&source, "crs-1")["id"].as_str().unwrap().to_owned();
    let to = target.url();
    let flags =
        ["--match", "user:1*", "--match", "e", "--match", "h", "--prefix", "user:=copy:", "--ttl", "strip"];
    let done = server.json(&[&["restore", &id, "--to", &to, "--on-conflict", "skip"][..], &flags].concat());
    let outcome = &done["job"]["outcome"]["restore"];
    assert_eq!(outcome["skipped"], 1, "{outcome}");
    assert_eq!(outcome["complete"], true);
    assert_eq!(target.ask("GET h").unwrap(), "$4\r\nmine\r\n");
    assert_eq!(target.ask("TTL e").unwrap(), ":-1\r\n");
    assert_eq!(target.ask("EXISTS copy:1 copy:10 user:1 user:2 copy:2").unwrap(), ":2\r\n");
}

#[test]
fn a_registered_instance_is_a_target_by_its_id() {
    let (source, target) = (filled(), Redis::start(&["--requirepass", "secret"]));
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("pw");
    std::fs::write(&password, "secret\n").unwrap();
    let password = password.to_str().unwrap();
    let added =
        server.json(&["instance", "add", &target.url(), "--id", "staging", "--password-file", password]);
    assert_eq!(
        (added["has_password"].as_bool(), added["capture"]["parallel"].as_u64()),
        (Some(true), Some(4))
    );
    let id = server.backup_of(&source, "crs-1")["id"].as_str().unwrap().to_owned();
    let done = server.json(&["restore", &id, "--to", "staging"]);
    assert_eq!(done["job"]["outcome"]["restore"]["restored"], 506);
    let said = server.cli(&["restore", &id, "--to", "staging", "--password-file", password]);
    assert_eq!(said.code, 2, "{said:?}");
    assert_eq!(server.cli(&["restore", &id, "--to", "nowhere"]).code, 5);
    let closed = format!("redis://127.0.0.1:{}", crate::lab::free_port());
    assert_eq!(server.cli(&["restore", &id, "--to", &closed]).code, 8);
}

#[test]
fn files_are_made_that_a_server_starts_from() {
    let source = filled();
    let server = Server::start();
    let backup = server.backup_of(&source, "crs-1");
    let id = backup["id"].as_str().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let start = folder.path().join("start");
    let words = ["restore", id, "--as", "files", "--to", start.to_str().unwrap()];

    server.json(&[&words[..], &["--dry-run"]].concat());
    assert!(!start.exists());
    let made = server.json(&words);
    let file = start.join("dump.rdb");
    assert_eq!(made["files"][0]["path"], file.to_str().unwrap());
    assert_eq!(made["files"][0]["size_bytes"], backup["parts"][0]["size_bytes"]);
    assert_eq!(Redis::load(&file).digest(), source.digest());
    assert!(std::fs::read_to_string(start.join("README.txt")).unwrap().contains("appendonly no"));
    assert_eq!(server.cli(&words).code, 6, "nothing is overwritten");

    let some = folder.path().join("some");
    let some = some.to_str().unwrap();
    let flags = ["--type", "hash", "--prefix", "h=g", "--without-functions"];
    server.json(&[&["restore", id, "--as", "files", "--to", some][..], &flags].concat());
    let loaded = Redis::load(&Path::new(some).join("dump.rdb"));
    assert_eq!(loaded.ask("DBSIZE").unwrap(), ":1\r\n");
    assert_eq!(loaded.ask("HGET g b").unwrap(), "$1\r\n2\r\n");
    assert_eq!(server.cli(&["restore", id, "--as", "files", "--to", some, "--wipe"]).code, 2);
}

#[test]
fn a_drill_says_whether_a_backup_loads() {
    let source = filled();
    let server = Server::start();
    let backup = server.backup_of(&source, "crs-1");
    let id = backup["id"].as_str().unwrap();
    let job = server.json(&["drill", id]);
    let found = &job["outcome"]["drill"];
    assert_eq!((found["ok"].as_bool(), found["parts"][0]["keys"].as_u64()), (Some(true), Some(506)));
    assert_eq!(found["parts"][0]["digest"], source.digest());
    assert_eq!(server.json(&["backup", "show", id])["last_drill"], *found);
    let said = server.cli(&["drill", id, "--program", "/usr/bin/redis-server"]);
    assert_eq!(said.code, 6, "{said:?}");

    let part = server.repository_files().into_iter().find(|file| file.ends_with("/0.rdb")).unwrap();
    let path = server.data.join("repository").join(part);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let said = server.cli(&["drill", id]);
    assert_eq!(said.code, 7, "{said:?}");
    assert!(said.err.contains("OBJECT_DAMAGED"), "{said:?}");
    assert!(server.cli(&["backup", "show", id]).out.contains("failed: OBJECT_DAMAGED"));
}

#[test]
fn an_instance_is_changed_only_by_what_works() {
    let redis = Redis::start(&[]);
    let server = Server::start();
    server.json(&[
        "instance",
        "add",
        &redis.url(),
        "--id",
        "crs-1",
        "--limit-rate",
        "50M",
        "--method",
        "physical",
    ]);
    let shown = server.json(&["instance", "show", "crs-1"]);
    assert_eq!(shown["capture"]["bytes_per_second"], 50 << 20);
    assert_eq!((&shown["capture"]["method"], &shown["topology"]), (&"physical".into(), &"standalone".into()));
    let changed = server.json(&[
        "instance",
        "set",
        "crs-1",
        "--limit-rate",
        "0",
        "--prefer",
        "primary",
        "--parallel",
        "2",
    ]);
    assert_eq!(changed["capture"]["bytes_per_second"], Value::Null);
    assert_eq!(
        (&changed["capture"]["method"], &changed["capture"]["parallel"]),
        (&"physical".into(), &2.into())
    );

    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("pw");
    std::fs::write(&password, "fresh").unwrap();
    let set = ["instance", "set", "crs-1", "--password-file", password.to_str().unwrap()];
    assert_eq!(server.cli(&set).code, 4, "the server has no password yet");
    assert_eq!(server.json(&["instance", "show", "crs-1"])["has_password"], false);
    redis.ask("CONFIG SET requirepass fresh");
    assert_eq!(server.json(&set)["has_password"], true);
    let tested = server.json(&["instance", "test", "crs-1"]);
    assert_eq!(tested["shards"][0]["nodes"][0]["role"], "primary");
    assert_eq!(tested["shards"][0]["choice"], redis.url());
    assert_eq!(server.cli(&["instance", "set", "crs-1"]).code, 2);
    assert_eq!(run(&["instance", "set", "crs-1", "--parallel", "0"]).code, 2);
}
