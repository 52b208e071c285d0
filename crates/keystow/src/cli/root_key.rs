//! `keystow root-key`: a copy of the root key, and a new one.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use keystow_engine::access::{RootKey, RootKeySource, write_private};
use keystow_engine::clock::Clock;
use keystow_engine::ops::{Rotated, is_rotated_to, rotate_root_key, settle_root_key};
use serde_json::json;

use super::Context;
use super::offline::{Offline, OfflineArgs};
use super::output::Output;
use crate::failure::{Exit, Failure};

/// The file that says of which key a copy was made.
pub(super) const COPIED: &str = "root.key.copied";

/// Verbs of `root-key`.
#[derive(Debug, Subcommand)]
pub(crate) enum RootKeyCommand {
    /// Write a copy of the root key into a new file
    #[command(
        after_help = "Example:\n  keystow root-key backup --data-dir /var/lib/keystow --to /media/usb/root.key\n\n\
        Keep it away from this host: whoever has it and the data directory can read every secret."
    )]
    Backup(BackupArgs),
    /// Replace the root key, while no server runs; every secret is sealed anew
    #[command(after_help = "Example:\n  keystow root-key rotate --data-dir /var/lib/keystow\n\n\
        Links that are out stay good until they end, unless --end-links is given.\nWith several \
        nodes, stop all, run this on one, and give the new key to the others before they start.")]
    Rotate(RotateArgs),
}

/// Flags of `root-key backup`.
#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    #[command(flatten)]
    service: OfflineArgs,
    /// File to write; it must not exist
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
}

/// Flags of `root-key rotate`.
#[derive(Debug, Args)]
pub(crate) struct RotateArgs {
    #[command(flatten)]
    service: OfflineArgs,
    /// Where the new key is, as the configuration says it: `env:NAME` or `command:…`. Without it, and where the key is
    /// a file, a new key is made
    #[arg(long, value_name = "SOURCE")]
    to: Option<RootKeySource>,
    /// End every link that is out: for a root key that somebody else may know
    #[arg(long)]
    end_links: bool,
}

/// Runs a verb.
pub(super) async fn run(command: RootKeyCommand, context: &Context) -> Result<(), Failure> {
    match command {
        RootKeyCommand::Backup(args) => backup(&args, context.output),
        RootKeyCommand::Rotate(args) => rotate(args, context.output).await,
    }
}

fn backup(args: &BackupArgs, output: Output) -> Result<(), Failure> {
    let config = args.service.config()?;
    let key = config.root_key_source()?.load()?;
    if args.to.exists() {
        return Err(Failure::new(
            Exit::Conflict,
            "FILE_EXISTS",
            format!("{} exists already", args.to.display()),
        ));
    }
    key.save(&args.to)?;
    remember_copy(&config.data_dir, &key)?;
    output.value(&json!({"file": args.to}), |_| format!("wrote {}\n", args.to.display()))?;
    output.note(
        "keep it away from this host, and try it: it is all that a new host needs beside the repository",
    );
    Ok(())
}

fn remember_copy(data_dir: &Path, key: &RootKey) -> Result<(), Failure> {
    let path = data_dir.join(COPIED);
    let _ = std::fs::remove_file(&path);
    Ok(write_private(&path, key.check_value().as_bytes())?)
}

/// Whether a copy of the key in that file was made with `root-key backup`; `None` if there is no such key.
pub(super) fn was_copied(data_dir: &Path) -> Option<bool> {
    let key = RootKey::load(&data_dir.join("root.key")).ok()?;
    let copied = std::fs::read_to_string(data_dir.join(COPIED)).unwrap_or_default();
    Some(copied.trim() == key.check_value())
}

async fn rotate(args: RotateArgs, output: Output) -> Result<(), Failure> {
    let service = args.service.open()?;
    let opened = service.catalog().await?;
    let catalog = opened.shared();
    let new = NewKey::find(&service, args.to)?;
    let rotated = if is_rotated_to(&*catalog, &new.key).await? {
        // An earlier run was stopped before the key was in its place.
        settle_root_key(new.key, &*catalog).await.map(|root| {
            let generation = root.generation();
            (root, Rotated { generation, secrets: 0 })
        })?
    } else {
        let old = settle_root_key(service.source.load()?, &*catalog).await?;
        let now = Clock::system().now();
        let links_until = if args.end_links { now } else { now + service.config.links.max_ttl.0 };
        rotate_root_key(&*catalog, &old, new.key, links_until).await?
    };
    let (root, rotated) = rotated;
    if let Some((from, to)) = &new.file {
        put_in_place(from, to, rotated.generation - 1)?;
    }
    let engine = service.engine(catalog.clone(), service.vault()?, &root)?;
    if let Err(error) = engine.copy_catalog_if_due().await {
        output.warn(&format!("the catalog could not be copied into the repository: {error}"));
    }
    opened.close().await;
    let shown = json!({"generation": rotated.generation, "secrets": rotated.secrets});
    output.value(&shown, |_| {
        format!("root key {} is in use, {} secrets were sealed anew\n", rotated.generation, rotated.secrets)
    })?;
    if let Some(source) = &new.named {
        output.note(&format!("next: set root_key to where the new key is ({source}), on every node"));
    } else {
        let data_dir = service.config.data_dir.display();
        output.note(&format!("next: keystow root-key backup --data-dir {data_dir} --to FILE"));
    }
    Ok(())
}

/// The key that is to come.
struct NewKey {
    key: RootKey,
    /// Where it waits, and where it belongs.
    file: Option<(PathBuf, PathBuf)>,
    /// Where the operator keeps it.
    named: Option<RootKeySource>,
}

impl NewKey {
    /// The key that the operator names; else a new one beside the old one's file, or that of an earlier run.
    fn find(service: &Offline, named: Option<RootKeySource>) -> Result<Self, Failure> {
        if let Some(source) = named {
            return Ok(Self { key: source.load()?, file: None, named: Some(source) });
        }
        let RootKeySource::File(path) = &service.source else {
            return Err(Failure::usage("the root key is not a file, so no new one can be made here").hint(
                "make one (64 hex digits), keep it as the old one is kept, and name it: --to env:NAME",
            ));
        };
        let waiting = path.with_extension("new");
        let key = RootKey::load_or_create(&waiting)?;
        Ok(Self { key, file: Some((waiting, path.clone())), named: None })
    }
}

/// Puts the new key's file in the old one's place, and the old one aside.
fn put_in_place(waiting: &Path, path: &Path, old_generation: u32) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::file(format!("cannot replace {}", path.display()), &error);
    let aside = path.with_extension(format!("retired-{old_generation}"));
    // A link first: at every moment the name leads to a whole key.
    match std::fs::hard_link(path, &aside) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    std::fs::rename(waiting, path).map_err(failed)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    Ok(())
}
