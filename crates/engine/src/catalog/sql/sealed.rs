//! Secrets that rows hold sealed.

use super::rows::{self, Columns};
use super::{Store, failed};
use crate::catalog::{SealedColumn, SealedSecret, conflict};
use crate::error::Result;

/// Every sealed secret.
pub(super) async fn read(catalog: &Store) -> Result<Vec<SealedSecret>> {
    let mut secrets = Vec::new();
    for column in SealedColumn::ALL {
        let (table, name) = column.place();
        let query =
            format!("SELECT account, id, {name} FROM {table} WHERE {name} IS NOT NULL ORDER BY account, id");
        let found = sqlx::query(sqlx::AssertSqlSafe(query))
            .fetch_all(&catalog.reader)
            .await
            .map_err(|error| failed(&error))?;
        for row in &found {
            secrets.push(SealedSecret {
                column,
                account: rows::text(row, "account")?.to_owned(),
                id: rows::text(row, "id")?.to_owned(),
                sealed: row.bytes(name)?.unwrap_or_default().to_vec(),
            });
        }
    }
    Ok(secrets)
}

/// Replaces secrets, each where it is still the first of the pair, and writes notes; all or nothing.
pub(super) async fn replace(
    catalog: &Store,
    secrets: &[(SealedSecret, Vec<u8>)],
    notes: &[(&str, String)],
) -> Result<()> {
    let mut tx = catalog.write().await?;
    for (before, after) in secrets {
        let (table, name) = before.column.place();
        let query = format!("UPDATE {table} SET {name} = $1 WHERE account = $2 AND id = $3 AND {name} = $4");
        let done = sqlx::query(sqlx::AssertSqlSafe(query))
            .bind(after)
            .bind(&before.account)
            .bind(&before.id)
            .bind(&before.sealed)
            .execute(&mut *tx)
            .await
            .map_err(|error| failed(&error))?;
        if done.rows_affected() == 0 {
            return Err(conflict(format!("the secret of {table} {} has changed meanwhile", before.id))
                .hint("stop every node, then try again"));
        }
    }
    for (name, value) in notes {
        sqlx::query(
            "INSERT INTO note (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = $2",
        )
        .bind(*name)
        .bind(value)
        .execute(&mut *tx)
        .await
        .map_err(|error| failed(&error))?;
    }
    tx.commit().await.map_err(|error| failed(&error))
}
