//! Webhooks, and the notices on their way to them.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::{AssertSqlSafe, Transaction};

use super::{Db, Store, failed, length, notices, now_at, rows};
use crate::catalog::webhooks::WebhookCatalog;
use crate::catalog::{conflict, not_found};
use crate::error::Result;
use crate::model::{
    AccountId, DeliveryState, DeliveryTry, InstanceId, Listed, Notice, Page, WatchedInstance, Webhook,
    WebhookDelivery, micros,
};

#[async_trait]
impl WebhookCatalog for Store {
    async fn add_webhook(&self, webhook: &Webhook, most: u64) -> Result<()> {
        let mut tx = self.write().await?;
        let there: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM webhook WHERE account = $1")
            .bind(webhook.account.as_str())
            .fetch_one(&mut *tx)
            .await
            .map_err(|error| failed(&error))?;
        if rows::number(there) >= most {
            return Err(conflict(format!("the account has {most} webhooks already"))
                .hint("delete one that is no longer needed: keystow webhook delete ID"));
        }
        sqlx::query(
            "INSERT INTO webhook (id, account, project, instance, url, sealed_secret, kinds, paused, created_at, \
             created_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(&webhook.id)
        .bind(webhook.account.as_str())
        .bind(webhook.project.as_ref().map(|id| id.as_str().to_owned()))
        .bind(webhook.instance.as_ref().map(|id| id.as_str().to_owned()))
        .bind(&webhook.url)
        .bind(&webhook.sealed_secret)
        .bind(rows::to_json(&webhook.kinds)?)
        .bind(i64::from(webhook.paused))
        .bind(micros(webhook.created_at))
        .bind(&webhook.created_by)
        .execute(&mut *tx)
        .await
        .map_err(|error| {
            if error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_foreign_key_violation) {
                not_found("account", &webhook.account)
            } else {
                failed(&error)
            }
        })?;
        tx.commit().await.map_err(|error| failed(&error))
    }

    async fn webhook(&self, id: &str) -> Result<Option<Webhook>> {
        sqlx::query("SELECT * FROM webhook WHERE id = $1")
            .bind(id)
            .fetch_optional(&self.reader)
            .await
            .map_err(|error| failed(&error))?
            .as_ref()
            .map(rows::webhook)
            .transpose()
    }

    async fn webhooks(&self, account: &AccountId) -> Result<Vec<Webhook>> {
        let found = sqlx::query("SELECT * FROM webhook WHERE account = $1 ORDER BY created_at, id")
            .bind(account.as_str())
            .fetch_all(&self.reader)
            .await
            .map_err(|error| failed(&error))?;
        found.iter().map(rows::webhook).collect()
    }

    async fn pause_webhook(&self, account: &AccountId, id: &str, paused: bool) -> Result<()> {
        let done = sqlx::query("UPDATE webhook SET paused = $3 WHERE account = $1 AND id = $2")
            .bind(account.as_str())
            .bind(id)
            .bind(i64::from(paused))
            .execute(&self.writer)
            .await
            .map_err(|error| failed(&error))?;
        if done.rows_affected() == 0 { Err(not_found("webhook", id)) } else { Ok(()) }
    }

    async fn delete_webhook(&self, account: &AccountId, id: &str) -> Result<()> {
        // Alone: a backup that is being sealed may just now write a notice down for it.
        let mut tx = self.write().await?;
        let done = sqlx::query("DELETE FROM webhook WHERE account = $1 AND id = $2")
            .bind(account.as_str())
            .bind(id)
            .execute(&mut *tx)
            .await
            .map_err(|error| failed(&error))?;
        tx.commit().await.map_err(|error| failed(&error))?;
        if done.rows_affected() == 0 { Err(not_found("webhook", id)) } else { Ok(()) }
    }

    async fn webhook_deliveries(
        &self,
        account: &AccountId,
        webhook: &str,
        page: Page,
    ) -> Result<Listed<WebhookDelivery>> {
        let total: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM webhook_delivery WHERE account = $1 AND webhook = $2")
                .bind(account.as_str())
                .bind(webhook)
                .fetch_one(&self.reader)
                .await
                .map_err(|error| failed(&error))?;
        // Ids sort by time.
        let found = sqlx::query(
            "SELECT * FROM webhook_delivery WHERE account = $1 AND webhook = $2 \
             ORDER BY id DESC LIMIT $3 OFFSET $4",
        )
        .bind(account.as_str())
        .bind(webhook)
        .bind(rows::signed(page.limit))
        .bind(rows::signed(page.offset))
        .fetch_all(&self.reader)
        .await
        .map_err(|error| failed(&error))?;
        let rows = found.iter().map(rows::webhook_delivery).collect::<Result<_>>()?;
        Ok(Listed { total: rows::number(total), rows })
    }

    async fn claim_webhook_delivery(
        &self,
        now: Timestamp,
        hold: Duration,
    ) -> Result<Option<(Webhook, WebhookDelivery)>> {
        claim(self, now, hold).await
    }

    async fn end_webhook_try(
        &self,
        delivery: &WebhookDelivery,
        outcome: &DeliveryTry,
        now: Timestamp,
    ) -> Result<()> {
        end_try(self, delivery, outcome, now).await
    }

    async fn record_webhook_delivery(&self, delivery: &WebhookDelivery) -> Result<()> {
        let mut tx = self.write().await?;
        let found = sqlx::query("SELECT * FROM webhook WHERE id = $1")
            .bind(&delivery.webhook)
            .fetch_optional(&mut *tx)
            .await
            .map_err(|error| failed(&error))?
            .ok_or_else(|| not_found("webhook", &delivery.webhook))?;
        let account = rows::webhook(&found)?.account;
        notices::insert(&mut tx, delivery, &account).await?;
        let at = delivery.ended_at.unwrap_or(delivery.created_at);
        note_outcome(&mut tx, &delivery.webhook, delivery.error.as_ref(), at).await?;
        tx.commit().await.map_err(|error| failed(&error))
    }

    async fn pending_webhook_deliveries(&self, account: Option<&AccountId>) -> Result<u64> {
        let pending: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM webhook_delivery WHERE state = 'pending' AND ($1 IS NULL OR account = $1)",
        )
        .bind(account.map(|id| id.as_str().to_owned()))
        .fetch_one(&self.reader)
        .await
        .map_err(|error| failed(&error))?;
        Ok(rows::number(pending))
    }

    async fn prune_webhook_deliveries(&self, before: Timestamp, keep: u64) -> Result<u64> {
        let done = sqlx::query(
            "DELETE FROM webhook_delivery WHERE state <> 'pending' AND (ended_at < $1 OR ended_at <= COALESCE(\
             (SELECT ended_at FROM webhook_delivery WHERE state <> 'pending' ORDER BY ended_at DESC LIMIT 1 \
             OFFSET $2), -1))",
        )
        .bind(micros(before))
        .bind(rows::signed(keep))
        .execute(&self.writer)
        .await
        .map_err(|error| failed(&error))?;
        Ok(done.rows_affected())
    }

    async fn watched_instances(
        &self,
        after: Option<&(AccountId, InstanceId)>,
        most: u64,
    ) -> Result<Vec<WatchedInstance>> {
        notices::watched(self, after, most).await
    }

    async fn tell_too_old(
        &self,
        instance: &WatchedInstance,
        notice: &Notice,
        now: Timestamp,
    ) -> Result<bool> {
        notices::too_old(self, instance, notice, now).await
    }
}

/// Claims the webhook that has waited longest for its turn, and gives the notice that is due longest there.
async fn claim(
    catalog: &Store,
    now: Timestamp,
    hold: Duration,
) -> Result<Option<(Webhook, WebhookDelivery)>> {
    let due = format!(
        "SELECT w.id FROM webhook w WHERE w.paused = 0 AND COALESCE(w.claimed_until, 0) < {now} AND EXISTS \
         (SELECT 1 FROM webhook_delivery d WHERE d.webhook = w.id AND d.state = 'pending' AND d.due_at <= {now}) \
         ORDER BY COALESCE(w.tried_at, 0), w.id LIMIT 1",
        now = now_at("$1")
    );
    // Looking first keeps an idle node from taking the write lock.
    let waits: Option<String> = sqlx::query_scalar(AssertSqlSafe(due.clone()))
        .bind(micros(now))
        .fetch_optional(&catalog.reader)
        .await
        .map_err(|error| failed(&error))?;
    if waits.is_none() {
        return Ok(None);
    }
    let mut tx = catalog.write().await?;
    let row = sqlx::query(AssertSqlSafe(format!(
        "UPDATE webhook SET tried_at = {now}, claimed_until = {now} + $2 WHERE id = ({due}) RETURNING *",
        now = now_at("$1")
    )))
    .bind(micros(now))
    .bind(length(hold))
    .fetch_optional(&mut *tx)
    .await
    .map_err(|error| failed(&error))?;
    let Some(row) = row else { return Ok(None) };
    let webhook = rows::webhook(&row)?;
    let row = sqlx::query(
        "SELECT * FROM webhook_delivery WHERE webhook = $1 AND state = 'pending' ORDER BY due_at, id LIMIT 1",
    )
    .bind(&webhook.id)
    .fetch_one(&mut *tx)
    .await
    .map_err(|error| failed(&error))?;
    let delivery = rows::webhook_delivery(&row)?;
    tx.commit().await.map_err(|error| failed(&error))?;
    Ok(Some((webhook, delivery)))
}

/// Writes down a try. Only of a delivery that is as its sender has read it: another one may have claimed it since.
async fn end_try(
    catalog: &Store,
    delivery: &WebhookDelivery,
    outcome: &DeliveryTry,
    now: Timestamp,
) -> Result<()> {
    let state = match (&outcome.error, outcome.again) {
        (None, _) => DeliveryState::Done,
        (Some(_), Some(_)) => DeliveryState::Pending,
        (Some(_), None) => DeliveryState::GivenUp,
    };
    let mut tx = catalog.write().await?;
    let done = sqlx::query(AssertSqlSafe(format!(
        "UPDATE webhook_delivery SET tries = tries + 1, state = $4, status = $5, error = $6, \
         due_at = {now} + $8, ended_at = CASE $4 WHEN 'pending' THEN NULL ELSE $7 END \
         WHERE webhook = $1 AND id = $2 AND tries = $3 AND state = 'pending'",
        now = now_at("$7")
    )))
    .bind(&delivery.webhook)
    .bind(delivery.notice.id.to_string())
    .bind(i64::from(delivery.tries))
    .bind(state.as_str())
    .bind(outcome.status.map(i64::from))
    .bind(&outcome.error)
    .bind(micros(now))
    .bind(length(outcome.again.unwrap_or_default()))
    .execute(&mut *tx)
    .await
    .map_err(|error| failed(&error))?;
    if done.rows_affected() == 0 {
        return Ok(());
    }
    sqlx::query("UPDATE webhook SET claimed_until = NULL WHERE id = $1")
        .bind(&delivery.webhook)
        .execute(&mut *tx)
        .await
        .map_err(|error| failed(&error))?;
    note_outcome(&mut tx, &delivery.webhook, outcome.error.as_ref(), now).await?;
    tx.commit().await.map_err(|error| failed(&error))
}

/// How a webhook did last.
async fn note_outcome(
    tx: &mut Transaction<'_, Db>,
    webhook: &str,
    error: Option<&String>,
    now: Timestamp,
) -> Result<()> {
    let query = match error {
        None => "UPDATE webhook SET last_ok_at = $2, last_error = $3 WHERE id = $1",
        Some(_) => "UPDATE webhook SET last_failed_at = $2, last_error = $3 WHERE id = $1",
    };
    sqlx::query(query)
        .bind(webhook)
        .bind(micros(now))
        .bind(error)
        .execute(&mut **tx)
        .await
        .map_err(|error| failed(&error))?;
    Ok(())
}
