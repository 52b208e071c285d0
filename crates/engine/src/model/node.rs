//! Nodes: the processes that serve one catalog.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

use crate::error::{Error, Result};

/// A part of the work that a node may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeRole {
    /// Answers the native API and the vendors' APIs.
    Api,
    /// Sends backups to whoever has a link.
    Download,
    /// Does jobs.
    Worker,
    /// Makes jobs that are due.
    Scheduler,
}

impl NodeRole {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Api, Self::Download, Self::Worker, Self::Scheduler];

    /// Its name, as in settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Download => "download",
            Self::Worker => "worker",
            Self::Scheduler => "scheduler",
        }
    }
}

impl fmt::Display for NodeRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for NodeRole {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|role| role.as_str() == text);
        found
            .ok_or_else(|| Error::invalid(format!("'{text}' is no role: api, download, worker or scheduler")))
    }
}

/// A node as it tells of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Names this run of the process.
    pub id: String,
    /// The host's name.
    pub host: String,
    /// What it does.
    pub roles: Vec<NodeRole>,
    /// Its program's version.
    pub version: String,
    /// When it started.
    pub started_at: Timestamp,
}

/// A node as the others know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenNode {
    /// The node.
    pub node: Node,
    /// When it was last seen.
    pub seen_at: Timestamp,
    /// Whether that is recent enough.
    pub alive: bool,
}
