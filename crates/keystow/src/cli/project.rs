//! `keystow project`: groups of an account's instances.

use clap::{Args, Subcommand};

use super::Context;
use super::output::{grid, moment, pairs};
use crate::api::{NewProject, ProjectRow};
use crate::failure::Failure;

/// Verbs of `project`.
#[derive(Debug, Subcommand)]
pub(crate) enum ProjectCommand {
    /// Add a project
    #[command(after_help = "Example:\n  keystow project add shop --account acme")]
    Add(AddArgs),
    /// List the projects
    #[command(alias = "ls")]
    List(ListArgs),
}

/// Flags of `project add`.
#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// Its id
    id: String,
    /// A person's name for it
    #[arg(long)]
    name: Option<String>,
    /// Account that owns it; the caller's own if absent
    #[arg(long)]
    account: Option<String>,
}

/// Flags of `project list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only of this account
    #[arg(long)]
    account: Option<String>,
}

/// Runs a verb.
pub(super) async fn run(command: ProjectCommand, context: &Context) -> Result<(), Failure> {
    let (client, output) = (context.client()?, context.output);
    match command {
        ProjectCommand::Add(args) => {
            let project = NewProject { id: args.id, name: args.name, account: args.account };
            let row: ProjectRow = client.post(&["projects"], &project).await?;
            output.value(&row, |row| {
                pairs([
                    ("id", Some(row.id.clone())),
                    ("account", Some(row.account.clone())),
                    ("name", Some(row.name.clone())),
                    ("added", Some(moment(&row.created_at))),
                ])
            })?;
        }
        ProjectCommand::List(args) => {
            let filter: Vec<_> = args.account.map(|account| ("account", account)).into_iter().collect();
            let rows: Vec<ProjectRow> = client.query(&["projects"], &filter).await?;
            output.value(&rows, |rows| {
                let cells = rows.iter().map(|row| {
                    vec![row.id.clone(), row.account.clone(), row.name.clone(), moment(&row.created_at)]
                });
                grid(&["ID", "ACCOUNT", "NAME", "ADDED"], cells.collect())
            })?;
        }
    }
    Ok(())
}
