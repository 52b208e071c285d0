//! Where an export or a restore goes: gathered in one buffer, written in large pieces.

use std::io::{self, Write};

/// The buffer is written out at this size. It grows little over it: longer strings go in pieces, or past it.
const BUFFER_BYTES: usize = 256 << 10;
/// Strings of this length are not copied as a whole.
pub(crate) const LONG_BYTES: usize = 48 << 10;

/// A buffered target that can take back a record which turned out to be unsound.
pub(crate) struct Sink<W> {
    out: W,
    buffer: Vec<u8>,
    /// Where the record at hand begins in the buffer; `None` when a part of it was written out.
    record: Option<usize>,
    /// How many commands were begun.
    commands: u64,
}

impl<W: Write> Sink<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out, buffer: Vec::with_capacity(BUFFER_BYTES + LONG_BYTES), record: Some(0), commands: 0 }
    }

    /// Where it goes.
    pub(crate) fn target(&mut self) -> &mut W {
        &mut self.out
    }

    /// Counts commands that are written.
    #[inline]
    pub(crate) fn count_commands(&mut self, commands: u64) {
        self.commands += commands;
    }

    /// How many commands have come since this was asked last.
    pub(crate) fn take_commands(&mut self) -> u64 {
        std::mem::take(&mut self.commands)
    }

    /// For what is short. Call [`Sink::settle`] between pieces.
    #[inline]
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// A record ends here, and another one may begin.
    #[inline]
    pub(crate) fn end_record(&mut self) {
        self.record = Some(self.buffer.len());
    }

    /// Writes the buffer out when it is full.
    #[inline]
    pub(crate) fn settle(&mut self) -> io::Result<()> {
        if self.buffer.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    /// Bytes as they are, however many.
    #[inline]
    pub(crate) fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() < LONG_BYTES {
            self.buffer.extend_from_slice(bytes);
            return self.settle();
        }
        self.flush()?;
        self.out.write_all(bytes)
    }

    /// Writes all of it out.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.flush()?;
        self.out.flush()
    }

    /// Writes the whole records out. Of the one at hand nothing, if nothing of it was written yet.
    pub(crate) fn abandon_record(&mut self) -> io::Result<()> {
        if let Some(start) = self.record {
            self.buffer.truncate(start);
        }
        self.finish()
    }

    #[inline(never)]
    fn flush(&mut self) -> io::Result<()> {
        let written = self.out.write_all(&self.buffer);
        // After a failed write too: nobody must write the same bytes again.
        self.buffer.clear();
        self.record = None;
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsound_record_is_taken_back_while_it_can_be() {
        let mut out = Vec::new();
        let mut sink = Sink::new(&mut out);
        sink.put(b"one\n").unwrap();
        sink.end_record();
        sink.put(b"half").unwrap();
        sink.abandon_record().unwrap();
        assert_eq!(out, b"one\n");
    }

    #[test]
    fn long_strings_pass_the_buffer_in_their_place() {
        let mut out = Vec::new();
        let mut sink = Sink::new(&mut out);
        let long = vec![b'x'; LONG_BYTES];
        for piece in [b"a", &long[..], b"b"] {
            sink.put(piece).unwrap();
        }
        sink.finish().unwrap();
        assert_eq!(out, [b"a", &long[..], b"b"].concat());
    }
}
