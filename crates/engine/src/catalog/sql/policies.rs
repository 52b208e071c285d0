//! Policies, and the fires that they had.

use jiff::Timestamp;
use sqlx::{QueryBuilder, Transaction};

use super::{Db, Store, backups, failed, notices, rows};
use crate::catalog::{conflict, not_found};
use crate::error::Result;
use crate::model::{
    AccountId, Backup, Fire, FireOutcome, Firing, FiringKind, InstanceId, Job, KeptPolicy, Mode, NewBackup,
    Page, Planned, ProjectId, micros,
};

/// Fires that are kept of each policy.
const FIRES: i64 = 100;

pub(super) async fn one(
    catalog: &Store,
    account: &AccountId,
    instance: &InstanceId,
) -> Result<Option<KeptPolicy>> {
    sqlx::query("SELECT * FROM policy WHERE account = $1 AND instance = $2")
        .bind(account.as_str())
        .bind(instance.as_str())
        .fetch_optional(&catalog.reader)
        .await
        .map_err(|error| failed(&error))?
        .as_ref()
        .map(rows::policy)
        .transpose()
}

/// Policies, the next to fire first.
pub(super) async fn list(
    catalog: &Store,
    account: &AccountId,
    project: Option<&ProjectId>,
    page: Page,
) -> Result<Vec<KeptPolicy>> {
    let mut query: QueryBuilder<Db> = QueryBuilder::new("SELECT p.* FROM policy p");
    if project.is_some() {
        query.push(" JOIN instance i ON i.account = p.account AND i.id = p.instance");
    }
    query.push(" WHERE p.account = ").push_bind(account.as_str().to_owned());
    if let Some(project) = project {
        query.push(" AND i.project = ").push_bind(project.as_str().to_owned());
    }
    query.push(" ORDER BY CASE WHEN p.next_at IS NULL THEN 1 ELSE 0 END, p.next_at, p.instance");
    query.push(" LIMIT ").push_bind(rows::signed(page.limit));
    query.push(" OFFSET ").push_bind(rows::signed(page.offset));
    let found = query.build().fetch_all(&catalog.reader).await.map_err(|error| failed(&error))?;
    found.iter().map(rows::policy).collect()
}

/// Writes a policy over the version that its writer has seen; 0 = there was none.
pub(super) async fn set(catalog: &Store, new: &KeptPolicy, seen: u64) -> Result<KeptPolicy> {
    let query = if seen == 0 {
        "INSERT INTO policy (account, instance, version, policy, changed_at, changed_by, next_fire, next_at, \
         upkeep_at) VALUES ($1, $2, $9 + 1, $3, $4, $5, $6, $7, $8) \
         ON CONFLICT (account, instance) DO NOTHING RETURNING *"
    } else {
        "UPDATE policy SET version = version + 1, policy = $3, changed_at = $4, changed_by = $5, next_fire = $6, \
         next_at = $7, upkeep_at = $8, retry_at = NULL, tries = 0 \
         WHERE account = $1 AND instance = $2 AND version = $9 RETURNING *"
    };
    let mut tx = catalog.write().await?;
    let waits = waits_for_another_try(&mut tx, &new.account, &new.instance).await?;
    let row = sqlx::query(query)
        .bind(new.account.as_str())
        .bind(new.instance.as_str())
        .bind(rows::to_json(&new.policy)?)
        .bind(micros(new.changed_at))
        .bind(&new.changed_by)
        .bind(new.next.map(|next| micros(next.fire)))
        .bind(new.next.map(|next| micros(next.start)))
        .bind(micros(new.upkeep_at))
        .bind(rows::signed(seen))
        .fetch_optional(&mut *tx)
        .await
        .map_err(|error| {
            if error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_foreign_key_violation) {
                not_found("instance", &new.instance)
            } else {
                failed(&error)
            }
        })?;
    let row = row.ok_or_else(|| {
        conflict(format!("the policy of {} was changed meanwhile", new.instance))
            .hint(format!("look at it again: keystow policy show {}", new.instance))
    })?;
    if waits {
        notices::no_other_try(&mut tx, &new.account, &new.instance, new.changed_at).await?;
    }
    tx.commit().await.map_err(|error| failed(&error))?;
    rows::policy(&row)
}

pub(super) async fn delete(
    catalog: &Store,
    account: &AccountId,
    instance: &InstanceId,
    now: Timestamp,
) -> Result<bool> {
    let mut tx = catalog.write().await?;
    let waits = waits_for_another_try(&mut tx, account, instance).await?;
    let done = sqlx::query("DELETE FROM policy WHERE account = $1 AND instance = $2")
        .bind(account.as_str())
        .bind(instance.as_str())
        .execute(&mut *tx)
        .await
        .map_err(|error| failed(&error))?;
    if waits {
        notices::no_other_try(&mut tx, account, instance, now).await?;
    }
    tx.commit().await.map_err(|error| failed(&error))?;
    Ok(done.rows_affected() > 0)
}

/// Whether a backup failed that was to be tried again.
async fn waits_for_another_try(
    tx: &mut Transaction<'_, Db>,
    account: &AccountId,
    instance: &InstanceId,
) -> Result<bool> {
    let found: Option<i64> = sqlx::query_scalar(
        "SELECT retry_at FROM policy WHERE account = $1 AND instance = $2 AND retry_at IS NOT NULL",
    )
    .bind(account.as_str())
    .bind(instance.as_str())
    .fetch_optional(&mut **tx)
    .await
    .map_err(|error| failed(&error))?;
    Ok(found.is_some())
}

/// The policies of all accounts that have a fire or another try due, the longest due first.
pub(super) async fn due(catalog: &Store, now: Timestamp, most: u64) -> Result<Vec<KeptPolicy>> {
    // Each half by its own index.
    let found = sqlx::query(
        "SELECT * FROM policy WHERE next_at <= $1 UNION SELECT * FROM policy WHERE retry_at <= $1 \
         ORDER BY next_at, account, instance LIMIT $2",
    )
    .bind(micros(now))
    .bind(rows::signed(most))
    .fetch_all(&catalog.reader)
    .await
    .map_err(|error| failed(&error))?;
    found.iter().map(rows::policy).collect()
}

/// Writes a fire down, with the backup that it starts; all at once, and only if nobody else has. `None` = somebody has,
/// or there is nothing to write but a later start.
pub(super) async fn fire(
    catalog: &Store,
    firing: &Firing,
    now: Timestamp,
) -> Result<Option<(FireOutcome, Option<Backup>)>> {
    let mut tx = catalog.write().await?;
    if !take(&mut tx, firing).await? {
        return Ok(None);
    }
    let kept = &firing.kept;
    let (at, missed, note) = match &firing.what {
        FiringKind::Postponed(_) => {
            tx.commit().await.map_err(|error| failed(&error))?;
            return Ok(None);
        }
        FiringKind::Scheduled { at, missed, note, .. } => (*at, missed.clone(), note.clone()),
        FiringKind::Retry { missed } => {
            (now, missed.clone(), Some(format!("another try of a backup that failed {} time(s)", kept.tries)))
        }
    };
    let mut fire = Fire { at, seen_at: now, outcome: FireOutcome::Started, backup: None, note };
    if let Some(why) = missed {
        (fire.outcome, fire.note) = (FireOutcome::Missed, Some(why));
    } else if let Some(other) = under_way(&mut tx, kept).await? {
        (fire.outcome, fire.note) =
            (FireOutcome::Skipped, Some(format!("the backup {other} was still under way")));
    } else {
        fire.backup = Some(firing.backup);
    }
    let is_new = add(&mut tx, kept, &fire).await?;
    let backup = match fire.backup.filter(|_| is_new) {
        Some(id) => {
            let new = NewBackup {
                account: kept.account.clone(),
                instance: kept.instance.clone(),
                mode: Mode::Automated,
                name: None,
                remark: None,
                expires_at: None,
            };
            Some(backups::add_requested(&mut tx, id, &new, now).await?)
        }
        None => None,
    };
    if backup.is_none() && kept.retry_at.is_some() {
        notices::no_other_try(&mut tx, &kept.account, &kept.instance, now).await?;
    }
    tx.commit().await.map_err(|error| failed(&error))?;
    Ok(is_new.then_some((fire.outcome, backup)))
}

/// Moves the policy on. `false` = somebody else has, or it was changed since it was read.
async fn take(tx: &mut Transaction<'_, Db>, firing: &Firing) -> Result<bool> {
    let kept = &firing.kept;
    let moment =
        |planned: Option<Planned>, of: fn(Planned) -> Timestamp| planned.map(|next| micros(of(next)));
    let seen = match firing.what {
        FiringKind::Retry { .. } => kept.retry_at.map(micros),
        _ => moment(kept.next, |next| next.fire),
    };
    let (query, fire, start) = match &firing.what {
        FiringKind::Scheduled { next, .. } => (
            "UPDATE policy SET next_fire = $5, next_at = $6, tries = 0, retry_at = NULL \
             WHERE account = $1 AND instance = $2 AND version = $3 AND next_fire = $4",
            moment(*next, |next| next.fire),
            moment(*next, |next| next.start),
        ),
        FiringKind::Postponed(start) => (
            "UPDATE policy SET next_fire = $5, next_at = $6 \
             WHERE account = $1 AND instance = $2 AND version = $3 AND next_fire = $4",
            moment(kept.next, |next| next.fire),
            Some(micros(*start)),
        ),
        FiringKind::Retry { .. } => (
            "UPDATE policy SET retry_at = NULL, next_fire = $5, next_at = $6 \
             WHERE account = $1 AND instance = $2 AND version = $3 AND retry_at = $4",
            moment(kept.next, |next| next.fire),
            moment(kept.next, |next| next.start),
        ),
    };
    let done = sqlx::query(query)
        .bind(kept.account.as_str())
        .bind(kept.instance.as_str())
        .bind(rows::signed(kept.version))
        .bind(seen)
        .bind(fire)
        .bind(start)
        .execute(&mut **tx)
        .await
        .map_err(|error| failed(&error))?;
    Ok(done.rows_affected() == 1)
}

/// The number of a backup of the instance that is queued or running.
async fn under_way(tx: &mut Transaction<'_, Db>, kept: &KeptPolicy) -> Result<Option<i64>> {
    sqlx::query_scalar(
        "SELECT number FROM backup WHERE account = $1 AND instance = $2 AND state IN ('queued', 'running')",
    )
    .bind(kept.account.as_str())
    .bind(kept.instance.as_str())
    .fetch_optional(&mut **tx)
    .await
    .map_err(|error| failed(&error))
}

/// Adds a fire, and lets the oldest go. `false` = there was one of that moment.
async fn add(tx: &mut Transaction<'_, Db>, kept: &KeptPolicy, fire: &Fire) -> Result<bool> {
    let done = sqlx::query(
        "INSERT INTO fire (account, instance, at, seen_at, outcome, backup, note) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (account, instance, at) DO NOTHING",
    )
    .bind(kept.account.as_str())
    .bind(kept.instance.as_str())
    .bind(micros(fire.at))
    .bind(micros(fire.seen_at))
    .bind(fire.outcome.as_str())
    .bind(fire.backup.map(|id| id.to_string()))
    .bind(&fire.note)
    .execute(&mut **tx)
    .await
    .map_err(|error| failed(&error))?;
    sqlx::query(
        "DELETE FROM fire WHERE account = $1 AND instance = $2 AND at < \
         (SELECT at FROM fire WHERE account = $1 AND instance = $2 ORDER BY at DESC LIMIT 1 OFFSET $3)",
    )
    .bind(kept.account.as_str())
    .bind(kept.instance.as_str())
    .bind(FIRES - 1)
    .execute(&mut **tx)
    .await
    .map_err(|error| failed(&error))?;
    Ok(done.rows_affected() == 1)
}

/// The last fires of a policy, newest first.
pub(super) async fn fires(
    catalog: &Store,
    account: &AccountId,
    instance: &InstanceId,
    most: u64,
) -> Result<Vec<Fire>> {
    let found =
        sqlx::query("SELECT * FROM fire WHERE account = $1 AND instance = $2 ORDER BY at DESC LIMIT $3")
            .bind(account.as_str())
            .bind(instance.as_str())
            .bind(rows::signed(most))
            .fetch_all(&catalog.reader)
            .await
            .map_err(|error| failed(&error))?;
    found.iter().map(rows::fire).collect()
}

/// What the end of an automated backup means for its policy: a good one lets its instance be looked through, a failed
/// one is tried again 1, 5 and 15 minutes later, unless the next fire comes before that. `true` = it is.
pub(super) async fn learn(
    tx: &mut Transaction<'_, Db>,
    job: &Job,
    good: bool,
    now: Timestamp,
) -> Result<bool> {
    let query = if good {
        "UPDATE policy SET tries = 0, retry_at = NULL, upkeep_at = $3 WHERE account = $1 AND instance = $2 \
         AND EXISTS (SELECT 1 FROM backup WHERE id = $4 AND mode = 'automated') \
         RETURNING CAST(0 AS BIGINT)"
    } else {
        "UPDATE policy SET tries = tries + 1, retry_at = CASE \
         WHEN $3 + CASE tries WHEN 0 THEN 60000000 WHEN 1 THEN 300000000 ELSE 900000000 END < next_at \
         THEN $3 + CASE tries WHEN 0 THEN 60000000 WHEN 1 THEN 300000000 ELSE 900000000 END END \
         WHERE account = $1 AND instance = $2 AND tries < 3 AND next_at IS NOT NULL \
         AND EXISTS (SELECT 1 FROM backup WHERE id = $4 AND mode = 'automated') \
         RETURNING CAST(CASE WHEN retry_at IS NULL THEN 0 ELSE 1 END AS BIGINT)"
    };
    let again: Option<i64> = sqlx::query_scalar(query)
        .bind(job.account.as_str())
        .bind(job.instance.as_str())
        .bind(micros(now))
        .bind(job.backup.to_string())
        .fetch_optional(&mut **tx)
        .await
        .map_err(|error| failed(&error))?;
    Ok(again == Some(1))
}

/// The policies of all accounts whose backups are to be looked through.
pub(super) async fn due_upkeep(catalog: &Store, now: Timestamp, most: u64) -> Result<Vec<KeptPolicy>> {
    let found = sqlx::query("SELECT * FROM policy WHERE upkeep_at <= $1 ORDER BY upkeep_at LIMIT $2")
        .bind(micros(now))
        .bind(rows::signed(most))
        .fetch_all(&catalog.reader)
        .await
        .map_err(|error| failed(&error))?;
    found.iter().map(rows::policy).collect()
}

/// Sets when that is done next. `false` = somebody else has.
pub(super) async fn begin_upkeep(catalog: &Store, kept: &KeptPolicy, next: Timestamp) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE policy SET upkeep_at = $4 WHERE account = $1 AND instance = $2 AND upkeep_at = $3",
    )
    .bind(kept.account.as_str())
    .bind(kept.instance.as_str())
    .bind(micros(kept.upkeep_at))
    .bind(micros(next))
    .execute(&catalog.writer)
    .await
    .map_err(|error| failed(&error))?;
    Ok(done.rows_affected() == 1)
}

/// A drill was asked for by a policy.
pub(super) async fn note_drill(
    catalog: &Store,
    account: &AccountId,
    instance: &InstanceId,
    now: Timestamp,
) -> Result<()> {
    sqlx::query("UPDATE policy SET drilled_at = $3 WHERE account = $1 AND instance = $2")
        .bind(account.as_str())
        .bind(instance.as_str())
        .bind(micros(now))
        .execute(&catalog.writer)
        .await
        .map_err(|error| failed(&error))?;
    Ok(())
}

/// Instances with backups whose own expiry has passed.
pub(super) async fn with_expired(catalog: &Store, now: Timestamp) -> Result<Vec<(AccountId, InstanceId)>> {
    let found = sqlx::query(
        "SELECT DISTINCT account, instance FROM backup WHERE expires_at IS NOT NULL AND state <> 'expired' \
         AND expires_at <= $1 AND protected = 0 AND state NOT IN ('queued', 'running') \
         ORDER BY account, instance",
    )
    .bind(micros(now))
    .fetch_all(&catalog.reader)
    .await
    .map_err(|error| failed(&error))?;
    found.iter().map(rows::place_of).collect()
}
