//! The calls that have to do with webhooks: whom to tell, and what is still to be told.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::error::Result;
use crate::model::{
    AccountId, DeliveryTry, InstanceId, Listed, Notice, Page, WatchedInstance, Webhook, WebhookDelivery,
};

/// Most notices that wait for one webhook. Those beyond are given up at once, and say so.
pub(super) const MOST_PENDING: i64 = 10_000;

/// The webhooks' part of a catalog.
#[async_trait]
pub trait WebhookCatalog: Send + Sync {
    /// Adds a webhook to an account that exists. `CONFLICT` if the account has `most` already.
    async fn add_webhook(&self, webhook: &Webhook, most: u64) -> Result<()>;
    /// One webhook, of whichever account.
    async fn webhook(&self, id: &str) -> Result<Option<Webhook>>;
    /// The webhooks of an account, oldest first.
    async fn webhooks(&self, account: &AccountId) -> Result<Vec<Webhook>>;
    /// Pauses a webhook, or lets it go on. While it is paused nothing is written for it, and nothing is sent.
    async fn pause_webhook(&self, account: &AccountId, id: &str, paused: bool) -> Result<()>;
    /// Removes a webhook, and what it was to be told.
    async fn delete_webhook(&self, account: &AccountId, id: &str) -> Result<()>;

    /// What a webhook was told and is to be told, newest first.
    async fn webhook_deliveries(
        &self,
        account: &AccountId,
        webhook: &str,
        page: Page,
    ) -> Result<Listed<WebhookDelivery>>;
    /// The next notice that is to be sent now, with its webhook, which is held for so long: it gets one at a time. Of
    /// several webhooks the one that has waited longest for its turn comes first.
    async fn claim_webhook_delivery(
        &self,
        now: Timestamp,
        hold: Duration,
    ) -> Result<Option<(Webhook, WebhookDelivery)>>;
    /// Writes down what became of a try, and lets the webhook go. Changes nothing if another try was written meanwhile.
    async fn end_webhook_try(
        &self,
        delivery: &WebhookDelivery,
        outcome: &DeliveryTry,
        now: Timestamp,
    ) -> Result<()>;
    /// Writes down a notice that was sent to one webhook alone, with what became of it.
    async fn record_webhook_delivery(&self, delivery: &WebhookDelivery) -> Result<()>;
    /// How many notices are still to be sent, of one account or of all.
    async fn pending_webhook_deliveries(&self, account: Option<&AccountId>) -> Result<u64>;
    /// Removes notices that ended before that moment, and all but the last so many.
    async fn prune_webhook_deliveries(&self, before: Timestamp, keep: u64) -> Result<u64>;

    /// Instances of all accounts that a webhook listens for and of which it was not told yet that their last good backup
    /// is too old: the next ones behind that one, by account and id.
    async fn watched_instances(
        &self,
        after: Option<&(AccountId, InstanceId)>,
        most: u64,
    ) -> Result<Vec<WatchedInstance>>;
    /// Tells once that an instance has had no good backup for too long. `false` = it was told before, or there is one by
    /// now. That it has one again is told by the call that seals it.
    async fn tell_too_old(&self, instance: &WatchedInstance, notice: &Notice, now: Timestamp)
    -> Result<bool>;
}
