//! What a download endpoint answers to every kind of client.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::process::Command;
use std::time::Duration;

use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::net::{AddressFamily, SocketType, connect, socket};
use serde_json::Value;

use crate::lab::{Redis, Server, get, request, target};

struct World {
    server: Server,
    _redis: Redis,
    backup: Value,
}

impl World {
    fn new() -> Self {
        Self::with_keys(3000)
    }

    /// With a backup of so many keys, 32 bytes each.
    fn with_keys(keys: u32) -> Self {
        let redis = Redis::start(&[]);
        redis.ask(&format!("DEBUG POPULATE {keys} key 200"));
        let server = Server::start();
        let backup = server.backup_of(&redis, "crs-1");
        Self { server, _redis: redis, backup }
    }

    fn id(&self) -> &str {
        self.backup["id"].as_str().unwrap()
    }

    fn link(&self, options: &[&str]) -> String {
        self.server.link(self.id(), options)
    }
}

#[test]
fn a_whole_download_says_all_of_itself_and_head_says_the_same() {
    let world = World::new();
    let url = world.link(&[]);
    let whole = get(&url, &[]);
    assert_eq!(whole.status, 200);
    assert_eq!(whole.body.len().to_string(), world.backup["parts"][0]["size_bytes"].to_string());
    let sha = world.backup["parts"][0]["sha256"].as_str().unwrap();
    assert_eq!(whole.header("etag"), format!("\"{sha}\""));
    assert!(whole.header("content-disposition").contains("filename=\"crs-1_"));
    assert!(whole.header("repr-digest").starts_with("sha-256=:"));
    assert_eq!(whole.header("accept-ranges"), "bytes");
    assert_eq!(whole.header("content-length"), whole.body.len().to_string());

    let (port, target) = target(&url);
    let mut head = request(port, "HEAD", &target, &[], b"");
    assert!(head.body.is_empty());
    let mut headers = whole.headers.clone();
    for varying in ["x-request-id", "date"] {
        headers.remove(varying);
        head.headers.remove(varying);
    }
    assert_eq!(head.headers, headers);
}

#[test]
fn ranges_joined_are_the_whole() {
    let world = World::new();
    let url = world.link(&[]);
    let whole = get(&url, &[]).body;
    let half = whole.len() / 2;
    let first = get(&url, &[("Range", &format!("bytes=0-{}", half - 1))]);
    let second = get(&url, &[("Range", &format!("bytes={half}-"))]);
    assert_eq!((first.status, second.status), (206, 206));
    assert_eq!(second.header("content-range"), format!("bytes {half}-{}/{}", whole.len() - 1, whole.len()));
    assert_eq!([first.body, second.body].concat(), whole);
    let beyond = get(&url, &[("Range", &format!("bytes={}-", whole.len()))]);
    assert_eq!(beyond.status, 416);
    assert_eq!(beyond.header("content-range"), format!("bytes */{}", whole.len()));
    assert!(beyond.text().contains("<Code>InvalidRange</Code>"));
    assert_eq!(get(&url, &[("Range", "bytes=5-4")]).status, 200);
}

#[test]
fn preconditions_are_honoured() {
    let world = World::new();
    let url = world.link(&[]);
    let etag = get(&url, &[]).header("etag").to_owned();
    assert_eq!(get(&url, &[("If-None-Match", &etag)]).status, 304);
    assert_eq!(get(&url, &[("If-Match", "\"other\"")]).status, 412);
    assert_eq!(get(&url, &[("Range", "bytes=0-0"), ("If-Range", &etag)]).status, 206);
    assert_eq!(get(&url, &[("Range", "bytes=0-0"), ("If-Range", "\"other\"")]).status, 200);
}

#[test]
fn a_link_is_good_on_its_own_network_only() {
    let world = World::new();
    for (network, other) in [("public", world.server.intranet), ("intranet", world.server.download)] {
        let (port, target) = target(&world.link(&["--network", network]));
        assert_eq!(request(port, "GET", &target, &[], b"").status, 200);
        let refused = request(other, "GET", &target, &[], b"");
        assert_eq!(refused.status, 403);
        assert!(refused.text().contains("other network"), "{}", refused.text());
    }
}

#[test]
fn a_cut_or_changed_link_says_so_and_nothing_of_the_file() {
    let world = World::new();
    let (port, target) = target(&world.link(&[]));
    let cut = request(port, "GET", target.split('&').next().unwrap(), &[], b"");
    assert_eq!(cut.status, 403);
    assert!(cut.text().contains("quotes"), "{}", cut.text());
    assert_eq!(cut.header("content-type"), "application/xml");
    let changed = request(port, "GET", &target.replace("Signature=", "Signature=A"), &[], b"");
    assert_eq!(changed.status, 403);
    assert!(changed.text().contains("SignatureDoesNotMatch"));
    // Without a right signature nobody learns whether a backup exists.
    let other = target.replacen(world.id(), "01a20012-8502-759c-822c-84c070cdf7ea", 1);
    assert_eq!(request(port, "GET", &other, &[], b"").status, 403);
    assert_eq!(request(port, "GET", "/", &[], b"").status, 403);
}

#[test]
fn only_get_and_head_are_allowed() {
    let world = World::new();
    let (port, target) = target(&world.link(&[]));
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let refused = request(port, method, &target, &[], b"");
        assert_eq!(refused.status, 405, "{method}");
        assert_eq!(refused.header("allow"), "GET, HEAD");
    }
}

#[test]
fn a_single_use_link_survives_a_look_and_a_resume_but_no_second_delivery() {
    let world = World::new();
    let url = world.link(&["--once"]);
    let (port, path) = target(&url);
    for _ in 0..5 {
        assert_eq!(request(port, "HEAD", &path, &[], b"").status, 200);
    }
    assert_eq!(get(&url, &[("Range", "bytes=0-0")]).status, 206);
    assert_eq!(get(&url, &[("Range", "bytes=0-999")]).status, 206);
    assert_eq!(get(&url, &[("Range", "bytes=1000-")]).status, 206);
    crate::lab::until("the account of it", || (get(&url, &[]).status == 403).then_some(()));
    assert!(get(&url, &[]).text().contains("all its deliveries"));
}

/// A client that takes in little beyond what it reads.
fn narrow_client(port: u16) -> TcpStream {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    set_socket_recv_buffer_size(&socket, 64 * 1024).unwrap();
    connect(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)).unwrap();
    socket.into()
}

#[test]
fn a_single_use_link_survives_connections_that_break() {
    let world = World::with_keys(60_000);
    let url = world.link(&["--once"]);
    let (port, path) = target(&url);
    // Whoever ends with something unread sends a reset.
    for _ in 0..2 {
        let mut client = narrow_client(port);
        write!(client, "GET {path} HTTP/1.1\r\nHost: x\r\nRange: bytes=0-59999\r\n\r\n").unwrap();
        client.peek(&mut [0]).unwrap();
    }
    let ask = |range: &str| {
        let settled = || Some(get(&url, &[("Range", range)])).filter(|reply| reply.status != 503);
        crate::lab::until("the break to be seen", settled).status
    };
    assert_eq!(ask("bytes=0-0"), 206);
    let mut client = narrow_client(port);
    write!(client, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut had = vec![0; 200_000];
    client.read_exact(&mut had).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    drop(client);
    let status = ask("bytes=320000-");
    let counted = &world.server.json(&["link", "list"])[0]["sent_bytes"];
    assert_eq!(status, 206, "what its kernel has not taken, and more: {counted} were counted");
    crate::lab::until("the account of it", || (get(&url, &[]).status == 403).then_some(()));
}

#[test]
fn a_second_download_waits_for_what_becomes_of_the_first() {
    let world = World::new();
    let url = world.link(&["--once", "--rate", "4K"]);
    let (port, path) = target(&url);
    let mut first = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(first, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    first.peek(&mut [0]).unwrap();
    let second = get(&url, &[]);
    assert_eq!((second.status, second.header("retry-after")), (503, "1"));
}

#[test]
fn revoked_links_end() {
    let world = World::new();
    let made = world.server.json(&["link", "create", world.id()]);
    let (link, url) = (made["links"][0]["id"].as_str().unwrap(), made["links"][0]["url"].as_str().unwrap());
    assert_eq!(get(url, &[]).status, 200);
    assert_eq!(world.server.cli(&["link", "revoke", link]).code, 0);
    let refused = get(url, &[]);
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("revoked"));
    let another = world.link(&[]);
    assert_eq!(world.server.cli(&["link", "revoke", "--instance", "crs-1"]).code, 0);
    assert_eq!(get(&another, &[]).status, 403);
    assert_eq!(get(&world.link(&[]), &[]).status, 200, "a link made after the revocation is good");
}

#[test]
fn an_address_limit_holds() {
    let world = World::new();
    assert_eq!(get(&world.link(&["--ip", "127.0.0.0/8"]), &[]).status, 200);
    let refused = get(&world.link(&["--ip", "203.0.113.0/24"]), &[]);
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("your address"));
}

#[test]
fn wget_and_curl_resume_with_a_new_link() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let whole = get(&world.link(&[]), &[]).body;
    for (name, program, options) in
        [("w", "wget", &["-q", "-c", "-O"][..]), ("c", "curl", &["-s", "-f", "-C", "-", "-o"][..])]
    {
        let file = folder.path().join(name);
        std::fs::write(&file, &whole[..whole.len() / 3]).unwrap();
        let done = Command::new(program).args(options).arg(&file).arg(world.link(&[])).status();
        let done =
            done.unwrap_or_else(|error| panic!("{program} (Debian: apt-get install {program}): {error}"));
        assert!(done.success(), "{program}");
        assert_eq!(std::fs::read(&file).unwrap(), whole, "{program}");
    }
}

#[test]
fn many_ranges_at_once_make_one_file_and_an_existing_file_stays() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dump.rdb");
    let words = ["fetch", world.id(), "-j", "8", "-o", file.to_str().unwrap()];
    assert_eq!(world.server.cli(&words).code, 0);
    assert_eq!(std::fs::read(&file).unwrap(), get(&world.link(&[]), &[]).body);
    assert_eq!(world.server.cli(&words).code, 6);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no .part is left");
}
