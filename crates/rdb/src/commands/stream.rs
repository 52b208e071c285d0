//! The commands that recreate a stream (as `rewriteStreamObject` in Redis `src/aof.c` does).

use std::io::{self, Write};

use super::{begin, long_item, long_word, word};
use crate::{
    packed::Digits,
    part::{Part, StreamFacts, StreamId},
    sink::Sink,
};

/// What is still needed of the parts before.
#[derive(Debug, Clone, Default)]
pub(super) struct StreamCommands {
    has_entries: bool,
    group: Vec<u8>,
    consumer: Vec<u8>,
    /// What is pending in the group, in the order of IDs: when it was delivered last, and how often. To whom comes
    /// later.
    pending: Vec<(StreamId, i64, u64)>,
}

impl StreamCommands {
    pub(super) fn part<W: Write>(
        &mut self,
        sink: &mut Sink<W>,
        key: &[u8],
        part: Part<'_>,
    ) -> io::Result<()> {
        match part {
            Part::StreamEntry { id, fields } => {
                self.has_entries = true;
                begin(sink, fields.saturating_mul(2).saturating_add(3), b"XADD");
                long_word(sink, key)?;
                write_id(sink.buffer(), id);
                Ok(())
            }
            Part::Field(item) | Part::Value(item) => long_item(sink, item),
            Part::StreamFacts(facts) => self.facts(sink, key, &facts),
            Part::Group { name, last_id, entries_read } => {
                self.pending.clear();
                name.clone_into(&mut self.group);
                begin(sink, if entries_read.is_some() { 7 } else { 5 }, b"XGROUP");
                word(sink.buffer(), b"CREATE");
                long_word(sink, key)?;
                long_word(sink, name)?;
                write_id(sink.buffer(), last_id);
                if let Some(read) = entries_read {
                    word(sink.buffer(), b"ENTRIESREAD");
                    write_unsigned(sink.buffer(), read);
                }
                Ok(())
            }
            Part::Pending { id, delivered_ms, deliveries } => {
                self.pending.push((id, delivered_ms, deliveries));
                Ok(())
            }
            Part::Consumer { name, .. } => {
                name.clone_into(&mut self.consumer);
                begin(sink, 5, b"XGROUP");
                word(sink.buffer(), b"CREATECONSUMER");
                long_word(sink, key)?;
                long_word(sink, &self.group)?;
                long_word(sink, name)
            }
            Part::ConsumerPending(id) => self.claim(sink, key, id),
            // There are no commands for it.
            _ => Ok(()),
        }
    }

    fn facts<W: Write>(&self, sink: &mut Sink<W>, key: &[u8], facts: &StreamFacts) -> io::Result<()> {
        if !self.has_entries {
            // Makes a stream without entries.
            begin(sink, 7, b"XADD");
            long_word(sink, key)?;
            for written in [&b"MAXLEN"[..], b"0", b"0-1", b"x", b"y"] {
                word(sink.buffer(), written);
            }
        }
        begin(sink, if facts.history.is_some() { 7 } else { 3 }, b"XSETID");
        long_word(sink, key)?;
        write_id(sink.buffer(), facts.last_id);
        if let Some(history) = facts.history {
            word(sink.buffer(), b"ENTRIESADDED");
            write_unsigned(sink.buffer(), history.entries_added);
            word(sink.buffer(), b"MAXDELETEDID");
            write_id(sink.buffer(), history.max_deleted_id);
        }
        Ok(())
    }

    /// Gives a pending entry to the consumer at hand, as it was delivered.
    fn claim<W: Write>(&self, sink: &mut Sink<W>, key: &[u8], id: StreamId) -> io::Result<()> {
        let Ok(place) = self.pending.binary_search_by_key(&id, |(id, ..)| *id) else {
            // The reader refuses the stream at the end of the group.
            return Ok(());
        };
        let (_, delivered_ms, deliveries) = self.pending[place];
        begin(sink, 12, b"XCLAIM");
        long_word(sink, key)?;
        long_word(sink, &self.group)?;
        long_word(sink, &self.consumer)?;
        let out = sink.buffer();
        word(out, b"0");
        write_id(out, id);
        word(out, b"TIME");
        word(out, Digits::default().write(delivered_ms));
        word(out, b"RETRYCOUNT");
        write_unsigned(out, deliveries);
        word(out, b"JUSTID");
        word(out, b"FORCE");
        sink.settle()
    }
}

fn write_id(out: &mut Vec<u8>, id: StreamId) {
    word(out, id.to_string().as_bytes());
}

fn write_unsigned(out: &mut Vec<u8>, number: u64) {
    word(out, number.to_string().as_bytes());
}
