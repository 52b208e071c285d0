//! `keystow import`: RDB files that were made elsewhere, as backups of an instance.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest::{Context as Hash, SHA256};
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::Context;
use super::output::{Output, count, grid, plain};
use super::progress::Progress;
use super::span::parse_past;
use crate::api::{BackupList, BackupRow, ImportRow, ImportedFile};
use crate::client::Client;
use crate::failure::{Exit, Failure};

/// Bytes that are read and sent at once.
const PIECE: usize = 256 * 1024;

/// Flags of `import`.
#[derive(Debug, Args)]
#[command(
    after_help = "Each file becomes a backup of the moment at which it was last written. Every byte is checked, as \
    in a backup, before\nit is listed; what the instance has already is not sent again, so a stopped import can be run \
    again.\n\nExamples:\n  keystow import /var/backups/redis --instance prod-cache\n  \
    keystow import shard-0.rdb shard-1.rdb shard-2.rdb --cluster --instance prod-cluster"
)]
pub(crate) struct ImportArgs {
    /// RDB files, and folders of files that end with .rdb
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The instance that they are backups of
    #[arg(long, value_name = "ID")]
    instance: String,
    /// All files are shards of one backup, in the order in which they are named
    #[arg(long)]
    cluster: bool,
    /// The moment that they show, if it is not that of the files: RFC 3339, or a span before now such as 7d
    #[arg(long, value_name = "TIME", value_parser = parse_past)]
    taken_at: Option<Timestamp>,
    /// A note on each backup
    #[arg(long)]
    remark: Option<String>,
}

/// What became of some files.
#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the names of --json")]
struct Outcome {
    files: Vec<String>,
    /// `imported`, `known` or `failed`.
    outcome: &'static str,
    backup: Option<BackupRow>,
    error: Option<Refused>,
    #[serde(skip)]
    exit: Option<Exit>,
}

#[derive(Serialize)]
struct Refused {
    code: String,
    message: String,
}

/// A file on this host.
struct Local {
    path: PathBuf,
    facts: ImportedFile,
    written_at: Timestamp,
}

/// Imports one backup after the other; one that fails does not stop the rest.
pub(super) async fn run(args: ImportArgs, context: &Context) -> Result<(), Failure> {
    let (client, output) = (context.client()?, context.output);
    let files = found(&args.paths)?;
    let sets: Vec<Vec<PathBuf>> =
        if args.cluster { vec![files] } else { files.into_iter().map(|file| vec![file]).collect() };
    let known = client.list::<BackupList>(&["backups"], &[("instance", args.instance.clone())], None).await?;
    let mut outcomes = Vec::new();
    for set in sets {
        let names = set.iter().map(|path| path.display().to_string()).collect();
        let outcome = match import(&client, output, &args, set, &known).await {
            Ok((outcome, backup)) => {
                Outcome { files: names, outcome, backup: Some(backup), error: None, exit: None }
            }
            Err(failure) => {
                output.warn(&plain(&format!("{}: {failure}", names.join(", "))));
                let exit = Some(failure.exit);
                let error = Some(Refused { message: failure.to_string(), code: failure.code });
                Outcome { files: names, outcome: "failed", backup: None, error, exit }
            }
        };
        outcomes.push(outcome);
    }
    output.value(&outcomes, |outcomes| tabulate(outcomes))?;
    judge(&outcomes)
}

/// The files that were named, and those of the folders, by name.
fn found(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let failed = |path: &Path, error| Failure::file(format!("cannot read {}", path.display()), &error);
    let mut files = Vec::new();
    for path in paths {
        if !std::fs::metadata(path).map_err(|error| failed(path, error))?.is_dir() {
            files.push(path.clone());
            continue;
        }
        let mut inside = Vec::new();
        for entry in std::fs::read_dir(path).map_err(|error| failed(path, error))? {
            let file = entry.map_err(|error| failed(path, error))?.path();
            if file.is_file() && file.extension().is_some_and(|end| end == "rdb") {
                inside.push(file);
            }
        }
        inside.sort();
        files.append(&mut inside);
    }
    if files.is_empty() {
        return Err(Failure::new(Exit::NotFound, "FILE_NOT_FOUND", "there is no RDB file there")
            .hint("files in folders must end with .rdb"));
    }
    Ok(files)
}

/// One backup of some files: sent, unless the instance has it.
async fn import(
    client: &Client,
    output: Output,
    args: &ImportArgs,
    set: Vec<PathBuf>,
    known: &[BackupRow],
) -> Result<(&'static str, BackupRow), Failure> {
    let label =
        set.first().and_then(|path| path.file_name()).unwrap_or_default().to_string_lossy().into_owned();
    let hashing = Progress::new(output, &format!("{label}: reading"), None);
    let files = tokio::task::spawn_blocking(move || {
        set.into_iter().map(|path| look_at(path, &hashing)).collect::<Result<Vec<_>, _>>()
    })
    .await
    .map_err(|error| Failure::new(Exit::Failure, "INTERNAL", "the reader stopped").because(error))??;
    let same = known.iter().find(|backup| {
        let parts = backup.parts.iter().map(|part| &part.sha256);
        matches!(backup.state.as_str(), "available" | "partial" | "quarantined")
            && parts.eq(files.iter().map(|file| &file.facts.sha256))
    });
    if let Some(backup) = same {
        return Ok(("known", backup.clone()));
    }
    let newest = files.iter().map(|file| file.written_at).max().unwrap_or(Timestamp::UNIX_EPOCH);
    let facts: Vec<_> = files.iter().map(|file| &file.facts).collect();
    let described = serde_json::to_string(&facts)
        .map_err(|error| Failure::new(Exit::Failure, "INTERNAL", "cannot write JSON").because(error))?;
    let mut query = vec![("files", described), ("taken_at", args.taken_at.unwrap_or(newest).to_string())];
    query.extend(args.remark.clone().map(|remark| ("remark", remark)));
    let total = files.iter().map(|file| file.facts.size_bytes).sum();
    let sending = Progress::new(output, &label, Some(total));
    let path = ["instances", &args.instance, "imports"];
    let row: ImportRow = client.upload(&path, &query, total, pieces(files, sending)).await?;
    Ok((if row.is_new { "imported" } else { "known" }, row.backup))
}

/// Size, SHA-256 and moment of a file.
fn look_at(path: PathBuf, progress: &Progress) -> Result<Local, Failure> {
    let failed = |error: std::io::Error| Failure::file(format!("cannot read {}", path.display()), &error);
    let mut file = File::open(&path).map_err(failed)?;
    let written_at = file.metadata().and_then(|metadata| metadata.modified()).map_err(failed)?;
    let (mut hash, mut size_bytes) = (Hash::new(&SHA256), 0);
    let mut piece = vec![0; PIECE];
    loop {
        let read = file.read(&mut piece).map_err(failed)?;
        if read == 0 {
            break;
        }
        hash.update(&piece[..read]);
        size_bytes += read as u64;
        progress.add(read as u64);
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let sha256 = keystow_engine::model::hex(hash.finish().as_ref());
    Ok(Local {
        facts: ImportedFile { name, size_bytes, sha256 },
        written_at: Timestamp::try_from(written_at).unwrap_or(Timestamp::UNIX_EPOCH),
        path,
    })
}

/// The bytes of the files, one after the other, read as they are sent.
fn pieces(
    files: Vec<Local>,
    progress: Progress,
) -> impl futures_util::Stream<Item = std::io::Result<Vec<u8>>> + Send + 'static {
    let progress = Arc::new(progress);
    let start = (files.into_iter(), None::<(tokio::fs::File, u64)>);
    futures_util::stream::try_unfold(start, move |(mut files, mut open)| {
        let progress = progress.clone();
        async move {
            use tokio::io::AsyncReadExt;
            loop {
                let Some((mut file, left)) = open.take().filter(|(_, left)| *left > 0) else {
                    let Some(next) = files.next() else { return Ok(None) };
                    open = Some((tokio::fs::File::open(&next.path).await?, next.facts.size_bytes));
                    if next.facts.size_bytes == 0 {
                        open = None;
                    }
                    continue;
                };
                let mut piece = vec![0; PIECE.min(usize::try_from(left).unwrap_or(PIECE))];
                let read = file.read(&mut piece).await?;
                if read == 0 {
                    let error = std::io::ErrorKind::UnexpectedEof;
                    return Err(std::io::Error::new(error, "the file became shorter meanwhile"));
                }
                piece.truncate(read);
                progress.add(read as u64);
                return Ok(Some((piece, (files, Some((file, left - read as u64))))));
            }
        }
    })
}

/// Nothing failed, some did, or all did.
fn judge(outcomes: &[Outcome]) -> Result<(), Failure> {
    let failed: Vec<_> = outcomes.iter().filter(|outcome| outcome.error.is_some()).collect();
    let Some(first) = failed.first() else { return Ok(()) };
    let error = first.error.as_ref();
    if failed.len() == outcomes.len() {
        let code = error.map_or("IMPORT_PARTIAL", |error| error.code.as_str());
        let message = error.map_or("", |error| error.message.as_str());
        return Err(Failure::new(first.exit.unwrap_or(Exit::Failure), code, message));
    }
    let message = format!("{} of {} imports failed", failed.len(), outcomes.len());
    Err(Failure::new(Exit::Partial, "IMPORT_PARTIAL", message)
        .hint("the warnings say why; run it again when that is mended: what is there is not sent twice"))
}

fn tabulate(outcomes: &[Outcome]) -> String {
    let cells = outcomes.iter().map(|outcome| {
        let backup = outcome.backup.as_ref();
        vec![
            outcome.files.join(", "),
            outcome.outcome.to_owned(),
            backup.map(|row| row.id.clone()).unwrap_or_default(),
            backup.map(|row| row.state.clone()).unwrap_or_default(),
            backup.map(|row| count(row.keys)).unwrap_or_default(),
            outcome.error.as_ref().map(|error| error.code.clone()).unwrap_or_default(),
        ]
    });
    grid(&["FILE", "OUTCOME", "BACKUP", "STATE", "KEYS", "ERROR"], cells.collect())
}
