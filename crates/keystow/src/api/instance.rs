//! Instances.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An instance to add.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewInstanceRequest {
    /// `redis://[user:password@]host:port` or `unix:///path`.
    pub(crate) url: String,
    /// Its id; minted if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    /// A person's name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// Password, if the URL does not carry it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) password: Option<String>,
    /// Region; without one it is visible in every region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) region: Option<String>,
    /// Zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) zone: Option<String>,
    /// Zone of the replicas, if it spans two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) replica_zone: Option<String>,
    /// The account; the caller's own if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) account: Option<String>,
    /// The project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) project: Option<String>,
}

/// An instance.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct InstanceRow {
    /// Its id.
    pub(crate) id: String,
    /// A person's name for it.
    pub(crate) name: String,
    /// Where it is, without user and password.
    pub(crate) url: String,
    /// ACL user.
    pub(crate) username: Option<String>,
    /// Whether a password is kept for it.
    pub(crate) has_password: bool,
    /// The account that owns it.
    pub(crate) account: String,
    /// The project that it is in.
    pub(crate) project: Option<String>,
    /// Region.
    pub(crate) region: Option<String>,
    /// Zone.
    pub(crate) zone: Option<String>,
    /// Zone of the replicas, if it spans two.
    pub(crate) replica_zone: Option<String>,
    /// When it was added (RFC 3339).
    pub(crate) created_at: String,
    /// What the server said of itself at the last contact.
    pub(crate) server: Option<ServerRow>,
}

/// What a server said of itself.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct ServerRow {
    /// `redis` or `valkey`.
    pub(crate) engine: String,
    /// Such as `7.0.15`; empty when INFO is not allowed.
    pub(crate) version: String,
    /// `master` or `slave`, in the server's words.
    pub(crate) role: String,
    /// Memory in use, in bytes.
    pub(crate) used_bytes: u64,
    /// `maxmemory`, in bytes; 0 = no limit.
    pub(crate) max_bytes: u64,
    /// Replicas connected.
    pub(crate) replicas: u32,
}

/// A page of instances.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct InstanceList {
    /// All matches, before paging.
    pub(crate) total: u64,
    /// The page.
    pub(crate) instances: Vec<InstanceRow>,
}
