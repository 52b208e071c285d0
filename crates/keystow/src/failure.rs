//! What the command line says when something does not work, and the exit code that scripts act on.

use std::fmt::{self, Write as _};
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use keystow_engine::{Error, Kind};
use serde_json::json;

use crate::api::{FailureNote, Problem};

/// Exit codes of failures, a contract with scripts; 0 is success. An unknown one must be read as a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Failed, for none of the reasons below.
    Failure = 1,
    /// The command or one of its values is not acceptable. Of `diff` also what others fail with 1 for.
    Usage = 2,
    /// Some of it worked.
    Partial = 3,
    /// Credentials are missing, wrong or not enough.
    Auth = 4,
    /// No such thing.
    NotFound = 5,
    /// It exists already, is busy or is in the wrong state.
    Conflict = 6,
    /// Bytes are not what they should be.
    Integrity = 7,
    /// Something cannot be reached; trying later may help.
    Unreachable = 8,
    /// The disk or a quota is full.
    NoSpace = 9,
    /// There is no service here yet.
    NotInitialised = 10,
    /// Stopped by the user, or by the end of the terminal.
    Interrupted = 130,
    /// Stopped by SIGTERM.
    Terminated = 143,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// What failed (`message`), why (`cause`), what to do next (`hint`), under a stable code.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    /// How the program ends.
    pub(crate) exit: Exit,
    /// Stable name, the same in CLI, REST and docs, such as `SOURCE_AUTH`.
    pub(crate) code: String,
    /// What failed.
    pub(crate) message: String,
    /// Why, as the layer below said it.
    pub(crate) cause: Option<String>,
    /// What to do next: a command where there is one.
    pub(crate) hint: Option<String>,
}

impl Failure {
    /// A failure without cause and hint.
    pub(crate) fn new(exit: Exit, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { exit, code: code.into(), message: message.into(), cause: None, hint: None }
    }

    /// A value that is not acceptable.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, "INVALID_VALUE", message)
    }

    /// A failed operation on a local file.
    pub(crate) fn file(message: impl Into<String>, error: &std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        let failure = match error.kind() {
            Io::StorageFull | Io::QuotaExceeded => Self::new(Exit::NoSpace, "DISK_FULL", message)
                .hint("free space there, then run the same command again"),
            Io::NotFound => Self::new(Exit::NotFound, "FILE_NOT_FOUND", message),
            _ => Self::new(Exit::Failure, "FILE_FAILED", message),
        };
        failure.because(error)
    }

    /// Adds why it failed.
    #[must_use]
    pub(crate) fn because(mut self, cause: impl fmt::Display) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    /// Adds what to do next.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.cause.iter().try_for_each(|cause| write!(f, ": {cause}"))
    }
}

impl std::error::Error for Failure {}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            exit: exit_of_code(error.code).unwrap_or_else(|| exit_of_kind(error.kind)),
            code: error.code.to_owned(),
            message: error.message.into_owned(),
            cause: error.cause,
            hint: error.hint.map(std::borrow::Cow::into_owned),
        }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        let exit = exit_of_code(&problem.code).unwrap_or_else(|| exit_of_status(problem.status));
        let mut failure = Self {
            exit,
            code: problem.code,
            message: problem.detail,
            cause: problem.cause,
            hint: problem.hint,
        };
        if problem.status >= 500 && failure.hint.is_none() {
            failure.hint = Some(format!("look for request {} in the server's log", problem.request_id));
        }
        failure
    }
}

impl From<FailureNote> for Failure {
    /// Of work that the server did on its own: it was never this command's values that were wrong.
    fn from(note: FailureNote) -> Self {
        let exit = exit_of_code(&note.code).unwrap_or(Exit::Failure);
        Self { exit, code: note.code, message: note.message, cause: None, hint: note.hint }
    }
}

fn exit_of_kind(kind: Kind) -> Exit {
    match kind {
        Kind::Invalid => Exit::Usage,
        Kind::Unauthenticated | Kind::Denied => Exit::Auth,
        Kind::NotFound => Exit::NotFound,
        Kind::Conflict => Exit::Conflict,
        Kind::Corrupt => Exit::Integrity,
        Kind::Unreachable => Exit::Unreachable,
        Kind::NoSpace => Exit::NoSpace,
        Kind::Cancelled => Exit::Interrupted,
        Kind::Internal => Exit::Failure,
    }
}

/// Stable codes that say more than the HTTP status they come with.
const CODES: [(Exit, &[&str]); 9] = [
    (
        Exit::Auth,
        &[
            "SOURCE_AUTH",
            "SOURCE_DENIED",
            "TARGET_AUTH",
            "TARGET_DENIED",
            "BAD_CREDENTIALS",
            "BAD_TOKEN",
            "SESSION_OVER",
            "NO_CREDENTIALS",
            "ROLE_DENIED",
            "PROJECT_DENIED",
            "ADDRESS_DENIED",
            "REPOSITORY_DENIED",
            "SOURCE_CONFIG_DENIED",
            "FUNCTIONS_DENIED",
        ],
    ),
    (
        Exit::NotFound,
        &[
            "INSTANCE_GONE",
            "INSTANCE_NOT_FOUND",
            "BACKUP_NOT_FOUND",
            "POLICY_NOT_FOUND",
            "NOT_FOUND",
            "REPOSITORY_EMPTY",
            "REPOSITORY_MISSING",
            "BUCKET_FILE_MISSING",
            "SENTINEL_UNKNOWN_SERVICE",
        ],
    ),
    (
        Exit::Integrity,
        &[
            "QUARANTINED",
            "SNAPSHOT_CORRUPT",
            "TRANSFER_MISMATCH",
            "READBACK_FAILED",
            "OBJECT_DAMAGED",
            "OBJECT_CHANGED",
            "OBJECT_TOO_LARGE",
            "REPOSITORY_DAMAGED",
            "KEYS_DAMAGED",
            "IDENTITY_DAMAGED",
            "MANIFEST_DAMAGED",
            "EVENT_DAMAGED",
            "SECRET_UNREADABLE",
            "ROOT_KEY_DAMAGED",
            "ROOT_KEY_WRONG",
            "CATALOG_COPY_DAMAGED",
            "IMPORT_MISMATCH",
            "DRILL_FAILED",
            "DRILL_MISMATCH",
            "DRILL_MODULES_MISSING",
            "RESTORE_UNSOUND",
        ],
    ),
    (
        Exit::Unreachable,
        &[
            "SOURCE_UNREACHABLE",
            "SOURCE_CLOSED",
            "SOURCE_LOST",
            "SOURCE_SILENT",
            "SOURCE_LOADING",
            "SOURCE_BUSY",
            "SOURCE_REPLICA_STALE",
            "SENTINEL_NO_PRIMARY",
            "SHARD_UNREACHABLE",
            "CLUSTER_UNREACHABLE",
            "TRANSFER_TRUNCATED",
            "REPOSITORY_UNREACHABLE",
            "IMPORT_CUT",
            "CATALOG_UNREACHABLE",
            "NOT_READY",
            "TARGET_UNREACHABLE",
            "TARGET_LOST",
            "TARGET_SILENT",
            "TARGET_BUSY",
            "DRILL_INTERRUPTED",
            "RESTORE_CLUSTER_DOWN",
            "RESTORE_NOT_FOLLOWED",
        ],
    ),
    (Exit::NoSpace, &["DISK_FULL", "SPACE_GUARD", "REPOSITORY_FULL", "TARGET_FULL"]),
    (Exit::NotInitialised, &["NOT_INITIALISED"]),
    (Exit::Partial, &["RESTORE_INCOMPLETE", "RESTORE_HALF_DONE"]),
    (Exit::Failure, &["RESTORE_PORT", "RESTORE_STRANGER"]),
    (Exit::Conflict, &["DRILL_NO_SERVER", "BACKUP_NOT_AVAILABLE", "COPY_MISSING"]),
];

/// The exit code of a stable code, where that says more than the HTTP status it came with.
fn exit_of_code(code: &str) -> Option<Exit> {
    let listed = CODES.iter().find(|(_, codes)| codes.contains(&code)).map(|(exit, _)| *exit);
    listed
        .or_else(|| code.starts_with("RESTORE_").then_some(Exit::Conflict))
        .or_else(|| code.starts_with("RDB_").then_some(Exit::Integrity))
}

/// The exit code of an HTTP status whose code says nothing more.
fn exit_of_status(status: u16) -> Exit {
    match status {
        400 | 405 | 406 | 413 | 414 | 415 | 422 => Exit::Usage,
        401 | 403 => Exit::Auth,
        404 | 410 => Exit::NotFound,
        409 | 412 | 423 => Exit::Conflict,
        408 | 425 | 429 | 502..=504 => Exit::Unreachable,
        507 => Exit::NoSpace,
        _ => Exit::Failure,
    }
}

/// Prints a failure to stderr, three lines for people or one JSON object for programs; gives its exit code.
pub(crate) fn report(failure: &Failure, json: bool) -> ExitCode {
    let mut stderr = std::io::stderr().lock();
    let text =
        if json { as_json(failure) } else { as_text(failure, stderr.is_terminal() && colours_wanted()) };
    // Nobody is left to tell if stderr is closed.
    let _ = stderr.write_all(text.as_bytes());
    failure.exit.into()
}

fn as_json(failure: &Failure) -> String {
    let Failure { code, message, cause, hint, .. } = failure;
    format!("{}\n", json!({ "error": { "code": code, "message": message, "cause": cause, "hint": hint } }))
}

fn as_text(failure: &Failure, colours: bool) -> String {
    let (bold, plain) = if colours { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
    let mut text = format!("{bold}error[{}]{plain}: {}\n", failure.code, one_line(&failure.message));
    for (label, line) in [("cause", &failure.cause), ("try", &failure.hint)] {
        if let Some(line) = line {
            let _ = writeln!(text, "  {label}: {}", one_line(line));
        }
    }
    text
}

/// What others said, without line feeds and terminal control sequences.
fn one_line(text: &str) -> String {
    text.replace('\n', " ").chars().filter(|c| !c.is_control()).collect()
}

/// The convention of <https://no-color.org>, which is not a setting of ours.
fn colours_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests;
