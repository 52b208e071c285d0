//! Gathers the parts of one value.

use std::{io, mem};

use super::{Consumer, Group, HashField, Idempotence, Pending, Producer, Scored, Stream, StreamEntry, Value};
use crate::{
    event::Kind,
    packed::{Digits, Item},
    part::{Head, Part, StreamId, Visitor, Want},
};

/// What a part takes in memory beside its own bytes, roughly.
const PART_BYTES: u64 = 48;

/// A visitor that holds one value at a time, up to a number of bytes.
///
/// ```
/// use keystow_rdb::{Collector, Event, Format, Limits, Reader, Record, Value, Writer};
///
/// let mut writer = Writer::new(Vec::new(), Format::REDIS_11)?;
/// writer.value(&Record::new(b"greeting"), &Value::String(b"hello".to_vec()))?;
/// let file = writer.end()?;
///
/// let mut reader = Reader::new(&file[..], Limits::default());
/// let mut collector = Collector::new(1 << 20);
/// while let Some(event) = reader.next_event_with(&mut collector)? {
///     if let Event::Entry(entry) = event {
///         assert_eq!(entry.key, b"greeting");
///         assert_eq!(collector.take(), Some(Value::String(b"hello".to_vec())));
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Collector {
    value: Option<Value>,
    max_bytes: u64,
    bytes: u64,
    /// What is pending for the group at hand, until it is known for whom.
    pending: Vec<Pending>,
}

impl Collector {
    /// Holds no value of more than so many bytes, with what its parts take in memory; reading one ends with a
    /// fault ([`Reason::Output`](crate::Reason::Output)).
    pub fn new(max_bytes: u64) -> Self {
        Self { value: None, max_bytes, bytes: 0, pending: Vec::new() }
    }

    /// The value read last. To be called when the event of its entry has come: only then it is whole.
    pub fn take(&mut self) -> Option<Value> {
        self.value.take()
    }

    fn charge(&mut self, bytes: usize) -> io::Result<()> {
        self.bytes = self.bytes.saturating_add(PART_BYTES).saturating_add(bytes as u64);
        if self.bytes > self.max_bytes {
            let message = format!("a value takes more than {} bytes of memory", self.max_bytes);
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
        }
        Ok(())
    }

    fn bytes(&mut self, item: Item<'_>) -> io::Result<Vec<u8>> {
        let mut digits = Digits::default();
        let bytes = item.bytes(&mut digits);
        self.charge(bytes.len())?;
        Ok(bytes.to_vec())
    }

    fn stream_part(&mut self, stream: &mut Stream, part: Part<'_>) -> io::Result<()> {
        match part {
            Part::StreamEntry { id, .. } => {
                self.charge(0)?;
                stream.entries.push(StreamEntry { id, fields: Vec::new() });
            }
            Part::Field(field) => {
                let field = self.bytes(field)?;
                newest(&mut stream.entries)?.fields.push((field, Vec::new()));
            }
            Part::Value(value) => {
                newest(&mut newest(&mut stream.entries)?.fields)?.1 = self.bytes(value)?;
            }
            Part::StreamFacts(facts) => {
                (stream.last_id, stream.history) = (facts.last_id, facts.history);
            }
            Part::Idempotence { seconds, max_entries } => {
                stream.idempotence = Some(Idempotence { seconds, max_entries, producers: Vec::new() });
            }
            Part::Producer(name) => {
                let name = self.bytes(Item::Text(name))?;
                let idempotence = stream.idempotence.as_mut().ok_or_else(misplaced)?;
                idempotence.producers.push(Producer { name, produced: Vec::new() });
            }
            Part::Produced { iid, id } => {
                let iid = self.bytes(Item::Text(iid))?;
                let idempotence = stream.idempotence.as_mut().ok_or_else(misplaced)?;
                newest(&mut idempotence.producers)?.produced.push((iid, id));
            }
            of_group => self.group_part(&mut stream.groups, of_group)?,
        }
        Ok(())
    }

    fn group_part(&mut self, groups: &mut Vec<Group>, part: Part<'_>) -> io::Result<()> {
        match part {
            Part::Group { name, last_id, entries_read } => {
                let name = self.bytes(Item::Text(name))?;
                groups.push(Group { name, last_id, entries_read, consumers: Vec::new() });
                self.pending.clear();
            }
            Part::Pending { id, delivered_ms, deliveries } => {
                self.charge(0)?;
                self.pending.push(Pending { id, delivered_ms, deliveries });
            }
            Part::Consumer { name, seen_ms, active_ms } => {
                let name = self.bytes(Item::Text(name))?;
                let consumer = Consumer { name, seen_ms, active_ms, pending: Vec::new() };
                newest(groups)?.consumers.push(consumer);
            }
            Part::ConsumerPending(id) => {
                self.charge(0)?;
                let pending = self.pending_of(id)?;
                newest(&mut newest(groups)?.consumers)?.pending.push(pending);
            }
            _ => return Err(misplaced()),
        }
        Ok(())
    }

    /// What the group says of an entry that is pending for one of its consumers. Its entries come in order.
    fn pending_of(&self, id: StreamId) -> io::Result<Pending> {
        let found = self.pending.binary_search_by_key(&id, |pending| pending.id);
        found.map(|place| self.pending[place]).map_err(|_| misplaced())
    }
}

impl Visitor for Collector {
    fn begin(&mut self, head: &Head<'_>) -> Want {
        self.bytes = 0;
        let value = match head.kind {
            Kind::String => Value::String(Vec::new()),
            Kind::List => Value::List(Vec::new()),
            Kind::Set => Value::Set(Vec::new()),
            Kind::SortedSet => Value::SortedSet(Vec::new()),
            Kind::Hash => Value::Hash(Vec::new()),
            Kind::Stream => Value::Stream(Box::default()),
            Kind::Module => Value::Module(Vec::new()),
        };
        let want = if head.kind == Kind::Module { Want::Raw } else { Want::Parts };
        self.value = Some(value);
        want
    }

    fn part(&mut self, part: Part<'_>) -> io::Result<()> {
        let mut value = mem::take(&mut self.value).ok_or_else(misplaced)?;
        match (&mut value, part) {
            (Value::String(text), Part::Text(item)) => *text = self.bytes(item)?,
            (Value::List(elements), Part::Element(item)) => elements.push(self.bytes(item)?),
            (Value::Set(members), Part::Member(item)) => members.push(self.bytes(item)?),
            (Value::SortedSet(members), Part::Member(item)) => {
                members.push(Scored { member: self.bytes(item)?, score: 0.0 });
            }
            (Value::SortedSet(members), Part::Score(score)) => newest(members)?.score = score,
            (Value::Hash(fields), Part::Field(item)) => {
                fields.push(HashField { field: self.bytes(item)?, ..HashField::default() });
            }
            (Value::Hash(fields), Part::Value(item)) => newest(fields)?.value = self.bytes(item)?,
            (Value::Hash(fields), Part::FieldExpiry(ms)) => newest(fields)?.expires_ms = Some(ms),
            (Value::Stream(stream), part) => self.stream_part(stream, part)?,
            _ => return Err(misplaced()),
        }
        self.value = Some(value);
        Ok(())
    }

    fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.charge(bytes.len())?;
        match &mut self.value {
            Some(Value::Module(raw)) => raw.extend_from_slice(bytes),
            _ => return Err(misplaced()),
        }
        Ok(())
    }
}

fn newest<T>(all: &mut [T]) -> io::Result<&mut T> {
    all.last_mut().ok_or_else(misplaced)
}

/// Of a value that the reader would not have let pass.
#[cold]
fn misplaced() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a part of a value that does not belong to what came before")
}
