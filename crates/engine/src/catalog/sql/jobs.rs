//! Jobs: claims, leases, and the writes that only the newest claim may make.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::{AssertSqlSafe, Transaction};

use super::{Db, Store, failed, length, next_number, now_at, policies, rows};
use crate::catalog::{AttemptOutcome, SealedBackup, conflict, lease_lost, not_found};
use crate::error::Result;
use crate::model::{
    AccountId, BackupState, Failure, Job, JobKind, JobState, Lease, NewJob, Number, Outcome, Part, Progress,
    ScrubOutcome, SealedPart, micros,
};

/// The job that has been due longest at `$1`. `SQLite` takes the index of unfinished jobs, and looks at no other, only
/// where that index's own condition stands by itself.
pub(in super::super) fn longest_due() -> String {
    let now = now_at("$1");
    format!(
        "SELECT number FROM job WHERE state IN ('queued', 'running') \
         AND CASE state WHEN 'queued' THEN not_before <= {now} ELSE lease_until < {now} END \
         ORDER BY not_before, number LIMIT 1"
    )
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
        conflict(format!("the job {} changes that target already", first.number))
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
        .fetch_optional(&catalog.reader)
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
        "UPDATE link SET reserved_bytes = 0 WHERE reserved_bytes > 0",
        "DELETE FROM turn",
        "DELETE FROM node",
    ] {
        sqlx::query(statement).execute(&mut *tx).await.map_err(|error| failed(&error))?;
    }
    tx.commit().await.map_err(|error| failed(&error))?;
    Ok(done.rows_affected())
}

/// Ends a job in one of its last states, or in `queued`, if the lease still holds.
async fn end(
    tx: &mut Transaction<'_, Db>,
    lease: &Lease,
    state: &'static str,
    failure: Option<&Failure>,
    now: Timestamp,
) -> Result<Job> {
    let ended = (state != "queued").then(|| micros(now));
    let row = sqlx::query(
        "UPDATE job SET state = $3, lease_until = NULL, worker = NULL, ended_at = $4, failure = $5 \
         WHERE number = $1 AND attempt = $2 AND state = 'running' RETURNING *",
    )
    .bind(rows::signed(lease.job))
    .bind(i64::from(lease.fence))
    .bind(state)
    .bind(ended)
    .bind(failure.map(rows::to_json).transpose()?)
    .fetch_optional(&mut **tx)
    .await
    .map_err(|error| failed(&error))?
    .ok_or_else(lease_lost)?;
    rows::job(&row)
}

async fn set_backup(
    tx: &mut Transaction<'_, Db>,
    job: &Job,
    state: BackupState,
    failure: Option<&Failure>,
    ended: Option<Timestamp>,
) -> Result<()> {
    sqlx::query("UPDATE backup SET state = $2, failure = $3, ended_at = $4 WHERE id = $1")
        .bind(job.backup.to_string())
        .bind(state.as_str())
        .bind(failure.map(rows::to_json).transpose()?)
        .bind(ended.map(micros))
        .execute(&mut **tx)
        .await
        .map_err(|error| failed(&error))?;
    Ok(())
}

pub(super) async fn seal(
    catalog: &Store,
    lease: &Lease,
    sealed: &SealedBackup,
    now: Timestamp,
) -> Result<()> {
    let part = |(number, sealed): &(Number, SealedPart)| Part { number: *number, sealed: sealed.clone() };
    let mut parts: Vec<Part> = sealed.parts.iter().map(part).collect();
    parts.sort_by_key(|part| part.sealed.shard);
    let mut tx = catalog.write().await?;
    let job = end(&mut tx, lease, "done", sealed.failure.as_ref(), now).await?;
    set_backup(&mut tx, &job, sealed.state, sealed.failure.as_ref(), Some(now)).await?;
    sqlx::query(
        "UPDATE backup SET attempt = $2, server = $3, parts = $4, method = $5, origin = $6 WHERE id = $1",
    )
    .bind(job.backup.to_string())
    .bind(i64::from(lease.fence))
    .bind(sealed.server.as_ref().map(rows::to_json).transpose()?)
    .bind(rows::to_json(&parts)?)
    .bind(sealed.method.as_str())
    .bind(sealed.origin.as_ref().map(rows::to_json).transpose()?)
    .execute(&mut *tx)
    .await
    .map_err(|error| failed(&error))?;
    for part in &parts {
        sqlx::query("INSERT INTO part (number, backup, shard, size) VALUES ($1, $2, $3, $4)")
            .bind(rows::signed(part.number))
            .bind(job.backup.to_string())
            .bind(i64::from(part.sealed.shard))
            .bind(rows::signed(part.sealed.size_bytes))
            .execute(&mut *tx)
            .await
            .map_err(|error| failed(&error))?;
    }
    policies::learn(&mut tx, &job, true, now).await?;
    tx.commit().await.map_err(|error| failed(&error))
}

pub(super) async fn fail(
    catalog: &Store,
    lease: &Lease,
    outcome: &AttemptOutcome,
    now: Timestamp,
) -> Result<()> {
    let cancelled =
        Failure { code: "CANCELLED".to_owned(), message: "stopped on request".to_owned(), hint: None };
    let mut tx = catalog.write().await?;
    let (state, failure, backup) = match outcome {
        AttemptOutcome::Failed(failure) => ("failed", Some(failure), BackupState::Failed),
        AttemptOutcome::Cancelled => ("cancelled", Some(&cancelled), BackupState::Failed),
        AttemptOutcome::HandedBack => ("queued", None, BackupState::Queued),
    };
    let job = end(&mut tx, lease, state, failure, now).await?;
    if job.kind == JobKind::TakeBackup {
        let ended = (backup == BackupState::Failed).then_some(now);
        set_backup(&mut tx, &job, backup, failure, ended).await?;
        if matches!(outcome, AttemptOutcome::Failed(_)) {
            policies::learn(&mut tx, &job, false, now).await?;
        }
    }
    tx.commit().await.map_err(|error| failed(&error))
}

/// Keeps what a job did, so far; a drill's and a scrub's are also shown with its backup.
pub(super) async fn record(catalog: &Store, lease: &Lease, outcome: &Outcome) -> Result<()> {
    let mut tx = catalog.write().await?;
    let row = sqlx::query(
        "UPDATE job SET outcome = $3 WHERE number = $1 AND attempt = $2 AND state = 'running' RETURNING *",
    )
    .bind(rows::signed(lease.job))
    .bind(i64::from(lease.fence))
    .bind(rows::to_json(outcome)?)
    .fetch_optional(&mut *tx)
    .await
    .map_err(|error| failed(&error))?
    .ok_or_else(lease_lost)?;
    if let Outcome::Drill(drill) = outcome {
        sqlx::query("UPDATE backup SET last_drill = $2 WHERE id = $1")
            .bind(rows::job(&row)?.backup.to_string())
            .bind(rows::to_json(drill)?)
            .execute(&mut *tx)
            .await
            .map_err(|error| failed(&error))?;
    }
    if let Outcome::Scrub(scrub) = outcome {
        record_scrub(&mut tx, &rows::job(&row)?, scrub).await?;
    }
    tx.commit().await.map_err(|error| failed(&error))
}

/// A broken backup is `damaged` from now on; one that is found whole again is what it was before.
async fn record_scrub(tx: &mut Transaction<'_, Db>, job: &Job, scrub: &ScrubOutcome) -> Result<()> {
    sqlx::query("UPDATE backup SET last_scrub = $2 WHERE id = $1")
        .bind(job.backup.to_string())
        .bind(rows::to_json(scrub)?)
        .execute(&mut **tx)
        .await
        .map_err(|error| failed(&error))?;
    let (query, state, failure) = if scrub.ok {
        let Some(before) = &scrub.before else { return Ok(()) };
        let query = "UPDATE backup SET state = $2, failure = $3 WHERE id = $1 AND state = 'damaged'";
        (query, before.state, before.failure.as_ref())
    } else {
        let query = "UPDATE backup SET state = $2, failure = $3 WHERE id = $1 \
                     AND state IN ('available', 'partial', 'quarantined', 'damaged')";
        (query, BackupState::Damaged, scrub.failure.as_ref())
    };
    sqlx::query(query)
        .bind(job.backup.to_string())
        .bind(state.as_str())
        .bind(failure.map(rows::to_json).transpose()?)
        .execute(&mut **tx)
        .await
        .map_err(|error| failed(&error))?;
    Ok(())
}

pub(super) async fn finish(catalog: &Store, lease: &Lease, now: Timestamp) -> Result<()> {
    let mut tx = catalog.write().await?;
    end(&mut tx, lease, "done", None, now).await?;
    tx.commit().await.map_err(|error| failed(&error))
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
    if job.state == JobState::Cancelled && job.kind == JobKind::TakeBackup {
        let failure = Failure {
            code: "CANCELLED".to_owned(),
            message: "the backup was stopped before it began".to_owned(),
            hint: None,
        };
        set_backup(&mut tx, &job, BackupState::Failed, Some(&failure), Some(now)).await?;
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
