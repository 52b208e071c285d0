//! Who was given links, and who downloaded what.

use jiff::Timestamp;

use super::{AccountId, BackupId, InstanceId, Network, Number, Page, ProjectId};

/// What a record of the access log is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AccessKind {
    /// An API call was given links.
    Links,
    /// A download, as far as it went.
    Download,
    /// So many records were not kept, because there were too many at a time.
    Lost,
}

impl AccessKind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Links => "links",
            Self::Download => "download",
            Self::Lost => "lost",
        }
    }
}

impl std::str::FromStr for AccessKind {
    type Err = crate::error::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Links, Self::Download, Self::Lost].into_iter().find(|kind| kind.as_str() == text).ok_or_else(
            || crate::error::Error::invalid("unknown kind of access").hint("use links, download or lost"),
        )
    }
}

/// A record of the access log. Like ones of a second are one record with a count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRecord {
    /// Its number, given when it is kept; later ones are higher.
    pub number: u64,
    /// When it ended; of several, the last.
    pub at: Timestamp,
    /// What it is about.
    pub kind: AccessKind,
    /// The account.
    pub account: String,
    /// The access key that asked, or that had asked for the link.
    pub access_key: String,
    /// The caller's address.
    pub address: Option<String>,
    /// How it was asked for: `native`, a dialect's name or `download`.
    pub via: String,
    /// The backup.
    pub backup: Option<BackupId>,
    /// Its instance.
    pub instance: Option<InstanceId>,
    /// Numbers of the parts.
    pub parts: Vec<Number>,
    /// The side or sides.
    pub networks: Vec<Network>,
    /// Id of the remembered link.
    pub link: Option<String>,
    /// When the links end.
    pub expires_at: Option<Timestamp>,
    /// The bytes that were asked for, from and until (not included).
    pub range: Option<(u64, u64)>,
    /// Bytes sent, of all together.
    pub sent_bytes: u64,
    /// `given`, or `given direct` where the store itself answers; of a download `done` (all that was asked for was sent), `broken` or `refused: <why>`.
    pub outcome: String,
    /// How many there were.
    pub requests: u64,
}

/// Which records to list.
#[derive(Debug, Clone, Default)]
pub struct AccessFilter {
    /// Of this account; the caller's own if absent.
    pub account: Option<AccountId>,
    /// At or after.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
    /// Of this backup.
    pub backup: Option<BackupId>,
    /// Of backups of this instance.
    pub instance: Option<InstanceId>,
    /// Of this remembered link.
    pub link: Option<String>,
    /// Of this access key.
    pub access_key: Option<String>,
    /// Only about this.
    pub kind: Option<AccessKind>,
    /// Of backups of this project.
    pub project: Option<ProjectId>,
    /// Which of them.
    pub page: Page,
}
