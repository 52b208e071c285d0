//! Answers as Tencent writes them, in both directions.

mod backups;
mod instances;
mod jobs;
mod links;
mod policy;

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{BEIJING, TIME_FORMAT, TIME_TEMPLATE};
use crate::ReadError;
use crate::canonical::{moment, read_calendar, without_nulls, write_calendar};
use crate::tencent_v3::fault::Verdict;
use crate::vocabulary::{Call, Fault, ListBackups, ListJobs, Reply, Response, Topology};

const MEGABYTE: u64 = 1 << 20;
/// Room for the answer to one backup's links, the most frequent one.
const USUAL_BYTES: usize = 4096;

/// `ManualBackupInstance` and `RestoreInstance`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateAnswer {
    task_id: u64,
}

/// The envelope of every answer.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Envelope<'a, T> {
    response: Identified<'a, T>,
}

#[derive(Serialize)]
struct Identified<'a, T> {
    #[serde(flatten)]
    answer: T,
    #[serde(rename = "RequestId")]
    request_id: &'a str,
}

/// An answer without members of its own.
#[derive(Serialize)]
struct Nothing {}

/// The answer to an action that was done, in its envelope. One that shows a single thing has
/// something to show, or there is no such thing.
pub(in crate::tencent_v3) fn success(
    reply: &Reply,
    action: &str,
    call: &dyn Fn() -> Option<Call>,
    chinese: bool,
    request_id: &str,
) -> Result<Vec<u8>, Fault> {
    let json = Written { request_id };
    match (reply, action) {
        (Reply::Links(rows), _) => json.of(links::write(rows)),
        (Reply::Restriction(restriction), _) => json.of(links::write_restriction(restriction)),
        (Reply::Backups { rows, .. }, "DescribeBackupDetail") => {
            json.of(backups::write_detail(rows.first().ok_or_else(|| no_backup(call()))?))
        }
        (Reply::Backups { total, rows, .. }, _) => json.of(backups::BackupsAnswer {
            total_count: *total,
            backup_set: rows.iter().map(backups::write).collect(),
        }),
        (Reply::Started { job, .. }, _) => json.of(CreateAnswer { task_id: *job }),
        (Reply::Instances { total, rows }, _) => json.of(instances::InstancesAnswer {
            total_count: *total,
            instance_set: rows.iter().map(instances::write).collect(),
        }),
        (Reply::Shards(rows), "DescribeInstanceNodeInfo") => json.of(instances::write_nodes(rows)),
        (Reply::Shards(rows), _) => json.of(instances::write_shards(rows)),
        (Reply::Jobs { rows, .. }, "DescribeTaskInfo") => {
            json.of(jobs::write_one(rows.first().ok_or_else(|| no_job(call().as_ref()))?, chinese))
        }
        (Reply::Jobs { total, rows }, _) => {
            json.of(jobs::TasksAnswer { total_count: *total, tasks: rows.iter().map(jobs::write).collect() })
        }
        (Reply::Policy(policy), action) => {
            json.of(policy::write(policy, action == "DescribeAutoBackupConfig"))
        }
        (Reply::Done { .. }, _) => json.of(Nothing {}),
        (Reply::Regions(_) | Reply::Projects(_) | Reply::Account(_) | Reply::Token(_), _) => {
            Err(Fault::Internal)
        }
    }
}

/// Writes answers to one request.
struct Written<'a> {
    request_id: &'a str,
}

impl Written<'_> {
    fn of(&self, answer: impl Serialize) -> Result<Vec<u8>, Fault> {
        let response = Identified { answer, request_id: self.request_id };
        let mut json = Vec::with_capacity(USUAL_BYTES);
        serde_json::to_writer(&mut json, &Envelope { response }).map_err(|_| Fault::Internal)?;
        Ok(json)
    }
}

fn no_backup(call: Option<Call>) -> Fault {
    match call {
        Some(Call::ListBackups(ListBackups { backup: Some(backup), .. })) => Fault::NoSuchBackup(backup),
        _ => Fault::Internal,
    }
}

fn no_job(call: Option<&Call>) -> Fault {
    match call {
        Some(Call::ListJobs(ListJobs { job: Some(job), .. })) => Fault::NoSuchJob(job.to_string()),
        _ => Fault::Internal,
    }
}

/// The answer to an action that failed. Its members must all be there: SDKs read them unasked.
pub(in crate::tencent_v3) fn failure(verdict: &Verdict, request_id: &str) -> Vec<u8> {
    let error = json!({ "Code": verdict.code, "Message": verdict.message });
    json!({ "Response": { "Error": error, "RequestId": request_id } }).to_string().into_bytes()
}

/// The vendor's number of an engine and a layout; a version that it does not sell is the nearest.
fn type_code(version: &str, valkey: bool, topology: Topology) -> i64 {
    let major: u32 = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(7);
    let standard = match major {
        _ if valkey => 19,
        0..=2 => return 2,
        3..=4 => 6,
        5 => 8,
        6 => 15,
        _ => 17,
    };
    standard + i64::from(topology == Topology::Cluster)
}

fn is_valkey(type_code: i64) -> bool {
    (19..=22).contains(&type_code)
}

fn topology(type_code: i64) -> Topology {
    if matches!(type_code, 7 | 9 | 16 | 18 | 20 | 22) { Topology::Cluster } else { Topology::Standalone }
}

fn write_time(at: SystemTime) -> String {
    write_calendar(at, BEIJING, TIME_FORMAT)
}

fn read_time(text: &str) -> Result<SystemTime, ReadError> {
    read_calendar(text, TIME_TEMPLATE)
        .and_then(|calendar| moment(calendar, BEIJING))
        .ok_or_else(|| ReadError::Malformed(format!("{text:?} is not a time")))
}

/// An empty text or the zero date is no moment.
fn read_optional_time(text: &str) -> Result<Option<SystemTime>, ReadError> {
    if matches!(text, "" | "0000-00-00 00:00:00") { Ok(None) } else { read_time(text).map(Some) }
}

/// Reads the answer to a call.
pub(in crate::tencent_v3) fn read(call: &Call, response: &Response) -> Result<Reply, ReadError> {
    let answer = open(response)?;
    let malformed = || ReadError::Malformed("this vendor has no such call".to_owned());
    match call {
        Call::LinkBackup(_) => Ok(Reply::Links(links::read(parse(answer)?))),
        Call::ListBackups(ListBackups { backup: Some(_), instance, .. }) => {
            let row = backups::read_detail(parse(answer)?, instance.as_deref().unwrap_or_default())?;
            Ok(Reply::Backups { total: 1, full_bytes: 0, rows: vec![row] })
        }
        Call::ListBackups(_) => {
            let answer: backups::BackupsAnswer = parse(answer)?;
            let rows = answer.backup_set.into_iter().map(backups::read).collect::<Result<_, _>>()?;
            Ok(Reply::Backups { total: answer.total_count, full_bytes: 0, rows })
        }
        Call::CreateBackup(_) => {
            let CreateAnswer { task_id } = parse(answer)?;
            Ok(Reply::Started { job: task_id, backup: String::new() })
        }
        Call::ListInstances(_) => {
            let answer: instances::InstancesAnswer = parse(answer)?;
            let rows = answer.instance_set.into_iter().map(instances::read).collect::<Result<_, _>>()?;
            Ok(Reply::Instances { total: answer.total_count, rows })
        }
        Call::ListJobs(ListJobs { job: Some(job), .. }) => {
            Ok(Reply::Jobs { total: 1, rows: vec![jobs::read_one(parse(answer)?, *job)?] })
        }
        Call::ListJobs(_) => {
            let answer: jobs::TasksAnswer = parse(answer)?;
            let rows = answer.tasks.into_iter().map(jobs::read).collect::<Result<_, _>>()?;
            Ok(Reply::Jobs { total: answer.total_count, rows })
        }
        Call::ListShards(_)
        | Call::ListRegions
        | Call::ListProjects(_)
        | Call::ShowAccount
        | Call::StopBackup(_)
        | Call::DeleteBackups(_)
        | Call::SetExpiry(_)
        | Call::ExportBackup(_)
        | Call::ShowPolicy(_)
        | Call::SetPolicy(_)
        | Call::Restore(_)
        | Call::ShowRestriction(_)
        | Call::SetRestriction(_)
        | Call::IssueToken(_) => Err(malformed()),
    }
}

/// What is in the envelope, unless it is an error.
fn open(response: &Response) -> Result<Value, ReadError> {
    let status = response.status();
    let malformed = |what: &dyn std::fmt::Display| ReadError::Malformed(format!("status {status}: {what}"));
    let mut envelope: Value = serde_json::from_slice(response.body()).map_err(|error| malformed(&error))?;
    let mut answer = envelope.get_mut("Response").map(Value::take).unwrap_or_default();
    if let Some(error) = answer.get("Error") {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        return Err(ReadError::Refused {
            status: status.as_u16(),
            code: text(&error["Code"]).ok_or_else(|| malformed(&"an error without a code"))?,
            message: text(&error["Message"]).unwrap_or_default(),
            request_id: text(&answer["RequestId"]),
        });
    }
    without_nulls(&mut answer);
    if answer.is_object() { Ok(answer) } else { Err(malformed(&"no Response in the answer")) }
}

fn parse<T: for<'de> Deserialize<'de>>(answer: Value) -> Result<T, ReadError> {
    T::deserialize(answer).map_err(|error| ReadError::Malformed(error.to_string()))
}
