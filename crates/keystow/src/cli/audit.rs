//! `keystow audit`: who changed what.

use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::Context;
use super::output::{count, grid, moment, pairs};
use super::span::parse_past;
use crate::api::{AuditList, AuditRow, AuditVerdictRow};
use crate::failure::{Exit, Failure};

/// Verbs of `audit`.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// List the changes that were asked for, newest first
    #[command(
        alias = "ls",
        after_help = "Examples:\n  keystow audit list --since 7d --action backup\n  \
        keystow audit list --who AK1 --json"
    )]
    List(ListArgs),
    /// Check that no entry was changed, and that none is missing
    #[command(
        after_help = "Examples:\n  keystow audit verify\n  keystow audit verify --noted 1042:5f0c…\n\n\
        It prints the head of the log. Note it somewhere else: with --noted it proves later that nothing was cut off.\n\
        Exit code 7 if an entry is not as it was written."
    )]
    Verify(VerifyArgs),
}

/// Flags of `audit list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Written since: RFC 3339, or a span before now such as 7d
    #[arg(long, value_name = "TIME", value_parser = parse_past)]
    since: Option<Timestamp>,
    /// Written before
    #[arg(long, value_name = "TIME", value_parser = parse_past)]
    until: Option<Timestamp>,
    /// By this access key, or keystow for what the service did by itself
    #[arg(long, value_name = "KEY")]
    who: Option<String>,
    /// Of this action, such as backup.delete, or all of a kind, such as backup
    #[arg(long)]
    action: Option<String>,
    /// In this account
    #[arg(long)]
    account: Option<String>,
    /// At most so many
    #[arg(long)]
    limit: Option<usize>,
}

/// Flags of `audit verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// A head that was noted earlier; it must still be there
    #[arg(long, value_name = "HEAD")]
    noted: Option<String>,
}

/// Runs a verb.
pub(super) async fn run(command: AuditCommand, context: &Context) -> Result<(), Failure> {
    let (client, output) = (context.client()?, context.output);
    match command {
        AuditCommand::List(args) => {
            let (filter, limit) = args.into_filter();
            let rows = client.list::<AuditList>(&["audit"], &filter, limit).await?;
            output.value(&rows, |rows| tabulate(rows))
        }
        AuditCommand::Verify(args) => {
            let filter: Vec<_> = args.noted.map(|noted| ("noted", noted)).into_iter().collect();
            let verdict: AuditVerdictRow = client.query(&["audit", "verify"], &filter).await?;
            output.value(&verdict, describe)?;
            match verdict.broken {
                None => Ok(()),
                Some(broken) => {
                    let message =
                        format!("entry {} of the audit log is not as it was written", broken.sequence);
                    Err(Failure::new(Exit::Integrity, "AUDIT_BROKEN", message)
                        .because(broken.why)
                        .hint("compare with an older copy of the catalog; entries before it are right"))
                }
            }
        }
    }
}

impl ListArgs {
    fn into_filter(self) -> (Vec<(&'static str, String)>, Option<usize>) {
        let given = [
            ("since", self.since.map(|at| at.to_string())),
            ("until", self.until.map(|at| at.to_string())),
            ("who", self.who),
            ("action", self.action),
            ("account", self.account),
        ];
        (given.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(), self.limit)
    }
}

fn tabulate(rows: &[AuditRow]) -> String {
    let cells = rows.iter().map(|row| {
        vec![
            row.sequence.to_string(),
            moment(&row.at),
            row.who.clone(),
            row.address.clone().unwrap_or_default(),
            row.action.clone(),
            format!("{} {}", row.kind, row.subject),
            match (&row.code, row.answers) {
                (Some(code), Some(entry)) => format!("{} {code} (entry {entry})", row.stage),
                (Some(code), None) => format!("{} {code}", row.stage),
                (None, _) => row.stage.clone(),
            },
        ]
    });
    grid(&["ENTRY", "AT", "WHO", "FROM", "ACTION", "OF", "STAGE"], cells.collect())
}

fn describe(verdict: &AuditVerdictRow) -> String {
    pairs([
        ("right", Some(format!("{} entries", count(verdict.entries)))),
        ("head", Some(verdict.head.clone())),
        (
            "broken",
            verdict.broken.as_ref().map(|broken| format!("entry {}: {}", broken.sequence, broken.why)),
        ),
    ])
}
