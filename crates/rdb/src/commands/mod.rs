//! Commands that make keys, as AOF files, `redis-cli --pipe` and servers have them: words in the protocol (RESP), and
//! what a value's parts become.

mod stream;

use std::io::{self, Write};

use crate::{
    event::Kind,
    export::text,
    packed::{Digits, Item},
    part::Part,
    sink::{LONG_BYTES, Sink},
};
use stream::StreamCommands;

/// The most elements that one command adds; servers block while they run it.
const BATCH_ELEMENTS: u64 = 512;

/// Makes one value at a time from its parts, in bounded memory. Of modules' values it makes nothing.
pub(crate) struct ValueCommands {
    kind: Kind,
    key: Vec<u8>,
    batch: Batch,
    /// The member whose score, or the field whose expiry is to come.
    name: Vec<u8>,
    /// Commands about fields that the batch adds, and how many.
    of_fields: Vec<u8>,
    fields: u64,
    stream: StreamCommands,
}

/// The elements of the next command.
#[derive(Default)]
struct Batch {
    words: Vec<u8>,
    /// How many words these are, and how many elements.
    count: u64,
    elements: u64,
}

impl ValueCommands {
    pub(crate) fn new() -> Self {
        Self {
            kind: Kind::String,
            key: Vec::new(),
            batch: Batch::default(),
            name: Vec::new(),
            of_fields: Vec::new(),
            fields: 0,
            stream: StreamCommands::default(),
        }
    }

    /// A value of that kind follows, for that key.
    pub(crate) fn begin(&mut self, key: &[u8], kind: Kind) {
        self.kind = kind;
        self.key.clear();
        self.key.extend_from_slice(key);
        self.batch.clear();
        self.of_fields.clear();
        self.fields = 0;
        self.stream = StreamCommands::default();
    }

    /// Whether nothing of a command is still to come before that part: of a stream's entry, its fields follow.
    pub(crate) fn is_whole_before(&self, part: &Part<'_>) -> bool {
        self.kind != Kind::Stream || !matches!(part, Part::Field(_) | Part::Value(_))
    }

    /// The commands that are due with a part.
    #[inline]
    pub(crate) fn part<W: Write>(&mut self, sink: &mut Sink<W>, part: Part<'_>) -> io::Result<()> {
        if self.kind == Kind::Stream {
            return self.stream.part(sink, &self.key, part);
        }
        match part {
            Part::Text(item) => {
                begin(sink, 3, b"SET");
                long_word(sink, &self.key)?;
                long_item(sink, item)
            }
            Part::Member(item) if self.kind == Kind::SortedSet => {
                keep(&mut self.name, item);
                Ok(())
            }
            Part::Element(item) | Part::Member(item) | Part::Value(item) => self.finish_element(sink, item),
            Part::Field(item) => {
                keep(&mut self.name, item);
                self.batch.add(item);
                Ok(())
            }
            Part::Score(score) => self.pair_with_score(sink, score),
            Part::FieldExpiry(expiry) => {
                self.field_expiry(expiry);
                Ok(())
            }
            // Of streams alone.
            _ => Ok(()),
        }
    }

    /// Takes the field that came last away again.
    pub(crate) fn drop_field(&mut self) {
        let out = &mut self.of_fields;
        begin_in(out, 3, b"HDEL");
        word(out, &self.key);
        word(out, &self.name);
        self.fields += 1;
    }

    /// The last commands of a value; then it expires, if it does.
    pub(crate) fn end<W: Write>(&mut self, sink: &mut Sink<W>, expires_ms: Option<i64>) -> io::Result<()> {
        self.send_batch(sink, None)?;
        // A negative one means none, but not to the command.
        if let Some(expiry) = expires_ms.filter(|ms| *ms >= 0) {
            begin(sink, 3, b"PEXPIREAT");
            long_word(sink, &self.key)?;
            word(sink.buffer(), Digits::default().write(expiry));
        }
        Ok(())
    }

    /// The last word of an element. A long one is not copied: it becomes the last word of its command.
    fn finish_element<W: Write>(&mut self, sink: &mut Sink<W>, item: Item<'_>) -> io::Result<()> {
        self.batch.elements += 1;
        match item {
            Item::Text(long) if long.len() >= LONG_BYTES => self.send_batch(sink, Some(long)),
            item => {
                self.batch.add(item);
                if self.batch.is_full() { self.send_batch(sink, None) } else { Ok(()) }
            }
        }
    }

    /// Sends the command that adds the elements gathered, and what is to be said of them.
    fn send_batch<W: Write>(&mut self, sink: &mut Sink<W>, last: Option<&[u8]>) -> io::Result<()> {
        if self.batch.elements > 0 {
            let command: &[u8] = match self.kind {
                Kind::List => b"RPUSH",
                Kind::Set => b"SADD",
                Kind::SortedSet => b"ZADD",
                _ => b"HSET",
            };
            let words = 2 + self.batch.count + u64::from(last.is_some());
            begin(sink, words, command);
            long_word(sink, &self.key)?;
            sink.put(&self.batch.words)?;
            last.map_or(Ok(()), |last| long_word(sink, last))?;
            self.batch.clear();
        }
        sink.put(&self.of_fields)?;
        sink.count_commands(self.fields);
        self.of_fields.clear();
        self.fields = 0;
        Ok(())
    }

    fn pair_with_score<W: Write>(&mut self, sink: &mut Sink<W>, score: f64) -> io::Result<()> {
        let mut spelled = Vec::new();
        text::score(&mut spelled, score)?;
        self.batch.add(Item::Text(&spelled));
        let member = std::mem::take(&mut self.name);
        let sent = self.finish_element(sink, Item::Text(&member));
        self.name = member;
        sent
    }

    fn field_expiry(&mut self, expiry: i64) {
        let out = &mut self.of_fields;
        begin_in(out, 6, b"HPEXPIREAT");
        word(out, &self.key);
        word(out, Digits::default().write(expiry));
        word(out, b"FIELDS");
        word(out, b"1");
        word(out, &self.name);
        self.fields += 1;
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
pub(crate) fn begin<W: Write>(sink: &mut Sink<W>, words: u64, command: &[u8]) {
    sink.count_commands(1);
    begin_in(sink.buffer(), words, command);
}

fn begin_in(out: &mut Vec<u8>, words: u64, command: &[u8]) {
    out.push(b'*');
    number(out, words);
    word(out, command);
}

/// A word that is short, or in a buffer of its own.
pub(crate) fn word(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'$');
    number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// A word of any length.
pub(crate) fn long_word<W: Write>(sink: &mut Sink<W>, bytes: &[u8]) -> io::Result<()> {
    sink.buffer().push(b'$');
    number(sink.buffer(), bytes.len() as u64);
    sink.put(bytes)?;
    sink.buffer().extend_from_slice(b"\r\n");
    sink.settle()
}

/// The same for an element.
pub(crate) fn long_item<W: Write>(sink: &mut Sink<W>, item: Item<'_>) -> io::Result<()> {
    long_word(sink, item.bytes(&mut Digits::default()))
}

fn number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(number.to_string().as_bytes());
    out.extend_from_slice(b"\r\n");
}
