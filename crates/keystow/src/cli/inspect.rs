//! `keystow inspect`: what takes the space in an RDB file, or in a backup as its links deliver it.

mod report;

use clap::Args;
use keystow_engine::clock::Clock;
use keystow_rdb::{InspectOptions, Limits};

use super::{Context, input};
use crate::failure::Failure;
use report::{Figures, FiguresOfAll};

/// Rows of a list, for programs and for people.
const TOP: usize = 20;
const TOP_IN_TEXT: usize = 8;

/// Flags of `inspect`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  keystow inspect dump.rdb\n  keystow inspect dump.rdb --match 'user:*' --prefix-depth 2\n  \
    zstd -dc dump.rdb.zst | keystow inspect - --json\n  keystow inspect 0198f3c0-7b1e-7c0a-9d0e-3f1f6f0f2a11\n\n\
    Memory is an estimate of what a server would hold, made from lengths and counts.\n\
    Exit code 7 means that the file is not sound."
)]
pub(crate) struct InspectArgs {
    /// An RDB file, - for standard input, or a backup's id or number
    #[arg(value_name = "FILE|BACKUP")]
    source: String,
    /// How many prefixes and keys to list [20 in JSON, 8 in text]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    top: Option<u16>,
    /// What parts the levels of a key's name
    #[arg(long, value_name = "TEXT", default_value = ":")]
    prefix_separator: String,
    /// How many levels of a name make a prefix
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..))]
    prefix_depth: u8,
    /// Print every cluster slot that has keys
    #[arg(long)]
    slots: bool,
    #[command(flatten)]
    filter: input::FilterArgs,
}

/// Sums up and prints what was found.
pub(super) async fn run(args: InspectArgs, context: &Context) -> Result<(), Failure> {
    let rows = if context.output.json { TOP } else { TOP_IN_TEXT };
    let options = InspectOptions {
        filter: args.filter.filter(),
        top: args.top.map_or(rows, usize::from),
        separator: args.prefix_separator.into_bytes(),
        prefix_depth: args.prefix_depth.into(),
        now_ms: Clock::system().now().as_millisecond(),
    };
    let mut figures = Vec::new();
    for input in input::open(&args.source, context).await? {
        let (label, options) = (input.label.clone(), options.clone());
        let inspect = move |bytes: &mut input::RdbBytes| {
            keystow_rdb::inspect(bytes, Limits::default(), &options)
                .map_err(|fault| input::unsound(&label, &fault))
        };
        let label = input.label.clone();
        figures.push(Figures::of(&label, &input.read(inspect).await?, args.slots));
    }
    if let [figures] = figures.as_slice() {
        return context.output.value(figures, Figures::describe);
    }
    context.output.value(&FiguresOfAll { parts: figures }, FiguresOfAll::describe)
}
