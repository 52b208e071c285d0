//! What every vendor's API talks about, in no vendor's words.
//!
//! A dialect turns a request into a [`Call`] and a [`Reply`] or [`Fault`] into a response; the program
//! turns a `Call` into work. Neither side knows the other's words.

use std::fmt;
use std::time::{Duration, SystemTime};

use zeroize::Zeroizing;

/// A request, its body read in full (the server bounds it).
pub type Request = http::Request<bytes::Bytes>;
/// A response, its body in full.
pub type Response = http::Response<bytes::Bytes>;

/// The secret half of an access key. It cannot be printed or compared.
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

/// A request for something, in no vendor's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// List the instances that the caller may see.
    ListInstances(ListInstances),
    /// List backups, as sets or part by part.
    ListBackups(ListBackups),
    /// Take a backup now; the answer comes before it is done.
    CreateBackup(CreateBackup),
    /// Hand out download links for one backup.
    LinkBackup(LinkBackup),
}

/// The page of a list: `offset` records are skipped, at most `limit` are returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Records to skip.
    pub offset: u64,
    /// Records to return at most.
    pub limit: u64,
}

/// See [`Call::ListInstances`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListInstances {
    /// The region asked for, in the vendor's spelling.
    pub region: Option<String>,
    /// Only these ids; empty = all.
    pub ids: Vec<String>,
    /// Only those whose id or name contains this text.
    pub search: Option<String>,
    /// The page asked for.
    pub page: Page,
}

/// What one record of a backup list is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A backup (all shards together).
    Set,
    /// A part (one shard's file), each with its own number.
    Part,
}

/// See [`Call::ListBackups`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListBackups {
    /// The region asked for, in the vendor's spelling.
    pub region: Option<String>,
    /// Only of this instance; it must exist.
    pub instance: Option<String>,
    /// Only this backup or part (id or number); unknown = an empty list.
    pub backup: Option<String>,
    /// Only backups of this job (its number).
    pub job: Option<u64>,
    /// Started at or after.
    pub since: Option<SystemTime>,
    /// Started at or before.
    pub until: Option<SystemTime>,
    /// Only these states; empty = all that the vendor can show.
    pub states: Vec<BackupState>,
    /// Archived stream (incremental) entries too.
    pub incremental: bool,
    /// What one record is.
    pub unit: Unit,
    /// Whether each record comes with fresh links.
    pub links: bool,
    /// The page asked for.
    pub page: Page,
}

/// See [`Call::CreateBackup`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateBackup {
    /// The region asked for, in the vendor's spelling.
    pub region: Option<String>,
    /// The instance.
    pub instance: String,
    /// A person's note.
    pub remark: Option<String>,
    /// Days to keep it; `None` = the policy's or the server's default. A vendor's "as long as the
    /// instance lives" is a hundred years, 36,500 days.
    pub keep_days: Option<u32>,
}

/// See [`Call::LinkBackup`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkBackup {
    /// The region asked for, in the vendor's spelling.
    pub region: Option<String>,
    /// The instance that the backup must belong to.
    pub instance: String,
    /// The backup's id or number.
    pub backup: String,
    /// Which networks' links are wanted.
    pub networks: Networks,
    /// Who may use the links.
    pub limit: AddressLimit,
}

/// The networks that links are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Networks {
    /// Public and intranet.
    Both,
    /// Intranet only.
    Intranet,
}

/// A limit on the addresses that may use a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddressLimit {
    /// The account's stored setting; none unless it was changed.
    Default,
    /// No limit.
    None,
    /// Only (or, when `except`, all but) these addresses or CIDRs, and these VPC ids.
    Custom {
        /// `true`: the listed addresses may not, everybody else may.
        except: bool,
        /// IP addresses or CIDRs.
        addresses: Vec<String>,
        /// VPC ids, each followed by its region, as the vendor spells it.
        vpcs: Vec<(String, String)>,
    },
}

/// An answer, in no vendor's words. One variant for each [`Call`].
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// Answers [`Call::ListInstances`].
    Instances {
        /// All matches, before paging.
        total: u64,
        /// The page.
        rows: Vec<InstanceRow>,
    },
    /// Answers [`Call::ListBackups`].
    Backups {
        /// All matches, before paging.
        total: u64,
        /// Bytes of all available full backups of the instance, whatever the page shows.
        full_bytes: u64,
        /// The page.
        rows: Vec<BackupRow>,
    },
    /// Answers [`Call::CreateBackup`].
    Started {
        /// The job's number.
        job: u64,
    },
    /// Answers [`Call::LinkBackup`]: one row a part.
    Links(Vec<LinkRow>),
}

/// An instance, as a list shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct InstanceRow {
    /// Its id.
    pub id: String,
    /// A person's name for it.
    pub name: String,
    /// Region, in the vendor's spelling where an alias has one; empty when it has none.
    pub region: String,
    /// Zone; empty when it has none.
    pub zone: String,
    /// The project's id; empty when it has none.
    pub project: String,
    /// Server version as last seen, such as `7.0.15`; empty before the first contact.
    pub version: String,
    /// `true` when the last contact said Valkey.
    pub valkey: bool,
    /// How it is laid out.
    pub topology: Topology,
    /// Shards; 1 for anything but a cluster.
    pub shards: u32,
    /// Replicas of each shard, as last seen.
    pub replicas: u32,
    /// Host name or address of its first node.
    pub host: String,
    /// Port of its first node.
    pub port: u16,
    /// `maxmemory` or, without one, the memory in use, in bytes, as last seen.
    pub memory_bytes: u64,
    /// Memory in use, in bytes, as last seen.
    pub used_bytes: u64,
    /// Whether a password is set for it.
    pub password: bool,
    /// Whether a backup or restore is running on it.
    pub busy: bool,
    /// When it was added.
    pub created_at: SystemTime,
}

/// How an instance is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topology {
    /// One primary, with or without replicas.
    Standalone,
    /// Watched by Sentinel.
    Sentinel,
    /// A cluster.
    Cluster,
}

/// How far a backup is, as vendors can tell it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackupState {
    /// Waiting or being taken.
    Running,
    /// Every byte verified.
    Available,
    /// Failed, damaged or not vouched for.
    Failed,
}

/// A backup or a part, as a list shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct BackupRow {
    /// The backup's id.
    pub id: String,
    /// Number of the backup or, for [`Unit::Part`], of the part.
    pub number: u64,
    /// Number of the job that took it.
    pub job: u64,
    /// The instance's id.
    pub instance: String,
    /// The instance's name.
    pub instance_name: String,
    /// Region of the instance, in the vendor's spelling.
    pub region: String,
    /// The shard's node id, for [`Unit::Part`]: `<instance>-db-<n>`, the instance's own id if standalone.
    pub node: String,
    /// State.
    pub state: BackupState,
    /// Taken by a policy rather than by hand.
    pub automated: bool,
    /// Taken by SCAN and DUMP rather than by replication.
    pub logical: bool,
    /// Archived stream rather than a snapshot.
    pub incremental: bool,
    /// A person's note; empty when none.
    pub remark: String,
    /// Server version at the time, such as `7.0.15`.
    pub version: String,
    /// Whether the instance is a cluster.
    pub topology: Topology,
    /// Plain bytes; 0 until it is available.
    pub size_bytes: u64,
    /// Start.
    pub started_at: SystemTime,
    /// End; `None` while it is running.
    pub ended_at: Option<SystemTime>,
    /// When retention will remove it; `None` = never by itself.
    pub expires_at: Option<SystemTime>,
    /// Fresh links, where asked for and the state is available: one a part.
    pub links: Vec<LinkRow>,
}

/// The links of one part.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkRow {
    /// File name, as the link delivers it.
    pub file_name: String,
    /// Plain bytes.
    pub size_bytes: u64,
    /// The public link, if one was wanted.
    pub public_url: Option<String>,
    /// The intranet link.
    pub intranet_url: Option<String>,
    /// When they end. Vendors do not tell: read from an answer it is the epoch.
    pub expires_at: SystemTime,
}

/// Why not, in no vendor's words. Each dialect's `fault.rs` maps every one, without a wildcard.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No signature, or a part of it is absent; names what is missing.
    #[error("the request is not signed: {0} is missing")]
    Unsigned(&'static str),
    /// The signature's fields cannot be read.
    #[error("the signature cannot be read: {0}")]
    MalformedSignature(String),
    /// The access key id is unknown or revoked.
    #[error("unknown access key")]
    UnknownKey,
    /// The session token is wrong, absent or expired.
    #[error("the session token is not valid")]
    BadToken,
    /// The signature is not right. Carries the server's string to sign, for the vendors that show it.
    #[error("the signature does not match")]
    BadSignature {
        /// The string that the server signed; holds no secret.
        string_to_sign: String,
    },
    /// The signature's time is too far from the server's clock.
    #[error("the request is too old or too new")]
    Stale,
    /// The signature's time cannot be read.
    #[error("the time of the request cannot be read")]
    MalformedTime,
    /// The nonce was used before.
    #[error("the nonce was used before")]
    Replayed,
    /// The key has no right to this action at all.
    #[error("this key may not do this")]
    ActionDenied,
    /// The key has the action, but not on this instance.
    #[error("this key has no right on this instance")]
    InstanceDenied,
    /// The account is not on the allow-list for links.
    #[error("the account is not on the allow-list")]
    NotAllowListed,
    /// The setting allows links for cluster instances only.
    #[error("only backups of cluster instances can be exported")]
    ClusterOnly,
    /// Too many requests.
    #[error("too many requests; try again later")]
    Throttled,
    /// The action is not known, or not known to this version.
    #[error("unknown action {0}")]
    UnknownAction(String),
    /// The vendor has the action, but this server does not do it now.
    #[error("the action {0} is not supported now")]
    NotSupported(String),
    /// The API version is not the one served.
    #[error("unknown version {0}")]
    UnknownVersion(String),
    /// The region is not served, or not through this host name.
    #[error("unsupported region {0}")]
    UnsupportedRegion(String),
    /// A required parameter is absent.
    #[error("the parameter {0} is missing")]
    MissingParameter(String),
    /// A parameter that the action does not have.
    #[error("unknown parameter {0}")]
    UnknownParameter(String),
    /// A parameter's value does not fit.
    #[error("the parameter {name} is not valid: {why}")]
    BadParameter {
        /// The parameter, in the vendor's spelling.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// The body or the method is not what the API takes.
    #[error("the request cannot be read: {0}")]
    MalformedRequest(String),
    /// The body is larger than the API takes.
    #[error("the request is too large")]
    TooLarge,
    /// No such instance, or not the caller's.
    #[error("no such instance: {0}")]
    NoSuchInstance(String),
    /// No such backup, or not of that instance.
    #[error("no such backup: {0}")]
    NoSuchBackup(String),
    /// The backup exists, but is not available.
    #[error("the backup {0} is not available")]
    BackupNotReady(String),
    /// A backup of the instance is running already.
    #[error("a backup of {0} is running already")]
    InstanceBusy(String),
    /// The server cannot do it now; trying later may help.
    #[error("the service is not available now: {0}")]
    Unavailable(String),
    /// The server's own fault. The text is for its log, not for the caller.
    #[error("internal error")]
    Internal,
}
