//! Answers as Huawei writes them, in both directions.

use std::time::SystemTime;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Answer, backups, dcs, iam, instances, jobs, links, policy, restore, times};
use crate::ReadError;
use crate::canonical::{peek_parameter, unescape, without_nulls};
use crate::huawei::route::{Action, Route};
use crate::vocabulary::{Call, Fault, Reply, Request, Response};

/// The answer to a call that was done, in the shape of the action asked for.
pub(in crate::huawei) fn success(reply: &Reply, route: &Route, request: &Request) -> Result<Answer, Fault> {
    let action = route.action;
    let body = match reply {
        Reply::Instances { total, rows } => match action {
            Action::ListCacheInstances => dcs::instances_answer(*total, rows),
            Action::ShowCacheInstance => dcs::instance_answer(route, rows)?,
            _ => instances::answer(*total, rows),
        },
        Reply::Projects(rows) => iam::projects_answer(rows, request),
        Reply::Account(row) => iam::domains_answer(row, request),
        Reply::Backups { total, rows, .. } => match action {
            Action::ListCacheBackups => dcs::backups_answer(*total, rows),
            Action::ListRestoreTime | Action::ListRestoreTimes => restore::answer(action, *total, rows),
            _ => backups::answer(action, *total, rows),
        },
        Reply::Started { job, backup } => return Ok(started(action, *job, backup)),
        Reply::Done { job } => return Ok(done(action, *job)),
        Reply::Links(rows) => match action {
            Action::ListCacheBackupLinks => dcs::links_answer(route, rows)?,
            _ => links::answer(action, rows)?,
        },
        Reply::Jobs { total, rows } => match action {
            Action::ListCacheRestores => dcs::restores_answer(*total, rows),
            _ => jobs::answer(job_asked_for(request).as_deref(), *total, rows)?,
        },
        Reply::Policy(policy) => match action {
            Action::SetBackupPolicy | Action::UpdateCacheInstance => return Ok(Answer::no_content()),
            _ => policy::answer(policy),
        },
        Reply::Restriction(restriction) => policy::download_answer(route, restriction),
        Reply::Token(issued) => return iam::token_answer(issued, request),
        // No action of this vendor asks for these.
        Reply::Shards(_) | Reply::Regions(_) => return Err(Fault::Internal),
    };
    Ok(Answer::ok(body))
}

fn started(action: Action, job: u64, backup: &str) -> Answer {
    match action {
        Action::CopyCacheInstance => Answer::ok(json!({ "backup_id": backup })),
        Action::RestoreCacheInstance => Answer::ok(json!({"restore_id": job.to_string()})),
        Action::CreateBack | Action::CreateManualBackup => backups::started(job, backup),
        _ => backups::job(Some(job)),
    }
}

fn done(action: Action, job: Option<u64>) -> Answer {
    match action {
        Action::DeleteCacheBackup | Action::UpdateCacheInstance | Action::SetBackupPolicy => {
            Answer::no_content()
        }
        Action::BatchDeleteBackup => Answer::ok(json!({})),
        Action::SaveDownloadPolicy | Action::UpdateDownloadPolicy => policy::download_changed(),
        _ => backups::job(job),
    }
}

/// The one job that was asked for.
fn job_asked_for(request: &Request) -> Option<String> {
    peek_parameter(request, "id").and_then(unescape).filter(|id| !id.is_empty())
}

/// Reads the answer to a call.
pub(in crate::huawei) fn read(call: &Call, response: &Response) -> Result<Reply, ReadError> {
    let status = response.status();
    let malformed = |what: &dyn std::fmt::Display| ReadError::Malformed(format!("status {status}: {what}"));
    if status.is_client_error() || status.is_server_error() {
        return Err(refused(response));
    }
    if !status.is_success() {
        return Err(malformed(&"neither an answer nor a refusal"));
    }
    let text = if response.body().is_empty() { &b"{}"[..] } else { response.body() };
    let mut answer: Value = serde_json::from_slice(text).map_err(|error| malformed(&error))?;
    without_nulls(&mut answer);
    match call {
        Call::ListInstances(_) => instances::read(answer),
        Call::ListBackups(_) => backups::read(answer),
        Call::CreateBackup(_) => {
            let text = |name: &str| answer[name].as_str().unwrap_or_default();
            let (job, backup) = (text("job_id"), text("backup_id").to_owned());
            if job.is_empty() && backup.is_empty() {
                return Err(malformed(&"neither a job nor a backup in the answer"));
            }
            // A job of the vendor's own is called by a UUID, which has no number.
            Ok(Reply::Started { job: job.parse().unwrap_or_default(), backup })
        }
        Call::DeleteBackups(_) => {
            Ok(Reply::Done { job: answer["job_id"].as_str().and_then(|job| job.parse().ok()) })
        }
        Call::LinkBackup(_) => links::read(answer),
        Call::ListJobs(_) => jobs::read(answer),
        Call::ListShards(_)
        | Call::ListRegions
        | Call::ListProjects(_)
        | Call::ShowAccount
        | Call::StopBackup(_)
        | Call::SetExpiry(_)
        | Call::ExportBackup(_)
        | Call::ShowPolicy(_)
        | Call::SetPolicy(_)
        | Call::Restore(_)
        | Call::ShowRestriction(_)
        | Call::SetRestriction(_)
        | Call::IssueToken(_) => Err(malformed(&"this vendor has no such call")),
    }
}

/// A refusal, as the vendor's SDKs read one: `error_code` and `error_msg`, or IAM's `error`.
fn refused(response: &Response) -> ReadError {
    let status = response.status().as_u16();
    let body: Value = serde_json::from_slice(response.body()).unwrap_or_default();
    let (code, message) = if body["error"].is_object() {
        (&body["error"]["code"], &body["error"]["message"])
    } else {
        (&body["error_code"], &body["error_msg"])
    };
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let code = Some(text(code)).filter(|code| !code.is_empty()).unwrap_or_else(|| status.to_string());
    let request_id = response.headers().get("x-request-id").and_then(|value| value.to_str().ok());
    ReadError::Refused { status, code, message: text(message), request_id: request_id.map(str::to_owned) }
}

/// An answer of a known shape.
pub(super) fn shape<T: DeserializeOwned>(answer: Value) -> Result<T, ReadError> {
    if !answer.is_object() {
        return Err(ReadError::Malformed("the answer is not a JSON object".to_owned()));
    }
    serde_json::from_value(answer).map_err(|error| ReadError::Malformed(error.to_string()))
}

/// A time in any of the vendor's formats.
pub(super) fn time(text: &str) -> Result<SystemTime, ReadError> {
    times::read(text).ok_or_else(|| ReadError::Malformed(format!("{text:?} is not a time")))
}
