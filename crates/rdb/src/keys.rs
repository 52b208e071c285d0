//! Finds keys that stand twice in one database: servers refuse to start with such a file.

use crate::{fault::Reason, fingerprint::Fingerprints, packed::Item};

/// The keys seen so far, as fingerprints under their database's number.
pub(crate) struct Keys(Fingerprints);

impl Keys {
    /// Keys beyond are not compared: it keeps the memory at 16 MiB.
    pub(crate) const MOST: u64 = 1 << 20;

    pub(crate) fn new() -> Self {
        Self(Fingerprints::new())
    }

    /// Adds a key.
    #[inline]
    pub(crate) fn add(&mut self, database: u64, key: &[u8]) -> Result<(), Box<Reason>> {
        self.0.add_in(database, Item::Text(key), "key")
    }

    /// Keys so far that were not compared.
    pub(crate) fn not_compared(&self) -> u64 {
        self.0.not_compared()
    }
}
