//! Webhooks and what they are told.

use super::{
    Columns, damaged, flag, json, json_option, moment, moment_option, owned, owned_option, parsed,
    parsed_option, small, text, word,
};
use crate::error::Result;
use crate::model::{WatchedInstance, Webhook, WebhookDelivery};

pub(in super::super) fn webhook(row: &impl Columns) -> Result<Webhook> {
    Ok(Webhook {
        id: owned(row, "id")?,
        account: parsed(row, "account")?,
        project: parsed_option(row, "project")?,
        instance: parsed_option(row, "instance")?,
        url: owned(row, "url")?,
        sealed_secret: row.bytes("sealed_secret")?.unwrap_or_default().to_vec(),
        kinds: json(row, "kinds")?,
        paused: flag(row, "paused")?,
        created_at: moment(row, "created_at")?,
        created_by: owned(row, "created_by")?,
        last_ok_at: moment_option(row, "last_ok_at")?,
        last_failed_at: moment_option(row, "last_failed_at")?,
        last_error: owned_option(row, "last_error")?,
    })
}

pub(in super::super) fn webhook_delivery(row: &impl Columns) -> Result<WebhookDelivery> {
    let status = row.integer("status")?;
    Ok(WebhookDelivery {
        webhook: text(row, "webhook")?.to_owned(),
        notice: json(row, "notice")?,
        created_at: moment(row, "created_at")?,
        due_at: moment(row, "due_at")?,
        tries: small(row, "tries")?,
        state: word(row, "state")?,
        status: status.map(|value| value.try_into().map_err(|error| damaged("status", error))).transpose()?,
        error: owned_option(row, "error")?,
        ended_at: moment_option(row, "ended_at")?,
    })
}

pub(in super::super) fn watched_instance(row: &impl Columns) -> Result<WatchedInstance> {
    let policy = (json_option(row, "policy")?, moment_option(row, "changed_at")?);
    Ok(WatchedInstance {
        account: parsed(row, "account")?,
        id: parsed(row, "id")?,
        name: owned(row, "name")?,
        project: parsed_option(row, "project")?,
        added_at: moment(row, "created_at")?,
        last_good: moment_option(row, "good_at")?,
        policy: policy.0.zip(policy.1),
    })
}
