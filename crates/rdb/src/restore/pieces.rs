//! Values that are too large for one command, made by many.

use std::io;

use super::{RestoreEntry, RestoreSink};
use crate::{
    commands::{ValueCommands, begin, long_word},
    event::Kind,
    part::{Frame, Head, Part, Visitor, Want},
    sink::Sink,
};

/// Commands are handed out together from this size on.
const GIVEN_BYTES: usize = 256 << 10;
/// The most bytes of a string that one command adds.
const TEXT_BYTES: usize = 1 << 20;

/// The key whose value is being read, as it is to be.
pub(super) struct Heading {
    pub(super) database: u64,
    pub(super) key: Vec<u8>,
    pub(super) slot: u16,
    pub(super) kind: Kind,
}

/// The sink, and what it was told last.
pub(super) struct Target<'s, S> {
    pub(super) sink: &'s mut S,
    pub(super) database: Option<u64>,
}

impl<S: RestoreSink> Target<'_, S> {
    /// Hands commands out. `size` is told with the last ones for a key.
    #[inline]
    pub(super) fn give(
        &mut self,
        heading: &Heading,
        command: &[u8],
        replies: u32,
        size: Option<u64>,
    ) -> io::Result<()> {
        let Heading { database, ref key, slot, kind } = *heading;
        if self.database != Some(database) {
            self.sink.database(database)?;
            self.database = Some(database);
        }
        let (size, is_last) = (size.unwrap_or(0), size.is_some());
        self.sink.entry(RestoreEntry { database, key, slot, kind, command, replies, size, is_last })
    }
}

/// The commands of one value, gathered.
pub(super) struct Pieces {
    commands: ValueCommands,
    out: Sink<Vec<u8>>,
    has_text: bool,
}

impl Pieces {
    pub(super) fn new() -> Self {
        Self { commands: ValueCommands::new(), out: Sink::new(Vec::new()), has_text: false }
    }

    /// Begins with a key that is not there.
    pub(super) fn begin(&mut self, heading: &Heading) -> io::Result<()> {
        self.commands.begin(&heading.key, heading.kind);
        self.has_text = false;
        begin(&mut self.out, 2, b"UNLINK");
        long_word(&mut self.out, &heading.key)
    }

    pub(super) fn part<S: RestoreSink>(
        &mut self,
        part: Part<'_>,
        heading: &Heading,
        target: &mut Target<'_, S>,
    ) -> io::Result<()> {
        if self.gathered() >= GIVEN_BYTES && self.commands.is_whole_before(&part) {
            self.give(heading, target, None)?;
        }
        match part {
            Part::Text(item) => self.text(item.bytes(&mut Default::default()), heading, target),
            part => self.commands.part(&mut self.out, part),
        }
    }

    /// The next bytes of a string.
    pub(super) fn text<S: RestoreSink>(
        &mut self,
        bytes: &[u8],
        heading: &Heading,
        target: &mut Target<'_, S>,
    ) -> io::Result<()> {
        for piece in bytes.chunks(TEXT_BYTES) {
            begin(&mut self.out, 3, if self.has_text { b"APPEND" } else { b"SET" });
            self.has_text = true;
            long_word(&mut self.out, &heading.key)?;
            long_word(&mut self.out, piece)?;
            if self.gathered() >= GIVEN_BYTES {
                self.give(heading, target, None)?;
            }
        }
        Ok(())
    }

    /// Takes the field that came last away again.
    pub(super) fn drop_field(&mut self) {
        self.commands.drop_field();
    }

    /// The last commands.
    pub(super) fn end<S: RestoreSink>(
        &mut self,
        expires_ms: Option<i64>,
        size: u64,
        heading: &Heading,
        target: &mut Target<'_, S>,
    ) -> io::Result<()> {
        self.commands.end(&mut self.out, expires_ms)?;
        self.give(heading, target, Some(size))
    }

    /// Bytes of commands that were not handed out yet.
    fn gathered(&mut self) -> usize {
        self.out.buffer().len() + self.out.target().len()
    }

    fn give<S: RestoreSink>(
        &mut self,
        heading: &Heading,
        target: &mut Target<'_, S>,
        size: Option<u64>,
    ) -> io::Result<()> {
        self.out.finish()?;
        // One reply each; they fill a few hundred kilobytes, or are long.
        let replies = u32::try_from(self.out.take_commands()).unwrap_or(u32::MAX);
        let given = target.give(heading, self.out.target(), replies, size);
        self.out.target().clear();
        self.out.target().shrink_to(2 * GIVEN_BYTES);
        given
    }
}

/// Makes the commands of a value that is at hand.
pub(super) struct Replay<'r, 's, S> {
    pub(super) pieces: &'r mut Pieces,
    pub(super) heading: &'r Heading,
    pub(super) target: &'r mut Target<'s, S>,
    /// What the sink said.
    pub(super) failed: Option<io::Error>,
}

impl<S: RestoreSink> Visitor for Replay<'_, '_, S> {
    fn begin(&mut self, _: &Head<'_>) -> Want {
        Want::Parts
    }

    fn part(&mut self, part: Part<'_>) -> io::Result<()> {
        self.pieces.part(part, self.heading, self.target).map_err(|error| {
            self.failed = Some(error);
            io::Error::other("given up")
        })
    }

    fn frame(&mut self, _: Frame<'_>) -> io::Result<()> {
        Ok(())
    }
}
