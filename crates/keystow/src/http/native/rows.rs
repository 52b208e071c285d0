//! Our nouns as the native API writes them.

mod audit;
mod instance;
mod policy;
mod restore;
mod webhook;

use jiff::Timestamp;
use keystow_engine::model::{
    AccessKey, Account, Backup, BackupCopy, BackupOrigin, Failure, Job, Part, Project, RememberedLink,
    ServerFacts,
};
use keystow_engine::ops::IssuedLink;

use crate::api::{
    AccountRow, BackupRow, CopyRow, FailureNote, JobRow, KeyRow, KindRow, LinkRow, LinkUsageRow, MissingRow,
    OriginRow, PartRow, ProgressRow, ProjectRow, RememberedLinkRow,
};
pub(super) use audit::{access, audit, verdict};
pub(super) use instance::{instance, tested};
pub(super) use policy::{coming, policy, pruned};
pub(super) use restore::plan;
pub(super) use webhook::{issued_webhook, webhook, webhook_delivery};

/// A moment in RFC 3339, whole seconds, UTC.
pub(super) fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn text(value: &impl ToString) -> String {
    value.to_string()
}

fn engine_name(facts: &ServerFacts) -> &'static str {
    if facts.valkey { "valkey" } else { "redis" }
}

fn failure(failure: &Failure) -> FailureNote {
    FailureNote { code: failure.code.clone(), message: failure.message.clone(), hint: failure.hint.clone() }
}

fn part(part: &Part) -> PartRow {
    let (sealed, report) = (&part.sealed, &part.sealed.report);
    PartRow {
        number: part.number,
        name: sealed.file_name.clone(),
        shard: sealed.shard,
        size_bytes: sealed.size_bytes,
        sha256: sealed.sha256.clone(),
        encoding: text(&sealed.encoding),
        stored_bytes: sealed.stored_bytes,
        keys: report.keys,
        databases: report.databases.clone(),
        types: report
            .kinds
            .iter()
            .map(|(kind, count)| (kind.clone(), KindRow { keys: count.keys, bytes: count.bytes }))
            .collect(),
        magic: report.magic.clone(),
        rdb_version: report.rdb_version,
        checksum: report.checksum.clone(),
        node: sealed.origin.as_ref().map(|origin| origin.node.clone()),
        node_role: sealed.origin.as_ref().map(|origin| role(origin.primary)),
        why: sealed.origin.as_ref().map(|origin| origin.why.clone()),
        slots: sealed.origin.as_ref().map(|origin| text(&origin.slots)).filter(|slots| !slots.is_empty()),
        cut_at: sealed.origin.as_ref().map(|origin| text(&origin.cut_at)),
    }
}

/// `primary` or `replica`.
fn role(primary: bool) -> String {
    if primary { "primary" } else { "replica" }.to_owned()
}

fn origin(origin: &BackupOrigin) -> OriginRow {
    let missing = |missing: &keystow_engine::model::Missing| MissingRow {
        slots: text(&missing.slots),
        failure: failure(&missing.failure),
    };
    OriginRow {
        topology: origin.topology.as_str().to_owned(),
        epoch: origin.epoch,
        skew_ms: origin.skew_ms,
        one_instant: origin.one_instant,
        missing: origin.missing.iter().map(missing).collect(),
        imported: origin.imported.clone(),
        warnings: origin.warnings.clone(),
    }
}

pub(super) fn backup(backup: &Backup) -> BackupRow {
    BackupRow {
        id: text(&backup.id),
        number: backup.number,
        state: text(&backup.state),
        instance: text(&backup.instance),
        instance_name: backup.instance_name.clone(),
        account: text(&backup.account),
        project: backup.project.as_ref().map(text),
        mode: backup.mode.as_str().to_owned(),
        method: backup.method.as_str().to_owned(),
        name: backup.name.clone(),
        remark: backup.remark.clone(),
        job: backup.job,
        created_at: moment(backup.created_at),
        started_at: backup.started_at.map(moment),
        ended_at: backup.ended_at.map(moment),
        expires_at: backup.expires_at.map(moment),
        protected: backup.protected,
        server: backup.server.as_ref().map(|facts| format!("{} {}", engine_name(facts), facts.version)),
        size_bytes: backup.size_bytes(),
        stored_bytes: backup.parts.iter().map(|part| part.sealed.stored_bytes).sum(),
        keys: backup.parts.iter().map(|part| part.sealed.report.keys).sum(),
        failure: backup.failure.as_ref().map(failure),
        origin: backup.origin.as_ref().map(origin),
        last_drill: backup.last_drill.as_ref().map(restore::drill),
        last_scrub: backup.last_scrub.as_ref().map(policy::scrub),
        parts: backup.parts.iter().map(part).collect(),
        copies: Vec::new(),
    }
}

pub(super) fn copy(copy: &BackupCopy) -> CopyRow {
    CopyRow {
        repository: copy.repository.clone(),
        state: copy.state.as_str().to_owned(),
        job: copy.job,
        bytes: copy.bytes,
        asked_at: moment(copy.asked_at),
        stored_at: copy.stored_at.map(moment),
        verified_at: copy.verified_at.map(moment),
        retry_at: copy.retry_at.map(moment),
        failure: copy.failure.as_ref().map(failure),
    }
}

pub(super) fn job(job: &Job) -> JobRow {
    JobRow {
        number: job.number,
        kind: job.kind.as_str().to_owned(),
        state: job.state.as_str().to_owned(),
        backup: text(&job.backup),
        instance: text(&job.instance),
        attempt: job.attempt,
        progress: ProgressRow {
            phase: job.progress.phase.as_str().to_owned(),
            bytes: job.progress.bytes,
            total_bytes: job.progress.total_bytes,
            keys: job.progress.keys,
        },
        cancel_requested: job.cancel_requested,
        created_at: moment(job.created_at),
        started_at: job.started_at.map(moment),
        ended_at: job.ended_at.map(moment),
        failure: job.failure.as_ref().map(failure),
        outcome: job.outcome.as_ref().map(restore::outcome),
    }
}

pub(super) fn link(link: &IssuedLink) -> LinkRow {
    LinkRow {
        id: link.id.clone().unwrap_or_default(),
        part: link.part,
        name: link.file_name.clone(),
        size_bytes: link.size_bytes,
        network: text(&link.network),
        url: link.url.clone(),
        expires_at: moment(link.expires_at),
        direct: link.direct,
    }
}

fn usage(link: &RememberedLink) -> LinkUsageRow {
    let usage = &link.usage;
    LinkUsageRow {
        requests: usage.requests,
        bytes: usage.bytes,
        last_at: usage.last_at.map(moment),
        last_address: usage.last_address.clone(),
    }
}

pub(super) fn remembered(link: &RememberedLink, now: Timestamp) -> RememberedLinkRow {
    let state = if link.revoked_at.is_some() {
        "revoked"
    } else if link.expires_at < now {
        "expired"
    } else if link.budget.is_some_and(|budget| budget.is_used_up()) {
        "used"
    } else {
        "active"
    };
    RememberedLinkRow {
        id: link.id.clone(),
        backup: text(&link.backup),
        part: link.part,
        name: link.file_name.clone(),
        network: text(&link.network),
        access_key: link.access_key.clone(),
        created_at: moment(link.created_at),
        expires_at: moment(link.expires_at),
        revoked_at: link.revoked_at.map(moment),
        addresses: link.addresses.clone(),
        deliveries: link.budget.map(|budget| budget.deliveries),
        sent_bytes: link.budget.map(|budget| budget.sent_bytes),
        bytes_per_second: link.throughput.bytes_per_second,
        connections: link.throughput.connections,
        usage: usage(link),
        state: state.to_owned(),
    }
}

pub(super) fn account(account: &Account) -> AccountRow {
    AccountRow { id: text(&account.id), name: account.name.clone(), created_at: moment(account.created_at) }
}

pub(super) fn project(project: &Project) -> ProjectRow {
    ProjectRow {
        id: text(&project.id),
        account: text(&project.account),
        name: project.name.clone(),
        created_at: moment(project.created_at),
    }
}

pub(super) fn key(key: &AccessKey) -> KeyRow {
    KeyRow {
        id: key.id.clone(),
        account: text(&key.account),
        project: key.project.as_ref().map(text),
        role: text(&key.role),
        temporary: key.sealed_session_token.is_some(),
        addresses: key.addresses.clone(),
        previous_until: key.previous.as_ref().map(|(_, until)| moment(*until)),
        created_at: moment(key.created_at),
        expires_at: key.expires_at.map(moment),
        revoked_at: key.revoked_at.map(moment),
    }
}
