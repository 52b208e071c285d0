//! How the service is.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How the service is.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Status {
    /// The server's version.
    pub(crate) version: String,
    /// The server's clock (RFC 3339).
    pub(crate) time: String,
    /// Whether every finding is good.
    pub(crate) ok: bool,
    /// Everything that was looked at.
    pub(crate) findings: Vec<FindingRow>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct FindingRow {
    /// What was looked at.
    pub(crate) subject: String,
    /// Whether it is as it should be.
    pub(crate) ok: bool,
    /// What was found.
    pub(crate) detail: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
}
