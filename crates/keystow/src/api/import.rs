//! Imports and copies.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::BackupRow;

/// A file of an import.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImportedFile {
    /// Its name, for people.
    pub(crate) name: String,
    /// Its length.
    pub(crate) size_bytes: u64,
    /// SHA-256 of its bytes, lower-case hex, if it is known before they come: what is there already is then not sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sha256: Option<String>,
}

/// What became of an import.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct ImportRow {
    /// `false` if the instance had a backup of the same bytes already.
    pub(crate) is_new: bool,
    /// The backup.
    pub(crate) backup: BackupRow,
}

/// A copy of the catalog.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct CatalogCopyRow {
    /// When it was taken (RFC 3339).
    pub(crate) at: String,
}
