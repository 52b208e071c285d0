//! Lengths of time as people write them: `90s`, `15m`, `6h`, `7d`, `4w`.

use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// A length of time in whole seconds, at most 100 years. A day has 24 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(i64);

/// Units and their seconds, longest first.
const UNITS: [(char, i64); 5] = [('w', 604_800), ('d', 86_400), ('h', 3600), ('m', 60), ('s', 1)];
const LONGEST: i64 = 100 * 366 * 86_400;

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// An hour.
    pub const HOUR: Self = Self(3600);

    /// So many seconds.
    pub(crate) const fn of_seconds(seconds: i64) -> Self {
        Self(seconds)
    }

    /// So many days.
    pub fn days(days: u32) -> Self {
        Self((i64::from(days) * 86_400).min(LONGEST))
    }

    /// So many hours.
    pub fn hours(hours: u32) -> Self {
        Self((i64::from(hours) * 3600).min(LONGEST))
    }

    /// So many minutes.
    pub fn minutes(minutes: u32) -> Self {
        Self((i64::from(minutes) * 60).min(LONGEST))
    }

    /// Seconds.
    pub fn seconds(self) -> i64 {
        self.0
    }

    /// Whether it is none.
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The moment so long after another; the calendar's last if there is none.
    pub fn after(self, at: Timestamp) -> Timestamp {
        at.saturating_add(SignedDuration::from_secs(self.0)).unwrap_or(Timestamp::MAX)
    }

    /// The moment so long before another; the calendar's first if there is none.
    pub fn before(self, at: Timestamp) -> Timestamp {
        at.saturating_sub(SignedDuration::from_secs(self.0)).unwrap_or(Timestamp::MIN)
    }
}

impl FromStr for Span {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || {
            let shown: String = text.chars().take(40).collect();
            Error::invalid(format!("'{shown}' is not a length of time"))
                .hint("write it as 90s, 15m, 6h, 7d or 4w")
        };
        if text == "0" {
            return Ok(Self::ZERO);
        }
        let unit = UNITS.into_iter().find(|(unit, _)| text.ends_with(*unit)).ok_or_else(wrong)?;
        let digits = &text[..text.len() - 1];
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(wrong());
        }
        let seconds = digits.parse::<i64>().ok().and_then(|count| count.checked_mul(unit.1));
        seconds.filter(|seconds| *seconds <= LONGEST).map(Self).ok_or_else(wrong)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Weeks are read, but days are what people compare.
        let units = UNITS.into_iter().filter(|(unit, _)| *unit != 'w');
        let (unit, seconds) =
            units.into_iter().find(|(_, seconds)| self.0 != 0 && self.0 % seconds == 0).unwrap_or(('s', 1));
        write!(f, "{}{unit}", self.0 / seconds)
    }
}

impl TryFrom<String> for Span {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_and_written_again() {
        for (text, shown) in [
            ("90s", "90s"),
            ("15m", "15m"),
            ("24h", "1d"),
            ("7d", "7d"),
            ("4w", "28d"),
            ("0", "0s"),
            ("0d", "0s"),
        ] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), shown, "{text}");
            assert_eq!(shown.parse::<Span>().unwrap(), text.parse::<Span>().unwrap());
        }
        for text in ["", "7", "d", "-1d", "+1d", "1.5h", "é", "1y", "9999999999999999999d", "999999d"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }
}
