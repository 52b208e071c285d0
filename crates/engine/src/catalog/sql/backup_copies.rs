//! Copies of backups in other repositories: how they stand, and the jobs that make them.

use jiff::Timestamp;
use sqlx::{AssertSqlSafe, QueryBuilder, Transaction};

use super::{Db, Store, failed, jobs, next_number, outcomes, rows};
use crate::catalog::{AttemptOutcome, SealedCopy, conflict, lease_lost, not_found};
use crate::error::Result;
use crate::model::{
    AccountId, BackupCopy, BackupId, BackupState, CopyOrder, CopyState, Failure, InstanceId, Job, JobKind,
    Lease, NewCopy, NewJob, Order, Policy, ProjectId, ScrubOutcome, micros,
};

/// States of backups whose objects belong in the repository, as SQL.
const KEEPS_OBJECTS: &str = "state IN ('available', 'partial', 'quarantined', 'damaged')";

/// Asks for the copies that the policy of a backup's instance wants, now that the backup is available.
pub(super) async fn ask_by_policy(
    tx: &mut Transaction<'_, Db>,
    job: &Job,
    state: BackupState,
    now: Timestamp,
) -> Result<()> {
    if state != BackupState::Available {
        return Ok(());
    }
    let policy: Option<String> =
        sqlx::query_scalar("SELECT policy FROM policy WHERE account = $1 AND instance = $2")
            .bind(job.account.as_str())
            .bind(job.instance.as_str())
            .fetch_optional(&mut **tx)
            .await
            .map_err(|error| failed(&error))?;
    let Some(policy) = policy else { return Ok(()) };
    let policy: Policy = serde_json::from_str(&policy).map_err(|error| rows::damaged("policy", error))?;
    for repository in policy.copies {
        let new = NewCopy {
            account: job.account.clone(),
            backup: job.backup,
            instance: job.instance.clone(),
            repository,
        };
        ask(tx, &new, now).await?;
    }
    Ok(())
}

/// Adds a copy and the job that makes it. `None` if there is one already, or is about to be.
async fn ask(tx: &mut Transaction<'_, Db>, new: &NewCopy, now: Timestamp) -> Result<Option<Job>> {
    let number = next_number(tx).await?;
    let done = sqlx::query(
        "INSERT INTO backup_copy (backup, repository, account, state, job, asked_at) \
         VALUES ($1, $2, $3, 'queued', $4, $5) ON CONFLICT (backup, repository) DO UPDATE \
         SET state = 'queued', job = $4, asked_at = $5, retry_at = NULL \
         WHERE backup_copy.state IN ('failed', 'damaged')",
    )
    .bind(new.backup.to_string())
    .bind(&new.repository)
    .bind(new.account.as_str())
    .bind(rows::signed(number))
    .bind(micros(now))
    .execute(&mut **tx)
    .await
    .map_err(|error| failed(&error))?;
    if done.rows_affected() == 0 {
        return Ok(None);
    }
    let wanted = NewJob {
        account: new.account.clone(),
        backup: new.backup,
        instance: new.instance.clone(),
        kind: JobKind::Copy,
        order: Some(Order::Copy(CopyOrder { to: new.repository.clone() })),
        target: Some(format!("copy:{}:{}", new.backup, new.repository)),
    };
    jobs::add(tx, number, &wanted, now).await.map(Some)
}

/// Asks for a copy of a backup that is whole.
pub(super) async fn request(catalog: &Store, new: &NewCopy, now: Timestamp) -> Result<Job> {
    let mut tx = catalog.write().await?;
    sqlx::query(
        "SELECT 1 FROM backup WHERE account = $1 AND id = $2 AND state IN ('available', 'partial', 'quarantined')",
    )
    .bind(new.account.as_str())
    .bind(new.backup.to_string())
    .fetch_optional(&mut *tx)
    .await
    .map_err(|error| failed(&error))?
    .ok_or_else(|| not_found("backup that can be copied", new.backup))?;
    let job = ask(&mut tx, new, now).await?.ok_or_else(|| {
        conflict(format!(
            "the backup {} has a copy in {} already, or is being copied",
            new.backup, new.repository
        ))
        .hint(format!("see it with: keystow backup show {}", new.backup))
    })?;
    tx.commit().await.map_err(|error| failed(&error))?;
    Ok(job)
}

/// Begins an attempt at a copy. Returns its number.
pub(super) async fn begin(catalog: &Store, lease: &Lease, repository: &str) -> Result<u32> {
    let tried: Option<i64> = sqlx::query_scalar(
        "UPDATE backup_copy SET state = 'running', tried = tried + 1 WHERE repository = $3 AND job = $1 \
         AND backup = (SELECT backup FROM job WHERE number = $1 AND attempt = $2 AND state = 'running') \
         RETURNING tried",
    )
    .bind(rows::signed(lease.job))
    .bind(i64::from(lease.fence))
    .bind(repository)
    .fetch_optional(&catalog.writer)
    .await
    .map_err(|error| failed(&error))?;
    let tried = tried.ok_or_else(lease_lost)?;
    tried.try_into().map_err(|error| rows::damaged("tried", error))
}

/// The copy is whole; the job is done.
pub(super) async fn seal(catalog: &Store, lease: &Lease, sealed: &SealedCopy, now: Timestamp) -> Result<()> {
    let mut tx = catalog.write().await?;
    let job = outcomes::end(&mut tx, lease, "done", None, now).await?;
    let done = sqlx::query(AssertSqlSafe(format!(
        "UPDATE backup_copy SET state = 'available', attempt = $3, bytes = $4, stored_at = $5, verified_at = $5, \
         failures = 0, retry_at = NULL, failure = NULL WHERE backup = $1 AND repository = $2 AND job = $6 \
         AND EXISTS (SELECT 1 FROM backup WHERE id = $1 AND {KEEPS_OBJECTS})"
    )))
    .bind(job.backup.to_string())
    .bind(&sealed.repository)
    .bind(i64::from(sealed.attempt))
    .bind(rows::signed(sealed.bytes))
    .bind(micros(now))
    .bind(rows::signed(lease.job))
    .execute(&mut *tx)
    .await
    .map_err(|error| failed(&error))?;
    if done.rows_affected() == 0 {
        return Err(conflict(format!("the backup {} was removed while it was copied", job.backup)));
    }
    hasten_in(&mut tx, &sealed.repository, now).await?;
    tx.commit().await.map_err(|error| failed(&error))
}

/// Copies that failed because their repository did not answer are due now: it does.
pub(super) async fn hasten(catalog: &Store, repository: &str, now: Timestamp) -> Result<()> {
    let mut tx = catalog.write().await?;
    hasten_in(&mut tx, repository, now).await?;
    tx.commit().await.map_err(|error| failed(&error))
}

async fn hasten_in(tx: &mut Transaction<'_, Db>, repository: &str, now: Timestamp) -> Result<()> {
    sqlx::query(
        "UPDATE backup_copy SET retry_at = $2 WHERE repository = $1 AND state <> 'available' AND state = 'failed' \
         AND retry_at > $2 AND failure LIKE '%\"REPOSITORY_UNREACHABLE\"%'",
    )
    .bind(repository)
    .bind(micros(now))
    .execute(&mut **tx)
    .await
    .map_err(|error| failed(&error))?;
    Ok(())
}

/// An attempt at a copy has made none. What failed is tried again 1, 5, 15 and then every 60 minutes later; what somebody
/// stopped is not. `true` = it had failed before already.
pub(super) async fn give_up(
    tx: &mut Transaction<'_, Db>,
    job: &Job,
    outcome: &AttemptOutcome,
    failure: Option<&Failure>,
    now: Timestamp,
) -> Result<bool> {
    if job.kind != JobKind::Copy {
        return Ok(false);
    }
    let (state, is_failure) = match outcome {
        AttemptOutcome::HandedBack => (CopyState::Queued, 0_i64),
        AttemptOutcome::Cancelled => (CopyState::Failed, 0),
        AttemptOutcome::Failed(_) => (CopyState::Failed, 1),
    };
    let stopped =
        || Failure { code: "CANCELLED".to_owned(), message: "stopped on request".to_owned(), hint: None };
    let failure = failure.cloned().or_else(|| matches!(outcome, AttemptOutcome::Cancelled).then(stopped));
    let failures: Option<i64> = sqlx::query_scalar(
        "UPDATE backup_copy SET state = $3, failure = COALESCE($4, failure), failures = failures + $5, \
         retry_at = CASE WHEN $5 = 0 THEN NULL ELSE $6 + CASE failures WHEN 0 THEN 60000000 \
         WHEN 1 THEN 300000000 WHEN 2 THEN 900000000 ELSE 3600000000 END END \
         WHERE backup = $1 AND job = $2 RETURNING failures",
    )
    .bind(job.backup.to_string())
    .bind(rows::signed(job.number))
    .bind(state.as_str())
    .bind(failure.as_ref().map(rows::to_json).transpose()?)
    .bind(is_failure)
    .bind(micros(now))
    .fetch_optional(&mut **tx)
    .await
    .map_err(|error| failed(&error))?;
    Ok(failures.is_some_and(|failures| failures > 1))
}

/// The copies of a backup, by repository.
pub(super) async fn of_backup(catalog: &Store, backup: BackupId) -> Result<Vec<BackupCopy>> {
    let found = sqlx::query("SELECT * FROM backup_copy WHERE backup = $1 ORDER BY repository")
        .bind(backup.to_string())
        .fetch_all(&catalog.reader)
        .await
        .map_err(|error| failed(&error))?;
    found.iter().map(rows::copy).collect()
}

/// The copies of all backups of an instance.
pub(super) async fn of_instance(
    catalog: &Store,
    account: &AccountId,
    instance: &InstanceId,
) -> Result<Vec<BackupCopy>> {
    let found = sqlx::query(
        "SELECT c.* FROM backup b JOIN backup_copy c ON c.backup = b.id WHERE b.account = $1 AND b.instance = $2",
    )
    .bind(account.as_str())
    .bind(instance.as_str())
    .fetch_all(&catalog.reader)
    .await
    .map_err(|error| failed(&error))?;
    found.iter().map(rows::copy).collect()
}

/// Copies in these repositories that are to be tried again, the longest due first.
pub(super) async fn due(
    catalog: &Store,
    repositories: &[String],
    now: Timestamp,
    most: u64,
) -> Result<Vec<NewCopy>> {
    if repositories.is_empty() {
        return Ok(Vec::new());
    }
    let mut query = QueryBuilder::<Db>::new(
        "SELECT c.account, c.backup, c.repository, b.instance FROM backup_copy c JOIN backup b ON b.id = c.backup \
         WHERE c.state <> 'available' AND c.state IN ('failed', 'damaged') \
         AND b.state IN ('available', 'partial', 'quarantined') AND c.retry_at <= ",
    );
    query.push_bind(micros(now)).push(" AND c.repository IN (");
    let mut names = query.separated(", ");
    for name in repositories {
        names.push_bind(name.clone());
    }
    query.push(") ORDER BY c.retry_at LIMIT ").push_bind(rows::signed(most));
    let found = query.build().fetch_all(&catalog.reader).await.map_err(|error| failed(&error))?;
    found.iter().map(rows::new_copy).collect()
}

/// What reading a whole copy again has found; `None` = every byte is there.
pub(super) async fn judge(
    catalog: &Store,
    copy: &BackupCopy,
    failure: Option<&Failure>,
    now: Timestamp,
) -> Result<()> {
    let query = if failure.is_some() {
        "UPDATE backup_copy SET state = 'damaged', failure = $4, retry_at = $5 \
         WHERE backup = $1 AND repository = $2 AND attempt = $3 AND state IN ('available', 'damaged')"
    } else {
        "UPDATE backup_copy SET state = 'available', failure = $4, retry_at = NULL, verified_at = $5 \
         WHERE backup = $1 AND repository = $2 AND attempt = $3 AND state IN ('available', 'damaged')"
    };
    sqlx::query(query)
        .bind(copy.backup.to_string())
        .bind(&copy.repository)
        .bind(i64::from(copy.attempt))
        .bind(failure.map(rows::to_json).transpose()?)
        .bind(micros(now))
        .execute(&catalog.writer)
        .await
        .map_err(|error| failed(&error))?;
    Ok(())
}

/// Takes in a copy that was found in its repository, unless there is a row of it.
pub(super) async fn adopt(catalog: &Store, copy: &BackupCopy) -> Result<()> {
    sqlx::query(
        "INSERT INTO backup_copy (backup, repository, account, state, job, tried, attempt, bytes, asked_at, stored_at) \
         VALUES ($1, $2, $3, $4, 0, $5, $6, $7, $8, $9) ON CONFLICT (backup, repository) DO NOTHING",
    )
    .bind(copy.backup.to_string())
    .bind(&copy.repository)
    .bind(copy.account.as_str())
    .bind(copy.state.as_str())
    .bind(i64::from(copy.tried))
    .bind(i64::from(copy.attempt))
    .bind(rows::signed(copy.bytes))
    .bind(micros(copy.asked_at))
    .bind(copy.stored_at.map(micros))
    .execute(&catalog.writer)
    .await
    .map_err(|error| failed(&error))?;
    Ok(())
}

/// A copy is gone.
pub(super) async fn forget(catalog: &Store, backup: BackupId, repository: &str) -> Result<()> {
    sqlx::query("DELETE FROM backup_copy WHERE backup = $1 AND repository = $2")
        .bind(backup.to_string())
        .bind(repository)
        .execute(&catalog.writer)
        .await
        .map_err(|error| failed(&error))?;
    Ok(())
}

/// A damaged backup is whole again, as that attempt; the job is done.
pub(super) async fn seal_repair(
    catalog: &Store,
    lease: &Lease,
    attempt: u32,
    found: &ScrubOutcome,
    now: Timestamp,
) -> Result<()> {
    let mut tx = catalog.write().await?;
    let job = outcomes::end(&mut tx, lease, "done", None, now).await?;
    let done = sqlx::query(AssertSqlSafe(format!(
        "UPDATE backup SET attempt = $2 WHERE id = $1 AND {KEEPS_OBJECTS} AND attempt < $2"
    )))
    .bind(job.backup.to_string())
    .bind(i64::from(attempt))
    .execute(&mut *tx)
    .await
    .map_err(|error| failed(&error))?;
    if done.rows_affected() == 0 {
        return Err(conflict(format!("the backup {} was removed while it was repaired", job.backup)));
    }
    outcomes::record_scrub(&mut tx, &job, found).await?;
    tx.commit().await.map_err(|error| failed(&error))
}

/// Whether a job of that kind is at work on a backup, or waits to be.
pub(super) async fn is_at_work(catalog: &Store, backup: BackupId, kind: JobKind) -> Result<bool> {
    let jobs: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM job WHERE backup = $1 AND kind = $2 AND state IN ('queued', 'running')",
    )
    .bind(backup.to_string())
    .bind(kind.as_str())
    .fetch_one(&catalog.reader)
    .await
    .map_err(|error| failed(&error))?;
    Ok(jobs > 0)
}

/// Copies that are not available, of backups that are to have them: repository, state, how many.
pub(super) async fn counts(
    catalog: &Store,
    account: Option<&AccountId>,
    project: Option<&ProjectId>,
) -> Result<Vec<(String, String, u64)>> {
    let mut query = QueryBuilder::<Db>::new(
        "SELECT c.repository, c.state, COUNT(*) AS copies FROM backup_copy c JOIN backup b ON b.id = c.backup \
         WHERE c.state <> 'available' AND b.state <> 'expired'",
    );
    if let Some(account) = account {
        query.push(" AND c.account = ").push_bind(account.as_str().to_owned());
    }
    if let Some(project) = project {
        query.push(" AND b.project = ").push_bind(project.as_str().to_owned());
    }
    query.push(" GROUP BY c.repository, c.state ORDER BY c.repository, c.state");
    let found = query.build().fetch_all(&catalog.reader).await.map_err(|error| failed(&error))?;
    found.iter().map(rows::copy_count).collect()
}
