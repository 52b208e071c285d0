//! `keystow backup`: takes, lists, protects and removes backups.

use std::collections::BTreeSet;

use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::Context;
use super::copy::{CopyArgs, RepairArgs, describe_copies};
use super::output::{confirm, count, grid, moment, pairs, plain, size, yes_no};
use super::span::parse_past;
use super::wait::{wait_for_backup, wait_for_job};
use crate::api::{
    BackupList, BackupRow, DrillRow, JobRow, NewBackupRequest, OriginRow, OutcomeRow, PartRow, Protection,
    PruneRequest, PrunedRow, ScrubRow,
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

fn tabulate_pruned(rows: &[PrunedRow], dry_run: bool, all: bool) -> String {
    let cells: Vec<_> = rows
        .iter()
        .filter(|row| all || dry_run || !row.keep)
        .map(|row| {
            vec![
                row.backup.id.clone(),
                row.backup.instance.clone(),
                moment(&row.backup.created_at),
                row.backup.state.clone(),
                if row.keep { "stays" } else { "goes" }.to_owned(),
                row.reasons.join(", "),
            ]
        })
        .collect();
    if cells.is_empty() {
        return String::new();
    }
    grid(&["ID", "INSTANCE", "ASKED FOR", "STATE", "VERDICT", "BECAUSE"], cells)
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

fn tabulate(rows: &[BackupRow]) -> String {
    let cells = rows.iter().map(|row| {
        let sealed = !row.parts.is_empty();
        vec![
            row.id.clone(),
            row.number.to_string(),
            row.instance.clone(),
            moment(row.started_at.as_ref().unwrap_or(&row.created_at)),
            row.mode.clone(),
            row.state.clone(),
            if sealed { size(row.size_bytes) } else { String::new() },
            if sealed { count(row.keys) } else { String::new() },
            if row.protected {
                "protected".to_owned()
            } else {
                row.expires_at.as_deref().map(moment).unwrap_or_default()
            },
        ]
    });
    grid(
        &["ID", "NUMBER", "INSTANCE", "STARTED", "MODE", "STATE", "SIZE", "KEYS", "EXPIRES"],
        cells.collect(),
    )
}

fn describe(row: &BackupRow) -> String {
    let sealed = !row.parts.is_empty();
    let mut text = pairs([
        ("id", Some(row.id.clone())),
        ("number", Some(row.number.to_string())),
        ("state", Some(row.state.clone())),
        ("instance", Some(row.instance.clone())),
        ("server", row.server.clone()),
        ("account", Some(row.account.clone())),
        ("project", row.project.clone()),
        ("taken", Some(format!("{}, {}", row.mode, row.method))),
        ("name", row.name.clone()),
        ("remark", row.remark.clone()),
        ("job", Some(row.job.to_string())),
        ("asked for", Some(moment(&row.created_at))),
        ("started", row.started_at.as_deref().map(moment)),
        ("ended", row.ended_at.as_deref().map(moment)),
        ("expires", row.expires_at.as_deref().map(moment)),
        ("protected", row.protected.then(|| yes_no(true))),
        ("size", sealed.then(|| format!("{} ({} bytes)", size(row.size_bytes), row.size_bytes))),
        ("stored", (row.stored_bytes > 0).then(|| stored(row.stored_bytes, encodings(row)))),
        ("keys", sealed.then(|| count(row.keys))),
        ("failure", row.failure.as_ref().map(|note| format!("{}: {}", note.code, note.message))),
        ("try", row.failure.as_ref().and_then(|note| note.hint.clone())),
        ("source", row.origin.as_ref().map(describe_origin)),
        ("last drill", row.last_drill.as_ref().map(describe_drill)),
        ("read again", row.last_scrub.as_ref().map(describe_scrub)),
    ]);
    for missing in row.origin.iter().flat_map(|origin| &origin.missing) {
        let why = format!("slots {}: {}", missing.slots, missing.failure.message);
        text.push_str(&pairs([("missing", Some(why))]));
    }
    for warning in row.origin.iter().flat_map(|origin| &origin.warnings) {
        text.push_str(&pairs([("warning", Some(warning.clone()))]));
    }
    text.push_str(&describe_copies(&row.copies));
    for part in &row.parts {
        text.push('\n');
        text.push_str(&describe_part(part));
    }
    text
}

/// How the parts are stored; one word where it is the same for all.
fn encodings(row: &BackupRow) -> BTreeSet<&str> {
    row.parts.iter().map(|part| part.encoding.as_str()).collect()
}

/// `1.2 MiB, zstd+age`
fn stored<'a>(bytes: u64, encodings: impl IntoIterator<Item = &'a str>) -> String {
    let words = std::iter::once(size(bytes)).chain(encodings.into_iter().map(str::to_owned));
    words.collect::<Vec<_>>().join(", ")
}

/// `redis://10.2.0.12:6379, replica: healthy replica, 0 bytes behind`
fn describe_node(node: &str, part: &PartRow) -> String {
    let role = part.node_role.as_deref().unwrap_or_default();
    format!("{node}, {role}: {}", part.why.as_deref().unwrap_or_default())
}

/// `cluster, epoch 7, shards 1250 ms apart`
fn describe_origin(origin: &OriginRow) -> String {
    let mut words = vec![origin.topology.clone()];
    words.extend(origin.epoch.map(|epoch| format!("epoch {epoch}")));
    words.extend(origin.skew_ms.map(|skew| format!("shards {} ms apart", count(skew))));
    if !origin.one_instant {
        words.push("read key by key: not of one instant".to_owned());
    }
    words.join(", ")
}

fn describe_drill(drill: &DrillRow) -> String {
    let end = match &drill.failure {
        Some(note) => format!("failed: {}: {}", note.code, note.message),
        None => format!("loaded in {} ms", count(drill.took_ms)),
    };
    format!("{} by {}, {end}", moment(&drill.at), drill.server)
}

fn describe_scrub(scrub: &ScrubRow) -> String {
    let found = if scrub.ok { "as it was sealed" } else { "damaged" };
    format!("{}, {found}", moment(&scrub.at))
}

fn describe_part(part: &PartRow) -> String {
    let databases: Vec<_> =
        part.databases.iter().map(|(db, keys)| format!("{db}: {}", count(*keys))).collect();
    let types: Vec<_> = part
        .types
        .iter()
        .map(|(name, kind)| format!("{name}: {} ({})", count(kind.keys), size(kind.bytes)))
        .collect();
    pairs([
        ("part", Some(part.name.clone())),
        ("  node", part.node.as_ref().map(|node| describe_node(node, part))),
        ("  slots", part.slots.clone()),
        ("  shows", part.cut_at.as_deref().map(moment)),
        ("  number", Some(part.number.to_string())),
        ("  size", Some(size(part.size_bytes))),
        ("  stored", (part.stored_bytes > 0).then(|| stored(part.stored_bytes, [part.encoding.as_str()]))),
        ("  sha256", Some(part.sha256.clone())),
        ("  format", Some(format!("{}, checksum {}", part.magic, part.checksum))),
        ("  keys", Some(count(part.keys))),
        ("  databases", (!databases.is_empty()).then(|| databases.join(", "))),
        ("  types", (!types.is_empty()).then(|| types.join(", "))),
    ])
}
