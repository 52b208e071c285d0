//! The loop's other half: sees values while they are read, and writes them.

use std::io::{self, Write};

use super::{Dropped, Moves, Place, RewriteError, RewriteOptions, Rewritten, converter::Converter};
use crate::{
    event::{Event, Kind, ModuleId, ModuleWhen},
    fault::Fault,
    filter::Filter,
    format::Format,
    limits::NotCompared,
    part::{Frame, Head, Part, Visitor, Want},
    unwritable::{Unwritable, WriteError},
    writer::{Record, Writer},
};

/// AUX fields that are of the whole file wherever they stand. Others may be of one key or slot.
const KNOWN_AUX: [&[u8]; 11] = [
    b"redis-ver",
    b"valkey-ver",
    b"redis-bits",
    b"ctime",
    b"used-mem",
    b"aof-base",
    b"aof-preamble",
    b"repl-stream-db",
    b"repl-id",
    b"repl-offset",
    b"lua",
];
/// `KeyDB` writes the two one after the other, once per member that expires.
const MEMBER_EXPIRY: &[u8] = b"keydb-subexpire-key";
const MEMBER_EXPIRY_TIME: &[u8] = b"keydb-subexpire-when";
const SLOT_INFO: &[u8] = b"slot-info";

/// Writes what it sees in another format.
pub(super) struct Rewriter<'o, W: Write> {
    writer: Writer<W>,
    filter: &'o Filter,
    functions: bool,
    converter: Converter,
    /// What becomes of the value being read.
    way: Way,
    database: Database,
    /// Whether anything that belongs to a database has come.
    in_keys: bool,
    from: Format,
    moves: [Moves; Kind::ALL.len()],
    kept_functions: u64,
    dropped: Dropped,
    /// The key being read, if its value does not just pass through.
    place: Place,
    /// Why reading was ended.
    failed: Option<RewriteError>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Keep,
    Convert,
    LeaveOut,
}

/// The database that keys are read from, which is written only when one of its keys is.
#[derive(Debug, Clone, Copy, Default)]
struct Database {
    index: u64,
    is_written: bool,
}

impl<'o, W: Write> Rewriter<'o, W> {
    pub(super) fn new(out: W, options: &'o RewriteOptions) -> Result<Self, RewriteError> {
        let writer = Writer::new(out, options.to).map_err(|why| RewriteError::new(None, why))?;
        Ok(Self {
            writer,
            filter: &options.filter,
            functions: options.functions,
            converter: Converter::new(options.to),
            way: Way::LeaveOut,
            database: Database { index: 0, is_written: true },
            in_keys: false,
            from: Format::default(),
            moves: Default::default(),
            kept_functions: 0,
            dropped: Dropped::default(),
            place: Place { key: Vec::new(), database: 0, kind: Kind::String },
            failed: None,
        })
    }

    /// What ended the reading, or should have.
    pub(super) fn check(&mut self) -> Result<(), RewriteError> {
        self.failed.take().map_or(Ok(()), Err)
    }

    /// Writes what is no value, and the end of what is one.
    pub(super) fn event(&mut self, event: &Event<'_>) -> Result<(), RewriteError> {
        match event {
            Event::Header(format) => self.from = *format,
            Event::Aux { name, value } => self.aux(name, value).map_err(RewriteError::Output)?,
            Event::Database { index } => {
                self.in_keys = true;
                self.database = Database { index: *index, is_written: false };
            }
            Event::SizeHint { keys, with_expiry } if self.filter.is_all() => {
                self.size_hint(*keys, *with_expiry).map_err(RewriteError::Output)?;
            }
            Event::SlotInfo { .. } => self.dropped.slot_infos += 1,
            Event::SlotImport { .. } => self.dropped.slot_imports += 1,
            Event::Function { .. } if !self.functions => self.dropped.functions += 1,
            Event::Function { code } => {
                self.writer.function(code).map_err(|error| RewriteError::new(None, error))?;
                self.kept_functions += 1;
            }
            Event::Entry(entry) => self.end_entry(entry.kind).map_err(RewriteError::Output)?,
            Event::SizeHint { .. } | Event::ModuleAux { .. } | Event::End { .. } => {}
        }
        Ok(())
    }

    /// Writes the end of the file. `read` is how much the reader has read, and not compared.
    pub(super) fn end(self, read: (u64, NotCompared)) -> Result<Rewritten, RewriteError> {
        /// The end mark and the checksum.
        const END_BYTES: u64 = 9;
        let mut rewritten = Rewritten {
            from: self.from,
            to: self.writer.format(),
            functions: self.kept_functions,
            dropped: self.dropped,
            bytes_read: read.0,
            bytes_written: self.writer.bytes() + END_BYTES,
            not_compared: read.1,
            ..Rewritten::default()
        };
        for (kind, moves) in Kind::ALL.into_iter().zip(self.moves) {
            if moves != Moves::default() {
                rewritten.kinds.insert(kind, moves);
            }
        }
        self.writer.end().map_err(RewriteError::Output)?;
        Ok(rewritten)
    }

    fn aux(&mut self, name: &[u8], value: &[u8]) -> io::Result<()> {
        match name {
            MEMBER_EXPIRY => self.dropped.member_expiries += 1,
            MEMBER_EXPIRY_TIME => {}
            SLOT_INFO => self.dropped.slot_infos += 1,
            _ if self.in_keys && !KNOWN_AUX.contains(&name) => self.dropped.aux += 1,
            _ => self.writer.aux(name, value)?,
        }
        Ok(())
    }

    fn size_hint(&mut self, keys: u64, with_expiry: u64) -> io::Result<()> {
        self.select()?;
        self.writer.size_hint(keys, with_expiry)
    }

    fn settle(&mut self) -> io::Result<()> {
        self.writer.settle().map_err(|error| self.give_up(error))
    }

    fn select(&mut self) -> io::Result<()> {
        if !self.database.is_written {
            self.writer.database(self.database.index)?;
            self.database.is_written = true;
        }
        Ok(())
    }

    fn begin_entry(&mut self, head: &Head<'_>) -> Result<Want, WriteError> {
        if !self.filter.wants(head) {
            self.way = Way::LeaveOut;
            return Ok(Want::Nothing);
        }
        let to = self.writer.format();
        if head.has_key_meta {
            return Err(Unwritable::KeyMeta(to).into());
        }
        let (way, encoding, want) = if to.holds(head.encoding) {
            (Way::Keep, head.encoding, Want::Raw)
        } else {
            (Way::Convert, self.converter.begin(head.encoding)?, Want::Parts)
        };
        if way == Way::Convert {
            self.remember(head);
        }
        self.way = way;
        self.select()?;
        self.writer.entry(&Record::from(head), encoding)?;
        Ok(want)
    }

    fn end_entry(&mut self, kind: Kind) -> io::Result<()> {
        let moves = &mut self.moves[kind as usize];
        match self.way {
            Way::Keep => moves.kept += 1,
            Way::LeaveOut => moves.left_out += 1,
            Way::Convert => {
                moves.converted += 1;
                self.converter.end(self.writer.gathered());
                self.writer.settle()?;
            }
        }
        Ok(())
    }

    /// Remembers why reading is to end.
    #[cold]
    fn give_up(&mut self, error: impl Into<WriteError>) -> io::Error {
        self.failed = Some(RewriteError::new(Some(&self.place), error));
        io::Error::other("given up")
    }

    /// Remembers the key of a value that does not just pass through.
    fn remember(&mut self, head: &Head<'_>) {
        let Place { key, database, kind } = &mut self.place;
        key.clear();
        key.extend_from_slice(&head.key[..head.key.len().min(Fault::KEY_BYTES)]);
        (*database, *kind) = (head.database, head.kind);
    }
}

impl<W: Write> Visitor for Rewriter<'_, W> {
    fn begin(&mut self, head: &Head<'_>) -> Want {
        match self.begin_entry(head) {
            Ok(want) => want,
            Err(error) => {
                self.remember(head);
                // Nothing can be returned here; the loop looks when the value has been read.
                self.give_up(error);
                Want::Nothing
            }
        }
    }

    fn begin_module_aux(&mut self, module: ModuleId, when: ModuleWhen) -> Want {
        match self.writer.module_aux(module, when) {
            Ok(()) => Want::Raw,
            Err(error) => {
                self.give_up(error);
                Want::Nothing
            }
        }
    }

    fn part(&mut self, part: Part<'_>) -> io::Result<()> {
        self.converter.part(part, self.writer.gathered()).map_err(|why| self.give_up(why))?;
        self.settle()
    }

    fn frame(&mut self, frame: Frame<'_>) -> io::Result<()> {
        self.converter.frame(frame, self.writer.gathered()).map_err(|why| self.give_up(why))?;
        self.settle()
    }

    #[inline]
    fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.raw(bytes).map_err(|error| self.give_up(error))
    }
}
