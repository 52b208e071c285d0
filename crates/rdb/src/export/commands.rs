//! Commands that recreate the keys (RESP, as AOF files and `redis-cli --pipe` have them).

use std::io::{self, Write};

use super::{
    Chosen, Exported, Writer,
    sink::{LONG_BYTES, Sink},
    stream_commands::StreamCommands,
    text,
};
use crate::{
    dump,
    event::{Event, Kind, ModuleId, ModuleWhen},
    filter::Filter,
    format::Format,
    packed::{Digits, Item},
    part::{Head, Part, Visitor, Want},
};

/// The most elements that one command adds; servers block while they run it.
const BATCH_ELEMENTS: u64 = 512;
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
    key: Vec<u8>,
    batch: Batch,
    /// The member whose score, or the field whose expiry is to come.
    name: Vec<u8>,
    /// Commands about fields that the batch adds.
    expiries: Vec<u8>,
    stream: StreamCommands,
    raw: Vec<u8>,
}

/// The elements of the next command.
#[derive(Default)]
struct Batch {
    words: Vec<u8>,
    /// How many words these are, and how many elements.
    count: u64,
    elements: u64,
}

impl<'f, W: Write> Commands<'f, W> {
    pub(super) fn new(filter: &'f Filter, out: W) -> Self {
        Self {
            chosen: Chosen::new(filter),
            sink: Sink::new(out),
            database: None,
            kind: Kind::String,
            key: Vec::new(),
            batch: Batch::default(),
            name: Vec::new(),
            expiries: Vec::new(),
            stream: StreamCommands::default(),
            raw: Vec::new(),
        }
    }

    /// The last word of an element. A long one is not copied: it becomes the last word of its command.
    fn finish_element(&mut self, item: Item<'_>) -> io::Result<()> {
        self.batch.elements += 1;
        match item {
            Item::Text(long) if long.len() >= LONG_BYTES => self.send_batch(Some(long)),
            item => {
                self.batch.add(item);
                if self.batch.is_full() { self.send_batch(None) } else { Ok(()) }
            }
        }
    }

    /// Sends the command that adds the elements gathered, and what is to be said of them.
    fn send_batch(&mut self, last: Option<&[u8]>) -> io::Result<()> {
        if self.batch.elements > 0 {
            let command: &[u8] = match self.kind {
                Kind::List => b"RPUSH",
                Kind::Set => b"SADD",
                Kind::SortedSet => b"ZADD",
                _ => b"HSET",
            };
            let words = 2 + self.batch.count + u64::from(last.is_some());
            begin(self.sink.buffer(), words, command);
            long_word(&mut self.sink, &self.key)?;
            self.sink.put(&self.batch.words)?;
            last.map_or(Ok(()), |last| long_word(&mut self.sink, last))?;
            self.batch.clear();
        }
        self.sink.put(&self.expiries)?;
        self.expiries.clear();
        Ok(())
    }

    fn pair_with_score(&mut self, score: f64) -> io::Result<()> {
        let mut spelled = Vec::new();
        text::score(&mut spelled, score)?;
        self.batch.add(Item::Text(&spelled));
        let member = std::mem::take(&mut self.name);
        let sent = self.finish_element(Item::Text(&member));
        self.name = member;
        sent
    }

    fn field_expiry(&mut self, expiry: i64) {
        let out = &mut self.expiries;
        begin(out, 6, b"HPEXPIREAT");
        word(out, &self.key);
        word(out, Digits::default().write(expiry));
        word(out, b"FIELDS");
        word(out, b"1");
        word(out, &self.name);
    }

    /// What follows the value: its last elements, and when the key expires.
    fn tail(&mut self, expires_ms: Option<i64>) -> io::Result<()> {
        self.send_batch(None)?;
        if self.kind == Kind::Module {
            self.restore()?;
        }
        if let Some(expiry) = expires_ms {
            begin(self.sink.buffer(), 3, b"PEXPIREAT");
            long_word(&mut self.sink, &self.key)?;
            word(self.sink.buffer(), Digits::default().write(expiry));
        }
        self.chosen.exported.keys += 1;
        Ok(())
    }

    /// The payload that `DUMP` would give. Its value is the same in every version that has modules, so it is sealed
    /// for the oldest.
    fn restore(&mut self) -> io::Result<()> {
        dump::seal(&mut self.raw, Format::REDIS_9);
        begin(self.sink.buffer(), 4, b"RESTORE");
        long_word(&mut self.sink, &self.key)?;
        word(self.sink.buffer(), b"0");
        long_word(&mut self.sink, &self.raw)?;
        self.raw = Vec::new();
        Ok(())
    }

    fn select(&mut self, database: u64) {
        if self.database != Some(database) {
            begin(self.sink.buffer(), 2, b"SELECT");
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
        self.key.clear();
        self.key.extend_from_slice(head.key);
        self.stream = StreamCommands::default();
        self.chosen.exported.not_carried.usage +=
            u64::from(head.idle_seconds.is_some() || head.frequency.is_some());
        self.select(head.database);
        if head.kind == Kind::Module {
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
        if self.kind == Kind::Stream {
            if let Part::Idempotence { .. } = part {
                self.chosen.exported.not_carried.idempotence += 1;
            }
            return self.stream.part(&mut self.sink, &self.key, part);
        }
        match part {
            Part::Text(item) => {
                begin(self.sink.buffer(), 3, b"SET");
                long_word(&mut self.sink, &self.key)?;
                long_item(&mut self.sink, item)
            }
            Part::Member(item) if self.kind == Kind::SortedSet => {
                keep(&mut self.name, item);
                Ok(())
            }
            Part::Element(item) | Part::Member(item) | Part::Value(item) => self.finish_element(item),
            Part::Field(item) => {
                keep(&mut self.name, item);
                self.batch.add(item);
                Ok(())
            }
            Part::Score(score) => self.pair_with_score(score),
            Part::FieldExpiry(expiry) => {
                self.field_expiry(expiry);
                Ok(())
            }
            // Of streams alone.
            _ => Ok(()),
        }
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
                self.tail(entry.expires_ms)?;
            }
            Event::Function { code } if self.chosen.takes_the_rest() => {
                begin(self.sink.buffer(), 4, b"FUNCTION");
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

impl Batch {
    fn add(&mut self, item: Item<'_>) {
        word(&mut self.words, item.bytes(&mut Digits::default()));
        self.count += 1;
    }

    fn is_full(&self) -> bool {
        self.elements >= BATCH_ELEMENTS || self.words.len() >= LONG_BYTES
    }

    fn clear(&mut self) {
        (self.count, self.elements) = (0, 0);
        self.words.clear();
        self.words.shrink_to(2 * LONG_BYTES);
    }
}

fn keep(name: &mut Vec<u8>, item: Item<'_>) {
    name.clear();
    name.extend_from_slice(item.bytes(&mut Digits::default()));
}

/// A command of so many words, and the first of them.
pub(super) fn begin(out: &mut Vec<u8>, words: u64, command: &[u8]) {
    out.push(b'*');
    number(out, words);
    word(out, command);
}

/// A word that is short, or in a buffer of its own.
pub(super) fn word(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'$');
    number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// A word of any length.
pub(super) fn long_word<W: Write>(sink: &mut Sink<W>, bytes: &[u8]) -> io::Result<()> {
    sink.buffer().push(b'$');
    number(sink.buffer(), bytes.len() as u64);
    sink.put(bytes)?;
    sink.buffer().extend_from_slice(b"\r\n");
    sink.settle()
}

/// The same for an element.
pub(super) fn long_item<W: Write>(sink: &mut Sink<W>, item: Item<'_>) -> io::Result<()> {
    long_word(sink, item.bytes(&mut Digits::default()))
}

fn number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(number.to_string().as_bytes());
    out.extend_from_slice(b"\r\n");
}
