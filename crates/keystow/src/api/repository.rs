//! The repository: how its parts are stored, and who may decrypt them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The repository.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct RepositoryRow {
    /// How new parts are compressed: `off` or `zstd`.
    pub(crate) compression: String,
    /// How new parts are encrypted: `off` or `age`.
    pub(crate) encryption: String,
    /// How new parts are proven once they are stored: `auto`, `readback` or `hash`.
    pub(crate) verify: String,
    /// Bytes that may still be written, where the store can tell.
    pub(crate) free_bytes: Option<u64>,
    /// To whom new backups are encrypted (`age1…`); none before the first encrypted start.
    pub(crate) recipient: Option<String>,
    /// When that one was made (RFC 3339).
    pub(crate) rotated_at: Option<String>,
    /// Number of the last change of the keys.
    pub(crate) keys: Option<u64>,
    /// How many identities of the repository this node holds; 0 = it cannot decrypt.
    pub(crate) identities: u64,
    /// This node's own recipient, if it has an identity.
    pub(crate) node: Option<String>,
    /// Who holds the repository's identities.
    pub(crate) recipients: Vec<RecipientRow>,
}

/// Somebody who holds the repository's identities.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct RecipientRow {
    /// A person's name for it.
    pub(crate) name: String,
    /// Its public key (`age1…`).
    pub(crate) recipient: String,
    /// `node`, `operator` or `passphrase`.
    pub(crate) kind: String,
    /// When it became one (RFC 3339).
    pub(crate) added_at: String,
}

/// Somebody who is to hold the repository's identities.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRecipientRequest {
    /// Its public key (`age1…`).
    pub(crate) recipient: String,
    /// A person's name for it.
    pub(crate) name: String,
    /// Whether it is a node of Keystow.
    #[serde(default)]
    pub(crate) node: bool,
    /// Its identity, wrapped under a passphrase in the age format, as base64; kept in the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) passphrase_key: Option<String>,
}
