//! `keystow import`: RDB files that were made elsewhere, as backups of an instance.

mod files;

use std::path::PathBuf;

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
use files::{Found, Looked, Pieces, found, look_at};

/// Flags of `import`.
#[derive(Debug, Args)]
#[command(
    after_help = "Each file becomes a backup of the moment at which it was last written. Every byte is checked, as \
    in a backup, before\nit is listed; what the instance has already is not sent again, so a stopped import can be run \
    again.\n\nA bucket is named as a repository is: s3://bucket/prefix?endpoint=https://…&region=…, and oss, cos and \
    obs alike.\nThis host reads its files and sends them on, each once. Without a key, the provider's own chain finds \
    one:\nenvironment, profile, role of the host.\n\nExamples:\n  keystow import /var/backups/redis --instance \
    prod-cache\n  keystow import shard-0.rdb shard-1.rdb shard-2.rdb --cluster --instance prod-cluster\n  \
    keystow import 's3://old-dumps/redis?region=eu-west-1' --instance prod-cache --dry-run"
)]
pub(crate) struct ImportArgs {
    /// RDB files, and folders and buckets of files that end with .rdb
    #[arg(required = true, value_name = "PATH|URL")]
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
    /// Say what would be imported, and send nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    key: BucketKey,
}

/// Who we are at a bucket.
#[derive(Debug, Args)]
struct BucketKey {
    /// Id of the access key that may list and read the bucket
    #[arg(long = "bucket-key-id", id = "bucket_key_id", value_name = "ID", requires = "bucket_secret_file")]
    id: Option<String>,
    /// File that holds its secret, - for standard input, or env:NAME
    #[arg(
        long = "bucket-secret-file",
        id = "bucket_secret_file",
        value_name = "FILE",
        requires = "bucket_key_id"
    )]
    secret_file: Option<PathBuf>,
    /// The same for the session token of a temporary key
    #[arg(long = "bucket-session-token-file", value_name = "FILE", requires = "bucket_secret_file")]
    session_token_file: Option<PathBuf>,
}

/// What became of some files.
#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the names of --json")]
struct Outcome {
    files: Vec<String>,
    /// `imported`, `known`, `new` (which a dry run says of what it would import) or `failed`.
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

/// Imports one backup after the other; one that fails does not stop the rest.
pub(super) async fn run(args: ImportArgs, context: &Context) -> Result<(), Failure> {
    let (client, output) = (context.client()?, context.output);
    let files = found(&args.paths, &args.key).await?;
    let sets: Vec<Vec<Found>> =
        if args.cluster { vec![files] } else { files.into_iter().map(|file| vec![file]).collect() };
    let known = client.list::<BackupList>(&["backups"], &[("instance", args.instance.clone())], None).await?;
    let mut outcomes = Vec::new();
    for set in sets {
        let names = set.iter().map(Found::shown).collect();
        let outcome = match import(&client, output, &args, set, &known).await {
            Ok((outcome, backup)) => Outcome { files: names, outcome, backup, error: None, exit: None },
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

/// One backup of some files: sent, unless the instance has it.
async fn import(
    client: &Client,
    output: Output,
    args: &ImportArgs,
    set: Vec<Found>,
    known: &[BackupRow],
) -> Result<(&'static str, Option<BackupRow>), Failure> {
    let label = set.first().map(Found::label).unwrap_or_default();
    let hashing = Progress::new(output, &format!("{label}: reading"), None);
    let files = tokio::task::spawn_blocking(move || {
        set.into_iter().map(|file| look_at(file, &hashing)).collect::<Result<Vec<_>, _>>()
    })
    .await
    .map_err(|error| Failure::new(Exit::Failure, "INTERNAL", "the reader stopped").because(error))??;
    let newest = files.iter().filter_map(Looked::written_at).max();
    let taken_at = args.taken_at.or(newest).ok_or_else(|| {
        Failure::usage(format!("nothing tells of when {label} is")).hint("say it with --taken-at")
    })?;
    if let Some(backup) = known.iter().find(|backup| is_of(backup, &files, taken_at)) {
        return Ok(("known", Some(backup.clone())));
    }
    if args.dry_run {
        return Ok(("new", None));
    }
    let facts: Vec<_> = files.iter().map(|file| &file.facts).collect();
    let described = serde_json::to_string(&facts)
        .map_err(|error| Failure::new(Exit::Failure, "INTERNAL", "cannot write JSON").because(error))?;
    let mut query = vec![("files", described), ("taken_at", taken_at.to_string())];
    query.extend(args.remark.clone().map(|remark| ("remark", remark)));
    let total = files.iter().map(|file| file.facts.size_bytes).sum();
    let pieces = Pieces::of(files, Progress::new(output, &label, Some(total)));
    let broken = pieces.broken();
    let path = ["instances", &args.instance, "imports"];
    let answer: Result<ImportRow, Failure> = client.upload(&path, &query, total, pieces.stream()).await;
    // What broke here is the reason of what the other end says of it.
    let row = answer.map_err(|failure| broken.take().unwrap_or(failure))?;
    Ok((if row.is_new { "imported" } else { "known" }, Some(row.backup)))
}

/// Whether a backup was made of these very files: it has their bytes or, where that takes reading them, it is of their
/// names, lengths and moment.
fn is_of(backup: &BackupRow, files: &[Looked], taken_at: Timestamp) -> bool {
    let same = |part: (&ImportedFile, &str, u64)| match (&part.0.sha256, part.0.size_bytes) {
        (Some(sha256), _) => sha256 == part.1,
        (None, size) => size == part.2,
    };
    let is_kept = matches!(backup.state.as_str(), "available" | "partial" | "quarantined");
    let needs_names = files.iter().any(|file| file.facts.sha256.is_none());
    let is_named = || {
        let of = backup.origin.iter().flat_map(|origin| &origin.imported);
        // As the API writes moments.
        let at = taken_at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        backup.created_at == at && of.eq(files.iter().map(|file| &file.facts.name))
    };
    is_kept
        && backup.parts.len() == files.len()
        && (!needs_names || is_named())
        && (files.iter().zip(&backup.parts))
            .all(|(file, part)| same((&file.facts, &part.sha256, part.size_bytes)))
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
