//! `keystow verify`: checks every structure and checksum of an RDB file, or of a backup as its links deliver it.

mod report;

use clap::Args;
use keystow_rdb::Limits;

use super::{Context, input};
use crate::failure::Failure;
use report::{Verdict, VerdictOfAll};

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
    let mut verdicts = Vec::new();
    for input in input::open(&args.source, context).await? {
        let verify = |bytes: &mut input::RdbBytes| Verdict::of(keystow_rdb::verify(bytes, Limits::default()));
        let (mut verdict, digests) = input.read_and_hash(verify).await?;
        if let Some(digests) = digests {
            verdict.compare(digests);
        }
        verdicts.push(verdict);
    }
    if let [verdict] = verdicts.as_slice() {
        context.output.value(verdict, Verdict::describe)?;
    } else {
        let all = VerdictOfAll::of(&verdicts);
        context.output.value(&all, VerdictOfAll::describe)?;
    }
    verdicts.iter().try_for_each(|verdict| verdict.judge(verdict.name().unwrap_or(&args.source)))
}
