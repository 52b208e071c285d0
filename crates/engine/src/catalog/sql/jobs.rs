//! Jobs: asked for, claimed under a lease, stopped.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::{AssertSqlSafe, Transaction};

use super::{Db, Store, backup_copies, failed, length, next_number, now_at, outcomes, rows};
use crate::catalog::{AttemptOutcome, conflict, lease_lost, not_found};
use crate::error::Result;
use crate::model::{
    AccountId, BackupState, Failure, Job, JobKind, JobState, Lease, NewJob, Number, Progress, micros,
};

/// The job that has been due longest at `$1`; null = none. Copies and scrubs, which are asked for in their hundreds, come
/// when nothing else is due: their time comes, because workers are busy with the rest only while there is some. `SQLite`
/// takes the index of unfinished jobs, and looks at no other, only where that index's own condition stands by itself.
pub(in super::super) fn longest_due() -> String {
    let now = now_at("$1");
    let among = |kinds: &str| {
        format!(
            "SELECT number FROM job WHERE state IN ('queued', 'running') {kinds} \
             AND CASE state WHEN 'queued' THEN not_before <= {now} ELSE lease_until < {now} END \
             ORDER BY not_before, number LIMIT 1"
        )
    };
    format!("SELECT COALESCE(({}), ({}))", among("AND kind NOT IN ('copy', 'scrub')"), among(""))
}

/// Asks for work on a backup that is there already.
pub(super) async fn request(catalog: &Store, new: &NewJob, now: Timestamp) -> Result<Job> {
    let mut tx = catalog.write().await?;
    // It may have been deleted since it was looked up.
    sqlx::query("SELECT 1 FROM backup WHERE account = $1 AND id = $2 AND state <> 'expired'")
        .bind(new.account.as_str())
        .bind(new.backup.to_string())
        .fetch_optional(&mut *tx)
        .await
        .map_err(|error| failed(&error))?
        .ok_or_else(|| not_found("backup", new.backup))?;
    if let Some(target) = &new.target {
        refuse_second(&mut tx, &new.account, target).await?;
    }
    let number = next_number(&mut tx).await?;
    let row = add(&mut tx, number, new, now).await?;
    tx.commit().await.map_err(|error| failed(&error))?;
    Ok(row)
}

/// Two jobs that change one target would undo each other.
async fn refuse_second(tx: &mut Transaction<'_, Db>, account: &AccountId, target: &str) -> Result<()> {
    let first = sqlx::query("SELECT * FROM job WHERE target = $1 AND state IN ('queued', 'running')")
        .bind(target)
        .fetch_optional(&mut **tx)
        .await
        .map_err(|error| failed(&error))?;
    let Some(row) = first else { return Ok(()) };
    let first = rows::job(&row)?;
    Err(if first.account == *account {
        let what = match first.kind {
            JobKind::Scrub | JobKind::Repair => "is at work on the bytes of that backup",
            JobKind::Drill => "drills that backup",
            _ => "changes that target",
        };
        conflict(format!("the job {} {what} already", first.number))
            .hint(format!("wait for it, or stop it first: keystow job cancel {}", first.number))
    } else {
        conflict("that target is being changed already".to_owned()).hint("try again later")
    })
}

/// Adds a job's row.
pub(super) async fn add(
    tx: &mut Transaction<'_, Db>,
    number: Number,
    new: &NewJob,
    now: Timestamp,
) -> Result<Job> {
    let row = sqlx::query(AssertSqlSafe(format!(
        "INSERT INTO job (number, account, kind, backup, instance, state, not_before, created_at, asked, \
         target) VALUES ($1, $2, $3, $4, $5, 'queued', {now}, $6, $7, $8) RETURNING *",
        now = now_at("$6")
    )))
    .bind(rows::signed(number))
    .bind(new.account.as_str())
    .bind(new.kind.as_str())
    .bind(new.backup.to_string())
    .bind(new.instance.as_str())
    .bind(micros(now))
    .bind(new.order.as_ref().map(rows::to_json).transpose()?)
    .bind(&new.target)
    .fetch_one(&mut **tx)
    .await
    .map_err(|error| failed(&error))?;
    rows::job(&row)
}

/// Claims the job that has been due longest. Its fence grows with every claim.
pub(super) async fn claim(
    catalog: &Store,
    worker: &str,
    now: Timestamp,
    hold: Duration,
) -> Result<Option<Job>> {
    // Looking first keeps an idle worker from taking the write lock.
    let longest_due = longest_due();
    let due: Option<i64> = sqlx::query_scalar(AssertSqlSafe(longest_due.clone()))
        .bind(micros(now))
        .fetch_one(&catalog.reader)
        .await
        .map_err(|error| failed(&error))?;
    if due.is_none() {
        return Ok(None);
    }
    let mut tx = catalog.write().await?;
    let row = sqlx::query(AssertSqlSafe(format!(
        "UPDATE job SET deaths = deaths + CASE state WHEN 'running' THEN 1 ELSE 0 END, state = 'running', \
         attempt = attempt + 1, worker = $2, lease_until = {now} + $3, started_at = $1 \
         WHERE number = ({longest_due}) RETURNING *",
        now = now_at("$1")
    )))
    .bind(micros(now))
    .bind(worker)
    .bind(length(hold))
    .fetch_optional(&mut *tx)
    .await
    .map_err(|error| failed(&error))?;
    let Some(row) = row else { return Ok(None) };
    let job = rows::job(&row)?;
    if job.kind == JobKind::TakeBackup {
        sqlx::query(
            "UPDATE backup SET state = 'running', started_at = COALESCE(started_at, $2) WHERE id = $1",
        )
        .bind(job.backup.to_string())
        .bind(micros(now))
        .execute(&mut *tx)
        .await
        .map_err(|error| failed(&error))?;
    }
    tx.commit().await.map_err(|error| failed(&error))?;
    Ok(Some(job))
}

pub(super) async fn renew(
    catalog: &Store,
    lease: &Lease,
    progress: &Progress,
    now: Timestamp,
    hold: Duration,
) -> Result<bool> {
    let cancel: Option<i64> = sqlx::query_scalar(AssertSqlSafe(format!(
        "UPDATE job SET lease_until = {now} + $5, progress = $4 \
         WHERE number = $1 AND attempt = $2 AND state = 'running' RETURNING cancel_requested",
        now = now_at("$3")
    )))
    .bind(rows::signed(lease.job))
    .bind(i64::from(lease.fence))
    .bind(micros(now))
    .bind(rows::to_json(progress)?)
    .bind(length(hold))
    .fetch_optional(&catalog.writer)
    .await
    .map_err(|error| failed(&error))?;
    cancel.map(|flag| flag != 0).ok_or_else(lease_lost)
}

pub(super) async fn surrender(catalog: &Store) -> Result<u64> {
    let mut tx = catalog.write().await?;
    let done = sqlx::query(
        "UPDATE job SET deaths = deaths + 1, state = 'queued', worker = NULL, lease_until = NULL \
         WHERE state IN ('queued', 'running') AND state = 'running'",
    )
    .execute(&mut *tx)
    .await
    .map_err(|error| failed(&error))?;
    for statement in [
        "UPDATE backup SET state = 'queued' WHERE state IN ('queued', 'running') AND state = 'running'",
        // Promises made to transfers that died with the process.
        "DELETE FROM promise",
        "DELETE FROM turn",
        "DELETE FROM node",
    ] {
        sqlx::query(statement).execute(&mut *tx).await.map_err(|error| failed(&error))?;
    }
    tx.commit().await.map_err(|error| failed(&error))?;
    Ok(done.rows_affected())
}

pub(super) async fn cancel(
    catalog: &Store,
    account: &AccountId,
    number: Number,
    now: Timestamp,
) -> Result<Job> {
    let mut tx = catalog.write().await?;
    let row = sqlx::query("SELECT * FROM job WHERE account = $1 AND number = $2")
        .bind(account.as_str())
        .bind(rows::signed(number))
        .fetch_optional(&mut *tx)
        .await
        .map_err(|error| failed(&error))?
        .ok_or_else(|| not_found("job", number))?;
    let job = rows::job(&row)?;
    if job.kind == JobKind::RemoveBackup {
        return Err(conflict(format!("the job {number} removes a backup and cannot be stopped")));
    }
    // A waiting job ends here; a running one is told at its next heartbeat. A restore that has begun and waits again
    // may have left its target changed: the worker that claims it next puts that right, and then ends it.
    let ends = matches!(job.state, JobState::Queued)
        && !(matches!(job.kind, JobKind::Restore) && job.outcome.is_some());
    let row = sqlx::query(
        "UPDATE job SET cancel_requested = 1, ended_at = CASE $3 WHEN 1 THEN $2 ELSE ended_at END, \
         state = CASE $3 WHEN 1 THEN 'cancelled' ELSE state END \
         WHERE number = $1 AND state IN ('queued', 'running') RETURNING *",
    )
    .bind(rows::signed(number))
    .bind(micros(now))
    .bind(i64::from(ends))
    .fetch_optional(&mut *tx)
    .await
    .map_err(|error| failed(&error))?
    .ok_or_else(|| conflict(format!("the job {number} has ended already")))?;
    let job = rows::job(&row)?;
    if job.state == JobState::Cancelled {
        backup_copies::give_up(&mut tx, &job, &AttemptOutcome::Cancelled, None, now).await?;
    }
    if job.state == JobState::Cancelled && job.kind == JobKind::TakeBackup {
        let failure = Failure {
            code: "CANCELLED".to_owned(),
            message: "the backup was stopped before it began".to_owned(),
            hint: None,
        };
        outcomes::set_backup(&mut tx, &job, BackupState::Failed, Some(&failure), Some(now)).await?;
    }
    tx.commit().await.map_err(|error| failed(&error))?;
    Ok(job)
}

pub(super) async fn one(catalog: &Store, account: &AccountId, number: Number) -> Result<Option<Job>> {
    sqlx::query("SELECT * FROM job WHERE account = $1 AND number = $2")
        .bind(account.as_str())
        .bind(rows::signed(number))
        .fetch_optional(&catalog.reader)
        .await
        .map_err(|error| failed(&error))?
        .as_ref()
        .map(rows::job)
        .transpose()
}

pub(super) async fn mint(catalog: &Store, count: u32) -> Result<Vec<Number>> {
    let mut tx = catalog.write().await?;
    let mut numbers = Vec::new();
    for _ in 0..count {
        numbers.push(next_number(&mut tx).await?);
    }
    tx.commit().await.map_err(|error| failed(&error))?;
    Ok(numbers)
}
