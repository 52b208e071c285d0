//! What can be asked for, in no vendor's words.

use std::time::{Duration, SystemTime};

use super::{BackupState, Restriction, Secret, Topology};

/// A request for something, in no vendor's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// List the instances that the caller may see.
    ListInstances(ListInstances),
    /// List the shards of one instance, or their nodes.
    ListShards(ListShards),
    /// List the regions that are served.
    ListRegions,
    /// List the caller's projects.
    ListProjects(ListProjects),
    /// Say which account the caller belongs to.
    ShowAccount,
    /// List backups, as sets or part by part.
    ListBackups(ListBackups),
    /// Take a backup now; the answer comes before it is done.
    CreateBackup(CreateBackup),
    /// Stop a backup that is being taken.
    StopBackup(StopBackup),
    /// Delete backups.
    DeleteBackups(DeleteBackups),
    /// Set when retention removes a backup.
    SetExpiry(SetExpiry),
    /// Make a backup's files ready for download. They always are; the answer names a job that is done.
    ExportBackup(ExportBackup),
    /// Hand out download links for one backup.
    LinkBackup(LinkBackup),
    /// List jobs, or show one.
    ListJobs(ListJobs),
    /// Show when backups are taken by themselves.
    ShowPolicy(ShowPolicy),
    /// Set when backups are taken by themselves.
    SetPolicy(SetPolicy),
    /// Put a backup, or a past moment, back into an instance.
    Restore(Restore),
    /// Show who may use links unless a call says otherwise.
    ShowRestriction(ShowRestriction),
    /// Set who may use links unless a call says otherwise.
    SetRestriction(SetRestriction),
    /// Issue a token that stands for the credentials given.
    IssueToken(IssueToken),
}

impl Call {
    /// Whether doing it twice is more than doing it once, or changes what others see: a copy of such a
    /// request must be recognised on every node.
    pub fn changes(&self) -> bool {
        match self {
            Self::CreateBackup(_)
            | Self::StopBackup(_)
            | Self::DeleteBackups(_)
            | Self::SetExpiry(_)
            | Self::SetPolicy(_)
            | Self::Restore(_)
            | Self::SetRestriction(_) => true,
            Self::ListInstances(_)
            | Self::ListShards(_)
            | Self::ListRegions
            | Self::ListProjects(_)
            | Self::ShowAccount
            | Self::ListBackups(_)
            | Self::ExportBackup(_)
            | Self::LinkBackup(_)
            | Self::ListJobs(_)
            | Self::ShowPolicy(_)
            | Self::ShowRestriction(_)
            | Self::IssueToken(_) => false,
        }
    }
}

impl Call {
    /// Where it looks; `None` for what concerns the whole account.
    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::ListInstances(call) => Some(&call.place),
            Self::ListShards(call) => Some(&call.place),
            Self::ListBackups(call) => Some(&call.place),
            Self::CreateBackup(call) => Some(&call.place),
            Self::StopBackup(call) => Some(&call.place),
            Self::DeleteBackups(call) => Some(&call.place),
            Self::SetExpiry(call) => Some(&call.place),
            Self::ExportBackup(call) => Some(&call.place),
            Self::LinkBackup(call) => Some(&call.place),
            Self::ListJobs(call) => Some(&call.place),
            Self::ShowPolicy(call) => Some(&call.place),
            Self::SetPolicy(call) => Some(&call.place),
            Self::Restore(call) => Some(&call.place),
            Self::ShowRestriction(call) => Some(&call.place),
            Self::SetRestriction(call) => Some(&call.place),
            Self::ListRegions | Self::ListProjects(_) | Self::ShowAccount | Self::IssueToken(_) => None,
        }
    }
}

/// Where a call looks. What is `None` or `false` does not narrow it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The region asked for, in the vendor's spelling.
    pub region: Option<String>,
    /// The zone asked for, in the vendor's spelling.
    pub zone: Option<String>,
    /// The zone of the replicas, of an instance that spans two zones of its region.
    pub replica_zone: Option<String>,
    /// Only instances that span two zones.
    pub spans_zones: bool,
    /// The project's id. The account's own id stands for all of the account.
    pub project: Option<String>,
}

impl Place {
    /// A region, or anywhere.
    pub fn in_region(region: Option<String>) -> Self {
        Self { region, ..Self::default() }
    }
}

/// The page of a list: `offset` records are skipped, at most `limit` are returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Records to skip.
    pub offset: u64,
    /// Records to return at most.
    pub limit: u64,
}

/// One record: enough for a call that shows one thing.
impl Default for Page {
    fn default() -> Self {
        Self { offset: 0, limit: 1 }
    }
}

/// See [`Call::ListInstances`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListInstances {
    /// Where to look.
    pub place: Place,
    /// Only these ids; empty = all.
    pub ids: Vec<String>,
    /// Only the one of exactly this name.
    pub name: Option<String>,
    /// Only those whose id or name contains this text.
    pub search: Option<String>,
    /// Only those whose name contains one of these texts, or whose id or host is one; empty = all.
    pub any_of: Vec<String>,
    /// Only those laid out so; empty = all.
    pub topologies: Vec<Topology>,
    /// What the list is in order of.
    pub order: InstanceOrder,
    /// The last first.
    pub descending: bool,
    /// The page asked for.
    pub page: Page,
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
    /// How they are laid out.
    Topology,
}

/// See [`Call::ListShards`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListShards {
    /// Where the instance is.
    pub place: Place,
    /// The instance; it must exist.
    pub instance: String,
    /// Primaries only.
    pub primaries_only: bool,
}

/// See [`Call::ListProjects`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListProjects {
    /// Exactly one project for this name: the one that is called so or has it as its id, else the
    /// caller's own, else the default one. `None` = all.
    pub one_for: Option<String>,
}

/// What one record of a backup list is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unit {
    /// A backup (all shards together).
    #[default]
    Set,
    /// A part (one shard's file), each with its own number.
    Part,
}

/// Which end of the copies that are kept in another region's repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyEnd {
    /// The backups that were copied, in the region of their instance.
    Source,
    /// The copies, in the region that keeps them.
    Target,
}

/// See [`Call::ListBackups`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "none of them follows from the others")]
pub struct ListBackups {
    /// Where the instances are.
    pub place: Place,
    /// Only of this instance; it must exist.
    pub instance: Option<String>,
    /// Only of instances whose id or name contains this text.
    pub instance_search: Option<String>,
    /// Only this backup or part (id or number); unknown = an empty list.
    pub backup: Option<String>,
    /// Only those whose name or remark contains this text.
    pub search: Option<String>,
    /// Only backups of this job (its number).
    pub job: Option<u64>,
    /// Started at or after.
    pub since: Option<SystemTime>,
    /// Started at or before.
    pub until: Option<SystemTime>,
    /// Only these states; empty = all that the vendor can show.
    pub states: Vec<BackupState>,
    /// The vendor's filter fits nothing here: the list is empty.
    pub nothing: bool,
    /// Only those taken by a policy (`true`) or by hand (`false`).
    pub automated: Option<bool>,
    /// Archived stream (incremental) entries too.
    pub incremental: bool,
    /// Only copies between regions, as seen from this end; `None` = every backup, copied or not.
    pub copies: Option<CopyEnd>,
    /// What one record is.
    pub unit: Unit,
    /// Whether each record comes with fresh links.
    pub links: bool,
    /// Oldest first; newest first otherwise.
    pub oldest_first: bool,
    /// The page asked for.
    pub page: Page,
}

/// See [`Call::CreateBackup`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CreateBackup {
    /// Where the instance is.
    pub place: Place,
    /// The instance.
    pub instance: String,
    /// A person's name for the backup, where the vendor has one.
    pub name: Option<String>,
    /// A person's note.
    pub remark: Option<String>,
    /// Days to keep it; `None` = the policy's or the server's default. A vendor's "as long as the
    /// instance lives" is a hundred years, 36,500 days.
    pub keep_days: Option<u32>,
}

/// See [`Call::StopBackup`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StopBackup {
    /// Where the instance is.
    pub place: Place,
    /// The backup's id or number.
    pub backup: String,
}

/// See [`Call::DeleteBackups`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeleteBackups {
    /// Where the instance is.
    pub place: Place,
    /// The instance that they must belong to, where the vendor names it.
    pub instance: Option<String>,
    /// Their ids or numbers.
    pub backups: Vec<String>,
}

/// See [`Call::SetExpiry`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetExpiry {
    /// Where the instance is.
    pub place: Place,
    /// The instance that it must belong to.
    pub instance: String,
    /// The backup's id or number.
    pub backup: String,
    /// When retention may remove it.
    pub expires_at: SystemTime,
}

/// See [`Call::ExportBackup`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExportBackup {
    /// Where the instance is.
    pub place: Place,
    /// The instance, a cluster, that the backup must belong to.
    pub instance: String,
    /// The backup's id or number.
    pub backup: String,
}

/// See [`Call::LinkBackup`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkBackup {
    /// Where the instance is.
    pub place: Place,
    /// The instance that the backup must belong to, where the vendor names it.
    pub instance: Option<String>,
    /// The backup's id or number.
    pub backup: String,
    /// Only the file of this shard (its node id); `None` = every shard's.
    pub shard: Option<String>,
    /// The copy that is kept in another region's repository.
    pub other_region: bool,
    /// Which networks' links are wanted.
    pub networks: Networks,
    /// Who may use the links.
    pub limit: AddressLimit,
    /// How long they are to live; `None` = the server's setting for this vendor.
    pub ttl: Option<Duration>,
}

impl LinkBackup {
    /// Every link of a backup, without any limit of the call's own.
    pub fn new(place: Place, instance: Option<String>, backup: String) -> Self {
        Self {
            place,
            instance,
            backup,
            shard: None,
            other_region: false,
            networks: Networks::Both,
            limit: AddressLimit::Default,
            ttl: None,
        }
    }
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
    /// The account's stored setting, see [`Call::ShowRestriction`]; none unless it was changed.
    Default,
    /// No limit.
    None,
    /// Only (or, when `except`, all but) these addresses or CIDRs, and these VPC ids.
    Custom {
        /// `true`: the listed addresses may not, everybody else may. Never about the VPCs.
        except: bool,
        /// IP addresses or CIDRs.
        addresses: Vec<String>,
        /// VPC ids, each followed by its region, as the vendor spells it.
        vpcs: Vec<(String, String)>,
    },
}

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobKind {
    /// Takes a backup.
    Backup,
    /// Removes a backup.
    RemoveBackup,
    /// Restores.
    Restore,
}

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// Not begun.
    Waiting,
    /// Under way.
    Running,
    /// Done.
    Done,
    /// Given up, or stopped.
    Failed,
}

/// See [`Call::ListJobs`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListJobs {
    /// Where the instances are.
    pub place: Place,
    /// Only this job (its number); unknown = an empty list.
    pub job: Option<u64>,
    /// Only of this instance; it must exist.
    pub instance: Option<String>,
    /// Only of instances whose id or name contains this text.
    pub instance_search: Option<String>,
    /// Only these kinds; empty = all.
    pub kinds: Vec<JobKind>,
    /// Only these states; empty = all.
    pub states: Vec<JobState>,
    /// The vendor's filter fits nothing here: the list is empty.
    pub nothing: bool,
    /// Of those that take backups, only those started by a policy (`true`) or by hand (`false`).
    pub automated: Option<bool>,
    /// Asked for at or after.
    pub since: Option<SystemTime>,
    /// Asked for at or before.
    pub until: Option<SystemTime>,
    /// The page asked for.
    pub page: Page,
}

/// The days of a week, Monday first, of UTC.
pub type Weekdays = [bool; 7];

/// See [`Call::ShowPolicy`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShowPolicy {
    /// Where the instance is.
    pub place: Place,
    /// The instance.
    pub instance: String,
}

/// See [`Call::SetPolicy`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SetPolicy {
    /// Where the instance is.
    pub place: Place,
    /// The instance.
    pub instance: String,
    /// What changes.
    pub change: PolicyChange,
}

/// What of a policy changes; `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyChange {
    /// Whether backups are taken by themselves.
    pub enabled: Option<bool>,
    /// On these days.
    pub weekdays: Option<Weekdays>,
    /// Within the hour that begins so many minutes after midnight, UTC.
    pub start_minute: Option<u16>,
    /// Days to keep each.
    pub keep_days: Option<u32>,
}

/// See [`Call::Restore`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restore {
    /// Where the instance is.
    pub place: Place,
    /// The instance that is overwritten.
    pub instance: String,
    /// What is put into it.
    pub from: RestoreFrom,
    /// The instance's password, where the vendor asks for it.
    pub password: Option<Secret>,
}

/// What is restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RestoreFrom {
    /// A backup (id or number).
    Backup(String),
    /// What an instance held at a moment; `None` = the one that is overwritten.
    Moment {
        /// The instance.
        instance: Option<String>,
        /// The moment.
        at: SystemTime,
    },
}

/// See [`Call::ShowRestriction`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShowRestriction {
    /// The region that it is kept for.
    pub place: Place,
}

/// See [`Call::SetRestriction`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetRestriction {
    /// The region that it is kept for.
    pub place: Place,
    /// What it becomes.
    pub restriction: Restriction,
}

/// See [`Call::IssueToken`]. The credentials were checked by [`crate::Dialect::verify`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IssueToken {
    /// The account's id or name, as the caller gave it.
    pub account: Option<String>,
    /// The id of the project that the token is for; it must exist.
    pub project_id: Option<String>,
    /// Its name; a name that no project has, such as a region's, means the default one. With neither, the token
    /// is for the whole account.
    pub project: Option<String>,
}
