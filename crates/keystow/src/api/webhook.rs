//! Webhooks, and what they are told.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A webhook to add.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewWebhookRequest {
    /// Where notices are posted to: `https` or `http`.
    pub(crate) url: String,
    /// What it is told, such as `backup.failed`; empty = everything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) events: Vec<String>,
    /// The instance that it is told of; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) instance: Option<String>,
    /// What signs its notices, 16 to 256 bytes; minted if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) secret: Option<String>,
    /// The account; the caller's own if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) account: Option<String>,
}

/// A webhook.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct WebhookRow {
    /// Its id.
    pub(crate) id: String,
    /// The account whose notices it gets.
    pub(crate) account: String,
    /// The project whose notices it gets; absent = those of the whole account.
    pub(crate) project: Option<String>,
    /// The instance whose notices it gets; absent = those of all.
    pub(crate) instance: Option<String>,
    /// Where notices are posted to; without path for whoever is no admin.
    pub(crate) url: String,
    /// What it is told; empty = everything.
    pub(crate) events: Vec<String>,
    /// `active`, `paused` or `failing`: it did not take the last notice.
    pub(crate) state: String,
    /// When it was added (RFC 3339).
    pub(crate) created_at: String,
    /// The access key that added it.
    pub(crate) created_by: String,
    /// When it last took a notice.
    pub(crate) last_ok_at: Option<String>,
    /// When it last took none.
    pub(crate) last_failed_at: Option<String>,
    /// Why not, if it has taken none since.
    pub(crate) last_error: Option<String>,
}

/// A webhook with its secret, shown this once.
#[derive(Serialize, Deserialize, ToSchema)]
pub(crate) struct IssuedWebhookRow {
    /// The webhook.
    #[serde(flatten)]
    pub(crate) webhook: WebhookRow,
    /// What signs its notices.
    pub(crate) secret: String,
}

/// A change of a webhook.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookChangeRequest {
    /// Whether it is told nothing for now.
    pub(crate) paused: bool,
}

/// A test that the receiver took.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct WebhookTestRow {
    /// The HTTP status of its answer.
    pub(crate) status: u16,
    /// Milliseconds that it took.
    pub(crate) took_ms: u64,
}

/// A notice on its way to a webhook.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct WebhookDeliveryRow {
    /// The notice's id, which every try carries.
    pub(crate) id: String,
    /// What it is about, such as `backup.failed`.
    pub(crate) event: String,
    /// When it happened (RFC 3339).
    pub(crate) at: String,
    /// The instance.
    pub(crate) instance: Option<String>,
    /// The backup's number.
    pub(crate) backup: Option<u64>,
    /// The code of the error, or of what was found.
    pub(crate) code: String,
    /// What happened.
    pub(crate) message: String,
    /// `pending`, `done` or `given_up`.
    pub(crate) state: String,
    /// How often it was sent.
    pub(crate) tries: u32,
    /// When it is sent next, if it is pending.
    pub(crate) due_at: Option<String>,
    /// When it ended.
    pub(crate) ended_at: Option<String>,
    /// The HTTP status of the last answer.
    pub(crate) status: Option<u16>,
    /// Why the last try was none.
    pub(crate) error: Option<String>,
}

/// A page of notices, newest first.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct WebhookDeliveryList {
    /// All matches, before paging.
    pub(crate) total: u64,
    /// The page.
    pub(crate) deliveries: Vec<WebhookDeliveryRow>,
}
