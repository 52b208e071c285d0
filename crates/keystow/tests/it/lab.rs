//! A throw-away Redis, a throw-away Keystow, and what to call them with.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// How long anything may take to happen.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// Waits until `happened` gives something.
pub(crate) fn until<T>(what: &str, mut happened: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = happened() {
            return value;
        }
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A port that was free a moment ago, below those that the kernel gives to outgoing connections. Each call of a
/// process gives another.
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
pub(crate) struct Redis {
    pub(crate) port: u16,
    child: Child,
    _folder: TempDir,
}

impl Redis {
    pub(crate) fn start(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .args(["--enable-debug-command", "yes", "--repl-diskless-sync-delay", "0"])
            .arg("--dir")
            .arg(folder.path())
            .args(options)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server is on the PATH (Debian: apt-get install redis-server)");
        let redis = Self { port, child, _folder: folder };
        until("redis-server", || {
            redis.ask("PING").filter(|reply| reply.contains("PONG") || reply.contains("NOAUTH"))
        });
        redis
    }

    /// Starts one that loads this file first.
    pub(crate) fn load(file: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(file, folder.path().join("start.rdb")).unwrap();
        Self::start(&["--dir", folder.path().to_str().unwrap(), "--dbfilename", "start.rdb"])
    }

    /// Sends one inline command and reads what comes at once.
    pub(crate) fn ask(&self, command: &str) -> Option<String> {
        let mut socket = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        socket.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
        socket.write_all(format!("{command}\r\n").as_bytes()).ok()?;
        let mut reply = vec![0; 64 * 1024];
        let read = socket.read(&mut reply).ok()?;
        Some(String::from_utf8_lossy(&reply[..read]).into_owned())
    }

    pub(crate) fn digest(&self) -> String {
        self.ask("DEBUG DIGEST").unwrap().trim().trim_start_matches('+').to_owned()
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A running `keystow serve`.
pub(crate) struct Server {
    pub(crate) api: u16,
    pub(crate) download: u16,
    pub(crate) intranet: u16,
    pub(crate) data: PathBuf,
    child: Child,
    folder: TempDir,
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// The program, without anybody's settings.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keystow"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("KEYSTOW_")) {
        command.env_remove(name);
    }
    command
}

/// Runs the program to its end.
pub(crate) fn run(words: &[&str]) -> Said {
    finish(program().args(words))
}

pub(crate) fn finish(command: &mut Command) -> Said {
    let output = command.stdin(Stdio::null()).output().unwrap();
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts with these environment settings.
    pub(crate) fn start_with(settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        Self::launch(folder, data, settings)
    }

    /// Starts on a copy of a data directory.
    pub(crate) fn start_on(original: &Path, settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        copy_folder(original, &data);
        Self::launch(folder, data, settings)
    }

    /// The same, after its catalog was lost and made anew from its repository.
    pub(crate) fn start_rebuilt_on(original: &Path, settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        copy_folder(original, &data);
        std::fs::remove_file(data.join("catalog.db")).unwrap();
        let rebuilt = program().args(["catalog", "rebuild", "--data-dir"]).arg(&data).output().unwrap();
        assert!(rebuilt.status.success(), "{}", String::from_utf8_lossy(&rebuilt.stderr));
        Self::launch(folder, data, settings)
    }

    fn launch(folder: TempDir, data: PathBuf, settings: &[(&str, &str)]) -> Self {
        let ports = [free_port(), free_port(), free_port()];
        let address = |port: u16| format!("127.0.0.1:{port}");
        let mut child = program()
            .args(["serve", "--api", &address(ports[0]), "--download", &address(ports[1])])
            .args(["--intranet", &address(ports[2])])
            .arg("--data-dir")
            .arg(&data)
            .envs(settings.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        loop {
            let line = lines.next().unwrap_or_else(|| panic!("the server stopped: {said}")).unwrap();
            if line == "ready" {
                break;
            }
            said.push_str(&line);
            said.push('\n');
        }
        // Keep reading, or the log would fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { api: ports[0], download: ports[1], intranet: ports[2], data, child, folder }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop.
    pub(crate) fn terminate(&self) {
        let done = Command::new("kill").args(["-TERM", &self.pid().to_string()]).status().unwrap();
        assert!(done.success());
    }

    /// Starts again on the same data, after [`Server::wait`].
    pub(crate) fn restart(mut self) -> Self {
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        Self::launch(folder, self.data.clone(), &[])
    }

    pub(crate) fn wait(&mut self) -> i32 {
        until("the server's end", || self.child.try_wait().unwrap()).code().unwrap_or(-1)
    }

    /// Runs a command against this server. Instances are added without the usual policy: its backup could fall due in
    /// the middle of a test.
    pub(crate) fn cli(&self, words: &[&str]) -> Said {
        let is_add = words.starts_with(&["instance", "add"]);
        self.typed(&if is_add { [words, &["--no-policy"]].concat() } else { words.to_vec() })
    }

    /// Runs a command against this server just as it is typed.
    pub(crate) fn typed(&self, words: &[&str]) -> Said {
        finish(
            program()
                .args(words)
                .env("KEYSTOW_SERVER", format!("http://127.0.0.1:{}", self.api))
                .env("KEYSTOW_DATA_DIR", &self.data),
        )
    }

    /// Runs a command with `--json` and reads what it wrote.
    pub(crate) fn json(&self, words: &[&str]) -> Value {
        self.cli(&[words, &["--json"]].concat()).json()
    }

    /// The admin's id and secret.
    pub(crate) fn admin(&self) -> (String, String) {
        let text = std::fs::read_to_string(self.data.join("admin.key")).unwrap();
        let key: Value = serde_json::from_str(&text).unwrap();
        (key["access_key_id"].as_str().unwrap().to_owned(), key["secret"].as_str().unwrap().to_owned())
    }

    /// One request to the native API as the admin.
    pub(crate) fn api(&self, method: &str, path: &str, body: &str) -> Reply {
        let (id, secret) = self.admin();
        self.api_as(Some((&id, &secret)), method, path, body)
    }

    pub(crate) fn api_as(&self, key: Option<(&str, &str)>, method: &str, path: &str, body: &str) -> Reply {
        use base64::Engine as _;
        let mut headers = vec![("Content-Type", "application/json".to_owned())];
        if let Some((id, secret)) = key {
            let basic = base64::engine::general_purpose::STANDARD.encode(format!("{id}:{secret}"));
            headers.push(("Authorization", format!("Basic {basic}")));
        }
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        request(self.api, method, path, &headers, body.as_bytes())
    }

    /// Adds the instance and takes one backup of it.
    pub(crate) fn backup_of(&self, redis: &Redis, id: &str) -> Value {
        self.json(&["instance", "add", &redis.url(), "--id", id]);
        self.json(&["backup", "create", id, "--wait"])
    }

    /// A link to a backup.
    pub(crate) fn link(&self, backup: &str, options: &[&str]) -> String {
        let made = self.json(&[&["link", "create", backup], options].concat());
        made["links"][0]["url"].as_str().unwrap().to_owned()
    }

    /// Every file below the repository, relative to it, but for the copies of the catalog.
    pub(crate) fn repository_files(&self) -> Vec<String> {
        let root = self.data.join("repository");
        let (mut waiting, mut found) = (vec![root.clone()], Vec::new());
        while let Some(folder) = waiting.pop() {
            // It may be on its way out.
            let Ok(entries) = std::fs::read_dir(folder) else { continue };
            for entry in entries {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    waiting.push(path);
                } else {
                    found.push(path.strip_prefix(&root).unwrap().to_string_lossy().into_owned());
                }
            }
        }
        found.retain(|file| !file.starts_with("catalog/"));
        found.sort();
        found
    }
}

/// Copies a folder with all that is in it.
/// Copies a data directory. The modes of its secrets are lost on their way through version control.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).unwrap();
            std::fs::set_permissions(target, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// One raw HTTP/1.1 request on a connection of its own.
pub(crate) fn request(port: u16, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut head =
        format!("{method} {target} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        head += &["Host: 127.0.0.1:", &port.to_string(), "\r\n"].concat();
    }
    for (name, value) in headers {
        head += &[name, ": ", value, "\r\n"].concat();
    }
    head.push_str("\r\n");
    socket.write_all(head.as_bytes()).unwrap();
    socket.write_all(body).unwrap();
    let mut raw = Vec::new();
    socket.read_to_end(&mut raw).unwrap();
    read_reply(&raw)
}

/// Reads an answer that ends with its connection.
pub(crate) fn read_reply(raw: &[u8]) -> Reply {
    let end = raw.windows(4).position(|window| window == b"\r\n\r\n").expect("a whole head");
    let head = String::from_utf8_lossy(&raw[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Reply { status, headers, body: raw[end + 4..].to_vec() }
}

/// Port and target of a URL on loopback.
pub(crate) fn target(url: &str) -> (u16, String) {
    let rest = url.strip_prefix("http://127.0.0.1:").unwrap();
    let (port, path) = rest.split_once('/').unwrap();
    (port.parse().unwrap(), format!("/{path}"))
}

/// Fetches a link.
pub(crate) fn get(url: &str, headers: &[(&str, &str)]) -> Reply {
    let (port, target) = target(url);
    request(port, "GET", &target, headers, b"")
}
