//! Schema changes, in whichever database.

use std::borrow::Cow;

use sqlx::migrate::{Migration, MigrationType, Migrator};

use crate::error::{Error, Kind};

/// A schema change: its number, its name and its SQL. A change that has shipped is never edited.
pub(super) type Change = (i64, &'static str, &'static str);

/// The oldest program, named by the newest change that it knows, that can work with a catalog after all of today's
/// changes. Raised by a change that takes away or renames what that program uses.
pub(super) const OLDEST_PROGRAM: i64 = 5;

/// The note in which the newest program leaves its [`OLDEST_PROGRAM`] for older ones.
pub(super) const OLDEST_PROGRAM_NOTE: &str = "oldest_program";

/// The newest change that this program knows.
pub(super) fn newest(changes: &[Change]) -> i64 {
    changes.iter().map(|&(number, ..)| number).max().unwrap_or(0)
}

/// What brings a schema up to date, alone: another program that does the same waits for it.
pub(super) fn migrator(changes: &[Change]) -> Migrator {
    let migrations = changes
        .iter()
        .map(|&(version, name, sql)| {
            Migration::new(
                version,
                Cow::Borrowed(name),
                MigrationType::Simple,
                sqlx::SqlSafeStr::into_sql_str(sql),
                false,
            )
        })
        .collect();
    Migrator { migrations: Cow::Owned(migrations), ignore_missing: true, ..Migrator::DEFAULT }
}

/// The error of a catalog that a newer program has changed too much.
pub(super) fn too_new(theirs: i64, ours: i64) -> Error {
    Error::new(Kind::Conflict, "CATALOG_NEWER", "the catalog belongs to a newer version of keystow")
        .because(format!("its schema is {theirs}, and this version knows {ours}"))
        .hint("start the newer version; a catalog does not go back")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{postgres, sqlite};

    #[test]
    fn both_databases_have_the_same_changes() {
        let numbers = |changes: &[Change]| changes.iter().map(|change| change.0).collect::<Vec<_>>();
        let (lite, postgres) = (numbers(sqlite::CHANGES), numbers(postgres::CHANGES));
        assert_eq!(postgres[0], 1);
        // PostgreSQL's first is what SQLite's first five come to.
        assert_eq!(lite[..5], [1, 2, 3, 4, 5]);
        assert_eq!(lite[5..], postgres[1..]);
        assert!(lite.is_sorted());
        assert!(OLDEST_PROGRAM <= newest(sqlite::CHANGES));
    }
}
