//! A server of our own that loads one snapshot and is thrown away: it listens on a Unix socket in its own folder only,
//! saves nothing, and ends with the value that holds it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio_util::sync::CancellationToken;

use super::connection::{Connection, Reply, Timeouts};
use super::info::Info;
use super::programs::{Program, command};
use super::version::Version;
use super::{Login, Node};
use crate::error::{Error, Kind, Result};

/// The snapshot's name in the server's folder.
pub const SNAPSHOT: &str = "dump.rdb";
/// The socket's name there.
const SOCKET: &str = "s";
/// Its log.
const LOG: &str = "server.log";
/// Its process id, for whoever finds the folder after a crash.
const PID: &str = "pid";
/// Pause between two looks at the server.
const LOOK: Duration = Duration::from_millis(50);
/// Lines and bytes of its log that an error quotes.
const QUOTED_LINES: usize = 6;
const QUOTED_BYTES: u64 = 4096;
/// More databases than this are not made: each takes memory, used or not.
const MOST_DATABASES: u64 = 65_536;

/// A process and all that it started, killed when dropped.
#[derive(Debug)]
pub(super) struct Group(Child);

impl Group {
    /// Of a child that leads its own group.
    pub(super) fn of(child: Child) -> Self {
        Self(child)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Not waited for yet, so its number cannot be another's.
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = kill_process_group(Pid::from_child(&self.0), Signal::KILL);
            let _ = self.0.kill();
        }
        let _ = self.0.wait();
    }
}

/// A server that loads, or has loaded, a snapshot.
#[derive(Debug)]
pub struct Throwaway {
    group: Group,
    /// Held open: its path may be longer than a socket's address can be.
    folder: File,
    path: PathBuf,
    started: Instant,
    deadline: Instant,
}

impl Throwaway {
    /// Starts a server on a folder that holds the snapshot. `databases` is how many it needs; it has `limit` for
    /// everything.
    pub fn start(program: &Program, folder: &Path, databases: u64, limit: Duration) -> Result<Self> {
        let failed = |error: std::io::Error| {
            Error::io(format!("cannot start {} in {}", program.path.display(), folder.display()), &error)
        };
        let open = File::open(folder).map_err(failed)?;
        let mut command = command(&program.path);
        // What it says before it has read where its log is belongs there as well.
        let log = File::options().create(true).append(true).open(folder.join(LOG)).map_err(failed)?;
        command.current_dir(folder).stdout(log.try_clone().map_err(failed)?).stderr(log);
        command
            .args(["--port", "0", "--unixsocket", SOCKET, "--unixsocketperm", "700"])
            .arg("--dir")
            .arg(".");
        command.args(["--dbfilename", SNAPSHOT, "--save", "", "--appendonly", "no", "--daemonize", "no"]);
        // A replica, of nobody, deletes nothing by itself: every key of the file can be counted.
        command.args(["--replicaof", "127.0.0.1", "1", "--maxmemory", "0", "--logfile", LOG]);
        command.arg("--databases").arg(databases.clamp(16, MOST_DATABASES).to_string());
        if program.version >= Version([7, 0, 0]) {
            command.args(["--enable-debug-command", "local"]);
        }
        let started = Instant::now();
        let group = Group::of(command.spawn().map_err(failed)?);
        std::fs::write(folder.join(PID), group.0.id().to_string()).map_err(failed)?;
        let path = folder.to_owned();
        Ok(Self { group, folder: open, path, started, deadline: started + limit })
    }

    /// When it was started.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Waits until it has loaded everything, telling bytes done and bytes in all on the way. Blocks, on a thread of a
    /// tokio runtime that may.
    pub fn wait_until_loaded(
        &mut self,
        cancel: &CancellationToken,
        told: &mut dyn FnMut(u64, u64),
    ) -> Result<Connection> {
        let mut connection = self.connect(cancel)?;
        loop {
            let info = Info::ask(&mut connection).map_err(|error| self.explain(error))?.unwrap_or_default();
            if info.text("loading") == "0" {
                return Ok(connection);
            }
            let number = |name| info.number(name).unwrap_or(0);
            told(number("loading_loaded_bytes"), number("loading_total_bytes"));
            self.pause(cancel)?;
        }
    }

    /// Connects as soon as there is a socket.
    fn connect(&mut self, cancel: &CancellationToken) -> Result<Connection> {
        let socket = PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", self.folder.as_raw_fd()));
        let left = self.deadline.saturating_duration_since(Instant::now());
        // A server answers between two values only, and one value may be large.
        let timeouts = Timeouts { reply: left, silence: left };
        loop {
            match Connection::open(&Node::Unix(socket.clone()), &Login::default(), timeouts, cancel.clone()) {
                Ok(connection) => return Ok(connection),
                Err(error) if error.kind == Kind::Cancelled => return Err(error),
                Err(_) => self.pause(cancel)?,
            }
        }
    }

    /// Waits a moment, unless the server has ended, its time is up, or somebody says stop.
    fn pause(&mut self, cancel: &CancellationToken) -> Result<()> {
        if cancel.is_cancelled() {
            return Err(Error::cancelled());
        }
        if let Ok(Some(status)) = self.group.0.try_wait() {
            return Err(self.ended(status));
        }
        if Instant::now() >= self.deadline {
            return Err(self.interrupted("it has not loaded the snapshot in time"));
        }
        std::thread::sleep(LOOK);
        Ok(())
    }

    /// What a broken connection means: the server ended, or it is too slow for this host.
    pub fn explain(&mut self, error: Error) -> Error {
        if error.kind == Kind::Cancelled {
            return error;
        }
        // It closes its sockets a moment before it is gone.
        for _ in 0..40 {
            if let Ok(Some(status)) = self.group.0.try_wait() {
                return self.ended(status);
            }
            std::thread::sleep(LOOK);
        }
        self.interrupted(&error.to_string())
    }

    /// What the server's end means: it gave up the snapshot, or something else ended it.
    fn ended(&self, status: ExitStatus) -> Error {
        let why = format!("it ended with {status}");
        if says_nothing(status, &self.last_words()) {
            return self.interrupted(&why);
        }
        Error::new(Kind::Corrupt, "DRILL_FAILED", "the server did not load the snapshot")
            .because(self.with_last_words(&why))
    }

    /// The server was not let finish: that says nothing of the snapshot.
    fn interrupted(&self, why: &str) -> Error {
        Error::new(Kind::Unreachable, "DRILL_INTERRUPTED", "the server could not finish loading the snapshot")
            .because(self.with_last_words(why))
            .hint(
                "has this host the memory for it, and the time? look at its log; drill.timeout gives longer",
            )
    }

    fn with_last_words(&self, why: &str) -> String {
        let log = self.last_words();
        if log.is_empty() { why.to_owned() } else { format!("{why}; its log ends: {log}") }
    }

    /// The last lines of its log, for people.
    fn last_words(&self) -> String {
        let read = || -> std::io::Result<Vec<u8>> {
            let mut file = File::open(self.path.join(LOG))?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(QUOTED_BYTES)))?;
            let mut bytes = Vec::new();
            file.take(QUOTED_BYTES).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        last_lines(&String::from_utf8_lossy(&read().unwrap_or_default()))
    }
}

/// Whether a server's end is its host's matter: it was told to end (by the kernel, too, that ran out of memory), or got
/// no memory. What does not load ends a server with an exit code, or crashes it.
fn says_nothing(status: ExitStatus, log: &str) -> bool {
    const CRASHES: [Signal; 5] = [Signal::ABORT, Signal::SEGV, Signal::BUS, Signal::ILL, Signal::FPE];
    let told = status.signal().is_some_and(|signal| !CRASHES.iter().any(|crash| crash.as_raw() == signal));
    // Redis `src/server.c`: `redisOutOfMemoryHandler` says so, and aborts.
    status.success() || told || log.contains("Out Of Memory")
}

/// What all keys and values come to, as the server itself sums it up; `None` where it does not offer that.
pub fn digest(connection: &mut Connection) -> Result<Option<String>> {
    Ok(match connection.call(&[b"DEBUG", b"DIGEST"])? {
        Reply::Simple(text) if text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit()) => Some(text),
        _ => None,
    })
}

/// The last lines of a log, without dates and control characters, in one.
fn last_lines(log: &str) -> String {
    // Warnings are advice for servers that stay.
    let wanted = |line: &&str| !line.is_empty() && !line.contains("WARNING");
    let lines: Vec<&str> = log.lines().map(str::trim).filter(wanted).collect();
    let last = &lines[lines.len().saturating_sub(QUOTED_LINES)..];
    let bare = |line: &&str| -> String {
        // `4711:M 22 Nov 2026 07:00:00.000 # Bad file format…`: what stands behind the sign of the level.
        let text = [" # ", " * ", " - ", " . "]
            .iter()
            .find_map(|sign| line.split_once(sign))
            .map_or(*line, |(_, text)| text);
        text.chars().filter(|c| !c.is_control()).take(300).collect()
    };
    last.iter().map(bare).collect::<Vec<_>>().join(" / ")
}

/// Removes what a crash left in the folder of all throw-away servers, servers that are still running included. Only
/// while none is at work. Returns how many folders there were.
pub fn sweep(folder: &Path) -> Result<u64> {
    let failed = |error: &std::io::Error| Error::io(format!("cannot sweep {}", folder.display()), error);
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        other => other.map_err(|error| failed(&error))?,
    };
    let mut removed = 0;
    for entry in entries {
        let entry = entry.map_err(|error| failed(&error))?;
        if !entry.file_type().map_err(|error| failed(&error))?.is_dir() {
            continue;
        }
        end_orphan(&entry.path());
        std::fs::remove_dir_all(entry.path()).map_err(|error| failed(&error))?;
        removed += 1;
    }
    Ok(removed)
}

/// Ends the server of a folder, if its process is still there: known by its number and by where it works.
fn end_orphan(folder: &Path) {
    let Ok(text) = std::fs::read_to_string(folder.join(PID)) else { return };
    let Some(pid) = text.trim().parse().ok().filter(|pid| *pid > 1).and_then(Pid::from_raw) else { return };
    let works_in = std::fs::read_link(format!("/proc/{}/cwd", pid.as_raw_nonzero()));
    let same = works_in.is_ok_and(|found| std::fs::canonicalize(folder).is_ok_and(|folder| found == folder));
    if same {
        tracing::warn!(folder = %folder.display(), "ended a throw-away server that a crash had left");
        let _ = kill_process_group(pid, Signal::KILL);
    }
}

/// Makes a folder for a server, which nobody else may enter. What is there already goes.
pub fn fresh_folder(path: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let failed = |error: std::io::Error| Error::io(format!("cannot make {}", path.display()), &error);
    if path.exists() {
        end_orphan(path);
        std::fs::remove_dir_all(path).map_err(failed)?;
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_log_is_quoted_without_dates_and_control_characters() {
        let log = "1:C 22 Nov 2026 07:00:00.000 * Redis is starting\n\
            1:M 22 Nov 2026 07:00:00.001 # Bad file\x1b[31m format reading the append only file\n\n";
        assert_eq!(last_lines(log), "Redis is starting / Bad file[31m format reading the append only file");
        assert_eq!(last_lines(""), "");
        let endless = "x".repeat(1000) + "\n";
        assert!(last_lines(&endless.repeat(20)).len() < 2000);
    }

    #[test]
    fn a_server_that_was_ended_says_nothing_of_the_snapshot() {
        let code = |code: i32| ExitStatus::from_raw(code << 8);
        let by = |signal: Signal| ExitStatus::from_raw(signal.as_raw());
        for status in [code(0), by(Signal::KILL), by(Signal::TERM), by(Signal::INT), by(Signal::XCPU)] {
            assert!(says_nothing(status, ""), "{status}");
        }
        for status in [code(1), code(3), by(Signal::ABORT), by(Signal::SEGV), by(Signal::BUS)] {
            assert!(!says_nothing(status, "Bad file format reading the append only file"), "{status}");
        }
        assert!(says_nothing(by(Signal::ABORT), "Out Of Memory allocating 4096 bytes!"));
    }

    #[test]
    fn a_sweep_ends_the_servers_that_work_there_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let sleeper = |folder: &Path| {
            Group::of(command(Path::new("sleep")).arg("600").current_dir(folder).spawn().unwrap())
        };
        let (ours, theirs) = (folder.path().join("ours"), folder.path().join("theirs"));
        for path in [&ours, &theirs] {
            fresh_folder(path).unwrap();
        }
        let (mut inside, mut outside) = (sleeper(&ours), sleeper(folder.path()));
        std::fs::write(ours.join(PID), inside.0.id().to_string()).unwrap();
        // As when the number was given to another process since.
        std::fs::write(theirs.join(PID), outside.0.id().to_string()).unwrap();
        assert_eq!(sweep(folder.path()).unwrap(), 2);
        assert!(!inside.0.wait().unwrap().success());
        assert!(outside.0.try_wait().unwrap().is_none());
        assert!(!ours.exists() && !theirs.exists());
        assert_eq!(sweep(&folder.path().join("absent")).unwrap(), 0);
    }
}
