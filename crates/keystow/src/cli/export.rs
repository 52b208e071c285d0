//! `keystow export`: the keys of an RDB file, or of a backup as its links deliver it, in forms that others read.

#[cfg(feature = "parquet")]
mod parquet;

use std::fs::File;
use std::io::ErrorKind;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use keystow_rdb::{ExportOptions, Exported, Fault, Filter, Form, Limits, Reason};
use serde::Serialize;

use super::new_file::NewFile;
use super::output::{closed, count, is_stdout, stdout, unless_closed};
use super::stop::unless_stopped;
use super::{Context, input};
use crate::failure::Failure;

/// Flags of `export`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  keystow export dump.rdb | jq -c 'select(.type == \"hash\")'\n  \
    keystow export dump.rdb --format resp | redis-cli --pipe\n  \
    keystow export dump.rdb --format csv --match 'user:*' -o users.csv\n  \
    keystow export 0198f3c0-7b1e-7c0a-9d0e-3f1f6f0f2a11 -o keys.jsonl\n\n\
    jsonl has all that is in the file; strings that are not UTF-8 are {\"base64\":\"…\"}. resp has what commands can\n\
    set. csv and parquet have one row of facts per key. Exit code 7 means that the file is not sound: what was\n\
    printed up to there stays printed, but a file named with -o does not appear.")]
pub(crate) struct ExportArgs {
    /// An RDB file, - for standard input, or a backup's id or number
    #[arg(value_name = "FILE|BACKUP")]
    source: String,
    /// Form of the output
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    format: Format,
    /// File to write, - for standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    /// Replace a file that exists
    #[arg(long, requires = "output")]
    force: bool,
    #[command(flatten)]
    filter: input::FilterArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One JSON object per key
    Jsonl,
    /// Commands that recreate the keys, for redis-cli --pipe
    Resp,
    /// One row of facts per key
    Csv,
    /// The same facts in columns, if the program is built with the feature parquet
    Parquet,
}

/// What is said of a file that was written.
#[derive(Serialize)]
struct Summary {
    path: PathBuf,
    keys: u64,
    functions: u64,
}

/// Writes the keys.
pub(super) async fn run(args: ExportArgs, context: &Context) -> Result<(), Failure> {
    if args.format == Format::Parquet && cfg!(not(feature = "parquet")) {
        return Err(Failure::usage("this program was built without Parquet")
            .hint("build it with: cargo build --release --package keystow --features parquet"));
    }
    let inputs = input::open(&args.source, context).await?;
    let path = Some(args.output).filter(|path| !is_stdout(path));
    let filter = args.filter.filter();
    let exported = unless_stopped("stopped before all keys were written", async {
        let file = path.map(|path| NewFile::create(path, args.force)).transpose()?;
        let exported = export_all(inputs, args.format, &filter, file.as_ref()).await?;
        Ok((exported, file))
    });
    let Some((exported, file)) = unless_closed(exported.await)? else { return Ok(()) };
    warn_of_losses(&exported, args.format, context);
    let Some(file) = file else { return Ok(()) };
    let summary =
        Summary { path: file.path().to_owned(), keys: exported.keys, functions: exported.functions };
    file.publish()?;
    context
        .output
        .value(&summary, |summary| format!("{} keys in {}\n", count(summary.keys), summary.path.display()))
}

async fn export_all(
    inputs: Vec<input::Input>,
    format: Format,
    filter: &Filter,
    file: Option<&NewFile>,
) -> Result<Exported, Failure> {
    if format == Format::Parquet && inputs.len() > 1 {
        return Err(Failure::usage("one Parquet file cannot hold a backup of several parts")
            .hint("fetch the parts with `keystow fetch`, then export each of them"));
    }
    let mut all = Exported::default();
    for (place, input) in inputs.into_iter().enumerate() {
        let out = match file {
            Some(file) => file.writer()?,
            None => stdout()?,
        };
        let label = input.label.clone();
        let filter = filter.clone();
        let export = move |bytes: &mut input::RdbBytes| {
            export_one(bytes, format, filter, place > 0, out).map_err(|fault| failure(&label, &fault))
        };
        all += input.read(export).await?;
    }
    Ok(all)
}

fn export_one(
    bytes: &mut input::RdbBytes,
    format: Format,
    filter: Filter,
    without_header: bool,
    out: File,
) -> Result<Exported, Fault> {
    let form = match format {
        Format::Jsonl => Form::JsonLines,
        Format::Resp => Form::Commands,
        Format::Csv => Form::Csv,
        #[cfg(feature = "parquet")]
        Format::Parquet => return parquet::write(bytes, &filter, out),
        #[cfg(not(feature = "parquet"))]
        Format::Parquet => return Ok(Exported::default()),
    };
    let options = ExportOptions { form, filter, without_header };
    keystow_rdb::export(bytes, Limits::default(), &options, out)
}

fn failure(label: &str, fault: &Fault) -> Failure {
    match fault.reason {
        Reason::Output { kind: ErrorKind::BrokenPipe, .. } => closed(),
        _ => input::unsound(label, fault),
    }
}

/// Says what the form has no place for.
fn warn_of_losses(exported: &Exported, format: Format, context: &Context) {
    let lost = &exported.not_carried;
    let mut losses = vec![("keys with data of modules beside the value", lost.key_meta)];
    if format == Format::Resp {
        losses.extend([
            ("data of modules outside of keys", lost.module_aux),
            ("keys' idle times or access counters", lost.usage),
            ("streams' memory of repeated additions", lost.idempotence),
        ]);
    }
    for (what, number) in losses {
        if number > 0 {
            context.output.warn(&format!("not in the output: {} x {what}", count(number)));
        }
    }
}
