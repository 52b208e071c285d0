//! What is done with an instance's backups by itself: when they are taken, how long they are kept, how often they are
//! looked at again.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::calendar::spread;
use super::{AccountId, BackupId, Calendar, InstanceId, Planned, Retention, Span, Window};
use crate::error::Error;

/// The policy of one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// When backups are taken; none = only by hand.
    pub schedules: Vec<Schedule>,
    /// IANA name of the zone of cron lines, windows, and days of retention.
    pub time_zone: String,
    /// Each instance starts later than its cron line says, by a time of its own up to this.
    pub jitter: Span,
    /// The parts of the day in which a backup may start; none = all of it. A fire outside waits for the next.
    pub windows: Vec<Window>,
    /// What is kept.
    pub keep: Retention,
    /// How often the stored bytes of each backup are read again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify_every: Option<Span>,
    /// How often the newest backup is loaded into a throw-away server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drill_every: Option<Span>,
    /// Other repositories that get a copy of each available backup, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub copies: Vec<String>,
    /// Whether one backup is taken late when fires were missed.
    pub catch_up: bool,
    /// Takes no backups. Retention, verification and drills go on.
    pub paused: bool,
}

/// When backups are taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Five fields: minute, hour, day of month, month, day of week.
    pub cron: String,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            schedules: Vec::new(),
            time_zone: "UTC".to_owned(),
            jitter: Span::ZERO,
            windows: Vec::new(),
            keep: Retention::default(),
            verify_every: None,
            drill_every: None,
            copies: Vec::new(),
            catch_up: true,
            paused: false,
        }
    }
}

/// Verifications and drills are no more frequent than this.
const SHORTEST_ROUND: Span = Span::of_seconds(3600);

impl Policy {
    /// What an instance has unless somebody says otherwise: a backup a day, at a time of its own, kept for 7 days, read
    /// again every 3.
    pub fn usual(account: &AccountId, instance: &InstanceId) -> Self {
        let minute = spread(&seed(account, instance)) % (24 * 60);
        Self {
            schedules: vec![Schedule { cron: format!("{} {} * * *", minute % 60, minute / 60) }],
            keep: Retention { within: Span::days(7), ..Retention::default() },
            verify_every: Some(Span::days(3)),
            ..Self::default()
        }
    }

    /// Its calendar. `INVALID_VALUE` if a part of the policy is not right.
    pub fn calendar(&self, account: &AccountId, instance: &InstanceId) -> Result<Calendar, Error> {
        Calendar::of(self, &seed(account, instance))
    }

    /// Refuses what could not be followed.
    pub fn check(&self, account: &AccountId, instance: &InstanceId) -> Result<Calendar, Error> {
        let calendar = self.calendar(account, instance)?;
        self.keep.check()?;
        for (what, every) in [("verify", self.verify_every), ("drill", self.drill_every)] {
            if every.is_some_and(|every| every < SHORTEST_ROUND) {
                return Err(Error::invalid(format!("to {what} more often than every hour is too often")));
            }
        }
        Ok(calendar)
    }
}

/// What an instance's own share of time follows from.
fn seed(account: &AccountId, instance: &InstanceId) -> String {
    format!("{account}/{instance}")
}

/// A policy as the catalog keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptPolicy {
    /// The account that owns the instance.
    pub account: AccountId,
    /// The instance.
    pub instance: InstanceId,
    /// Grows by one with each change.
    pub version: u64,
    /// What is asked for.
    pub policy: Policy,
    /// When it was changed.
    pub changed_at: Timestamp,
    /// The access key that changed it.
    pub changed_by: String,
    /// The next fire; `None` while it is paused or has no schedule.
    pub next: Option<Planned>,
    /// When a backup that failed is tried again.
    pub retry_at: Option<Timestamp>,
    /// How often the last automated backup has failed in a row.
    pub tries: u32,
    /// When its backups are looked through next, for what is to be removed, verified or drilled.
    pub upkeep_at: Timestamp,
    /// When a drill was last asked for by it.
    pub drilled_at: Option<Timestamp>,
}

/// A fire that has come, as it is to be written down.
#[derive(Debug, Clone)]
pub struct Firing {
    /// The policy as it was read.
    pub kept: KeptPolicy,
    /// What is done: a fire of its calendar, or another try of a backup that failed.
    pub what: FiringKind,
    /// The id of the backup, if one is taken.
    pub backup: BackupId,
}

/// What a fire is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FiringKind {
    /// Of the calendar.
    Scheduled {
        /// The moment that it stands for.
        at: Timestamp,
        /// Why no backup is taken, if none is.
        missed: Option<String>,
        /// What is worth knowing of one that is taken, such as that it is late.
        note: Option<String>,
        /// The next one.
        next: Option<Planned>,
    },
    /// A later start of the same fire: its window is closed.
    Postponed(Timestamp),
    /// Another try.
    Retry {
        /// Why it is not made, if it is not.
        missed: Option<String>,
    },
}

/// What became of a fire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FireOutcome {
    /// A backup was asked for.
    Started,
    /// Another one of the instance was under way.
    Skipped,
    /// Nobody looked in time, and the policy does not catch up.
    Missed,
}

impl FireOutcome {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Skipped => "skipped",
            Self::Missed => "missed",
        }
    }
}

/// A fire of the past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fire {
    /// The moment that it stands for; of another try, when that was.
    pub at: Timestamp,
    /// When it was looked at.
    pub seen_at: Timestamp,
    /// What became of it.
    pub outcome: FireOutcome,
    /// The backup, if one was asked for.
    pub backup: Option<BackupId>,
    /// Why, or what is worth knowing.
    pub note: Option<String>,
}
