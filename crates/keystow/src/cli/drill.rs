//! `keystow drill`: loads a backup into a throw-away server.

use clap::Args;

use super::Context;
use super::output::{count, grid, moment, pairs};
use super::wait::wait_for_job;
use crate::api::{DrillRow, JobRow, NewDrillRequest, OutcomeRow};
use crate::failure::{Exit, Failure};

/// Flags of `drill`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  keystow drill 0198f3c0-7b1e-7c0a-9d0e-3f1f6f0f2a11\n  \
    keystow drill 12 --program valkey-8.1\n\n\
    The service starts a redis-server or valkey-server of its own for each part, on a Unix socket in its data\n\
    directory, lets it load the part and counts the keys. Servers are taken from the folder that drill.folder\n\
    names and from the PATH. Exit code 7: the backup did not load.")]
pub(crate) struct DrillArgs {
    /// The backup's id or number
    backup: String,
    /// The server program to use: its name, or family and version such as redis-7.2; the nearest to the source if absent
    #[arg(long, value_name = "NAME")]
    program: Option<String>,
    /// Do not wait until it has ended
    #[arg(long)]
    no_wait: bool,
}

/// Asks for the drill, and waits for what it finds.
pub(super) async fn run(args: DrillArgs, context: &Context) -> Result<(), Failure> {
    let (client, output) = (context.client()?, context.output);
    let request = NewDrillRequest { backup: args.backup, server: args.program };
    let asked: JobRow = client.post(&["drills"], &request).await?;
    if args.no_wait {
        output.value(&asked, |job| pairs([("job", Some(job.number.to_string()))]))?;
        output.note(&format!("next: keystow job show {}", asked.number));
        return Ok(());
    }
    let ended = wait_for_job(&client, asked.number, "the drill", &asked.instance, output).await?;
    output.value(&ended, |job| match &job.outcome {
        Some(OutcomeRow::Drill(found)) => describe_drilled(found),
        _ => String::new(),
    })?;
    match ended.failure {
        Some(note) => Err(note.into()),
        None if ended.state == "done" => Ok(()),
        None => Err(Failure::new(Exit::Failure, "CANCELLED", format!("the drill was {}", ended.state))),
    }
}

/// What a drill found, for people.
pub(super) fn describe_drilled(found: &DrillRow) -> String {
    let mut text = pairs([
        ("drilled", Some(moment(&found.at))),
        ("server", Some(found.server.clone())),
        ("loaded", Some(if found.ok { "all of it" } else { "not all of it" }.to_owned())),
        ("took", Some(format!("{} ms", count(found.took_ms)))),
    ]);
    let cells = found.parts.iter().map(|part| {
        vec![
            part.shard.to_string(),
            count(part.keys),
            format!("{} ms", count(part.load_ms)),
            part.digest.clone().unwrap_or_default(),
        ]
    });
    let cells: Vec<_> = cells.collect();
    if !cells.is_empty() {
        text.push('\n');
        text.push_str(&grid(&["SHARD", "KEYS", "LOADED IN", "DIGEST"], cells));
    }
    text
}
