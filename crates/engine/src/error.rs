//! The one error of the engine: what failed, why, what to do next, and a stable code.

use std::borrow::Cow;
use std::fmt;

/// Result of everything that the engine does.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a program can do about an error. Exit codes and HTTP statuses follow from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A value is not acceptable as it is.
    Invalid,
    /// The caller has not proven who it is.
    Unauthenticated,
    /// The caller may not do this.
    Denied,
    /// No such thing, or not the caller's.
    NotFound,
    /// It exists already, is busy or is in the wrong state.
    Conflict,
    /// Bytes are not what they should be.
    Corrupt,
    /// Something outside cannot be reached or does not answer in time. Trying later may help.
    Unreachable,
    /// The disk or a quota is full.
    NoSpace,
    /// The work was cancelled.
    Cancelled,
    /// Our own fault.
    Internal,
}

/// What failed (`message`), why (`cause`), what to do next (`hint`).
#[derive(Debug, Clone)]
pub struct Error {
    /// What a program can do about it.
    pub kind: Kind,
    /// Stable name, the same in CLI, REST and docs, such as `SOURCE_AUTH`.
    pub code: &'static str,
    /// What failed, for a person: lower case, no full stop.
    pub message: Cow<'static, str>,
    /// Why, as the layer below said it.
    pub cause: Option<String>,
    /// What to do next.
    pub hint: Option<Cow<'static, str>>,
}

impl Error {
    /// An error without cause and hint.
    pub fn new(kind: Kind, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, code, message: message.into(), cause: None, hint: None }
    }

    /// Adds why it failed.
    #[must_use]
    pub fn because(mut self, cause: impl fmt::Display) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// A value that is not acceptable.
    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Invalid, "INVALID_VALUE", message)
    }

    /// Our own fault, with what the layer below said.
    pub fn internal(message: impl Into<Cow<'static, str>>, cause: impl fmt::Display) -> Self {
        Self::new(Kind::Internal, "INTERNAL", message).because(cause)
    }

    /// The end of work that somebody stopped.
    pub fn cancelled() -> Self {
        Self::new(Kind::Cancelled, "CANCELLED", "stopped on request")
    }

    /// A failed file operation; a full disk becomes [`Kind::NoSpace`].
    pub fn io(message: impl Into<Cow<'static, str>>, cause: &std::io::Error) -> Self {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        if matches!(cause.kind(), StorageFull | QuotaExceeded) {
            Self::new(Kind::NoSpace, "DISK_FULL", message)
                .because(cause)
                .hint("free space on the disk of the repository, then try again")
        } else {
            Self::new(Kind::Internal, "STORAGE_FAILED", message).because(cause)
        }
    }

    /// Whether the same request may succeed later without anybody's help.
    pub fn worth_retrying(&self) -> bool {
        self.kind == Kind::Unreachable
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(cause) = &self.cause {
            write!(f, ": {cause}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
