//! What every vendor's API talks about, in no vendor's words.
//!
//! A dialect turns a request into a [`Call`] and a [`Reply`] or [`Fault`] into a response; the program
//! turns a `Call` into work. Neither side knows the other's words.

mod call;
mod fault;
mod reply;

use std::fmt;
use std::time::Duration;

use aws_lc_rs::constant_time;

use zeroize::Zeroizing;

pub use call::{
    AddressLimit, Call, CopyEnd, CreateBackup, DeleteBackups, ExportBackup, InstanceOrder, IssueToken,
    JobKind, JobState, LinkBackup, ListBackups, ListInstances, ListJobs, ListProjects, ListShards, Networks,
    Page, Place, PolicyChange, Restore, RestoreFrom, SetExpiry, SetPolicy, SetRestriction, ShowPolicy,
    ShowRestriction, StopBackup, Unit, Weekdays,
};
pub use fault::Fault;
pub use reply::{
    AccountRow, BackupRow, BackupState, InstanceRow, IssuedToken, JobRow, LinkRow, Policy, ProjectRow,
    RegionRow, Reply, Restriction, ShardRow, Topology,
};

/// A request, its body read in full (the server bounds it).
pub type Request = http::Request<bytes::Bytes>;
/// A response, its body in full.
pub type Response = http::Response<bytes::Bytes>;

/// The secret half of an access key, or a password. It cannot be printed.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Wraps the bytes of a secret.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// The bytes, for a keyed hash.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

/// Compares in a time that does not tell where two secrets differ.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        constant_time::verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// Who claims to call. Nothing in it is trusted before [`crate::Dialect::verify`] said so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The access key's id, as sent.
    pub access_key_id: String,
    /// The session token of temporary credentials, as sent.
    pub session_token: Option<String>,
}

/// What a good signature proves, beside the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The one-time value of the request; a second use within `nonce_ttl` is a replay.
    /// `None` where the vendor's scheme has none (TC3).
    pub nonce: Option<String>,
    /// How long the nonce must be remembered.
    pub nonce_ttl: Duration,
}

/// Credentials and target of the client's half.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// `http` or `https`.
    pub scheme: String,
    /// `host` or `host:port`, as it goes into the Host header.
    pub authority: String,
    /// The region the call is for.
    pub region: String,
}

/// An access key with its secret, for signing.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The access key's id.
    pub access_key_id: String,
    /// Its secret.
    pub secret: Secret,
    /// The session token of temporary credentials.
    pub session_token: Option<String>,
}
