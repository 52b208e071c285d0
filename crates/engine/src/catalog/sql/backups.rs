//! Backups and their parts.

use jiff::Timestamp;

use super::{Db, Key, Store, failed, is_duplicate, next_number, rows};
use crate::catalog::{conflict, not_found};
use crate::error::Result;
use crate::model::{
    AccountId, Backup, BackupId, BackupRef, BackupState, JobKind, Method, NewBackup, NewJob, Number, Part,
    micros,
};

/// Asks for a backup: the row, and the job that takes it.
pub(super) async fn request(
    catalog: &Store,
    id: BackupId,
    new: &NewBackup,
    now: Timestamp,
) -> Result<Backup> {
    let mut tx = catalog.write().await?;
    let backup = add_requested(&mut tx, id, new, now).await?;
    tx.commit().await.map_err(|error| failed(&error))?;
    Ok(backup)
}

/// Adds a backup and its job, in whatever transaction made them needed.
pub(super) async fn add_requested(
    tx: &mut sqlx::Transaction<'_, Db>,
    id: BackupId,
    new: &NewBackup,
    now: Timestamp,
) -> Result<Backup> {
    let row = sqlx::query("SELECT * FROM instance WHERE account = $1 AND id = $2")
        .bind(new.account.as_str())
        .bind(new.instance.as_str())
        .fetch_optional(&mut **tx)
        .await
        .map_err(|error| failed(&error))?
        .ok_or_else(|| not_found("instance", &new.instance))?;
    let instance = rows::instance(&row)?;
    let number = next_number(tx).await?;
    let job = next_number(tx).await?;
    let backup = Backup {
        id,
        number,
        account: new.account.clone(),
        instance: new.instance.clone(),
        instance_name: instance.name,
        project: instance.project,
        region: instance.region,
        zone: instance.zone,
        replica_zone: instance.replica_zone,
        state: BackupState::Queued,
        mode: new.mode,
        method: Method::Physical,
        name: new.name.clone(),
        remark: new.remark.clone(),
        job,
        attempt: 0,
        created_at: now,
        started_at: None,
        ended_at: None,
        expires_at: new.expires_at,
        protected: false,
        server: None,
        failure: None,
        origin: None,
        last_drill: None,
        last_scrub: None,
        parts: Vec::new(),
    };
    add_backup(tx, &backup).await?;
    let wanted = NewJob {
        account: new.account.clone(),
        backup: id,
        instance: new.instance.clone(),
        kind: JobKind::TakeBackup,
        order: None,
        target: None,
    };
    super::jobs::add(tx, job, &wanted, now).await?;
    Ok(backup)
}

async fn add_backup(tx: &mut sqlx::Transaction<'_, Db>, backup: &Backup) -> Result<()> {
    sqlx::query(
        "INSERT INTO backup (id, number, account, instance, instance_name, project, region, state, mode, method, \
         remark, job, created_at, expires_at, name, zone, replica_zone) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, 'queued', $8, 'physical', $9, $10, $11, $12, $13, $14, $15)",
    )
    .bind(backup.id.to_string())
    .bind(rows::signed(backup.number))
    .bind(backup.account.as_str())
    .bind(backup.instance.as_str())
    .bind(&backup.instance_name)
    .bind(backup.project.as_ref().map(|id| id.as_str().to_owned()))
    .bind(&backup.region)
    .bind(backup.mode.as_str())
    .bind(&backup.remark)
    .bind(rows::signed(backup.job))
    .bind(micros(backup.created_at))
    .bind(backup.expires_at.map(micros))
    .bind(&backup.name)
    .bind(&backup.zone)
    .bind(&backup.replica_zone)
    .execute(&mut **tx)
    .await
    .map_err(|error| {
        if is_duplicate(&error) {
            conflict(format!("a backup of {} is under way already", backup.instance))
                .hint("see it with: keystow job list")
        } else {
            failed(&error)
        }
    })?;
    Ok(())
}

/// One backup, of that account if one is named.
pub(super) async fn one(
    catalog: &Store,
    account: Option<&AccountId>,
    which: BackupRef,
) -> Result<Option<Backup>> {
    let found = match which {
        BackupRef::Id(id) => {
            let query = "SELECT * FROM backup WHERE id = $1";
            catalog.find(query, &[Key::Text(&id.to_string())], |row| rows::backup(row)).await?
        }
        BackupRef::Number(number) => {
            let query = "SELECT * FROM backup WHERE id = COALESCE((SELECT id FROM backup WHERE number = $1), \
                         (SELECT backup FROM part WHERE number = $1))";
            catalog.find(query, &[Key::Number(number)], |row| rows::backup(row)).await?
        }
    };
    Ok(found.into_iter().find(|backup| account.is_none_or(|account| backup.account == *account)))
}

/// A backup as it is when every write that is under way has ended.
pub(super) async fn settled(catalog: &Store, id: BackupId) -> Result<Option<Backup>> {
    let mut tx = catalog.write().await?;
    let row = sqlx::query("SELECT * FROM backup WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(&mut *tx)
        .await
        .map_err(|error| failed(&error))?;
    row.as_ref().map(rows::backup).transpose()
}

pub(super) async fn part(catalog: &Store, number: Number) -> Result<Option<(Backup, Part)>> {
    let query = "SELECT b.* FROM part p JOIN backup b ON b.id = p.backup WHERE p.number = $1";
    let found = catalog.find(query, &[Key::Number(number)], |row| rows::backup(row)).await?;
    Ok(found.into_iter().next().and_then(|mut backup| {
        let part = std::mem::take(&mut backup.parts).into_iter().find(|part| part.number == number)?;
        Some((backup, part))
    }))
}

/// Sets when retention may remove a backup.
pub(super) async fn set_expiry(
    catalog: &Store,
    account: &AccountId,
    id: BackupId,
    at: Option<Timestamp>,
) -> Result<()> {
    // Alone, so that what is about to remove it sees this first, or this sees that it is gone.
    let mut tx = catalog.write().await?;
    let done = sqlx::query(
        "UPDATE backup SET expires_at = $3 WHERE account = $1 AND id = $2 AND state <> 'expired'",
    )
    .bind(account.as_str())
    .bind(id.to_string())
    .bind(at.map(micros))
    .execute(&mut *tx)
    .await
    .map_err(|error| failed(&error))?;
    tx.commit().await.map_err(|error| failed(&error))?;
    if done.rows_affected() == 0 { Err(not_found("backup", id)) } else { Ok(()) }
}

pub(super) async fn protect(catalog: &Store, account: &AccountId, id: BackupId, protect: bool) -> Result<()> {
    let mut tx = catalog.write().await?;
    let done =
        sqlx::query("UPDATE backup SET protected = $3 WHERE account = $1 AND id = $2 AND state <> 'expired'")
            .bind(account.as_str())
            .bind(id.to_string())
            .bind(i64::from(protect))
            .execute(&mut *tx)
            .await
            .map_err(|error| failed(&error))?;
    tx.commit().await.map_err(|error| failed(&error))?;
    if done.rows_affected() == 0 { Err(not_found("backup", id)) } else { Ok(()) }
}

/// The objects of a backup that is being restored or drilled are still needed.
async fn refuse_in_use(tx: &mut sqlx::Transaction<'_, Db>, id: BackupId) -> Result<()> {
    let user = sqlx::query(
        "SELECT * FROM job WHERE backup = $1 AND kind IN ('restore', 'drill') AND state IN ('queued', 'running') \
         ORDER BY number LIMIT 1",
    )
    .bind(id.to_string())
    .fetch_optional(&mut **tx)
    .await
    .map_err(|error| failed(&error))?;
    let Some(row) = user else { return Ok(()) };
    let job = rows::job(&row)?;
    let (number, kind) = (job.number, job.kind.as_str());
    Err(conflict(format!("the backup {id} is needed by the job {number} ({kind})"))
        .hint(format!("wait for it, or stop it first: keystow job cancel {number}")))
}

/// The last good backup of an instance goes by hand only.
async fn refuse_last(tx: &mut sqlx::Transaction<'_, Db>, backup: &Backup) -> Result<()> {
    let others: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM (SELECT 1 FROM backup WHERE account = $1 AND instance = $2 AND state = 'available' \
         AND id <> $3 ORDER BY created_at DESC LIMIT 1) AS another",
    )
    .bind(backup.account.as_str())
    .bind(backup.instance.as_str())
    .bind(backup.id.to_string())
    .fetch_one(&mut **tx)
    .await
    .map_err(|error| failed(&error))?;
    if others == 0 && backup.state == BackupState::Available {
        return Err(conflict(format!("the backup {} is the last good one", backup.id)));
    }
    Ok(())
}

/// Marks a backup expired; the job that removes its objects is written in the same transaction. `judged`: nobody named
/// it, and this is what it was when a rule let it go; it stays if its expiry was changed since, or if it is the last
/// good one.
pub(super) async fn expire(
    catalog: &Store,
    account: &AccountId,
    id: BackupId,
    judged: Option<&Backup>,
    now: Timestamp,
) -> Result<Number> {
    let mut tx = catalog.write().await?;
    let row = sqlx::query("SELECT * FROM backup WHERE account = $1 AND id = $2 AND state <> 'expired'")
        .bind(account.as_str())
        .bind(id.to_string())
        .fetch_optional(&mut *tx)
        .await
        .map_err(|error| failed(&error))?
        .ok_or_else(|| not_found("backup", id))?;
    let backup = rows::backup(&row)?;
    if backup.state.is_active() {
        return Err(conflict(format!("the backup {id} is under way"))
            .hint(format!("stop it first: keystow job cancel {}", backup.job)));
    }
    if backup.protected {
        return Err(conflict(format!("the backup {id} is protected"))
            .hint(format!("release it first: keystow backup protect {id} --release")));
    }
    refuse_in_use(&mut tx, id).await?;
    if let Some(judged) = judged {
        if backup.expires_at != judged.expires_at {
            return Err(conflict(format!("the expiry of the backup {id} was changed meanwhile")));
        }
        refuse_last(&mut tx, &backup).await?;
    }
    sqlx::query("UPDATE backup SET state = 'expired' WHERE id = $1")
        .bind(id.to_string())
        .execute(&mut *tx)
        .await
        .map_err(|error| failed(&error))?;
    let job = next_number(&mut tx).await?;
    let wanted = NewJob {
        account: account.clone(),
        backup: id,
        instance: backup.instance,
        kind: JobKind::RemoveBackup,
        order: None,
        target: None,
    };
    super::jobs::add(&mut tx, job, &wanted, now).await?;
    tx.commit().await.map_err(|error| failed(&error))?;
    Ok(job)
}
