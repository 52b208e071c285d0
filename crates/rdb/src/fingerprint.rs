//! Finds members that stand twice in one collection, in bounded memory.

use std::hash::{BuildHasher, Hasher, RandomState};

use crate::{fault::Reason, packed::Item};

/// Beyond this many members of one collection, later ones are no longer compared: three quarters of the largest table.
pub(crate) const MAX_MEMBERS: usize = MOST_SLOTS / 4 * 3;
/// Slots of the largest table, of eight bytes each.
const MOST_SLOTS: usize = 1 << 20;
/// Slots of the table when it is new: enough for the small collections that most keys are.
const FEWEST_SLOTS: usize = 16;
/// A larger table is given back to the system.
const KEPT_SLOTS: usize = 1 << 16;

/// The members seen so far, each as a keyed 64-bit fingerprint: at most 8 MiB.
///
/// Two different members of one collection share a fingerprint with a chance of 2⁻⁶⁴ per pair, below
/// 1 in 50 million for the largest collection compared. The key is random per process, so nobody can
/// prepare such a pair.
pub(crate) struct Fingerprints {
    /// Open addressing with linear probing; 0 is a free slot.
    slots: Vec<u64>,
    /// The table before it grew, kept so that growing again allocates nothing.
    spare: Vec<u64>,
    members: usize,
    not_compared: u64,
    key: Key,
}

impl Fingerprints {
    pub(crate) fn new() -> Self {
        Self {
            slots: vec![0; FEWEST_SLOTS],
            spare: Vec::new(),
            members: 0,
            not_compared: 0,
            key: Key::random(),
        }
    }

    /// Forgets all members: the next ones are of another collection.
    pub(crate) fn clear(&mut self) {
        self.members = 0;
        if self.slots.len() > KEPT_SLOTS {
            (self.slots, self.spare) = (vec![0; FEWEST_SLOTS], Vec::new());
        } else {
            // A short table is cheap to clear for the small collections to come.
            self.slots.truncate(FEWEST_SLOTS);
            self.slots.fill(0);
        }
    }

    /// Whether further members are still compared.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.members < MAX_MEMBERS
    }

    /// Counts a member that is not compared.
    #[cold]
    pub(crate) fn pass_over(&mut self) {
        self.not_compared += 1;
    }

    /// Members so far, of all collections, that were not compared.
    pub(crate) fn not_compared(&self) -> u64 {
        self.not_compared
    }

    /// Takes back what was counted in vain.
    pub(crate) fn set_not_compared(&mut self, members: u64) {
        self.not_compared = members;
    }

    /// Adds a member; `what` names it when it was there before.
    #[inline]
    pub(crate) fn add(&mut self, member: Item<'_>, what: &'static str) -> Result<(), Box<Reason>> {
        if !self.is_open() {
            self.pass_over();
            return Ok(());
        }
        if self.insert(self.of_text_or_number(member)) { Ok(()) } else { Err(Reason::Duplicate(what).into()) }
    }

    /// A keyed 64-bit number for sixteen raw bytes, such as a stream ID.
    pub(crate) fn of_id(&self, id: [u8; 16]) -> u64 {
        self.key.of_bytes(&id)
    }

    /// The fingerprint of a member; never 0.
    #[inline]
    pub(crate) fn of_text_or_number(&self, member: Item<'_>) -> u64 {
        self.key.of_item(member).max(1)
    }

    /// The fingerprint of bytes under a number; never 0.
    #[inline]
    pub(crate) fn of_numbered(&self, number: u64, bytes: &[u8]) -> u64 {
        (self.key.of_bytes(bytes) ^ number.wrapping_mul(self.key.0[1])).max(1)
    }

    /// Adds a fingerprint; `false` when it was there.
    #[inline]
    pub(crate) fn insert(&mut self, fingerprint: u64) -> bool {
        if self.members * 2 >= self.slots.len() && self.slots.len() < MOST_SLOTS {
            self.grow();
        }
        let fresh = place(&mut self.slots, fingerprint);
        self.members += usize::from(fresh);
        fresh
    }

    #[cold]
    fn grow(&mut self) {
        let mut larger = std::mem::take(&mut self.spare);
        if self.slots.len() < KEPT_SLOTS {
            larger.clear();
            larger.resize(self.slots.len() * 2, 0);
        } else {
            // At once, not by and by: the tables between would stay with the allocator for a while. Fresh memory is
            // zero already.
            larger = vec![0; MOST_SLOTS];
        }
        for &fingerprint in self.slots.iter().filter(|slot| **slot != 0) {
            place(&mut larger, fingerprint);
        }
        self.spare = std::mem::replace(&mut self.slots, larger);
    }
}

/// So many members are compared each with each: cheaper than fingerprints for the small collections that most are.
const FEW: usize = 8;

/// The members of a collection that lies in memory, none of which may stand twice.
pub(crate) struct Distinct<'a, 's> {
    few: [Item<'a>; FEW],
    members: usize,
    seen: &'s mut Fingerprints,
}

impl<'a, 's> Distinct<'a, 's> {
    pub(crate) fn new(seen: &'s mut Fingerprints) -> Self {
        Self { few: [Item::Integer(0); FEW], members: 0, seen }
    }

    /// Adds a member; `what` names it when it was there before.
    #[inline]
    pub(crate) fn add(&mut self, member: Item<'a>, what: &'static str) -> Result<(), Box<Reason>> {
        let Some(place) = self.few.get_mut(self.members) else { return self.add_to_many(member, what) };
        *place = member;
        if self.few[..self.members].iter().any(|earlier| earlier.is_same(member)) {
            return Err(Reason::Duplicate(what).into());
        }
        self.members += 1;
        Ok(())
    }

    #[inline(never)]
    fn add_to_many(&mut self, member: Item<'a>, what: &'static str) -> Result<(), Box<Reason>> {
        if self.members == FEW {
            self.members += 1;
            self.seen.clear();
            for earlier in self.few {
                self.seen.add(earlier, what)?;
            }
        }
        self.seen.add(member, what)
    }
}

/// Puts a fingerprint into a table with free slots; `false` when it was there.
#[inline]
fn place(slots: &mut [u64], fingerprint: u64) -> bool {
    let mask = slots.len() - 1;
    #[expect(clippy::cast_possible_truncation, reason = "any bits of it will do")]
    let mut slot = fingerprint as usize & mask;
    loop {
        match slots[slot] {
            0 => {
                slots[slot] = fingerprint;
                return true;
            }
            there if there == fingerprint => return false,
            _ => slot = (slot + 1) & mask,
        }
    }
}

/// A keyed hash of the folded-multiply family: a few nanoseconds for a short member, where `SipHash` would
/// take longer than all the rest of reading it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key([u64; 3]);

impl Key {
    pub(crate) fn random() -> Self {
        let random = RandomState::new();
        // Odd numbers: a zero would swallow what it is multiplied with.
        Self([0u8, 1, 2].map(|place| random.hash_one(place) | 1))
    }

    /// Numbers and their decimal texts are the same member to a server.
    #[inline]
    pub(crate) fn of_item(&self, item: Item<'_>) -> u64 {
        match item.canonical() {
            Item::Integer(number) => {
                let bits = number.cast_unsigned();
                fold(bits ^ self.0[0], self.0[2] ^ bits.rotate_left(32))
            }
            Item::Text(bytes) => self.of_bytes(bytes),
        }
    }

    #[inline]
    fn of_bytes(&self, bytes: &[u8]) -> u64 {
        let [first, second, third] = self.0;
        let mut state = first ^ (bytes.len() as u64).wrapping_mul(third);
        let mut pairs = bytes.chunks_exact(16);
        for pair in &mut pairs {
            let (low, high) = words(pair);
            state = fold(low ^ second, high ^ state);
        }
        let (low, high) = words(pairs.remainder());
        state = fold(low ^ second, high ^ state);
        fold(state ^ third, first)
    }

    /// Takes a number into a running hash.
    #[inline]
    pub(crate) fn mix(&self, state: u64, number: u64) -> u64 {
        let [first, second, third] = self.0;
        // The sum keeps what came before, should the product be zero.
        fold(state ^ first, number ^ second).wrapping_add(state ^ third)
    }
}

/// The same hash for the standard library's tables of texts.
pub(crate) struct Keyed(Key);

impl Keyed {
    pub(crate) fn random() -> Self {
        Self(Key::random())
    }
}

impl BuildHasher for Keyed {
    type Hasher = KeyedHasher;

    #[inline]
    fn build_hasher(&self) -> KeyedHasher {
        KeyedHasher { key: self.0, state: 0 }
    }
}

pub(crate) struct KeyedHasher {
    key: Key,
    state: u64,
}

impl Hasher for KeyedHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        self.state = self.state.rotate_left(32) ^ self.key.of_bytes(bytes);
    }

    /// A text's length, which is in the hash of its bytes already.
    #[inline]
    fn write_usize(&mut self, _length: usize) {}

    #[inline]
    fn finish(&self) -> u64 {
        self.state
    }
}

/// Up to sixteen bytes as two numbers, the first and the last of them, which may overlap. Together with the
/// length, which the state begins with, they say which bytes these are.
#[inline]
fn words(bytes: &[u8]) -> (u64, u64) {
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        return (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        return (u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into());
    }
    match *bytes {
        [first, middle, last] => (u64::from(first) << 8 | u64::from(middle), last.into()),
        [first, last] => (first.into(), last.into()),
        [only] => (only.into(), 0),
        _ => (0, 0),
    }
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "takes both halves of the product")]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_of_equal_members_is_found_whatever_its_form() {
        let mut seen = Fingerprints::new();
        for number in 0..1000 {
            seen.add(Item::Integer(number), "member").unwrap();
        }
        let again = seen.add(Item::Text(b"999"), "member");
        assert_eq!(again, Err(Reason::Duplicate("member").into()));
        assert_eq!(seen.add(Item::Text(b"0999"), "member"), Ok(()));
    }

    #[test]
    fn few_and_many_are_found_alike() {
        let mut seen = Fingerprints::new();
        let texts: Vec<String> = (0..40).map(|number| format!("m{number}")).collect();
        for at in 0..texts.len() {
            let mut distinct = Distinct::new(&mut seen);
            for text in &texts {
                distinct.add(Item::Text(text.as_bytes()), "member").unwrap();
            }
            let mut distinct = Distinct::new(&mut seen);
            let again = texts[..=at].iter().chain([&texts[at]]);
            let last = again.map(|text| distinct.add(Item::Text(text.as_bytes()), "member")).last();
            assert_eq!(last, Some(Err(Reason::Duplicate("member").into())), "{at}");
        }
        let mut distinct = Distinct::new(&mut seen);
        distinct.add(Item::Text(b"12"), "member").unwrap();
        assert!(distinct.add(Item::Integer(12), "member").is_err());
    }

    #[test]
    fn cleared_table_has_forgotten() {
        let mut seen = Fingerprints::new();
        for _ in 0..3 {
            for number in 0..200 {
                seen.add(Item::Integer(number), "member").unwrap();
            }
            seen.clear();
        }
    }

    #[test]
    fn similar_texts_differ() {
        let mut seen = Fingerprints::new();
        let zeros = [0; 70];
        for length in 0..zeros.len() {
            seen.add(Item::Text(&zeros[..length]), "member").unwrap();
        }
        for number in 0..300_000u32 {
            seen.add(Item::Text(format!("m{number}").as_bytes()), "member").unwrap();
        }
    }

    #[test]
    fn memory_stays_bounded() {
        let mut seen = Fingerprints::new();
        let mut number = 0;
        while seen.is_open() {
            seen.add(Item::Integer(number), "member").unwrap();
            number += 1;
        }
        assert!(seen.slots.len() + seen.spare.len() <= 3 * MAX_MEMBERS);
        assert_eq!(seen.add(Item::Integer(0), "member"), Ok(()), "no longer compared");
    }
}
