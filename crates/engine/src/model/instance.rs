//! A Redis or Valkey deployment that is backed up.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{AccountId, CaptureOptions, InstanceId, Page, Place, ProjectId, Slots};

/// A Redis or Valkey deployment that is backed up.
#[derive(Clone)]
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// The account that owns it.
    pub account: AccountId,
    /// The project that it is in, if any.
    pub project: Option<ProjectId>,
    /// A person's name for it.
    pub name: String,
    /// Where it is: a URL without user and password.
    pub url: String,
    /// ACL user; `None` = the default user.
    pub username: Option<String>,
    /// Password, sealed under the root key.
    pub sealed_password: Option<Vec<u8>>,
    /// What else it takes to sign in there (TLS, Sentinel's own password), sealed under the root key.
    pub sealed_login: Option<Vec<u8>>,
    /// How it is captured.
    pub capture: CaptureOptions,
    /// Region; `None` = visible in every region.
    pub region: Option<String>,
    /// Zone.
    pub zone: Option<String>,
    /// Zone of the replicas, if it spans two.
    pub replica_zone: Option<String>,
    /// When it was added.
    pub created_at: Timestamp,
    /// What the server said of itself at the last contact.
    pub facts: Option<ServerFacts>,
}

/// How an instance is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Topology {
    /// One primary, with or without replicas.
    Standalone,
    /// Watched by Sentinel.
    Sentinel,
    /// A cluster.
    Cluster,
}

impl Topology {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Standalone => "standalone",
            Self::Sentinel => "sentinel",
            Self::Cluster => "cluster",
        }
    }
}

/// What a server said of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerFacts {
    /// `true` for Valkey.
    pub valkey: bool,
    /// Such as `7.0.15`; empty when INFO is not allowed.
    pub version: String,
    /// `master` or `slave`, in the server's words; empty when INFO is not allowed.
    pub role: String,
    /// Memory in use, in bytes.
    pub used_bytes: u64,
    /// `maxmemory`, in bytes; 0 = no limit.
    pub max_bytes: u64,
    /// Replicas connected.
    pub replicas: u32,
    /// How it is laid out.
    pub topology: Topology,
    /// Shards of the whole instance; 0 where they were not counted.
    #[serde(default)]
    pub shards: u32,
    /// Its servers, each shard's primary first. Not kept with backups, whose parts say where they are from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<NodeFacts>,
}

/// A server of an instance, as it was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFacts {
    /// Its shard, from 0, by their first slot.
    pub shard: u32,
    /// Where it is, as a URL without user and password.
    pub url: String,
    /// Whether it is the primary.
    pub primary: bool,
    /// Whether it could be asked.
    pub healthy: bool,
    /// The slots that its shard holds; none unless it is of a cluster.
    #[serde(default, skip_serializing_if = "Slots::is_empty")]
    pub slots: Slots,
}

/// A setting of a source that was changed for a while, and must be put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Debt {
    /// The account that owns the instance.
    pub account: AccountId,
    /// The instance.
    pub instance: InstanceId,
    /// Its node, as a URL.
    pub node: String,
    /// The setting's name, as `CONFIG SET` takes it.
    pub setting: String,
    /// Its value before.
    pub value: String,
}

/// What a list of instances is in order of. Those that are alike in it are in order of their ids.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum InstanceOrder {
    /// Their ids.
    #[default]
    Id,
    /// When they were added.
    Created,
    /// Their names.
    Name,
    /// Their projects.
    Project,
    /// How they are laid out, as last seen.
    Topology,
}

/// Which instances to list.
#[derive(Debug, Clone, Default)]
pub struct InstanceFilter {
    /// Only in this project.
    pub project: Option<ProjectId>,
    /// Only these ids; empty = all.
    pub ids: Vec<String>,
    /// Only those whose id or name contains this text.
    pub search: Option<String>,
    /// Only the one of exactly this name.
    pub name: Option<String>,
    /// Only those whose name contains one of these texts, or whose id or (first) host is one; empty = all.
    pub any_of: Vec<String>,
    /// Only those laid out so, as last seen; empty = all.
    pub topologies: Vec<Topology>,
    /// What they are in order of.
    pub order: InstanceOrder,
    /// The last first.
    pub descending: bool,
    /// Only those that are there.
    pub place: Place,
    /// The page.
    pub page: Page,
}
