//! Finds keys that stand twice in one database: servers refuse to start with such a file.

use crate::fingerprint::{Fingerprints, MAX_MEMBERS};

/// Keys that are looked up together. The table is far larger than the CPU's caches: in a row its memory is waited
/// for many times at once, and one by one it took a tenth of the time of reading small keys.
const BATCH: usize = 64;
/// Bytes of keys that a batch holds on to; with longer ones it is looked up earlier.
const BATCH_BYTES: usize = 64 << 10;

/// The keys seen so far, as fingerprints under their database's number.
pub(crate) struct Keys {
    table: Fingerprints,
    waiting: Vec<Waiting>,
    /// The keys of the batch, one behind the other.
    names: Vec<u8>,
}

struct Waiting {
    fingerprint: u64,
    /// Where the record begins in the file.
    offset: u64,
    /// Where the key ends in `names`.
    end: usize,
}

/// The second of two equal keys.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Twice {
    pub(crate) offset: u64,
    pub(crate) key: Vec<u8>,
}

impl Keys {
    /// Keys beyond are not compared: it keeps the memory at 8 MiB.
    pub(crate) const MOST: u64 = MAX_MEMBERS as u64;

    pub(crate) fn new() -> Self {
        Self { table: Fingerprints::new(), waiting: Vec::with_capacity(BATCH), names: Vec::new() }
    }

    /// Adds a key, and looks the batch up when it is full.
    #[inline]
    pub(crate) fn add(&mut self, database: u64, key: &[u8], offset: u64) -> Result<(), Twice> {
        if !self.table.is_open() {
            self.table.pass_over();
            return Ok(());
        }
        let fingerprint = self.table.of_numbered(database, key);
        self.names.extend_from_slice(key);
        self.waiting.push(Waiting { fingerprint, offset, end: self.names.len() });
        if self.waiting.len() < BATCH && self.names.len() < BATCH_BYTES { Ok(()) } else { self.look_up() }
    }

    /// Looks up what waits. To be called before the end of a file is believed.
    pub(crate) fn look_up(&mut self) -> Result<(), Twice> {
        let mut start = 0;
        for Waiting { fingerprint, offset, end } in &self.waiting {
            if !self.table.insert(*fingerprint) {
                return Err(Twice { offset: *offset, key: self.names[start..*end].to_vec() });
            }
            start = *end;
        }
        self.waiting.clear();
        self.names.clear();
        crate::source::give_back(&mut self.names);
        Ok(())
    }

    /// Keys so far that were not compared.
    pub(crate) fn not_compared(&self) -> u64 {
        self.table.not_compared()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_of_equal_keys_is_named_with_its_place() {
        let mut keys = Keys::new();
        for number in 0..1000u64 {
            keys.add(0, format!("key:{number}").as_bytes(), number).unwrap();
        }
        keys.add(1, b"key:7", 1000).unwrap();
        keys.look_up().unwrap();
        keys.add(0, b"key:7", 1001).unwrap();
        assert_eq!(keys.look_up(), Err(Twice { offset: 1001, key: b"key:7".to_vec() }));
    }

    #[test]
    fn keys_beyond_the_bound_are_counted() {
        let mut keys = Keys::new();
        for number in 0..Keys::MOST + 100 {
            keys.add(0, &number.to_le_bytes(), number).unwrap();
        }
        // Those that waited when the table was full were compared too.
        assert!(keys.not_compared() > 0 && keys.not_compared() <= 100);
    }
}
