//! What happens to entries on their way to a server: which of them go, until when they stay, and under which names.

use std::ops::AddAssign;

use crate::{
    event::Kind,
    filter::Filter,
    format::Encoding,
    model::encode::LATEST_EXPIRY as LATEST_FIELD_EXPIRY,
    part::Head,
    slots::{SlotSet, slot},
};

/// The first type byte of hashes whose fields may expire, in both families.
const FIRST_EXPIRING_HASH: u8 = 22;

/// What happens to entries between a file and where they go; nothing by default.
///
/// Filter and slots look at keys as the file has them, and at values before fields expire out of them.
///
/// ```
/// use keystow_rdb::{Changes, Format, Prefix, RewriteOptions, Ttl, rewrite};
///
/// let file = b"REDIS0004\xfe\x00\x00\x06user:1\x04Anna\xff";
/// let prefix = Prefix { from: b"user:".to_vec(), to: b"copy:user:".to_vec() };
/// let changes = Changes { ttl: Ttl::Strip, prefix: Some(prefix), ..Changes::default() };
/// let options = RewriteOptions { changes, ..RewriteOptions::new(Format::REDIS_9) };
/// let mut out = Vec::new();
/// assert_eq!(rewrite(&file[..], &mut out, &options)?.changes.renamed, 1);
/// assert!(out.windows(11).any(|bytes| bytes == b"copy:user:1"));
/// # Ok::<(), keystow_rdb::RewriteError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Which keys go.
    pub filter: Filter,
    /// Of those, only the keys of these cluster slots: what a shard has of others is a copy on its way. A prefix
    /// that changes may bring a key into another slot.
    pub slots: Option<SlotSet>,
    /// What becomes of expiries.
    pub ttl: Ttl,
    /// What becomes of names.
    pub prefix: Option<Prefix>,
    /// The time, in Unix milliseconds, for counting what has [expired](ChangeCounts::expired) by then; nothing is
    /// left out for it.
    pub now_ms: Option<i64>,
}

impl Changes {
    /// Whether everything goes as it is.
    pub fn is_none(&self) -> bool {
        self.filter.is_all() && self.slots.is_none() && self.ttl == Ttl::Keep && self.prefix.is_none()
    }

    /// Whether every key goes, whatever it is called then.
    pub(crate) fn keep_every_key(&self) -> bool {
        self.filter.is_all() && self.slots.is_none() && !matches!(self.ttl, Ttl::DropExpired { .. })
    }
}

/// What becomes of expiries, those of keys and those of hash fields.
///
/// A negative expiry of a key means none to servers (`getExpire` and `keyIsExpired` in Redis `src/db.c`): with
/// [`Ttl::Keep`] it stays as it is in a file, in all other cases the key goes without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ttl {
    /// They stay. Servers drop what has expired meanwhile as soon as they have it.
    #[default]
    Keep,
    /// So many milliseconds are added to all, so that what was left of them when the file was made is left again.
    ///
    /// None comes before the first millisecond of 1970, since less means none to servers, and none goes over what a
    /// server can tell: 2⁶³ − 1 ms for keys, 2⁴⁸ − 1 ms for fields.
    Shift {
        /// May be negative.
        by_ms: i64,
    },
    /// Nothing expires any more. A hash whose fields expired becomes a plain one, for which every server has words.
    Strip,
    /// What has expired is left out: keys, fields, and keys of which no field is left. The rest keeps its time.
    DropExpired {
        /// The time, in Unix milliseconds. What expires in this very millisecond has expired.
        now_ms: i64,
    },
}

/// Keys that begin with one text begin with another instead; the others keep their names.
///
/// Two keys that become one by it are not found out, as that would take all names: a server refuses a file that has
/// them, and takes the later one of two commands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Prefix {
    /// What the names begin with. Every name begins with nothing.
    pub from: Vec<u8>,
    /// What they are to begin with.
    pub to: Vec<u8>,
}

/// What has happened to keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ChangeCounts {
    /// Keys that the filter did not choose.
    pub filtered_out: u64,
    /// Keys that it chose, of slots that were not asked for.
    pub other_slots: u64,
    /// Chosen keys with an expiry.
    pub with_expiry: u64,
    /// Chosen keys that went on their way although their time is over at [`Changes::now_ms`]: servers drop them.
    pub expired: u64,
    /// Keys whose own expiry was moved.
    pub shifted: u64,
    /// Keys whose own expiry was taken away.
    pub stripped: u64,
    /// Keys that were left out because they, or all of their fields, have expired.
    pub dropped_expired: u64,
    /// Chosen hashes' fields with an expiry; what became of them is what becomes of keys.
    pub fields_with_expiry: u64,
    /// Fields that were left out because they have expired.
    pub dropped_fields: u64,
    /// Keys with a new name.
    pub renamed: u64,
}

impl AddAssign for ChangeCounts {
    /// For files that are read one after another.
    fn add_assign(&mut self, other: Self) {
        self.filtered_out += other.filtered_out;
        self.other_slots += other.other_slots;
        self.with_expiry += other.with_expiry;
        self.expired += other.expired;
        self.shifted += other.shifted;
        self.stripped += other.stripped;
        self.dropped_expired += other.dropped_expired;
        self.fields_with_expiry += other.fields_with_expiry;
        self.dropped_fields += other.dropped_fields;
        self.renamed += other.renamed;
    }
}

impl Ttl {
    /// Whether values of an encoding may have expiries in them that change.
    #[inline]
    pub(crate) fn changes_fields_of(self, encoding: Encoding) -> bool {
        self != Self::Keep && may_expire(encoding)
    }

    /// Whether values of an encoding may lose some of their fields.
    pub(crate) fn drops_fields_of(self, encoding: Encoding) -> bool {
        matches!(self, Self::DropExpired { .. }) && may_expire(encoding)
    }

    /// What becomes of a field that expires at that time.
    pub(crate) fn of_field(self, ms: i64) -> Fate {
        match self {
            Self::Keep => Fate::Expires(ms),
            Self::Shift { by_ms } => {
                // Valkey has expiries beyond what Redis can tell.
                let latest = if ms <= LATEST_FIELD_EXPIRY { LATEST_FIELD_EXPIRY } else { i64::MAX };
                Fate::Expires(ms.saturating_add(by_ms).clamp(1, latest))
            }
            Self::Strip => Fate::Stays,
            Self::DropExpired { now_ms } if ms <= now_ms => Fate::Goes,
            Self::DropExpired { .. } => Fate::Expires(ms),
        }
    }
}

fn may_expire(encoding: Encoding) -> bool {
    encoding.number >= FIRST_EXPIRING_HASH && encoding.kind() == Some(Kind::Hash)
}

/// What becomes of something that expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is left out.
    Goes,
    /// It no longer expires.
    Stays,
    /// It expires then.
    Expires(i64),
}

/// Makes the changes, key by key, and counts them.
pub(crate) struct Changer<'c> {
    changes: &'c Changes,
    /// Of the file at hand, beside those of all.
    slots: Option<SlotSet>,
    has_choice: bool,
    name: Vec<u8>,
    /// Whether the latest name is a new one.
    is_renamed: bool,
    counts: ChangeCounts,
}

impl<'c> Changer<'c> {
    pub(crate) fn new(changes: &'c Changes) -> Self {
        let counts = ChangeCounts::default();
        let mut changer =
            Self { changes, slots: None, has_choice: true, name: Vec::new(), is_renamed: false, counts };
        changer.begin_source(None);
        changer
    }

    /// Another file follows, of which only the keys of these slots go.
    pub(crate) fn begin_source(&mut self, slots: Option<SlotSet>) {
        self.has_choice = slots.is_some() || self.changes.slots.is_some() || !self.changes.filter.is_all();
        self.slots = slots;
    }

    pub(crate) fn ttl(&self) -> Ttl {
        self.changes.ttl
    }

    pub(crate) fn counts(&self) -> ChangeCounts {
        self.counts
    }

    /// Whether a key goes, and its expiry then. Fields are not looked at.
    #[inline]
    pub(crate) fn take(&mut self, head: &Head<'_>) -> Option<Option<i64>> {
        if self.has_choice && !self.chooses(head) {
            return None;
        }
        match head.expires_ms {
            None => Some(None),
            Some(ms) => self.expiry(ms),
        }
    }

    /// The name that a key goes under.
    #[inline]
    pub(crate) fn name<'k>(&'k mut self, key: &'k [u8]) -> &'k [u8] {
        let Some(Prefix { from, to }) = &self.changes.prefix else { return key };
        let rest = key.strip_prefix(&from[..]);
        self.is_renamed = rest.is_some();
        let Some(rest) = rest else { return key };
        self.counts.renamed += 1;
        self.name.clear();
        self.name.extend_from_slice(to);
        self.name.extend_from_slice(rest);
        &self.name
    }

    /// Counts fields that were read of a key that goes, and those of them that do not.
    pub(crate) fn count_fields(&mut self, with_expiry: u64, dropped: u64) {
        self.counts.fields_with_expiry += with_expiry;
        self.counts.dropped_fields += dropped;
    }

    /// Takes back that a key goes: none of its fields is left.
    pub(crate) fn drop_emptied(&mut self) {
        self.counts.dropped_expired += 1;
    }

    /// The same for a key that has been given its name.
    pub(crate) fn drop_named(&mut self) {
        self.drop_emptied();
        self.counts.renamed -= u64::from(self.is_renamed);
    }

    fn chooses(&mut self, head: &Head<'_>) -> bool {
        if !self.changes.filter.wants(head) {
            self.counts.filtered_out += 1;
            return false;
        }
        if self.slots.is_some() || self.changes.slots.is_some() {
            let slot = slot(head.key);
            let holds = |set: &Option<SlotSet>| set.as_ref().is_none_or(|set| set.contains(slot));
            if !holds(&self.slots) || !holds(&self.changes.slots) {
                self.counts.other_slots += 1;
                return false;
            }
        }
        true
    }

    fn expiry(&mut self, ms: i64) -> Option<Option<i64>> {
        let changes = self.changes;
        if ms < 0 {
            return Some(Some(ms).filter(|_| changes.ttl == Ttl::Keep));
        }
        self.counts.with_expiry += 1;
        let expires_ms = match changes.ttl {
            Ttl::Keep => ms,
            Ttl::Shift { by_ms } => {
                self.counts.shifted += 1;
                ms.saturating_add(by_ms).max(1)
            }
            Ttl::Strip => {
                self.counts.stripped += 1;
                return Some(None);
            }
            Ttl::DropExpired { now_ms } if ms <= now_ms => {
                self.counts.dropped_expired += 1;
                return None;
            }
            Ttl::DropExpired { .. } => return Some(Some(ms)),
        };
        self.counts.expired += u64::from(changes.now_ms.is_some_and(|now_ms| expires_ms <= now_ms));
        Some(Some(expires_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::Pattern;

    fn head(key: &[u8], expires_ms: Option<i64>) -> Head<'_> {
        Head {
            database: 0,
            key,
            kind: Kind::String,
            encoding: Encoding::default(),
            expires_ms,
            idle_seconds: None,
            frequency: None,
            has_key_meta: false,
        }
    }

    /// What becomes of keys that expire then.
    fn taken(changes: &Changes, expiries: &[i64]) -> (Vec<Option<Option<i64>>>, ChangeCounts) {
        let mut changer = Changer::new(changes);
        let taken = expiries.iter().map(|ms| changer.take(&head(b"k", Some(*ms)))).collect();
        (taken, changer.counts())
    }

    #[test]
    fn expiries_are_moved_within_what_servers_can_tell() {
        let by = |by_ms| Changes { ttl: Ttl::Shift { by_ms }, now_ms: Some(50), ..Changes::default() };
        let (moved, counts) = taken(&by(100), &[0, 5, i64::MAX, -1, -77]);
        assert_eq!(moved, [Some(Some(100)), Some(Some(105)), Some(Some(i64::MAX)), Some(None), Some(None)]);
        assert_eq!((counts.with_expiry, counts.shifted, counts.expired), (3, 3, 0));
        let (moved, counts) = taken(&by(-100), &[0, 120, i64::MAX]);
        assert_eq!(moved, [Some(Some(1)), Some(Some(20)), Some(Some(i64::MAX - 100))]);
        assert_eq!(counts.expired, 2);
        assert_eq!(taken(&by(i64::MIN), &[i64::MAX]).0, [Some(Some(1))]);
    }

    #[test]
    fn expiries_are_taken_away_or_followed() {
        let with = |ttl| Changes { ttl, now_ms: Some(10), ..Changes::default() };
        let (kept, counts) = taken(&with(Ttl::Keep), &[-5, 0, 10, 11]);
        assert_eq!(kept, [-5, 0, 10, 11].map(|ms| Some(Some(ms))));
        assert_eq!((counts.with_expiry, counts.expired), (3, 2));
        let (stripped, counts) = taken(&with(Ttl::Strip), &[-5, 0, 10, 11]);
        assert_eq!(stripped, [Some(None); 4]);
        assert_eq!((counts.stripped, counts.expired), (3, 0));
        let (left, counts) = taken(&with(Ttl::DropExpired { now_ms: 10 }), &[-5, 0, 10, 11]);
        assert_eq!(left, [Some(None), None, None, Some(Some(11))]);
        assert_eq!((counts.dropped_expired, counts.expired), (2, 0));
    }

    #[test]
    fn fields_follow_their_keys() {
        let shift = |by_ms, ms| Ttl::Shift { by_ms }.of_field(ms);
        assert_eq!(shift(7, 0), Fate::Expires(7));
        assert_eq!(shift(-7, 3), Fate::Expires(1));
        assert_eq!(shift(i64::MAX, LATEST_FIELD_EXPIRY), Fate::Expires(LATEST_FIELD_EXPIRY));
        assert_eq!(shift(i64::MAX, LATEST_FIELD_EXPIRY + 1), Fate::Expires(i64::MAX));
        assert_eq!(Ttl::Strip.of_field(3), Fate::Stays);
        let drop = Ttl::DropExpired { now_ms: 10 };
        assert_eq!([0, 10, 11].map(|ms| drop.of_field(ms)), [Fate::Goes, Fate::Goes, Fate::Expires(11)]);
    }

    #[test]
    fn names_slots_and_filter_go_by_what_the_file_says() {
        let changes = Changes {
            filter: Filter { names: vec![Pattern::new(b"a:*")], ..Filter::default() },
            slots: Some([slot(b"a:1")..=slot(b"a:1")].into_iter().collect()),
            prefix: Some(Prefix { from: b"a:".to_vec(), to: b"bb:".to_vec() }),
            ..Changes::default()
        };
        let mut changer = Changer::new(&changes);
        assert_eq!(changer.take(&head(b"a:1", None)), Some(None));
        assert_eq!(changer.name(b"a:1"), b"bb:1");
        assert_eq!(changer.name(b"x"), b"x");
        assert_eq!([&b"a:2"[..], b"bb:1"].map(|key| changer.take(&head(key, None))), [None, None]);
        let counts = changer.counts();
        assert_eq!((counts.renamed, counts.other_slots, counts.filtered_out), (1, 1, 1));
        // The slots of a file are asked beside those of all.
        changer.begin_source(Some(SlotSet::new()));
        assert_eq!(changer.take(&head(b"a:1", None)), None);
        let everywhere = Changes { prefix: Some(Prefix::default()), ..Changes::default() };
        assert_eq!(Changer::new(&everywhere).name(b"k"), b"k");
    }
}
