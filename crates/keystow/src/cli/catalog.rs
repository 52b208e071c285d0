//! `keystow catalog`: copies of the catalog, and a new one made from the repository.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use keystow_engine::clock::Clock;
use keystow_engine::ops::{Rebuilt, begin_rebuild};
use serde::Serialize;

use super::Context;
use super::offline::OfflineArgs;
use super::output::{Output, moment, pairs, plain};
use super::serve::{keep_admin_key, key_secret};
use crate::api::CatalogCopyRow;
use crate::config::CatalogPlace;
use crate::failure::{Exit, Failure};

/// Verbs of `catalog`.
#[derive(Debug, Subcommand)]
pub(crate) enum CatalogCommand {
    /// Take a sealed copy of the catalog into the repository now; the service does so by itself after changes
    #[command(after_help = "Example:\n  keystow catalog copy")]
    Copy,
    /// Make the catalog anew from the repository alone, while the server does not run
    #[command(after_help = "Example:\n  keystow catalog rebuild --config /etc/keystow/keystow.toml\n\n\
        Backups come from their manifests, everything else from the newest sealed copy of the \
        catalog.\nIt needs the root key. What was stopped in the middle is begun again by running it again.")]
    Rebuild(RebuildArgs),
}

/// Flags of `catalog rebuild`.
#[derive(Debug, Args)]
pub(crate) struct RebuildArgs {
    #[command(flatten)]
    service: OfflineArgs,
    /// Move the catalog that is there aside
    #[arg(long)]
    force: bool,
}

/// What a rebuild did, as `--json` prints it.
#[derive(Serialize)]
struct Report {
    /// When the copy was taken that accounts, keys, instances and settings come from.
    copy_at: Option<String>,
    copied_rows: u64,
    refused_copies: Vec<String>,
    backups: std::collections::BTreeMap<&'static str, u64>,
    damaged_manifests: Vec<String>,
    damaged_events: Vec<String>,
    damaged_parts: Vec<String>,
    unfinished_attempts: u64,
    older_attempts: u64,
    unknown_instances: Vec<String>,
    /// The id of the admin key that was made because there was none.
    admin_key: Option<String>,
    moved_aside: Option<PathBuf>,
}

/// Runs a verb.
pub(super) async fn run(command: CatalogCommand, context: &Context) -> Result<(), Failure> {
    match command {
        CatalogCommand::Copy => {
            let row: CatalogCopyRow = context.client()?.act(&["catalog", "copies"]).await?;
            context.output.value(&row, |row| pairs([("copied", Some(moment(&row.at)))]))
        }
        CatalogCommand::Rebuild(args) => rebuild(&args, context.output).await,
    }
}

async fn rebuild(args: &RebuildArgs, output: Output) -> Result<(), Failure> {
    let service = args.service.open()?;
    let root = service.source.load()?;
    let moved_aside = match (args.force, service.config.catalog_place()?) {
        (false, _) => None,
        (true, CatalogPlace::Sqlite(path)) => move_aside(&path)?,
        (true, CatalogPlace::Postgres(_)) => {
            return Err(Failure::usage("a catalog in PostgreSQL cannot be moved aside here")
                .hint("make an empty database, and name it in catalog.url"));
        }
    };
    let (opened, vault) = (service.catalog().await?, service.vault()?);
    let catalog = opened.shared();
    let (root, copy, begun) = begin_rebuild(&*catalog, &*vault, root).await?;
    let engine = service.engine(catalog.clone(), vault, &root)?;
    let rebuilt = engine.rebuild(copy.as_ref(), begun, &told(output)).await?;
    if let Some(key) = &rebuilt.admin_key {
        keep_admin_key(&service.config.data_dir, &key_secret(key))?;
    }
    opened.close().await;
    let is_whole = rebuilt.damaged_manifests.is_empty()
        && rebuilt.damaged_events.is_empty()
        && rebuilt.damaged_parts.is_empty();
    let report = Report::of(rebuilt, moved_aside);
    output.value(&report, describe)?;
    if is_whole {
        output.note("next: keystow serve");
        return Ok(());
    }
    Err(Failure::new(
        Exit::Partial,
        "REBUILD_PARTIAL",
        "the catalog was rebuilt, but not all of the repository is sound",
    )
    .hint("the report names what is damaged; everything else is back"))
}

/// Moves a catalog and what belongs to it aside, under a name of this moment.
fn move_aside(path: &Path) -> Result<Option<PathBuf>, Failure> {
    let stamp = Clock::system().now().strftime("%Y%m%dT%H%M%SZ");
    let mut moved = None;
    // The file itself last: whoever is stopped in between finds the rest beside it, and begins again.
    for end in ["-shm", "-wal", ""] {
        let beside = |name: String| path.with_file_name(name);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let (from, to) = (beside(format!("{name}{end}")), beside(format!("{name}.aside-{stamp}{end}")));
        match std::fs::rename(&from, &to) {
            Ok(()) => moved = Some(to),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(Failure::file(format!("cannot move {} aside", from.display()), &error)),
        }
    }
    Ok(moved)
}

/// Says how far it is, every five seconds.
fn told(output: Output) -> impl Fn(u64, u64) + Send + Sync {
    let last = Mutex::new(Instant::now());
    move |done, total| {
        let Ok(mut last) = last.try_lock() else { return };
        if last.elapsed() >= Duration::from_secs(5) {
            *last = Instant::now();
            output.note(&format!("read {done} of {total} backups"));
        }
    }
}

impl Report {
    fn of(rebuilt: Rebuilt, moved_aside: Option<PathBuf>) -> Self {
        Self {
            copy_at: rebuilt.copy_at.map(|at| at.to_string()),
            copied_rows: rebuilt.copied_rows,
            refused_copies: rebuilt.refused_copies,
            backups: rebuilt.backups,
            damaged_manifests: rebuilt.damaged_manifests,
            damaged_events: rebuilt.damaged_events,
            damaged_parts: rebuilt.damaged_parts,
            unfinished_attempts: rebuilt.unfinished_attempts,
            older_attempts: rebuilt.older_attempts,
            unknown_instances: rebuilt.unknown_instances.into_iter().collect(),
            admin_key: rebuilt.admin_key.map(|key| key.id),
            moved_aside,
        }
    }
}

fn describe(report: &Report) -> String {
    let copy = report.copy_at.as_ref().map_or_else(
        || "none: accounts, keys, instances and settings are lost".to_owned(),
        |at| format!("{}, {} rows", moment(at), report.copied_rows),
    );
    let states: Vec<_> = report.backups.iter().map(|(state, number)| format!("{number} {state}")).collect();
    let number = |number: u64| (number > 0).then(|| number.to_string());
    let mut text = pairs([
        ("catalog copy", Some(copy)),
        ("backups", Some(if states.is_empty() { "none".to_owned() } else { states.join(", ") })),
        ("older attempts", number(report.older_attempts)),
        ("unfinished attempts", number(report.unfinished_attempts)),
        ("new admin key", report.admin_key.as_ref().map(|id| format!("{id}, in admin.key"))),
        ("moved aside", report.moved_aside.as_ref().map(|path| path.display().to_string())),
    ]);
    for (what, list) in [
        ("copy that does not open", &report.refused_copies),
        ("damaged manifest", &report.damaged_manifests),
        ("damaged event", &report.damaged_events),
        ("damaged part", &report.damaged_parts),
        ("instance to be added again", &report.unknown_instances),
    ] {
        for one in list {
            text.push_str(&plain(&format!("{what}: {one}")));
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_catalog_moves_aside_with_what_belongs_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalog.db");
        assert!(move_aside(&path).unwrap().is_none());
        for end in ["", "-wal"] {
            std::fs::write(folder.path().join(format!("catalog.db{end}")), end).unwrap();
        }
        let aside = move_aside(&path).unwrap().unwrap();
        assert!(!path.exists() && aside.exists());
        let wal = aside.with_file_name(format!("{}-wal", aside.file_name().unwrap().display()));
        assert_eq!(std::fs::read_to_string(wal).unwrap(), "-wal");
    }
}
