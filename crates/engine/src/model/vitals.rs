//! How things stand, in numbers that somebody else watches.

use jiff::Timestamp;

use super::{AccountId, InstanceId};

/// How things stand in the catalog.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CatalogVitals {
    /// Every instance, by account and id.
    pub instances: Vec<InstanceVitals>,
    /// Jobs that wait or are under way: kind, state, how many.
    pub jobs: Vec<(String, String, u64)>,
    /// Copies that are not available: repository, state, how many.
    pub copies: Vec<(String, String, u64)>,
}

/// How an instance's backups stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceVitals {
    /// Its account.
    pub account: AccountId,
    /// Its id.
    pub instance: InstanceId,
    /// When it was added.
    pub added_at: Timestamp,
    /// When its newest available backup was begun, and its plain bytes.
    pub last_good: Option<(Timestamp, u64)>,
}
