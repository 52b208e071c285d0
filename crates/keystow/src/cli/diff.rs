//! `keystow diff`: which keys two RDB files or backups do not share, in memory that does not grow with them.
//!
//! Each side is read once. What is kept of a key is its name, type, expiry and the digest of its value; where that
//! is too much for memory, it is parted into files by the hash of the key, and the parts are compared one by one.

mod compare;
mod record;
mod report;
mod side;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use keystow_rdb::{DigestKey, Digester, Event, Filter, Head, Limits, Part, Reader, Visitor, Want};
use tokio::task::spawn_blocking;

use super::input::{self, FilterArgs, Input, RdbBytes};
use super::{Context, output};
use crate::failure::{Exit, Failure};
use record::Record;
use report::{Report, Style};
use side::{Parting, Side};

/// Flags of `diff`.
#[derive(Debug, Args)]
#[command(
    after_help = "Prints a line per key: + added, - removed, ~ changed (type, value, expiry); then the counts. With \
    --json, a JSON object per line: {\"change\", \"db\", \"key\", \"type\", \"expires_at_ms\", …}, the last one \
    {\"summary\": {…}}; a key that is not UTF-8 is {\"base64\":\"…\"}. Lines come in the order of databases and keys \
    as long as both sides fit into memory, else in none.\n\n\
    How a value is encoded and by which server makes no difference.\n\n\
    Examples:\n  keystow diff monday.rdb tuesday.rdb\n  \
    keystow diff 0198f3c0-7b1e-7c0a-9d0e-3f1f6f0f2a11 dump.rdb --match 'user:*'\n\n\
    Exit code 0 means that the keys are the same, 1 that they differ, 2 or more that they could not be compared: 2 \
    where other commands fail with 1, 5 for a file or backup that is not there, 7 for one that is not sound, and so on."
)]
pub(crate) struct DiffArgs {
    /// The earlier one: an RDB file, - for standard input, or a backup's id or number
    #[arg(value_name = "A")]
    before: String,
    /// The later one
    #[arg(value_name = "B")]
    after: String,
    #[command(flatten)]
    filter: FilterArgs,
    /// When keys and fields of hashes expire makes no difference
    #[arg(long)]
    ignore_ttl: bool,
    /// Print the counts alone
    #[arg(long)]
    summary: bool,
    /// Where to put what does not fit into memory [default: the system's folder for temporary files]
    #[arg(long, value_name = "FOLDER")]
    temp_dir: Option<PathBuf>,
}

/// Compares and prints; the exit code says whether something differs.
pub(super) async fn run(args: DiffArgs, context: &Context) -> Result<ExitCode, Failure> {
    let differs = compare(args, context).await.map_err(unlike_a_difference)?;
    Ok(if differs { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// A failure never ends with 1, which means that something differs; diff(1) keeps 2 for it.
pub(super) fn unlike_a_difference(failure: Failure) -> Failure {
    let exit = if failure.exit == Exit::Failure { Exit::Usage } else { failure.exit };
    Failure { exit, ..failure }
}

async fn compare(args: DiffArgs, context: &Context) -> Result<bool, Failure> {
    if input::is_one_stream(&args.before, &args.after) {
        return Err(Failure::usage("both sides are the same stream, which can be read only once")
            .hint("write it to a file first"));
    }
    let before = input::open(&args.before, context).await?;
    let after = input::open(&args.after, context).await?;
    let parting = Arc::new(Parting::for_files(size(&before).max(size(&after)), args.temp_dir));
    let reading = Reading {
        key: DigestKey::random(),
        filter: Arc::new(args.filter.filter()),
        ignore_ttl: args.ignore_ttl,
    };
    let before = reading.read(before, Side::new(Arc::clone(&parting))).await?;
    let after = reading.read(after, Side::new(parting)).await?;
    let style = Style { json: context.output.json, summary_only: args.summary };
    let compared = spawn_blocking(move || -> Result<bool, Failure> {
        let mut report = Report::new(style, args.ignore_ttl, output::emit);
        compare::compare(before, after, &mut |pair| report.add(pair))?;
        report.finish()
    });
    compared
        .await
        .map_err(|error| Failure::new(Exit::Failure, "INTERNAL", "the comparison died").because(error))?
}

/// The bytes of all inputs together, where all are known.
fn size(inputs: &[Input]) -> Option<u64> {
    inputs.iter().map(|input| input.size).sum()
}

/// How both sides are read.
struct Reading {
    key: DigestKey,
    filter: Arc<Filter>,
    ignore_ttl: bool,
}

impl Reading {
    /// Reads all parts of one side.
    async fn read(&self, inputs: Vec<Input>, mut side: Side) -> Result<Side, Failure> {
        for input in inputs {
            let label = input.label.clone();
            let digester = Digester::new(self.key);
            let chosen = Chosen {
                digester: if self.ignore_ttl { digester.without_expiries() } else { digester },
                filter: Arc::clone(&self.filter),
                is_wanted: false,
            };
            side = input.read(move |bytes| collect(bytes, &label, chosen, side)).await?;
        }
        side.settle()
    }
}

/// Adds every wanted key of a file to a side.
fn collect(bytes: &mut RdbBytes, label: &str, mut chosen: Chosen, mut side: Side) -> Result<Side, Failure> {
    let mut reader = Reader::new(bytes, Limits::default());
    loop {
        match reader.next_event_with(&mut chosen) {
            Ok(Some(Event::Entry(entry))) if chosen.is_wanted && !entry.is_skipped_by_servers() => {
                side.add(&Record {
                    database: entry.database,
                    key: entry.key,
                    kind: entry.kind,
                    expires_ms: entry.expires_ms,
                    digest: chosen.digester.digest(),
                })?;
            }
            Ok(Some(_)) => {}
            Ok(None) => return Ok(side),
            Err(fault) => return Err(input::unsound(label, &fault)),
        }
    }
}

/// Computes the digests of the values that the filter wants.
struct Chosen {
    digester: Digester,
    filter: Arc<Filter>,
    /// Whether the value at hand is one of them.
    is_wanted: bool,
}

impl Visitor for Chosen {
    fn begin(&mut self, head: &Head<'_>) -> Want {
        self.is_wanted = self.filter.wants(head);
        if self.is_wanted { self.digester.begin(head) } else { Want::Nothing }
    }

    fn part(&mut self, part: Part<'_>) -> std::io::Result<()> {
        self.digester.part(part)
    }

    fn raw(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.digester.raw(bytes)
    }
}

#[cfg(test)]
mod tests;
