//! The audit log, the access log and links with limits, as an operator meets them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Instant;

use serde_json::Value;

use crate::lab::{PATIENCE, Redis, Server, get, target, until};

fn world() -> (Server, Redis, String) {
    let redis = Redis::start(&[]);
    redis.ask("DEBUG POPULATE 3000 key 200");
    let server = Server::start();
    let id = server.backup_of(&redis, "crs-1")["id"].as_str().unwrap().to_owned();
    (server, redis, id)
}

#[test]
fn who_changed_what_is_listed_and_a_changed_entry_is_exit_7() {
    let (server, _redis, id) = world();
    let (admin, _) = server.admin();
    server.json(&["backup", "protect", &id]);
    let all = server.json(&["audit", "list"]);
    let actions: Vec<_> = all.as_array().unwrap().iter().map(|entry| entry["action"].clone()).collect();
    assert_eq!(actions, ["backup.protect", "backup.create", "instance.add", "key.create"]);
    let newest = &all[0];
    assert_eq!((&newest["who"], &newest["via"]), (&Value::from(admin), &Value::from("native")));
    assert_eq!((&newest["subject"], &newest["address"]), (&Value::from(id), &Value::from("127.0.0.1")));
    assert_eq!(newest["parameters"]["protect"], true);
    let some = server.json(&["audit", "list", "--action", "backup", "--limit", "1", "--since", "1h"]);
    assert_eq!((some.as_array().unwrap().len(), &some[0]["sequence"]), (1, &newest["sequence"]));

    let verdict = server.json(&["audit", "verify"]);
    assert_eq!((&verdict["ok"], &verdict["entries"]), (&Value::from(true), &Value::from(4)));
    let head = verdict["head"].as_str().unwrap().to_owned();
    assert_eq!(head, format!("4:{}", newest["hash"].as_str().unwrap()));
    assert_eq!(server.json(&["audit", "verify", "--noted", &head])["ok"], true);
    assert_eq!(server.cli(&["audit", "verify", "--noted", "4:abc"]).code, 2);

    let edit = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], timeout=10); \
                c.execute(\"UPDATE audit SET who = 'nobody' WHERE sequence = 2\"); c.commit()";
    let catalog = server.data.join("catalog.db");
    assert!(Command::new("python3").args(["-c", edit]).arg(&catalog).status().unwrap().success());
    let said = server.cli(&["audit", "verify", "--json"]);
    let verdict: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((said.code, &verdict["ok"], &verdict["broken"]["sequence"]), (7, &false.into(), &2.into()));
    assert!(said.err.contains("AUDIT_BROKEN"), "{said:?}");
}

#[test]
fn a_download_is_listed_with_its_link_and_survives_a_stop() {
    let (mut server, _redis, id) = world();
    let made = server.json(&["link", "create", &id]);
    let (link, url) = (made["links"][0]["id"].as_str().unwrap(), made["links"][0]["url"].as_str().unwrap());
    let size = made["links"][0]["size_bytes"].as_u64().unwrap();
    assert_eq!(get(url, &[]).status, 200);
    assert_eq!(get(url, &[("Range", "bytes=0-9")]).status, 206);
    let used = until("the usage of the link", || {
        let shown = server.json(&["link", "show", link]);
        (shown["usage"]["requests"] == 2).then_some(shown)
    });
    assert_eq!(
        (&used["usage"]["bytes"], &used["usage"]["last_address"]),
        (&(size + 10).into(), &"127.0.0.1".into())
    );
    let listed = server.json(&["access", "list", "--link", link]);
    let outcomes: Vec<_> = listed.as_array().unwrap().iter().map(|row| row["outcome"].clone()).collect();
    assert_eq!(outcomes.iter().filter(|outcome| *outcome == "done").count(), 2, "{listed}");
    assert_eq!(outcomes.iter().filter(|outcome| *outcome == "given").count(), 1);

    // The last second is written before the end.
    assert_eq!(get(url, &[("Range", "bytes=5-6")]).status, 206);
    server.terminate();
    assert_eq!(server.wait(), 0);
    let server = server.restart();
    let listed = server.json(&["access", "list", "--backup", &id, "--kind", "download"]);
    assert_eq!(listed.as_array().unwrap().len(), 3);
}

#[test]
fn a_link_goes_no_faster_and_no_more_often_at_once_than_it_may() {
    let (server, _redis, id) = world();
    let size = server.json(&["backup", "show", &id])["parts"][0]["size_bytes"].as_u64().unwrap();
    let rate = (size / 4).to_string();
    let url = server.link(&id, &["--rate", &rate, "--connections", "1"]);
    let (port, path) = target(&url);
    let started = Instant::now();
    let mut slow = TcpStream::connect(("127.0.0.1", port)).unwrap();
    slow.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(slow, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut first = [0; 1];
    slow.read_exact(&mut first).unwrap();
    let second = get(&url, &[]);
    assert_eq!((second.status, second.header("retry-after")), (503, "1"), "{}", second.text());
    assert!(second.text().contains("SlowDown"));
    let mut rest = Vec::new();
    slow.read_to_end(&mut rest).unwrap();
    let took = started.elapsed().as_secs_f64();
    assert!(rest.len() as u64 > size && took > 1.0, "{} bytes in {took} s", rest.len());
    let again = until("room for another download", || {
        Some(get(&url, &[("Range", "bytes=0-99")])).filter(|reply| reply.status == 206)
    });
    assert_eq!(again.body.len(), 100);
}

#[test]
fn a_counted_link_delivers_so_often_by_bytes() {
    let (server, _redis, id) = world();
    let url = server.link(&id, &["--downloads", "2", "--deny-ip", "10.0.0.0/8"]);
    let whole = get(&url, &[]);
    assert_eq!(whole.status, 200);
    let half = whole.body.len() / 2;
    let (port, path) = target(&url);
    assert_eq!(crate::lab::request(port, "HEAD", &path, &[], b"").status, 200);
    for range in [format!("bytes=0-{}", half - 1), format!("bytes={half}-")] {
        assert_eq!(get(&url, &[("Range", &range)]).status, 206);
    }
    let refused =
        until("the link to be used up", || Some(get(&url, &[])).filter(|reply| reply.status == 403));
    assert!(refused.text().contains("all its deliveries"));
    let shown = server.json(&["link", "list"]);
    assert_eq!((&shown[0]["state"], &shown[0]["deliveries"]), (&"used".into(), &2.into()));
    assert_eq!(shown[0]["addresses"][0], "!10.0.0.0/8");
}

#[test]
fn a_client_gets_no_more_downloads_at_once_than_the_server_allows() {
    let redis = Redis::start(&[]);
    redis.ask("DEBUG POPULATE 3000 key 200");
    let settings =
        [("KEYSTOW_LIMITS__CLIENT_DOWNLOADS", "1"), ("KEYSTOW_LIMITS__CLIENT_BYTES_PER_SECOND", "40000")];
    let server = Server::start_with(&settings);
    let id = server.backup_of(&redis, "crs-1")["id"].as_str().unwrap().to_owned();
    // Both are made before: the slow one has an end.
    let (url, other) = (server.link(&id, &[]), server.link(&id, &[]));
    let (port, path) = target(&url);
    let mut slow = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(slow, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    slow.set_read_timeout(Some(PATIENCE)).unwrap();
    slow.read_exact(&mut [0; 1]).unwrap();
    assert_eq!(get(&other, &[]).status, 503);
    drop(slow);
    until("room", || (get(&url, &[("Range", "bytes=0-0")]).status == 206).then_some(()));
}
