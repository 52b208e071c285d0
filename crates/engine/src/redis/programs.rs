//! Server programs on this machine that can be started to try a snapshot out: which there are, and what they load.

use std::collections::HashMap;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use keystow_rdb::Format;

use super::throwaway::Group;
use super::version::Version;

/// How long a program may take to say its version.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most that is read of what it says.
const LONGEST_ANSWER: u64 = 4096;
/// How deep below the operator's folder programs are looked for, as in `redis-7.0/bin/redis-server`.
const DEEPEST: usize = 3;
/// Most files that are looked at there, and most programs that are asked.
const MOST_FILES: usize = 10_000;
const MOST_PROGRAMS: usize = 64;

/// A server program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The name that a drill may ask for: the path below the operator's folder, or the bare name of one on the PATH.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Whether it is Valkey.
    pub valkey: bool,
    /// Its version.
    pub version: Version,
}

impl Program {
    /// Reads the answer to `--version`: `Redis server v=7.0.15 sha=…`, `Valkey server v=9.1.2 …`.
    fn read(name: String, path: PathBuf, answer: &str) -> Option<Self> {
        let (family, rest) = answer.trim_start().split_once(" server v=")?;
        let valkey = match family {
            "Redis" => false,
            "Valkey" => true,
            _ => return None,
        };
        let version = Version::read(rest.split_whitespace().next()?)?;
        Some(Self { name, path, valkey, version })
    }

    /// Such as `redis 7.0.15`.
    pub fn shown(&self) -> String {
        format!("{} {}", family(self.valkey), self.version)
    }

    /// Whether a request for `name` means this one: its name, or family and version as in `redis-7.0`.
    pub fn answers_to(&self, name: &str) -> bool {
        let whole = format!("{}-{}", family(self.valkey), self.version);
        self.name == name
            || whole.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }

    /// Whether it loads files of that format.
    pub fn loads(&self, format: Format) -> bool {
        self.version.loads(self.valkey, format)
    }
}

/// `redis` or `valkey`.
fn family(valkey: bool) -> &'static str {
    if valkey { "valkey" } else { "redis" }
}

/// The snapshot that is to be loaded: the formats of its files, and the server that it is of.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Every one must be loaded.
    pub formats: Vec<Format>,
    /// Family (`true` = Valkey) and version of the source, where they are known.
    pub source: Option<(bool, Version)>,
}

impl Wanted {
    /// Whether a program will do. One of the source's family that is no older does in any case: it is only for formats
    /// that are not known here.
    pub fn fits(&self, program: &Program) -> bool {
        self.formats.iter().all(|format| program.loads(*format))
            || self
                .source
                .is_some_and(|(valkey, version)| program.valkey == valkey && program.version >= version)
    }

    /// The programs that will do, the one nearest to the source first: its family, then the version; of two as near, the
    /// newer.
    pub fn choose(&self, mut programs: Vec<Program>) -> Vec<Program> {
        programs.retain(|program| self.fits(program));
        programs.sort_by_key(|program| {
            let (other, distance) = match self.source {
                Some((valkey, version)) => (program.valkey != valkey, program.version.distance(version)),
                None => (false, [0; 3]),
            };
            (other, distance, std::cmp::Reverse(program.version), program.name.clone())
        });
        programs
    }
}

/// Where programs are looked for, and what they said of themselves.
#[derive(Debug, Default)]
pub struct Programs {
    /// The operator's folder.
    folder: Option<PathBuf>,
    /// The folders of the PATH.
    search: Vec<PathBuf>,
    /// By path: when the file was last changed, and what it is.
    known: Mutex<HashMap<PathBuf, Known>>,
}

/// When a file was last changed, and the program that it is.
type Known = (Option<SystemTime>, Option<Program>);

impl Programs {
    /// Looks in the operator's folder, and in those of the PATH.
    pub fn new(folder: Option<PathBuf>, search: Vec<PathBuf>) -> Self {
        Self { folder, search, known: Mutex::default() }
    }

    /// Every server program that answers, the operator's first. Blocks for up to five seconds for each that is new.
    pub fn find(&self) -> Vec<Program> {
        let mut files = Vec::new();
        if let Some(folder) = &self.folder {
            walk(folder, folder, 0, &mut 0, &mut files);
        }
        files.sort();
        for name in ["valkey-server", "redis-server"] {
            let found = self.search.iter().map(|folder| folder.join(name)).find(|path| is_program(path));
            files.extend(found.map(|path| (name.to_owned(), path)));
        }
        files.truncate(MOST_PROGRAMS);
        files.into_iter().filter_map(|(name, path)| self.ask(name, &path)).collect()
    }

    fn ask(&self, name: String, path: &Path) -> Option<Program> {
        let changed = std::fs::metadata(path).and_then(|facts| facts.modified()).ok();
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned();
        if let Some((then, program)) = known
            && then == changed
        {
            return program.map(|program| Program { name, ..program });
        }
        let program = ask_version(path).and_then(|answer| Program::read(name, path.to_owned(), &answer));
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(path.to_owned(), (changed, program.clone()));
        program
    }
}

/// Gathers the server programs below a folder, with their paths below it as names.
fn walk(root: &Path, folder: &Path, depth: usize, seen: &mut usize, found: &mut Vec<(String, PathBuf)>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        *seen += 1;
        if *seen > MOST_FILES {
            return;
        }
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if depth + 1 < DEEPEST {
                walk(root, &path, depth + 1, seen, found);
            }
        } else if is_server_name(&entry.file_name().to_string_lossy()) && is_program(&path) {
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            found.push((name, path));
        }
    }
}

/// `redis-server`, `valkey-server-9`, `redis-7.0`; not `redis-cli`.
fn is_server_name(name: &str) -> bool {
    let rest = name.strip_prefix("redis-").or_else(|| name.strip_prefix("valkey-"));
    rest.is_some_and(|rest| rest.starts_with("server") || rest.starts_with(|c: char| c.is_ascii_digit()))
}

fn is_program(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|facts| facts.is_file() && facts.permissions().mode() & 0o111 != 0)
}

/// A command that gets none of this program's own secrets.
pub(super) fn command(path: &Path) -> Command {
    let mut command = Command::new(path);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("KEYSTOW_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null()).process_group(0);
    command
}

/// What a program answers to `--version`, if it answers soon.
fn ask_version(path: &Path) -> Option<String> {
    let mut child =
        command(path).arg("--version").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    let stdout = child.stdout.take()?;
    // Ends it, however this ends.
    let _group = Group::of(child);
    let (answer, answered) = channel();
    // A program that never answers keeps this thread until it is ended below.
    let reader = std::thread::Builder::new().name("drill-version".to_owned()).spawn(move || {
        let mut text = Vec::new();
        let read = stdout.take(LONGEST_ANSWER).read_to_end(&mut text);
        let _ = answer.send(read.map(|_| String::from_utf8_lossy(&text).into_owned()));
    });
    reader.ok()?;
    match answered.recv_timeout(PATIENCE) {
        Ok(read) => read.ok(),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
            tracing::warn!(program = %path.display(), "does not say its version");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(name: &str, valkey: bool, version: &str) -> Program {
        let path = PathBuf::from(name);
        Program { name: name.to_owned(), path, valkey, version: Version::read(version).unwrap() }
    }

    fn names(programs: &[Program]) -> Vec<&str> {
        programs.iter().map(|program| program.name.as_str()).collect()
    }

    #[test]
    fn versions_are_read_from_what_servers_print() {
        let read =
            |answer: &str| Program::read("x".to_owned(), "/x".into(), answer).map(|found| found.shown());
        assert_eq!(
            read("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=1\n").unwrap(),
            "redis 7.0.15"
        );
        assert_eq!(read("Valkey server v=9.1.2 sha=0:0 malloc=libc").unwrap(), "valkey 9.1.2");
        assert_eq!(read("Valkey server v=8.1.0-rc1 sha=0").unwrap(), "valkey 8.1.0");
        for odd in
            ["", "redis-cli 7.0.15", "Redis server v=", "Redis server v=x.y", "KeyDB server v=6.3.4 sha=0"]
        {
            assert_eq!(read(odd), None, "{odd}");
        }
    }

    #[test]
    fn each_version_loads_its_own_format_and_older_ones() {
        let loads = |valkey, version, format| program("x", valkey, version).loads(format);
        assert!(loads(false, "6.2.14", Format::REDIS_9) && !loads(false, "6.2.14", Format::REDIS_10));
        assert!(loads(false, "7.0.15", Format::REDIS_10) && !loads(false, "7.0.15", Format::REDIS_11));
        assert!(loads(false, "8.2.1", Format::REDIS_12) && !loads(false, "8.2.1", Format::VALKEY_80));
        assert!(loads(true, "8.1.4", Format::REDIS_11) && !loads(true, "8.1.4", Format::REDIS_12));
        assert!(loads(true, "9.1.2", Format::VALKEY_80) && loads(true, "9.1.2", Format::REDIS_11));
        assert!(!loads(true, "9.1.2", Format::REDIS_12) && !loads(true, "8.1.4", Format::VALKEY_80));
    }

    #[test]
    fn the_nearest_version_of_the_same_family_comes_first() {
        let all = || {
            vec![
                program("valkey-8.1", true, "8.1.4"),
                program("redis-8.2", false, "8.2.1"),
                program("redis-7.2", false, "7.2.5"),
                program("redis-7.0", false, "7.0.11"),
                program("redis-6.2", false, "6.2.14"),
            ]
        };
        let source = |text| Some((false, Version::read(text).unwrap()));
        let of = |formats: &[Format], source| Wanted { formats: formats.to_vec(), source }.choose(all());
        let chosen = of(&[Format::REDIS_10], source("7.0.15"));
        assert_eq!(names(&chosen), ["redis-7.0", "redis-7.2", "redis-8.2", "valkey-8.1"]);
        let chosen = of(&[Format::REDIS_11], source("7.2.0"));
        assert_eq!(names(&chosen), ["redis-7.2", "redis-8.2", "valkey-8.1"]);
        assert_eq!(names(&of(&[Format::VALKEY_80], Some((true, Version([9, 1, 0]))))), [""; 0]);
        let newer = of(&[Format::redis(99)], source("8.0.0"));
        assert_eq!(names(&newer), ["redis-8.2"], "its own family, no older, knows what it wrote");
    }

    #[test]
    fn a_program_answers_to_its_name_and_its_version_only() {
        let found = program("redis-7.0/bin/redis-server", false, "7.0.15");
        for name in ["redis-7.0/bin/redis-server", "redis-7.0.15", "redis-7.0", "redis-7"] {
            assert!(found.answers_to(name), "{name}");
        }
        for name in ["", "redis", "redis-7.0.1", "/bin/sh", "../redis-server", "valkey-7.0", "redis-7.0.15.1"]
        {
            assert!(!found.answers_to(name), "{name}");
        }
    }

    #[test]
    fn programs_are_found_by_name_and_asked_once() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str, mode: u32| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        let says =
            |text: &str| format!("#!/bin/sh\necho x >> {}/asked\necho '{text}'\n", folder.path().display());
        write("redis-7.0", &says("Redis server v=7.0.15 x"), 0o755);
        write("a/bin/valkey-server", &says("Valkey server v=9.1.2 x"), 0o755);
        write("a/b/c/redis-server", &says("Redis server v=1.0.0 x"), 0o755);
        write("redis-cli", &says("Redis server v=2.0.0 x"), 0o755);
        write("redis-server-broken", "#!/bin/sh\nexit 1\n", 0o755);
        write("redis-server-notes", "no program", 0o644);
        let programs = Programs::new(Some(folder.path().to_owned()), Vec::new());
        for _ in 0..2 {
            assert_eq!(names(&programs.find()), ["a/bin/valkey-server", "redis-7.0"]);
        }
        assert_eq!(std::fs::read_to_string(folder.path().join("asked")).unwrap(), "x\nx\n");
    }
}
