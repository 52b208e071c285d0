//! `keystow backup copy` and `keystow backup repair`: between the repository and those that hold copies.

use clap::Args;

use super::Context;
use super::output::{moment, pairs, size};
use super::wait::wait_for_job;
use crate::api::{CopyRow, JobRow, NewCopyRequest};
use crate::failure::{Exit, Failure};

/// Flags of `backup copy`.
#[derive(Debug, Args)]
pub(crate) struct CopyArgs {
    /// The backup's id or number
    backup: String,
    /// The repository: a name of the configuration, [copies.NAME]
    #[arg(long, value_name = "NAME")]
    to: String,
    /// Wait until it has ended
    #[arg(long)]
    wait: bool,
}

/// Flags of `backup repair`.
#[derive(Debug, Args)]
pub(crate) struct RepairArgs {
    /// The backup's id or number
    backup: String,
    /// Wait until it has ended
    #[arg(long)]
    wait: bool,
}

/// Copies a backup.
pub(super) async fn copy(args: CopyArgs, context: &Context) -> Result<(), Failure> {
    let path = ["backups", &args.backup, "copies"];
    let asked: JobRow = context.client()?.post(&path, &NewCopyRequest { to: args.to }).await?;
    follow(asked, "the copy", args.wait, context).await
}

/// Repairs a backup.
pub(super) async fn repair(args: RepairArgs, context: &Context) -> Result<(), Failure> {
    let asked: JobRow = context.client()?.act(&["backups", &args.backup, "repair"]).await?;
    follow(asked, "the repair", args.wait, context).await
}

/// Shows a job that was asked for, or waits for its end.
async fn follow(asked: JobRow, what: &str, wait: bool, context: &Context) -> Result<(), Failure> {
    let (client, output) = (context.client()?, context.output);
    if !wait {
        output.value(&asked, describe)?;
        output.note(&format!("next: keystow job show {}", asked.number));
        return Ok(());
    }
    let ended = wait_for_job(&client, asked.number, what, &asked.instance, output).await?;
    output.value(&ended, describe)?;
    match ended.failure {
        Some(note) => Err(note.into()),
        None if ended.state == "done" => {
            output.note(&format!("next: keystow backup show {}", ended.backup));
            Ok(())
        }
        None => Err(Failure::new(Exit::Failure, "CANCELLED", format!("{what} was {}", ended.state))),
    }
}

fn describe(job: &JobRow) -> String {
    pairs([
        ("job", Some(job.number.to_string())),
        ("backup", Some(job.backup.clone())),
        ("state", Some(job.state.clone())),
        ("stored bytes", (job.progress.bytes > 0).then(|| size(job.progress.bytes))),
    ])
}

/// The copies of a backup, for people.
pub(super) fn describe_copies(copies: &[CopyRow]) -> String {
    let mut text = String::new();
    for copy in copies {
        let mut words = vec![format!("{} in {}", copy.state, copy.repository)];
        words.extend(copy.stored_at.as_deref().map(|at| format!("stored {}", moment(at))));
        let again = copy.verified_at.as_deref().filter(|at| copy.stored_at.as_deref() != Some(at));
        words.extend(again.map(|at| format!("read again {}", moment(at))));
        words.extend(copy.retry_at.as_deref().map(|at| format!("tried again {}", moment(at))));
        text.push_str(&pairs([
            ("copy", Some(words.join(", "))),
            ("  failure", copy.failure.as_ref().map(|note| format!("{}: {}", note.code, note.message))),
            ("  try", copy.failure.as_ref().and_then(|note| note.hint.clone())),
        ]));
    }
    text
}
