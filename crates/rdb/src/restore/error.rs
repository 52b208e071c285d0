//! Why a file was not restored to its end.

use std::{fmt, io};

use crate::{
    fault::{Fault, Reason},
    rewrite::{Impossible, Place},
};

/// Why restoring ended early. What was handed out before was sound as far as could be told then.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The source is not sound, or cannot be read.
    #[error(transparent)]
    Unsound(#[from] Fault),
    /// The source holds something that the target has no words for.
    #[error(transparent)]
    Impossible(Box<Impossible>),
    /// A value is too large for one command, and cannot be made by several.
    #[error(transparent)]
    TooLarge(Box<TooLarge>),
    /// Whoever takes the commands failed.
    #[error("cannot hand on: {0}")]
    Sink(io::Error),
}

impl RestoreError {
    /// A stable code for programs and documentation: that of the fault for an unsound source.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unsound(fault) => fault.reason.code(),
            Self::Impossible(_) => "RESTORE_IMPOSSIBLE",
            Self::TooLarge(_) => "RESTORE_TOO_LARGE",
            Self::Sink(_) => Reason::OUTPUT,
        }
    }
}

/// A value that is too large for one command, and cannot be made by several.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TooLarge {
    /// The key, under the name that it was to have.
    pub place: Place,
    /// The bytes of its value.
    pub bytes: u64,
    /// The most that is allowed.
    pub limit: u64,
    /// Why it is not made by several commands.
    pub why: Whole,
}

/// Why a value is not made by several commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Whole {
    /// They would add to a key that is there, where keys are not to be replaced.
    NotReplacing,
    /// Only the module itself could.
    Module,
    /// One string of it is too long.
    Piece,
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, bytes, limit, why } = self;
        let why = match why {
            Whole::NotReplacing => "several commands might add to a key that is there; allow to replace keys",
            Whole::Module => "a module's value cannot be made in pieces",
            Whole::Piece => "one string of it is as long",
        };
        write!(f, "a value of {bytes} bytes is over the limit of {limit}, and {why}, in {place}")
    }
}

impl std::error::Error for TooLarge {}
