//! Restoring as files: what a server needs to start with a backup's data.

use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use keystow_engine::clock::Clock;
use keystow_engine::model::Slots;
use keystow_rdb::{
    Changes, Flavour, Format, Prefix, RewriteError, RewriteOptions, RewriteSource, SlotSet, Ttl, rewrite_all,
};
use serde::Serialize;

use super::RestoreArgs;
use crate::api::{BackupRow, PartRow};
use crate::cli::Context;
use crate::cli::input::{self, Input, RdbBytes, unsound};
use crate::cli::new_file::NewFile;
use crate::cli::output::{count, grid, size};
use crate::failure::{Exit, Failure};

/// The name that a server finds its data under by itself.
const SNAPSHOT: &str = "dump.rdb";

/// What `restore --as files --json` prints: a contract.
#[derive(Debug, Serialize)]
struct Made {
    files: Vec<MadeFile>,
    /// What to do with them.
    readme: Option<PathBuf>,
}

/// One file that was made, or would be.
#[derive(Debug, Serialize)]
struct MadeFile {
    path: PathBuf,
    shard: u32,
    /// The slots that the server must own; none unless it is of a cluster.
    slots: Option<String>,
    size_bytes: u64,
    keys: u64,
}

/// What becomes of a part on its way.
#[derive(Clone)]
enum Way {
    /// Its bytes go as they are.
    AsItIs,
    /// It is written anew.
    Anew(Box<RewriteOptions>),
}

/// Makes the files.
pub(super) async fn run(args: RestoreArgs, context: &Context) -> Result<(), Failure> {
    if !args.login.is_empty() || args.wipe || args.no_wait || args.on_conflict != "fail" {
        return Err(Failure::usage("files have no login, no conflicts and nothing to wipe")
            .hint("leave those flags out"));
    }
    if args.to.contains("://") {
        return Err(Failure::usage("--as files needs a folder").hint("name one with --to"));
    }
    let row: BackupRow = context.client()?.get(&["backups", &args.backup]).await?;
    if row.parts.is_empty() || (row.state != "available" && !args.accept_partial) {
        let message = format!("backup {} is {}", row.id, row.state);
        return Err(Failure::new(Exit::Conflict, "BACKUP_NOT_AVAILABLE", message)
            .hint("choose another one, or add --accept-partial if it is partial or quarantined"));
    }
    let folder = PathBuf::from(&args.to);
    if args.dry_run {
        let files = row.parts.iter().map(|part| MadeFile {
            path: place(&folder, part, row.parts.len()),
            shard: part.shard,
            slots: part.slots.clone(),
            size_bytes: part.size_bytes,
            keys: part.keys,
        });
        return context.output.value(&Made { files: files.collect(), readme: None }, describe);
    }
    // What is dropped when the user stops it removes what was written.
    let made = tokio::select! {
        made = make(&args, &row, &folder, context) => made?,
        _ = tokio::signal::ctrl_c() => {
            return Err(Failure::new(Exit::Interrupted, "INTERRUPTED", "stopped before the files were whole"));
        }
    };
    context.output.value(&made, describe)
}

async fn make(
    args: &RestoreArgs,
    row: &BackupRow,
    folder: &Path,
    context: &Context,
) -> Result<Made, Failure> {
    let inputs = input::open_backup(&args.backup, args.accept_partial, context).await?;
    let now = Clock::system().now();
    let (mut files, mut finished) = (Vec::new(), Vec::new());
    for input in inputs {
        let part = row.parts.iter().find(|part| part.name == input.label);
        let part = part.ok_or_else(|| {
            Failure::new(Exit::Failure, "SERVER_ANSWER", format!("{} is no part of the backup", input.label))
        })?;
        let path = place(folder, part, row.parts.len());
        make_folder(path.parent().unwrap_or(folder))?;
        let new = NewFile::create(path, false).map_err(|failure| match failure.code.as_str() {
            "FILE_EXISTS" => failure.hint("choose another folder with --to"),
            _ => failure,
        })?;
        let slots = part.slots.as_deref().map(slot_set).transpose()?;
        let (size_bytes, keys) = write(input, &new, way(args, part, row, now)?, slots, part.keys).await?;
        let path = new.path().to_owned();
        files.push(MadeFile { path, shard: part.shard, slots: part.slots.clone(), size_bytes, keys });
        finished.push(new);
    }
    let readme = NewFile::create(folder.join("README.txt"), true)?;
    let text = explain(row, &files);
    readme
        .writer()?
        .write_all(text.as_bytes())
        .map_err(|error| Failure::file(format!("cannot write {}", readme.path().display()), &error))?;
    // Only now the last byte of the last part is known to be right.
    for new in finished {
        new.publish()?;
    }
    let path = readme.path().to_owned();
    readme.publish()?;
    Ok(Made { files, readme: Some(path) })
}

/// `DIR/dump.rdb`, or `DIR/<shard>/dump.rdb` for one of several.
fn place(folder: &Path, part: &PartRow, parts: usize) -> PathBuf {
    if parts == 1 { folder.join(SNAPSHOT) } else { folder.join(part.shard.to_string()).join(SNAPSHOT) }
}

fn make_folder(path: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(path)
        .map_err(|error| Failure::file(format!("cannot make the folder {}", path.display()), &error))
}

/// How a part is written. What nothing is to change in goes as it is, whatever its format.
fn way(args: &RestoreArgs, part: &PartRow, row: &BackupRow, now: Timestamp) -> Result<Way, Failure> {
    let ttl = ttl(&args.ttl, part, row, now);
    let filter = args.filter.filter();
    let all = filter.names.is_empty() && filter.kinds.is_empty() && filter.databases.is_empty();
    if all && ttl == Ttl::Keep && args.prefix.is_none() && !args.without_functions {
        return Ok(Way::AsItIs);
    }
    let format = Format::of_magic(&part.magic, part.rdb_version);
    let to = match format {
        written if written.is_written() => written,
        Format { flavour: Flavour::Redis, version: ..=8 } => Format::REDIS_9,
        newer => {
            return Err(Failure::usage(format!("{} is not written by this version", newer.magic()))
                .hint("leave filters, --ttl and --prefix out, or restore into a server"));
        }
    };
    let prefix = args
        .prefix
        .as_ref()
        .map(|prefix| Prefix { from: prefix.from.clone().into_bytes(), to: prefix.to.clone().into_bytes() });
    let changes = Changes { filter, ttl, prefix, ..Changes::default() };
    let functions = !args.without_functions;
    Ok(Way::Anew(Box::new(RewriteOptions { changes, functions, ..RewriteOptions::new(to) })))
}

fn ttl(word: &str, part: &PartRow, row: &BackupRow, now: Timestamp) -> Ttl {
    let now_ms = now.as_millisecond();
    match word {
        "strip" => Ttl::Strip,
        "drop-expired" => Ttl::DropExpired { now_ms },
        "shift" => {
            let moment =
                |text: &Option<String>| text.as_ref().and_then(|text| text.parse::<Timestamp>().ok());
            let taken = moment(&part.cut_at).or_else(|| moment(&row.started_at)).unwrap_or(now);
            Ttl::Shift { by_ms: now_ms.saturating_sub(taken.as_millisecond()) }
        }
        _ => Ttl::Keep,
    }
}

/// The slots of a shard, of which a file that is written anew holds the keys; others are their owner's.
fn slot_set(text: &str) -> Result<SlotSet, Failure> {
    let slots: Slots = text.parse()?;
    Ok(slots.ranges().iter().map(|(first, last)| *first..=*last).collect())
}

/// Writes one part. Gives its size and how many keys it holds.
async fn write(
    input: Input,
    new: &NewFile,
    way: Way,
    slots: Option<SlotSet>,
    keys: u64,
) -> Result<(u64, u64), Failure> {
    let label = input.label.clone();
    let target = new.path().display().to_string();
    let mut out = new.writer()?;
    let work = move |bytes: &mut RdbBytes| -> Result<(u64, u64), Failure> {
        let failed = |error: std::io::Error| Failure::file(format!("cannot write {target}"), &error);
        match way {
            Way::AsItIs => Ok((std::io::copy(bytes, &mut out).map_err(failed)?, keys)),
            Way::Anew(options) => {
                let source = [RewriteSource { bytes, slots }];
                let rewritten = rewrite_all(source, &mut out, &options).map_err(|error| match error {
                    RewriteError::Unsound(fault) => unsound(&label, &fault),
                    RewriteError::Impossible(impossible) => {
                        let message = format!("{label} cannot be written so");
                        Failure::new(Exit::Failure, "RELABEL_IMPOSSIBLE", message).because(impossible)
                    }
                    RewriteError::Output(error) => failed(error),
                })?;
                Ok((rewritten.bytes_written, rewritten.keys()))
            }
        }
    };
    input.read(work).await
}

/// What to do with the files, for whoever finds them.
fn explain(row: &BackupRow, files: &[MadeFile]) -> String {
    let taken = row.started_at.as_deref().unwrap_or(&row.created_at);
    let mut text = format!(
        "Backup {} of {} ({}), taken {taken}.\n\n\
         To start a server with it:\n\n\
         1. Stop the server, and keep what its folder holds now.\n\
         2. Put into its redis.conf or valkey.conf:\n\n\
         \x20      appendonly no\n\
         \x20      dbfilename {SNAPSHOT}\n\
         \x20      dir <the folder of {SNAPSHOT}>\n\n\
         \x20  A server with appendonly yes starts from its AOF and does not look at {SNAPSHOT}.\n\
         3. Make the file readable for the server's user, and start the server.\n\
         4. To use the AOF again: CONFIG SET appendonly yes, and then change the file.\n",
        row.id,
        row.instance,
        row.server.as_deref().unwrap_or("server unknown"),
    );
    if files.len() > 1 {
        text.push_str(
            "\nEach shard of the cluster has its own file. The server that loads it must own these slots, and be a\n\
             primary without replicas that hold other data:\n\n",
        );
        for file in files {
            let slots = file.slots.as_deref().unwrap_or("as in the cluster before");
            let _ = writeln!(text, "    {}/{SNAPSHOT}    slots {slots}", file.shard);
        }
    }
    text
}

fn describe(made: &Made) -> String {
    let cells = made.files.iter().map(|file| {
        vec![
            file.path.display().to_string(),
            file.slots.clone().unwrap_or_default(),
            size(file.size_bytes),
            count(file.keys),
        ]
    });
    let mut text = grid(&["FILE", "SLOTS", "SIZE", "KEYS"], cells.collect());
    if let Some(readme) = &made.readme {
        let _ = writeln!(text, "\nwhat to do with them: {}", readme.display());
    }
    text
}
