//! Each kind of bad input gets a clear error with its code and exit code, and the service stays up.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use crate::lab::{Redis, Said, Server, free_port, run};

fn refused(said: &Said, exit: i32, code: &str) {
    assert_eq!(said.code, exit, "{said:?}");
    assert!(said.err.contains(code), "{said:?}");
}

#[test]
fn a_wrong_password_is_said_to_be_one() {
    let redis = Redis::start(&["--requirepass", "right"]);
    let server = Server::start();
    refused(&server.cli(&["instance", "add", &redis.url(), "--id", "a"]), 4, "SOURCE_AUTH");
    let wrong = format!("redis://:wrong@127.0.0.1:{}", redis.port);
    refused(&server.cli(&["instance", "add", &wrong, "--id", "a"]), 4, "SOURCE_AUTH");
    let right = format!("redis://:right@127.0.0.1:{}", redis.port);
    let added = server.json(&["instance", "add", &right, "--id", "a"]);
    assert!(!added.to_string().contains("right"), "{added}");
    assert_eq!(server.json(&["backup", "create", "a", "--wait"])["state"], "available");
}

#[test]
fn an_unreachable_host_is_said_to_be_one() {
    let server = Server::start();
    let url = format!("redis://127.0.0.1:{}", free_port());
    refused(&server.cli(&["instance", "add", &url, "--id", "a"]), 8, "SOURCE_UNREACHABLE");
}

#[test]
fn a_port_that_is_no_redis_is_said_to_be_none() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            let _ = socket.write_all(b"SSH-2.0-OpenSSH_9.2\r\n");
            let _ = socket.read(&mut [0; 1024]);
        }
    });
    let server = Server::start();
    let said = server.cli(&["instance", "add", &format!("redis://127.0.0.1:{port}"), "--id", "a"]);
    refused(&said, 2, "SOURCE_NOT_REDIS");
}

#[test]
fn a_missing_right_is_named() {
    let redis = Redis::start(&[]);
    redis.ask("ACL SETUSER weak on >pw +replconf +ping +info");
    redis.ask("ACL SETUSER enough on >pw +psync +replconf +ping");
    let server = Server::start();
    let weak = format!("redis://weak:pw@127.0.0.1:{}", redis.port);
    server.json(&["instance", "add", &weak, "--id", "weak"]);
    refused(&server.cli(&["backup", "create", "weak", "--wait"]), 4, "SOURCE_DENIED");
    let enough = format!("redis://enough:pw@127.0.0.1:{}", redis.port);
    server.json(&["instance", "add", &enough, "--id", "enough"]);
    assert_eq!(server.json(&["backup", "create", "enough", "--wait"])["state"], "available");
}

#[test]
fn a_loading_server_is_told_from_a_dead_one() {
    let redis = Redis::start(&[]);
    redis.ask("DEBUG POPULATE 20000 key 10");
    let server = Server::start();
    server.json(&["instance", "add", &redis.url(), "--id", "a"]);
    redis.ask("CONFIG SET key-load-delay 1500");
    redis.ask("CONFIG SET loading-process-events-interval-bytes 1024");
    redis.ask("SAVE");
    // Its reply comes when it has loaded, which nobody waits for.
    let mut reload = TcpStream::connect(("127.0.0.1", redis.port)).unwrap();
    reload.write_all(b"DEBUG RELOAD NOSAVE\r\n").unwrap();
    crate::lab::until("loading", || redis.ask("PING").filter(|reply| reply.starts_with("-LOADING")));
    refused(&server.cli(&["backup", "create", "a", "--wait"]), 8, "SOURCE_LOADING");
}

#[test]
fn a_source_that_dies_leaves_a_failed_row_and_nothing_else() {
    let redis = Redis::start(&["--rdb-key-save-delay", "1500"]);
    redis.ask("DEBUG POPULATE 20000 key 1000");
    let server = Server::start();
    server.json(&["instance", "add", &redis.url(), "--id", "a"]);
    let backup = server.json(&["backup", "create", "a"]);
    let job = backup["job"].to_string();
    crate::lab::until("some bytes", || {
        let job = server.json(&["job", "show", &job]);
        (job["progress"]["bytes"].as_u64().unwrap() > 0).then_some(())
    });
    drop(redis);
    let id = backup["id"].as_str().unwrap();
    let failed = crate::lab::until("the failure", || {
        let row = server.json(&["backup", "show", id]);
        (row["state"] == "failed").then_some(row)
    });
    let message = failed["failure"]["message"].as_str().unwrap();
    assert!(message.contains("at byte"), "{message}");
    assert_eq!(server.repository_files(), ["repository.json"]);
}

#[test]
fn a_second_server_is_kept_out_of_the_data_directory() {
    let server = Server::start();
    let port = free_port().to_string();
    let address = format!("127.0.0.1:{port}");
    let said = run(&["serve", "--data-dir", server.data.to_str().unwrap(), "--api", &address]);
    refused(&said, 6, "DATA_DIR_LOCKED");
    assert_eq!(server.json(&["backup", "list"]).as_array().unwrap().len(), 0);
}

#[test]
fn an_unknown_setting_names_the_nearest_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keystow.toml");
    std::fs::write(&file, "[links]\npublic_ur = \"http://x\"\n").unwrap();
    let said = run(&["serve", "--config", file.to_str().unwrap()]);
    refused(&said, 2, "CONFIG_UNKNOWN_KEY");
    assert!(said.err.contains("links.public_url"), "{said:?}");
}

#[test]
fn an_open_port_without_tls_has_to_be_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let said = run(&["serve", "--data-dir", folder.path().to_str().unwrap(), "--api", "0.0.0.0:0"]);
    refused(&said, 2, "CONFIG_INVALID");
    assert!(said.err.contains("--insecure-http"), "{said:?}");
}

#[test]
fn a_client_without_a_server_or_a_key_is_told_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = crate::lab::program();
    command.args(["backup", "list"]).env("KEYSTOW_DATA_DIR", folder.path());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(10), "{output:?}");
    let server = format!("http://127.0.0.1:{}", free_port());
    let mut command = crate::lab::program();
    command.args(["backup", "list", "--server", &server]);
    command.env("KEYSTOW_ACCESS_KEY_ID", "a").env("KEYSTOW_ACCESS_KEY_SECRET", "b");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(8), "{output:?}");
}

#[test]
fn wrong_names_and_values_have_their_exit_codes() {
    let redis = Redis::start(&[]);
    let server = Server::start();
    server.json(&["instance", "add", &redis.url(), "--id", "a"]);
    let missing = "01a20012-8502-759c-822c-84c070cdf7ea";
    let cases: &[(&[&str], i32, &str)] = &[
        (&["instance", "add", &redis.url(), "--id", "a"], 6, "CONFLICT"),
        (&["instance", "add", "redis://", "--id", "b"], 2, "INVALID_VALUE"),
        (&["instance", "add", "redis-cluster://", "--id", "b"], 2, "INVALID"),
        (&["instance", "show", "b"], 5, "INSTANCE_NOT_FOUND"),
        (&["backup", "create", "b"], 5, "INSTANCE_NOT_FOUND"),
        (&["backup", "show", missing], 5, "BACKUP_NOT_FOUND"),
        (&["link", "create", missing], 5, "BACKUP_NOT_FOUND"),
        (&["job", "show", "999"], 5, "NOT_FOUND"),
        (&["key", "revoke", "nobody"], 5, "NOT_FOUND"),
    ];
    for (words, exit, code) in cases {
        refused(&server.cli(words), *exit, code);
    }
    assert_eq!(server.cli(&["no", "such", "command"]).code, 2);
}

#[test]
fn a_damaged_file_is_not_verified() {
    let redis = Redis::start(&[]);
    redis.ask("DEBUG POPULATE 100 key 100");
    let server = Server::start();
    let backup = server.backup_of(&redis, "a");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dump.rdb");
    let url = server.link(backup["id"].as_str().unwrap(), &[]);
    assert_eq!(server.cli(&["fetch", &url, "-o", file.to_str().unwrap()]).code, 0);
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let said = run(&["verify", file.to_str().unwrap(), "--json"]);
    assert_eq!(said.code, 7, "{said:?}");
    let report: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(report["ok"], false);
    assert!(report["error"]["reason"].is_string(), "{report}");
}

#[test]
fn a_body_that_never_arrives_is_not_waited_for() {
    let server = Server::start_with(&[("KEYSTOW_LIMITS__IDLE_TIMEOUT", "1s")]);
    for (head, code) in [
        ("POST / HTTP/1.1\r\nHost: h\r\nX-TC-Action: DescribeInstances\r\n", "BODY_TOO_SLOW"),
        ("POST /api/v1/keys HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n", ""),
    ] {
        let mut socket = TcpStream::connect(("127.0.0.1", server.api)).unwrap();
        socket.write_all(format!("{head}Content-Length: 1000\r\n\r\n{{").as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
        assert!(answer.contains(code), "{answer}");
    }
}
