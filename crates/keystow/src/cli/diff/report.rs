//! What differs, as programs and people read it: line by line, so that nothing is kept.

use serde::Serialize;

use super::compare::Pair;
use super::record::Record;
use crate::cli::output::{Name, count};
use crate::failure::{Exit, Failure};

/// Lines are written when so many bytes of them wait.
const WAITING_BYTES: usize = 64 << 10;

/// What is printed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    pub(super) json: bool,
    pub(super) summary_only: bool,
}

/// One line of `diff --json`: a contract.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
#[serde(tag = "change")]
enum Line {
    Added(One),
    Removed(One),
    Changed(Both),
}

/// A key of one side.
#[derive(Debug, Serialize)]
struct One {
    db: u64,
    key: Name,
    #[serde(rename = "type")]
    kind: &'static str,
    expires_at_ms: Option<i64>,
}

/// A key of both sides; `type` and `expires_at_ms` are those of B.
#[derive(Debug, Serialize)]
struct Both {
    db: u64,
    key: Name,
    /// `type`, or `value` and `expiry`, in this order.
    what: Vec<&'static str>,
    #[serde(rename = "type")]
    kind: &'static str,
    type_before: &'static str,
    expires_at_ms: Option<i64>,
    expires_at_ms_before: Option<i64>,
}

/// The counts, the last line.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Counts {
    pub(super) added: u64,
    pub(super) removed: u64,
    /// In any way.
    pub(super) changed: u64,
    pub(super) same: u64,
    /// Of the changed ones, those of another type, value and expiry; one may have another value and expiry.
    pub(super) changed_type: u64,
    pub(super) changed_value: u64,
    pub(super) changed_expiry: u64,
}

#[derive(Serialize)]
struct Last {
    summary: Counts,
}

/// Counts and prints differences.
pub(super) struct Report<W> {
    style: Style,
    ignore_ttl: bool,
    counts: Counts,
    waiting: Vec<u8>,
    write: W,
}

impl<W: FnMut(&[u8]) -> Result<(), Failure>> Report<W> {
    /// Prints by `write`.
    pub(super) fn new(style: Style, ignore_ttl: bool, write: W) -> Self {
        Self { style, ignore_ttl, counts: Counts::default(), waiting: Vec::new(), write }
    }

    /// Takes a key of one side or of both.
    pub(super) fn add(&mut self, pair: Pair<'_>) -> Result<(), Failure> {
        let line = match pair {
            Pair::Added(record) => {
                self.counts.added += 1;
                Line::Added(one(&record))
            }
            Pair::Removed(record) => {
                self.counts.removed += 1;
                Line::Removed(one(&record))
            }
            Pair::Both(before, after) => {
                let what = self.changes(&before, &after);
                if what.is_empty() {
                    self.counts.same += 1;
                    return Ok(());
                }
                self.counts.changed += 1;
                Line::Changed(both(&before, &after, what))
            }
        };
        if self.style.summary_only { Ok(()) } else { self.print(&line, Line::describe) }
    }

    /// Prints the counts. Gives whether something differs.
    pub(super) fn finish(mut self) -> Result<bool, Failure> {
        let counts = self.counts;
        self.print(&Last { summary: counts }, |last| last.summary.describe())?;
        (self.write)(&self.waiting)?;
        Ok(counts.added + counts.removed + counts.changed > 0)
    }

    /// In which ways a key that both sides have differs. Another type is another value too, which goes without
    /// saying.
    fn changes(&mut self, before: &Record<'_>, after: &Record<'_>) -> Vec<&'static str> {
        let mut what = Vec::new();
        if before.kind != after.kind {
            self.counts.changed_type += 1;
            what.push("type");
        } else if !before.digest.agrees_with(&after.digest) {
            self.counts.changed_value += 1;
            what.push("value");
        }
        if !self.ignore_ttl && before.expires_ms != after.expires_ms {
            self.counts.changed_expiry += 1;
            what.push("expiry");
        }
        what
    }

    fn print<T: Serialize>(&mut self, line: &T, text: impl FnOnce(&T) -> String) -> Result<(), Failure> {
        if self.style.json {
            serde_json::to_writer(&mut self.waiting, line).map_err(|error| {
                Failure::new(Exit::Failure, "INTERNAL", "cannot write JSON").because(error)
            })?;
        } else {
            self.waiting.extend(text(line).as_bytes());
        }
        self.waiting.push(b'\n');
        if self.waiting.len() >= WAITING_BYTES {
            (self.write)(&self.waiting)?;
            self.waiting.clear();
        }
        Ok(())
    }
}

fn one(record: &Record<'_>) -> One {
    One {
        db: record.database,
        key: Name(record.key.to_vec()),
        kind: record.kind.name(),
        expires_at_ms: record.expires_ms,
    }
}

fn both(before: &Record<'_>, after: &Record<'_>, what: Vec<&'static str>) -> Both {
    Both {
        db: after.database,
        key: Name(after.key.to_vec()),
        what,
        kind: after.kind.name(),
        type_before: before.kind.name(),
        expires_at_ms: after.expires_ms,
        expires_at_ms_before: before.expires_ms,
    }
}

impl Line {
    /// The text form.
    fn describe(&self) -> String {
        match self {
            Self::Added(One { db, key, kind, .. }) => format!("+ {db} {} ({kind})", shown(key)),
            Self::Removed(One { db, key, kind, .. }) => format!("- {db} {} ({kind})", shown(key)),
            Self::Changed(both) => {
                let what: Vec<_> = both.what.iter().map(|what| both.describe(what)).collect();
                format!("~ {} {}: {}", both.db, shown(&both.key), what.join(", "))
            }
        }
    }
}

impl Both {
    fn describe(&self, what: &str) -> String {
        match what {
            "type" => format!("type ({} to {})", self.type_before, self.kind),
            other => other.to_owned(),
        }
    }
}

impl Counts {
    /// The text form.
    fn describe(self) -> String {
        let Self { added, removed, changed, same, .. } = self;
        let mut ways = Vec::new();
        for (name, keys) in
            [("type", self.changed_type), ("value", self.changed_value), ("expiry", self.changed_expiry)]
        {
            if keys > 0 {
                ways.push(format!("{name} {}", count(keys)));
            }
        }
        let ways = if ways.is_empty() { String::new() } else { format!(" ({})", ways.join(", ")) };
        let [added, removed, changed, same] = [added, removed, changed, same].map(count);
        format!("{added} added, {removed} removed, {changed} changed{ways}, {same} the same")
    }
}

/// A key for people: in quotes, with what cannot be printed escaped.
fn shown(Name(key): &Name) -> String {
    match std::str::from_utf8(key) {
        Ok(text) => format!("{text:?}"),
        Err(_) => format!("\"{}\"", key.escape_ascii()),
    }
}
