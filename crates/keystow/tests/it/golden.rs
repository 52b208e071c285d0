//! What earlier versions left behind is opened by this one: `tests/golden` has a data directory of each.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::lab::{Redis, Server, copy_folder, get, program};

/// Every golden data directory, oldest first.
const GOLDEN: [&str; 2] = ["first", "second"];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn expected(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(folder(name).join("expected.json")).unwrap()).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[test]
fn every_golden_data_directory_is_tried() {
    let mut found: Vec<String> = std::fs::read_dir(folder(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    let mut tried = GOLDEN.map(str::to_owned);
    tried.sort();
    assert_eq!(found, tried);
}

#[test]
fn the_data_of_earlier_versions_opens_links_verifies_and_goes_on() {
    for name in GOLDEN {
        let expected = expected(name);
        let server = Server::start_on(&folder(name).join("data"), &[]);
        check(&server, &expected);
        opens_until_used_up(&server, &expected);
    }
}

#[test]
fn the_repository_of_an_earlier_version_is_enough_for_a_catalog() {
    let expected = expected("second");
    check(&Server::start_rebuilt_on(&folder("second").join("data"), &[]), &expected);
}

fn check(server: &Server, expected: &Value) {
    let listed = server.json(&["backup", "list"]);
    let listed = listed.as_array().unwrap();
    for wanted in expected["backups"].as_array().unwrap() {
        let shown = listed.iter().find(|backup| backup["id"] == wanted["id"]).expect("it is listed");
        assert_eq!((&shown["number"], text(&shown["state"])), (&wanted["number"], "available"));
        let parts = shown["parts"].as_array().unwrap().iter().zip(wanted["parts"].as_array().unwrap());
        for (part, wanted) in parts {
            for fact in ["name", "size_bytes", "sha256", "keys"] {
                assert_eq!(part[fact], wanted[fact], "{fact}");
            }
        }
        assert_eq!(server.json(&["verify", text(&wanted["id"])])["ok"], true);
    }
    opens(server, expected, "link", 0);
    let kept = server.json(&["backup", "show", text(&expected["protected"])]);
    assert_eq!(kept["protected"], true);
    // The first version had no policies.
    if let Some(wanted) = expected.get("policy") {
        let policy = server.json(&["policy", "show", "crs-golden"]);
        for (name, value) in wanted.as_object().unwrap() {
            assert_eq!(&policy[name], value, "{name}");
        }
    }
    let viewer = &expected["viewer"];
    let key = (text(&viewer["access_key_id"]), text(&viewer["secret"]));
    assert_eq!(server.api_as(Some(key), "GET", "/api/v1/backups", "").status, 200);
    // And it goes on: a new backup, with a number of its own.
    let redis = Redis::start(&[]);
    redis.ask("SET now here");
    let new = server.backup_of(&redis, "crs-new");
    assert_eq!(new["state"], "available");
    assert!(listed.iter().all(|backup| backup["number"] != new["number"]));
}

/// A link that an earlier version issued still opens, and gives what it stored.
fn opens(server: &Server, expected: &Value, link: &str, backup: usize) -> Vec<u8> {
    let reply = get(&url(server, expected, link), &[]);
    assert_eq!(reply.status, 200, "{}", reply.text());
    let sha = text(&expected["backups"][backup]["parts"][0]["sha256"]);
    assert_eq!(reply.header("etag"), format!("\"{sha}\""));
    reply.body
}

fn opens_until_used_up(server: &Server, expected: &Value) {
    let dump = server.data.join("fetched.rdb");
    std::fs::write(&dump, opens(server, expected, "once", 1)).unwrap();
    assert_eq!(Redis::load(&dump).digest(), text(&expected["redis_digest_of_second"]));
    assert_eq!(get(&url(server, expected, "once"), &[]).status, 403, "it is used up");
}

fn url(server: &Server, expected: &Value, link: &str) -> String {
    format!("http://127.0.0.1:{}{}", server.download, text(&expected[link]))
}

#[test]
fn what_a_newer_version_left_is_refused_and_left_alone() {
    let mark = "repository/repository.json";
    let newer = |change: &dyn Fn(&Path)| {
        let folder_of_test = tempfile::tempdir().unwrap();
        let data = folder_of_test.path().join("data");
        copy_folder(&folder(GOLDEN[0]).join("data"), &data);
        change(&data);
        let output = program()
            .args(["serve", "--api", "127.0.0.1:0", "--download", "127.0.0.1:0", "--intranet", "127.0.0.1:0"])
            .arg("--data-dir")
            .arg(&data)
            .output()
            .unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = newer(&|data| {
        let text = std::fs::read_to_string(data.join(mark)).unwrap();
        std::fs::write(data.join(mark), text.replace("\"format\":1", "\"format\":2")).unwrap();
    });
    assert!(said.contains("REPOSITORY_NEWER"), "{said}");
    let said = newer(&|data| {
        let catalog = rusqlite_exec(&data.join("catalog.db"));
        assert!(catalog.success());
    });
    assert!(said.contains("CATALOG_NEWER"), "{said}");
    let said = newer(&|data| {
        let other = "0".repeat(64);
        std::fs::write(data.join("root.key"), other).unwrap();
    });
    assert!(said.contains("ROOT_KEY_WRONG"), "{said}");
}

/// Pretends that a later version has changed the catalog's schema.
fn rusqlite_exec(path: &Path) -> std::process::ExitStatus {
    let python = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute(\"INSERT INTO _sqlx_migrations \
                  VALUES (9999, 'later', CURRENT_TIMESTAMP, 1, x'00', 1)\"); db.commit()";
    std::process::Command::new("python3").args(["-c", python]).arg(path).status().unwrap()
}
