//! Why a file or payload was not rewritten.

use std::{fmt, io};

use crate::{
    event::Kind,
    fault::{Fault, Reason},
    unwritable::{Unwritable, WriteError},
};

/// Why there is no rewritten file. What was written so far is worth nothing.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// The source is not sound, or cannot be read.
    #[error(transparent)]
    Unsound(#[from] Fault),
    /// The source holds something that the target has no words for.
    #[error(transparent)]
    Impossible(Box<Impossible>),
    /// The output failed.
    #[error("cannot write: {0}")]
    Output(io::Error),
}

/// Something that the target has no words for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Impossible {
    /// Where it stands; none for what is not at a key.
    pub place: Option<Place>,
    /// What is not possible.
    pub why: Unwritable,
}

/// Where a value stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The key, cut to its first [`Fault::KEY_BYTES`] bytes.
    pub key: Vec<u8>,
    /// Its database.
    pub database: u64,
    /// What the value is to its users.
    pub kind: Kind,
}

impl fmt::Display for Impossible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.why.fmt(f)?;
        self.place.as_ref().map_or(Ok(()), |place| write!(f, ", in {place}"))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 64;
        let Self { key, database, kind } = self;
        let shown = &key[..key.len().min(SHOWN)];
        let more = if key.len() > SHOWN { "…" } else { "" };
        write!(f, "key \"{}{more}\" ({kind}, database {database})", shown.escape_ascii())
    }
}

impl std::error::Error for Impossible {}

impl RewriteError {
    /// A stable code for programs and documentation: that of the fault for an unsound source.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unsound(fault) => fault.reason.code(),
            Self::Impossible(_) => "RELABEL_IMPOSSIBLE",
            Self::Output(_) => Reason::OUTPUT,
        }
    }

    pub(super) fn new(place: Option<&Place>, error: impl Into<WriteError>) -> Self {
        match error.into() {
            WriteError::Unwritable(why) => {
                Self::Impossible(Box::new(Impossible { place: place.cloned(), why }))
            }
            WriteError::Io(error) => Self::Output(error),
        }
    }
}
