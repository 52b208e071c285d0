//! Who the client is, behind proxies that are trusted and others.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::lab::{PATIENCE, Redis, Reply, Server, get, read_reply, target};

const CLIENT: &str = "203.0.113.7";

/// A server with these settings, and a link that only [`CLIENT`] may use.
fn world(settings: &[(&str, &str)]) -> (Server, String) {
    let redis = Redis::start(&[]);
    let server = Server::start_with(settings);
    let backup = server.backup_of(&redis, "crs-1");
    let link = server.link(backup["id"].as_str().unwrap(), &["--ip", CLIENT]);
    (server, link)
}

/// Sends a request behind these bytes. `None` if the server closes without an answer.
fn behind(header: &[u8], url: &str) -> Option<Reply> {
    let (port, path) = target(url);
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    // A server that refuses may be gone before all of it is written.
    let _ = socket.write_all(&[header, request.as_bytes()].concat());
    let mut raw = Vec::new();
    let _ = socket.read_to_end(&mut raw);
    (!raw.is_empty()).then(|| read_reply(&raw))
}

fn binary(command: u8) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend([0x20 | command, 0x11, 0, 12, 203, 0, 113, 7, 127, 0, 0, 1, 0, 1, 0, 2]);
    header
}

#[test]
fn a_trusted_proxy_says_where_a_download_goes() {
    let (_server, url) = world(&[("KEYSTOW_LISTEN__TRUSTED_PROXIES", "127.0.0.1,10.0.0.0/8")]);
    let status = |forwarded: &str| get(&url, &[("X-Forwarded-For", forwarded)]).status;
    assert_eq!(status(CLIENT), 200);
    assert_eq!(status("198.51.100.9, 203.0.113.7, 10.0.0.3"), 200);
    assert_eq!(status("203.0.113.7, 198.51.100.9"), 403, "the client's own word does not count");
    assert_eq!(status("203.0.113.7, unknown"), 403);
    assert_eq!(get(&url, &[]).status, 403);
    let twice = [("X-Forwarded-For", CLIENT), ("X-Forwarded-For", "198.51.100.9")];
    assert_eq!(get(&url, &twice).status, 403);
}

#[test]
fn nobody_else_says_so() {
    for trusted in ["", "10.0.0.0/8"] {
        let (_server, url) = world(&[("KEYSTOW_LISTEN__TRUSTED_PROXIES", trusted)]);
        assert_eq!(get(&url, &[("X-Forwarded-For", CLIENT)]).status, 403, "{trusted}");
    }
}

#[test]
fn the_proxy_protocol_names_the_client_in_both_versions() {
    let (_server, url) = world(&[
        ("KEYSTOW_LISTEN__PROXY_PROTOCOL", "download"),
        ("KEYSTOW_LISTEN__TRUSTED_PROXIES", "127.0.0.1"),
    ]);
    let status = |header: &[u8]| behind(header, &url).map(|reply| reply.status);
    assert_eq!(status(b"PROXY TCP4 203.0.113.7 127.0.0.1 1 2\r\n"), Some(200));
    assert_eq!(status(b"PROXY TCP4 198.51.100.9 127.0.0.1 1 2\r\n"), Some(403));
    assert_eq!(status(b"PROXY UNKNOWN\r\n"), Some(403));
    assert_eq!(status(&binary(1)), Some(200));
    assert_eq!(status(&binary(0)), Some(403), "LOCAL is the proxy itself");
    assert_eq!(status(b""), None, "no header, no answer");
    assert_eq!(status(b"PROXY TCP4 nonsense\r\n"), None);
}

#[test]
fn with_the_proxy_protocol_only_proxies_may_connect() {
    let server = Server::start_with(&[
        ("KEYSTOW_LISTEN__PROXY_PROTOCOL", "download"),
        ("KEYSTOW_LISTEN__TRUSTED_PROXIES", "10.0.0.0/8"),
    ]);
    let url = |port| format!("http://127.0.0.1:{port}/");
    for header in [&b"PROXY TCP4 203.0.113.7 127.0.0.1 1 2\r\n"[..], &binary(1), b""] {
        assert!(behind(header, &url(server.download)).is_none());
    }
    assert_eq!(behind(b"", &url(server.intranet)).unwrap().status, 403, "the other listeners are as ever");
}
