//! Settings of sources that are changed for a while.

use super::{Store, failed, rows};
use crate::error::Result;
use crate::model::Debt;

/// Notes a debt before the setting is changed. The first value noted stays: a later one may be our own.
pub(super) async fn owe(catalog: &Store, debt: &Debt) -> Result<()> {
    sqlx::query(
        "INSERT INTO debt (account, instance, node, setting, value) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (account, instance, node, setting) DO NOTHING",
    )
    .bind(debt.account.as_str())
    .bind(debt.instance.as_str())
    .bind(&debt.node)
    .bind(&debt.setting)
    .bind(&debt.value)
    .execute(&catalog.writer)
    .await
    .map_err(|error| failed(&error))?;
    Ok(())
}

pub(super) async fn all(catalog: &Store) -> Result<Vec<Debt>> {
    let found = sqlx::query("SELECT * FROM debt ORDER BY account, instance, node, setting")
        .fetch_all(&catalog.reader)
        .await
        .map_err(|error| failed(&error))?;
    found.iter().map(rows::debt).collect()
}

pub(super) async fn settle(catalog: &Store, debt: &Debt) -> Result<()> {
    sqlx::query("DELETE FROM debt WHERE account = $1 AND instance = $2 AND node = $3 AND setting = $4")
        .bind(debt.account.as_str())
        .bind(debt.instance.as_str())
        .bind(&debt.node)
        .bind(&debt.setting)
        .execute(&catalog.writer)
        .await
        .map_err(|error| failed(&error))?;
    Ok(())
}
