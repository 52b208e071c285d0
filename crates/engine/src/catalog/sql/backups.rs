//! Backups and their parts.

use std::collections::HashMap;

use jiff::Timestamp;
use sqlx::QueryBuilder;

use super::{Db, Key, Row, Store, failed, is_duplicate, next_number, place, rows};
use crate::catalog::{conflict, not_found};
use crate::error::Result;
use crate::model::{
    AccountId, Backup, BackupFilter, BackupId, BackupRef, BackupState, InstanceId, JobKind, Listed, Method,
    NewBackup, NewJob, Number, Part, Unit, micros,
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

/// `b` is the backup of that id or number, or the one that has the part of that number.
fn named(query: &mut QueryBuilder<Db>, which: BackupRef) {
    match which {
        BackupRef::Id(id) => {
            query.push("b.id = ").push_bind(id.to_string());
        }
        BackupRef::Number(number) => {
            query.push("(b.number = ").push_bind(rows::signed(number));
            query.push(" OR b.id = (SELECT backup FROM part WHERE number = ").push_bind(rows::signed(number));
            query.push("))");
        }
    }
}

pub(super) async fn list(
    catalog: &Store,
    account: &AccountId,
    filter: &BackupFilter,
) -> Result<Listed<Backup>> {
    let (count, select) = match filter.unit {
        Unit::Set => ("SELECT COUNT(*) FROM backup b", "SELECT b.* FROM backup b"),
        Unit::Part => (
            "SELECT COUNT(*) FROM backup b LEFT JOIN part p ON p.backup = b.id",
            "SELECT b.*, p.number AS part_number FROM backup b LEFT JOIN part p ON p.backup = b.id",
        ),
    };
    let mut counted = tallied(account, filter).unwrap_or_else(|| matching(count, account, filter));
    let total: i64 =
        counted.build_query_scalar().fetch_one(&catalog.reader).await.map_err(|error| failed(&error))?;
    let mut query = matching(select, account, filter);
    query.push(if filter.oldest_first {
        " ORDER BY b.created_at, b.number"
    } else {
        " ORDER BY b.created_at DESC, b.number DESC"
    });
    if filter.unit == Unit::Part {
        query.push(", p.shard");
    }
    query.push(" LIMIT ").push_bind(rows::signed(filter.page.limit));
    query.push(" OFFSET ").push_bind(rows::signed(filter.page.offset));
    let found = query.build().fetch_all(&catalog.reader).await.map_err(|error| failed(&error))?;
    let backups = match filter.unit {
        Unit::Set => found.iter().map(rows::backup).collect::<Result<_>>()?,
        Unit::Part => by_part(&found)?,
    };
    Ok(Listed { total: rows::number(total), rows: backups })
}

/// The backup of each row with that row's part alone. A backup's rows stand together: what is known of all its parts
/// is read once, not once a row.
fn by_part(found: &[Row]) -> Result<Vec<Backup>> {
    let mut backups = Vec::with_capacity(found.len());
    let id = |row: &Row| rows::text(row, "id").map(str::to_owned).ok();
    for of_one in found.chunk_by(|one, next| id(one) == id(next)) {
        let mut backup = rows::backup(&of_one[0])?;
        let parts = std::mem::take(&mut backup.parts).into_iter();
        let mut parts: HashMap<Number, Part> = parts.map(|part| (part.number, part)).collect();
        for row in of_one {
            let own = rows::part_number(row)?.and_then(|number| parts.remove(&number));
            backups.push(Backup { parts: own.into_iter().collect(), ..backup.clone() });
        }
    }
    Ok(backups)
}

/// How many backups match, from their tallies: a list that asks for no more than this must not depend on how many there
/// are.
fn tallied(account: &AccountId, filter: &BackupFilter) -> Option<QueryBuilder<Db>> {
    let plain = BackupFilter {
        project: filter.project.clone(),
        instance: filter.instance.clone(),
        states: filter.states.clone(),
        page: filter.page,
        oldest_first: filter.oldest_first,
        unit: Unit::Set,
        ..BackupFilter::default()
    };
    if *filter != plain {
        return None;
    }
    let mut query = QueryBuilder::new(
        "SELECT CAST(COALESCE(SUM(backups), 0) AS BIGINT) FROM backup_tally WHERE account = ",
    );
    query.push_bind(account.as_str().to_owned());
    if let Some(project) = &filter.project {
        query.push(" AND project = ").push_bind(project.as_str().to_owned());
    }
    if let Some(instance) = &filter.instance {
        query.push(" AND instance = ").push_bind(instance.as_str().to_owned());
    }
    in_states(&mut query, "state", &filter.states);
    Some(query)
}

/// A state is one of these; no states = any but `expired`.
fn in_states(query: &mut QueryBuilder<Db>, column: &str, states: &[BackupState]) {
    if states.is_empty() {
        query.push(format!(" AND {column} <> 'expired'"));
        return;
    }
    let mut list = query.push(format!(" AND {column} IN (")).separated(", ");
    for state in states {
        list.push_bind(state.as_str());
    }
    query.push(")");
}

fn matching(select: &'static str, account: &AccountId, filter: &BackupFilter) -> QueryBuilder<Db> {
    let mut query = QueryBuilder::new(select);
    query.push(" WHERE b.account = ").push_bind(account.as_str().to_owned());
    if let Some(project) = &filter.project {
        query.push(" AND b.project = ").push_bind(project.as_str().to_owned());
    }
    if let Some(instance) = &filter.instance {
        query.push(" AND b.instance = ").push_bind(instance.as_str().to_owned());
    }
    if let Some(which) = filter.backup {
        query.push(" AND ");
        match (which, filter.unit) {
            // In a list of parts, a part's number means that part alone.
            (BackupRef::Number(number), Unit::Part) => {
                query.push("(p.number = ").push_bind(rows::signed(number));
                query.push(" OR b.number = ").push_bind(rows::signed(number)).push(")");
            }
            _ => named(&mut query, which),
        }
    }
    if let Some(job) = filter.job {
        query.push(" AND b.job = ").push_bind(rows::signed(job));
    }
    if let Some(since) = filter.since {
        query.push(" AND COALESCE(b.started_at, b.created_at) >= ").push_bind(micros(since));
    }
    if let Some(until) = filter.until {
        query.push(" AND COALESCE(b.started_at, b.created_at) <= ").push_bind(micros(until));
    }
    in_states(&mut query, "b.state", &filter.states);
    if let Some(text) = &filter.instance_search {
        place::containing(&mut query, ["b.instance", "b.instance_name"], text);
    }
    if let Some(text) = &filter.search {
        place::containing(&mut query, ["COALESCE(b.name, '')", "COALESCE(b.remark, '')"], text);
    }
    if let Some(mode) = filter.mode {
        query.push(" AND b.mode = ").push_bind(mode.as_str());
    }
    place::within(&mut query, "b.", &filter.place);
    query
}

pub(super) async fn available_bytes(
    catalog: &Store,
    account: &AccountId,
    instance: &InstanceId,
) -> Result<u64> {
    let bytes: i64 = sqlx::query_scalar(
        "SELECT CAST(COALESCE(SUM(p.size), 0) AS BIGINT) FROM part p JOIN backup b ON b.id = p.backup \
         WHERE b.account = $1 AND b.instance = $2 AND b.state = 'available'",
    )
    .bind(account.as_str())
    .bind(instance.as_str())
    .fetch_one(&catalog.reader)
    .await
    .map_err(|error| failed(&error))?;
    Ok(rows::number(bytes))
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
        "SELECT COUNT(*) FROM backup WHERE account = $1 AND instance = $2 AND state = 'available' AND id <> $3",
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
