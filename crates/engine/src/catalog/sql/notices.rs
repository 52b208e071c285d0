//! What is told, written down in the transaction that makes it true, so that nothing is lost in silence.

use jiff::Timestamp;
use sqlx::{AssertSqlSafe, Transaction};

use super::{Db, Store, failed, now_at, rows};
use crate::catalog::SealedBackup;
use crate::catalog::webhooks::MOST_PENDING;
use crate::error::Result;
use crate::model::{
    AccountId, Backup, BackupState, DeliveryState, Failure, InstanceId, Job, JobKind, Notice, NoticeKind,
    ScrubOutcome, WatchedInstance, WebhookDelivery, micros,
};

/// Writes a notice down for every webhook of its account that wants it.
async fn tell(tx: &mut Transaction<'_, Db>, notice: &Notice, now: Timestamp) -> Result<()> {
    let found = sqlx::query(
        "SELECT * FROM webhook WHERE account = $1 AND paused = 0 AND (project IS NULL OR project = $2) \
         AND (instance IS NULL OR instance = $3) ORDER BY id",
    )
    .bind(notice.account.as_str())
    .bind(notice.project.as_ref().map(|id| id.as_str().to_owned()))
    .bind(notice.instance.as_ref().map(|instance| instance.id.as_str().to_owned()))
    .fetch_all(&mut **tx)
    .await
    .map_err(|error| failed(&error))?;
    for row in &found {
        let webhook = rows::webhook(row)?;
        if !webhook.wants(notice.kind) {
            continue;
        }
        let mut delivery = WebhookDelivery {
            webhook: webhook.id,
            notice: notice.clone(),
            created_at: now,
            due_at: now,
            tries: 0,
            state: DeliveryState::Pending,
            status: None,
            error: None,
            ended_at: None,
        };
        if is_full(tx, &delivery.webhook).await? {
            delivery.state = DeliveryState::GivenUp;
            delivery.error = Some(format!("not sent: {MOST_PENDING} others waited already"));
            delivery.ended_at = Some(now);
        }
        insert(tx, &delivery, &webhook.account).await?;
    }
    Ok(())
}

/// Whether so much waits for a webhook that more would only fill the catalog.
async fn is_full(tx: &mut Transaction<'_, Db>, webhook: &str) -> Result<bool> {
    let waiting: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM (SELECT 1 FROM webhook_delivery WHERE webhook = $1 AND state = 'pending' \
         LIMIT $2) AS waiting",
    )
    .bind(webhook)
    .bind(MOST_PENDING)
    .fetch_one(&mut **tx)
    .await
    .map_err(|error| failed(&error))?;
    Ok(waiting >= MOST_PENDING)
}

/// Adds one delivery as it is. What is pending is due by the database's clock.
pub(super) async fn insert(
    tx: &mut Transaction<'_, Db>,
    delivery: &WebhookDelivery,
    account: &AccountId,
) -> Result<()> {
    sqlx::query(AssertSqlSafe(format!(
        "INSERT INTO webhook_delivery (id, webhook, account, notice, created_at, due_at, tries, state, status, \
         error, ended_at) VALUES ($1, $2, $3, $4, $5, {now}, $6, $7, $8, $9, $10)",
        now = now_at("$5")
    )))
    .bind(delivery.notice.id.to_string())
    .bind(&delivery.webhook)
    .bind(account.as_str())
    .bind(rows::to_json(&delivery.notice)?)
    .bind(micros(delivery.created_at))
    .bind(i64::from(delivery.tries))
    .bind(delivery.state.as_str())
    .bind(delivery.status.map(i64::from))
    .bind(&delivery.error)
    .bind(delivery.ended_at.map(micros))
    .execute(&mut **tx)
    .await
    .map_err(|error| failed(&error))?;
    Ok(())
}

/// The backup of a job.
async fn backup_of(tx: &mut Transaction<'_, Db>, job: &Job) -> Result<Option<Backup>> {
    sqlx::query("SELECT * FROM backup WHERE id = $1")
        .bind(job.backup.to_string())
        .fetch_optional(&mut **tx)
        .await
        .map_err(|error| failed(&error))?
        .as_ref()
        .map(rows::backup)
        .transpose()
}

/// A backup was sealed: what there is to say of it, and that its instance has a good one again.
pub(super) async fn sealed(
    tx: &mut Transaction<'_, Db>,
    job: &Job,
    sealed: &SealedBackup,
    now: Timestamp,
) -> Result<()> {
    let (kind, what) = match sealed.state {
        BackupState::Partial => (NoticeKind::BackupPartial, sealed.failure.as_ref()),
        BackupState::Quarantined => (NoticeKind::BackupQuarantined, sealed.failure.as_ref()),
        _ => (NoticeKind::BackupTooSmall, sealed.small.as_ref()),
    };
    let recovered = sealed.state == BackupState::Available && is_no_longer_too_old(tx, job).await?;
    if what.is_none() && !recovered {
        return Ok(());
    }
    let Some(backup) = backup_of(tx, job).await? else { return Ok(()) };
    if let Some(what) = what {
        tell(tx, &Notice::of_backup(kind, &backup, what.clone(), now), now).await?;
    }
    if recovered {
        let what = Failure {
            code: "RECOVERED".to_owned(),
            message: format!("{} has a good backup again", backup.instance),
            hint: None,
        };
        tell(tx, &Notice::of_backup(NoticeKind::InstanceRecovered, &backup, what, now), now).await?;
    }
    Ok(())
}

/// `true` if it was told of the job's instance that its last good backup is too old; from now on it was not.
async fn is_no_longer_too_old(tx: &mut Transaction<'_, Db>, job: &Job) -> Result<bool> {
    let done = sqlx::query("DELETE FROM too_old WHERE account = $1 AND instance = $2")
        .bind(job.account.as_str())
        .bind(job.instance.as_str())
        .execute(&mut **tx)
        .await
        .map_err(|error| failed(&error))?;
    Ok(done.rows_affected() > 0)
}

/// A job failed for good; `again`: its policy takes another backup soon, whose end says more.
pub(super) async fn failed_job(
    tx: &mut Transaction<'_, Db>,
    job: &Job,
    why: &Failure,
    again: bool,
    now: Timestamp,
) -> Result<()> {
    let kind = match job.kind {
        JobKind::TakeBackup if !again => NoticeKind::BackupFailed,
        JobKind::Drill => NoticeKind::DrillFailed,
        JobKind::Copy if !again => NoticeKind::CopyFailed,
        _ => return Ok(()),
    };
    let Some(backup) = backup_of(tx, job).await? else { return Ok(()) };
    // Nobody misses the copy of a backup that was removed before it was copied.
    if job.kind == JobKind::Copy && !backup.state.keeps_objects() {
        return Ok(());
    }
    tell(tx, &Notice::of_backup(kind, &backup, why.clone(), now), now).await
}

/// The other try of a failed backup, for which its notice was held back, does not come about.
pub(super) async fn no_other_try(
    tx: &mut Transaction<'_, Db>,
    account: &AccountId,
    instance: &InstanceId,
    now: Timestamp,
) -> Result<()> {
    let row = sqlx::query(
        "SELECT * FROM backup WHERE account = $1 AND instance = $2 AND mode = 'automated' \
         ORDER BY created_at DESC LIMIT 1",
    )
    .bind(account.as_str())
    .bind(instance.as_str())
    .fetch_optional(&mut **tx)
    .await
    .map_err(|error| failed(&error))?;
    let Some(backup) = row.as_ref().map(rows::backup).transpose()? else { return Ok(()) };
    match &backup.failure {
        Some(why) if backup.state == BackupState::Failed => {
            tell(tx, &Notice::of_backup(NoticeKind::BackupFailed, &backup, why.clone(), now), now).await
        }
        _ => Ok(()),
    }
}

/// A scrub has looked at a backup, whose row is still as it was before.
pub(super) async fn scrubbed(tx: &mut Transaction<'_, Db>, job: &Job, scrub: &ScrubOutcome) -> Result<()> {
    let Some(backup) = backup_of(tx, job).await? else { return Ok(()) };
    let was_damaged = backup.state == BackupState::Damaged;
    let (kind, what) = match &scrub.failure {
        Some(why) if !was_damaged && backup.state.keeps_objects() => (NoticeKind::BackupDamaged, why.clone()),
        None if was_damaged && scrub.ok => {
            let what = Failure {
                code: "RESTORED_WHOLE".to_owned(),
                message: "every stored byte is again what was sealed".to_owned(),
                hint: None,
            };
            (NoticeKind::BackupRestoredWhole, what)
        }
        _ => return Ok(()),
    };
    tell(tx, &Notice::of_backup(kind, &backup, what, scrub.at), scrub.at).await
}

/// The next instances that somebody wants to be told of, and was not told of yet.
pub(super) async fn watched(
    catalog: &Store,
    after: Option<&(AccountId, InstanceId)>,
    most: u64,
) -> Result<Vec<WatchedInstance>> {
    let found = sqlx::query(
        "SELECT i.account, i.id, i.name, i.project, i.created_at, p.policy, p.changed_at, \
         (SELECT c.created_at FROM backup c WHERE c.account = i.account AND c.instance = i.id \
         AND c.state = 'available' ORDER BY c.created_at DESC LIMIT 1) AS good_at \
         FROM instance i LEFT JOIN policy p ON p.account = i.account AND p.instance = i.id \
         LEFT JOIN too_old t ON t.account = i.account AND t.instance = i.id \
         WHERE t.instance IS NULL AND (i.account > $1 OR (i.account = $1 AND i.id > $2)) \
         AND EXISTS (SELECT 1 FROM webhook w WHERE w.account = i.account AND w.paused = 0 \
         AND (w.project IS NULL OR w.project = i.project) AND (w.instance IS NULL OR w.instance = i.id) \
         AND (w.kinds = '[]' OR w.kinds LIKE '%instance.too_old%')) \
         ORDER BY i.account, i.id LIMIT $3",
    )
    .bind(after.map_or(String::new(), |(account, _)| account.as_str().to_owned()))
    .bind(after.map_or(String::new(), |(_, instance)| instance.as_str().to_owned()))
    .bind(rows::signed(most))
    .fetch_all(&catalog.reader)
    .await
    .map_err(|error| failed(&error))?;
    found.iter().map(rows::watched_instance).collect()
}

/// Notes that it is told of an instance, unless it was or a good backup came meanwhile, and tells it.
pub(super) async fn too_old(
    catalog: &Store,
    instance: &WatchedInstance,
    notice: &Notice,
    now: Timestamp,
) -> Result<bool> {
    let last_good = instance.last_good.map(micros);
    let mut tx = catalog.write().await?;
    let done = sqlx::query(
        "INSERT INTO too_old (account, instance, since, last_good) SELECT $1, $2, $3, $4 WHERE NOT EXISTS \
         (SELECT 1 FROM backup WHERE account = $1 AND instance = $2 AND state = 'available' \
         AND created_at > COALESCE($4, -1)) ON CONFLICT (account, instance) DO NOTHING",
    )
    .bind(instance.account.as_str())
    .bind(instance.id.as_str())
    .bind(micros(now))
    .bind(last_good)
    .execute(&mut *tx)
    .await
    .map_err(|error| failed(&error))?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    tell(&mut tx, notice, now).await?;
    tx.commit().await.map_err(|error| failed(&error))?;
    Ok(true)
}
