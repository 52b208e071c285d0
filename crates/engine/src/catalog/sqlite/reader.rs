//! Single rows, read on the caller's thread: the read takes a few microseconds from pages that are in memory, and
//! handing it to another thread and back takes ten times as long.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OpenFlags, Params, Row, ToSql};

use super::cannot_open;
use super::sql::rows::{Columns, damaged, signed};
use crate::catalog::Key;
use crate::error::{Error, Kind, Result};

/// Connections kept for later. More are made when more threads read at once.
const MOST_IDLE: usize = 16;

/// Connections that only read.
pub(super) struct Reader {
    path: PathBuf,
    idle: Mutex<Vec<Open>>,
}

/// A connection, and the columns of the queries that it has seen: their names are asked for once.
struct Open {
    connection: Connection,
    columns: Vec<(&'static str, Vec<String>)>,
}

/// A row whose columns are found by name.
pub(super) struct Found<'a> {
    row: &'a Row<'a>,
    columns: &'a [String],
    /// Where the column stands that will be asked for next: mostly the one after the last.
    next: Cell<usize>,
}

impl Found<'_> {
    fn value(&self, column: &str) -> Result<ValueRef<'_>> {
        let next = self.next.get();
        let at = match self.columns.get(next) {
            Some(name) if name == column => Some(next),
            _ => self.columns.iter().position(|name| name == column),
        };
        let at = at.ok_or_else(|| damaged(column, "it is not there"))?;
        self.next.set(at + 1);
        self.row.get_ref(at).map_err(|error| damaged(column, error))
    }
}

impl ToSql for Key<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Self::Text(text) => text.to_sql(),
            Self::Number(number) => Ok(signed(*number).into()),
        }
    }
}

impl Columns for Found<'_> {
    fn integer(&self, column: &str) -> Result<Option<i64>> {
        self.value(column)?.as_i64_or_null().map_err(|error| damaged(column, error))
    }

    fn text(&self, column: &str) -> Result<Option<&str>> {
        self.value(column)?.as_str_or_null().map_err(|error| damaged(column, error))
    }

    fn bytes(&self, column: &str) -> Result<Option<&[u8]>> {
        self.value(column)?.as_blob_or_null().map_err(|error| damaged(column, error))
    }
}

impl Reader {
    /// Of a file that is there and has today's schema.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let reader = Self { path: path.to_owned(), idle: Mutex::default() };
        let first = reader.connect()?;
        reader.give_back(first);
        Ok(reader)
    }

    /// The rows of a query, each turned into something.
    pub(super) fn rows<T>(
        &self,
        query: &'static str,
        parameters: impl Params,
        read: impl FnMut(&Found<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut open = self.take()?;
        let found = open.rows(query, parameters, read);
        self.give_back(open);
        found
    }

    /// Closes what is idle.
    pub(super) fn close(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn take(&self) -> Result<Open> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.map_or_else(|| self.connect(), Ok)
    }

    fn give_back(&self, connection: Open) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MOST_IDLE {
            idle.push(connection);
        }
    }

    fn connect(&self) -> Result<Open> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let refused = |error| cannot_open(&self.path, &error);
        let connection = Connection::open_with_flags(&self.path, flags).map_err(refused)?;
        connection.busy_timeout(Duration::from_secs(5)).map_err(refused)?;
        // The file is not mapped: a disk that fails there is a signal that ends the process, not an error.
        Ok(Open { connection, columns: Vec::new() })
    }
}

impl Open {
    fn rows<T>(
        &mut self,
        query: &'static str,
        parameters: impl Params,
        mut read: impl FnMut(&Found<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut statement = self.connection.prepare_cached(query).map_err(|error| failed(&error))?;
        let known = self.columns.iter().position(|(seen, _)| std::ptr::eq(*seen, query));
        let known = known.unwrap_or_else(|| {
            let names = statement.column_names().into_iter().map(str::to_owned).collect();
            self.columns.push((query, names));
            self.columns.len() - 1
        });
        let columns = &self.columns[known].1;
        let mut rows = statement.query(parameters).map_err(|error| failed(&error))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(|error| failed(&error))? {
            found.push(read(&Found { row, columns, next: Cell::new(0) })?);
        }
        Ok(found)
    }
}

fn failed(error: &rusqlite::Error) -> Error {
    let busy = matches!(
        error.sqlite_error_code(),
        Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked)
    );
    let kind = if busy { Kind::Unreachable } else { Kind::Internal };
    Error::new(kind, "CATALOG_FAILED", "the catalog did not do what was asked").because(error)
}
