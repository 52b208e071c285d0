//! `keystow access`: who was given links, and who downloaded what.

use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::Context;
use super::output::{grid, moment, size};
use super::span::parse_past;
use crate::api::{AccessList, AccessRow};
use crate::failure::Failure;

/// Verbs of `access`.
#[derive(Debug, Subcommand)]
pub(crate) enum AccessCommand {
    /// List who was given links and who downloaded what, newest first
    #[command(
        alias = "ls",
        after_help = "Examples:\n  keystow access list --backup 12\n  \
        keystow access list --kind download --since 24h --json\n\n\
        The last second or two may be missing."
    )]
    List(Box<ListArgs>),
}

/// Flags of `access list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Of this backup
    #[arg(long)]
    backup: Option<String>,
    /// Of backups of this instance
    #[arg(long)]
    instance: Option<String>,
    /// Of this remembered link
    #[arg(long)]
    link: Option<String>,
    /// Of this access key
    #[arg(long)]
    key: Option<String>,
    /// Only links that were given, or only downloads
    #[arg(long, value_parser = ["links", "download", "lost"])]
    kind: Option<String>,
    /// Of this account; the caller's own if absent
    #[arg(long)]
    account: Option<String>,
    /// Since: RFC 3339, or a span before now such as 7d
    #[arg(long, value_name = "TIME", value_parser = parse_past)]
    since: Option<Timestamp>,
    /// Before
    #[arg(long, value_name = "TIME", value_parser = parse_past)]
    until: Option<Timestamp>,
    /// At most so many
    #[arg(long)]
    limit: Option<usize>,
}

/// Runs a verb.
pub(super) async fn run(command: AccessCommand, context: &Context) -> Result<(), Failure> {
    let (client, output) = (context.client()?, context.output);
    let AccessCommand::List(args) = command;
    let given = [
        ("backup", args.backup),
        ("instance", args.instance),
        ("link", args.link),
        ("key", args.key),
        ("kind", args.kind),
        ("account", args.account),
        ("since", args.since.map(|at| at.to_string())),
        ("until", args.until.map(|at| at.to_string())),
    ];
    let filter: Vec<_> = given.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let rows = client.list::<AccessList>(&["access"], &filter, args.limit).await?;
    output.value(&rows, |rows| tabulate(rows))
}

fn tabulate(rows: &[AccessRow]) -> String {
    let cells = rows.iter().map(|row| {
        let parts: Vec<_> = row.parts.iter().map(ToString::to_string).collect();
        vec![
            moment(&row.at),
            row.kind.clone(),
            row.access_key.clone(),
            row.address.clone().unwrap_or_default(),
            row.via.clone(),
            row.instance.clone().unwrap_or_default(),
            parts.join(","),
            row.link.clone().unwrap_or_default(),
            if row.sent_bytes > 0 { size(row.sent_bytes) } else { String::new() },
            row.outcome.clone(),
            row.requests.to_string(),
        ]
    });
    let header =
        ["AT", "KIND", "KEY", "FROM", "VIA", "INSTANCE", "PARTS", "LINK", "SENT", "OUTCOME", "REQUESTS"];
    grid(&header, cells.collect())
}
