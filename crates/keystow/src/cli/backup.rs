//! `keystow backup`: takes, lists, protects and removes backups.

mod describe;

use clap::{Args, Subcommand};
use jiff::Timestamp;

use self::describe::{describe, tabulate, tabulate_pruned};
use super::Context;
use super::copy::{CopyArgs, RepairArgs};
use super::output::{confirm, count, moment, pairs, plain, size};
use super::span::parse_past;
use super::wait::{wait_for_backup, wait_for_job};
use crate::api::{
    BackupList, BackupRow, JobRow, NewBackupRequest, OutcomeRow, Protection, PruneRequest, PrunedRow,
    ScrubRow,
};
use crate::failure::{Exit, Failure};

/// Verbs of `backup`.
#[derive(Debug, Subcommand)]
pub(crate) enum BackupCommand {
    /// Take a backup of an instance
    #[command(after_help = "Example:\n  keystow backup create prod-cache --wait\n\n\
        Ctrl-C during --wait stops the waiting, never the backup.")]
    Create(CreateArgs),
    /// List the backups, newest first
    #[command(
        alias = "ls",
        after_help = "Example:\n  keystow backup list --instance prod-cache --since 7d --state available,failed"
    )]
    List(ListArgs),
    /// Show one backup with its parts
    #[command(after_help = "Example:\n  keystow backup show 1042")]
    Show(OneArgs),
    /// Remove a backup and its files
    #[command(after_help = "Example:\n  keystow backup delete 1042 --yes")]
    #[command(alias = "rm")]
    Delete(DeleteArgs),
    /// Keep a backup whatever retention says
    #[command(after_help = "Example:\n  keystow backup protect 1042")]
    Protect(ProtectArgs),
    /// Remove the backups that no policy keeps, and those whose expiry has passed; it is done by itself, too
    #[command(after_help = "Example:\n  keystow backup prune prod-cache --dry-run\n\n\
        Never removed: a protected backup, and the last good one of an instance.")]
    Prune(PruneArgs),
    /// Read the stored bytes of a backup again
    #[command(after_help = "Example:\n  keystow backup scrub 1042 --wait\n\n\
        A backup that is not what was sealed becomes 'damaged': it is not handed out any more. Exit code 7.")]
    Scrub(ScrubArgs),
    /// Copy a backup into another repository, and prove it there
    #[command(after_help = "Example:\n  keystow backup copy 1042 --to far-away --wait\n\n\
        The repository is one of the configuration: [copies.far-away]. A policy does it by itself:\n  \
        keystow policy set prod-cache --copy far-away")]
    Copy(CopyArgs),
    /// Bring a damaged backup back from a copy that is whole
    #[command(after_help = "Example:\n  keystow backup repair 1042 --wait")]
    Repair(RepairArgs),
}

/// Flags of `backup create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// The instance's id
    instance: String,
    /// Wait until it has ended, showing how far it is
    #[arg(long)]
    wait: bool,
    /// A name for it
    #[arg(long)]
    name: Option<String>,
    /// A person's note
    #[arg(long)]
    remark: Option<String>,
    /// Days to keep it; for ever if absent
    #[arg(long, value_name = "DAYS")]
    keep_days: Option<u32>,
}

/// Flags of `backup list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only of this instance
    #[arg(long)]
    instance: Option<String>,
    /// Only in these states, separated by commas; all but expired if absent
    #[arg(long, value_delimiter = ',', value_parser = ["queued", "running", "available", "partial", "quarantined",
        "failed", "expired", "damaged"])]
    state: Vec<String>,
    /// Only from this time on: RFC 3339, or a span before now such as 7d
    #[arg(long, value_name = "TIME", value_parser = parse_past)]
    since: Option<Timestamp>,
    /// Only up to this time
    #[arg(long, value_name = "TIME", value_parser = parse_past)]
    until: Option<Timestamp>,
    /// At most so many
    #[arg(long)]
    limit: Option<usize>,
}

/// Which backup.
#[derive(Debug, Args)]
pub(crate) struct OneArgs {
    /// The backup's id or number
    backup: String,
}

/// Flags of `backup delete`.
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// The backup's id or number
    backup: String,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

/// Flags of `backup protect`.
#[derive(Debug, Args)]
pub(crate) struct ProtectArgs {
    /// The backup's id or number
    backup: String,
    /// Give it back to retention
    #[arg(long)]
    release: bool,
}

/// Flags of `backup prune`.
#[derive(Debug, Args)]
pub(crate) struct PruneArgs {
    /// Only of this instance
    instance: Option<String>,
    /// Remove nothing, only tell
    #[arg(long)]
    dry_run: bool,
    /// Show also what stays, as --dry-run does
    #[arg(long)]
    all: bool,
}

/// Flags of `backup scrub`.
#[derive(Debug, Args)]
pub(crate) struct ScrubArgs {
    /// The backup's id or number
    backup: String,
    /// Wait until it has ended
    #[arg(long)]
    wait: bool,
}

/// Runs a verb.
pub(super) async fn run(command: BackupCommand, context: &Context) -> Result<(), Failure> {
    let (client, output) = (context.client()?, context.output);
    match command {
        BackupCommand::Create(args) => create(args, context).await?,
        BackupCommand::Prune(args) => prune(args, context).await?,
        BackupCommand::Scrub(args) => scrub(args, context).await?,
        BackupCommand::Copy(args) => super::copy::copy(args, context).await?,
        BackupCommand::Repair(args) => super::copy::repair(args, context).await?,
        BackupCommand::List(args) => {
            let rows = client.list::<BackupList>(&["backups"], &args.filter(), args.limit).await?;
            output.value(&rows, |rows| tabulate(rows))?;
        }
        BackupCommand::Show(args) => {
            let row = client.get(&["backups", &args.backup]).await?;
            output.value(&row, describe)?;
        }
        BackupCommand::Delete(args) => {
            confirm(&format!("remove backup {} for ever?", args.backup), args.yes)?;
            let row: BackupRow = client.delete(&["backups", &args.backup]).await?;
            output.value(&row, |row| format!("{}  being removed\n", row.id))?;
        }
        BackupCommand::Protect(args) => {
            let path = ["backups", &args.backup, "protection"];
            let row: BackupRow = client.put(&path, &Protection { protected: !args.release }).await?;
            output.value(&row, |row| {
                format!("{}  {}\n", row.id, if row.protected { "protected" } else { "not protected" })
            })?;
        }
    }
    Ok(())
}

async fn create(args: CreateArgs, context: &Context) -> Result<(), Failure> {
    let (client, output) = (context.client()?, context.output);
    let request = NewBackupRequest {
        instance: args.instance,
        name: args.name,
        remark: args.remark,
        keep_days: args.keep_days,
    };
    let asked: BackupRow = client.post(&["backups"], &request).await?;
    if !args.wait {
        output.value(&asked, describe)?;
        output.note(&format!("next: keystow job show {}", asked.job));
        return Ok(());
    }
    let ended = wait_for_backup(&client, asked, output).await?;
    for warning in ended.origin.iter().flat_map(|origin| &origin.warnings) {
        output.warn(&plain(warning));
    }
    // The row is worth having whatever its end: it names the parts that there are, and the reason.
    output.value(&ended, describe)?;
    super::wait::judge(&ended)?;
    output.note(&format!("next: keystow link create {}", ended.id));
    Ok(())
}

async fn prune(args: PruneArgs, context: &Context) -> Result<(), Failure> {
    let (client, output) = (context.client()?, context.output);
    let dry_run = args.dry_run;
    let request = PruneRequest { instance: args.instance, dry_run };
    let rows: Vec<PrunedRow> = client.post(&["backups", "prune"], &request).await?;
    output.value(&rows, |rows| tabulate_pruned(rows, dry_run, args.all))?;
    let gone = rows.iter().filter(|row| !row.keep).count();
    let verb = if dry_run { "would go" } else { "removed" };
    output.note(&format!("{gone} {verb}, {} stay", rows.len() - gone));
    Ok(())
}

async fn scrub(args: ScrubArgs, context: &Context) -> Result<(), Failure> {
    let (client, output) = (context.client()?, context.output);
    let asked: JobRow = client.act(&["backups", &args.backup, "scrub"]).await?;
    if !args.wait {
        output.value(&asked, |job| pairs([("job", Some(job.number.to_string()))]))?;
        output.note(&format!("next: keystow job show {}", asked.number));
        return Ok(());
    }
    let ended = wait_for_job(&client, asked.number, "the scrub", &asked.instance, output).await?;
    output.value(&ended, |job| match &job.outcome {
        Some(OutcomeRow::Scrub(found)) => describe_scrubbed(found),
        _ => String::new(),
    })?;
    match ended.failure {
        Some(note) => Err(note.into()),
        None if ended.state == "done" => Ok(()),
        None => Err(Failure::new(Exit::Failure, "CANCELLED", format!("the scrub was {}", ended.state))),
    }
}

/// What a scrub found, for people.
pub(super) fn describe_scrubbed(found: &ScrubRow) -> String {
    pairs([
        (
            "read again",
            Some(format!("{}, {} in {} ms", moment(&found.at), size(found.bytes), count(found.took_ms))),
        ),
        ("found", Some(if found.ok { "as it was sealed" } else { "damaged" }.to_owned())),
    ])
}

impl ListArgs {
    fn filter(&self) -> Vec<(&'static str, String)> {
        let states = (!self.state.is_empty()).then(|| self.state.join(","));
        [
            ("instance", self.instance.clone()),
            ("state", states),
            ("since", self.since.map(|at| at.to_string())),
            ("until", self.until.map(|at| at.to_string())),
        ]
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| (name, value)))
        .collect()
    }
}
