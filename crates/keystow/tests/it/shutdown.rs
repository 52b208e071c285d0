//! Slow clients, and an end that lets downloads end.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use crate::lab::{PATIENCE, Redis, Server, read_reply, target, until};

#[test]
fn sigterm_lets_a_running_download_end_and_refuses_new_ones() {
    let redis = Redis::start(&[]);
    redis.ask("DEBUG POPULATE 30000 key 1000");
    let mut server = Server::start();
    let backup = server.backup_of(&redis, "a");
    let (port, path) = target(&server.link(backup["id"].as_str().unwrap(), &[]));
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(socket, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut raw = vec![0; 4096];
    socket.read_exact(&mut raw).unwrap();

    server.terminate();
    until("the closed listener", || TcpStream::connect(("127.0.0.1", port)).is_err().then_some(()));
    socket.read_to_end(&mut raw).unwrap();
    let reply = read_reply(&raw);
    assert_eq!(reply.body.len().to_string(), reply.header("content-length"));
    assert_eq!(server.wait(), 0);
}

#[test]
fn a_job_that_runs_at_the_end_is_handed_back_and_done_by_the_next_server() {
    let redis = Redis::start(&["--rdb-key-save-delay", "2000"]);
    redis.ask("DEBUG POPULATE 10000 key 100");
    let mut server = Server::start();
    server.json(&["instance", "add", &redis.url(), "--id", "a"]);
    let backup = server.json(&["backup", "create", "a"]);
    until("the start", || {
        let job = server.json(&["job", "show", &backup["job"].to_string()]);
        (job["progress"]["phase"] == "receiving").then_some(())
    });
    server.terminate();
    assert_eq!(server.wait(), 0);
    redis.ask("CONFIG SET rdb-key-save-delay 0");
    let server = server.restart();
    let row = until("the second attempt", || {
        let row = server.json(&["backup", "show", backup["id"].as_str().unwrap()]);
        (row["state"] == "available").then_some(row)
    });
    assert_eq!(row["keys"], 10000);
    assert_eq!(server.repository_files().len(), 3);
}

#[test]
fn dribbled_headers_are_cut_off() {
    let server = Server::start_with(&[("KEYSTOW_LIMITS__HEADER_TIMEOUT", "1s")]);
    let mut socket = TcpStream::connect(("127.0.0.1", server.download)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nX-").unwrap();
    let started = Instant::now();
    let mut rest = Vec::new();
    let _ = socket.read_to_end(&mut rest);
    assert!(started.elapsed() < PATIENCE / 2, "the server waited too long");
    let other = crate::lab::request(server.download, "GET", "/", &[], b"");
    assert_eq!(other.status, 403, "others are served");
}
