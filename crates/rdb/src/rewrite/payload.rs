//! Rewrites one `DUMP` payload for servers of another version or family.

use std::io;

use super::{Impossible, Place, RewriteError, converter::Converter};
use crate::{
    changes::Ttl,
    dump::{self, Payload},
    event::Kind,
    format::Format,
    limits::Limits,
    part::{Frame, Head, Part, Visitor, Want},
    unwritable::Unwritable,
};

impl Payload<'_> {
    /// The same value as a payload of another format, such as `RESTORE` of that format's servers takes.
    ///
    /// # Errors
    /// The checksum or the value is not sound, or the format has no words for the value.
    pub fn relabel(&self, to: Format, limits: Limits) -> Result<Vec<u8>, RewriteError> {
        let impossible = |why| {
            let kind = self.encoding().kind().unwrap_or(Kind::Module);
            let place = Place { key: Vec::new(), database: 0, kind };
            RewriteError::Impossible(Box::new(Impossible { place: Some(place), why }))
        };
        if !to.is_written() {
            return Err(impossible(Unwritable::Format(to)));
        }
        self.check_sum()?;
        let mut relabelled = Relabelled { to, payload: Vec::new(), converter: None, failed: None };
        let checked = self.visit(limits, &mut relabelled);
        if let Some(why) = relabelled.failed {
            return Err(impossible(why));
        }
        checked?;
        let Relabelled { mut payload, converter, .. } = relabelled;
        if let Some(mut converter) = converter {
            converter.end(&mut payload);
        }
        dump::seal(&mut payload, to);
        Ok(payload)
    }
}

/// The new payload as it comes about.
struct Relabelled {
    to: Format,
    payload: Vec<u8>,
    /// For a value that does not pass through as it is.
    converter: Option<Converter>,
    failed: Option<Unwritable>,
}

impl Relabelled {
    fn convert(
        &mut self,
        convert: impl FnOnce(&mut Converter, &mut Vec<u8>) -> Result<(), Unwritable>,
    ) -> io::Result<()> {
        let Some(converter) = &mut self.converter else { return Ok(()) };
        convert(converter, &mut self.payload).map_err(|why| {
            self.failed = Some(why);
            io::Error::other("given up")
        })
    }
}

impl Visitor for Relabelled {
    fn begin(&mut self, head: &Head<'_>) -> Want {
        if self.to.holds(head.encoding) {
            self.payload.push(head.encoding.number);
            return Want::Raw;
        }
        let mut converter = Converter::new(self.to, Ttl::Keep, u64::MAX);
        match converter.begin(head.encoding) {
            Ok(encoding) => self.payload.push(encoding.number),
            Err(why) => {
                self.failed = Some(why);
                return Want::Nothing;
            }
        }
        self.converter = Some(converter);
        Want::Parts
    }

    fn part(&mut self, part: Part<'_>) -> io::Result<()> {
        self.convert(|converter, payload| converter.part(part, payload))
    }

    fn frame(&mut self, frame: Frame<'_>) -> io::Result<()> {
        self.convert(|converter, payload| converter.frame(frame, payload))
    }

    fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.payload.extend_from_slice(bytes);
        Ok(())
    }
}
