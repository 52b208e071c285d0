//! Why something cannot be written in a format.

use crate::{
    format::{Encoding, Format},
    packed::TooLong,
};

/// What a format has no words for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unwritable {
    /// A format that this crate does not write.
    #[error("{0} is not written here")]
    Format(Format),
    /// A type that is newer than the format, or of the other family, and has no counterpart in it.
    #[error("values of type {0} have no place in {1}")]
    Encoding(Encoding, Format),
    /// Fields of a hash that expire.
    #[error("fields of a hash that expire have no place in {0}")]
    FieldExpiry(Format),
    /// An expiry that servers of the format refuse.
    #[error("a field's expiry of {0} ms is out of range in {1}")]
    FieldExpiryRange(i64, Format),
    /// What producers added to a stream, kept to recognise repetitions.
    #[error("what producers added to a stream has no place in {0}")]
    Producers(Format),
    /// Data that modules keep at a key.
    #[error("data that modules keep at a key has no place in {0}")]
    KeyMeta(Format),
    /// A library of functions.
    #[error("functions have no place in {0}")]
    Function(Format),
    /// Two libraries of functions that differ and have one name, in files that are to become one. The name, escaped.
    #[error("there are two libraries of functions named \"{0}\", and they differ")]
    Libraries(String),
    /// A hash that loses fields, and of which more than so many bytes are left: their number stands first, so that
    /// all has to be held.
    #[error(
        "a hash with fields that have expired has more than {0} bytes without them, and would have to be held"
    )]
    HeldHash(u64),
    /// A score that is not a number.
    #[error("a score is not a number")]
    Score,
    /// Entries of a stream that are not in the order of their IDs, or pending for more than one consumer.
    #[error("a stream's IDs are not in order, or one stands twice")]
    StreamOrder,
    /// One packed piece of 4 GiB or more.
    #[error("one piece of 4 GiB or more has no place in {0}")]
    TooLong(Format),
}

impl Unwritable {
    pub(crate) fn too_long(format: Format) -> impl Fn(TooLong) -> Self {
        move |TooLong| Self::TooLong(format)
    }
}

/// Why something was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The format has no words for it.
    #[error(transparent)]
    Unwritable(#[from] Unwritable),
    /// The output failed.
    #[error("cannot write: {0}")]
    Io(#[from] std::io::Error),
}
