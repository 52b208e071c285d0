//! Rows into nouns and back. A value that cannot be read means a damaged or newer catalog, and says which column.

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::failed;
use crate::error::{Error, Result};
use crate::model::{
    AccessKey, Account, Backup, DeliveryBudget, Instance, Job, JobKind, JobState, ListedJob, Number, Part,
    Project, RememberedLink,
};

/// One column, decoded.
pub(super) fn get<'r, T>(row: &'r SqliteRow, column: &str) -> Result<T>
where
    T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    row.try_get(column).map_err(|error| failed(&error))
}

fn damaged(column: &str, cause: impl std::fmt::Display) -> Error {
    Error::internal(format!("the catalog holds an unreadable value in '{column}'"), cause)
}

/// One text column, parsed.
fn parsed<T: std::str::FromStr>(row: &SqliteRow, column: &str) -> Result<T>
where
    T::Err: std::fmt::Display,
{
    get::<String>(row, column)?.parse().map_err(|error| damaged(column, error))
}

/// One text column that may be absent, parsed.
fn parsed_option<T: std::str::FromStr>(row: &SqliteRow, column: &str) -> Result<Option<T>>
where
    T::Err: std::fmt::Display,
{
    get::<Option<String>>(row, column)?
        .map(|text| text.parse().map_err(|error| damaged(column, error)))
        .transpose()
}

/// One column of a word that serde knows, such as a state.
fn word<T: DeserializeOwned>(row: &SqliteRow, column: &str) -> Result<T> {
    let text: String = get(row, column)?;
    serde_json::from_value(serde_json::Value::String(text)).map_err(|error| damaged(column, error))
}

fn json<T: DeserializeOwned>(row: &SqliteRow, column: &str) -> Result<T> {
    serde_json::from_str(&get::<String>(row, column)?).map_err(|error| damaged(column, error))
}

fn json_option<T: DeserializeOwned>(row: &SqliteRow, column: &str) -> Result<Option<T>> {
    get::<Option<String>>(row, column)?
        .map(|text| serde_json::from_str(&text).map_err(|error| damaged(column, error)))
        .transpose()
}

fn moment(row: &SqliteRow, column: &str) -> Result<Timestamp> {
    Timestamp::from_microsecond(get(row, column)?).map_err(|error| damaged(column, error))
}

pub(super) fn moment_option(row: &SqliteRow, column: &str) -> Result<Option<Timestamp>> {
    get::<Option<i64>>(row, column)?
        .map(|micros| Timestamp::from_microsecond(micros).map_err(|error| damaged(column, error)))
        .transpose()
}

/// A count or number of ours, which is never negative.
pub(super) fn number(value: i64) -> Number {
    value.unsigned_abs()
}

fn unsigned(row: &SqliteRow, column: &str) -> Result<u64> {
    Ok(number(get(row, column)?))
}

/// A count of ours as `SQLite` holds it.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A nested fact from JSON text.
pub(super) fn from_json<T: DeserializeOwned>(text: &str, column: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| damaged(column, error))
}

/// A nested fact as JSON text.
pub(super) fn to_json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::internal("a fact cannot be written as JSON", error))
}

pub(super) fn account(row: &SqliteRow) -> Result<Account> {
    Ok(Account { id: parsed(row, "id")?, name: get(row, "name")?, created_at: moment(row, "created_at")? })
}

pub(super) fn project(row: &SqliteRow) -> Result<Project> {
    Ok(Project {
        id: parsed(row, "id")?,
        account: parsed(row, "account")?,
        name: get(row, "name")?,
        created_at: moment(row, "created_at")?,
    })
}

pub(super) fn access_key(row: &SqliteRow) -> Result<AccessKey> {
    Ok(AccessKey {
        id: get(row, "id")?,
        account: parsed(row, "account")?,
        project: parsed_option(row, "project")?,
        role: parsed(row, "role")?,
        sealed_secret: get(row, "sealed_secret")?,
        sealed_session_token: get(row, "sealed_session_token")?,
        created_at: moment(row, "created_at")?,
        expires_at: moment_option(row, "expires_at")?,
        revoked_at: moment_option(row, "revoked_at")?,
    })
}

pub(super) fn instance(row: &SqliteRow) -> Result<Instance> {
    Ok(Instance {
        id: parsed(row, "id")?,
        account: parsed(row, "account")?,
        project: parsed_option(row, "project")?,
        name: get(row, "name")?,
        url: get(row, "url")?,
        username: get(row, "username")?,
        sealed_password: get(row, "sealed_password")?,
        region: get(row, "region")?,
        zone: get(row, "zone")?,
        replica_zone: get(row, "replica_zone")?,
        created_at: moment(row, "created_at")?,
        facts: json_option(row, "facts")?,
    })
}

/// A backup without its parts.
pub(super) fn backup(row: &SqliteRow) -> Result<Backup> {
    Ok(Backup {
        id: parsed(row, "id")?,
        number: unsigned(row, "number")?,
        account: parsed(row, "account")?,
        instance: parsed(row, "instance")?,
        instance_name: get(row, "instance_name")?,
        project: parsed_option(row, "project")?,
        region: get(row, "region")?,
        zone: get(row, "zone")?,
        replica_zone: get(row, "replica_zone")?,
        state: parsed(row, "state")?,
        mode: word(row, "mode")?,
        method: word(row, "method")?,
        name: get(row, "name")?,
        remark: get(row, "remark")?,
        job: unsigned(row, "job")?,
        attempt: get::<i64>(row, "attempt")?.try_into().map_err(|error| damaged("attempt", error))?,
        created_at: moment(row, "created_at")?,
        started_at: moment_option(row, "started_at")?,
        ended_at: moment_option(row, "ended_at")?,
        expires_at: moment_option(row, "expires_at")?,
        protected: get::<i64>(row, "protected")? != 0,
        server: json_option(row, "server")?,
        failure: json_option(row, "failure")?,
        parts: Vec::new(),
    })
}

/// A part, from columns `part_number` and `sealed`; `None` where a left join found none.
pub(super) fn part(row: &SqliteRow) -> Result<Option<Part>> {
    let Some(value) = get::<Option<i64>>(row, "part_number")? else { return Ok(None) };
    Ok(Some(Part { number: number(value), sealed: json(row, "sealed")? }))
}

pub(super) fn job(row: &SqliteRow) -> Result<Job> {
    Ok(Job {
        number: unsigned(row, "number")?,
        account: parsed(row, "account")?,
        kind: word::<JobKind>(row, "kind")?,
        backup: parsed(row, "backup")?,
        instance: parsed(row, "instance")?,
        state: word::<JobState>(row, "state")?,
        attempt: get::<i64>(row, "attempt")?.try_into().map_err(|error| damaged("attempt", error))?,
        deaths: get::<i64>(row, "deaths")?.try_into().map_err(|error| damaged("deaths", error))?,
        progress: json(row, "progress")?,
        failure: json_option(row, "failure")?,
        cancel_requested: get::<i64>(row, "cancel_requested")? != 0,
        created_at: moment(row, "created_at")?,
        started_at: moment_option(row, "started_at")?,
        ended_at: moment_option(row, "ended_at")?,
    })
}

/// A job with the columns `instance_name`, `project` and `mode` of its backup.
pub(super) fn listed_job(row: &SqliteRow) -> Result<ListedJob> {
    Ok(ListedJob {
        job: job(row)?,
        instance_name: get(row, "instance_name")?,
        project: parsed_option(row, "project")?,
        mode: word(row, "mode")?,
    })
}

pub(super) fn link(row: &SqliteRow) -> Result<RememberedLink> {
    let deliveries: Option<i64> = get(row, "deliveries")?;
    let budget = match deliveries {
        None => None,
        Some(deliveries) => Some(DeliveryBudget {
            deliveries: deliveries.try_into().map_err(|error| damaged("deliveries", error))?,
            size_bytes: unsigned(row, "size_bytes")?,
            sent_bytes: unsigned(row, "sent_bytes")?,
            reserved_bytes: unsigned(row, "reserved_bytes")?,
        }),
    };
    Ok(RememberedLink {
        id: get(row, "id")?,
        account: parsed(row, "account")?,
        backup: parsed(row, "backup")?,
        part: unsigned(row, "part")?,
        file_name: get(row, "file_name")?,
        network: parsed(row, "network")?,
        access_key: get(row, "access_key")?,
        created_at: moment(row, "created_at")?,
        expires_at: moment(row, "expires_at")?,
        revoked_at: moment_option(row, "revoked_at")?,
        addresses: json(row, "addresses")?,
        budget,
    })
}
