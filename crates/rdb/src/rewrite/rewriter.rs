//! The loop's other half: sees values while they are read, and writes them.

use std::io::{self, Write};

use super::{
    Dropped, Moves, Place, RewriteError, RewriteOptions, Rewritten,
    converter::Converter,
    libraries::{Libraries, Library},
};
use crate::{
    changes::{Changer, Fate},
    event::{Entry, Event, Kind, ModuleId, ModuleWhen},
    fault::Fault,
    format::{Encoding, Format},
    limits::NotCompared,
    part::{Frame, Head, Part, Visitor, Want},
    slots::SlotSet,
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
/// Of which stream of changes the file is a state; servers let replicas go on from there.
const POSITION: [&[u8]; 3] = [b"repl-stream-db", b"repl-id", b"repl-offset"];
/// Scripts that the server has been sent; the shards of a cluster have their own.
const SCRIPT: &[u8] = b"lua";

/// Writes what it sees in another format.
pub(super) struct Rewriter<'o, W: Write> {
    writer: Writer<W>,
    options: &'o RewriteOptions,
    changer: Changer<'o>,
    converter: Converter,
    libraries: Libraries,
    sources: Sources,
    /// What becomes of the value being read.
    way: Way,
    database: Database,
    /// The database that what is written next would be of.
    selected: u64,
    /// Whether only some slots of the file are wanted.
    has_slots: bool,
    /// Whether anything that belongs to a database has come.
    in_keys: bool,
    from: Format,
    moves: [Moves; Kind::ALL.len()],
    empty: u64,
    kept_functions: u64,
    dropped: Dropped,
    bytes_read: u64,
    not_compared: NotCompared,
    /// The key being read, if its value does not just pass through.
    place: Place,
    /// Why reading was ended.
    failed: Option<RewriteError>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Keep,
    Convert,
    /// Nothing is written before it is known whether anything is left of it: a type for what is.
    Hold(Encoding),
    LeaveOut,
}

/// Which of the files is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sources {
    None,
    Only,
    FirstOfSeveral,
    Later,
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
            options,
            changer: Changer::new(&options.changes),
            converter: Converter::new(options.to, options.changes.ttl, options.limits.max_blob_bytes),
            libraries: Libraries::new(),
            sources: Sources::None,
            way: Way::LeaveOut,
            database: Database::default(),
            selected: 0,
            has_slots: false,
            in_keys: false,
            from: Format::default(),
            moves: Default::default(),
            empty: 0,
            kept_functions: 0,
            dropped: Dropped::default(),
            bytes_read: 0,
            not_compared: NotCompared::default(),
            place: Place { key: Vec::new(), database: 0, kind: Kind::String },
            failed: None,
        })
    }

    /// A file follows, of which only the keys of these slots are wanted. Says whether another one follows it.
    pub(super) fn begin_source(&mut self, slots: Option<SlotSet>, has_next: bool) {
        self.sources = match self.sources {
            Sources::None if has_next => Sources::FirstOfSeveral,
            Sources::None => Sources::Only,
            _ => Sources::Later,
        };
        self.has_slots = slots.is_some();
        self.changer.begin_source(slots);
        self.in_keys = false;
        // Keys before the first mark are of database 0.
        self.database = Database { index: 0, is_written: self.selected == 0 };
    }

    /// The file was sound to its end.
    pub(super) fn end_source(&mut self, bytes_read: u64, not_compared: NotCompared) {
        self.bytes_read += bytes_read;
        self.not_compared.keys += not_compared.keys;
        self.not_compared.members += not_compared.members;
    }

    /// What ended the reading, or should have.
    pub(super) fn check(&mut self) -> Result<(), RewriteError> {
        self.failed.take().map_or(Ok(()), Err)
    }

    /// Writes what is no value, and the end of what is one.
    pub(super) fn event(&mut self, event: &Event<'_>) -> Result<(), RewriteError> {
        match event {
            Event::Header(format) if self.sources != Sources::Later => self.from = *format,
            Event::Aux { name, value } => self.aux(name, value).map_err(RewriteError::Output)?,
            Event::Database { index } => {
                self.in_keys = true;
                self.database = Database { index: *index, is_written: false };
            }
            Event::SizeHint { keys, with_expiry } if self.has_every_key() => {
                self.size_hint(*keys, *with_expiry).map_err(RewriteError::Output)?;
            }
            Event::SlotInfo { .. } => self.dropped.slot_infos += 1,
            Event::SlotImport { .. } => self.dropped.slot_imports += 1,
            Event::Function { .. } if !self.options.functions => self.dropped.functions += 1,
            Event::Function { code } => self.function(code).map_err(|why| RewriteError::new(None, why))?,
            Event::Entry(entry) => {
                self.end_entry(entry).map_err(|error| RewriteError::new(Some(&self.place), error))?;
            }
            Event::Header(_) | Event::SizeHint { .. } | Event::ModuleAux { .. } | Event::End { .. } => {}
        }
        Ok(())
    }

    /// Writes the end of the file.
    pub(super) fn end(self) -> Result<Rewritten, RewriteError> {
        /// The end mark and the checksum.
        const END_BYTES: u64 = 9;
        let mut rewritten = Rewritten {
            from: self.from,
            to: self.writer.format(),
            empty: self.empty,
            functions: self.kept_functions,
            dropped: self.dropped,
            changes: self.changer.counts(),
            bytes_read: self.bytes_read,
            bytes_written: self.writer.bytes() + END_BYTES,
            not_compared: self.not_compared,
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
            _ if self.sources == Sources::Later && name != SCRIPT => {}
            _ if POSITION.contains(&name) && !self.is_copy() => {}
            _ => self.writer.aux(name, value)?,
        }
        Ok(())
    }

    /// Whether the new file is the same state of the same data: then replicas may go on from it.
    fn is_copy(&self) -> bool {
        self.sources == Sources::Only
            && !self.has_slots
            && self.options.functions
            && self.options.changes.is_none()
    }

    /// Whether the new file has all keys of the source and no other ones, so that their number is right.
    fn has_every_key(&self) -> bool {
        self.sources == Sources::Only && !self.has_slots && self.options.changes.keep_every_key()
    }

    fn function(&mut self, code: &[u8]) -> Result<(), WriteError> {
        // One file may say what it likes; only what several say together has to be looked at.
        let library = if self.sources == Sources::Only { Library::New } else { self.libraries.add(code) };
        match library {
            Library::New => {
                self.writer.function(code)?;
                self.kept_functions += 1;
            }
            Library::Known => {}
            Library::Differs(name) => {
                return Err(Unwritable::Libraries(name.escape_ascii().to_string()).into());
            }
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
            self.selected = self.database.index;
        }
        Ok(())
    }

    fn begin_entry(&mut self, head: &Head<'_>) -> Result<Want, WriteError> {
        let fate = self.changer.take(head);
        if fate == Fate::Goes {
            self.way = Way::LeaveOut;
            return Ok(Want::Nothing);
        }
        let to = self.writer.format();
        if head.has_key_meta {
            return Err(Unwritable::KeyMeta(to).into());
        }
        let ttl = self.changer.ttl();
        let (way, encoding) = if to.holds(head.encoding) && !ttl.changes_fields_of(head.encoding) {
            (Way::Keep, head.encoding)
        } else {
            self.remember(head);
            let encoding = self.converter.begin(head.encoding)?;
            let loses_fields = ttl.drops_fields_of(head.encoding);
            (if loses_fields { Way::Hold(encoding) } else { Way::Convert }, encoding)
        };
        self.way = way;
        if let Way::Hold(_) = way {
            return Ok(Want::Parts);
        }
        self.select()?;
        let record = Record { expires_ms: fate.expires_ms(), ..Record::from(head) };
        self.writer.entry(&Record { key: self.changer.name(head.key), ..record }, encoding)?;
        Ok(if way == Way::Keep { Want::Raw } else { Want::Parts })
    }

    fn end_entry(&mut self, entry: &Entry<'_>) -> Result<(), WriteError> {
        if let Way::Hold(encoding) = self.way {
            self.write_held(entry, encoding)?;
        }
        let moves = &mut self.moves[entry.kind as usize];
        let lost_fields = match self.way {
            Way::LeaveOut => {
                moves.left_out += 1;
                return Ok(());
            }
            Way::Keep => {
                moves.kept += 1;
                self.empty += u64::from(entry.is_skipped_by_servers());
                0
            }
            Way::Convert | Way::Hold(_) => {
                let is_emptied = self.converter.is_emptied();
                if is_emptied {
                    moves.left_out += 1;
                } else {
                    moves.converted += 1;
                    self.empty += u64::from(entry.is_skipped_by_servers());
                    self.converter.end(self.writer.gathered());
                    self.writer.settle()?;
                }
                self.converter.lost_fields()
            }
        };
        self.changer.count_fields(entry.expiring_fields, lost_fields);
        Ok(())
    }

    /// Writes what stands before a value of which something is left.
    fn write_held(&mut self, entry: &Entry<'_>, encoding: Encoding) -> Result<(), WriteError> {
        if self.converter.is_emptied() {
            self.changer.drop_emptied();
            return Ok(());
        }
        self.select()?;
        let record = Record {
            key: self.changer.name(entry.key),
            // None of what has expired came here.
            expires_ms: entry.expires_ms.filter(|ms| *ms >= 0),
            idle_seconds: entry.idle_seconds,
            frequency: entry.frequency,
        };
        self.writer.entry(&record, encoding)
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
        if self.sources == Sources::Later {
            self.dropped.module_aux += 1;
            return Want::Nothing;
        }
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
