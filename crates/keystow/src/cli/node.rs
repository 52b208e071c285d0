//! `keystow node`: the processes that serve the catalog.

use clap::Subcommand;

use super::Context;
use super::output::{grid, moment};
use crate::api::ServiceNodeRow;
use crate::failure::Failure;

/// Verbs of `node`.
#[derive(Debug, Subcommand)]
pub(crate) enum NodeCommand {
    /// List the nodes that were seen in the last day
    #[command(alias = "ls")]
    List,
}

/// Runs a verb.
pub(super) async fn run(command: NodeCommand, context: &Context) -> Result<(), Failure> {
    let NodeCommand::List = command;
    let rows: Vec<ServiceNodeRow> = context.client()?.get(&["nodes"]).await?;
    context.output.value(&rows, |rows| tabulate(rows))
}

fn tabulate(rows: &[ServiceNodeRow]) -> String {
    let cells = rows.iter().map(|row| {
        vec![
            row.id.chars().take(8).collect(),
            row.host.clone(),
            row.roles.join(","),
            row.version.clone(),
            row.state.clone(),
            moment(&row.started_at),
            moment(&row.seen_at),
        ]
    });
    grid(&["NODE", "HOST", "ROLES", "VERSION", "STATE", "STARTED", "SEEN"], cells.collect())
}
