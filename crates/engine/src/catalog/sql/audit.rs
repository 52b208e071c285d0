//! The audit log: rows that are only ever added, each bound to those before it.

use sqlx::QueryBuilder;

use super::{Db, Store, failed, rows};
use crate::error::Result;
use crate::model::{AuditChain, AuditEntry, AuditFacts, AuditFilter, AuditHead, Listed, micros};

/// Adds an entry. Whoever adds one holds the head's row until then, so that numbers have no gaps and each hash follows
/// the last, whoever else writes.
pub(super) async fn append(catalog: &Store, facts: &AuditFacts, chain: &AuditChain) -> Result<AuditHead> {
    let mut tx = catalog.write().await?;
    let head = sqlx::query("UPDATE log_head SET last = last + 1 WHERE log = 'audit' RETURNING last, hash")
        .fetch_one(&mut *tx)
        .await
        .map_err(|error| failed(&error))?;
    let sequence = rows::unsigned(&head, "last")?;
    let hash = chain.hash(rows::text(&head, "hash")?, sequence, facts);
    sqlx::query(
        "INSERT INTO audit (sequence, at, stage, answers, account, who, address, via, action, kind, subject, \
         parameters, code, hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
    )
    .bind(rows::signed(sequence))
    .bind(micros(facts.at))
    .bind(&facts.stage)
    .bind(facts.answers.map(rows::signed))
    .bind(&facts.account)
    .bind(&facts.who)
    .bind(&facts.address)
    .bind(&facts.via)
    .bind(&facts.action)
    .bind(&facts.kind)
    .bind(&facts.subject)
    .bind(&facts.parameters)
    .bind(&facts.code)
    .bind(&hash)
    .execute(&mut *tx)
    .await
    .map_err(|error| failed(&error))?;
    sqlx::query("UPDATE log_head SET hash = $1 WHERE log = 'audit'")
        .bind(&hash)
        .execute(&mut *tx)
        .await
        .map_err(|error| failed(&error))?;
    tx.commit().await.map_err(|error| failed(&error))?;
    Ok(AuditHead { sequence, hash })
}

pub(super) async fn head(catalog: &Store) -> Result<AuditHead> {
    let head = sqlx::query("SELECT last, hash FROM log_head WHERE log = 'audit'")
        .fetch_one(&catalog.reader)
        .await
        .map_err(|error| failed(&error))?;
    Ok(AuditHead { sequence: rows::unsigned(&head, "last")?, hash: rows::text(&head, "hash")?.to_owned() })
}

pub(super) async fn after(catalog: &Store, sequence: u64, limit: u64) -> Result<Vec<AuditEntry>> {
    let found = sqlx::query("SELECT * FROM audit WHERE sequence > $1 ORDER BY sequence LIMIT $2")
        .bind(rows::signed(sequence))
        .bind(rows::signed(limit))
        .fetch_all(&catalog.reader)
        .await
        .map_err(|error| failed(&error))?;
    found.iter().map(rows::audit).collect()
}

pub(super) async fn list(catalog: &Store, filter: &AuditFilter) -> Result<Listed<AuditEntry>> {
    let mut count = QueryBuilder::new("SELECT COUNT(*) FROM audit WHERE 1 = 1");
    matching(&mut count, filter);
    let total: i64 =
        count.build_query_scalar().fetch_one(&catalog.reader).await.map_err(|error| failed(&error))?;
    let mut query = QueryBuilder::new("SELECT * FROM audit WHERE 1 = 1");
    matching(&mut query, filter);
    query.push(" ORDER BY sequence DESC LIMIT ").push_bind(rows::signed(filter.page.limit));
    query.push(" OFFSET ").push_bind(rows::signed(filter.page.offset));
    let found = query.build().fetch_all(&catalog.reader).await.map_err(|error| failed(&error))?;
    Ok(Listed { total: rows::number(total), rows: found.iter().map(rows::audit).collect::<Result<_>>()? })
}

fn matching(query: &mut QueryBuilder<Db>, filter: &AuditFilter) {
    if let Some(since) = filter.since {
        query.push(" AND at >= ").push_bind(micros(since));
    }
    if let Some(until) = filter.until {
        query.push(" AND at < ").push_bind(micros(until));
    }
    if let Some(who) = &filter.who {
        query.push(" AND who = ").push_bind(who.clone());
    }
    if let Some(account) = &filter.account {
        query.push(" AND account = ").push_bind(account.clone());
    }
    if let Some(action) = &filter.action {
        // `backup` stands for all that begins with `backup.`: a range, so that no letter of it is a pattern.
        query.push(" AND (action = ").push_bind(action.clone());
        query.push(" OR (action > ").push_bind(format!("{action}."));
        query.push(" AND action < ").push_bind(format!("{action}/")).push("))");
    }
}
