//! The loop's other half: sees values while they are read, and makes commands of them.

mod outgrown;

use std::io;

use super::{
    RestoreError, RestoreOptions, RestoreSink, Restored, TooLarge, Whole,
    command::{Command, Terms},
    pieces::{Heading, Pieces, Target},
};
use crate::{
    changes::{Changer, Fate},
    event::{Entry, Event, Kind, ModuleId, ModuleWhen},
    fault::Fault,
    format::Encoding,
    limits::NotCompared,
    part::{Frame, Head, Part, Visitor, Want},
    rewrite::{Impossible, Place, converter::Converter},
    slots::slot,
    unwritable::Unwritable,
};
use outgrown::is_boundary;

/// The first version with functions.
const FIRST_WITH_FUNCTIONS: u16 = 10;

/// Makes the commands of what it sees.
pub(super) struct Restorer<'o, S> {
    options: &'o RestoreOptions,
    changer: Changer<'o>,
    converter: Converter,
    target: Target<'o, S>,
    heading: Heading,
    expires_ms: Option<i64>,
    /// What becomes of the value being read.
    way: Way,
    /// The type of the payload.
    encoding: Encoding,
    command: Command,
    pieces: Pieces,
    /// Fields that were taken away again from a value in pieces.
    lost_fields: u64,
    kinds: [u64; Kind::ALL.len()],
    restored: Restored,
    /// Why reading was ended.
    failed: Option<RestoreError>,
}

/// What becomes of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    LeaveOut,
    /// Its bytes become the payload.
    Keep,
    /// Its parts become the payload.
    Convert,
    /// It has outgrown one command: its parts become commands from the next element on.
    Outgrown,
    /// They do now; what came before is in the payload and comes first.
    Turning,
    /// Its parts become commands.
    Pieces,
    /// It is a string, and its bytes are added to it.
    Text,
    /// It is too large. So many bytes were there when it was found out or since; they are counted for the message.
    Refused {
        why: Whole,
        bytes: u64,
        is_converted: bool,
    },
}

impl<'o, S: RestoreSink> Restorer<'o, S> {
    pub(super) fn new(sink: &'o mut S, options: &'o RestoreOptions) -> Result<Self, RestoreError> {
        if !options.to.is_written() {
            let why = Unwritable::Format(options.to);
            return Err(RestoreError::Impossible(Box::new(Impossible { place: None, why })));
        }
        Ok(Self {
            options,
            changer: Changer::new(&options.changes),
            // What it holds is counted here.
            converter: Converter::new(options.to, options.changes.ttl, u64::MAX),
            target: Target { sink, database: None },
            heading: Heading { database: 0, key: Vec::new(), slot: 0, kind: Kind::String },
            expires_ms: None,
            way: Way::LeaveOut,
            encoding: Encoding::default(),
            command: Command::new(),
            pieces: Pieces::new(),
            lost_fields: 0,
            kinds: Default::default(),
            restored: Restored::default(),
            failed: None,
        })
    }

    /// What ended the reading, or should have.
    #[inline]
    pub(super) fn check(&mut self) -> Result<(), RestoreError> {
        self.failed.take().map_or(Ok(()), Err)
    }

    /// Hands out what is no value, and the end of what is one.
    pub(super) fn event(&mut self, event: &Event<'_>) -> Result<(), RestoreError> {
        let not_restored = &mut self.restored.not_restored;
        match event {
            Event::Entry(entry) => return self.end_entry(entry),
            Event::Header(format) => self.restored.from = *format,
            Event::Function { .. } if self.options.to.version < FIRST_WITH_FUNCTIONS => {
                not_restored.functions += 1;
            }
            Event::Function { code } => {
                self.target.sink.function(code).map_err(RestoreError::Sink)?;
                self.restored.functions += 1;
            }
            Event::ModuleAux { .. } => not_restored.module_aux += 1,
            Event::Aux { name: b"lua", .. } => not_restored.scripts += 1,
            Event::Aux { name: b"keydb-subexpire-key", .. } => not_restored.member_expiries += 1,
            _ => {}
        }
        Ok(())
    }

    /// What was handed out.
    pub(super) fn end(mut self, bytes_read: u64, not_compared: NotCompared) -> Restored {
        for (kind, keys) in Kind::ALL.into_iter().zip(self.kinds) {
            if keys > 0 {
                self.restored.kinds.insert(kind, keys);
            }
        }
        let keys = self.kinds.iter().sum();
        Restored { keys, changes: self.changer.counts(), bytes_read, not_compared, ..self.restored }
    }

    #[inline]
    fn begin_entry(&mut self, head: &Head<'_>) -> Result<Want, Unwritable> {
        let fate = self.changer.take(head);
        if fate == Fate::Goes {
            self.way = Way::LeaveOut;
            return Ok(Want::Nothing);
        }
        self.expires_ms = fate.expires_ms();
        let key = self.changer.name(head.key);
        self.heading.key.clear();
        self.heading.key.extend_from_slice(key);
        (self.heading.database, self.heading.kind, self.heading.slot) = (head.database, head.kind, slot(key));
        self.restored.not_restored.key_meta += u64::from(head.has_key_meta);
        let to = self.options.to;
        let passes = to.holds(head.encoding) && !self.changer.ttl().changes_fields_of(head.encoding);
        (self.way, self.encoding) = if passes {
            (Way::Keep, head.encoding)
        } else {
            (Way::Convert, self.converter.begin(head.encoding)?)
        };
        self.command.begin(&self.heading.key, self.encoding);
        Ok(if passes { Want::Raw } else { Want::Parts })
    }

    fn end_entry(&mut self, entry: &Entry<'_>) -> Result<(), RestoreError> {
        if self.way == Way::LeaveOut {
            return Ok(());
        }
        if entry.is_skipped_by_servers() {
            self.restored.empty += 1;
            return Ok(());
        }
        if self.way == Way::Convert {
            if self.converter.is_emptied() {
                self.changer.drop_named();
                self.changer.count_fields(entry.expiring_fields, self.converter.lost_fields());
                return Ok(());
            }
            self.converter.end(self.command.payload());
            self.restored.converted += 1;
            if self.has_outgrown() {
                self.outgrow();
            }
        }
        match self.way {
            Way::Refused { why, bytes, .. } => {
                return Err(self.too_large(why, bytes, self.longest_value()));
            }
            Way::Keep | Way::Convert => self.give(entry)?,
            Way::Outgrown | Way::Turning => {
                self.replay()?;
                self.end_pieces(entry)?;
            }
            _ => self.end_pieces(entry)?,
        }
        Ok(())
    }

    /// Hands out a value in one command.
    #[inline]
    fn give(&mut self, entry: &Entry<'_>) -> Result<(), RestoreError> {
        let terms = Terms {
            key: &self.heading.key,
            expires_ms: self.expires_ms,
            idle_seconds: entry.idle_seconds,
            frequency: entry.frequency,
            replace: self.options.replace,
            to: self.options.to,
        };
        let command = self.command.finish(&terms);
        self.target.give(&self.heading, command, 1, Some(entry.stored_bytes)).map_err(RestoreError::Sink)?;
        self.kinds[entry.kind as usize] += 1;
        if entry.expiring_fields > 0 {
            let lost = if self.way == Way::Convert { self.converter.lost_fields() } else { 0 };
            self.changer.count_fields(entry.expiring_fields, lost);
        }
        Ok(())
    }

    /// A part of a value that the target has to have in another way.
    fn convert_part(&mut self, part: Part<'_>) -> Result<(), RestoreError> {
        if self.has_outgrown() && is_boundary(self.heading.kind, &part) {
            self.outgrow_converted()?;
            return self.part_on_way(part);
        }
        self.converter.part(part, self.command.payload()).map_err(|why| self.impossible(why))
    }

    fn part_on_way(&mut self, part: Part<'_>) -> Result<(), RestoreError> {
        match self.way {
            Way::Convert => self.convert_part(part),
            Way::Pieces => self.piece(part),
            Way::Turning => {
                self.replay()?;
                self.piece(part)
            }
            Way::Refused { is_converted: true, .. } => {
                let converted = self.converter.part(part, self.command.payload());
                self.count_refused();
                converted.map_err(|why| self.impossible(why))
            }
            _ => Ok(()),
        }
    }

    fn frame_on_way(&mut self, frame: Frame<'_>) -> Result<(), RestoreError> {
        match self.way {
            Way::Convert => {
                self.converter.frame(frame, self.command.payload()).map_err(|why| self.impossible(why))?;
                let is_boundary = matches!(frame, Frame::ListNode | Frame::StreamNode { .. });
                if is_boundary && self.has_outgrown() { self.outgrow_converted() } else { Ok(()) }
            }
            Way::Refused { is_converted: true, .. } => {
                let converted = self.converter.frame(frame, self.command.payload());
                self.count_refused();
                converted.map_err(|why| self.impossible(why))
            }
            _ => Ok(()),
        }
    }

    fn raw_on_way(&mut self, bytes: &[u8]) -> Result<(), RestoreError> {
        match &mut self.way {
            Way::Keep => {
                self.command.payload().extend_from_slice(bytes);
                if self.has_outgrown() {
                    self.outgrow();
                    if self.way == Way::Outgrown && self.heading.kind == Kind::String {
                        self.begin_text().map_err(RestoreError::Sink)?;
                    }
                }
            }
            Way::Outgrown | Way::Turning => self.command.payload().extend_from_slice(bytes),
            Way::Text => {
                self.pieces.text(bytes, &self.heading, &mut self.target).map_err(RestoreError::Sink)?;
            }
            Way::Refused { bytes: counted, .. } => *counted += bytes.len() as u64,
            Way::LeaveOut | Way::Convert | Way::Pieces => {}
        }
        Ok(())
    }

    fn place(&self) -> Place {
        let Heading { database, key, kind, .. } = &self.heading;
        Place { key: key[..key.len().min(Fault::KEY_BYTES)].to_vec(), database: *database, kind: *kind }
    }

    #[cold]
    fn impossible(&self, why: Unwritable) -> RestoreError {
        RestoreError::Impossible(Box::new(Impossible { place: Some(self.place()), why }))
    }

    #[cold]
    fn too_large(&self, why: Whole, bytes: u64, limit: u64) -> RestoreError {
        RestoreError::TooLarge(Box::new(TooLarge { place: self.place(), bytes, limit, why }))
    }

    /// Remembers why reading is to end.
    #[cold]
    fn give_up(&mut self, error: RestoreError) -> io::Error {
        self.failed = Some(error);
        io::Error::other("given up")
    }
}

impl<S: RestoreSink> Visitor for Restorer<'_, S> {
    #[inline]
    fn begin(&mut self, head: &Head<'_>) -> Want {
        match self.begin_entry(head) {
            Ok(want) => want,
            Err(why) => {
                // Nothing can be returned here; the loop looks when the value has been read.
                let error = self.impossible(why);
                self.give_up(error);
                Want::Nothing
            }
        }
    }

    fn begin_module_aux(&mut self, _: ModuleId, _: ModuleWhen) -> Want {
        Want::Nothing
    }

    fn part(&mut self, part: Part<'_>) -> io::Result<()> {
        self.part_on_way(part).map_err(|error| self.give_up(error))
    }

    fn frame(&mut self, frame: Frame<'_>) -> io::Result<()> {
        self.frame_on_way(frame).map_err(|error| self.give_up(error))
    }

    #[inline]
    fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.raw_on_way(bytes).map_err(|error| self.give_up(error))
    }

    #[inline]
    fn turns_to_parts(&mut self) -> bool {
        let turns = self.way == Way::Outgrown;
        if turns {
            self.way = Way::Turning;
        }
        turns
    }
}
