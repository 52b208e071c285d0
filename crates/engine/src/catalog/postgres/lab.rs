//! A PostgreSQL of the test run's own, started when the first test asks for it.
//!
//! It listens on a socket in a temporary folder, as the user `postgres` where the tests run as root, and is stopped when
//! the test run ends: a shell holds the other end of a pipe from us.

use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::OnceCell;

/// A server, and the number of the next database.
struct Server {
    folder: PathBuf,
    next: AtomicU32,
    _keeper: (Child, ChildStdin),
}

static SERVER: OnceCell<Server> = OnceCell::const_new();

/// The URL of a new database.
pub(super) async fn database() -> String {
    let server = SERVER.get_or_init(|| async { tokio::task::spawn_blocking(start).await.unwrap() }).await;
    let name = format!("keystow_{}", server.next.fetch_add(1, Ordering::Relaxed));
    let admin = sqlx::PgPool::connect(&url(&server.folder, "postgres")).await.unwrap();
    sqlx::query(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&admin).await.unwrap();
    admin.close().await;
    url(&server.folder, &name)
}

fn url(folder: &Path, database: &str) -> String {
    format!("postgres://keystow@localhost/{database}?host={}", folder.display())
}

/// The folder of PostgreSQL's programs: Debian keeps them off the PATH.
fn programs() -> PathBuf {
    let mut folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH").unwrap()).collect();
    if let Ok(versions) = std::fs::read_dir("/usr/lib/postgresql") {
        folders.extend(versions.map(|entry| entry.unwrap().path().join("bin")));
    }
    folders
        .into_iter()
        .find(|folder| folder.join("initdb").exists())
        .expect("these tests need PostgreSQL: apt-get install postgresql")
}

fn start() -> Server {
    let folder = tempfile::tempdir().unwrap().keep();
    let is_root = rustix::process::geteuid().is_root();
    let script = include_str!("lab.sh");
    let mut command = if is_root {
        let mut command = Command::new("setpriv");
        assert!(Command::new("chown").arg("postgres").arg(&folder).status().unwrap().success());
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "sh"]);
        command
    } else {
        Command::new("sh")
    };
    let mut keeper = command
        .args(["-c", script, "sh"])
        .args([&programs(), &folder])
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_mins(2);
    while !folder.join("ready").exists() {
        assert!(keeper.try_wait().unwrap().is_none(), "PostgreSQL did not start; see {}", folder.display());
        assert!(Instant::now() < deadline, "PostgreSQL takes too long to start");
        std::thread::sleep(Duration::from_millis(20));
    }
    let pipe = keeper.stdin.take().unwrap();
    Server { folder, next: AtomicU32::new(1), _keeper: (keeper, pipe) }
}
