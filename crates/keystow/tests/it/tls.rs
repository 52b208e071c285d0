//! TLS on the listeners, as clients with and without it meet it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::lab::{PATIENCE, Redis, Reply, Server, program, read_reply, request, until};

/// An authority with a folder for what it signs.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // OpenSSL takes a certificate whose issuer has its own name for one that signed itself.
        params.distinguished_name.push(DnType::CommonName, "authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        std::fs::write(folder.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        let authority = Self { issuer: Issuer::new(params, key), folder };
        authority.issue("server");
        authority
    }

    /// Signs a certificate for loopback, in place of an earlier one of that name. Returns it.
    fn issue(&self, name: &str) -> Vec<u8> {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
        std::fs::write(self.path(&format!("{name}.pem")), certificate.pem()).unwrap();
        certificate.der().to_vec()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A server with these settings besides its certificate.
    fn serve(&self, settings: &[(&str, &str)]) -> Server {
        let (cert, key) = (self.path("server.pem"), self.path("server.key"));
        let tls =
            [("KEYSTOW_TLS__CERT", cert.to_str().unwrap()), ("KEYSTOW_TLS__KEY", key.to_str().unwrap())];
        Server::start_with(&[&tls, settings].concat())
    }

    /// A connection of a client that believes this authority.
    fn connect(&self, port: u16, identity: Option<&str>) -> Secure {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.path("ca.pem")).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match identity {
            None => config.with_no_client_auth(),
            Some(name) => {
                let certificate = CertificateDer::from_pem_file(self.path(&format!("{name}.pem"))).unwrap();
                let key = PrivateKeyDer::from_pem_file(self.path(&format!("{name}.key"))).unwrap();
                config.with_client_auth_cert(vec![certificate], key).unwrap()
            }
        };
        let socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let name = "127.0.0.1".try_into().unwrap();
        StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), socket)
    }

    fn get(&self, url: &str, method: &str, headers: &[(&str, &str)]) -> Reply {
        let (port, path) = target(url);
        let mut socket = self.connect(port, None);
        ask(&mut socket, method, &path, headers);
        finish(socket, Vec::new())
    }
}

type Secure = StreamOwned<ClientConnection, TcpStream>;

fn target(url: &str) -> (u16, String) {
    crate::lab::target(&url.replacen("https://", "http://", 1))
}

fn ask(socket: &mut impl Write, method: &str, path: &str, headers: &[(&str, &str)]) {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    for (name, value) in headers {
        head += &[name, ": ", value, "\r\n"].concat();
    }
    head.push_str("\r\n");
    socket.write_all(head.as_bytes()).unwrap();
}

/// Reads to the end, which the server must have said is the end.
fn finish(mut socket: Secure, mut raw: Vec<u8>) -> Reply {
    socket.read_to_end(&mut raw).expect("an end that the server meant");
    read_reply(&raw)
}

/// A server whose downloads speak TLS and whose API does not, with a backup of that many keys.
fn world(authority: &Authority, keys: u32, size: u32) -> (Server, String) {
    let redis = Redis::start(&[]);
    redis.ask(&format!("DEBUG POPULATE {keys} key {size}"));
    let server = authority.serve(&[("KEYSTOW_TLS__API__OFF", "true")]);
    let backup = server.backup_of(&redis, "crs-1")["id"].as_str().unwrap().to_owned();
    (server, backup)
}

#[test]
fn downloads_over_tls_are_the_same_bytes() {
    let authority = Authority::new();
    let (server, backup) = world(&authority, 3000, 200);
    let url = server.link(&backup, &[]);
    assert!(url.starts_with("https://127.0.0.1:"), "{url}");
    let whole = authority.get(&url, "GET", &[]);
    assert_eq!(whole.status, 200);
    assert_eq!(whole.body.len().to_string(), whole.header("content-length"));
    let stored = server.repository_files().into_iter().find(|name| !name.contains("json")).unwrap();
    let stored = std::fs::read(server.data.join("repository").join(stored)).unwrap();
    assert!(whole.body == stored);

    let head = authority.get(&url, "HEAD", &[]);
    assert!(head.body.is_empty());
    assert_eq!(head.header("etag"), whole.header("etag"));
    let half = stored.len() / 2;
    let range = authority.get(&url, "GET", &[("Range", &format!("bytes={half}-"))]);
    assert_eq!(range.status, 206);
    assert!(range.body == stored[half..]);
    let small = authority.get(&url, "GET", &[("Range", "bytes=5-9")]);
    assert_eq!(small.body, stored[5..10]);
}

#[test]
fn curl_resumes_over_tls() {
    let authority = Authority::new();
    let (server, backup) = world(&authority, 3000, 200);
    let url = server.link(&backup, &[]);
    let whole = authority.get(&url, "GET", &[]).body;
    let file = authority.path("resumed");
    std::fs::write(&file, &whole[..whole.len() / 3]).unwrap();
    for version in ["--tlsv1.3", "--tls-max 1.2"] {
        let mut curl = Command::new("curl");
        curl.args(["-s", "-f", "-C", "-"]).args(version.split(' '));
        curl.arg("--cacert").arg(authority.path("ca.pem")).arg("-o").arg(&file).arg(&url);
        assert_eq!(curl.status().unwrap().code(), Some(0), "{version}");
        assert!(std::fs::read(&file).unwrap() == whole, "{version}");
        std::fs::write(&file, &whole[..1]).unwrap();
    }
    let untrusting = Command::new("curl").args(["-s", "-f", "-o", "/dev/null", &url]).status().unwrap();
    assert_eq!(untrusting.code(), Some(60), "a client that does not know the authority");
}

#[test]
fn new_certificates_are_shown_to_new_connections_and_running_downloads_go_on() {
    let authority = Authority::new();
    let (server, backup) = world(&authority, 30_000, 1000);
    let url = server.link(&backup, &[]);
    let (port, path) = target(&url);
    let mut running = authority.connect(port, None);
    ask(&mut running, "GET", &path, &[]);
    let mut raw = vec![0; 4096];
    running.read_exact(&mut raw).unwrap();

    let fresh = authority.issue("server");
    until("the new certificate", || {
        let mut socket = authority.connect(port, None);
        ask(&mut socket, "GET", "/", &[]);
        let shown = socket.conn.peer_certificates()?[0].to_vec();
        (shown == fresh).then_some(())
    });
    let whole = finish(running, raw);
    assert_eq!(whole.body.len().to_string(), whole.header("content-length"));
    assert!(whole.body == authority.get(&url, "GET", &[]).body);
}

#[test]
fn sighup_reads_certificates_and_stops_nothing() {
    let authority = Authority::new();
    let mut server = authority.serve(&[]);
    let fresh = authority.issue("server");
    let told = Command::new("kill").args(["-HUP", &server.pid().to_string()]).status().unwrap();
    assert!(told.success());
    until("the new certificate", || {
        let mut socket = authority.connect(server.api, None);
        ask(&mut socket, "GET", "/healthz", &[]);
        let shown = socket.conn.peer_certificates()?[0].to_vec();
        assert_eq!(finish(socket, Vec::new()).status, 200);
        (shown == fresh).then_some(())
    });
    server.terminate();
    assert_eq!(server.wait(), 0);
}

#[test]
fn the_command_line_speaks_to_an_api_with_tls() {
    let authority = Authority::new();
    let server = authority.serve(&[]);
    let asked = |ca: &str| {
        let mut command = program();
        command.args(["instance", "list", "--json"]).env("KEYSTOW_DATA_DIR", &server.data);
        command.env("KEYSTOW_SERVER", format!("https://127.0.0.1:{}", server.api));
        command.env("SSL_CERT_FILE", authority.path(ca)).env_remove("SSL_CERT_DIR").output().unwrap()
    };
    let output = asked("ca.pem");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let other = Authority::new();
    std::fs::copy(other.path("ca.pem"), authority.path("other.pem")).unwrap();
    assert_eq!(asked("other.pem").status.code(), Some(8));
}

#[test]
fn fetch_and_wget_take_links_over_tls() {
    let authority = Authority::new();
    let (server, backup) = world(&authority, 3000, 200);
    let url = server.link(&backup, &[]);
    let whole = authority.get(&url, "GET", &[]).body;
    let (fetched, got, ca) = (authority.path("fetched"), authority.path("got"), authority.path("ca.pem"));
    let mut fetch = program();
    fetch.args(["fetch", "-j", "4", &url, "-o"]).arg(&fetched).env("SSL_CERT_FILE", &ca);
    let mut wget = Command::new("wget");
    wget.args(["-q", "--ca-certificate"]).arg(&ca).arg("-O").arg(&got).arg(&url);
    for (mut command, file) in [(fetch, fetched), (wget, got)] {
        assert!(command.output().unwrap().status.success(), "{command:?}");
        assert!(std::fs::read(&file).unwrap() == whole, "{command:?}");
    }
}

#[test]
fn where_a_client_authority_is_set_only_its_certificates_are_let_in() {
    let authority = Authority::new();
    authority.issue("friend");
    let stranger = Authority::new();
    stranger.issue("stranger");
    for end in ["pem", "key"] {
        let name = format!("stranger.{end}");
        std::fs::copy(stranger.path(&name), authority.path(&name)).unwrap();
    }
    let ca = authority.path("ca.pem");
    let server = authority.serve(&[("KEYSTOW_TLS__API__CLIENT_CA", ca.to_str().unwrap())]);
    let mut friend = authority.connect(server.api, Some("friend"));
    ask(&mut friend, "GET", "/healthz", &[]);
    assert_eq!(finish(friend, Vec::new()).status, 200);
    for identity in [None, Some("stranger")] {
        let mut socket = authority.connect(server.api, identity);
        let _ = socket.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(socket.read(&mut [0; 64]).is_err(), "{identity:?}");
    }
    let mut open = authority.connect(server.download, None);
    ask(&mut open, "GET", "/", &[]);
    assert_eq!(finish(open, Vec::new()).status, 403, "the other listeners ask for none");
}

#[test]
fn plain_http_on_a_tls_port_is_told_so() {
    let authority = Authority::new();
    let server = authority.serve(&[]);
    for port in [server.api, server.download, server.intranet] {
        let reply = request(port, "GET", "/", &[], b"");
        assert_eq!(reply.status, 400);
        assert!(reply.text().contains("speaks https"));
    }
}

#[test]
fn a_handshake_that_stands_still_is_cut_off() {
    let authority = Authority::new();
    let server = authority.serve(&[("KEYSTOW_LIMITS__HEADER_TIMEOUT", "1s")]);
    let mut socket = TcpStream::connect(("127.0.0.1", server.download)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(&[22, 3, 1]).unwrap();
    let mut rest = Vec::new();
    let _ = socket.read_to_end(&mut rest);
    assert!(rest.is_empty());
}

#[test]
fn the_proxy_protocol_comes_before_tls() {
    let authority = Authority::new();
    let server = authority.serve(&[
        ("KEYSTOW_LISTEN__PROXY_PROTOCOL", "download"),
        ("KEYSTOW_LISTEN__TRUSTED_PROXIES", "127.0.0.1"),
    ]);
    let mut socket = authority.connect(server.download, None);
    socket.sock.write_all(b"PROXY TCP4 203.0.113.7 127.0.0.1 1 2\r\n").unwrap();
    ask(&mut socket, "GET", "/", &[]);
    assert_eq!(finish(socket, Vec::new()).status, 403);
}
