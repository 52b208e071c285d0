//! The main job through the commands, as a person or a script does it.

use std::os::unix::fs::PermissionsExt as _;

use crate::lab::{Redis, Server, finish, program, run};

#[test]
fn a_backup_is_taken_listed_linked_fetched_and_loads_again() {
    let redis = Redis::start(&[]);
    redis.ask("DEBUG POPULATE 1000 key 100");
    redis.ask("SELECT 0\r\nHSET h a 1 b 2\r\nRPUSH l 1 2 3\r\nZADD z 1 a 2 b\r\nSADD s x y\r\nXADD x * f v");
    let server = Server::start();
    let backup = server.backup_of(&redis, "crs-1");
    assert_eq!(backup["state"], "available");
    assert_eq!(backup["parts"][0]["keys"], 1005);
    let id = backup["id"].as_str().unwrap();

    let listed = server.json(&["backup", "list"]);
    assert_eq!(listed[0]["id"], id);
    let by_number = server.json(&["backup", "show", &backup["number"].to_string()]);
    assert_eq!(by_number["id"], id);

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dump.rdb");
    let url = server.link(id, &[]);
    let fetched = server.cli(&["fetch", &url, "-o", file.to_str().unwrap()]);
    assert_eq!(fetched.code, 0, "{fetched:?}");

    let verified = run(&["verify", file.to_str().unwrap(), "--json"]).json();
    assert_eq!(verified["ok"], true);
    assert_eq!(verified["keys"], 1005);
    assert_eq!(verified["checksum"], "ok");
    assert_eq!(Redis::load(&file).digest(), redis.digest());
}

#[test]
fn a_backup_is_verified_through_its_link() {
    let redis = Redis::start(&[]);
    redis.ask("DEBUG POPULATE 100 key 100");
    let server = Server::start();
    let backup = server.backup_of(&redis, "crs-1");
    let said = server.json(&["verify", backup["id"].as_str().unwrap()]);
    assert_eq!(said["ok"], true);
    assert_eq!(said["keys"], 100);
}

#[test]
fn a_backup_is_inspected_and_exported_through_its_link() {
    let redis = Redis::start(&[]);
    redis.ask("DEBUG POPULATE 100 user 100");
    redis.ask("RPUSH queue a b c");
    let server = Server::start();
    let id = server.backup_of(&redis, "crs-1")["id"].as_str().unwrap().to_owned();
    let found = server.json(&["inspect", &id]);
    assert_eq!(found["keys"], 101);
    assert_eq!(found["prefixes"]["top"][0]["prefix"], "user:");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.jsonl");
    let file = file.to_str().unwrap();
    let done = server.json(&["export", &id, "--type", "list", "-o", file]);
    assert_eq!(done["keys"], 1);
    let line: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!(line["value"], serde_json::json!(["a", "b", "c"]));
    assert_eq!(server.cli(&["export", &id, "-o", file]).code, 6, "it is there already");
    assert_eq!(server.cli(&["export", &id, "-o", file, "--force"]).code, 0);
}

#[test]
fn an_unsound_file_is_exit_7_and_leaves_no_half_of_an_export() {
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.rdb");
    std::fs::write(&broken, b"REDIS0004\xfe\x00\x00\x01a\x01b\x00\x01c\x05d").unwrap();
    let (broken, out) = (broken.to_str().unwrap(), folder.path().join("out"));
    let said = run(&["inspect", broken]);
    assert_eq!(said.code, 7);
    assert!(said.err.contains("RDB_TRUNCATED") && said.err.contains("in key \"c\""), "{said:?}");
    let said = run(&["export", broken]);
    assert_eq!(said.code, 7);
    let line = "{\"db\":0,\"key\":\"a\",\"type\":\"string\",\"encoding\":\"string\",\"value\":\"b\"}\n";
    assert_eq!(said.out, line, "what was sound");
    assert_eq!(run(&["export", broken, "-o", out.to_str().unwrap()]).code, 7);
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "only the broken file: {left:?}");
}

#[test]
fn a_deleted_backup_takes_its_bytes_along() {
    let redis = Redis::start(&[]);
    redis.ask("SET a b");
    let server = Server::start();
    let backup = server.backup_of(&redis, "crs-1");
    let id = backup["id"].as_str().unwrap();
    server.json(&["backup", "protect", id]);
    assert_eq!(server.cli(&["backup", "delete", id]).code, 6);
    server.json(&["backup", "protect", id, "--release"]);
    assert_eq!(server.cli(&["backup", "delete", id]).code, 0);
    crate::lab::until("the removal", || (server.repository_files() == ["repository.json"]).then_some(()));
    assert_eq!(server.json(&["backup", "list"]).as_array().unwrap().len(), 0);
}

#[test]
fn imported_keys_keep_their_id_and_secret_and_have_their_role_only() {
    let redis = Redis::start(&[]);
    let server = Server::start();
    let backup = server.backup_of(&redis, "crs-1");
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "an-old-secret-of-a-script\n").unwrap();
    let made = server.json(&[
        "key",
        "create",
        "--id",
        "AKIDold",
        "--secret-file",
        secret.to_str().unwrap(),
        "--role",
        "viewer",
    ]);
    assert_eq!(made["access_key_id"], "AKIDold");
    let key = Some(("AKIDold", "an-old-secret-of-a-script"));
    assert_eq!(server.api_as(key, "GET", "/api/v1/backups", "").status, 200);
    let link = format!("{{\"backup\":\"{}\"}}", backup["id"].as_str().unwrap());
    assert_eq!(server.api_as(key, "POST", "/api/v1/links", &link).status, 403);

    let rotated = server.json(&["key", "rotate", "AKIDold"]);
    assert_eq!(server.api_as(key, "GET", "/api/v1/backups", "").status, 401);
    let fresh = rotated["secret"].as_str().unwrap();
    assert_eq!(server.api_as(Some(("AKIDold", fresh)), "GET", "/api/v1/backups", "").status, 200);
    assert_eq!(server.cli(&["key", "revoke", "AKIDold"]).code, 0);
    assert_eq!(server.api_as(Some(("AKIDold", fresh)), "GET", "/api/v1/backups", "").status, 401);
}

#[test]
fn the_key_that_the_command_line_uses_can_be_rotated() {
    let server = Server::start();
    let kept = server.data.join("admin.key");
    let read = || serde_json::from_slice::<serde_json::Value>(&std::fs::read(&kept).unwrap()).unwrap();
    let before = read();
    let rotated = server.cli(&["key", "rotate", before["access_key_id"].as_str().unwrap()]);
    assert!(rotated.err.contains("kept in"), "{}", rotated.err);
    assert_ne!(read()["secret"], before["secret"]);
    assert_eq!(std::fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(server.cli(&["instance", "list"]).code, 0);
    // A host that trusts no authority can speak plain http.
    let mut trusting_nobody = program();
    trusting_nobody
        .args(["instance", "list"])
        .env("KEYSTOW_SERVER", format!("http://127.0.0.1:{}", server.api))
        .env("KEYSTOW_DATA_DIR", &server.data)
        .env("SSL_CERT_FILE", "/dev/null")
        .env("SSL_CERT_DIR", &server.data);
    assert_eq!(finish(&mut trusting_nobody).code, 0);
    // Another key is none of that file's business.
    let other = server.json(&["key", "create"]);
    let now = read();
    server.json(&["key", "rotate", other["access_key_id"].as_str().unwrap()]);
    assert_eq!(read(), now);
}

#[test]
fn another_account_sees_nothing_of_ours() {
    let redis = Redis::start(&[]);
    let server = Server::start();
    let backup = server.backup_of(&redis, "crs-1");
    server.json(&["account", "add", "other"]);
    let key = server.json(&["key", "create", "--role", "operator", "--account", "other"]);
    let key = Some((key["access_key_id"].as_str().unwrap(), key["secret"].as_str().unwrap()));
    let id = backup["id"].as_str().unwrap();
    assert_eq!(server.api_as(key, "GET", "/api/v1/instances", "").json()["total"], 0);
    assert_eq!(server.api_as(key, "GET", "/api/v1/backups", "").json()["total"], 0);
    let mut missing =
        server.api_as(key, "GET", "/api/v1/backups/01a20012-8502-759c-822c-84c070cdf7ea", "").json();
    let mut foreign = server.api_as(key, "GET", &format!("/api/v1/backups/{id}"), "").json();
    for answer in [&mut missing, &mut foreign] {
        assert_eq!(answer["status"], 404);
        answer["request_id"] = "".into();
        answer["detail"] = "".into();
    }
    assert_eq!(missing, foreign);
}

#[test]
fn doctor_finds_a_healthy_service_and_a_dead_instance() {
    let redis = Redis::start(&[]);
    let server = Server::start();
    server.json(&["instance", "add", &redis.url(), "--id", "crs-1"]);
    let said = server.cli(&["doctor", "--json"]);
    assert_eq!(said.code, 0, "{said:?}");
    drop(redis);
    let said = server.cli(&["doctor", "--json"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.contains("instance crs-1"));
}

#[test]
fn settings_are_shown_with_their_origin() {
    let said = crate::lab::run(&["config", "show", "--origin", "--json"]).json();
    let first = &said[0];
    assert_eq!(first["name"], "data_dir");
    assert_eq!(first["origin"], "default");
}
