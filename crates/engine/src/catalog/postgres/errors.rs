//! What PostgreSQL refused, in our words.

use std::fmt::Display;

use crate::error::{Error, Kind};

/// What a call could not do.
pub(super) fn failed(error: &sqlx::Error) -> Error {
    match of(error) {
        Trouble::Away => {
            Error::new(Kind::Unreachable, "CATALOG_UNREACHABLE", "the catalog's database does not answer")
                .because(error)
                .hint("it is tried again by itself; look whether PostgreSQL runs and has connections left")
        }
        Trouble::Full => Error::new(Kind::NoSpace, "DISK_FULL", "the catalog cannot grow")
            .because(error)
            .hint("free space on the disk of the catalog's database, then try again"),
        Trouble::Value => {
            Error::invalid("a text has a character that the catalog cannot keep").because(error)
        }
        Trouble::Other => {
            Error::new(Kind::Internal, "CATALOG_FAILED", "the catalog did not do what was asked")
                .because(error)
        }
    }
}

/// Why the catalog at that host and database cannot be used.
pub(super) fn cannot_connect(place: &str, error: &sqlx::Error) -> Error {
    match of(error) {
        Trouble::Away => {
            Error::new(Kind::Unreachable, "CATALOG_UNREACHABLE", format!("cannot reach the catalog {place}"))
                .because(error)
                .hint("look whether PostgreSQL runs there and admits this host")
        }
        _ => cannot_open(place, error),
    }
}

/// Why the schema there cannot be used.
pub(super) fn cannot_open(place: &str, cause: &dyn Display) -> Error {
    Error::new(Kind::Internal, "CATALOG_FAILED", format!("cannot open the catalog {place}"))
        .because(cause)
        .hint("check that the database exists and that its user may sign in, and may create tables and functions")
}

enum Trouble {
    /// The server, or the way to it, is not there at the moment.
    Away,
    Full,
    Value,
    Other,
}

fn of(error: &sqlx::Error) -> Trouble {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => Trouble::Away,
        sqlx::Error::Database(error) => error.code().map_or(Trouble::Other, |code| of_code(&code)),
        _ => Trouble::Other,
    }
}

/// Of an `SQLSTATE`: <https://www.postgresql.org/docs/15/errcodes-appendix.html>.
fn of_code(code: &str) -> Trouble {
    match code {
        // Stopping, stopped by a crash, starting; ended by hand; no connection or memory left; waited too long for a
        // lock or a statement; a transaction that stood still; two that waited for each other; a standby.
        "57P01" | "57P02" | "57P03" | "57P05" | "53300" | "53200" | "53000" | "55P03" | "57014" | "25P03"
        | "40P01" | "40001" | "25006" => Trouble::Away,
        "53100" => Trouble::Full,
        // A NUL, which its texts cannot have.
        "22021" => Trouble::Value,
        _ if code.starts_with("08") => Trouble::Away,
        _ => Trouble::Other,
    }
}
