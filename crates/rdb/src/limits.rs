//! What a reader may be made to do, and what it has left undone for it.

use crate::keys::Keys;

/// Bounds on what one file may make the reader do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of one key or nested encoding (listpack, ziplist, intset and the like), expanded.
    /// Plain strings and elements are never held, so they have no bound.
    pub max_blob_bytes: u64,
    /// The highest database number. Servers have 16 databases unless told otherwise.
    pub max_database: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_blob_bytes: 512 << 20, max_database: 65_535 }
    }
}

/// How much a reader has not compared with the rest, so that its memory stays bounded: it would not notice if
/// one of these stood twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NotCompared {
    /// Keys after the first [`NotCompared::KEYS_COMPARED`].
    pub keys: u64,
    /// Members, fields, groups and the like: after as many of one value, or over 64 KiB each.
    pub members: u64,
}

impl NotCompared {
    /// How many keys of a file are compared.
    pub const KEYS_COMPARED: u64 = Keys::MOST;
}
