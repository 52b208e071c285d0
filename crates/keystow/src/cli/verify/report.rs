//! The verdict on an RDB file, as programs and people read it.

use std::collections::BTreeMap;

use keystow_rdb::{Checksum, Failure as Unsound, Reason, Report};
use serde::Serialize;

use crate::cli::input::Digests;
use crate::cli::output::{count, grid, pairs, size};
use crate::failure::{Exit, Failure};

/// What `verify --json` prints: a contract.
#[derive(Debug, Serialize)]
pub(super) struct Verdict {
    ok: bool,
    keys: u64,
    databases: Vec<Database>,
    rdb_version: u16,
    magic: String,
    checksum: &'static str,
    error: Option<Wrong>,
    bytes: u64,
    types: BTreeMap<&'static str, Counted>,
    functions: u64,
    modules: Vec<String>,
    /// Bytes after the end, which servers ignore.
    trailing_bytes: u64,
    not_compared: NotCompared,
    /// The part of a backup.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Of a part's bytes, where they were compared with the catalog's.
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
}

/// What was too much to be looked at for standing twice.
#[derive(Debug, Serialize)]
struct NotCompared {
    keys: u64,
    members: u64,
}

#[derive(Debug, Serialize)]
struct Database {
    db: u64,
    keys: u64,
    with_expiry: u64,
}

#[derive(Debug, Serialize)]
struct Counted {
    keys: u64,
    bytes: u64,
}

/// The first thing that is wrong.
#[derive(Debug, Serialize)]
struct Wrong {
    offset: Option<u64>,
    key: Option<String>,
    reason: String,
    code: &'static str,
    #[serde(skip)]
    exit: Exit,
    #[serde(skip)]
    full: String,
}

impl Verdict {
    /// Of a file that was read through.
    pub(super) fn of(outcome: Result<Report, Unsound>) -> Self {
        let (report, error) = match outcome {
            Ok(report) => (report, None),
            Err(Unsound { fault, report_so_far }) => {
                let wrong = Wrong {
                    offset: Some(fault.offset),
                    key: fault.key.as_ref().map(|key| String::from_utf8_lossy(key).into_owned()),
                    reason: fault.reason.to_string(),
                    code: fault.reason.code(),
                    // A source that cannot be read says nothing about the file.
                    exit: if matches!(fault.reason, Reason::Io { .. }) {
                        Exit::Failure
                    } else {
                        Exit::Integrity
                    },
                    full: fault.to_string(),
                };
                (*report_so_far, Some(wrong))
            }
        };
        Self {
            ok: error.is_none(),
            keys: report.keys,
            databases: (report.databases.iter())
                .map(|(db, counted)| Database {
                    db: *db,
                    keys: counted.keys,
                    with_expiry: counted.with_expiry,
                })
                .collect(),
            rdb_version: report.rdb_version,
            magic: report.magic,
            checksum: match report.checksum {
                Checksum::Ok => "ok",
                Checksum::Absent => "absent",
                Checksum::Bad { .. } => "bad",
            },
            error,
            bytes: report.bytes,
            types: (report.kinds.iter())
                .map(|(kind, counted)| (kind.name(), Counted { keys: counted.keys, bytes: counted.bytes }))
                .collect(),
            functions: report.functions,
            modules: report.modules.into_iter().collect(),
            trailing_bytes: report.trailing_bytes,
            not_compared: NotCompared {
                keys: report.not_compared.keys,
                members: report.not_compared.members,
            },
            name: None,
            sha256: None,
        }
    }

    /// Adds that the bytes are those of a backup's part, or that they are not. What is not sound was not read to its
    /// end, so that its digest says nothing.
    pub(super) fn compare(&mut self, Digests { name, found: sha256, expected }: Digests) {
        self.name = Some(name);
        if !self.ok {
            return;
        }
        if sha256 != expected {
            let reason = format!("SHA-256 is {sha256}, the catalog says {expected}");
            self.ok = false;
            self.error = Some(Wrong {
                offset: None,
                key: None,
                full: reason.clone(),
                reason,
                code: "CHECKSUM_MISMATCH",
                exit: Exit::Integrity,
            });
        }
        self.sha256 = Some(sha256);
    }

    /// The name of the part.
    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whether the file is sound.
    pub(super) fn judge(&self, source: &str) -> Result<(), Failure> {
        match &self.error {
            None => Ok(()),
            Some(wrong) => {
                let message = match wrong.exit {
                    Exit::Integrity => format!("{source} is not sound"),
                    _ => format!("{source} cannot be read to its end"),
                };
                Err(Failure::new(wrong.exit, wrong.code, message).because(&wrong.full))
            }
        }
    }

    /// The text form.
    pub(super) fn describe(&self) -> String {
        let databases: Vec<_> = self
            .databases
            .iter()
            .map(|database| format!("{}: {}", database.db, count(database.keys)))
            .collect();
        let mut text = pairs([
            ("part", self.name.clone()),
            ("verdict", Some(if self.ok { "sound" } else { "NOT SOUND" }.to_owned())),
            ("format", (!self.magic.is_empty()).then(|| self.magic.clone())),
            ("checksum", Some(self.checksum.to_owned())),
            ("sha256", self.sha256.clone()),
            ("size", Some(format!("{} ({} bytes)", size(self.bytes), self.bytes))),
            ("keys", Some(count(self.keys))),
            ("databases", (!databases.is_empty()).then(|| databases.join(", "))),
            ("functions", (self.functions > 0).then(|| count(self.functions))),
            ("modules", (!self.modules.is_empty()).then(|| self.modules.join(", "))),
            (
                "trailing",
                (self.trailing_bytes > 0).then(|| format!("{} bytes after the end", self.trailing_bytes)),
            ),
            ("not compared", self.not_compared.describe()),
        ]);
        if !self.types.is_empty() {
            text.push('\n');
            let cells = self
                .types
                .iter()
                .map(|(name, counted)| vec![(*name).to_owned(), count(counted.keys), size(counted.bytes)]);
            text.push_str(&grid(&["TYPE", "KEYS", "BYTES"], cells.collect()));
        }
        text
    }
}

impl NotCompared {
    fn describe(&self) -> Option<String> {
        let Self { keys, members } = *self;
        (keys + members > 0).then(|| {
            format!("{} keys and {} members with the rest, to bound memory", count(keys), count(members))
        })
    }
}

/// The verdict on a backup with several parts.
#[derive(Serialize)]
pub(super) struct VerdictOfAll<'a> {
    ok: bool,
    keys: u64,
    parts: &'a [Verdict],
}

impl<'a> VerdictOfAll<'a> {
    /// Sums up; a backup without parts is not sound.
    pub(super) fn of(parts: &'a [Verdict]) -> Self {
        Self {
            ok: !parts.is_empty() && parts.iter().all(|part| part.ok),
            keys: parts.iter().map(|part| part.keys).sum(),
            parts,
        }
    }

    /// The text form.
    pub(super) fn describe(&self) -> String {
        self.parts.iter().map(Verdict::describe).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use keystow_rdb::{Limits, verify};
    use serde_json::{Value, json};

    use super::*;

    fn verdict(bytes: &[u8]) -> (Value, Verdict) {
        let verdict = Verdict::of(verify(bytes, Limits::default()));
        (serde_json::to_value(&verdict).unwrap(), verdict)
    }

    /// Version 4 has no checksum.
    const SMALL: &[u8] = b"REDIS0004\xfe\x00\x00\x01a\x01b\xfe\x03\x00\x01c\x01d\xff";

    #[test]
    fn the_json_of_a_sound_file_has_its_shape() {
        let (value, verdict) = verdict(SMALL);
        for (name, expected) in [
            ("ok", json!(true)),
            ("keys", json!(2)),
            (
                "databases",
                json!([{"db": 0, "keys": 1, "with_expiry": 0}, {"db": 3, "keys": 1, "with_expiry": 0}]),
            ),
            ("rdb_version", json!(4)),
            ("magic", json!("REDIS0004")),
            ("checksum", json!("absent")),
            ("error", Value::Null),
            ("bytes", json!(SMALL.len())),
        ] {
            assert_eq!(value[name], expected, "{name}");
        }
        assert_eq!(value["types"]["string"]["keys"], 2);
        assert!(verdict.judge("x").is_ok());
    }

    #[test]
    fn the_json_of_a_broken_file_names_the_place() {
        let (value, verdict) = verdict(&SMALL[..SMALL.len() - 3]);
        assert_eq!(value["ok"], false);
        assert_eq!(value["error"]["code"], "RDB_TRUNCATED");
        assert_eq!(value["error"]["key"], "c");
        assert!(value["error"]["offset"].is_u64() && value["error"]["reason"].is_string());
        assert_eq!(verdict.judge("x").unwrap_err().exit, Exit::Integrity);
    }

    #[test]
    fn a_wrong_checksum_is_bad() {
        let mut bytes = SMALL.to_vec();
        bytes[8] = b'9';
        bytes.extend_from_slice(&[1; 8]);
        let (value, verdict) = verdict(&bytes);
        assert_eq!((&value["ok"], &value["checksum"]), (&json!(false), &json!("bad")));
        assert_eq!(verdict.judge("x").unwrap_err().code, "RDB_CHECKSUM");
    }

    #[test]
    fn sound_bytes_of_another_file_are_not_the_backup() {
        let mut verdict = Verdict::of(verify(SMALL, Limits::default()));
        verdict.compare(Digests { name: "dump.rdb".into(), found: "aa".into(), expected: "bb".into() });
        assert!(!verdict.ok);
        assert_eq!(verdict.judge("x").unwrap_err().code, "CHECKSUM_MISMATCH");
        assert_eq!(verdict.sha256.as_deref(), Some("aa"));
    }

    #[test]
    fn the_digest_of_what_was_not_read_to_its_end_is_not_told() {
        let mut verdict = Verdict::of(verify(&SMALL[..SMALL.len() - 3], Limits::default()));
        verdict.compare(Digests { name: "dump.rdb".into(), found: "aa".into(), expected: "bb".into() });
        assert_eq!((verdict.name(), verdict.sha256.as_deref()), (Some("dump.rdb"), None));
        assert_eq!(verdict.judge("x").unwrap_err().code, "RDB_TRUNCATED");
    }

    #[test]
    fn a_file_that_is_no_rdb_is_refused() {
        assert_eq!(verdict(b"<html>not a backup</html>").0["error"]["code"], "RDB_MAGIC");
        assert_eq!(verdict(b"").0["error"]["code"], "RDB_TRUNCATED");
    }
}
