//! Loads a backup into a throw-away server, to know that it can be loaded.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{Context, SHA256};
use keystow_rdb::Format;
use serde_json::json;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::audit::Deed;
use super::{Engine, Meter};
use crate::access::Principal;
use crate::error::{Error, Kind, Result};
use crate::model::{
    Backup, BackupRef, DrillOrder, DrillOutcome, DrilledPart, EventKind, Failure, Job, JobKind, Order,
    Outcome, Part, Phase, Right, SealedPart, hex,
};
use crate::ops::parts::Parts;
use crate::redis::programs::{Program, Wanted};
use crate::redis::throwaway::{SNAPSHOT, Throwaway, digest, fresh_folder};
use crate::redis::{Info, Version};
use crate::vault::{AttemptKey, ObjectReader};

/// The folder of throw-away servers in the work folder.
pub const DRILLS: &str = "drills";
/// Bytes that are copied at once.
const CHUNK_BYTES: usize = 1024 * 1024;
/// Longest name of a program that is asked for.
const LONGEST_NAME: usize = 256;

/// What a drill has seen so far.
#[derive(Default)]
struct Seen {
    parts: Vec<DrilledPart>,
    first_start: Option<Instant>,
    took: Duration,
}

/// One drill at work, on a thread that may block.
struct Drill {
    store: Parts,
    attempt: AttemptKey,
    program: Program,
    folder: PathBuf,
    timeout: Duration,
    meter: Arc<Meter>,
    cancel: CancellationToken,
}

impl Engine {
    /// Adds the job that loads a backup into a throw-away server. `server` names one of the programs that are found; a
    /// path is never taken.
    pub async fn request_drill(
        &self,
        who: &Principal,
        which: BackupRef,
        server: Option<String>,
    ) -> Result<Job> {
        let deed =
            Deed::new(Right::Operate, "drill.create", "backup", which).with(json!({"program": server}));
        self.audited(who, deed, async {
            let scope = who.with(Right::Operate)?;
            let backup = self.visible_backup(&scope, which).await?;
            if server.as_ref().is_some_and(|name| name.len() > LONGEST_NAME) {
                return Err(Error::invalid("that is no name of a server program"));
            }
            self.ask_drill(&backup, server, None).await
        })
        .await
    }

    /// As [`Engine::request_drill`], also for a policy. `target`: what no other drill may be at, at the same time.
    pub(super) async fn ask_drill(
        &self,
        backup: &Backup,
        server: Option<String>,
        target: Option<String>,
    ) -> Result<Job> {
        loadable(backup)?;
        self.parts.check_readable(&backup.parts).await?;
        self.program_for(backup, server.clone()).await?;
        let order = Order::Drill(DrillOrder { server });
        self.request_job(backup, JobKind::Drill, Some(order), target).await
    }

    /// Does one attempt of a drill. What it finds becomes the backup's last drill; that no server could be tried says
    /// nothing of the backup, and does not.
    pub(crate) async fn drill(
        &self,
        job: &Job,
        meter: &Arc<Meter>,
        cancel: &CancellationToken,
    ) -> Result<()> {
        let backup = self.backup_of(job).await?;
        loadable(&backup)?;
        let wanted = match &job.order {
            Some(Order::Drill(order)) => order.server.clone(),
            _ => None,
        };
        let program = self.program_for(&backup, wanted).await?;
        let server = program.shown();
        let drill = Drill {
            store: self.parts.clone(),
            attempt: AttemptKey::of(&backup),
            program,
            folder: self.settings.work_dir.join(DRILLS).join(format!("{}-{}", job.number, job.attempt)),
            timeout: self.settings.drill.timeout,
            meter: meter.clone(),
            cancel: cancel.clone(),
        };
        let parts = backup.parts.clone();
        let (seen, ended) = tokio::task::spawn_blocking(move || drill.run(&parts))
            .await
            .map_err(|error| Error::internal("the drill stopped", error))?;
        if let Err(error) = &ended
            && error.kind != Kind::Corrupt
        {
            return ended;
        }
        let outcome = DrillOutcome {
            at: self.clock.now(),
            ok: ended.is_ok(),
            server,
            took_ms: millis(seen.took),
            parts: seen.parts,
            failure: ended.as_ref().err().map(Failure::from),
        };
        self.catalog.record_outcome(&job.lease(), &Outcome::Drill(outcome.clone())).await?;
        if let Err(error) = self.append_event(&backup, job.number, EventKind::Drill(outcome)).await {
            // The catalog has it; only a rebuilt one would not.
            tracing::warn!(backup = %backup.id, %error, "cannot keep what a drill found beside its backup");
        }
        ended?;
        self.catalog.finish_job(&job.lease(), self.clock.now()).await
    }

    /// The program that will load a backup: the one named, or the nearest to its source.
    async fn program_for(&self, backup: &Backup, named: Option<String>) -> Result<Program> {
        let programs = self.programs.clone();
        let found = tokio::task::spawn_blocking(move || programs.find())
            .await
            .map_err(|error| Error::internal("the search for servers stopped", error))?;
        choose(&wanted(backup), found, named.as_deref())
    }
}

/// Refuses a backup that has nothing to load.
fn loadable(backup: &Backup) -> Result<()> {
    if backup.state.keeps_objects() && !backup.parts.is_empty() {
        return Ok(());
    }
    let message = format!("backup {} is {}; there is nothing to load", backup.id, backup.state);
    Err(Error::new(Kind::Conflict, "BACKUP_NOT_AVAILABLE", message)
        .hint("choose another one: keystow backup list"))
}

fn wanted(backup: &Backup) -> Wanted {
    let format = |part: &Part| Format::of_magic(&part.sealed.report.magic, part.sealed.report.rdb_version);
    let mut formats: Vec<Format> = backup.parts.iter().map(format).collect();
    formats.dedup();
    let source = backup.server.as_ref();
    let source = source.and_then(|facts| Some((facts.valkey, Version::read(&facts.version)?)));
    Wanted { formats, source }
}

fn choose(wanted: &Wanted, found: Vec<Program>, named: Option<&str>) -> Result<Program> {
    let all: Vec<String> =
        found.iter().take(8).map(|program| format!("{} ({})", program.name, program.shown())).collect();
    let all = if all.is_empty() { "no server program was found".to_owned() } else { all.join(", ") };
    if let Some(name) = named {
        let name: String = name.chars().take(80).collect();
        let program = found.into_iter().find(|program| program.answers_to(&name)).ok_or_else(|| {
            Error::new(Kind::Conflict, "DRILL_NO_SERVER", format!("there is no server program '{name}'"))
                .because(all)
                .hint("name one of these, or leave the choice to the service")
        })?;
        // Its failure would say nothing of the backup.
        return if wanted.fits(&program) {
            Ok(program)
        } else {
            let message = format!("{} does not load {}", program.shown(), formats(wanted));
            Err(Error::new(Kind::Conflict, "DRILL_NO_SERVER", message)
                .hint("name a newer one, or leave the choice to the service"))
        };
    }
    wanted.choose(found).into_iter().next().ok_or_else(|| {
        Error::new(Kind::Conflict, "DRILL_NO_SERVER", format!("no server here loads {}", formats(wanted)))
            .because(all)
            .hint("put such a redis-server or valkey-server into the folder that drill.folder names, or on the service's PATH")
    })
}

/// Such as `REDIS0010 (Redis 7.0 or later of its kind)`.
fn formats(wanted: &Wanted) -> String {
    let shown = |format: &Format| match format.first_server() {
        Some(server) => format!("{} ({server} or later of its kind)", format.magic()),
        None => format.magic(),
    };
    wanted.formats.iter().map(shown).collect::<Vec<_>>().join(" and ")
}

impl Drill {
    /// Loads part by part, one server at a time.
    fn run(&self, parts: &[Part]) -> (Seen, Result<()>) {
        let mut seen = Seen::default();
        let result = parts.iter().try_for_each(|part| {
            let drilled = self.part(&part.sealed, &mut seen);
            // Before the next server is started: two of them could be too many.
            let cleared = std::fs::remove_dir_all(&self.folder);
            if let Err(error) = cleared
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(folder = %self.folder.display(), %error, "cannot remove what a drill needed");
            }
            drilled
        });
        (seen, result)
    }

    fn part(&self, part: &SealedPart, seen: &mut Seen) -> Result<()> {
        self.meter.enter(Phase::Receiving);
        fresh_folder(&self.folder)?;
        self.fetch(part)?;
        self.meter.enter(Phase::Loading);
        let databases = part.report.databases.keys().max().map_or(1, |last| last.saturating_add(1));
        let mut server = Throwaway::start(&self.program, &self.folder, databases, self.timeout)?;
        let first = *seen.first_start.get_or_insert(server.started());
        let loaded =
            server.wait_until_loaded(&self.cancel, &mut |bytes, total| self.meter.set_bytes(bytes, total));
        let mut connection = loaded.map_err(|error| name_modules(error, part))?;
        let load_ms = millis(server.started().elapsed());
        seen.took = first.elapsed();
        let info = Info::ask(&mut connection).map_err(|error| server.explain(error))?.unwrap_or_default();
        let counted = info.key_counts();
        let digest = digest(&mut connection).map_err(|error| server.explain(error))?;
        seen.parts.push(DrilledPart { shard: part.shard, load_ms, databases: counted.clone(), digest });
        compare(part, &counted)
    }

    /// What the repository answers; a store that hangs holds up nobody who asks to stop.
    fn until_cancelled<T>(&self, runtime: &Handle, answer: impl Future<Output = Result<T>>) -> Result<T> {
        runtime.block_on(self.cancel.run_until_cancelled(answer)).ok_or_else(Error::cancelled)?
    }

    /// Copies a part out of the repository. It must be, byte for byte, what was put there.
    fn fetch(&self, part: &SealedPart) -> Result<()> {
        let runtime = Handle::try_current().map_err(|error| Error::internal("no runtime", error))?;
        let opened = self.until_cancelled(&runtime, self.store.find(&self.attempt, part))?;
        let reader = opened.ok_or_else(|| damaged(part, "it is missing"))?;
        let path = self.folder.join(SNAPSHOT);
        let sha256 = self.copy(&runtime, &*reader, &path, part)?;
        if sha256 != part.sha256 {
            return Err(damaged(part, &format!("its SHA-256 is {sha256}, not {}", part.sha256)));
        }
        Ok(())
    }

    fn copy(
        &self,
        runtime: &Handle,
        reader: &dyn ObjectReader,
        path: &Path,
        part: &SealedPart,
    ) -> Result<String> {
        let failed = |error: std::io::Error| {
            Error::io(format!("cannot write {}", path.display()), &error)
                .hint("a drill needs room for one part in the data directory")
        };
        let mut file = File::create(path).map_err(failed)?;
        let (mut hash, mut copied) = (Context::new(&SHA256), 0);
        loop {
            let chunk = self.until_cancelled(runtime, reader.read_at(copied, CHUNK_BYTES))?;
            if chunk.is_empty() {
                break;
            }
            hash.update(&chunk);
            file.write_all(&chunk).map_err(failed)?;
            copied += chunk.len() as u64;
            self.meter.set_bytes(copied, part.size_bytes);
        }
        Ok(hex(hash.finish().as_ref()))
    }
}

fn damaged(part: &SealedPart, why: &str) -> Error {
    let message = format!("the stored bytes of shard {} are not what was taken", part.shard);
    Error::new(Kind::Corrupt, "OBJECT_DAMAGED", message)
        .because(why)
        .hint("check the disk of the repository; take a new backup now")
}

/// A server without a module does not load that module's data; what it lacks is known from the report.
fn name_modules(error: Error, part: &SealedPart) -> Error {
    let by_module =
        error.code == "DRILL_FAILED" && error.cause.as_ref().is_some_and(|cause| cause.contains("module"));
    if part.report.modules.is_empty() || !by_module {
        return error;
    }
    Error {
        code: "DRILL_MODULES_MISSING",
        message: format!("the server has no module for the data of {}", part.report.modules.join(", "))
            .into(),
        hint: Some("only a server with these modules can show that this backup loads".into()),
        ..error
    }
}

/// A replica deletes nothing by itself, so every key must be there.
fn compare(part: &SealedPart, counted: &BTreeMap<u64, u64>) -> Result<()> {
    let expected: BTreeMap<u64, u64> =
        part.report.databases.iter().filter(|(_, keys)| **keys > 0).map(|(db, keys)| (*db, *keys)).collect();
    if expected == *counted {
        return Ok(());
    }
    let databases = expected.keys().chain(counted.keys()).collect::<std::collections::BTreeSet<_>>();
    let keys = |of: &BTreeMap<u64, u64>, db: &u64| of.get(db).copied().unwrap_or(0);
    let differing: Vec<String> = databases
        .into_iter()
        .filter(|db| keys(&expected, db) != keys(counted, db))
        .take(8)
        .map(|db| format!("database {db} has {} keys, not {}", keys(counted, db), keys(&expected, db)))
        .collect();
    Err(Error::new(
        Kind::Corrupt,
        "DRILL_MISMATCH",
        format!("the server did not load all keys of shard {}, or more than there are", part.shard),
    )
    .because(differing.join(", "))
    .hint("compare with: keystow verify; try another version with --program"))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SnapshotReport;

    fn part(databases: &[(u64, u64)], modules: &[&str]) -> SealedPart {
        let report = SnapshotReport {
            databases: databases.iter().copied().collect(),
            modules: modules.iter().map(|name| (*name).to_owned()).collect(),
            ..SnapshotReport::default()
        };
        SealedPart {
            shard: 0,
            file_name: "x.rdb".to_owned(),
            size_bytes: 0,
            sha256: String::new(),
            stored_bytes: 0,
            stored_sha256: String::new(),
            encoding: crate::model::Encoding::PLAIN,
            report,
            origin: None,
        }
    }

    #[test]
    fn every_database_must_hold_what_the_report_says() {
        let part = part(&[(0, 18), (3, 0), (9, 1)], &[]);
        assert!(compare(&part, &BTreeMap::from([(0, 18), (9, 1)])).is_ok());
        let error = compare(&part, &BTreeMap::from([(0, 17), (2, 5), (9, 1)])).unwrap_err();
        assert_eq!(error.code, "DRILL_MISMATCH");
        assert_eq!(error.cause.unwrap(), "database 0 has 17 keys, not 18, database 2 has 5 keys, not 0");
    }

    #[test]
    fn a_server_that_lacks_a_module_is_told_from_one_that_fails() {
        let ended = |cause: &str| Error::new(Kind::Corrupt, "DRILL_FAILED", "x").because(cause);
        let code = |cause, modules: &[&str]| name_modules(ended(cause), &part(&[], modules)).code;
        let log = "The RDB file contains module data I can't load: no matching module type 'ReJSON-RL'";
        assert_eq!(code(log, &["ReJSON-RL"]), "DRILL_MODULES_MISSING");
        assert_eq!(code(log, &[]), "DRILL_FAILED");
        assert_eq!(code("Out Of Memory allocating", &["ReJSON-RL"]), "DRILL_FAILED");
    }

    #[test]
    fn a_program_is_taken_by_name_only() {
        let found = || {
            vec![Program {
                name: "redis-server".to_owned(),
                path: "/usr/bin/redis-server".into(),
                valkey: false,
                version: Version([7, 0, 15]),
            }]
        };
        let wanted = Wanted { formats: vec![Format::REDIS_11], source: None };
        let refused = choose(&wanted, found(), None).unwrap_err();
        assert_eq!((refused.kind, refused.code), (Kind::Conflict, "DRILL_NO_SERVER"));
        assert!(refused.message.contains("REDIS0011"), "{refused}");
        assert!(refused.cause.unwrap().contains("redis 7.0.15"));
        let refused = choose(&wanted, found(), Some("redis-7.0")).unwrap_err();
        assert!(refused.message.contains("redis 7.0.15 does not load REDIS0011"), "{refused}");
        for name in ["/usr/bin/redis-server", "../redis-server", "sh"] {
            assert_eq!(choose(&wanted, found(), Some(name)).unwrap_err().code, "DRILL_NO_SERVER");
        }
        let older = Wanted { formats: vec![Format::REDIS_9], source: None };
        assert_eq!(choose(&older, found(), None).unwrap().name, "redis-server");
        assert!(choose(&older, found(), Some("redis-7.0")).is_ok());
        assert_eq!(choose(&older, Vec::new(), None).unwrap_err().code, "DRILL_NO_SERVER");
    }
}
