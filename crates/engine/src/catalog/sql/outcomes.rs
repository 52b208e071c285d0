//! How jobs end, and what that makes of their backups. Only the newest claim may say so.

use jiff::Timestamp;
use sqlx::Transaction;

use super::{Db, Store, backup_copies, failed, notices, policies, rows};
use crate::catalog::{AttemptOutcome, SealedBackup, lease_lost};
use crate::error::Result;
use crate::model::{
    BackupState, Failure, Job, JobKind, Lease, Number, Outcome, Part, ScrubOutcome, SealedPart, micros,
};

/// Ends the job that took a backup, and makes the backup what it is found to be, with its parts.
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
    backup_copies::ask_by_policy(&mut tx, &job, sealed.state, now).await?;
    notices::sealed(&mut tx, &job, sealed, now).await?;
    tx.commit().await.map_err(|error| failed(&error))
}

/// Ends a job that did not succeed, or gives it back; a backup that was being taken goes with it.
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
    let mut again = backup_copies::give_up(&mut tx, &job, outcome, failure, now).await?;
    if job.kind == JobKind::TakeBackup {
        let ended = (backup == BackupState::Failed).then_some(now);
        set_backup(&mut tx, &job, backup, failure, ended).await?;
    }
    if let AttemptOutcome::Failed(why) = outcome {
        again |= job.kind == JobKind::TakeBackup && policies::learn(&mut tx, &job, false, now).await?;
        notices::failed_job(&mut tx, &job, why, again, now).await?;
    }
    tx.commit().await.map_err(|error| failed(&error))
}

pub(super) async fn finish(catalog: &Store, lease: &Lease, now: Timestamp) -> Result<()> {
    let mut tx = catalog.write().await?;
    end(&mut tx, lease, "done", None, now).await?;
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
pub(super) async fn record_scrub(
    tx: &mut Transaction<'_, Db>,
    job: &Job,
    scrub: &ScrubOutcome,
) -> Result<()> {
    notices::scrubbed(tx, job, scrub).await?;
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

/// Ends a job in one of its last states, or in `queued`, if the lease still holds.
pub(super) async fn end(
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

/// Moves the backup of a job to another state.
pub(super) async fn set_backup(
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
