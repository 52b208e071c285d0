//! Real servers, started on free ports and stopped when dropped.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// How long a test waits for a process before it gives up.
pub(crate) const PATIENCE: Duration = Duration::from_mins(3);

/// Looks again and again until `done` gives something.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = done() {
            return found;
        }
        assert!(Instant::now() < deadline, "gave up waiting: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A port that was free a moment ago, below those that the kernel gives to outgoing connections. Each call of a process
/// gives another.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 12_000).unwrap_or(0);
    loop {
        let port = 15_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 17_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A redis-server of our own.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    password: Option<String>,
    folder: tempfile::TempDir,
}

impl Server {
    /// Starts a server with these options on top of those that every test wants.
    pub(crate) fn start(options: &[&str]) -> Self {
        let server = Self::start_on(tempfile::tempdir().unwrap(), options);
        until("the server to load", || server.connect().command(&["PING"]).is_status("PONG").then_some(()));
        server
    }

    /// Starts a server on a folder that may hold a `dump.rdb`. Waits until it answers, be it that it is loading.
    pub(crate) fn start_on(folder: tempfile::TempDir, options: &[&str]) -> Self {
        let password = options.iter().position(|option| *option == "--requirepass");
        let password = password.map(|at| options[at + 1].to_owned());
        let mut port = free_port();
        let mut child = launch(port, folder.path(), options);
        until("redis-server to listen", || {
            if let Some(status) = child.try_wait().unwrap() {
                // Another process may have taken the port between the look and the start.
                assert!(status.code() == Some(1), "redis-server ended: {status}");
                port = free_port();
                child = launch(port, folder.path(), options);
            }
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        let server = Self { child, port, password, folder };
        let ours = format!("process_id:{}\r\n", server.child.id());
        let info = server.connect().command(&["INFO", "server"]).text();
        // INFO works while loading; anything else there is another process's port.
        assert!(info.contains(&ours), "port {port} is not ours: {info}");
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The folder of its `dump.rdb`.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn connect(&self) -> Client {
        let mut client = Client::connect(self.port);
        if let Some(password) = &self.password {
            assert!(client.command(&["AUTH", password]).is_status("OK"));
        }
        client
    }

    /// What all of its keys and values come to, as the server itself sums it up.
    pub(crate) fn digest(&self) -> String {
        self.connect().command(&["DEBUG", "DIGEST"]).text()
    }

    /// Ends it the hard way.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn launch(port: u16, folder: &Path, options: &[&str]) -> Child {
    Command::new("redis-server")
        .args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--enable-debug-command",
            "yes",
        ])
        .args(["--repl-diskless-sync-delay", "0", "--daemonize", "no", "--dir"])
        .arg(folder)
        .args(options)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("cannot start redis-server: {error}; these tests need it: apt-get install redis-server")
        })
}

/// A reply of a server.
#[derive(Debug, PartialEq)]
pub(crate) enum Reply {
    Status(String),
    Error(String),
    Number(i64),
    Bulk(Option<Vec<u8>>),
    List(Vec<Reply>),
}

impl Reply {
    pub(crate) fn is_status(&self, text: &str) -> bool {
        matches!(self, Self::Status(found) if found == text)
    }

    #[track_caller]
    pub(crate) fn text(self) -> String {
        match self {
            Self::Status(text) => text,
            Self::Bulk(Some(bytes)) => String::from_utf8(bytes).unwrap(),
            other => panic!("not a text: {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn number(self) -> i64 {
        let Self::Number(number) = self else { panic!("not a number: {self:?}") };
        number
    }
}

/// A client with no cleverness.
pub(crate) struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(port: u16) -> Self {
        let socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(BufReader::new(socket))
    }

    /// One command and its reply.
    #[track_caller]
    pub(crate) fn command<W: AsRef<[u8]>>(&mut self, words: &[W]) -> Reply {
        self.send(words);
        self.reply()
    }

    /// Commands, one in a line of words, whose replies must not be errors.
    #[track_caller]
    pub(crate) fn run(&mut self, commands: &str) {
        for line in commands.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let words: Vec<&str> = line.split(' ').collect();
            let reply = self.command(&words);
            assert!(!matches!(reply, Reply::Error(_)), "{line}: {reply:?}");
        }
    }

    fn send<W: AsRef<[u8]>>(&mut self, words: &[W]) {
        let mut out = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            out.extend_from_slice(format!("${}\r\n", word.as_ref().len()).as_bytes());
            out.extend_from_slice(word.as_ref());
            out.extend_from_slice(b"\r\n");
        }
        self.0.get_mut().write_all(&out).unwrap();
    }

    fn reply(&mut self) -> Reply {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        let (kind, rest) = line.trim_end().split_at(1);
        match kind {
            "+" => Reply::Status(rest.to_owned()),
            "-" => Reply::Error(rest.to_owned()),
            ":" => Reply::Number(rest.parse().unwrap()),
            "$" => {
                let Ok(length) = usize::try_from(rest.parse::<i64>().unwrap()) else {
                    return Reply::Bulk(None);
                };
                let mut body = vec![0; length + 2];
                self.0.read_exact(&mut body).unwrap();
                body.truncate(length);
                Reply::Bulk(Some(body))
            }
            "*" => Reply::List((0..rest.parse::<i64>().unwrap()).map(|_| self.reply()).collect()),
            other => panic!("no reply: {other}"),
        }
    }
}

/// Every type in several encodings, TTLs, odd bytes, a function and more than one database.
pub(crate) fn fill_with_everything(server: &Server) {
    let mut client = server.connect();
    client.run(
        "SET plain value
         SET number 12345
         SET soon x PX 86400000
         RPUSH list a b c 1 2 3
         SADD numbers 1 2 3
         SADD words one two three
         HSET hash f1 v1 f2 v2
         ZADD scores 1.5 a -inf b +inf c
         XADD stream 1-1 f v
         XADD stream 2-1 f v g w
         XGROUP CREATE stream readers 0
         XREADGROUP GROUP readers one COUNT 1 STREAMS stream >
         PFADD uniques a b c
         GEOADD places 13.361389 38.115556 Palermo
         SETBIT bits 1000 1
         SELECT 9
         SET plain other
         SELECT 0",
    );
    client.command(&[&b"SET"[..], b"odd \x00\xff\r\n bytes", &[0xff; 100]]);
    client.command(&["SET", "compressible", &"abc".repeat(50_000)]);
    for number in 0..600 {
        let member = format!(
            "a member with number {number} that is longer than sixty-four bytes, so that it is not packed"
        );
        client.command(&["SADD", "large set", &member]);
        client.command(&["HSET", "large hash", &member, &member]);
        client.command(&["ZADD", "large scores", &format!("{number}.25"), &member]);
        client.command(&["RPUSH", "large list", &member]);
    }
    let library = "#!lua name=lib\nredis.register_function('f', function() return 1 end)";
    assert_eq!(client.command(&["FUNCTION", "LOAD", library]).text(), "lib");
}

/// So many strings of so many bytes that do not compress.
pub(crate) fn fill_with_strings(server: &Server, keys: u64, bytes: usize) {
    let mut client = server.connect();
    let mut state = 1u64;
    for number in 0..keys {
        let value: Vec<u8> = (0..bytes)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 56) as u8
            })
            .collect();
        client.send(&[b"SET", format!("key:{number}").as_bytes(), &value]);
    }
    for _ in 0..keys {
        assert!(client.reply().is_status("OK"));
    }
}
