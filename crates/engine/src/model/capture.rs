//! How an instance is captured, and what a capture found on its way.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Failure, Topology};
use crate::error::Error;

/// How an instance is captured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CaptureOptions {
    /// By replication, key by key, or as the source allows.
    pub method: CaptureMethod,
    /// Which node of a shard is asked first.
    pub prefer: Prefer,
    /// What a doubt about the source's health does.
    pub checks: Checks,
    /// Most bytes a second that are read from one node; `None` = as fast as it sends.
    pub bytes_per_second: Option<u64>,
    /// Most keys a second that are read from one node key by key; `None` = as fast as it answers.
    pub keys_per_second: Option<u64>,
    /// Most shards at a time. Shards on one host are always taken one after the other.
    pub parallel: u32,
    /// Whether the source's `rdbcompression` is switched off around its fork.
    pub uncompressed: bool,
}

impl Default for CaptureOptions {
    fn default() -> Self {
        Self {
            method: CaptureMethod::Auto,
            prefer: Prefer::Replica,
            checks: Checks::Refuse,
            bytes_per_second: None,
            keys_per_second: None,
            parallel: 4,
            uncompressed: false,
        }
    }
}

/// By replication, key by key, or as the source allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CaptureMethod {
    /// By replication; key by key where the source hides `PSYNC`.
    #[default]
    Auto,
    /// By replication only.
    Physical,
    /// Key by key only.
    Logical,
}

/// Which node of a shard is asked first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Prefer {
    /// A healthy replica; the primary if there is none.
    #[default]
    Replica,
    /// The primary.
    Primary,
}

/// What a doubt about the source's health does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Checks {
    /// A serious one refuses the backup, another is noted on it.
    #[default]
    Refuse,
    /// All are only noted.
    Warn,
}

macro_rules! words {
    ($($type:ident: $($variant:ident = $word:literal),+;)+) => {$(
        impl $type {
            /// The word for it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $type {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(Error::invalid(format!("'{}' is not one of {}", text.chars().take(40).collect::<String>(), [$($word),+].join(", ")))),
                }
            }
        }
    )+};
}
pub(super) use words;

words! {
    CaptureMethod: Auto = "auto", Physical = "physical", Logical = "logical";
    Prefer: Replica = "replica", Primary = "primary";
    Checks: Refuse = "refuse", Warn = "warn";
}

/// Where a backup came from, as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BackupOrigin {
    /// How the source was laid out.
    pub topology: Topology,
    /// The cluster's epoch during the backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// Milliseconds between the first and the last shard's moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skew_ms: Option<u64>,
    /// Whether each part is of one instant. Read key by key, it is not.
    pub one_instant: bool,
    /// What is missing from a partial set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Missing>,
    /// The files that it was imported from; none unless it was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub imported: Vec<String>,
    /// What was odd about the source, in words for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// A shard that is missing from a set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Missing {
    /// Its slots.
    pub slots: Slots,
    /// Why.
    pub failure: Failure,
}

/// Where a part came from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartOrigin {
    /// The node, as a URL without user and password.
    pub node: String,
    /// Whether it was a primary.
    pub primary: bool,
    /// Why this node was taken.
    pub why: String,
    /// The slots that its shard owned; none unless it is of a cluster.
    #[serde(default, skip_serializing_if = "Slots::is_empty")]
    pub slots: Slots,
    /// The moment that it shows; of a part read key by key, when reading began.
    pub cut_at: Timestamp,
}

/// Slots of a cluster, as ranges: `0-5460,6000`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Slots(Vec<(u16, u16)>);

/// Slots of a cluster (Redis `src/cluster.h`, `CLUSTER_SLOTS`).
pub const SLOT_COUNT: u16 = 16_384;

impl Slots {
    /// From ranges, first and last slot each. What overlaps or touches is joined.
    pub fn new(ranges: impl IntoIterator<Item = (u16, u16)>) -> Self {
        let mut ranges: Vec<_> = ranges.into_iter().filter(|(first, last)| first <= last).collect();
        ranges.sort_unstable();
        let mut joined: Vec<(u16, u16)> = Vec::new();
        for (first, last) in ranges {
            match joined.last_mut() {
                Some(before) if u32::from(first) <= u32::from(before.1) + 1 => before.1 = before.1.max(last),
                _ => joined.push((first, last)),
            }
        }
        Self(joined)
    }

    /// A range as a server tells it, unless it is none.
    pub fn range(first: i64, last: i64) -> Option<(u16, u16)> {
        let (first, last) = (u16::try_from(first).ok()?, u16::try_from(last).ok()?);
        (first <= last && last < SLOT_COUNT).then_some((first, last))
    }

    /// Each of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = u16> {
        self.0.iter().flat_map(|(first, last)| *first..=*last)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The ranges, in order, first and last slot each.
    pub fn ranges(&self) -> &[(u16, u16)] {
        &self.0
    }

    /// Whether a slot is among them.
    pub fn contains(&self, slot: u16) -> bool {
        let after = self.0.partition_point(|(first, _)| *first <= slot);
        after > 0 && slot <= self.0[after - 1].1
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        self.0.iter().map(|(first, last)| u32::from(last - first) + 1).sum()
    }

    /// Those of a whole cluster that are not among these.
    #[must_use]
    pub fn rest(&self) -> Self {
        let mut rest = Vec::new();
        let mut next = 0;
        for (first, last) in &self.0 {
            if next < *first {
                rest.push((next, first - 1));
            }
            next = last + 1;
        }
        if next < SLOT_COUNT {
            rest.push((next, SLOT_COUNT - 1));
        }
        Self(rest)
    }
}

impl fmt::Display for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (first, last)) in self.0.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            if first == last {
                write!(f, "{comma}{first}")?;
            } else {
                write!(f, "{comma}{first}-{last}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for Slots {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let one = |text: &str| text.parse::<u16>().ok().filter(|slot| *slot < SLOT_COUNT);
        let range = |text: &str| match text.split_once('-') {
            Some((first, last)) => Some((one(first)?, one(last)?)),
            None => one(text).map(|slot| (slot, slot)),
        };
        let ranges: Option<Vec<_>> = text.split(',').filter(|text| !text.is_empty()).map(range).collect();
        ranges.map(Self::new).ok_or_else(|| Error::invalid("slots are written as 0-5460,6000"))
    }
}

impl Serialize for Slots {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Slots {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_join_and_leave_the_rest() {
        let slots = Slots::new([(100, 200), (0, 99), (300, 300)]);
        assert_eq!(slots.to_string(), "0-200,300");
        assert_eq!((slots.count(), slots.rest().to_string()), (202, "201-299,301-16383".to_owned()));
        assert!(slots.contains(0) && slots.contains(200) && slots.contains(300));
        assert!(!slots.contains(201) && !slots.contains(299) && !slots.contains(16_383));
        assert_eq!(Slots::new([(0, 16_383)]).rest(), Slots::default());
        assert_eq!(Slots::default().rest().count(), 16_384);
    }

    #[test]
    fn what_is_no_range_of_slots_is_none() {
        for (first, last) in [(-1, 0), (0, 16_384), (2, 1), (0, 70_000)] {
            assert_eq!(Slots::range(first, last), None, "{first}-{last}");
        }
        assert_eq!(Slots::range(0, 16_383), Some((0, 16_383)));
    }

    proptest! {
        #[test]
        fn slots_read_back(ranges in prop::collection::vec((0u16..16_384, 0u16..16_384), 0..20)) {
            let slots = Slots::new(ranges.clone());
            prop_assert_eq!(slots.to_string().parse::<Slots>().unwrap(), slots.clone());
            prop_assert_eq!(slots.count() + slots.rest().count(), u32::from(SLOT_COUNT));
            for (first, last) in ranges {
                prop_assert_eq!(slots.contains(first), first <= last || slots.contains(first));
            }
        }

        #[test]
        fn reading_never_panics(text in ".{0,40}") {
            let _ = text.parse::<Slots>();
        }
    }
}
