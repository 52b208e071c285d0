//! Commands that recreate the keys, as a file of them.

use std::io::{self, Write};

use super::{Chosen, Exported, Writer};
use crate::{
    commands::{ValueCommands, begin, long_word, word},
    dump,
    event::{Event, Kind, ModuleId, ModuleWhen},
    filter::Filter,
    format::Format,
    part::{Head, Part, Visitor, Want},
    sink::Sink,
};

/// A module's value has this type byte, in a file as in a payload.
const MODULE: u8 = 7;

/// Writes [`Form::Commands`](super::Form::Commands).
pub(super) struct Commands<'f, W> {
    chosen: Chosen<'f>,
    sink: Sink<W>,
    /// What the server has selected by now.
    database: Option<u64>,
    /// Of the value at hand.
    kind: Kind,
    value: ValueCommands,
    raw: Vec<u8>,
}

impl<'f, W: Write> Commands<'f, W> {
    pub(super) fn new(filter: &'f Filter, out: W) -> Self {
        Self {
            chosen: Chosen::new(filter),
            sink: Sink::new(out),
            database: None,
            kind: Kind::String,
            value: ValueCommands::new(),
            raw: Vec::new(),
        }
    }

    /// What follows the value: its last elements, and when the key expires.
    fn tail(&mut self, key: &[u8], expires_ms: Option<i64>) -> io::Result<()> {
        if self.kind == Kind::Module {
            self.restore(key)?;
        }
        self.value.end(&mut self.sink, expires_ms)?;
        self.chosen.exported.keys += 1;
        Ok(())
    }

    /// The payload that `DUMP` would give. Its value is the same in every version that has modules, so it is sealed
    /// for the oldest.
    fn restore(&mut self, key: &[u8]) -> io::Result<()> {
        dump::seal(&mut self.raw, Format::REDIS_9);
        begin(&mut self.sink, 4, b"RESTORE");
        long_word(&mut self.sink, key)?;
        word(self.sink.buffer(), b"0");
        long_word(&mut self.sink, &self.raw)?;
        self.raw = Vec::new();
        Ok(())
    }

    fn select(&mut self, database: u64) {
        if self.database != Some(database) {
            begin(&mut self.sink, 2, b"SELECT");
            word(self.sink.buffer(), database.to_string().as_bytes());
            self.database = Some(database);
        }
    }
}

impl<W: Write> Visitor for Commands<'_, W> {
    fn begin(&mut self, head: &Head<'_>) -> Want {
        if !self.chosen.takes(head) {
            return Want::Nothing;
        }
        self.kind = head.kind;
        self.value.begin(head.key, head.kind);
        self.chosen.exported.not_carried.usage +=
            u64::from(head.idle_seconds.is_some() || head.frequency.is_some());
        self.select(head.database);
        if head.kind == Kind::Module {
            self.raw.clear();
            self.raw.push(MODULE);
            return Want::Raw;
        }
        Want::Parts
    }

    fn begin_module_aux(&mut self, _module: ModuleId, _when: ModuleWhen) -> Want {
        self.chosen.exported.not_carried.module_aux += u64::from(self.chosen.takes_the_rest());
        Want::Nothing
    }

    #[inline]
    fn part(&mut self, part: Part<'_>) -> io::Result<()> {
        if let Part::Idempotence { .. } = part {
            self.chosen.exported.not_carried.idempotence += 1;
        }
        self.value.part(&mut self.sink, part)
    }

    fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.raw.extend_from_slice(bytes);
        Ok(())
    }
}

impl<W: Write> Writer for Commands<'_, W> {
    fn event(&mut self, event: &Event<'_>) -> io::Result<()> {
        match event {
            // Nothing makes an empty collection.
            Event::Entry(entry) if self.chosen.is_wanted && !entry.is_skipped_by_servers() => {
                self.tail(entry.key, entry.expires_ms)?;
            }
            Event::Function { code } if self.chosen.takes_the_rest() => {
                begin(&mut self.sink, 4, b"FUNCTION");
                word(self.sink.buffer(), b"LOAD");
                word(self.sink.buffer(), b"REPLACE");
                long_word(&mut self.sink, code)?;
                self.chosen.exported.functions += 1;
            }
            _ => return Ok(()),
        }
        self.sink.settle()?;
        self.sink.end_record();
        Ok(())
    }

    fn end(&mut self, is_sound: bool) -> io::Result<()> {
        if is_sound { self.sink.finish() } else { self.sink.abandon_record() }
    }

    fn exported(&self) -> Exported {
        self.chosen.exported
    }
}
