//! A number that stands for what a value holds, however it is written: two values with the same digest are the same
//! to a server's clients, whichever encodings, versions and families wrote them.

use std::io;

use crate::{
    event::Kind,
    fingerprint::Key,
    packed::Item,
    part::{Head, Part, StreamFacts, Visitor, Want},
};

/// First type byte of streams that know their past (Redis 7.0), and of those whose consumers do (7.2).
const STREAM_2: u8 = 19;
const STREAM_3: u8 = 21;

/// What the digests of one comparison are keyed with. It is random per process and comparison, so nobody can
/// prepare two values with the same digest; digests under different keys have nothing in common.
#[derive(Debug, Clone, Copy)]
pub struct DigestKey([Key; 2]);

impl DigestKey {
    /// A new key.
    pub fn random() -> Self {
        Self([Key::random(), Key::random()])
    }
}

/// What a value holds, in few bytes. Two values that differ share a digest with a chance of about 2⁻¹²⁸.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Digest {
    /// All that every version writes.
    pub contents: u128,
    /// What streams know of their past since Redis 7.0; `None` in other values and where it is not written.
    pub history: Option<u64>,
    /// When consumers of streams were active, since Redis 7.2; `None` in other values and where it is not written.
    pub activity: Option<u64>,
}

impl Digest {
    /// Whether the values are the same, as far as both were written.
    #[must_use]
    pub fn agrees_with(&self, other: &Self) -> bool {
        let agree = |one: Option<u64>, other: Option<u64>| one.is_none() || other.is_none() || one == other;
        self.contents == other.contents
            && agree(self.history, other.history)
            && agree(self.activity, other.activity)
    }
}

/// Computes the digest of each value that a [`Reader`](crate::Reader) hands it.
///
/// The order of sets, hashes and sorted sets makes no difference, nor does how numbers and texts are written; a
/// score of minus zero is a zero. A module's value counts as it stands in the file. Not part of a digest are the
/// key and its expiry, and data that modules keep at keys.
///
/// ```
/// use keystow_rdb::{Digester, DigestKey, Event, Limits, Reader};
///
/// let file = b"REDIS0004\xfe\x00\x00\x01a\x0212\x00\x01b\xc0\x0c\xff";
/// let mut digester = Digester::new(DigestKey::random());
/// let mut digests = Vec::new();
/// let mut reader = Reader::new(&file[..], Limits::default());
/// while let Some(event) = reader.next_event_with(&mut digester)? {
///     if let Event::Entry(_) = event {
///         digests.push(digester.digest());
///     }
/// }
/// assert_eq!(digests[0], digests[1], "the text 12 and the number");
/// # Ok::<(), keystow_rdb::Fault>(())
/// ```
#[derive(Debug, Clone)]
pub struct Digester {
    key: DigestKey,
    with_expiries: bool,
    kind: Kind,
    /// What has an order: all of a value, or the member or field at hand.
    ordered: State,
    /// The members or fields before, whose order says nothing.
    members: u128,
    history: Option<u64>,
    activity: Option<u64>,
    raw: Raw,
}

impl Digester {
    /// Prepares to compute digests under a key.
    pub fn new(key: DigestKey) -> Self {
        Self {
            key,
            with_expiries: true,
            kind: Kind::String,
            ordered: State::default(),
            members: 0,
            history: None,
            activity: None,
            raw: Raw::default(),
        }
    }

    /// The same, but when fields of hashes expire makes no difference.
    #[must_use]
    pub fn without_expiries(self) -> Self {
        Self { with_expiries: false, ..self }
    }

    /// The digest of the value that was read last. Asked before its entry has come, it is that of a part.
    pub fn digest(&self) -> Digest {
        let mut whole = self.ordered;
        if self.kind == Kind::Module {
            self.raw.end(&mut whole, &self.key);
        }
        let members = self.members.wrapping_add(whole.number());
        let mut all = State::default();
        let [low, high] = halves(members);
        all.word(&self.key, self.kind as u64).word(&self.key, low).word(&self.key, high);
        Digest { contents: all.number(), history: self.history, activity: self.activity }
    }

    /// Begins the next member, whose place among the others says nothing.
    fn member(&mut self) {
        self.members = self.members.wrapping_add(self.ordered.number());
        self.ordered = State::default();
    }

    /// Takes a text under the number of the place that it has in the value.
    fn item(&mut self, place: u64, item: Item<'_>) {
        self.ordered.word(&self.key, place).item(&self.key, item);
    }

    fn words<const N: usize>(&mut self, place: u64, words: [u64; N]) {
        self.ordered.word(&self.key, place);
        for word in words {
            self.ordered.word(&self.key, word);
        }
    }

    fn facts(&mut self, StreamFacts { length, last_id, history }: StreamFacts) {
        self.words(6, [length, last_id.ms, last_id.seq]);
        if let Some(history) = history {
            let (first, deleted) = (history.first_id, history.max_deleted_id);
            for word in [first.ms, first.seq, deleted.ms, deleted.seq, history.entries_added] {
                self.past(word);
            }
        }
    }

    /// Takes what only Redis 7.0 and later write.
    fn past(&mut self, word: u64) {
        self.history = self.history.map(|before| self.key.0[0].mix(before, word));
    }

    fn stream_part(&mut self, part: Part<'_>) {
        match part {
            Part::StreamEntry { id, fields } => self.words(5, [id.ms, id.seq, fields]),
            Part::StreamFacts(facts) => self.facts(facts),
            Part::Group { name, last_id, entries_read } => {
                self.item(7, Item::Text(name));
                self.words(8, [last_id.ms, last_id.seq]);
                self.past(entries_read.unwrap_or(u64::MAX));
            }
            Part::Pending { id, delivered_ms, deliveries } => {
                self.words(9, [id.ms, id.seq, delivered_ms.cast_unsigned(), deliveries]);
            }
            Part::Consumer { name, seen_ms, active_ms } => {
                self.item(10, Item::Text(name));
                self.words(11, [seen_ms.cast_unsigned()]);
                let active = active_ms.unwrap_or(-1).cast_unsigned();
                self.activity = self.activity.map(|before| self.key.0[0].mix(before, active));
            }
            Part::ConsumerPending(id) => self.words(12, [id.ms, id.seq]),
            Part::Producer(name) => self.item(13, Item::Text(name)),
            Part::Produced { iid, id } => {
                self.item(14, Item::Text(iid));
                self.words(15, [id.ms, id.seq]);
            }
            _ => {}
        }
    }
}

impl Visitor for Digester {
    fn begin(&mut self, head: &Head<'_>) -> Want {
        let number = head.encoding.number;
        let is_stream = head.kind == Kind::Stream;
        self.kind = head.kind;
        self.ordered = State::default();
        self.members = 0;
        self.history = (is_stream && number >= STREAM_2).then_some(0);
        self.activity = (is_stream && number >= STREAM_3).then_some(0);
        self.raw = Raw::default();
        if head.kind == Kind::Module { Want::Raw } else { Want::Parts }
    }

    fn part(&mut self, part: Part<'_>) -> io::Result<()> {
        match part {
            Part::Text(item) | Part::Element(item) => self.item(0, item),
            Part::Member(item) => {
                self.member();
                self.item(1, item);
            }
            // A minus zero and a zero are the same score.
            Part::Score(score) => self.words(2, [(score + 0.0).to_bits()]),
            Part::Field(item) => {
                // The fields of a stream's entry have an order.
                if self.kind == Kind::Hash {
                    self.member();
                }
                self.item(1, item);
            }
            Part::Value(item) => self.item(3, item),
            Part::FieldExpiry(expiry) if self.with_expiries => self.words(4, [expiry.cast_unsigned()]),
            Part::FieldExpiry(_) => {}
            part => self.stream_part(part),
        }
        Ok(())
    }

    fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.raw.take(&mut self.ordered, &self.key, bytes);
        Ok(())
    }
}

/// A running hash in two halves, each under its own key.
#[derive(Debug, Clone, Copy, Default)]
struct State([u64; 2]);

impl State {
    fn word(&mut self, key: &DigestKey, word: u64) -> &mut Self {
        for (half, key) in self.0.iter_mut().zip(&key.0) {
            *half = key.mix(*half, word);
        }
        self
    }

    fn item(&mut self, key: &DigestKey, item: Item<'_>) {
        for (half, key) in self.0.iter_mut().zip(&key.0) {
            *half = key.mix(*half, key.of_item(item));
        }
    }

    fn number(self) -> u128 {
        u128::from(self.0[0]) | u128::from(self.0[1]) << 64
    }
}

#[expect(clippy::cast_possible_truncation, reason = "takes both halves")]
fn halves(number: u128) -> [u64; 2] {
    [number as u64, (number >> 64) as u64]
}

/// Bytes that come in pieces of any length, taken in words of eight.
#[derive(Debug, Clone, Copy, Default)]
struct Raw {
    /// Fewer than eight bytes that are not taken yet.
    rest: [u8; 8],
    bytes: u64,
}

impl Raw {
    fn take(&mut self, state: &mut State, key: &DigestKey, bytes: &[u8]) {
        for &byte in bytes {
            let place = self.bytes % 8;
            self.rest[usize::try_from(place).unwrap_or(0)] = byte;
            self.bytes += 1;
            if place == 7 {
                state.word(key, u64::from_le_bytes(self.rest));
                self.rest = [0; 8];
            }
        }
    }

    fn end(self, state: &mut State, key: &DigestKey) {
        state.word(key, u64::from_le_bytes(self.rest)).word(key, self.bytes);
    }
}
