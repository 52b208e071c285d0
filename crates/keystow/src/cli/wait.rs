//! Waits for work that was asked for, and judges the end of a backup.

use std::time::{Duration, Instant};

use super::output::{Output, count};
use super::progress::Progress;
use crate::api::{BackupRow, JobRow};
use crate::client::Client;
use crate::failure::{Exit, Failure};

const FIRST_PAUSE: Duration = Duration::from_millis(25);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);
/// A server that is restarted goes on with its jobs; it gets this long to come back.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until the backup's job has ended. Ctrl-C ends the waiting only.
pub(super) async fn wait_for_backup(
    client: &Client,
    asked: BackupRow,
    output: Output,
) -> Result<BackupRow, Failure> {
    let what = format!("backup {}", asked.id);
    wait_for_job(client, asked.job, &what, &asked.instance, output).await?;
    client.get(&["backups", &asked.id]).await
}

/// Waits until a job has ended, well or not. Ctrl-C ends the waiting only. `what` goes on then; `label` stands in front of
/// the progress.
pub(super) async fn wait_for_job(
    client: &Client,
    job: u64,
    what: &str,
    label: &str,
    output: Output,
) -> Result<JobRow, Failure> {
    tokio::select! {
        ended = watch(client, job, label, output) => ended.map_err(|failure| match failure.exit {
            Exit::Unreachable => failure.hint(format!("the {what} may go on; watch it with: keystow job show {job}")),
            _ => failure,
        }),
        _ = tokio::signal::ctrl_c() => Err(
            Failure::new(Exit::Interrupted, "INTERRUPTED", format!("stopped waiting; {what} goes on"))
                .hint(format!("keystow job show {job} to watch it, keystow job cancel {job} to stop it")),
        ),
    }
}

async fn watch(client: &Client, job: u64, label: &str, output: Output) -> Result<JobRow, Failure> {
    let job = job.to_string();
    let progress = Progress::new(output, label, None);
    let mut pause = FIRST_PAUSE;
    let mut silent_since = None;
    loop {
        match client.get::<JobRow>(&["jobs", &job]).await {
            Ok(row) => {
                silent_since = None;
                show(&row, &progress);
                if !matches!(row.state.as_str(), "queued" | "running") {
                    return Ok(row);
                }
            }
            Err(failure) if failure.exit == Exit::Unreachable => {
                let since = *silent_since.get_or_insert_with(Instant::now);
                if since.elapsed() > PATIENCE {
                    return Err(failure);
                }
                progress.say("the server does not answer; trying again");
            }
            Err(failure) => return Err(failure),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn show(row: &JobRow, progress: &Progress) {
    if let Some(total) = row.progress.total_bytes {
        progress.set_total(total);
    }
    let phase = if row.state == "queued" { "queued" } else { &row.progress.phase };
    progress.say(if row.progress.keys > 0 {
        format!("{phase}, {} keys", count(row.progress.keys))
    } else {
        phase.to_owned()
    });
    progress.set(row.progress.bytes);
}

/// Whether a backup that has ended is what was asked for.
pub(super) fn judge(row: &BackupRow) -> Result<(), Failure> {
    let (exit, code) = match row.state.as_str() {
        "available" => return Ok(()),
        "partial" => (Exit::Partial, "PARTIAL"),
        "quarantined" => (Exit::Integrity, "QUARANTINED"),
        "damaged" => (Exit::Integrity, "OBJECT_DAMAGED"),
        _ => (Exit::Failure, "BACKUP_FAILED"),
    };
    let mut failure = match &row.failure {
        Some(note) => Failure::from(note.clone()),
        None => Failure::new(exit, code, format!("the backup ended as {}", row.state)),
    };
    if exit != Exit::Failure {
        failure.exit = exit;
    }
    if failure.hint.is_none() {
        failure.hint = Some(format!("keystow backup show {}", row.id));
    }
    Err(failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(state: &str, code: Option<&str>) -> BackupRow {
        serde_json::from_value(serde_json::json!({
            "id": "0198f3c0-7b1e-7c0a-9d0e-3f1f6f0f2a11", "number": 1, "state": state, "instance": "i",
            "instance_name": "i", "account": "default", "project": null, "mode": "manual", "method": "physical",
            "name": null, "remark": null, "job": 2, "created_at": "2026-11-21T19:02:03Z", "started_at": null, "ended_at": null,
            "expires_at": null, "protected": false, "server": null, "size_bytes": 0, "keys": 0, "parts": [],
            "origin": null, "last_drill": null,
            "failure": code.map(|code| serde_json::json!({ "code": code, "message": "m", "hint": null })),
        }))
        .unwrap()
    }

    #[test]
    fn the_end_of_a_backup_decides_the_exit_code() {
        assert!(judge(&row("available", None)).is_ok());
        for (state, code, exit) in [
            ("failed", Some("SOURCE_UNREACHABLE"), Exit::Unreachable),
            ("failed", Some("SOURCE_AUTH"), Exit::Auth),
            ("failed", Some("SNAPSHOT_CORRUPT"), Exit::Integrity),
            ("failed", Some("DISK_FULL"), Exit::NoSpace),
            ("failed", Some("CANCELLED"), Exit::Failure),
            ("failed", None, Exit::Failure),
            ("quarantined", Some("QUARANTINED"), Exit::Integrity),
            ("quarantined", Some("SOMETHING"), Exit::Integrity),
            ("partial", Some("SOURCE_UNREACHABLE"), Exit::Partial),
        ] {
            assert_eq!(judge(&row(state, code)).unwrap_err().exit, exit, "{state} {code:?}");
        }
    }
}
