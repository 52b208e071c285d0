//! `keystow instance`: the servers that are backed up.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Context;
use super::output::{confirm, grid, moment, pairs, size};
use super::secret::read_secret;
use crate::api::{InstanceList, InstanceRow, NewInstanceRequest, ServerRow};
use crate::failure::Failure;

/// Verbs of `instance`.
#[derive(Debug, Subcommand)]
pub(crate) enum InstanceCommand {
    /// Add a server to back up
    #[command(
        after_help = "Example:\n  keystow instance add redis://10.2.0.11:6379 --id prod-cache --password-file pw"
    )]
    Add(AddArgs),
    /// List the instances
    #[command(alias = "ls")]
    List(ListArgs),
    /// Show one instance
    Show(OneArgs),
    /// Connect to the instance now, and say what its server is
    Test(OneArgs),
    /// Remove an instance; its backups stay
    #[command(alias = "rm")]
    Delete(DeleteArgs),
}

/// Flags of `instance add`.
#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// Such as <redis://host:6379> or <unix:///run/redis.sock>, with user:password@ where it must
    #[arg(help = "redis://[user:password@]host:port or unix:///path")]
    url: String,
    /// Its id, such as the one it has at a cloud; minted if absent
    #[arg(long)]
    id: Option<String>,
    /// A person's name for it
    #[arg(long)]
    name: Option<String>,
    /// File that holds the password, - for standard input
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Region; without one it is visible in every region
    #[arg(long)]
    region: Option<String>,
    /// Zone
    #[arg(long)]
    zone: Option<String>,
    /// Zone of the replicas, if it spans two
    #[arg(long)]
    replica_zone: Option<String>,
    /// Account that owns it; the caller's own if absent
    #[arg(long)]
    account: Option<String>,
    /// Project that it is in
    #[arg(long)]
    project: Option<String>,
}

/// Flags of `instance list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only those whose id or name contains this
    #[arg(long)]
    search: Option<String>,
    /// At most so many
    #[arg(long)]
    limit: Option<usize>,
}

/// Which instance.
#[derive(Debug, Args)]
pub(crate) struct OneArgs {
    /// The instance's id
    instance: String,
}

/// Flags of `instance delete`.
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// The instance's id
    instance: String,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

/// Runs a verb.
pub(super) async fn run(command: InstanceCommand, context: &Context) -> Result<(), Failure> {
    let (client, output) = (context.client()?, context.output);
    match command {
        InstanceCommand::Add(args) => {
            let row: InstanceRow = client.post(&["instances"], &args.into_request()?).await?;
            output.value(&row, describe)?;
            output.note(&format!("next: keystow backup create {} --wait", row.id));
        }
        InstanceCommand::List(args) => {
            let filter: Vec<_> = args.search.map(|search| ("search", search)).into_iter().collect();
            let rows = client.list::<InstanceList>(&["instances"], &filter, args.limit).await?;
            output.value(&rows, |rows| tabulate(rows))?;
        }
        InstanceCommand::Show(args) => {
            let row = client.get(&["instances", &args.instance]).await?;
            output.value(&row, describe)?;
        }
        InstanceCommand::Test(args) => {
            let server: ServerRow = client.act(&["instances", &args.instance, "test"]).await?;
            output.value(&server, |server| {
                pairs([
                    ("connected", Some(args.instance)),
                    ("server", Some(server_name(server))),
                    ("role", Some(server.role.clone())),
                    ("memory", Some(size(server.used_bytes))),
                    ("limit", (server.max_bytes > 0).then(|| size(server.max_bytes))),
                    ("replicas", Some(server.replicas.to_string())),
                ])
            })?;
        }
        InstanceCommand::Delete(args) => {
            confirm(&format!("remove instance {}? its backups stay", args.instance), args.yes)?;
            client.delete_quietly(&["instances", &args.instance]).await?;
            output.note(&format!("removed {}", args.instance));
        }
    }
    Ok(())
}

impl AddArgs {
    fn into_request(self) -> Result<NewInstanceRequest, Failure> {
        Ok(NewInstanceRequest {
            url: self.url,
            id: self.id,
            name: self.name,
            password: self.password_file.as_deref().map(read_secret).transpose()?,
            region: self.region,
            zone: self.zone,
            replica_zone: self.replica_zone,
            account: self.account,
            project: self.project,
        })
    }
}

fn server_name(server: &ServerRow) -> String {
    format!("{} {}", server.engine, server.version).trim_end().to_owned()
}

fn tabulate(rows: &[InstanceRow]) -> String {
    let cells = rows.iter().map(|row| {
        vec![
            row.id.clone(),
            row.name.clone(),
            row.url.clone(),
            row.server.as_ref().map(server_name).unwrap_or_default(),
            row.server.as_ref().map(|server| size(server.used_bytes)).unwrap_or_default(),
            row.region.clone().unwrap_or_default(),
            moment(&row.created_at),
        ]
    });
    grid(&["ID", "NAME", "URL", "SERVER", "MEMORY", "REGION", "ADDED"], cells.collect())
}

fn describe(row: &InstanceRow) -> String {
    pairs([
        ("id", Some(row.id.clone())),
        ("name", Some(row.name.clone())),
        ("url", Some(row.url.clone())),
        ("user", row.username.clone()),
        ("password", Some(if row.has_password { "kept" } else { "none" }.to_owned())),
        ("account", Some(row.account.clone())),
        ("project", row.project.clone()),
        ("region", row.region.clone()),
        ("zone", row.zone.clone()),
        ("replica zone", row.replica_zone.clone()),
        ("added", Some(moment(&row.created_at))),
        ("server", row.server.as_ref().map(server_name)),
        ("role", row.server.as_ref().map(|server| server.role.clone())),
        ("memory", row.server.as_ref().map(|server| size(server.used_bytes))),
    ])
}
