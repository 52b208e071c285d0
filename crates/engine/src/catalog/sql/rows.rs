//! Rows into nouns and back. A value that cannot be read means a damaged or newer catalog, and says which column.

mod webhooks;

use jiff::Timestamp;
use serde::Serialize;
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeOwned, IntoDeserializer};
use sqlx::Row as _;

use super::{Row, failed};
use crate::error::{Error, Result};
use crate::model::{
    AccessKey, AccessRecord, Account, AccountId, AuditEntry, AuditFacts, Backup, BackupCopy, CopyState, Debt,
    DeliveryBudget, Fire, FireOutcome, Instance, InstanceId, InstanceVitals, Job, JobKind, JobState,
    KeptPolicy, LinkUsage, ListedJob, NewCopy, Node, Number, Planned, Project, RememberedLink, SeenNode,
    Throughput,
};
pub(super) use webhooks::{watched_instance, webhook, webhook_delivery};

/// A row, from whichever library read it.
pub(in super::super) trait Columns {
    /// A number; `None` where there is none.
    fn integer(&self, column: &str) -> Result<Option<i64>>;
    /// A text.
    fn text(&self, column: &str) -> Result<Option<&str>>;
    /// Bytes.
    fn bytes(&self, column: &str) -> Result<Option<&[u8]>>;
}

impl Columns for Row {
    fn integer(&self, column: &str) -> Result<Option<i64>> {
        self.try_get(column).map_err(|error| failed(&error))
    }

    fn text(&self, column: &str) -> Result<Option<&str>> {
        self.try_get(column).map_err(|error| failed(&error))
    }

    fn bytes(&self, column: &str) -> Result<Option<&[u8]>> {
        self.try_get(column).map_err(|error| failed(&error))
    }
}

/// A column that is always there.
fn present<T>(value: Option<T>, column: &str) -> Result<T> {
    value.ok_or_else(|| damaged(column, "it is empty"))
}

fn integer(row: &impl Columns, column: &str) -> Result<i64> {
    present(row.integer(column)?, column)
}

pub(super) fn text<'r>(row: &'r impl Columns, column: &str) -> Result<&'r str> {
    present(row.text(column)?, column)
}

fn owned(row: &impl Columns, column: &str) -> Result<String> {
    text(row, column).map(str::to_owned)
}

fn owned_option(row: &impl Columns, column: &str) -> Result<Option<String>> {
    Ok(row.text(column)?.map(str::to_owned))
}

fn flag(row: &impl Columns, column: &str) -> Result<bool> {
    Ok(integer(row, column)? != 0)
}

fn small(row: &impl Columns, column: &str) -> Result<u32> {
    integer(row, column)?.try_into().map_err(|error| damaged(column, error))
}

pub(in super::super) fn damaged(column: &str, cause: impl std::fmt::Display) -> Error {
    Error::internal(format!("the catalog holds an unreadable value in '{column}'"), cause)
}

/// One text column, parsed.
fn parsed<T: std::str::FromStr>(row: &impl Columns, column: &str) -> Result<T>
where
    T::Err: std::fmt::Display,
{
    text(row, column)?.parse().map_err(|error| damaged(column, error))
}

/// One text column that may be absent, parsed.
fn parsed_option<T: std::str::FromStr>(row: &impl Columns, column: &str) -> Result<Option<T>>
where
    T::Err: std::fmt::Display,
{
    row.text(column)?.map(|text| text.parse().map_err(|error| damaged(column, error))).transpose()
}

/// One column of a word that serde knows, such as a state.
fn word<T: DeserializeOwned>(row: &impl Columns, column: &str) -> Result<T> {
    let text: StrDeserializer<'_, serde::de::value::Error> = text(row, column)?.into_deserializer();
    T::deserialize(text).map_err(|error| damaged(column, error))
}

fn json<T: DeserializeOwned>(row: &impl Columns, column: &str) -> Result<T> {
    serde_json::from_str(text(row, column)?).map_err(|error| damaged(column, error))
}

fn json_option<T: DeserializeOwned>(row: &impl Columns, column: &str) -> Result<Option<T>> {
    row.text(column)?
        .map(|text| serde_json::from_str(text).map_err(|error| damaged(column, error)))
        .transpose()
}

fn moment(row: &impl Columns, column: &str) -> Result<Timestamp> {
    Timestamp::from_microsecond(integer(row, column)?).map_err(|error| damaged(column, error))
}

pub(super) fn moment_option(row: &impl Columns, column: &str) -> Result<Option<Timestamp>> {
    row.integer(column)?
        .map(|micros| Timestamp::from_microsecond(micros).map_err(|error| damaged(column, error)))
        .transpose()
}

/// A count or number of ours, which is never negative.
pub(super) fn number(value: i64) -> Number {
    value.unsigned_abs()
}

pub(super) fn unsigned(row: &impl Columns, column: &str) -> Result<u64> {
    Ok(number(integer(row, column)?))
}

/// A count of ours as a database holds it.
pub(in super::super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A nested fact from JSON text.
pub(super) fn from_json<T: DeserializeOwned>(text: &str, column: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| damaged(column, error))
}

/// A nested fact as JSON text.
pub(in super::super) fn to_json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::internal("a fact cannot be written as JSON", error))
}

pub(super) fn account(row: &impl Columns) -> Result<Account> {
    Ok(Account { id: parsed(row, "id")?, name: owned(row, "name")?, created_at: moment(row, "created_at")? })
}

pub(super) fn project(row: &impl Columns) -> Result<Project> {
    Ok(Project {
        id: parsed(row, "id")?,
        account: parsed(row, "account")?,
        name: owned(row, "name")?,
        created_at: moment(row, "created_at")?,
    })
}

pub(super) fn access_key(row: &impl Columns) -> Result<AccessKey> {
    Ok(AccessKey {
        id: owned(row, "id")?,
        account: parsed(row, "account")?,
        project: parsed_option(row, "project")?,
        role: parsed(row, "role")?,
        sealed_secret: present(row.bytes("sealed_secret")?, "sealed_secret")?.to_vec(),
        sealed_session_token: row.bytes("sealed_session_token")?.map(<[u8]>::to_vec),
        previous: row
            .bytes("sealed_previous")?
            .map(<[u8]>::to_vec)
            .zip(moment_option(row, "previous_until")?),
        addresses: json(row, "addresses")?,
        created_at: moment(row, "created_at")?,
        expires_at: moment_option(row, "expires_at")?,
        revoked_at: moment_option(row, "revoked_at")?,
    })
}

pub(super) fn instance(row: &impl Columns) -> Result<Instance> {
    Ok(Instance {
        id: parsed(row, "id")?,
        account: parsed(row, "account")?,
        project: parsed_option(row, "project")?,
        name: owned(row, "name")?,
        url: owned(row, "url")?,
        username: owned_option(row, "username")?,
        sealed_password: row.bytes("sealed_password")?.map(<[u8]>::to_vec),
        sealed_login: row.bytes("sealed_login")?.map(<[u8]>::to_vec),
        capture: json(row, "capture")?,
        region: owned_option(row, "region")?,
        zone: owned_option(row, "zone")?,
        replica_zone: owned_option(row, "replica_zone")?,
        created_at: moment(row, "created_at")?,
        facts: json_option(row, "facts")?,
    })
}

/// A backup with its parts.
pub(super) fn backup(row: &impl Columns) -> Result<Backup> {
    Ok(Backup {
        id: parsed(row, "id")?,
        number: unsigned(row, "number")?,
        account: parsed(row, "account")?,
        instance: parsed(row, "instance")?,
        instance_name: owned(row, "instance_name")?,
        project: parsed_option(row, "project")?,
        region: owned_option(row, "region")?,
        state: parsed(row, "state")?,
        mode: word(row, "mode")?,
        method: word(row, "method")?,
        remark: owned_option(row, "remark")?,
        job: unsigned(row, "job")?,
        attempt: small(row, "attempt")?,
        created_at: moment(row, "created_at")?,
        started_at: moment_option(row, "started_at")?,
        ended_at: moment_option(row, "ended_at")?,
        expires_at: moment_option(row, "expires_at")?,
        protected: flag(row, "protected")?,
        server: json_option(row, "server")?,
        failure: json_option(row, "failure")?,
        name: owned_option(row, "name")?,
        zone: owned_option(row, "zone")?,
        replica_zone: owned_option(row, "replica_zone")?,
        origin: json_option(row, "origin")?,
        last_drill: json_option(row, "last_drill")?,
        last_scrub: json_option(row, "last_scrub")?,
        parts: json(row, "parts")?,
    })
}

/// The part that a row of a left join is about, if any.
pub(super) fn part_number(row: &impl Columns) -> Result<Option<Number>> {
    Ok(row.integer("part_number")?.map(number))
}

pub(super) fn job(row: &impl Columns) -> Result<Job> {
    Ok(Job {
        number: unsigned(row, "number")?,
        account: parsed(row, "account")?,
        kind: word::<JobKind>(row, "kind")?,
        backup: parsed(row, "backup")?,
        instance: parsed(row, "instance")?,
        order: json_option(row, "asked")?,
        outcome: json_option(row, "outcome")?,
        state: word::<JobState>(row, "state")?,
        attempt: small(row, "attempt")?,
        deaths: small(row, "deaths")?,
        progress: json(row, "progress")?,
        failure: json_option(row, "failure")?,
        cancel_requested: flag(row, "cancel_requested")?,
        created_at: moment(row, "created_at")?,
        started_at: moment_option(row, "started_at")?,
        ended_at: moment_option(row, "ended_at")?,
    })
}

/// A node with the column `alive`.
pub(super) fn node(row: &impl Columns) -> Result<SeenNode> {
    let roles = text(row, "roles")?.split(',').filter(|role| !role.is_empty());
    // A role that only a newer program has is none that this one could speak of.
    let roles = roles.filter_map(|role| role.parse().ok()).collect();
    Ok(SeenNode {
        node: Node {
            id: owned(row, "id")?,
            host: owned(row, "host")?,
            roles,
            version: owned(row, "version")?,
            started_at: moment(row, "started_at")?,
        },
        seen_at: moment(row, "seen_at")?,
        alive: flag(row, "alive")?,
    })
}

pub(super) fn copy(row: &impl Columns) -> Result<BackupCopy> {
    Ok(BackupCopy {
        backup: parsed(row, "backup")?,
        account: parsed(row, "account")?,
        repository: owned(row, "repository")?,
        state: word::<CopyState>(row, "state")?,
        job: unsigned(row, "job")?,
        tried: small(row, "tried")?,
        attempt: small(row, "attempt")?,
        bytes: unsigned(row, "bytes")?,
        asked_at: moment(row, "asked_at")?,
        stored_at: moment_option(row, "stored_at")?,
        verified_at: moment_option(row, "verified_at")?,
        retry_at: moment_option(row, "retry_at")?,
        failure: json_option(row, "failure")?,
    })
}

/// A copy to be asked for again, with the column `instance` of its backup.
pub(super) fn new_copy(row: &impl Columns) -> Result<NewCopy> {
    Ok(NewCopy {
        account: parsed(row, "account")?,
        backup: parsed(row, "backup")?,
        instance: parsed(row, "instance")?,
        repository: owned(row, "repository")?,
    })
}

/// Repository, state and number of some copies.
pub(super) fn copy_count(row: &impl Columns) -> Result<(String, String, u64)> {
    Ok((owned(row, "repository")?, owned(row, "state")?, unsigned(row, "copies")?))
}

/// A job with the columns `instance_name`, `project` and `mode` of its backup.
pub(super) fn listed_job(row: &impl Columns) -> Result<ListedJob> {
    Ok(ListedJob {
        job: job(row)?,
        instance_name: owned(row, "instance_name")?,
        project: parsed_option(row, "project")?,
        mode: word(row, "mode")?,
    })
}

pub(super) fn debt(row: &impl Columns) -> Result<Debt> {
    Ok(Debt {
        account: parsed(row, "account")?,
        instance: parsed(row, "instance")?,
        node: owned(row, "node")?,
        setting: owned(row, "setting")?,
        value: owned(row, "value")?,
    })
}

pub(super) fn policy(row: &impl Columns) -> Result<KeptPolicy> {
    let (fire, start) = (moment_option(row, "next_fire")?, moment_option(row, "next_at")?);
    Ok(KeptPolicy {
        account: parsed(row, "account")?,
        instance: parsed(row, "instance")?,
        version: unsigned(row, "version")?,
        policy: json(row, "policy")?,
        changed_at: moment(row, "changed_at")?,
        changed_by: owned(row, "changed_by")?,
        next: fire.zip(start).map(|(fire, start)| Planned { fire, start }),
        retry_at: moment_option(row, "retry_at")?,
        tries: small(row, "tries")?,
        upkeep_at: moment(row, "upkeep_at")?,
        drilled_at: moment_option(row, "drilled_at")?,
    })
}

pub(super) fn fire(row: &impl Columns) -> Result<Fire> {
    Ok(Fire {
        at: moment(row, "at")?,
        seen_at: moment(row, "seen_at")?,
        outcome: word::<FireOutcome>(row, "outcome")?,
        backup: parsed_option(row, "backup")?,
        note: owned_option(row, "note")?,
    })
}

/// The columns `account` and `instance`.
pub(super) fn place_of(row: &impl Columns) -> Result<(AccountId, InstanceId)> {
    Ok((parsed(row, "account")?, parsed(row, "instance")?))
}

pub(super) fn link(row: &impl Columns) -> Result<RememberedLink> {
    let deliveries = row.integer("deliveries")?;
    let budget = match deliveries {
        None => None,
        Some(deliveries) => Some(DeliveryBudget {
            deliveries: deliveries.try_into().map_err(|error| damaged("deliveries", error))?,
            size_bytes: unsigned(row, "size_bytes")?,
            sent_bytes: unsigned(row, "sent_bytes")?,
            forgiven_bytes: unsigned(row, "forgiven_bytes")?,
        }),
    };
    Ok(RememberedLink {
        id: owned(row, "id")?,
        account: parsed(row, "account")?,
        backup: parsed(row, "backup")?,
        part: unsigned(row, "part")?,
        file_name: owned(row, "file_name")?,
        network: parsed(row, "network")?,
        access_key: owned(row, "access_key")?,
        created_at: moment(row, "created_at")?,
        expires_at: moment(row, "expires_at")?,
        revoked_at: moment_option(row, "revoked_at")?,
        addresses: json(row, "addresses")?,
        budget,
        throughput: Throughput {
            bytes_per_second: unsigned_option(row, "bytes_per_second")?,
            connections: row
                .integer("connections")?
                .map(|most| most.try_into().map_err(|error| damaged("connections", error)))
                .transpose()?,
        },
        usage: LinkUsage {
            requests: unsigned(row, "used_requests")?,
            bytes: unsigned(row, "used_bytes")?,
            last_at: moment_option(row, "used_at")?,
            last_address: owned_option(row, "used_from")?,
        },
    })
}

fn unsigned_option(row: &impl Columns, column: &str) -> Result<Option<u64>> {
    row.integer(column)?.map(|value| value.try_into().map_err(|error| damaged(column, error))).transpose()
}

/// An instance with its newest good backup.
pub(super) fn vitals(row: &impl Columns) -> Result<InstanceVitals> {
    let good = (moment_option(row, "good_at")?, unsigned_option(row, "good_bytes")?);
    Ok(InstanceVitals {
        account: parsed(row, "account")?,
        instance: parsed(row, "id")?,
        added_at: moment(row, "created_at")?,
        last_good: good.0.map(|at| (at, good.1.unwrap_or(0))),
    })
}

/// Kind, state and number of some jobs.
pub(super) fn job_count(row: &impl Columns) -> Result<(String, String, u64)> {
    Ok((owned(row, "kind")?, owned(row, "state")?, unsigned(row, "jobs")?))
}

pub(super) fn audit(row: &impl Columns) -> Result<AuditEntry> {
    Ok(AuditEntry {
        sequence: unsigned(row, "sequence")?,
        facts: AuditFacts {
            at: moment(row, "at")?,
            stage: owned(row, "stage")?,
            answers: unsigned_option(row, "answers")?,
            account: owned(row, "account")?,
            who: owned(row, "who")?,
            address: owned_option(row, "address")?,
            via: owned(row, "via")?,
            action: owned(row, "action")?,
            kind: owned(row, "kind")?,
            subject: owned(row, "subject")?,
            parameters: owned(row, "parameters")?,
            code: owned_option(row, "code")?,
        },
        hash: owned(row, "hash")?,
    })
}

pub(super) fn access(row: &impl Columns) -> Result<AccessRecord> {
    let range = (unsigned_option(row, "range_from")?, unsigned_option(row, "range_end")?);
    Ok(AccessRecord {
        number: unsigned(row, "number")?,
        at: moment(row, "at")?,
        kind: parsed(row, "kind")?,
        account: owned(row, "account")?,
        access_key: owned(row, "access_key")?,
        address: owned_option(row, "address")?,
        via: owned(row, "via")?,
        backup: parsed_option(row, "backup")?,
        instance: parsed_option(row, "instance")?,
        parts: json(row, "parts")?,
        networks: json(row, "networks")?,
        link: owned_option(row, "link")?,
        expires_at: moment_option(row, "expires_at")?,
        range: range.0.zip(range.1),
        sent_bytes: unsigned(row, "sent_bytes")?,
        outcome: owned(row, "outcome")?,
        requests: unsigned(row, "requests")?,
    })
}
