//! What became of the keys, as programs and people read it.

use std::collections::BTreeMap;
use std::path::Path;

use keystow_rdb::Rewritten;
use serde::Serialize;

use crate::cli::output::{count, grid, size};

/// What `relabel --json` prints: a contract.
#[derive(Debug, Serialize)]
pub(super) struct RelabelledAll {
    pub(super) files: Vec<Relabelled>,
}

/// One file that was written.
#[derive(Debug, Serialize)]
pub(super) struct Relabelled {
    /// None for standard output.
    path: Option<String>,
    /// The magic words and versions of the source and of the file.
    from: String,
    to: String,
    size_bytes: u64,
    keys: u64,
    types: BTreeMap<&'static str, Moved>,
    functions: u64,
    dropped: Left,
}

/// The keys of one type.
#[derive(Debug, Serialize)]
struct Moved {
    /// With their values as they were.
    kept: u64,
    /// With their values written anew.
    converted: u64,
    /// Not asked for.
    left_out: u64,
}

/// Records other than keys that the new file does not have.
#[derive(Debug, Serialize)]
struct Left {
    functions: u64,
    cluster: u64,
    aux: u64,
    member_expiries: u64,
}

impl RelabelledAll {
    pub(super) fn describe(&self) -> String {
        self.files.iter().map(Relabelled::describe).collect::<Vec<_>>().join("\n")
    }
}

impl Relabelled {
    pub(super) fn of(path: Option<&Path>, rewritten: &Rewritten) -> Self {
        let dropped = rewritten.dropped;
        Self {
            path: path.map(|path| path.display().to_string()),
            from: rewritten.from.magic(),
            to: rewritten.to.magic(),
            size_bytes: rewritten.bytes_written,
            keys: rewritten.keys(),
            types: (rewritten.kinds.iter())
                .map(|(kind, moves)| {
                    let (kept, converted, left_out) = (moves.kept, moves.converted, moves.left_out);
                    (kind.name(), Moved { kept, converted, left_out })
                })
                .collect(),
            functions: rewritten.functions,
            dropped: Left {
                functions: dropped.functions,
                cluster: dropped.slot_infos + dropped.slot_imports,
                aux: dropped.aux,
                member_expiries: dropped.member_expiries,
            },
        }
    }

    /// For people.
    pub(super) fn describe(&self) -> String {
        let Self { from, to, keys, size_bytes, .. } = self;
        let name = self.path.as_deref().unwrap_or("standard output");
        let head = format!("{name}: {from} to {to}, {} keys, {}\n", count(*keys), size(*size_bytes));
        if self.types.is_empty() {
            return head;
        }
        let row = |(name, moved): (&&str, &Moved)| {
            let numbers = [moved.kept, moved.converted, moved.left_out].map(count);
            [vec![(*name).to_owned()], numbers.to_vec()].concat()
        };
        head + &grid(&["TYPE", "KEPT", "CONVERTED", "LEFT OUT"], self.types.iter().map(row).collect())
    }

    /// What was in the source, was not asked to be left out, and means something to somebody.
    pub(super) fn lost(&self) -> Option<String> {
        let lost = self.dropped.member_expiries;
        (lost > 0).then(|| {
            format!("{} members of collections no longer expire: only KeyDB knows such expiries", count(lost))
        })
    }
}
