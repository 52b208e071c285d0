//! Rows for copies of the catalog, rows from them, and backups that are taken in as they stand.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value};
use sqlx::{QueryBuilder, Transaction};

use super::rows::{self, Columns};
use super::{BEGIN_SNAPSHOT, Db, Row, Store, failed};
use crate::catalog::copied::{Form, TABLES, Table};
use crate::catalog::{CopiedRow, CopiedRows};
use crate::error::{Error, Result};
use crate::model::{Backup, Number, micros};

/// Reads the rows that copies hold. Those that others refer to are read last, so that none of them is missing however the
/// database isolates what it reads.
pub(super) async fn read(catalog: &Store, now: Timestamp) -> Result<CopiedRows> {
    let mut tx = catalog.reader.begin_with(BEGIN_SNAPSHOT).await.map_err(|error| failed(&error))?;
    let last: i64 = sqlx::query_scalar("SELECT last FROM sequence WHERE name = 'number'")
        .fetch_one(&mut *tx)
        .await
        .map_err(|error| failed(&error))?;
    let mut copied = CopiedRows { last_number: rows::number(last), rows: Vec::new() };
    let mut tables = Vec::new();
    for table in TABLES.iter().rev() {
        let names: Vec<_> = table.columns.iter().map(|(name, _)| *name).collect();
        let mut query = format!("SELECT {} FROM {}", names.join(", "), table.name);
        if !table.only.is_empty() {
            query = format!("{query} WHERE {}", table.only);
        }
        let with_now = query.contains("$1");
        let mut query = sqlx::query(sqlx::AssertSqlSafe(query));
        if with_now {
            query = query.bind(micros(now));
        }
        let found = query.fetch_all(&mut *tx).await.map_err(|error| failed(&error))?;
        let mut of_table = found.iter().map(|row| written(table, row)).collect::<Result<Vec<_>>>()?;
        // In an order of their own, so that two copies of the same rows are the same.
        of_table.sort_by_cached_key(|row| {
            row.lasting().row.values().map(ToString::to_string).collect::<Vec<_>>()
        });
        tables.push(of_table);
    }
    copied.rows = tables.into_iter().rev().flatten().collect();
    Ok(copied)
}

fn written(table: &Table, row: &Row) -> Result<CopiedRow> {
    let mut written = Map::new();
    for (name, form) in table.columns {
        let value = match form {
            Form::Integer => row.integer(name)?.map(Value::from),
            Form::Text => row.text(name)?.map(Value::from),
            Form::Bytes => row.bytes(name)?.map(|bytes| Value::from(STANDARD.encode(bytes))),
        };
        written.extend(value.map(|value| ((*name).to_owned(), value)));
    }
    Ok(CopiedRow { table: table.name.to_owned(), row: written })
}

/// Writes rows of a copy where there are none of the same key. Returns how many were written.
pub(super) async fn restore(catalog: &Store, rows: &[CopiedRow]) -> Result<u64> {
    let mut tx = catalog.write().await?;
    let mut restored = 0;
    for row in rows {
        // A table of another version: nothing here would read it.
        let Some(table) = TABLES.iter().find(|table| table.name == row.table) else { continue };
        restored += insert(&mut tx, table, row).await?;
    }
    tx.commit().await.map_err(|error| failed(&error))?;
    Ok(restored)
}

async fn insert(tx: &mut Transaction<'_, Db>, table: &Table, row: &CopiedRow) -> Result<u64> {
    let known: Vec<_> =
        table.columns.iter().filter_map(|(name, form)| Some((*name, *form, row.row.get(*name)?))).collect();
    let names: Vec<_> = known.iter().map(|(name, ..)| *name).collect();
    let mut query =
        QueryBuilder::<Db>::new(format!("INSERT INTO {} ({}) VALUES (", table.name, names.join(", ")));
    let mut values = query.separated(", ");
    for (name, form, value) in known {
        let unreadable =
            || Error::internal("a copy of the catalog cannot be read", format!("{}.{name}", table.name));
        match form {
            Form::Integer => values.push_bind(value.as_i64().ok_or_else(unreadable)?),
            Form::Text => values.push_bind(value.as_str().ok_or_else(unreadable)?.to_owned()),
            Form::Bytes => {
                let text = value.as_str().ok_or_else(unreadable)?;
                values.push_bind(STANDARD.decode(text).map_err(|_| unreadable())?)
            }
        };
    }
    query.push(") ON CONFLICT DO NOTHING");
    let done = query.build().execute(&mut **tx).await.map_err(|error| failed(&error))?;
    Ok(done.rows_affected())
}

/// Makes sure that the next number is above this one.
pub(super) async fn raise_numbers(catalog: &Store, last: Number) -> Result<()> {
    sqlx::query("UPDATE sequence SET last = $1 WHERE name = 'number' AND last < $1")
        .bind(rows::signed(last))
        .execute(&catalog.writer)
        .await
        .map_err(|error| failed(&error))?;
    Ok(())
}

/// Takes in backups whose objects are in the repository. One that is known already stays as it is. Returns how many
/// were taken in.
pub(super) async fn adopt(catalog: &Store, backups: &[Backup]) -> Result<u64> {
    let mut tx = catalog.write().await?;
    let mut adopted = 0;
    for backup in backups {
        if add_backup(&mut tx, backup).await? {
            add_parts(&mut tx, backup).await?;
            adopted += 1;
        }
    }
    tx.commit().await.map_err(|error| failed(&error))?;
    Ok(adopted)
}

async fn add_backup(tx: &mut Transaction<'_, Db>, backup: &Backup) -> Result<bool> {
    let done = sqlx::query(
        "INSERT INTO backup (id, number, account, instance, instance_name, project, region, state, mode, method, remark, \
         job, attempt, created_at, started_at, ended_at, expires_at, protected, server, failure, name, zone, \
         replica_zone, origin, last_drill, parts, last_scrub) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, \
         $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27) ON CONFLICT (id) DO NOTHING",
    )
    .bind(backup.id.to_string())
    .bind(rows::signed(backup.number))
    .bind(backup.account.as_str())
    .bind(backup.instance.as_str())
    .bind(&backup.instance_name)
    .bind(backup.project.as_ref().map(|id| id.as_str().to_owned()))
    .bind(&backup.region)
    .bind(backup.state.as_str())
    .bind(backup.mode.as_str())
    .bind(backup.method.as_str())
    .bind(&backup.remark)
    .bind(rows::signed(backup.job))
    .bind(i64::from(backup.attempt))
    .bind(micros(backup.created_at))
    .bind(backup.started_at.map(micros))
    .bind(backup.ended_at.map(micros))
    .bind(backup.expires_at.map(micros))
    .bind(i64::from(backup.protected))
    .bind(backup.server.as_ref().map(rows::to_json).transpose()?)
    .bind(backup.failure.as_ref().map(rows::to_json).transpose()?)
    .bind(&backup.name)
    .bind(&backup.zone)
    .bind(&backup.replica_zone)
    .bind(backup.origin.as_ref().map(rows::to_json).transpose()?)
    .bind(backup.last_drill.as_ref().map(rows::to_json).transpose()?)
    .bind(rows::to_json(&backup.parts)?)
    .bind(backup.last_scrub.as_ref().map(rows::to_json).transpose()?)
    .execute(&mut **tx)
    .await
    .map_err(|error| failed(&error))?;
    Ok(done.rows_affected() > 0)
}

async fn add_parts(tx: &mut Transaction<'_, Db>, backup: &Backup) -> Result<()> {
    for part in &backup.parts {
        sqlx::query("INSERT INTO part (number, backup, shard, size) VALUES ($1, $2, $3, $4)")
            .bind(rows::signed(part.number))
            .bind(backup.id.to_string())
            .bind(i64::from(part.sealed.shard))
            .bind(rows::signed(part.sealed.size_bytes))
            .execute(&mut **tx)
            .await
            .map_err(|error| failed(&error))?;
    }
    Ok(())
}
