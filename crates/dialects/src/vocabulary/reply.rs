//! What is answered, in no vendor's words.

use std::time::{SystemTime, UNIX_EPOCH};

use super::{AddressLimit, JobKind, JobState, Networks, Weekdays};

/// An answer, in no vendor's words. One variant for each [`super::Call`] that has something to say.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// Answers [`super::Call::ListInstances`].
    Instances {
        /// All matches, before paging.
        total: u64,
        /// The page.
        rows: Vec<InstanceRow>,
    },
    /// Answers [`super::Call::ListShards`].
    Shards(Vec<ShardRow>),
    /// Answers [`super::Call::ListRegions`].
    Regions(Vec<RegionRow>),
    /// Answers [`super::Call::ListProjects`].
    Projects(Vec<ProjectRow>),
    /// Answers [`super::Call::ShowAccount`].
    Account(AccountRow),
    /// Answers [`super::Call::ListBackups`].
    Backups {
        /// All matches, before paging.
        total: u64,
        /// Bytes of all available full backups of the instance, whatever the page shows.
        full_bytes: u64,
        /// The page.
        rows: Vec<BackupRow>,
    },
    /// Answers [`super::Call::CreateBackup`], [`super::Call::ExportBackup`] and [`super::Call::Restore`].
    Started {
        /// The job's number.
        job: u64,
        /// The id of the backup that it makes; empty where the vendor's answer does not tell.
        backup: String,
    },
    /// Answers the calls that change something and have nothing to show.
    Done {
        /// The number of the job that does the rest, if one does.
        job: Option<u64>,
    },
    /// Answers [`super::Call::LinkBackup`]: one row a part.
    Links(Vec<LinkRow>),
    /// Answers [`super::Call::ListJobs`].
    Jobs {
        /// All matches, before paging.
        total: u64,
        /// The page.
        rows: Vec<JobRow>,
    },
    /// Answers [`super::Call::ShowPolicy`] and [`super::Call::SetPolicy`].
    Policy(Policy),
    /// Answers [`super::Call::ShowRestriction`].
    Restriction(Restriction),
    /// Answers [`super::Call::IssueToken`].
    Token(IssuedToken),
}

/// A shard's primary or one of its replicas.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShardRow {
    /// Node id: `<instance>-db-<n>`, the instance's own id if standalone.
    pub node: String,
    /// Which shard, from 0.
    pub shard: u32,
    /// A primary rather than a replica.
    pub primary: bool,
    /// The slots that its shard holds, first and last of each range; none outside of a cluster.
    pub slots: Vec<(u16, u16)>,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// `maxmemory` or, without one, the memory in use, in bytes, as last seen.
    pub memory_bytes: u64,
    /// Memory in use, in bytes, as last seen.
    pub used_bytes: u64,
    /// Whether the last contact succeeded.
    pub connected: bool,
    /// Zone; empty when it has none.
    pub zone: String,
}

/// A region that is served.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegionRow {
    /// Its id.
    pub id: String,
    /// Its zones' ids.
    pub zones: Vec<String>,
}

/// A project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectRow {
    /// Its id.
    pub id: String,
    /// The id of its account.
    pub account: String,
    /// A person's name for it.
    pub name: String,
    /// The account's default project.
    pub is_default: bool,
    /// Instances in it.
    pub instances: u64,
    /// Access keys bound to it.
    pub members: u64,
    /// When it was added.
    pub created_at: SystemTime,
}

/// What is left of a row when a vendor's answer tells nothing: empty texts, zeros, the epoch.
impl Default for ProjectRow {
    fn default() -> Self {
        Self {
            id: String::new(),
            account: String::new(),
            name: String::new(),
            is_default: false,
            instances: 0,
            members: 0,
            created_at: UNIX_EPOCH,
        }
    }
}

/// An account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountRow {
    /// Its id.
    pub id: String,
    /// A person's name for it.
    pub name: String,
}

/// A job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRow {
    /// Its number.
    pub number: u64,
    /// What it does.
    pub kind: JobKind,
    /// How far it is.
    pub state: JobState,
    /// How much of it is done, 0 to 100.
    pub percent: u8,
    /// Started by a policy rather than by hand.
    pub automated: bool,
    /// The instance's id.
    pub instance: String,
    /// The instance's name.
    pub instance_name: String,
    /// The project's id; empty when it has none.
    pub project: String,
    /// The backup's id.
    pub backup: String,
    /// When it was asked for.
    pub created_at: SystemTime,
    /// When it was begun.
    pub started_at: Option<SystemTime>,
    /// When it ended.
    pub ended_at: Option<SystemTime>,
    /// Why it failed; empty unless it did.
    pub failure: String,
}

/// What is left of a row when a vendor's answer tells nothing: empty texts, zeros, the epoch.
impl Default for JobRow {
    fn default() -> Self {
        Self {
            number: 0,
            kind: JobKind::Backup,
            state: JobState::Waiting,
            percent: 0,
            automated: false,
            instance: String::new(),
            instance_name: String::new(),
            project: String::new(),
            backup: String::new(),
            created_at: UNIX_EPOCH,
            started_at: None,
            ended_at: None,
            failure: String::new(),
        }
    }
}

/// When backups are taken by themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// Whether they are.
    pub enabled: bool,
    /// On these days, of UTC.
    pub weekdays: Weekdays,
    /// Within the hour that begins so many minutes after midnight, UTC.
    pub start_minute: u16,
    /// Days to keep each.
    pub keep_days: u32,
    /// The next time; `None` while it is off.
    pub next_at: Option<SystemTime>,
}

/// Who may use links unless a call says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restriction {
    /// The networks that links are handed out for.
    pub networks: Networks,
    /// The addresses; never [`AddressLimit::Default`].
    pub limit: AddressLimit,
}

/// A token that stands for credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedToken {
    /// The token.
    pub token: super::Secret,
    /// When it was issued.
    pub issued_at: SystemTime,
    /// When it ends.
    pub expires_at: SystemTime,
    /// The access key's id that it stands for.
    pub access_key_id: String,
    /// The word for what it may do.
    pub role: String,
    /// The account.
    pub account: AccountRow,
    /// The project that it is for; `None` = the whole account.
    pub project: Option<ProjectRow>,
}

/// An instance, as a list shows it.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "none of them follows from the others")]
pub struct InstanceRow {
    /// Its id.
    pub id: String,
    /// A person's name for it.
    pub name: String,
    /// Region, in the vendor's spelling where an alias has one; empty when it has none.
    pub region: String,
    /// Zone; empty when it has none.
    pub zone: String,
    /// Zone of the replicas, if it spans two; empty otherwise.
    pub replica_zone: String,
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
    /// `maxmemory` or, without one, the memory in use, in bytes, of all shards, as last seen.
    pub memory_bytes: u64,
    /// Memory in use, in bytes, of all shards, as last seen.
    pub used_bytes: u64,
    /// Whether a password is set for it.
    pub password: bool,
    /// Whether a backup or restore is running on it.
    pub busy: bool,
    /// Whether a restore into it is.
    pub restoring: bool,
    /// When backups of it are taken by themselves, for the vendors whose lists show that.
    pub policy: Option<Policy>,
    /// When it was added.
    pub created_at: SystemTime,
}

/// What is left of a row when a vendor's answer tells nothing: empty texts, zeros, the epoch.
impl Default for InstanceRow {
    fn default() -> Self {
        Self {
            id: String::new(),
            name: String::new(),
            region: String::new(),
            zone: String::new(),
            replica_zone: String::new(),
            project: String::new(),
            version: String::new(),
            valkey: false,
            topology: Topology::Standalone,
            shards: 0,
            replicas: 0,
            host: String::new(),
            port: 0,
            memory_bytes: 0,
            used_bytes: 0,
            password: false,
            busy: false,
            restoring: false,
            policy: None,
            created_at: UNIX_EPOCH,
        }
    }
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
#[expect(clippy::struct_excessive_bools, reason = "none of them follows from the others")]
pub struct BackupRow {
    /// The backup's id.
    pub id: String,
    /// A person's name for it; empty when none was given.
    pub name: String,
    /// Number of the backup or, for [`super::Unit::Part`], of the part.
    pub number: u64,
    /// Number of the job that took it.
    pub job: u64,
    /// The instance's id.
    pub instance: String,
    /// The instance's name.
    pub instance_name: String,
    /// Region of the instance, in the vendor's spelling; empty when it has none.
    pub region: String,
    /// Zone of the instance; empty when it has none.
    pub zone: String,
    /// The shard's node id, for [`super::Unit::Part`]: `<instance>-db-<n>`, the instance's own id if standalone.
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
    /// `true` when it was Valkey.
    pub valkey: bool,
    /// How the instance was laid out.
    pub topology: Topology,
    /// Shards; 1 for anything but a cluster.
    pub shards: u32,
    /// Replicas of each shard at the time.
    pub replicas: u32,
    /// `maxmemory` or, without one, the memory in use, in bytes, of all shards, at the time.
    pub memory_bytes: u64,
    /// Plain bytes; 0 until it is available.
    pub size_bytes: u64,
    /// Start.
    pub started_at: SystemTime,
    /// End; `None` while it is running.
    pub ended_at: Option<SystemTime>,
    /// When retention will remove it; `None` = never by itself.
    pub expires_at: Option<SystemTime>,
    /// In a list of copies: the region that keeps the copy, in the vendor's spelling; empty otherwise.
    pub copy_region: String,
    /// The parts, once it is available; with links where they were asked for.
    pub parts: Vec<LinkRow>,
}

/// What is left of a row when a vendor's answer tells nothing: empty texts, zeros, the epoch.
impl Default for BackupRow {
    fn default() -> Self {
        Self {
            id: String::new(),
            name: String::new(),
            number: 0,
            job: 0,
            instance: String::new(),
            instance_name: String::new(),
            region: String::new(),
            zone: String::new(),
            node: String::new(),
            state: BackupState::Running,
            automated: false,
            logical: false,
            incremental: false,
            remark: String::new(),
            version: String::new(),
            valkey: false,
            topology: Topology::Standalone,
            shards: 0,
            replicas: 0,
            memory_bytes: 0,
            size_bytes: 0,
            started_at: UNIX_EPOCH,
            ended_at: None,
            expires_at: None,
            copy_region: String::new(),
            parts: Vec::new(),
        }
    }
}

/// A part and its links.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkRow {
    /// The part's number.
    pub number: u64,
    /// The shard's node id: `<instance>-db-<n>`, the instance's own id if standalone.
    pub node: String,
    /// File name, as the link delivers it.
    pub file_name: String,
    /// Plain bytes.
    pub size_bytes: u64,
    /// The public link, if one was wanted.
    pub public_url: Option<String>,
    /// The intranet link, if one was wanted.
    pub intranet_url: Option<String>,
    /// When they end. Vendors do not tell: read from an answer it is the epoch.
    pub expires_at: SystemTime,
}

/// What is left of a row when a vendor's answer tells nothing: empty texts, zeros, the epoch.
impl Default for LinkRow {
    fn default() -> Self {
        Self {
            number: 0,
            node: String::new(),
            file_name: String::new(),
            size_bytes: 0,
            public_url: None,
            intranet_url: None,
            expires_at: UNIX_EPOCH,
        }
    }
}
