//! Nodes of the service.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A node of the service.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct ServiceNodeRow {
    /// Names this run of the program.
    pub(crate) id: String,
    /// The host's name.
    pub(crate) host: String,
    /// What it does: `api`, `download`, `worker`, `scheduler`.
    pub(crate) roles: Vec<String>,
    /// The program's version.
    pub(crate) version: String,
    /// `alive` or `lost`.
    pub(crate) state: String,
    /// When it started (RFC 3339).
    pub(crate) started_at: String,
    /// When it was last seen (RFC 3339).
    pub(crate) seen_at: String,
}
