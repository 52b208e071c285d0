//! `keystow policy`: what is done with an instance's backups by itself.

use clap::{Args, Subcommand};

use super::Context;
use super::output::{confirm, grid, moment, pairs};
use crate::api::{ComingRow, KeepRequest, KeepRow, PolicyRequest, PolicyRow};
use crate::failure::Failure;

const SET_EXAMPLES: &str = "\
Examples:
  keystow policy set prod-cache --cron \"30 3 * * *\" --time-zone Asia/Shanghai --jitter 10m --keep-within 14d
  keystow policy set prod-cache --cron \"0 */6 * * *\" --window 22:00-06:00
  keystow policy set prod-cache --keep-within 0 --keep-daily 7 --keep-weekly 4 --keep-monthly 12
  keystow policy set prod-cache --verify-every 7d --drill-every 30d
  keystow policy set prod-cache --copy far-away
  keystow policy set prod-cache --pause

What is not named stays as it is. An instance without a policy gets the usual one first: a backup a day, kept for 7 days.
A backup stays if any --keep rule wants it; what would be removed shows: keystow backup prune --dry-run";

/// Verbs of `policy`.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Change the policy of an instance, or give it one
    #[command(after_help = SET_EXAMPLES)]
    Set(Box<SetArgs>),
    /// Show the policy of an instance, with its last fires
    #[command(after_help = "Example:\n  keystow policy show prod-cache")]
    Show(OneArgs),
    /// Show the next backups that policies will take, in order
    #[command(after_help = "Example:\n  keystow policy next prod-cache -n 5")]
    Next(NextArgs),
    /// Take and remove nothing by itself any more; the backups stay
    #[command(alias = "rm")]
    Delete(DeleteArgs),
}

/// Flags of `policy set`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct SetArgs {
    /// The instance's id
    instance: String,
    /// When backups are taken: minute, hour, day of month, month, day of week; may be given several times
    #[arg(long, value_name = "LINE")]
    cron: Vec<String>,
    /// Take backups by hand only
    #[arg(long, conflicts_with = "cron")]
    no_cron: bool,
    /// Zone of cron lines, windows and days, such as Asia/Shanghai
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// Start later by a time of the instance's own, up to this, such as 10m
    #[arg(long, value_name = "TIME")]
    jitter: Option<String>,
    /// Part of the day in which a backup may start, such as 01:00-05:00; may be given several times
    #[arg(long, value_name = "FROM-TO")]
    window: Vec<String>,
    /// Start at any time of the day
    #[arg(long, conflicts_with = "window")]
    no_window: bool,
    /// Whether one backup is taken late when fires were missed
    #[arg(long, value_name = "BOOL")]
    catch_up: Option<bool>,
    /// Take no backups for now
    #[arg(long, conflicts_with = "resume")]
    pause: bool,
    /// Take backups again
    #[arg(long)]
    resume: bool,
    /// How often the stored bytes of each backup are read again, such as 7d; 0 = never
    #[arg(long, value_name = "TIME")]
    verify_every: Option<String>,
    /// How often the newest backup is loaded into a throw-away server, such as 30d; 0 = never
    #[arg(long, value_name = "TIME")]
    drill_every: Option<String>,
    /// Repository of the configuration ([copies.NAME]) that gets a copy of each available backup; may be given several times
    #[arg(long, value_name = "NAME")]
    copy: Vec<String>,
    /// Make no copies any more; those that are there stay
    #[arg(long, conflicts_with = "copy")]
    no_copy: bool,
    /// Refuse if it is another version by now
    #[arg(long, value_name = "N")]
    version_seen: Option<u64>,
    #[command(flatten)]
    keep: KeepArgs,
}

/// What is kept.
#[derive(Debug, Args)]
#[command(next_help_heading = "Keeping")]
pub(crate) struct KeepArgs {
    /// The last so many
    #[arg(long, value_name = "N")]
    keep_last: Option<u32>,
    /// All that are no older, such as 30d; 0 = age keeps nothing
    #[arg(long, value_name = "TIME")]
    keep_within: Option<String>,
    /// The newest of each of so many days
    #[arg(long, value_name = "N")]
    keep_daily: Option<u32>,
    /// The newest of each of so many weeks
    #[arg(long, value_name = "N")]
    keep_weekly: Option<u32>,
    /// The newest of each of so many months
    #[arg(long, value_name = "N")]
    keep_monthly: Option<u32>,
    /// The newest of each of so many years
    #[arg(long, value_name = "N")]
    keep_yearly: Option<u32>,
    /// Good ones that stay whatever else is said
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    keep_minimum: Option<u32>,
    /// Whether backups by hand go by the same rules
    #[arg(long, value_name = "BOOL")]
    include_manual: Option<bool>,
}

/// Which instance.
#[derive(Debug, Args)]
pub(crate) struct OneArgs {
    /// The instance's id
    instance: String,
}

/// Flags of `policy next`.
#[derive(Debug, Args)]
pub(crate) struct NextArgs {
    /// Only of this instance
    instance: Option<String>,
    /// So many
    #[arg(short = 'n', long, default_value_t = 10, value_name = "N")]
    limit: usize,
}

/// Flags of `policy delete`.
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// The instance's id
    instance: String,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

/// Runs a verb.
pub(super) async fn run(command: PolicyCommand, context: &Context) -> Result<(), Failure> {
    let (client, output) = (context.client()?, context.output);
    match command {
        PolicyCommand::Set(args) => {
            let instance = args.instance.clone();
            let path = ["instances", &instance, "policy"];
            let row: PolicyRow = client.put(&path, &args.into_request()).await?;
            output.value(&row, describe)?;
            output.note(&format!("next: keystow backup prune {instance} --dry-run"));
        }
        PolicyCommand::Show(args) => {
            let row: PolicyRow = client.get(&["instances", &args.instance, "policy"]).await?;
            output.value(&row, describe)?;
        }
        PolicyCommand::Next(args) => {
            let mut parameters = vec![("limit", args.limit.to_string())];
            parameters.extend(args.instance.map(|instance| ("instance", instance)));
            let rows: Vec<ComingRow> = client.query(&["policies", "next"], &parameters).await?;
            output.value(&rows, |rows| tabulate(rows))?;
        }
        PolicyCommand::Delete(args) => {
            confirm(&format!("remove the policy of {}? its backups stay", args.instance), args.yes)?;
            client.delete_quietly(&["instances", &args.instance, "policy"]).await?;
            output.note(&format!("{} has no policy any more", args.instance));
        }
    }
    Ok(())
}

impl SetArgs {
    fn into_request(self) -> PolicyRequest {
        let list = |given: Vec<String>, none: bool| (none || !given.is_empty()).then_some(given);
        PolicyRequest {
            version: self.version_seen,
            schedules: list(self.cron, self.no_cron),
            time_zone: self.time_zone,
            jitter: self.jitter,
            windows: list(self.window, self.no_window),
            keep: KeepRequest {
                last: self.keep.keep_last,
                within: self.keep.keep_within,
                daily: self.keep.keep_daily,
                weekly: self.keep.keep_weekly,
                monthly: self.keep.keep_monthly,
                yearly: self.keep.keep_yearly,
                minimum: self.keep.keep_minimum,
                include_manual: self.keep.include_manual,
            },
            verify_every: self.verify_every,
            drill_every: self.drill_every,
            copies: list(self.copy, self.no_copy),
            catch_up: self.catch_up,
            paused: if self.pause || self.resume { Some(self.pause) } else { None },
        }
    }
}

fn tabulate(rows: &[ComingRow]) -> String {
    let cells = rows.iter().map(|row| {
        let shifted = row.fire_at != row.start_at;
        let fire = if shifted { moment(&row.fire_at) } else { String::new() };
        vec![moment(&row.start_at), row.instance.clone(), fire]
    });
    grid(&["START", "INSTANCE", "FOR THE FIRE OF"], cells.collect())
}

fn describe(row: &PolicyRow) -> String {
    let never = || "never".to_owned();
    let mut text = pairs([
        ("instance", Some(row.instance.clone())),
        ("backups", Some(schedule(row))),
        ("windows", (!row.windows.is_empty()).then(|| row.windows.join(", "))),
        ("jitter", (row.jitter != "0s").then(|| format!("up to {}", row.jitter))),
        ("missed ones", Some(if row.catch_up { "caught up, once" } else { "not caught up" }.to_owned())),
        ("next", Some(row.next_at.as_deref().map_or_else(never, moment))),
        ("tried again", row.retry_at.as_deref().map(moment)),
        ("kept", Some(keep(&row.keep))),
        ("read again", Some(row.verify_every.as_ref().map_or_else(never, |every| format!("every {every}")))),
        ("drilled", Some(row.drill_every.as_ref().map_or_else(never, |every| format!("every {every}")))),
        ("copied to", (!row.copies.is_empty()).then(|| row.copies.join(", "))),
        ("version", Some(format!("{}, {} by {}", row.version, moment(&row.changed_at), row.changed_by))),
    ]);
    let cells: Vec<_> = row
        .fires
        .iter()
        .map(|fire| {
            vec![
                moment(&fire.at),
                fire.outcome.clone(),
                fire.backup.clone().unwrap_or_default(),
                fire.note.clone().unwrap_or_default(),
            ]
        })
        .collect();
    if !cells.is_empty() {
        text.push('\n');
        text.push_str(&grid(&["FIRE", "OUTCOME", "BACKUP", "NOTE"], cells));
    }
    text
}

/// `30 3 * * * (Asia/Shanghai)`, or what it takes the place of.
pub(super) fn schedule(row: &PolicyRow) -> String {
    let lines = row.schedules.join(" and ");
    match (lines.is_empty(), row.paused) {
        (true, _) => "by hand only".to_owned(),
        (false, true) => format!("paused; else {lines} ({})", row.time_zone),
        (false, false) => format!("{lines} ({})", row.time_zone),
    }
}

/// `7d, and 1 good one in any case`
pub(super) fn keep(keep: &KeepRow) -> String {
    let counted = [
        (keep.last, "the last"),
        (keep.daily, "daily"),
        (keep.weekly, "weekly"),
        (keep.monthly, "monthly"),
        (keep.yearly, "yearly"),
    ];
    let mut words: Vec<String> = Vec::new();
    if keep.within != "0s" {
        words.push(format!("for {}", keep.within));
    }
    words.extend(
        counted.iter().filter(|(count, _)| *count > 0).map(|(count, name)| format!("{name} {count}")),
    );
    if words.is_empty() {
        return "all of them".to_owned();
    }
    let by_hand = if keep.include_manual { ", also those by hand" } else { "" };
    format!("{}{by_hand}; {} good in any case", words.join(", "), keep.minimum)
}
