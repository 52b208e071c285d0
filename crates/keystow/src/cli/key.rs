//! `keystow key`: access keys, made here or brought along.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use keystow_engine::ops::settle_root_key;

use super::Context;
use super::offline::OfflineArgs;
use super::output::{Output, grid, moment, pairs};
use super::secret::read_secret;
use super::serve::{keep_admin_key, key_secret};
use super::snippet::{self, SnippetArgs};
use super::span::{parse_coming, parse_span};
use crate::api::{KeyRotation, KeyRow, KeySecret, NewKeyRequest};
use crate::client::folder_of_kept;
use crate::config::CatalogPlace;
use crate::failure::{Exit, Failure};

/// Verbs of `key`.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make an access key, or import one with its id and secret
    #[command(after_help = "Examples:\n  keystow key create --role downloader --expires 30d\n  \
        keystow key create --id AKID… --secret-file secret.txt --role operator")]
    Create(CreateArgs),
    /// List the access keys; secrets are never shown again
    #[command(alias = "ls")]
    List(ListArgs),
    /// Show how a vendor's SDK or CLI is pointed at this server with a key
    Snippet(SnippetArgs),
    /// Give a key a new secret
    #[command(after_help = "Example:\n  keystow key rotate KSAxqDBEpWqxGs1Q --grace 24h\n\n\
        The key in this host's admin.key is written there anew.")]
    Rotate(RotateArgs),
    /// End a key, and with it the links that it asked for
    #[command(visible_alias = "delete", alias = "rm")]
    Revoke(OneArgs),
    /// Make a new admin key on this host, while its server does not run: for when every admin key is lost
    #[command(after_help = "Example:\n  keystow key recover --data-dir /var/lib/keystow\n\n\
        It needs the root key. The key is kept in DIR/admin.key, where the CLI finds it; one that \
        was there is replaced, but not revoked: keystow key revoke ID.")]
    Recover(OfflineArgs),
}

/// Flags of `key create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Its id; minted if absent
    #[arg(long)]
    id: Option<String>,
    /// File that holds its secret, - for standard input; minted if absent
    #[arg(long, value_name = "FILE", requires = "id")]
    secret_file: Option<PathBuf>,
    /// File that holds the session token of temporary credentials
    #[arg(long, value_name = "FILE", requires = "secret_file")]
    session_token_file: Option<PathBuf>,
    /// What it may do
    #[arg(long, value_parser = ["viewer", "downloader", "operator", "admin"], default_value = "operator")]
    role: String,
    /// Account that it acts for; the caller's own if absent
    #[arg(long)]
    account: Option<String>,
    /// Project that it is bound to
    #[arg(long)]
    project: Option<String>,
    /// When it ends: RFC 3339, or a span from now such as 30d
    #[arg(long, value_name = "TIME", value_parser = parse_coming)]
    expires: Option<Timestamp>,
    /// Address or CIDR that it may be used from; may be given several times; any if absent
    #[arg(long = "allow-ip", value_name = "CIDR")]
    allow_ip: Vec<String>,
}

/// Flags of `key list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only of this account
    #[arg(long)]
    account: Option<String>,
}

/// Flags of `key rotate`.
#[derive(Debug, Args)]
pub(crate) struct RotateArgs {
    /// The key's id
    id: String,
    /// How long the old secret stays good beside the new one, such as 24h; it ends at once without this
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    grace: Option<Duration>,
}

/// Which key.
#[derive(Debug, Args)]
pub(crate) struct OneArgs {
    /// The key's id
    id: String,
}

/// Runs a verb.
pub(super) async fn run(command: KeyCommand, context: &Context) -> Result<(), Failure> {
    let output = context.output;
    match command {
        KeyCommand::Create(args) => {
            let imported = args.secret_file.is_some();
            let key: KeySecret = context.client()?.post(&["keys"], &args.into_request()?).await?;
            output.value(&key, describe)?;
            if !imported {
                output.note("the secret is shown this once");
            }
        }
        KeyCommand::List(args) => {
            let filter: Vec<_> = args.account.map(|account| ("account", account)).into_iter().collect();
            let rows: Vec<KeyRow> = context.client()?.query(&["keys"], &filter).await?;
            output.value(&rows, |rows| tabulate(rows))?;
        }
        KeyCommand::Snippet(args) => snippet::run(args, context).await?,
        KeyCommand::Rotate(args) => {
            let rotation = KeyRotation { grace_seconds: args.grace.map_or(0, |grace| grace.as_secs()) };
            let key: KeySecret = context.client()?.post(&["keys", &args.id, "rotation"], &rotation).await?;
            output.value(&key, describe)?;
            output.note(match args.grace {
                Some(_) => "the old secret ends after the grace; the new one is shown this once",
                None => "the old secret has ended; the new one is shown this once",
            });
            if let Some(data_dir) = folder_of_kept(&key.access_key_id)? {
                keep(&data_dir, &key, output)?;
            }
        }
        KeyCommand::Revoke(args) => {
            context.client()?.delete_quietly(&["keys", &args.id]).await?;
            output.note(&format!("revoked {}", args.id));
        }
        KeyCommand::Recover(service) => recover(&service, output).await?,
    }
    Ok(())
}

/// Writes an admin key where the command line finds it.
fn keep(data_dir: &Path, key: &KeySecret, output: Output) -> Result<(), Failure> {
    keep_admin_key(data_dir, key)?;
    output.note(&format!("kept in {}", data_dir.join("admin.key").display()));
    Ok(())
}

/// The catalog and the root key are proof enough: whoever has both can read every secret.
async fn recover(service: &OfflineArgs, output: Output) -> Result<(), Failure> {
    let service = service.open()?;
    let root = service.source.load()?;
    if let CatalogPlace::Sqlite(path) = service.config.catalog_place()?
        && !path.exists()
    {
        return Err(Failure::new(Exit::NotInitialised, "NOT_INITIALISED", "the catalog is not there")
            .hint("make it anew from the repository, with a key: keystow catalog rebuild"));
    }
    let opened = service.catalog().await?;
    let catalog = opened.shared();
    let root = settle_root_key(root, &*catalog).await?;
    let key = service.engine(catalog, service.vault()?, &root)?.recover_admin().await?;
    opened.close().await;
    let key = key_secret(&key);
    output.value(&key, describe)?;
    keep(&service.config.data_dir, &key, output)
}

impl CreateArgs {
    fn into_request(self) -> Result<NewKeyRequest, Failure> {
        Ok(NewKeyRequest {
            id: self.id,
            secret: self.secret_file.as_deref().map(read_secret).transpose()?,
            session_token: self.session_token_file.as_deref().map(read_secret).transpose()?,
            role: Some(self.role),
            account: self.account,
            project: self.project,
            expires_at: self.expires.map(|at| at.to_string()),
            addresses: self.allow_ip,
        })
    }
}

fn describe(key: &KeySecret) -> String {
    pairs([("access key", Some(key.access_key_id.clone())), ("secret", Some(key.secret.clone()))])
}

fn tabulate(rows: &[KeyRow]) -> String {
    let cells = rows.iter().map(|row| {
        let state = match (&row.revoked_at, &row.expires_at) {
            (Some(at), _) => format!("revoked {}", moment(at)),
            (None, Some(at)) => format!("until {}", moment(at)),
            (None, None) => "active".to_owned(),
        };
        let state = match &row.previous_until {
            Some(until) => format!("{state}, old secret until {}", moment(until)),
            None => state,
        };
        vec![
            row.id.clone(),
            row.role.clone(),
            row.account.clone(),
            row.project.clone().unwrap_or_default(),
            if row.temporary { "temporary" } else { "permanent" }.to_owned(),
            moment(&row.created_at),
            row.addresses.join(", "),
            state,
        ]
    });
    grid(&["ID", "ROLE", "ACCOUNT", "PROJECT", "KIND", "MADE", "FROM", "STATE"], cells.collect())
}
