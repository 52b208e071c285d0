//! Rewrites a file for servers of another version or family.

pub(crate) mod converter;
mod error;
mod libraries;
mod payload;
mod rewriter;

use std::{
    collections::BTreeMap,
    io::{BufRead, Write},
};

use crate::{
    changes::{ChangeCounts, Changes},
    event::{Event, Kind},
    format::Format,
    limits::{Limits, NotCompared},
    reader::Reader,
    slots::SlotSet,
};
pub use error::{Impossible, Place, RewriteError};
use rewriter::Rewriter;

/// What to rewrite, and into what.
#[derive(Debug, Clone)]
pub struct RewriteOptions {
    /// The format of the new file.
    pub to: Format,
    /// Which keys it gets, until when and under which names.
    pub changes: Changes,
    /// Whether it gets the functions.
    pub functions: bool,
    /// Bounds on what the source may make the reader do.
    pub limits: Limits,
}

impl RewriteOptions {
    /// Everything, with the usual limits.
    pub fn new(to: Format) -> Self {
        Self { to, changes: Changes::default(), functions: true, limits: Limits::default() }
    }
}

/// Reads a file, proves it, and writes it in another format on the way.
///
/// Values of types that the target knows pass through byte by byte, however large; others are written anew: packed
/// collections as plain ones, lists node by node, streams without the facts that the target has no place for, hashes
/// whose fields expire in the other family's layout. Modules' data stays as it is.
///
/// Left out are notes for clusters and replication of single keys (opcodes 243 and 244, unknown AUX fields among the
/// keys), which mean nothing to another server; and, where the data do not stay the same, of which stream of changes
/// they are a state, since replicas would go on from it. The checksum is always written.
///
/// ```
/// use keystow_rdb::{Format, Record, RewriteOptions, Value, Writer, rewrite};
///
/// let mut writer = Writer::new(Vec::new(), Format::VALKEY_80)?;
/// writer.value(&Record::new(b"k"), &Value::List(vec![b"a".to_vec()]))?;
/// let file = writer.end()?;
///
/// let mut older = Vec::new();
/// let rewritten = rewrite(&file[..], &mut older, &RewriteOptions::new("redis-6.2".parse()?))?;
/// assert!(older.starts_with(b"REDIS0009"));
/// assert_eq!(rewritten.keys(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// The first thing that is wrong with the source, or that the target has no words for: fields that expire before
/// RDB 12, functions before RDB 10, what producers added to a stream, data that modules keep at keys; or a hash that
/// loses fields and of which more than [`Limits::max_blob_bytes`] are left. The output is then to be thrown away; so it
/// is when the last byte of the source proves it unsound.
pub fn rewrite<R: BufRead, W: Write>(
    source: R,
    out: W,
    options: &RewriteOptions,
) -> Result<Rewritten, RewriteError> {
    rewrite_all([RewriteSource { bytes: source, slots: None }], out, options)
}

/// One of several files that become one.
#[derive(Debug, Clone)]
pub struct RewriteSource<R> {
    /// The file.
    pub bytes: R,
    /// The cluster slots of which its keys are wanted; `None` for all.
    pub slots: Option<SlotSet>,
}

/// Reads several files one after another, such as those of a cluster's shards, proves them, and writes them as one, in
/// the way that [`rewrite`] does it.
///
/// AUX fields and what modules keep outside of keys are those of the first file, with the scripts of all. A function
/// library that stands in several files is written once. Keys that stand in two files are not looked for: servers
/// refuse a file with them. While slots move, two shards have some keys; the slots of each file tell whose are right.
/// Without a file the output is a file without a key.
///
/// # Errors
/// As [`rewrite`]; or two libraries of one name differ.
pub fn rewrite_all<R: BufRead, W: Write>(
    sources: impl IntoIterator<Item = RewriteSource<R>>,
    out: W,
    options: &RewriteOptions,
) -> Result<Rewritten, RewriteError> {
    let mut rewriter = Rewriter::new(out, options)?;
    let mut sources = sources.into_iter().peekable();
    while let Some(RewriteSource { bytes, slots }) = sources.next() {
        rewriter.begin_source(slots, sources.peek().is_some());
        let mut reader = Reader::new(bytes, options.limits);
        loop {
            let event = reader.next_event_with(&mut rewriter);
            rewriter.check()?;
            match event? {
                Some(Event::End { .. }) | None => break,
                Some(event) => rewriter.event(&event)?,
            }
        }
        rewriter.end_source(reader.offset(), reader.not_compared());
    }
    rewriter.end()
}

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Rewritten {
    /// The format of the source, or of the first of several.
    pub from: Format,
    /// The format of the output.
    pub to: Format,
    /// Keys by kind.
    pub kinds: BTreeMap<Kind, Moves>,
    /// Empty collections among the keys in the output, which servers leave out when they load it.
    pub empty: u64,
    /// Function libraries that were kept.
    pub functions: u64,
    /// Records that were left out.
    pub dropped: Dropped,
    /// What was changed.
    pub changes: ChangeCounts,
    /// Bytes read, up to and with the checksum.
    pub bytes_read: u64,
    /// Bytes written.
    pub bytes_written: u64,
    /// What was not looked at for standing twice in the source.
    pub not_compared: NotCompared,
}

impl Rewritten {
    /// Keys in the output.
    pub fn keys(&self) -> u64 {
        self.kinds.values().map(|moves| moves.kept + moves.converted).sum()
    }
}

/// What became of the keys of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moves {
    /// Their values passed through as they were.
    pub kept: u64,
    /// Their values were written anew.
    pub converted: u64,
    /// They are not in the output: [`Rewritten::changes`] says why.
    pub left_out: u64,
}

/// Records that are not keys and were left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Dropped {
    /// Function libraries that were not wanted.
    pub functions: u64,
    /// Hints about cluster slots.
    pub slot_infos: u64,
    /// Ranges of cluster slots that were being moved.
    pub slot_imports: u64,
    /// AUX fields among the keys that only their writer understands.
    pub aux: u64,
    /// Data of modules outside of keys, in all files but the first.
    pub module_aux: u64,
    /// Expiries of single members, which only `KeyDB` knows: those members no longer expire.
    pub member_expiries: u64,
}
