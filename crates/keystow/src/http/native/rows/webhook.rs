//! Webhooks.

use keystow_engine::model::{DeliveryState, Webhook, WebhookDelivery};
use keystow_engine::ops::IssuedWebhook;

use super::{moment, text};
use crate::api::{IssuedWebhookRow, WebhookDeliveryRow, WebhookRow};

pub(in super::super) fn webhook(webhook: &Webhook) -> WebhookRow {
    let state = match (webhook.paused, &webhook.last_error) {
        (true, _) => "paused",
        (false, Some(_)) => "failing",
        (false, None) => "active",
    };
    WebhookRow {
        id: webhook.id.clone(),
        account: text(&webhook.account),
        project: webhook.project.as_ref().map(text),
        instance: webhook.instance.as_ref().map(text),
        url: webhook.url.clone(),
        events: webhook.kinds.iter().map(text).collect(),
        state: state.to_owned(),
        created_at: moment(webhook.created_at),
        created_by: webhook.created_by.clone(),
        last_ok_at: webhook.last_ok_at.map(moment),
        last_failed_at: webhook.last_failed_at.map(moment),
        last_error: webhook.last_error.clone(),
    }
}

pub(in super::super) fn issued_webhook(issued: &IssuedWebhook) -> IssuedWebhookRow {
    IssuedWebhookRow {
        webhook: webhook(&issued.webhook),
        secret: String::from_utf8_lossy(issued.secret.expose()).into_owned(),
    }
}

pub(in super::super) fn webhook_delivery(delivery: &WebhookDelivery) -> WebhookDeliveryRow {
    let notice = &delivery.notice;
    WebhookDeliveryRow {
        id: text(&notice.id),
        event: text(&notice.kind),
        at: moment(notice.at),
        instance: notice.instance.as_ref().map(|instance| text(&instance.id)),
        backup: notice.backup.as_ref().map(|backup| backup.number),
        code: notice.code.clone(),
        message: notice.message.clone(),
        state: delivery.state.as_str().to_owned(),
        tries: delivery.tries,
        due_at: (delivery.state == DeliveryState::Pending).then(|| moment(delivery.due_at)),
        ended_at: delivery.ended_at.map(moment),
        status: delivery.status,
        error: delivery.error.clone(),
    }
}
