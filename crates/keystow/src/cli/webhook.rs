//! `keystow webhook`: who is told by the service itself that something went wrong.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Context;
use super::output::{confirm, grid, moment, pairs};
use super::secret::read_secret;
use crate::api::{
    IssuedWebhookRow, NewWebhookRequest, WebhookChangeRequest, WebhookDeliveryList, WebhookDeliveryRow,
    WebhookRow, WebhookTestRow,
};
use crate::failure::Failure;

const ADD_HELP: &str = "\
Examples:
  keystow webhook add https://alerts.example.com/keystow
  keystow webhook add https://alerts.example.com/keystow --event backup.failed --event instance.too_old --instance prod-cache

Events: backup.failed, backup.quarantined, backup.partial, backup.damaged, backup.restored_whole, backup.too_small,
instance.too_old, instance.recovered, drill.failed, copy.failed, webhook.test

Each notice is signed; docs/operate/webhooks.md shows how a receiver checks that.";

/// Verbs of `webhook`.
#[derive(Debug, Subcommand)]
pub(crate) enum WebhookCommand {
    /// Add a receiver of notices
    #[command(after_help = ADD_HELP)]
    Add(AddArgs),
    /// List the webhooks
    #[command(alias = "ls")]
    List(ListArgs),
    /// Show a webhook, and how it did last
    Show(OneArgs),
    /// Tell it nothing for now; what happens meanwhile it is never told
    Pause(OneArgs),
    /// Tell it again
    Resume(OneArgs),
    /// Send it a test now, and say what it answers
    #[command(after_help = "Example:\n  keystow webhook test wh-7xk2p9")]
    Test(OneArgs),
    /// Show what it was told and is to be told, newest first
    #[command(after_help = "Example:\n  keystow webhook deliveries wh-7xk2p9")]
    Deliveries(DeliveriesArgs),
    /// Remove a webhook, and what it was still to be told
    #[command(alias = "rm")]
    Delete(DeleteArgs),
}

/// Flags of `webhook add`.
#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// Where notices are posted to
    url: String,
    /// What it is told; may be given several times; everything if absent
    #[arg(long = "event", value_name = "EVENT")]
    events: Vec<String>,
    /// Only of this instance
    #[arg(long)]
    instance: Option<String>,
    /// File that holds the secret that signs its notices, - for standard input; minted if absent
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Account whose notices it gets; the caller's own if absent
    #[arg(long)]
    account: Option<String>,
}

/// Flags of `webhook list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Of this account; the caller's own if absent
    #[arg(long)]
    account: Option<String>,
}

/// Which webhook.
#[derive(Debug, Args)]
pub(crate) struct OneArgs {
    /// The webhook's id
    id: String,
}

/// Flags of `webhook deliveries`.
#[derive(Debug, Args)]
pub(crate) struct DeliveriesArgs {
    /// The webhook's id
    id: String,
    /// At most so many
    #[arg(long)]
    limit: Option<usize>,
}

/// Flags of `webhook delete`.
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// The webhook's id
    id: String,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

/// Runs a verb.
pub(super) async fn run(command: WebhookCommand, context: &Context) -> Result<(), Failure> {
    let (client, output) = (context.client()?, context.output);
    match command {
        WebhookCommand::Add(args) => return add(args, context).await,
        WebhookCommand::List(args) => {
            let filter: Vec<_> = args.account.map(|account| ("account", account)).into_iter().collect();
            let rows: Vec<WebhookRow> = client.query(&["webhooks"], &filter).await?;
            output.value(&rows, |rows| tabulate(rows))
        }
        WebhookCommand::Show(args) => {
            let row = client.get(&["webhooks", &args.id]).await?;
            output.value(&row, describe)
        }
        WebhookCommand::Pause(args) => pause(&args.id, true, context).await,
        WebhookCommand::Resume(args) => pause(&args.id, false, context).await,
        WebhookCommand::Test(args) => {
            let row: WebhookTestRow = client.act(&["webhooks", &args.id, "test"]).await?;
            output.value(&row, |row| format!("answered {} after {} ms\n", row.status, row.took_ms))
        }
        WebhookCommand::Deliveries(args) => {
            let path = ["webhooks", &args.id, "deliveries"];
            let rows = client.list::<WebhookDeliveryList>(&path, &[], args.limit).await?;
            output.value(&rows, |rows| tabulate_deliveries(rows))
        }
        WebhookCommand::Delete(args) => {
            confirm(&format!("Tell {} nothing any more?", args.id), args.yes)?;
            client.delete_quietly(&["webhooks", &args.id]).await?;
            output.note("deleted");
            Ok(())
        }
    }
}

async fn add(args: AddArgs, context: &Context) -> Result<(), Failure> {
    let (client, output) = (context.client()?, context.output);
    let brought = args.secret_file.is_some();
    let new = NewWebhookRequest {
        url: args.url,
        events: args.events,
        instance: args.instance,
        secret: args.secret_file.as_deref().map(read_secret).transpose()?,
        account: args.account,
    };
    let issued: IssuedWebhookRow = client.post(&["webhooks"], &new).await?;
    let shown = (!brought).then(|| issued.secret.clone());
    output.value(&issued, |issued| described(&issued.webhook, shown))?;
    if !brought {
        output.note("the secret is shown this once; it signs every notice");
    }
    if issued.webhook.url.starts_with("http://") {
        output.note("plain http: whoever is on the way can read the notices; https hides them");
    }
    output.note(&format!("see whether it works with: keystow webhook test {}", issued.webhook.id));
    Ok(())
}

async fn pause(id: &str, paused: bool, context: &Context) -> Result<(), Failure> {
    let change = WebhookChangeRequest { paused };
    let row = context.client()?.patch(&["webhooks", id], &change).await?;
    context.output.value(&row, describe)
}

/// What it is told, for people.
fn events(row: &WebhookRow) -> String {
    if row.events.is_empty() { "all".to_owned() } else { row.events.join(", ") }
}

fn tabulate(rows: &[WebhookRow]) -> String {
    let cells = rows.iter().map(|row| {
        vec![
            row.id.clone(),
            row.state.clone(),
            row.url.clone(),
            events(row),
            row.instance.clone().unwrap_or_default(),
            row.last_ok_at.as_deref().map(moment).unwrap_or_default(),
            row.last_error.clone().unwrap_or_default(),
        ]
    });
    grid(&["ID", "STATE", "URL", "EVENTS", "INSTANCE", "LAST TOLD", "LAST ERROR"], cells.collect())
}

fn describe(row: &WebhookRow) -> String {
    described(row, None)
}

fn described(row: &WebhookRow, secret: Option<String>) -> String {
    pairs([
        ("webhook", Some(row.id.clone())),
        ("secret", secret),
        ("state", Some(row.state.clone())),
        ("url", Some(row.url.clone())),
        ("events", Some(events(row))),
        ("instance", row.instance.clone()),
        ("account", Some(row.account.clone())),
        ("project", row.project.clone()),
        ("added", Some(format!("{} by {}", moment(&row.created_at), row.created_by))),
        ("last told", row.last_ok_at.as_deref().map(moment)),
        ("last failed", row.last_failed_at.as_deref().map(moment)),
        ("last error", row.last_error.clone()),
    ])
}

fn tabulate_deliveries(rows: &[WebhookDeliveryRow]) -> String {
    let cells = rows.iter().map(|row| {
        vec![
            moment(&row.at),
            row.event.clone(),
            row.instance.clone().unwrap_or_default(),
            row.backup.map(|number| number.to_string()).unwrap_or_default(),
            row.code.clone(),
            row.state.clone(),
            row.tries.to_string(),
            row.due_at.as_deref().map(moment).unwrap_or_default(),
            row.error.clone().unwrap_or_default(),
        ]
    });
    let header = ["AT", "EVENT", "INSTANCE", "BACKUP", "CODE", "STATE", "TRIES", "NEXT TRY", "LAST ERROR"];
    grid(&header, cells.collect())
}
