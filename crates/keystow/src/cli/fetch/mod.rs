//! `keystow fetch`: downloads a backup by its link or its id. Parallel, resumable, checked; the file gets its name
//! only when its bytes are proven.

mod name;
pub(super) mod patience;
pub(super) mod remote;
mod state;
mod target;
#[cfg(test)]
mod tests;
mod transfer;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;
use serde::Serialize;
use tokio::task::spawn_blocking;

use super::Context;
use super::output::{Output, grid, size};
use super::progress::Progress;
use crate::api::{BackupRow, IssuedLinks, NewLinkRequest};
use crate::failure::{Exit, Failure};
use patience::Patience;
use remote::{Facts, Remote, Trouble};
use target::Target;
use transfer::Transfer;

/// How often a file may change under a download before that is given up.
const RESTARTS: u32 = 3;

/// Flags of `fetch`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  keystow fetch 'https://dl.example.com/d/….rdb?…' -o dump.rdb\n  \
    keystow fetch 0198f3c0-7b1e-7c0a-9d0e-3f1f6f0f2a11 -j 8\n\n\
    An interrupted download leaves FILE.part and FILE.part.json; the same command, also with a new link to the\n\
    same file, goes on from there.")]
pub(crate) struct FetchArgs {
    /// A link in quotes, or a backup's id or number
    #[arg(value_name = "URL|BACKUP")]
    source: String,
    /// File to write, or folder for the files of a backup with several parts
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Connections at once
    #[arg(short, long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64))]
    jobs: u8,
    /// Replace a file that exists
    #[arg(long)]
    force: bool,
    /// For a backup: which download listener to use
    #[arg(long, value_parser = ["public", "intranet"], default_value = "public")]
    network: String,
    /// For a backup: also if it is quarantined or partial
    #[arg(long)]
    unverified: bool,
}

/// A file that was downloaded.
#[derive(Debug, Serialize)]
struct Fetched {
    path: PathBuf,
    size_bytes: u64,
    sha256: String,
    /// Whether the SHA-256 was compared with what the server says.
    checked: bool,
    resumed_bytes: u64,
}

#[derive(Serialize)]
struct FetchedAll {
    files: Vec<Fetched>,
}

/// A link to follow.
pub(super) struct Linked {
    /// The URL.
    pub(super) url: String,
    /// The part's name, size and SHA-256, as the service told before.
    pub(super) known: Option<(String, u64, String)>,
}

/// Downloads everything behind the source.
pub(super) async fn run(args: FetchArgs, context: &Context) -> Result<(), Failure> {
    // Known as soon as the first byte may be on the disk; tells what an interrupted run leaves behind.
    let begun = Mutex::new(None);
    let files = tokio::select! {
        files = fetch_all(&args, context, &begun) => files?,
        _ = tokio::signal::ctrl_c() => return Err(interrupted(&args, &begun)),
    };
    context.output.value(&FetchedAll { files }, |fetched| {
        let cells = fetched
            .files
            .iter()
            .map(|file| vec![file.path.display().to_string(), size(file.size_bytes), file.sha256.clone()]);
        grid(&["FILE", "SIZE", "SHA256"], cells.collect())
    })
}

async fn fetch_all(
    args: &FetchArgs,
    context: &Context,
    begun: &Mutex<Option<PathBuf>>,
) -> Result<Vec<Fetched>, Failure> {
    let links = if args.source.contains("://") {
        vec![Linked { url: args.source.clone(), known: None }]
    } else if is_backup(&args.source) {
        links_to(&args.source, &args.network, args.unverified, context).await?
    } else {
        return Err(Failure::usage(format!(
            "'{}' is neither a link nor a backup's id or number",
            args.source
        ))
        .hint("list the backups with: keystow backup list"));
    };
    let mut files = Vec::with_capacity(links.len());
    for link in &links {
        let remote = Arc::new(Remote::new(&link.url)?);
        let facts = ask(&remote, link).await?;
        let given = link.known.as_ref().and_then(|(name, ..)| name::sanitise(name));
        let name = given.or(facts.name.clone()).unwrap_or_else(|| remote.name());
        let target = Target::new(choose(args.output.as_deref(), &name, links.len())?, args.force)?;
        *begun.lock().unwrap_or_else(PoisonError::into_inner) = Some(target.part());
        files.push(fetch_one(remote, facts, link, target, usize::from(args.jobs), context.output).await?);
    }
    Ok(files)
}

/// Asks the service for links to all parts of a backup, and for what they must be.
pub(super) async fn links_to(
    backup: &str,
    network: &str,
    unverified: bool,
    context: &Context,
) -> Result<Vec<Linked>, Failure> {
    let client = context.client()?;
    let row: BackupRow = client.get(&["backups", backup]).await?;
    let request = NewLinkRequest {
        backup: backup.to_owned(),
        ttl_seconds: None,
        network: Some(network.to_owned()),
        addresses: Vec::new(),
        once: false,
        downloads: None,
        bytes_per_second: None,
        connections: None,
        unverified,
    };
    let issued: IssuedLinks = client.post(&["links"], &request).await?;
    let linked = issued.links.into_iter().map(|link| {
        let part = row.parts.iter().find(|part| part.number == link.part);
        Linked { url: link.url, known: part.map(|part| (link.name, part.size_bytes, part.sha256.clone())) }
    });
    Ok(linked.collect())
}

/// Whether a source that is neither URL nor file names a backup.
pub(super) fn is_backup(text: &str) -> bool {
    text.parse::<keystow_engine::model::BackupRef>().is_ok()
}

/// Asks what is behind a link. What the service said before must agree.
pub(super) async fn ask(remote: &Remote, link: &Linked) -> Result<Facts, Failure> {
    let mut patience = Patience::short();
    let mut facts = loop {
        match remote.ask().await {
            Ok(facts) => break facts,
            Err(trouble) => patience.endure(trouble, &remote.shown()).await.map_err(fatal)?,
        }
    };
    if let Some((_, bytes, sha256)) = &link.known {
        let differs = facts.size.is_some_and(|said| said != *bytes)
            || facts.sha256.as_ref().is_some_and(|said| said != sha256);
        if differs {
            return Err(Failure::new(
                Exit::Integrity,
                "LINK_MISMATCH",
                format!("{} is not the file that was backed up", remote.shown()),
            )
            .because("its size or SHA-256 differs from the catalog's")
            .hint("keystow doctor"));
        }
        facts.size = Some(*bytes);
        facts.sha256 = Some(sha256.clone());
    }
    Ok(facts)
}

async fn fetch_one(
    remote: Arc<Remote>,
    mut facts: Facts,
    link: &Linked,
    target: Target,
    connections: usize,
    output: Output,
) -> Result<Fetched, Failure> {
    let file = Arc::new(target.open()?);
    let label = target.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut restarts = 0;
    let resumed_bytes = loop {
        let transfer = Transfer {
            remote: remote.clone(),
            facts: facts.clone(),
            target: target.clone(),
            file: file.clone(),
            progress: Arc::new(Progress::new(output, &label, facts.size)),
            connections,
        };
        match transfer.run().await {
            Ok(resumed) => break resumed,
            Err(Trouble::Changed) if restarts < RESTARTS => {
                restarts += 1;
                output.warn(&format!("the file at {} has changed; starting again", remote.shown()));
                target::remove(&target.state())?;
                facts = ask(&remote, link).await?;
            }
            Err(trouble) => return Err(fatal(trouble)),
        }
    };
    let mut fetched = finish(target, file, facts, output, label).await?;
    fetched.resumed_bytes = resumed_bytes;
    Ok(fetched)
}

/// Proves the bytes on the disk, then gives them their name.
async fn finish(
    target: Target,
    file: Arc<std::fs::File>,
    facts: Facts,
    output: Output,
    label: String,
) -> Result<Fetched, Failure> {
    let work = move || {
        let failed = |error| Failure::file(format!("cannot read {}", target.part().display()), &error);
        let size_bytes = file.metadata().map_err(failed)?.len();
        let progress = Progress::new(output, &format!("{label} (checking)"), Some(size_bytes));
        let sha256 = target.hash(&file, &progress)?;
        drop(progress);
        if let Some(expected) = facts.sha256.as_ref().filter(|expected| **expected != sha256) {
            target.discard()?;
            return Err(Failure::new(
                Exit::Integrity,
                "CHECKSUM_MISMATCH",
                format!("{} did not arrive as it was sent", target.path().display()),
            )
            .because(format!("SHA-256 is {sha256}, the server says {expected}"))
            .hint("run the same command again; it starts from the beginning"));
        }
        target.publish(&file)?;
        let path = target.path().to_owned();
        if facts.sha256.is_none() {
            output.warn(&format!(
                "the server gave no checksum; check the file with: keystow verify {}",
                path.display()
            ));
        }
        Ok(Fetched { path, size_bytes, sha256, checked: facts.sha256.is_some(), resumed_bytes: 0 })
    };
    let died = |error| Failure::new(Exit::Failure, "INTERNAL", "the check died").because(error);
    spawn_blocking(work).await.map_err(died)?
}

/// The file to write. Several parts need a folder.
fn choose(output: Option<&Path>, name: &str, parts: usize) -> Result<PathBuf, Failure> {
    let Some(path) = output else { return Ok(PathBuf::from(name)) };
    if parts > 1 {
        std::fs::create_dir_all(path)
            .map_err(|error| Failure::file(format!("cannot make the folder {}", path.display()), &error))?;
    }
    Ok(if path.is_dir() { path.join(name) } else { path.to_owned() })
}

/// Trouble that nobody will try again.
pub(super) fn fatal(trouble: Trouble) -> Failure {
    match trouble {
        Trouble::Fatal(failure) => failure,
        Trouble::Changed => {
            Failure::new(Exit::Conflict, "FILE_CHANGED", "the file changes while it is downloaded")
                .hint("try again when it is at rest")
        }
        Trouble::Passing { reason, .. } => {
            Failure::new(Exit::Unreachable, "LINK_UNREACHABLE", "the download did not work").because(reason)
        }
    }
}

fn interrupted(args: &FetchArgs, begun: &Mutex<Option<PathBuf>>) -> Failure {
    let part = begun.lock().unwrap_or_else(PoisonError::into_inner).clone().filter(|part| part.exists());
    let Some(part) = part else {
        return Failure::new(Exit::Interrupted, "INTERRUPTED", "stopped before it began");
    };
    // The link is a secret: whoever typed it has it.
    let source = if args.source.contains("://") { "'LINK'" } else { &args.source };
    let mut command = format!("keystow fetch {source}");
    if let Some(output) = &args.output {
        let _ = write!(command, " -o {}", output.display());
    }
    Failure::new(
        Exit::Interrupted,
        "INTERRUPTED",
        format!("stopped; what has arrived is kept in {}", part.display()),
    )
    .hint(format!("go on with: {command}"))
}

/// Lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
