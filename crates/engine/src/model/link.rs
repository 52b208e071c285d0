//! Download links that the catalog remembers, and what ends them early.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{AccountId, BackupId, InstanceId, Number};
use crate::error::Error;

/// The side that a link is for. Each has its own listener, which refuses the other's links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// The internet.
    Public,
    /// The private network.
    Intranet,
}

impl Network {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Intranet => "intranet",
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Network {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "public" => Ok(Self::Public),
            "intranet" => Ok(Self::Intranet),
            _ => Err(Error::invalid("unknown network").hint("use public or intranet")),
        }
    }
}

/// A link that the catalog remembers, so that it can be listed, counted and revoked by itself.
#[derive(Debug, Clone)]
pub struct RememberedLink {
    /// Its id, `lnk-` and a number.
    pub id: String,
    /// The account that owns the backup.
    pub account: AccountId,
    /// The backup.
    pub backup: BackupId,
    /// The part's number.
    pub part: Number,
    /// The part's file name.
    pub file_name: String,
    /// The side that it is for.
    pub network: Network,
    /// The access key that asked for it.
    pub access_key: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// Addresses (CIDR) that may use it, or, with `!` in front, may not; empty = all may.
    pub addresses: Vec<String>,
    /// How much it may deliver; `None` = any amount.
    pub budget: Option<DeliveryBudget>,
    /// How fast it delivers, and to how many at once.
    pub throughput: Throughput,
    /// What it was used for so far, a second or two ago.
    pub usage: LinkUsage,
}

/// How fast downloads go, and how many at once, on each node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Throughput {
    /// Most bytes a second, of all downloads together; `None` = as fast as they go.
    pub bytes_per_second: Option<u64>,
    /// Most downloads at once; `None` = any number.
    pub connections: Option<u32>,
}

impl Throughput {
    /// Whether it limits anything.
    pub fn is_limited(self) -> bool {
        self != Self::default()
    }
}

/// What a link was used for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkUsage {
    /// Requests that were sent bytes.
    pub requests: u64,
    /// Bytes sent.
    pub bytes: u64,
    /// When it was last used.
    pub last_at: Option<Timestamp>,
    /// From where.
    pub last_address: Option<String>,
}

/// How much a limited link may deliver, in bytes, so that a look at the headers or a resumed transfer costs no more
/// than what was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliveryBudget {
    /// Deliveries allowed.
    pub deliveries: u32,
    /// Bytes that one delivery has.
    pub size_bytes: u64,
    /// Bytes sent so far, without those that were forgiven.
    pub sent_bytes: u64,
    /// Bytes sent and not counted, as their connections broke.
    pub forgiven_bytes: u64,
}

/// Most bytes that one broken connection is forgiven: what a socket's send buffer holds by Linux's usual limits.
const MOST_FORGIVEN: u64 = 4 * 1024 * 1024;

/// Bytes of a counted link that a node promises to a transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promise {
    /// Names it.
    pub id: String,
    /// The link.
    pub link: String,
    /// The node that transfers them. When it is lost, they are free again.
    pub node: String,
    /// Bytes.
    pub bytes: u64,
}

impl DeliveryBudget {
    /// Bytes that may be sent in all. The slack lets a download manager probe a few bytes first; it is never
    /// enough for another delivery.
    pub fn allowance(&self) -> u64 {
        let slack = (self.size_bytes / 2).min(64 * 1024);
        u64::from(self.deliveries).saturating_mul(self.size_bytes).saturating_add(slack)
    }

    /// Whether every delivery was made.
    pub fn is_used_up(&self) -> bool {
        self.sent_bytes >= u64::from(self.deliveries).saturating_mul(self.size_bytes)
    }

    /// How many of the last bytes before a connection broke are not counted, if `doubtful` of them may never have
    /// arrived: in all at most half of every delivery, so that no two whole ones are made of one.
    pub fn forgives(&self, doubtful: u64) -> u64 {
        let half = self.size_bytes / 2;
        let left = u64::from(self.deliveries).saturating_mul(half).saturating_sub(self.forgiven_bytes);
        doubtful.min(MOST_FORGIVEN).min(half).min(left)
    }

    /// Whether a transfer of `bytes` may start now, beside those to which `promised` bytes are promised.
    pub fn admits(&self, bytes: u64, promised: u64) -> Admission {
        let fits = |promised: u64| {
            !self.is_used_up()
                && self.sent_bytes.saturating_add(promised).saturating_add(bytes) <= self.allowance()
        };
        match (fits(promised), fits(0)) {
            (true, _) => Admission::Now,
            (false, true) => Admission::Later,
            (false, false) => Admission::Never,
        }
    }
}

/// Whether a transfer of a counted link may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It may.
    Now,
    /// Not beside the transfers under way, but after them, if they break.
    Later,
    /// Its bytes were sent already.
    Never,
}

/// All links that are ended by "all links issued before now".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RevocationScope {
    /// Those that an access key asked for.
    AccessKey(String),
    /// Those of a backup.
    Backup(BackupId),
    /// Those of an instance.
    Instance(InstanceId),
}

/// Who may use links unless whoever asks for them says otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkRestriction {
    /// No public links.
    pub intranet_only: bool,
    /// The addresses; `None` = any.
    pub limit: Option<LinkLimit>,
}

/// A limit on the addresses that may use a link, as it was set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkLimit {
    /// The addresses may not, everybody else may; never about the VPCs.
    pub except: bool,
    /// Addresses or CIDRs.
    pub addresses: Vec<String>,
    /// VPC ids, each with its region; `[networks]` says which addresses they have.
    pub vpcs: Vec<(String, String)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn once(size_bytes: u64, sent_bytes: u64) -> DeliveryBudget {
        DeliveryBudget { deliveries: 1, size_bytes, sent_bytes, forgiven_bytes: 0 }
    }

    #[test]
    fn a_broken_connection_is_forgiven_its_buffer_but_never_more_than_half_of_a_delivery() {
        assert_eq!(once(1000, 0).forgives(300), 300);
        assert_eq!(once(1000, 0).forgives(1000), 500);
        assert_eq!(DeliveryBudget { forgiven_bytes: 400, ..once(1000, 0) }.forgives(1000), 100);
        assert_eq!(DeliveryBudget { forgiven_bytes: 500, ..once(1000, 0) }.forgives(1000), 0);
        assert_eq!(once(1 << 40, 0).forgives(u64::MAX), MOST_FORGIVEN);
    }

    #[test]
    fn a_probe_or_a_resumed_range_does_not_burn_a_single_use_link() {
        assert_eq!(once(1000, 1).admits(1000, 0), Admission::Now);
        assert_eq!(once(1000, 600).admits(400, 0), Admission::Now);
    }

    #[test]
    fn a_second_delivery_is_refused_even_while_the_first_runs() {
        assert_eq!(once(1000, 0).admits(1000, 1000), Admission::Later);
        assert_eq!(once(1000, 400).admits(600, 600), Admission::Later);
        assert_eq!(once(1000, 1000).admits(1, 0), Admission::Never);
        assert_eq!(once(1000, 600).admits(1000, 600), Admission::Never);
        assert_eq!(once(10, 0).admits(10, 10), Admission::Later);
    }
}
