//! `keystow verify`: checks every structure and checksum of an RDB file, or of a backup as its links deliver it.

mod report;
mod stream;

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use clap::Args;
use keystow_rdb::Limits;
use tokio::task::spawn_blocking;

use super::Context;
use super::fetch::{is_backup, links_to};
use super::output::Output;
use super::progress::Progress;
use crate::failure::{Exit, Failure};
use report::{Verdict, VerdictOfAll};

/// Few system calls, and still in the CPU's cache.
const BUFFER_BYTES: usize = 1 << 20;

/// Flags of `verify`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  keystow verify dump.rdb\n  zstd -dc dump.rdb.zst | keystow verify -\n  \
    keystow verify 0198f3c0-7b1e-7c0a-9d0e-3f1f6f0f2a11\n\n\
    Exit code 7 means that the file is not sound."
)]
pub(crate) struct VerifyArgs {
    /// An RDB file, - for standard input, or a backup's id or number
    #[arg(value_name = "FILE|BACKUP")]
    source: String,
}

/// Verifies and prints the verdict; fails unless all is sound.
pub(super) async fn run(args: VerifyArgs, context: &Context) -> Result<(), Failure> {
    let path = Path::new(&args.source);
    if args.source == "-" || path.exists() {
        let (output, source) = (context.output, args.source.clone());
        let verdict = spawn_blocking(move || verify_file(&source, output)).await.map_err(died)??;
        context.output.value(&verdict, Verdict::describe)?;
        return verdict.judge(&args.source);
    }
    if !is_backup(&args.source) {
        return Err(Failure::new(
            Exit::NotFound,
            "FILE_NOT_FOUND",
            format!("there is no file {}", args.source),
        )
        .because("it is no backup's id or number either"));
    }
    verify_backup(&args.source, context).await
}

fn verify_file(source: &str, output: Output) -> Result<Verdict, Failure> {
    let input: (Box<dyn Read>, Option<u64>) = if source == "-" {
        (Box::new(std::io::stdin().lock()), None)
    } else {
        let failed = |error| Failure::file(format!("cannot read {source}"), &error);
        let file = File::open(source).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if metadata.is_dir() {
            return Err(Failure::usage(format!("{source} is a folder")));
        }
        (Box::new(file), metadata.is_file().then_some(metadata.len()))
    };
    let (read, total) = input;
    let progress = Progress::new(output, source, total);
    let counted = Counted { read, progress };
    Ok(Verdict::of(keystow_rdb::verify(BufReader::with_capacity(BUFFER_BYTES, counted), Limits::default())))
}

async fn verify_backup(backup: &str, context: &Context) -> Result<(), Failure> {
    let mut verdicts = Vec::new();
    for link in links_to(backup, "public", true, context).await? {
        let name = link.known.as_ref().map_or("backup", |(name, ..)| name);
        let progress = Arc::new(Progress::new(context.output, name, None));
        verdicts.push(stream::verify(&link, progress).await?);
    }
    if let [verdict] = verdicts.as_slice() {
        context.output.value(verdict, Verdict::describe)?;
    } else {
        let all = VerdictOfAll::of(&verdicts);
        context.output.value(&all, VerdictOfAll::describe)?;
    }
    verdicts.iter().try_for_each(|verdict| verdict.judge(verdict.name().unwrap_or(backup)))
}

/// A reader that reports how far it is.
struct Counted {
    read: Box<dyn Read>,
    progress: Progress,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let bytes = self.read.read(buffer)?;
        self.progress.add(bytes as u64);
        Ok(bytes)
    }
}

fn died(error: tokio::task::JoinError) -> Failure {
    Failure::new(Exit::Failure, "INTERNAL", "the verification died").because(error)
}
