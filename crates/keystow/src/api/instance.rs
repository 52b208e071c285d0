//! Instances.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::PolicyRow;

/// An instance to add.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewInstanceRequest {
    /// `redis://[user:password@]host:port`, `redis-sentinel://host:port,…/service`, `redis-cluster://host:port,…`, each
    /// also as `rediss…` with TLS, or `unix:///path`.
    pub(crate) url: String,
    /// Its id; minted if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    /// A person's name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// ACL user, if the URL does not carry it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) username: Option<String>,
    /// Password, if the URL does not carry it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) password: Option<String>,
    /// Sentinel's own user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sentinel_username: Option<String>,
    /// Sentinel's own password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sentinel_password: Option<String>,
    /// Certificates.
    #[serde(default, skip_serializing_if = "TlsRequest::is_empty")]
    pub(crate) tls: TlsRequest,
    /// How it is captured.
    #[serde(default, skip_serializing_if = "CaptureRequest::is_empty")]
    pub(crate) capture: CaptureRequest,
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
    /// Whether it is left without the usual policy (a backup a day, kept for 7 days).
    #[serde(default)]
    pub(crate) no_policy: bool,
}

/// What is to be different about an instance. What is absent stays; an empty text takes away what was kept.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InstanceChangeRequest {
    /// Where it is. A kept password does not go to another address: give it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<String>,
    /// ACL user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) username: Option<String>,
    /// Password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) password: Option<String>,
    /// Sentinel's own user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sentinel_username: Option<String>,
    /// Sentinel's own password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sentinel_password: Option<String>,
    /// Certificates.
    #[serde(default, skip_serializing_if = "TlsRequest::is_empty")]
    pub(crate) tls: TlsRequest,
    /// How it is captured.
    #[serde(default, skip_serializing_if = "CaptureRequest::is_empty")]
    pub(crate) capture: CaptureRequest,
}

/// Certificates for connections with TLS.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TlsRequest {
    /// Certificates of the authorities to trust, PEM; the system's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca: Option<String>,
    /// Client certificate with its chain, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) certificate: Option<String>,
    /// Its key, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    /// The name that certificates must bear, if it is not the host's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) server_name: Option<String>,
}

impl TlsRequest {
    /// Whether it says nothing.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How an instance is captured. What is absent stays, or is as usual.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CaptureRequest {
    /// `auto`, `physical` (by replication) or `logical` (key by key).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) method: Option<String>,
    /// Which node of a shard is asked first: `replica` or `primary`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) prefer: Option<String>,
    /// What a doubt about the source's health does: `refuse` or `warn`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) checks: Option<String>,
    /// Most bytes a second from one node; 0 = no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bytes_per_second: Option<u64>,
    /// Most keys a second that are read from one node key by key; 0 = no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) keys_per_second: Option<u64>,
    /// Most shards at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) parallel: Option<u32>,
    /// Whether the source's `rdbcompression` is switched off around its fork.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) uncompressed: Option<bool>,
}

impl CaptureRequest {
    /// Whether it says nothing.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How an instance is captured.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct CaptureRow {
    /// `auto`, `physical` or `logical`.
    pub(crate) method: String,
    /// `replica` or `primary`.
    pub(crate) prefer: String,
    /// `refuse` or `warn`.
    pub(crate) checks: String,
    /// Most bytes a second from one node.
    pub(crate) bytes_per_second: Option<u64>,
    /// Most keys a second that are read from one node key by key.
    pub(crate) keys_per_second: Option<u64>,
    /// Most shards at a time.
    pub(crate) parallel: u32,
    /// Whether the source's `rdbcompression` is switched off around its fork.
    pub(crate) uncompressed: bool,
}

/// An instance.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "each tells of another secret")]
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
    /// Sentinel's own user.
    pub(crate) sentinel_username: Option<String>,
    /// Whether a password for its Sentinels is kept.
    pub(crate) has_sentinel_password: bool,
    /// Whether authorities of its own are kept for it.
    pub(crate) has_tls_ca: bool,
    /// Whether a client certificate with its key is kept for it.
    pub(crate) has_tls_certificate: bool,
    /// The name that certificates must bear, if it is not the host's.
    pub(crate) tls_server_name: Option<String>,
    /// How it is laid out, as last seen: `standalone`, `sentinel` or `cluster`.
    pub(crate) topology: Option<String>,
    /// How it is captured.
    pub(crate) capture: CaptureRow,
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
    /// What is done with its backups by itself; only where one instance is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) policy: Option<PolicyRow>,
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
    /// How the instance is laid out: `standalone`, `sentinel` or `cluster`.
    pub(crate) topology: String,
}

/// An instance as it was found just now.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct InstanceTestRow {
    /// What one of its servers said of itself.
    #[serde(flatten)]
    pub(crate) server: ServerRow,
    /// Its shards.
    pub(crate) shards: Vec<ShardRow>,
    /// Slots of a cluster that no shard has, such as `0-5460`.
    pub(crate) uncovered_slots: String,
    /// How many slots of a cluster are on their way from one shard to another.
    pub(crate) moving_slots: u64,
}

/// Servers that hold the same data.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct ShardRow {
    /// From 0.
    pub(crate) shard: u32,
    /// Its slots, such as `0-5460`; empty unless it is part of a cluster.
    pub(crate) slots: String,
    /// The server that a backup would ask first; none if none can be asked.
    pub(crate) choice: Option<String>,
    /// Why that one.
    pub(crate) why: Option<String>,
    /// Its servers, the primary first.
    pub(crate) nodes: Vec<NodeRow>,
}

/// A server of a shard.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct NodeRow {
    /// Where it is.
    pub(crate) node: String,
    /// `primary` or `replica`.
    pub(crate) role: String,
    /// Whether a backup may ask it.
    pub(crate) healthy: bool,
    /// Why not.
    pub(crate) why: Option<String>,
    /// How many bytes of the replication stream it is behind its primary, as far as known.
    pub(crate) lag_bytes: Option<u64>,
}

/// A page of instances.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct InstanceList {
    /// All matches, before paging.
    pub(crate) total: u64,
    /// The page.
    pub(crate) instances: Vec<InstanceRow>,
}
