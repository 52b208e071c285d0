//! `keystow job`: what the workers are doing.

use clap::{Args, Subcommand};

use super::Context;
use super::backup::describe_scrubbed;
use super::drill::describe_drilled;
use super::output::{count, grid, moment, pairs, size};
use super::restore::describe_restored;
use crate::api::{JobList, JobRow, OutcomeRow};
use crate::failure::Failure;

/// Verbs of `job`.
#[derive(Debug, Subcommand)]
pub(crate) enum JobCommand {
    /// List the jobs, newest first
    #[command(alias = "ls")]
    List(ListArgs),
    /// Show one job
    #[command(after_help = "Example:\n  keystow job show 1042")]
    Show(OneArgs),
    /// Stop a job
    #[command(after_help = "Example:\n  keystow job cancel 1042")]
    Cancel(OneArgs),
}

/// Flags of `job list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// At most so many
    #[arg(long)]
    limit: Option<usize>,
}

/// Which job.
#[derive(Debug, Args)]
pub(crate) struct OneArgs {
    /// The job's number
    job: u64,
}

/// Runs a verb.
pub(super) async fn run(command: JobCommand, context: &Context) -> Result<(), Failure> {
    let (client, output) = (context.client()?, context.output);
    match command {
        JobCommand::List(args) => {
            let rows = client.list::<JobList>(&["jobs"], &[], args.limit).await?;
            output.value(&rows, |rows| tabulate(rows))
        }
        JobCommand::Show(args) => {
            let row = client.get(&["jobs", &args.job.to_string()]).await?;
            output.value(&row, describe)
        }
        JobCommand::Cancel(args) => {
            let row = client.act(&["jobs", &args.job.to_string(), "cancellation"]).await?;
            output.value(&row, describe)
        }
    }
}

fn done(row: &JobRow) -> String {
    match row.progress.total_bytes {
        Some(total) => format!("{} of {}", size(row.progress.bytes), size(total)),
        None if row.progress.bytes > 0 => size(row.progress.bytes),
        None => String::new(),
    }
}

fn state(row: &JobRow) -> String {
    match row.state.as_str() {
        "running" if row.cancel_requested => "stopping".to_owned(),
        "running" => row.progress.phase.clone(),
        state => state.to_owned(),
    }
}

fn tabulate(rows: &[JobRow]) -> String {
    let cells = rows.iter().map(|row| {
        vec![
            row.number.to_string(),
            row.kind.clone(),
            row.instance.clone(),
            row.backup.clone(),
            state(row),
            done(row),
            moment(&row.created_at),
            row.failure.as_ref().map(|note| note.code.clone()).unwrap_or_default(),
        ]
    });
    grid(&["JOB", "KIND", "INSTANCE", "BACKUP", "STATE", "DONE", "ASKED FOR", "FAILURE"], cells.collect())
}

fn describe(row: &JobRow) -> String {
    let done = done(row);
    let mut text = pairs([
        ("job", Some(row.number.to_string())),
        ("kind", Some(row.kind.clone())),
        ("state", Some(state(row))),
        ("instance", Some(row.instance.clone())),
        ("backup", Some(row.backup.clone())),
        ("attempt", Some(row.attempt.to_string())),
        ("done", (!done.is_empty()).then_some(done)),
        ("keys", (row.progress.keys > 0).then(|| count(row.progress.keys))),
        ("asked for", Some(moment(&row.created_at))),
        ("started", row.started_at.as_deref().map(moment)),
        ("ended", row.ended_at.as_deref().map(moment)),
        ("failure", row.failure.as_ref().map(|note| format!("{}: {}", note.code, note.message))),
        ("try", row.failure.as_ref().and_then(|note| note.hint.clone())),
    ]);
    match &row.outcome {
        Some(OutcomeRow::Restore(restored)) => text.push_str(&describe_restored(restored)),
        Some(OutcomeRow::Drill(drilled)) => text.push_str(&describe_drilled(drilled)),
        Some(OutcomeRow::Scrub(found)) => text.push_str(&describe_scrubbed(found)),
        None => {}
    }
    text
}
