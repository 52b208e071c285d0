//! Accounts, projects and access keys.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An account to add.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewAccount {
    /// Its id.
    pub(crate) id: String,
    /// A person's name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
}

/// An account.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct AccountRow {
    /// Its id.
    pub(crate) id: String,
    /// A person's name for it.
    pub(crate) name: String,
    /// When it was added (RFC 3339).
    pub(crate) created_at: String,
}

/// A project to add.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewProject {
    /// Its id.
    pub(crate) id: String,
    /// A person's name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// The account; the caller's own if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) account: Option<String>,
}

/// A project.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct ProjectRow {
    /// Its id.
    pub(crate) id: String,
    /// The account that owns it.
    pub(crate) account: String,
    /// A person's name for it.
    pub(crate) name: String,
    /// When it was added (RFC 3339).
    pub(crate) created_at: String,
}

/// An access key to make or to import.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewKeyRequest {
    /// Its id; minted if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    /// Its secret; minted if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) secret: Option<String>,
    /// The session token of temporary credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) session_token: Option<String>,
    /// `viewer`, `downloader`, `operator` or `admin`; `operator` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) role: Option<String>,
    /// The account; the caller's own if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) account: Option<String>,
    /// The project that it is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) project: Option<String>,
    /// When it ends (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires_at: Option<String>,
    /// Addresses (CIDR) that it may be used from; empty = any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) addresses: Vec<String>,
}

/// How a key gets a new secret.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyRotation {
    /// Seconds for which the old secret stays good; 0 = it ends at once.
    #[serde(default)]
    pub(crate) grace_seconds: u64,
}

/// A key with its secret, shown this once.
#[derive(Serialize, Deserialize, ToSchema)]
pub(crate) struct KeySecret {
    /// The id.
    pub(crate) access_key_id: String,
    /// The secret.
    pub(crate) secret: String,
}

/// An access key.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct KeyRow {
    /// Its id.
    pub(crate) id: String,
    /// The account that it acts for.
    pub(crate) account: String,
    /// The project that it is bound to.
    pub(crate) project: Option<String>,
    /// What it may do.
    pub(crate) role: String,
    /// Whether it carries a session token.
    pub(crate) temporary: bool,
    /// Addresses (CIDR) that it may be used from; empty = any.
    #[serde(default)]
    pub(crate) addresses: Vec<String>,
    /// Until when the secret before the last rotation stays good.
    #[serde(default)]
    pub(crate) previous_until: Option<String>,
    /// When it was made (RFC 3339).
    pub(crate) created_at: String,
    /// When it ends.
    pub(crate) expires_at: Option<String>,
    /// When it was revoked.
    pub(crate) revoked_at: Option<String>,
}
