//! `keystow link`: expiring download links.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::Context;
use super::instance::parse_size;
use super::output::{count, grid, moment, pairs, size};
use super::span::parse_span;
use crate::api::{IssuedLinks, LinkList, LinkRow, NewLinkRequest, RememberedLinkRow, RevokeRequest};
use crate::failure::Failure;

/// Verbs of `link`.
#[derive(Debug, Subcommand)]
pub(crate) enum LinkCommand {
    /// Make links to a backup, one for each part and network
    #[command(after_help = "Examples:\n  keystow link create 12 --ttl 6h\n  \
        keystow link create 12 --network both --ip 203.0.113.0/24 --once\n  \
        keystow link create 12 --downloads 3 --rate 10M --connections 2\n\n\
        A link is a secret: whoever has it can download. Put it in quotes in a shell.")]
    Create(CreateArgs),
    /// List the links that are remembered, newest first
    #[command(alias = "ls")]
    List(ListArgs),
    /// Show a link that is remembered, and what it was used for
    Show(ShowArgs),
    /// End links before their time
    #[command(after_help = "Examples:\n  keystow link revoke LINK-ID\n  keystow link revoke --backup 12\n  \
        keystow link revoke --instance prod-cache\n  keystow link revoke --key AK1")]
    Revoke(RevokeArgs),
}

/// Flags of `link create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// The backup's id or number
    backup: String,
    /// How long they live, such as 15m, 6h or 7d; the server's default if absent
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    ttl: Option<Duration>,
    /// Which download listener serves them
    #[arg(long, value_parser = ["public", "intranet", "both"], default_value = "public")]
    network: String,
    /// Only for this address or CIDR or, with ! in front, not for it; may be repeated
    #[arg(long, value_name = "CIDR")]
    ip: Vec<String>,
    /// Not for this address or CIDR, whatever --ip says; may be repeated
    #[arg(long, value_name = "CIDR")]
    deny_ip: Vec<String>,
    /// Good for one whole download only
    #[arg(long, conflicts_with = "downloads")]
    once: bool,
    /// Good for so many whole downloads
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    downloads: Option<u32>,
    /// Most bytes a second through each link, such as 10M
    #[arg(long, value_name = "BYTES", value_parser = parse_size)]
    rate: Option<u64>,
    /// Most downloads at once through each link
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    connections: Option<u32>,
    /// Also for a quarantined or partial backup
    #[arg(long)]
    unverified: bool,
}

/// Flags of `link list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// At most so many
    #[arg(long)]
    limit: Option<usize>,
}

/// Which link.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The link's id
    id: String,
}

/// Which links end: exactly one of these.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct RevokeArgs {
    /// This one link
    id: Option<String>,
    /// All links to this backup
    #[arg(long)]
    backup: Option<String>,
    /// All links to the backups of this instance
    #[arg(long)]
    instance: Option<String>,
    /// All links that this access key asked for; the key goes on
    #[arg(long)]
    key: Option<String>,
}

/// Runs a verb.
pub(super) async fn run(command: LinkCommand, context: &Context) -> Result<(), Failure> {
    let (client, output) = (context.client()?, context.output);
    match command {
        LinkCommand::Create(args) => {
            let issued: IssuedLinks = client.post(&["links"], &args.into_request()).await?;
            output.value(&issued, |issued| tabulate_issued(&issued.links))?;
            if issued.links.iter().any(|link| link.direct) {
                output.note(
                    "the object store serves these links itself: they cannot be revoked, counted or limited; \
                     --once or --ip makes links that can",
                );
            }
        }
        LinkCommand::List(args) => {
            let rows = client.list::<LinkList>(&["links"], &[], args.limit).await?;
            output.value(&rows, |rows| tabulate(rows))?;
        }
        LinkCommand::Show(args) => {
            let row = client.get(&["links", &args.id]).await?;
            output.value(&row, describe)?;
        }
        LinkCommand::Revoke(args) => {
            if let Some(id) = &args.id {
                client.delete_quietly(&["links", id]).await?;
            } else {
                let scope = RevokeRequest { backup: args.backup, instance: args.instance, key: args.key };
                client.post_quietly(&["links", "revocations"], &scope).await?;
            }
            output.note("revoked; every node knows within 5 seconds");
        }
    }
    Ok(())
}

impl CreateArgs {
    fn into_request(self) -> NewLinkRequest {
        let denied = self.deny_ip.into_iter().map(|range| format!("!{range}"));
        NewLinkRequest {
            backup: self.backup,
            ttl_seconds: self.ttl.map(|ttl| ttl.as_secs()),
            network: Some(self.network),
            addresses: self.ip.into_iter().chain(denied).collect(),
            once: self.once,
            downloads: self.downloads,
            bytes_per_second: self.rate,
            connections: self.connections,
            unverified: self.unverified,
        }
    }
}

/// The URL comes last and whole, so that it can be copied.
fn tabulate_issued(links: &[LinkRow]) -> String {
    let cells = links.iter().map(|link| {
        vec![link.network.clone(), link.name.clone(), moment(&link.expires_at), link.url.clone()]
    });
    grid(&["NETWORK", "FILE", "EXPIRES", "URL"], cells.collect())
}

fn tabulate(rows: &[RememberedLinkRow]) -> String {
    let cells = rows.iter().map(|row| {
        vec![
            row.id.clone(),
            row.state.clone(),
            row.backup.clone(),
            row.name.clone(),
            row.network.clone(),
            row.access_key.clone(),
            moment(&row.expires_at),
            row.addresses.join(", "),
            row.deliveries.map(|number| number.to_string()).unwrap_or_default(),
            size(row.usage.bytes),
            row.usage.last_at.as_deref().map(moment).unwrap_or_default(),
        ]
    });
    let header = [
        "ID",
        "STATE",
        "BACKUP",
        "FILE",
        "NETWORK",
        "KEY",
        "EXPIRES",
        "ADDRESSES",
        "DOWNLOADS",
        "SENT",
        "LAST USED",
    ];
    grid(&header, cells.collect())
}

fn describe(row: &RememberedLinkRow) -> String {
    let usage = &row.usage;
    let last = |at: &str| match &usage.last_address {
        Some(address) => format!("{} from {address}", moment(at)),
        None => moment(at),
    };
    pairs([
        ("link", Some(row.id.clone())),
        ("state", Some(row.state.clone())),
        ("backup", Some(row.backup.clone())),
        ("file", Some(row.name.clone())),
        ("network", Some(row.network.clone())),
        ("key", Some(row.access_key.clone())),
        ("made", Some(moment(&row.created_at))),
        ("expires", Some(moment(&row.expires_at))),
        ("revoked", row.revoked_at.as_deref().map(moment)),
        ("addresses", Some(row.addresses.join(", ")).filter(|list| !list.is_empty())),
        ("downloads", row.deliveries.map(|most| format!("at most {most}"))),
        ("rate", row.bytes_per_second.map(|rate| format!("{} a second", size(rate)))),
        ("connections", row.connections.map(|most| format!("at most {most}"))),
        ("requests", Some(count(usage.requests))),
        ("sent", Some(size(usage.bytes))),
        ("last used", usage.last_at.as_deref().map(last)),
    ])
}
