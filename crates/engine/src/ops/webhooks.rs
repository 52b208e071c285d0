//! Adds, shows, pauses, tests and deletes webhooks.

use std::time::{Duration, Instant};

use serde_json::json;

use super::Engine;
use super::audit::Deed;
use crate::access::{Principal, Scope, random_text};
use crate::error::{Error, Kind, Result};
use crate::model::{
    AccountId, DeliveryState, Failure, InstanceId, Listed, Notice, NoticeKind, Page, Right, Secret, Webhook,
    WebhookDelivery,
};
use crate::notify::Refused;

/// Most webhooks of an account.
const MOST: u64 = 50;
/// Bytes of a minted secret before encoding.
const SECRET_BYTES: usize = 32;

/// A webhook that somebody adds.
#[derive(Debug, Default)]
pub struct NewWebhook {
    /// Where notices are posted to.
    pub url: String,
    /// What it is told; empty = everything.
    pub kinds: Vec<NoticeKind>,
    /// The instance that it is told of; `None` = all.
    pub instance: Option<InstanceId>,
    /// What signs its notices; minted if absent.
    pub secret: Option<Secret>,
    /// The account; the caller's own if absent.
    pub account: Option<AccountId>,
}

/// A webhook with its secret, which is shown this once.
#[derive(Debug)]
pub struct IssuedWebhook {
    /// The webhook.
    pub webhook: Webhook,
    /// The secret.
    pub secret: Secret,
}

/// A test that a receiver took.
#[derive(Debug, Clone, Copy)]
pub struct TestedWebhook {
    /// The HTTP status of its answer.
    pub status: u16,
    /// How long it took.
    pub took: Duration,
}

impl Engine {
    /// Adds a webhook. A caller who is bound to a project hears of that project only.
    pub async fn add_webhook(&self, who: &Principal, new: NewWebhook) -> Result<IssuedWebhook> {
        let id = Webhook::mint_id();
        let deed = Deed::new(Right::Administer, "webhook.add", "webhook", &id)
            .with(json!({"to": origin(&new.url), "events": new.kinds, "instance": new.instance}))
            .of(new.account.as_ref());
        self.audited(who, deed, async {
            let scope = who.with_in(Right::Administer, new.account.as_ref())?;
            let url = self.poster.check(&new.url)?;
            if let Some(instance) = &new.instance {
                self.visible_instance(&scope, instance).await?;
            }
            let secret = match new.secret {
                Some(secret) => checked_secret(secret)?,
                None => Secret::new(random_text(SECRET_BYTES)?),
            };
            let webhook = Webhook {
                sealed_secret: self.sealer.seal(&webhook_place(&id), &secret)?,
                id,
                account: scope.account,
                project: scope.project,
                instance: new.instance,
                url,
                kinds: new.kinds,
                paused: false,
                created_at: self.clock.now(),
                created_by: who.key_id().to_owned(),
                last_ok_at: None,
                last_failed_at: None,
                last_error: None,
            };
            self.catalog.add_webhook(&webhook, MOST).await?;
            Ok(IssuedWebhook { webhook, secret })
        })
        .await
    }

    /// The webhooks of an account, oldest first. Only an admin sees whole URLs: their paths may be secrets.
    pub async fn webhooks(&self, who: &Principal, account: Option<&AccountId>) -> Result<Vec<Webhook>> {
        let scope = who.with_in(Right::View, account)?;
        let all = self.catalog.webhooks(&scope.account).await?;
        let seen = all.into_iter().filter(|webhook| sees(&scope, webhook));
        Ok(seen.map(|webhook| shown(who, webhook)).collect())
    }

    /// One webhook.
    pub async fn webhook(&self, who: &Principal, id: &str) -> Result<Webhook> {
        self.visible_webhook(who, Right::View, id).await.map(|webhook| shown(who, webhook))
    }

    /// A webhook that the caller may see; a foreign one looks like a missing one. An admin sees those of every account.
    async fn visible_webhook(&self, who: &Principal, right: Right, id: &str) -> Result<Webhook> {
        who.with(right)?;
        let found = self.catalog.webhook(id).await?;
        let found = found.filter(|webhook| {
            who.with_in(right, Some(&webhook.account)).is_ok_and(|scope| sees(&scope, webhook))
        });
        found.ok_or_else(|| {
            Error::new(Kind::NotFound, "NOT_FOUND", format!("no such webhook: {id}"))
                .hint("list them with: keystow webhook list")
        })
    }

    /// Pauses a webhook, or lets it go on. What happens while it is paused it is never told.
    pub async fn pause_webhook(&self, who: &Principal, id: &str, paused: bool) -> Result<Webhook> {
        let deed =
            Deed::new(Right::Administer, "webhook.pause", "webhook", id).with(json!({"paused": paused}));
        self.audited(who, deed, async {
            let webhook = self.visible_webhook(who, Right::Administer, id).await?;
            self.catalog.pause_webhook(&webhook.account, id, paused).await?;
            Ok(Webhook { paused, ..webhook })
        })
        .await
    }

    /// Removes a webhook, and what it was still to be told.
    pub async fn delete_webhook(&self, who: &Principal, id: &str) -> Result<()> {
        self.audited(who, Deed::new(Right::Administer, "webhook.delete", "webhook", id), async {
            let webhook = self.visible_webhook(who, Right::Administer, id).await?;
            self.catalog.delete_webhook(&webhook.account, id).await
        })
        .await
    }

    /// Tells a webhook, paused or not, that this is a test: now, and once. `WEBHOOK_UNREACHABLE` or `WEBHOOK_REFUSED` if
    /// it does not take that.
    pub async fn test_webhook(&self, who: &Principal, id: &str) -> Result<TestedWebhook> {
        self.audited(who, Deed::new(Right::Administer, "webhook.test", "webhook", id), async {
            let webhook = self.visible_webhook(who, Right::Administer, id).await?;
            let what = Failure {
                code: "WEBHOOK_TEST".to_owned(),
                message: format!("a test of the webhook {id}; nothing is wrong"),
                hint: None,
            };
            let now = self.clock.now();
            let notice = Notice::new(NoticeKind::WebhookTest, webhook.account.clone(), what, now);
            let asked = Instant::now();
            let answer = self.post(&webhook, &notice).await?;
            let took = asked.elapsed();
            let delivery = WebhookDelivery {
                webhook: webhook.id.clone(),
                notice,
                created_at: now,
                due_at: now,
                tries: 1,
                state: if answer.is_ok() { DeliveryState::Done } else { DeliveryState::GivenUp },
                status: answer.as_ref().map_or_else(|refused| refused.status, |status| Some(*status)),
                error: answer.as_ref().err().map(|refused| refused.why.clone()),
                ended_at: Some(self.clock.now()),
            };
            self.catalog.record_webhook_delivery(&delivery).await?;
            let status = answer.map_err(|refused| untaken(&webhook, refused))?;
            Ok(TestedWebhook { status, took })
        })
        .await
    }

    /// What a webhook was told and is to be told, newest first.
    pub async fn webhook_deliveries(
        &self,
        who: &Principal,
        id: &str,
        page: Page,
    ) -> Result<Listed<WebhookDelivery>> {
        let webhook = self.visible_webhook(who, Right::View, id).await?;
        self.catalog.webhook_deliveries(&webhook.account, id, page).await
    }
}

/// Where a webhook's secret is sealed for.
pub(super) fn webhook_place(id: &str) -> String {
    format!("webhook/{id}/secret")
}

/// Whether a webhook is in the part of the catalog that the caller may see.
fn sees(scope: &Scope, webhook: &Webhook) -> bool {
    webhook.account == scope.account && (scope.project.is_none() || webhook.project == scope.project)
}

/// As a caller may see it.
fn shown(who: &Principal, webhook: Webhook) -> Webhook {
    if who.with(Right::Administer).is_ok() {
        return webhook;
    }
    Webhook { url: origin(&webhook.url), ..webhook }
}

/// Scheme, host and port of a URL: what is no secret of it.
pub(super) fn origin(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}").chars().take(255).collect()
}

fn untaken(webhook: &Webhook, refused: Refused) -> Error {
    let to = origin(&webhook.url);
    let (code, message, hint) = match refused.status {
        Some(_) => (
            "WEBHOOK_REFUSED",
            format!("{to} did not take the test"),
            "any answer of 2xx takes a notice; see the receiver's own log",
        ),
        None => (
            "WEBHOOK_UNREACHABLE",
            format!("{to} cannot be reached"),
            "check the URL, the receiver, and the way there from every node with the role scheduler",
        ),
    };
    Error::new(Kind::Unreachable, code, message).because(refused.why).hint(hint)
}

fn checked_secret(secret: Secret) -> Result<Secret> {
    if (16..=256).contains(&secret.expose().len()) {
        return Ok(secret);
    }
    Err(Error::invalid("the secret of a webhook must have 16 to 256 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_of_a_url_holds_no_secret() {
        for (url, shown) in [
            ("https://h.example:8443/services/T0/secret?token=hush", "https://h.example:8443"),
            ("https://user:hush@h/x", "https://h"),
            ("https://h?token=hush", "https://h"),
            ("nonsense hush", "://nonsense hush"),
        ] {
            assert_eq!(origin(url), shown);
        }
    }
}
