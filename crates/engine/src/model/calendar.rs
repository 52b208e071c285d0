//! When a policy falls due: cron lines in a time zone, shifted by jitter and into the windows of the day.
//!
//! A cron line names wall clock times. Each of them is one moment: a time that a clock change skips is the first moment
//! after the gap, and one that it repeats is the earlier of the two. So a year has as many fires as its calendar says,
//! whatever the clocks do.

use std::fmt;
use std::str::FromStr;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use super::{Policy, Span};
use crate::error::Error;

/// Longest cron line, in bytes.
const LONGEST_LINE: usize = 120;
/// Most cron lines of a policy.
const MOST_LINES: usize = 24;
/// Most windows of a policy.
const MOST_WINDOWS: usize = 24;
/// Jitter is no longer than this.
const LONGEST_JITTER: Span = Span::of_seconds(12 * 3600);
/// Missed fires that are counted one by one.
const MOST_COUNTED: u32 = 2000;
/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// A part of the day, by the policy's own clock, in minutes after midnight. It may run past midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Window {
    /// Where it begins: 0 to 1439.
    pub from: u16,
    /// Where it ends, itself not in it: 1 to 1440.
    pub to: u16,
}

impl Window {
    fn holds(self, minute: u16) -> bool {
        if self.from < self.to {
            (self.from..self.to).contains(&minute)
        } else {
            minute >= self.from || minute < self.to
        }
    }
}

impl FromStr for Window {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let minute = |text: &str| {
            let (hour, minute) = text.split_once(':')?;
            let number = |text: &str| {
                let plain = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
                text.parse::<u16>().ok().filter(|_| plain)
            };
            let (hour, minute) = (number(hour)?, number(minute)?);
            (minute < 60).then_some(hour * 60 + minute)
        };
        let ends = text.split_once('-').and_then(|(from, to)| Some((minute(from)?, minute(to)?)));
        ends.filter(|(from, to)| *from < DAY && (1..=DAY).contains(to) && from != to)
            .map(|(from, to)| Self { from, to })
            .ok_or_else(|| {
                let shown: String = text.chars().take(40).collect();
                Error::invalid(format!("'{shown}' is not a window of the day"))
                    .hint("write it as 01:00-05:00; 22:00-04:00 runs past midnight")
            })
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}-{:02}:{:02}", self.from / 60, self.from % 60, self.to / 60, self.to % 60)
    }
}

impl TryFrom<String> for Window {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Window> for String {
    fn from(window: Window) -> Self {
        window.to_string()
    }
}

/// A fire: the moment that the cron line names, and the one at which the backup starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planned {
    /// What the cron line names.
    pub fire: Timestamp,
    /// After jitter, within a window.
    pub start: Timestamp,
}

/// What is due of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueFires {
    /// The last fire whose start has come.
    pub last: Timestamp,
    /// When it was to start.
    pub start: Timestamp,
    /// Fires before it that came to nothing, because nobody looked; counted up to 2000.
    pub missed: u32,
    /// The next fire.
    pub next: Option<Planned>,
}

/// The fires of one policy.
pub struct Calendar {
    lines: Vec<Cron>,
    zone: TimeZone,
    windows: Vec<Window>,
    jitter: SignedDuration,
}

impl Calendar {
    /// Reads a policy's cron lines, zone and windows. `seed` (the instance) decides how much of the jitter it gets.
    /// `INVALID_VALUE` names the line or zone that is not right.
    pub fn of(policy: &Policy, seed: &str) -> Result<Self, Error> {
        if policy.schedules.len() > MOST_LINES || policy.windows.len() > MOST_WINDOWS {
            return Err(Error::invalid(format!("a policy has at most {MOST_LINES} cron lines and windows")));
        }
        if policy.jitter > LONGEST_JITTER {
            return Err(Error::invalid("the jitter is longer than 12 hours"));
        }
        let zone = zone(&policy.time_zone)?;
        let lines =
            policy.schedules.iter().map(|schedule| line(&schedule.cron)).collect::<Result<Vec<_>, _>>()?;
        let jitter = match policy.jitter.seconds() {
            0 => SignedDuration::ZERO,
            most => SignedDuration::from_secs(i64::from(spread(seed)) % (most + 1)),
        };
        Ok(Self { lines, zone, windows: policy.windows.clone(), jitter })
    }

    /// The zone that the cron lines and the days of retention are of.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The first fire after a moment.
    pub fn next(&self, after: Timestamp) -> Option<Planned> {
        let fire = self.lines.iter().filter_map(|line| self.next_of(line, after)).min()?;
        Some(Planned { fire, start: self.start(fire) })
    }

    /// What is due at `now` of a policy whose next fire was `first`.
    pub fn due(&self, first: Timestamp, now: Timestamp) -> DueFires {
        let mut due = DueFires { last: first, start: self.start(first), missed: 0, next: None };
        let mut from = first;
        loop {
            due.next = self.next(from);
            let Some(next) = due.next.filter(|next| next.start <= now) else { return due };
            (due.last, due.start) = (next.fire, next.start);
            due.missed = due.missed.saturating_add(1);
            from = next.fire;
            if due.missed == MOST_COUNTED {
                // A long rest with a busy line: what lies between is not counted. No start is later than its fire by
                // more than jitter and a day.
                from = from.max(Span::hours(50).before(now));
            }
        }
    }

    /// When the backup of a fire starts. Never earlier for a later fire.
    fn start(&self, fire: Timestamp) -> Timestamp {
        let wanted = fire.saturating_add(self.jitter).unwrap_or(Timestamp::MAX);
        self.in_window(wanted)
    }

    /// The first moment from `wanted` on that a window holds; `wanted` itself if there are none.
    pub fn in_window(&self, wanted: Timestamp) -> Timestamp {
        let local = self.zone.to_datetime(wanted);
        let minute = u16::try_from(i32::from(local.hour()) * 60 + i32::from(local.minute())).unwrap_or(0);
        if self.windows.is_empty() || self.windows.iter().any(|window| window.holds(minute)) {
            return wanted;
        }
        let openings = self.windows.iter().flat_map(|window| {
            (0..=2).filter_map(|days| {
                let day = local.date().checked_add(i64::from(days).days()).ok()?;
                let hour = i8::try_from(window.from / 60).ok()?;
                let minute = i8::try_from(window.from % 60).ok()?;
                self.moment(day.at(hour, minute, 0, 0))
            })
        });
        openings.filter(|opening| *opening >= wanted).min().unwrap_or(wanted)
    }

    fn next_of(&self, line: &Cron, after: Timestamp) -> Option<Timestamp> {
        // Wall clock times in order never give moments out of order, so the first one that lies behind is the next.
        let mut civil = self.zone.to_datetime(after);
        loop {
            civil = next_civil(line, civil)?;
            let moment = self.moment(civil)?;
            if moment > after {
                return Some(moment);
            }
        }
    }

    /// The moment of a wall clock time: after the gap that skips it, or the earlier of two.
    fn moment(&self, civil: DateTime) -> Option<Timestamp> {
        let ambiguous = self.zone.to_ambiguous_timestamp(civil);
        match ambiguous.offset() {
            jiff::tz::AmbiguousOffset::Gap { .. } => {
                let inside = ambiguous.later().ok()?;
                // The last change of the clock at or before the later reading is the gap's end.
                let change =
                    self.zone.preceding(inside.saturating_add(SignedDuration::from_secs(1)).ok()?).next();
                Some(change.map_or(inside, |change| change.timestamp()))
            }
            _ => ambiguous.earlier().ok(),
        }
    }
}

/// The first wall clock time after another that a line names.
fn next_civil(line: &Cron, after: DateTime) -> Option<DateTime> {
    let plain = after.to_zoned(TimeZone::UTC).ok()?;
    line.find_next_occurrence(&plain, false).ok().map(|found| found.datetime())
}

/// Reads a cron line of five fields that fires at some time.
fn line(text: &str) -> Result<Cron, Error> {
    let shown: String = text.chars().take(LONGEST_LINE).collect();
    let wrong = |why: String| {
        Error::invalid(format!("the cron line '{shown}' is not right"))
            .because(why)
            .hint("five fields: minute, hour, day of month, month, day of week; such as \"30 3 * * *\"")
    };
    if text.len() > LONGEST_LINE || !text.is_ascii() {
        return Err(wrong(format!("it is longer than {LONGEST_LINE} bytes, or not plain text")));
    }
    if text.split_ascii_whitespace().count() != 5 {
        return Err(wrong("it has not five fields".to_owned()));
    }
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    let line = parser.parse(text).map_err(|error| wrong(error.to_string()))?;
    // Any moment will do: a line that names a day of some year names one of the next eight.
    let from = jiff::civil::date(2025, 1, 1).at(0, 0, 0, 0);
    match next_civil(&line, from).filter(|found| found.year() < 2125) {
        Some(_) => Ok(line),
        None => Err(wrong("no day of any year fits it".to_owned())),
    }
}

/// A time zone by its IANA name.
pub(super) fn zone(name: &str) -> Result<TimeZone, Error> {
    let known = (1..=64).contains(&name.len()).then(|| TimeZone::get(name).ok()).flatten();
    known.ok_or_else(|| {
        let shown: String = name.chars().take(64).collect();
        Error::invalid(format!("'{shown}' is not a time zone"))
            .hint("write it as UTC, Europe/Berlin or Asia/Shanghai")
    })
}

/// A number of 32 bits that follows from a text, spread evenly (FNV-1a, mixed once more).
pub(super) fn spread(text: &str) -> u32 {
    let hash =
        text.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    (hash ^ (hash >> 15)).wrapping_mul(0x2c1b_3c6d) ^ (hash >> 12)
}

#[cfg(test)]
mod tests;
