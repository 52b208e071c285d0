//! `keystow repository`: how backups are stored, and who may decrypt them.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use keystow_engine::model::Secret;
use keystow_engine::vault::codec::age::{AgeFault, Identity, wrap_with_passphrase};

use super::Context;
use super::output::{grid, moment, pairs, size};
use super::secret::read_secret;
use crate::api::{NewRecipientRequest, RecipientRow, RepositoryRow};
use crate::failure::{Exit, Failure};

/// Shortest passphrase: whoever has a copy of the repository can try as many as he likes.
const SHORTEST_PASSPHRASE: usize = 12;

/// Verbs of `repository`.
#[derive(Debug, Subcommand)]
pub(crate) enum RepositoryCommand {
    /// Show how backups are stored, and who may decrypt them
    Show,
    /// Those who hold the identity that decrypts the backups
    #[command(subcommand)]
    Recipients(RecipientsCommand),
    /// Encrypt new backups to a new identity; the old ones stay readable and untouched
    RotateIdentity,
}

/// Verbs of `repository recipients`.
#[derive(Debug, Subcommand)]
pub(crate) enum RecipientsCommand {
    /// List them
    #[command(alias = "ls")]
    List,
    /// Let somebody else decrypt every backup, the old ones included
    #[command(after_help = "Example:\n  keystow repository recipients add age1… --name ann")]
    Add(AddArgs),
    /// Take somebody off the list; rotate the identity as well to keep him out of new backups
    #[command(alias = "rm")]
    Remove {
        /// Name or public key
        recipient: String,
    },
}

/// Flags of `repository recipients add`.
#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// Public key of an age identity (age1…), as age-keygen prints it
    #[arg(required_unless_present = "passphrase_file", conflicts_with = "passphrase_file")]
    recipient: Option<String>,
    /// A person's name for it
    #[arg(long)]
    name: String,
    /// It is another node of Keystow (its key: keystow repository show on that node)
    #[arg(long, conflicts_with = "passphrase_file")]
    node: bool,
    /// Instead of a public key: a file with a passphrase that is to open the backups; it never leaves this machine
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

/// Runs a verb.
pub(super) async fn run(command: RepositoryCommand, context: &Context) -> Result<(), Failure> {
    let (client, output) = (context.client()?, context.output);
    match command {
        RepositoryCommand::Show => {
            let row: RepositoryRow = client.get(&["repository"]).await?;
            output.value(&row, show)
        }
        RepositoryCommand::RotateIdentity => {
            let nothing = serde_json::json!({});
            let row: RepositoryRow = client.post(&["repository", "rotate-identity"], &nothing).await?;
            output.value(&row, show)
        }
        RepositoryCommand::Recipients(command) => {
            let path = ["repository", "recipients"];
            let rows: Vec<RecipientRow> = match command {
                RecipientsCommand::List => client.get(&path).await?,
                RecipientsCommand::Add(args) => client.post(&path, &request(args).await?).await?,
                RecipientsCommand::Remove { recipient } => {
                    client.delete(&["repository", "recipients", &recipient]).await?
                }
            };
            output.value(&rows, |rows| {
                let cells = rows.iter().map(|row| {
                    vec![row.name.clone(), row.kind.clone(), row.recipient.clone(), moment(&row.added_at)]
                });
                grid(&["NAME", "KIND", "RECIPIENT", "ADDED"], cells.collect())
            })
        }
    }
}

fn show(row: &RepositoryRow) -> String {
    let readable = match (row.keys, row.identities) {
        (None, _) => None,
        (Some(_), 0) => Some("no: it holds no identity of the repository".to_owned()),
        (Some(_), held) => Some(format!("yes, with {held} identit{}", if held == 1 { "y" } else { "ies" })),
    };
    let named = row.recipients.iter().map(|holder| format!("{} ({})", holder.name, holder.kind));
    pairs([
        ("compression", Some(row.compression.clone())),
        ("encryption", Some(row.encryption.clone())),
        ("verify", Some(row.verify.clone())),
        ("free", row.free_bytes.map(size)),
        ("encrypted to", row.recipient.clone()),
        ("since", row.rotated_at.as_deref().map(moment)),
        ("opened by", row.keys.map(|_| named.collect::<Vec<_>>().join(", "))),
        ("this node decrypts", readable),
        ("this node's key", row.node.clone()),
    ])
}

/// What is sent. A passphrase is not: it wraps a new identity here, and only that one goes out.
async fn request(args: AddArgs) -> Result<NewRecipientRequest, Failure> {
    let (name, node) = (args.name, args.node);
    let Some(file) = args.passphrase_file else {
        let recipient = args.recipient.unwrap_or_default();
        return Ok(NewRecipientRequest { recipient, name, node, passphrase_key: None });
    };
    let passphrase = Secret::new(read_secret(&file)?);
    if passphrase.expose().len() < SHORTEST_PASSPHRASE {
        return Err(Failure::usage(format!("a passphrase has at least {SHORTEST_PASSPHRASE} characters"))
            .hint("use several random words: whoever has a copy of the repository can try without end"));
    }
    let wrapped = tokio::task::spawn_blocking(move || {
        let identity = Identity::generate()?;
        let key = wrap_with_passphrase(&passphrase, identity.expose().expose())?;
        Ok::<_, AgeFault>((identity.recipient(), key))
    });
    let failed =
        |why: String| Failure::new(Exit::Failure, "INTERNAL", "the identity cannot be wrapped").because(why);
    let (recipient, key) = wrapped
        .await
        .map_err(|error| failed(error.to_string()))?
        .map_err(|fault| failed(fault.to_string()))?;
    Ok(NewRecipientRequest {
        recipient: recipient.to_string(),
        name,
        node: false,
        passphrase_key: Some(STANDARD.encode(key)),
    })
}
