//! The keys with the most of something.

use std::{cmp::Reverse, collections::BinaryHeap};

use crate::{
    event::{Entry, Kind},
    fault::Fault,
    format::Encoding,
};

/// A key that stands out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BigKey {
    /// The database that it is in.
    pub database: u64,
    /// Its first [`Fault::KEY_BYTES`] bytes.
    pub key: Vec<u8>,
    /// What its value is.
    pub kind: Kind,
    /// How its value is written.
    pub encoding: Encoding,
    /// Members, fields or entries.
    pub elements: u64,
    /// Bytes in the file.
    pub stored_bytes: u64,
    /// What a server is estimated to hold.
    pub memory_bytes: u64,
    /// When it expires, in Unix milliseconds.
    pub expires_ms: Option<i64>,
}

/// Keeps the `most` largest of all that it is shown.
pub(super) struct Biggest {
    most: usize,
    /// The least of them on top. Of equals the earlier one stays: the place in the file counts down.
    heap: BinaryHeap<Reverse<Rank>>,
    seen: u64,
    /// What a newcomer has to exceed.
    least: Option<u64>,
}

struct Rank {
    size: u64,
    place: Reverse<u64>,
    key: BigKey,
}

impl Biggest {
    pub(super) fn new(most: usize) -> Self {
        Self { most, heap: BinaryHeap::new(), seen: 0, least: None }
    }

    #[inline]
    pub(super) fn add(&mut self, size: u64, memory_bytes: u64, entry: &Entry<'_>) {
        if self.least.is_none_or(|least| size > least) {
            self.take(size, memory_bytes, entry);
        }
    }

    #[cold]
    fn take(&mut self, size: u64, memory_bytes: u64, entry: &Entry<'_>) {
        if self.most == 0 {
            return;
        }
        if self.heap.len() >= self.most {
            self.heap.pop();
        }
        self.seen += 1;
        let key = BigKey {
            database: entry.database,
            key: entry.key[..entry.key.len().min(Fault::KEY_BYTES)].to_vec(),
            kind: entry.kind,
            encoding: entry.encoding,
            elements: entry.elements,
            stored_bytes: entry.stored_bytes,
            memory_bytes,
            expires_ms: entry.expires_ms,
        };
        self.heap.push(Reverse(Rank { size, place: Reverse(self.seen), key }));
        if self.heap.len() >= self.most {
            self.least = self.heap.peek().map(|Reverse(rank)| rank.size);
        }
    }

    /// The largest first.
    pub(super) fn finish(self) -> Vec<BigKey> {
        self.heap.into_sorted_vec().into_iter().map(|Reverse(rank)| rank.key).collect()
    }
}

impl Rank {
    fn order(&self) -> (u64, Reverse<u64>) {
        (self.size, self.place)
    }
}

impl PartialEq for Rank {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl Eq for Rank {}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Rank {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.order().cmp(&other.order())
    }
}
