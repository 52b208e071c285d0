//! The nouns: no SQL, no HTTP, no bytes.

mod access_log;
mod account;
mod address;
mod audit;
mod backup;
mod calendar;
mod capture;
mod copy;
mod encoding;
mod id;
mod instance;
mod job;
mod link;
mod node;
mod place;
mod policy;
mod report;
mod restore;
mod retention;
mod scrub;
mod secret;
mod span;
mod vitals;
mod webhook;

pub use access_log::{AccessFilter, AccessKind, AccessRecord};
pub use account::{AccessKey, Account, Project, Right, Role};
pub use address::AddressRange;
pub use audit::{
    AuditChain, AuditEntry, AuditFacts, AuditFilter, AuditHead, AuditVerdict, BEGUN, FAILED, NO_HASH, REFUSED,
};
pub use backup::{
    Backup, BackupFilter, BackupRef, BackupState, Failure, Method, Mode, NewBackup, Part, SealedPart, Unit,
};
pub use calendar::{Calendar, DueFires, Planned, Window};
pub use capture::{
    BackupOrigin, CaptureMethod, CaptureOptions, Checks, Missing, PartOrigin, Prefer, SLOT_COUNT, Slots,
};
pub use copy::{BackupCopy, CopyOrder, CopyState, NewCopy};
pub use encoding::{Compression, Encoding, Encryption};
pub use id::{AccountId, BackupId, InstanceId, Number, ProjectId};
pub use instance::{Debt, Instance, InstanceFilter, InstanceOrder, NodeFacts, ServerFacts, Topology};
pub use job::{Job, JobFilter, JobKind, JobState, Lease, ListedJob, NewJob, Phase, Progress};
pub use link::{
    Admission, DeliveryBudget, LinkLimit, LinkRestriction, LinkUsage, Network, Promise, RememberedLink,
    RevocationScope, Throughput,
};
pub use node::{Node, NodeRole, SeenNode};
pub use place::Place;
pub use policy::{Fire, FireOutcome, Firing, FiringKind, KeptPolicy, Policy, Schedule};
pub use report::{BackupEvent, EventKind, KindCount, Manifest, ManifestPart, ManifestPlace, SnapshotReport};
pub use restore::{
    DrillOrder, DrillOutcome, DrilledPart, KeyChoice, OnConflict, Order, Outcome, RestoreMethod,
    RestoreOrder, RestoreOutcome, RestorePlan, TargetFacts, TtlPolicy,
};
pub use retention::{Retention, Verdict, retain};
pub use scrub::{ScrubOutcome, Whole};
pub use secret::{Secret, hex};
pub use span::Span;
pub use vitals::{CatalogVitals, InstanceVitals};
pub use webhook::{
    DeliveryState, DeliveryTry, Notice, NoticeId, NoticeKind, NoticedBackup, NoticedInstance,
    WatchedInstance, Webhook, WebhookDelivery,
};

use jiff::Timestamp;

/// One page of a list, and how many there are in all.
#[derive(Debug, Clone)]
pub struct Listed<T> {
    /// All matches, before paging.
    pub total: u64,
    /// The page.
    pub rows: Vec<T>,
}

/// Which records of a list to return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Records to skip.
    pub offset: u64,
    /// Records to return at most.
    pub limit: u64,
}

impl Default for Page {
    fn default() -> Self {
        Self { offset: 0, limit: 1000 }
    }
}

/// Microseconds since 1970, as the catalog keeps moments.
pub fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}
