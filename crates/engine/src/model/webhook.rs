//! Webhooks: whom the service tells by itself that something went wrong, and what it tells.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{AccountId, Backup, BackupId, Failure, InstanceId, Number, Policy, ProjectId};
use crate::error::Error;

/// Somebody's HTTP server that is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Its id: `wh-` and eight letters and digits.
    pub id: String,
    /// The account whose notices it gets.
    pub account: AccountId,
    /// The project whose notices it gets; `None` = those of the whole account.
    pub project: Option<ProjectId>,
    /// The instance whose notices it gets; `None` = those of all.
    pub instance: Option<InstanceId>,
    /// Where notices are posted to: `http` or `https`, without user and password.
    pub url: String,
    /// The secret that signs them, sealed.
    pub sealed_secret: Vec<u8>,
    /// What it is told; empty = everything.
    pub kinds: Vec<NoticeKind>,
    /// Whether it is told nothing for now.
    pub paused: bool,
    /// When it was added.
    pub created_at: Timestamp,
    /// The access key that added it.
    pub created_by: String,
    /// When it last took a notice.
    pub last_ok_at: Option<Timestamp>,
    /// When it last took none.
    pub last_failed_at: Option<Timestamp>,
    /// Why it took none then; empty again once it takes one.
    pub last_error: Option<String>,
}

impl Webhook {
    /// Whether it is told of such things.
    pub fn wants(&self, kind: NoticeKind) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&kind)
    }

    /// A new id, from 40 random bits.
    pub fn mint_id() -> String {
        InstanceId::mint().as_str().replacen("ks-", "wh-", 1)
    }
}

/// What a notice is about. Its text is a contract: receivers look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum NoticeKind {
    /// A backup failed, and is not tried again before the next one is due.
    BackupFailed,
    /// Every byte of a backup arrived, but it cannot be vouched for.
    BackupQuarantined,
    /// Some shards of a backup are missing.
    BackupPartial,
    /// A stored backup is no longer what was sealed.
    BackupDamaged,
    /// A damaged backup is whole again.
    BackupRestoredWhole,
    /// A backup is good, but much smaller than those before it.
    BackupTooSmall,
    /// An instance has had no good backup for too long.
    InstanceTooOld,
    /// It has one again.
    InstanceRecovered,
    /// A backup could not be loaded into a throw-away server.
    DrillFailed,
    /// A copy of a backup could not be made; told once until it is there.
    CopyFailed,
    /// Somebody wants to know whether the webhook works.
    WebhookTest,
}

impl NoticeKind {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::BackupFailed,
        Self::BackupQuarantined,
        Self::BackupPartial,
        Self::BackupDamaged,
        Self::BackupRestoredWhole,
        Self::BackupTooSmall,
        Self::InstanceTooOld,
        Self::InstanceRecovered,
        Self::DrillFailed,
        Self::CopyFailed,
        Self::WebhookTest,
    ];

    /// The text, such as `backup.failed`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BackupFailed => "backup.failed",
            Self::BackupQuarantined => "backup.quarantined",
            Self::BackupPartial => "backup.partial",
            Self::BackupDamaged => "backup.damaged",
            Self::BackupRestoredWhole => "backup.restored_whole",
            Self::BackupTooSmall => "backup.too_small",
            Self::InstanceTooOld => "instance.too_old",
            Self::InstanceRecovered => "instance.recovered",
            Self::DrillFailed => "drill.failed",
            Self::CopyFailed => "copy.failed",
            Self::WebhookTest => "webhook.test",
        }
    }
}

impl fmt::Display for NoticeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for NoticeKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| {
            let shown: String = text.chars().take(40).collect();
            let all = Self::ALL.map(Self::as_str).join(", ");
            Error::invalid(format!("'{shown}' is nothing that a webhook is told"))
                .hint(format!("choose from {all}"))
        })
    }
}

impl TryFrom<String> for NoticeKind {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<NoticeKind> for String {
    fn from(kind: NoticeKind) -> Self {
        kind.as_str().to_owned()
    }
}

/// A notice's id: UUID v7. The same at every webhook and in every try, so that receivers can drop doubles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NoticeId(Uuid);

impl NoticeId {
    /// A new id for something that happened at `at`.
    pub fn mint(at: Timestamp) -> Self {
        let seconds = u64::try_from(at.as_second()).unwrap_or(0);
        let nanos = u32::try_from(at.subsec_nanosecond()).unwrap_or(0);
        Self(Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanos)))
    }
}

impl FromStr for NoticeId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Uuid::try_parse(text).map(Self).map_err(|_| Error::invalid("that is no id of a notice"))
    }
}

impl fmt::Display for NoticeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// Something that happened, as receivers get it: the fields stand in this order, and what there is none of is `null`.
/// Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Its id.
    pub id: NoticeId,
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: NoticeKind,
    /// When it happened.
    pub at: Timestamp,
    /// Whose it is.
    pub account: AccountId,
    /// The instance's project.
    pub project: Option<ProjectId>,
    /// The instance.
    pub instance: Option<NoticedInstance>,
    /// The backup.
    pub backup: Option<NoticedBackup>,
    /// The code of the error, or of what was found.
    pub code: String,
    /// What happened, for a person.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
}

/// The instance of a notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticedInstance {
    /// Its id.
    pub id: InstanceId,
    /// A person's name for it.
    pub name: String,
}

/// The backup of a notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticedBackup {
    /// Its id.
    pub id: BackupId,
    /// Its number.
    pub number: Number,
}

impl Notice {
    /// Of something that happened to an account.
    pub fn new(kind: NoticeKind, account: AccountId, what: Failure, at: Timestamp) -> Self {
        Self {
            id: NoticeId::mint(at),
            kind,
            at,
            account,
            project: None,
            instance: None,
            backup: None,
            code: what.code,
            message: what.message,
            hint: what.hint,
        }
    }

    /// Of something that happened to a backup.
    pub fn of_backup(kind: NoticeKind, backup: &Backup, what: Failure, at: Timestamp) -> Self {
        let noticed = NoticedBackup { id: backup.id, number: backup.number };
        Self {
            project: backup.project.clone(),
            instance: Some(NoticedInstance {
                id: backup.instance.clone(),
                name: backup.instance_name.clone(),
            }),
            backup: Some(noticed),
            ..Self::new(kind, backup.account.clone(), what, at)
        }
    }
}

/// How a notice stands with one webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// It is still to be sent.
    Pending,
    /// The receiver took it.
    Done,
    /// It never did.
    GivenUp,
}

impl DeliveryState {
    /// The text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Done => "done",
            Self::GivenUp => "given_up",
        }
    }
}

/// A notice on its way to one webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookDelivery {
    /// The webhook.
    pub webhook: String,
    /// What it is told.
    pub notice: Notice,
    /// When the notice was written down.
    pub created_at: Timestamp,
    /// When it is sent, if it is pending.
    pub due_at: Timestamp,
    /// How often it was sent so far.
    pub tries: u32,
    /// How it stands.
    pub state: DeliveryState,
    /// The HTTP status of the last answer, if there was one.
    pub status: Option<u16>,
    /// Why the last try was none.
    pub error: Option<String>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// What became of one try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryTry {
    /// The HTTP status of the answer, if there was one.
    pub status: Option<u16>,
    /// Why it was none; `None` = the receiver took the notice.
    pub error: Option<String>,
    /// After how long the next try comes; `None` = no more.
    pub again: Option<Duration>,
}

/// An instance, and what says how old its last good backup may be.
#[derive(Debug, Clone)]
pub struct WatchedInstance {
    /// Its account.
    pub account: AccountId,
    /// Its id.
    pub id: InstanceId,
    /// A person's name for it.
    pub name: String,
    /// Its project.
    pub project: Option<ProjectId>,
    /// When it was added.
    pub added_at: Timestamp,
    /// When its newest available backup was begun.
    pub last_good: Option<Timestamp>,
    /// Its policy, and when that was last changed.
    pub policy: Option<(Policy, Timestamp)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_read_back_and_others_are_refused_with_the_list() {
        for kind in NoticeKind::ALL {
            assert_eq!(kind.as_str().parse::<NoticeKind>().unwrap(), kind);
        }
        let refused = "backup.exploded".parse::<NoticeKind>().unwrap_err();
        assert!(refused.hint.unwrap().contains("backup.failed, backup.quarantined"));
    }

    #[test]
    fn a_notice_has_one_shape() {
        let what = Failure { code: "X".to_owned(), message: "m".to_owned(), hint: None };
        let at: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let notice = Notice::new(NoticeKind::WebhookTest, AccountId::default(), what, at);
        let text = serde_json::to_string(&notice).unwrap();
        let rest = format!(
            "{{\"id\":\"{}\",\"type\":\"webhook.test\",\"at\":\"2026-03-01T12:00:00Z\",\"account\":\"default\",\
             \"project\":null,\"instance\":null,\"backup\":null,\"code\":\"X\",\"message\":\"m\",\"hint\":null}}",
            notice.id
        );
        assert_eq!(text, rest);
        assert_eq!(serde_json::from_str::<Notice>(&text).unwrap(), notice);
    }

    #[test]
    fn a_webhook_of_no_kinds_wants_them_all() {
        let webhook = |kinds: &[NoticeKind]| Webhook {
            id: Webhook::mint_id(),
            account: AccountId::default(),
            project: None,
            instance: None,
            url: String::new(),
            sealed_secret: Vec::new(),
            kinds: kinds.to_vec(),
            paused: false,
            created_at: Timestamp::UNIX_EPOCH,
            created_by: String::new(),
            last_ok_at: None,
            last_failed_at: None,
            last_error: None,
        };
        assert!(webhook(&[]).wants(NoticeKind::DrillFailed));
        assert!(webhook(&[NoticeKind::DrillFailed]).wants(NoticeKind::DrillFailed));
        assert!(!webhook(&[NoticeKind::DrillFailed]).wants(NoticeKind::BackupFailed));
        assert!(webhook(&[]).id.starts_with("wh-"));
    }
}
