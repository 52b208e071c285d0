//! The value of a stream as one JSON object, written while its parts come.

use std::io::{self, Write};

use super::text::{json_bytes, json_item};
use crate::{
    packed::Digits,
    part::{Part, StreamFacts, StreamId},
    sink::Sink,
};

/// What is open, and must be closed before what comes next. Its object and `entries` are open from the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum At {
    /// Between entries.
    #[default]
    Entries,
    /// In an entry's fields.
    Fields,
    /// Between groups.
    Groups,
    /// In what is pending of a group.
    Pending,
    /// In what is pending of a consumer.
    Consumer,
    /// Between producers.
    Producers,
    /// In what a producer added.
    Producer,
}

/// How far the object is written.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct StreamShape {
    at: At,
    /// Whether something stands before, in the list that is open.
    is_followed: bool,
    has_groups: bool,
}

impl StreamShape {
    pub(super) fn part<W: Write>(&mut self, sink: &mut Sink<W>, part: Part<'_>) -> io::Result<()> {
        match part {
            Part::StreamEntry { id, .. } => self.entry(sink.buffer(), id),
            Part::Field(field) => {
                self.comma(sink.buffer());
                sink.buffer().push(b'[');
                json_item(sink, field)?;
            }
            Part::Value(value) => {
                sink.buffer().push(b',');
                json_item(sink, value)?;
                sink.buffer().push(b']');
            }
            Part::StreamFacts(facts) => self.facts(sink.buffer(), &facts),
            Part::Group { name, last_id, entries_read } => self.group(sink, name, last_id, entries_read)?,
            Part::Pending { id, delivered_ms, deliveries } => {
                self.comma(sink.buffer());
                let out = sink.buffer();
                write_id(out, b"{\"id\":", id);
                write_signed(out, b",\"delivered_ms\":", delivered_ms);
                write_unsigned(out, b",\"deliveries\":", deliveries);
                out.push(b'}');
            }
            Part::Consumer { name, seen_ms, active_ms } => self.consumer(sink, name, seen_ms, active_ms)?,
            Part::ConsumerPending(id) => {
                self.comma(sink.buffer());
                write_id(sink.buffer(), b"", id);
            }
            Part::Idempotence { seconds, max_entries } => {
                self.close_group(sink.buffer());
                let out = sink.buffer();
                write_unsigned(out, b"],\"idempotence\":{\"seconds\":", seconds);
                write_unsigned(out, b",\"max_entries\":", max_entries);
                out.extend_from_slice(b",\"producers\":[");
                self.at = At::Producers;
            }
            Part::Producer(name) => {
                let before: &[u8] = if self.at == At::Producer { b"]},{" } else { b"{" };
                sink.buffer().extend_from_slice(before);
                sink.buffer().extend_from_slice(b"\"id\":");
                json_bytes(sink, name)?;
                sink.buffer().extend_from_slice(b",\"added\":[");
                (self.at, self.is_followed) = (At::Producer, false);
            }
            Part::Produced { iid, id } => {
                self.comma(sink.buffer());
                sink.buffer().push(b'[');
                json_bytes(sink, iid)?;
                write_id(sink.buffer(), b",", id);
                sink.buffer().push(b']');
            }
            // Of other types.
            _ => {}
        }
        sink.settle()
    }

    /// Closes all that is open.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) {
        self.close_group(out);
        out.extend_from_slice(match self.at {
            At::Producer => b"]}]}}",
            At::Producers => b"]}}",
            _ => b"]}",
        });
    }

    fn entry(&mut self, out: &mut Vec<u8>, id: StreamId) {
        if self.at == At::Fields {
            out.extend_from_slice(b"]},");
        }
        write_id(out, b"{\"id\":", id);
        out.extend_from_slice(b",\"fields\":[");
        (self.at, self.is_followed) = (At::Fields, false);
    }

    fn facts(&mut self, out: &mut Vec<u8>, facts: &StreamFacts) {
        if self.at == At::Fields {
            out.extend_from_slice(b"]}");
        }
        write_unsigned(out, b"],\"length\":", facts.length);
        write_id(out, b",\"last_id\":", facts.last_id);
        if let Some(history) = facts.history {
            write_id(out, b",\"first_id\":", history.first_id);
            write_id(out, b",\"max_deleted_id\":", history.max_deleted_id);
            write_unsigned(out, b",\"entries_added\":", history.entries_added);
        }
        out.extend_from_slice(b",\"groups\":[");
        self.at = At::Groups;
    }

    fn group<W: Write>(
        &mut self,
        sink: &mut Sink<W>,
        name: &[u8],
        last_id: StreamId,
        entries_read: Option<u64>,
    ) -> io::Result<()> {
        self.close_group(sink.buffer());
        sink.buffer().extend_from_slice(if self.has_groups { b",{\"name\":" } else { b"{\"name\":" });
        json_bytes(sink, name)?;
        let out = sink.buffer();
        write_id(out, b",\"last_id\":", last_id);
        if let Some(read) = entries_read {
            write_unsigned(out, b",\"entries_read\":", read);
        }
        out.extend_from_slice(b",\"pending\":[");
        *self = Self { at: At::Pending, is_followed: false, has_groups: true };
        Ok(())
    }

    fn consumer<W: Write>(
        &mut self,
        sink: &mut Sink<W>,
        name: &[u8],
        seen_ms: i64,
        active_ms: Option<i64>,
    ) -> io::Result<()> {
        let before: &[u8] = if self.at == At::Consumer { b"]},{" } else { b"],\"consumers\":[{" };
        sink.buffer().extend_from_slice(before);
        sink.buffer().extend_from_slice(b"\"name\":");
        json_bytes(sink, name)?;
        let out = sink.buffer();
        write_signed(out, b",\"seen_ms\":", seen_ms);
        if let Some(active_ms) = active_ms {
            write_signed(out, b",\"active_ms\":", active_ms);
        }
        out.extend_from_slice(b",\"pending\":[");
        (self.at, self.is_followed) = (At::Consumer, false);
        Ok(())
    }

    fn close_group(&mut self, out: &mut Vec<u8>) {
        match self.at {
            At::Pending => out.extend_from_slice(b"],\"consumers\":[]}"),
            At::Consumer => out.extend_from_slice(b"]}]}"),
            _ => return,
        }
        self.at = At::Groups;
    }

    fn comma(&mut self, out: &mut Vec<u8>) {
        if self.is_followed {
            out.push(b',');
        }
        self.is_followed = true;
    }
}

fn write_id(out: &mut Vec<u8>, before: &[u8], id: StreamId) {
    out.extend_from_slice(before);
    out.push(b'"');
    out.extend_from_slice(id.to_string().as_bytes());
    out.push(b'"');
}

fn write_signed(out: &mut Vec<u8>, before: &[u8], number: i64) {
    out.extend_from_slice(before);
    out.extend_from_slice(Digits::default().write(number));
}

fn write_unsigned(out: &mut Vec<u8>, before: &[u8], number: u64) {
    out.extend_from_slice(before);
    out.extend_from_slice(number.to_string().as_bytes());
}
