//! Download links.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Links to make.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewLinkRequest {
    /// The backup's id or number.
    pub(crate) backup: String,
    /// Seconds that they live; the server's default if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ttl_seconds: Option<u64>,
    /// `public`, `intranet` or `both`; `public` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) network: Option<String>,
    /// Addresses or CIDRs that may use them or, with `!` in front, may not; empty = all may.
    #[serde(default)]
    pub(crate) addresses: Vec<String>,
    /// Whether each is good for one whole delivery only.
    #[serde(default)]
    pub(crate) once: bool,
    /// How many whole deliveries each is good for; any number if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) downloads: Option<u32>,
    /// Most bytes a second that each delivers, on each node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bytes_per_second: Option<u64>,
    /// Most downloads through each at once, on each node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) connections: Option<u32>,
    /// Give links to a quarantined or partial backup too.
    #[serde(default)]
    pub(crate) unverified: bool,
}

/// A link.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct LinkRow {
    /// Its id; empty for a link that is not remembered.
    pub(crate) id: String,
    /// The part's number.
    pub(crate) part: u64,
    /// File name that it delivers.
    pub(crate) name: String,
    /// Plain bytes that it delivers.
    pub(crate) size_bytes: u64,
    /// `public` or `intranet`.
    pub(crate) network: String,
    /// The whole URL.
    pub(crate) url: String,
    /// When it ends (RFC 3339).
    pub(crate) expires_at: String,
    /// Whether the object store serves it: it has no id, and nothing but its end can end it.
    #[serde(default)]
    pub(crate) direct: bool,
}

/// Links just made.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct IssuedLinks {
    /// One a part and network.
    pub(crate) links: Vec<LinkRow>,
}

/// A link as it is remembered. Its URL is not kept.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct RememberedLinkRow {
    /// Its id.
    pub(crate) id: String,
    /// The backup.
    pub(crate) backup: String,
    /// The part's number.
    pub(crate) part: u64,
    /// File name that it delivers.
    pub(crate) name: String,
    /// `public` or `intranet`.
    pub(crate) network: String,
    /// The access key that asked for it.
    pub(crate) access_key: String,
    /// When it was made (RFC 3339).
    pub(crate) created_at: String,
    /// When it ends.
    pub(crate) expires_at: String,
    /// When it was revoked.
    pub(crate) revoked_at: Option<String>,
    /// Addresses that may use it or, with `!` in front, may not; empty = all may.
    pub(crate) addresses: Vec<String>,
    /// Deliveries allowed; absent = any number.
    pub(crate) deliveries: Option<u32>,
    /// Bytes delivered so far, for a limited link.
    pub(crate) sent_bytes: Option<u64>,
    /// Most bytes a second on each node; absent = as fast as they go.
    pub(crate) bytes_per_second: Option<u64>,
    /// Most downloads at once on each node; absent = any number.
    pub(crate) connections: Option<u32>,
    /// What it was used for, a second or two ago.
    pub(crate) usage: LinkUsageRow,
    /// `active`, `expired`, `revoked` or `used`.
    pub(crate) state: String,
}

/// What a link was used for.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct LinkUsageRow {
    /// Requests that were sent bytes.
    pub(crate) requests: u64,
    /// Bytes sent.
    pub(crate) bytes: u64,
    /// When it was last used.
    pub(crate) last_at: Option<String>,
    /// From where.
    pub(crate) last_address: Option<String>,
}

/// A page of links, newest first.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct LinkList {
    /// All matches, before paging.
    pub(crate) total: u64,
    /// The page.
    pub(crate) links: Vec<RememberedLinkRow>,
}

/// Ends all links issued before now, of exactly one of these.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevokeRequest {
    /// Links to this backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) backup: Option<String>,
    /// Links to any backup of this instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) instance: Option<String>,
    /// Links that this access key asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
}
