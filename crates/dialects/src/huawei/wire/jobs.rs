//! Jobs of DDS and `GeminiDB`: one answer holds the shapes of both.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::parameters::{Query, bad};
use super::request::{Asked, Writing};
use super::times;
use crate::ReadError;
use crate::vocabulary::{Call, Fault, JobKind, JobRow, JobState, ListJobs, Reply};

/// Sizes of a page; the last is the default.
const PAGES: [u64; 3] = [10, 20, 50];
/// The longest span between the two times.
const MAX_SPAN: Duration = Duration::from_hours(30 * 24);
const KINDS: [(JobKind, &str); 3] = [
    (JobKind::Backup, "CreateBackup"),
    (JobKind::RemoveBackup, "DeleteBackup"),
    (JobKind::Restore, "RestoreInstance"),
];
const ENDED: [(JobState, &str); 2] = [(JobState::Done, "Completed"), (JobState::Failed, "Failed")];

/// `ListJobs`. The page of the vendor looks at the last 30 days unless told otherwise; here all jobs
/// are shown then.
pub(super) fn list(asked: &Asked<'_>) -> Result<Call, Fault> {
    let query =
        Query::read(asked.request, &["id", "start_time", "end_time", "status", "name", "offset", "limit"])?;
    let (since, until) = (query.time("start_time")?, query.time("end_time")?);
    if let (Some(since), Some(until)) = (since, until) {
        let span = until.duration_since(since).map_err(|_| bad("end_time", "is before start_time"))?;
        if span > MAX_SPAN {
            return Err(bad("end_time", "is more than 30 days after start_time"));
        }
    }
    let states = match query.text("status") {
        None => Vec::new(),
        Some("Running") => vec![JobState::Waiting, JobState::Running],
        Some(word) => {
            let state = ENDED.iter().find(|(_, name)| *name == word);
            vec![state.ok_or_else(|| bad("status", "must be Running, Completed or Failed"))?.0]
        }
    };
    let kinds = match query.text("name") {
        None => Vec::new(),
        Some(word) => {
            let kind = KINDS.iter().find(|(_, name)| *name == word);
            vec![kind.ok_or_else(|| bad("name", "no job here is called so"))?.0]
        }
    };
    let page = query.page(PAGES[2], 1..=PAGES[2])?;
    if !PAGES.contains(&page.limit) {
        return Err(bad("limit", "must be 10, 20 or 50"));
    }
    Ok(Call::ListJobs(ListJobs {
        place: asked.place.clone(),
        job: query.text("id").map(number).transpose()?,
        kinds,
        states,
        since,
        until,
        page,
        ..ListJobs::default()
    }))
}

/// A job's id is its number; another text is no job's.
fn number(id: &str) -> Result<u64, Fault> {
    let digits = id.bytes().all(|byte| byte.is_ascii_digit());
    id.parse().ok().filter(|_| digits).ok_or_else(|| Fault::NoSuchJob(id.to_owned()))
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct JobsAnswer {
    total_count: u64,
    jobs: Vec<JobAnswer>,
    /// Of DDS, which is asked for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<JobAnswer>,
}

/// Times have one name in `GeminiDB` and another in DDS.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(default)]
struct JobAnswer {
    id: String,
    name: String,
    status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<String>,
    progress: String,
    instance: InstanceAnswer,
    #[serde(skip_serializing_if = "Option::is_none")]
    fail_reason: Option<String>,
}

#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(default)]
struct InstanceAnswer {
    id: String,
    name: String,
}

/// Writes the jobs; where one was asked for it must be there.
pub(super) fn answer(asked_for: Option<&str>, total: u64, rows: &[JobRow]) -> Result<Value, Fault> {
    let job = match asked_for {
        None => None,
        Some(id) => {
            let row = rows.first().ok_or_else(|| Fault::NoSuchJob(id.to_owned()))?;
            let mut job = write(row);
            (job.created, job.ended) = (job.start_time.take(), job.end_time.take());
            Some(job)
        }
    };
    Ok(json!(JobsAnswer { total_count: total, jobs: rows.iter().map(write).collect(), job }))
}

fn write(row: &JobRow) -> JobAnswer {
    let running = matches!(row.state, JobState::Waiting | JobState::Running);
    let ended = ENDED.iter().find(|(state, _)| *state == row.state);
    JobAnswer {
        id: row.number.to_string(),
        name: KINDS.iter().find(|(kind, _)| *kind == row.kind).map_or("", |(_, name)| name).to_owned(),
        status: ended.map_or("Running", |(_, word)| word).to_owned(),
        start_time: Some(times::write(row.created_at, times::ZONED)),
        end_time: row.ended_at.map(|at| times::write(at, times::ZONED)),
        created: None,
        ended: None,
        progress: if running { format!("{}%", row.percent) } else { String::new() },
        instance: InstanceAnswer { id: row.instance.clone(), name: row.instance_name.clone() },
        fail_reason: Some(row.failure.clone()).filter(|text| !text.is_empty()),
    }
}

/// Writes a call for the client.
pub(super) fn ask(list: &ListJobs) -> Result<Writing, Fault> {
    if list.instance.is_some() || list.instance_search.is_some() || list.automated.is_some() {
        return Err(bad("instance_id", "this vendor cannot list jobs by it"));
    }
    if !PAGES.contains(&list.page.limit) {
        return Err(bad("limit", "must be 10, 20 or 50"));
    }
    let status = match list.states[..] {
        [] => None,
        [JobState::Waiting, JobState::Running] => Some("Running".to_owned()),
        [JobState::Done] => Some("Completed".to_owned()),
        [JobState::Failed] => Some("Failed".to_owned()),
        _ => return Err(bad("status", "this vendor lists by unfinished, completed or failed jobs")),
    };
    let name = match list.kinds[..] {
        [] => None,
        [kind] => KINDS.iter().find(|(other, _)| *other == kind).map(|(_, name)| (*name).to_owned()),
        _ => return Err(bad("name", "this vendor lists by one kind or by none")),
    };
    let time = |at| times::write(at, times::ZONED);
    let optional = [
        ("id", list.job.map(|job| job.to_string())),
        ("name", name),
        ("status", status),
        ("start_time", list.since.map(time)),
        ("end_time", list.until.map(time)),
        ("offset", Some(list.page.offset.to_string())),
        ("limit", Some(list.page.limit.to_string())),
    ];
    let query = optional.into_iter().filter_map(|(name, value)| Some((name, value?)));
    Ok(Writing::get("/jobs", query.collect()))
}

/// Reads the answer of either service.
pub(super) fn read(answer: Value) -> Result<Reply, ReadError> {
    let answer: JobsAnswer = super::reply::shape(answer)?;
    let (total, jobs) = match answer.job {
        Some(job) if answer.jobs.is_empty() => (1, vec![job]),
        _ => (answer.total_count, answer.jobs),
    };
    Ok(Reply::Jobs { total, rows: jobs.into_iter().map(read_row).collect::<Result<_, _>>()? })
}

fn read_row(answer: JobAnswer) -> Result<JobRow, ReadError> {
    let state = ENDED.iter().find(|(_, word)| *word == answer.status).map(|(state, _)| *state);
    let kind = KINDS.iter().find(|(_, name)| *name == answer.name).map(|(kind, _)| *kind);
    let state = state.unwrap_or(JobState::Running);
    let created = answer.start_time.or(answer.created).unwrap_or_default();
    let ended = answer.end_time.or(answer.ended).filter(|text| !text.is_empty());
    let percent = answer.progress.trim_end_matches('%').parse().unwrap_or_default();
    Ok(JobRow {
        number: answer.id.parse().unwrap_or_default(),
        kind: kind.unwrap_or(JobKind::Backup),
        state,
        percent: if state == JobState::Done { 100 } else { percent },
        instance: answer.instance.id,
        instance_name: answer.instance.name,
        created_at: super::reply::time(&created)?,
        ended_at: ended.as_deref().map(super::reply::time).transpose()?,
        failure: answer.fail_reason.unwrap_or_default(),
        ..JobRow::default()
    })
}
