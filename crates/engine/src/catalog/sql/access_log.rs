//! The access log: many records at a time, removed when they are old.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sqlx::QueryBuilder;

use super::{Db, Store, failed, rows};
use crate::error::Result;
use crate::model::{AccessFilter, AccessKind, AccessRecord, AccountId, LinkUsage, Listed, micros};

/// Rows of one statement; a statement has room for 32,766 values.
const ROWS: usize = 500;
/// Rows that one transaction removes, so that nobody waits for it.
const REMOVED_AT_ONCE: i64 = 10_000;

/// Keeps records, and adds to the usage of the remembered links among them; all at once.
pub(super) async fn record(catalog: &Store, records: &[AccessRecord]) -> Result<()> {
    let mut tx = catalog.write().await?;
    let last: i64 =
        sqlx::query_scalar("UPDATE log_head SET last = last + $1 WHERE log = 'access' RETURNING last")
            .bind(rows::signed(records.len() as u64))
            .fetch_one(&mut *tx)
            .await
            .map_err(|error| failed(&error))?;
    let first = last - rows::signed(records.len() as u64) + 1;
    let mut numbered: Vec<(i64, &AccessRecord)> = (first..=last).zip(records).collect();
    for some in numbered.chunks_mut(ROWS) {
        let texts = some
            .iter()
            .map(|(_, record)| Ok((rows::to_json(&record.parts)?, rows::to_json(&record.networks)?)))
            .collect::<Result<Vec<_>>>()?;
        let mut query = QueryBuilder::new(
            "INSERT INTO access (number, at, kind, account, access_key, address, via, backup, instance, parts, \
             networks, link, expires_at, range_from, range_end, sent_bytes, outcome, requests) ",
        );
        query.push_values(some.iter().zip(texts), |mut row, ((number, record), (parts, networks))| {
            row.push_bind(*number)
                .push_bind(micros(record.at))
                .push_bind(record.kind.as_str())
                .push_bind(record.account.as_str())
                .push_bind(record.access_key.as_str())
                .push_bind(record.address.as_deref())
                .push_bind(record.via.as_str())
                .push_bind(record.backup.map(|id| id.to_string()))
                .push_bind(record.instance.as_ref().map(|id| id.as_str().to_owned()))
                .push_bind(parts)
                .push_bind(networks)
                .push_bind(record.link.as_deref())
                .push_bind(record.expires_at.map(micros))
                .push_bind(record.range.map(|range| rows::signed(range.0)))
                .push_bind(record.range.map(|range| rows::signed(range.1)))
                .push_bind(rows::signed(record.sent_bytes))
                .push_bind(record.outcome.as_str())
                .push_bind(rows::signed(record.requests));
        });
        query.build().persistent(false).execute(&mut *tx).await.map_err(|error| failed(&error))?;
    }
    for (link, usage) in usages(records) {
        sqlx::query(
            "UPDATE link SET used_requests = used_requests + $2, used_bytes = used_bytes + $3, used_at = $4, \
             used_from = $5 WHERE id = $1",
        )
        .bind(link)
        .bind(rows::signed(usage.requests))
        .bind(rows::signed(usage.bytes))
        .bind(usage.last_at.map(micros))
        .bind(usage.last_address)
        .execute(&mut *tx)
        .await
        .map_err(|error| failed(&error))?;
    }
    tx.commit().await.map_err(|error| failed(&error))
}

/// What the downloads of remembered links add to those links, in one order everywhere, so that no two nodes wait for
/// each other.
fn usages(records: &[AccessRecord]) -> BTreeMap<&str, LinkUsage> {
    let mut usages: BTreeMap<&str, LinkUsage> = BTreeMap::new();
    for record in
        records.iter().filter(|record| record.kind == AccessKind::Download && record.range.is_some())
    {
        let Some(link) = &record.link else { continue };
        let usage = usages.entry(link).or_default();
        usage.requests += record.requests;
        usage.bytes += record.sent_bytes;
        if usage.last_at.is_none_or(|at| at <= record.at) {
            usage.last_at = Some(record.at);
            usage.last_address.clone_from(&record.address);
        }
    }
    usages
}

pub(super) async fn list(
    catalog: &Store,
    account: &AccountId,
    filter: &AccessFilter,
) -> Result<Listed<AccessRecord>> {
    let mut count = QueryBuilder::new("SELECT COUNT(*) FROM access a WHERE a.account = ");
    matching(&mut count, account, filter);
    let total: i64 =
        count.build_query_scalar().fetch_one(&catalog.reader).await.map_err(|error| failed(&error))?;
    let mut query = QueryBuilder::new("SELECT a.* FROM access a WHERE a.account = ");
    matching(&mut query, account, filter);
    query.push(" ORDER BY a.number DESC LIMIT ").push_bind(rows::signed(filter.page.limit));
    query.push(" OFFSET ").push_bind(rows::signed(filter.page.offset));
    let found = query.build().fetch_all(&catalog.reader).await.map_err(|error| failed(&error))?;
    Ok(Listed { total: rows::number(total), rows: found.iter().map(rows::access).collect::<Result<_>>()? })
}

fn matching(query: &mut QueryBuilder<Db>, account: &AccountId, filter: &AccessFilter) {
    query.push_bind(account.as_str().to_owned());
    if let Some(since) = filter.since {
        query.push(" AND a.at >= ").push_bind(micros(since));
    }
    if let Some(until) = filter.until {
        query.push(" AND a.at < ").push_bind(micros(until));
    }
    if let Some(kind) = filter.kind {
        query.push(" AND a.kind = ").push_bind(kind.as_str());
    }
    if let Some(project) = &filter.project {
        query.push(" AND EXISTS (SELECT 1 FROM backup b WHERE b.id = a.backup AND b.project = ");
        query.push_bind(project.as_str().to_owned()).push(")");
    }
    let texts = [
        (" AND a.backup = ", filter.backup.map(|id| id.to_string())),
        (" AND a.instance = ", filter.instance.as_ref().map(|id| id.as_str().to_owned())),
        (" AND a.link = ", filter.link.clone()),
        (" AND a.access_key = ", filter.access_key.clone()),
    ];
    for (column, text) in texts {
        if let Some(text) = text {
            query.push(column).push_bind(text);
        }
    }
}

/// Removes some of the records from before that moment; says how many.
pub(super) async fn prune(catalog: &Store, before: Timestamp) -> Result<u64> {
    let done = sqlx::query(
        "DELETE FROM access WHERE number IN (SELECT number FROM access WHERE at < $1 ORDER BY at LIMIT $2)",
    )
    .bind(micros(before))
    .bind(REMOVED_AT_ONCE)
    .execute(&catalog.writer)
    .await
    .map_err(|error| failed(&error))?;
    Ok(done.rows_affected())
}
