//! The native API's wire types: what the server writes and the CLI reads. No behaviour.

/// Header of the session token of temporary credentials.
pub(crate) const SESSION_TOKEN_HEADER: &str = "x-keystow-session-token";

mod access;
mod audit;
mod backup;
mod import;
mod instance;
mod job;
mod link;
mod node;
mod policy;
mod problem;
mod repository;
mod restore;
mod status;
mod webhook;

pub(crate) use access::{
    AccountRow, KeyRotation, KeyRow, KeySecret, NewAccount, NewKeyRequest, NewProject, ProjectRow,
};
pub(crate) use audit::{AccessList, AccessRow, AuditList, AuditRow, AuditVerdictRow, BrokenRow};
pub(crate) use backup::{
    BackupList, BackupRow, CopyRow, FailureNote, KindRow, MissingRow, NewBackupRequest, NewCopyRequest,
    OriginRow, PartRow, Protection, ScrubRow,
};
pub(crate) use import::{CatalogCopyRow, ImportRow, ImportedFile};
pub(crate) use instance::{
    CaptureRequest, CaptureRow, InstanceChangeRequest, InstanceList, InstanceRow, InstanceTestRow,
    NewInstanceRequest, NodeRow, ServerRow, ShardRow, TlsRequest,
};
pub(crate) use job::{JobList, JobRow, ProgressRow};
pub(crate) use link::{
    IssuedLinks, LinkList, LinkRow, LinkUsageRow, NewLinkRequest, RememberedLinkRow, RevokeRequest,
};
pub(crate) use node::ServiceNodeRow;
pub(crate) use policy::{
    ComingRow, FireRow, KeepRequest, KeepRow, PolicyRequest, PolicyRow, PruneRequest, PrunedRow,
};
pub(crate) use problem::Problem;
pub(crate) use repository::{NewRecipientRequest, RecipientRow, RepositoryRow};
pub(crate) use restore::{
    DrillRow, DrilledPartRow, NewDrillRequest, NewRestoreRequest, OutcomeRow, PlanRow, PrefixRow, RestoreRow,
    RestoreStarted, TargetRow,
};
pub(crate) use status::{FindingRow, Status};
pub(crate) use webhook::{
    IssuedWebhookRow, NewWebhookRequest, WebhookChangeRequest, WebhookDeliveryList, WebhookDeliveryRow,
    WebhookRow, WebhookTestRow,
};
