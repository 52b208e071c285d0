//! `keystow account`: who owns projects, instances and access keys.

use clap::{Args, Subcommand};

use super::Context;
use super::output::{grid, moment, pairs};
use crate::api::{AccountRow, NewAccount};
use crate::failure::Failure;

/// Verbs of `account`.
#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// Add an account
    #[command(after_help = "Example:\n  keystow account add acme --name \"Acme Ltd\"")]
    Add(AddArgs),
    /// List the accounts
    #[command(alias = "ls")]
    List,
}

/// Flags of `account add`.
#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// Its id
    id: String,
    /// A person's name for it
    #[arg(long)]
    name: Option<String>,
}

/// Runs a verb.
pub(super) async fn run(command: AccountCommand, context: &Context) -> Result<(), Failure> {
    let (client, output) = (context.client()?, context.output);
    match command {
        AccountCommand::Add(args) => {
            let account = NewAccount { id: args.id, name: args.name };
            let row: AccountRow = client.post(&["accounts"], &account).await?;
            output.value(&row, |row| {
                pairs([
                    ("id", Some(row.id.clone())),
                    ("name", Some(row.name.clone())),
                    ("added", Some(moment(&row.created_at))),
                ])
            })?;
            output.note(&format!("next: keystow key create --account {}", row.id));
        }
        AccountCommand::List => {
            let rows: Vec<AccountRow> = client.get(&["accounts"]).await?;
            output.value(&rows, |rows| {
                let cells =
                    rows.iter().map(|row| vec![row.id.clone(), row.name.clone(), moment(&row.created_at)]);
                grid(&["ID", "NAME", "ADDED"], cells.collect())
            })?;
        }
    }
    Ok(())
}
