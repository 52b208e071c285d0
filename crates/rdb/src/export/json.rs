//! JSON lines: one object per key.

use std::io::{self, Write};

use super::{
    Chosen, Exported, Writer,
    json_stream::StreamShape,
    text::{Base64, json_bytes, json_item, json_score},
};
use crate::{
    event::{Entry, Event, Kind, ModuleId, ModuleWhen},
    filter::Filter,
    packed::Digits,
    part::{Head, Part, Visitor, Want},
    sink::{LONG_BYTES, Sink},
};

/// Writes [`Form::JsonLines`](super::Form::JsonLines).
pub(super) struct JsonLines<'f, W> {
    chosen: Chosen<'f>,
    sink: Sink<W>,
    /// Of the value at hand.
    kind: Kind,
    /// Whether an element or a pair was written before.
    has_elements: bool,
    stream: StreamShape,
    raw: Base64,
    /// What went wrong where it could not be said.
    failed: Option<io::Error>,
}

impl<'f, W: Write> JsonLines<'f, W> {
    pub(super) fn new(filter: &'f Filter, out: W) -> Self {
        Self {
            chosen: Chosen::new(filter),
            sink: Sink::new(out),
            kind: Kind::String,
            has_elements: false,
            stream: StreamShape::default(),
            raw: Base64::default(),
            failed: None,
        }
    }

    /// All up to the value.
    fn head(&mut self, head: &Head<'_>) -> io::Result<()> {
        let out = self.sink.buffer();
        out.extend_from_slice(b"{\"db\":");
        out.extend_from_slice(head.database.to_string().as_bytes());
        out.extend_from_slice(b",\"key\":");
        json_bytes(&mut self.sink, head.key)?;
        let out = self.sink.buffer();
        for (name, value) in
            [("type", head.kind.name()), ("encoding", head.encoding.name().unwrap_or_default())]
        {
            write_name(out, name);
            out.push(b'"');
            out.extend_from_slice(value.as_bytes());
            out.push(b'"');
        }
        if let Some(expiry) = head.expires_ms {
            write_name(out, "expires_at_ms");
            out.extend_from_slice(Digits::default().write(expiry));
        }
        if let Some(seconds) = head.idle_seconds {
            write_name(out, "idle_seconds");
            out.extend_from_slice(seconds.to_string().as_bytes());
        }
        if let Some(counter) = head.frequency {
            write_name(out, "frequency");
            out.extend_from_slice(Digits::default().write(counter.into()));
        }
        out.extend_from_slice(match head.kind {
            Kind::String => b",\"value\":",
            Kind::Stream => b",\"value\":{\"entries\":[",
            Kind::Module => b",\"value\":{\"raw_base64\":\"",
            Kind::List | Kind::Set | Kind::SortedSet | Kind::Hash => b",\"value\":[",
        });
        Ok(())
    }

    /// All behind the value's parts.
    fn tail(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        match self.kind {
            Kind::String => {}
            Kind::List | Kind::Set => self.sink.buffer().push(b']'),
            Kind::SortedSet | Kind::Hash => {
                let end: &[u8] = if self.has_elements { b"]]" } else { b"]" };
                self.sink.buffer().extend_from_slice(end);
            }
            Kind::Stream => self.stream.end(self.sink.buffer()),
            Kind::Module => {
                self.raw.finish(self.sink.buffer());
                self.sink.buffer().extend_from_slice(b"\"}");
                if let Some(module) = entry.module {
                    write_module(self.sink.buffer(), module);
                }
            }
        }
        self.chosen.exported.keys += 1;
        self.end_line()
    }

    fn end_line(&mut self) -> io::Result<()> {
        self.sink.buffer().extend_from_slice(b"}\n");
        self.sink.settle()?;
        self.sink.end_record();
        Ok(())
    }

    /// What stands before an element, with brackets around each pair.
    #[inline]
    fn part_from_the_one_before(&mut self, first: &[u8], other: &[u8]) {
        self.sink.buffer().extend_from_slice(if self.has_elements { other } else { first });
        self.has_elements = true;
    }
}

impl<W: Write> Visitor for JsonLines<'_, W> {
    fn begin(&mut self, head: &Head<'_>) -> Want {
        if !self.chosen.takes(head) {
            return Want::Nothing;
        }
        (self.kind, self.has_elements) = (head.kind, false);
        self.stream = StreamShape::default();
        self.failed = self.head(head).err();
        if head.kind == Kind::Module { Want::Raw } else { Want::Parts }
    }

    fn begin_module_aux(&mut self, module: ModuleId, when: ModuleWhen) -> Want {
        if !self.chosen.takes_the_rest() {
            return Want::Nothing;
        }
        let out = self.sink.buffer();
        out.extend_from_slice(b"{\"module_aux\":\"");
        out.extend_from_slice(module.name().as_bytes());
        out.extend_from_slice(match when {
            ModuleWhen::BeforeKeys => b"\",\"when\":\"before_keys\",\"raw_base64\":\"",
            ModuleWhen::AfterKeys => b"\",\"when\":\"after_keys\",\"raw_base64\":\"",
        });
        Want::Raw
    }

    #[inline]
    fn part(&mut self, part: Part<'_>) -> io::Result<()> {
        if self.kind == Kind::Stream {
            return self.stream.part(&mut self.sink, part);
        }
        match part {
            Part::Text(item) => json_item(&mut self.sink, item),
            Part::Member(item) if self.kind == Kind::SortedSet => {
                self.part_from_the_one_before(b"[", b"],[");
                json_item(&mut self.sink, item)
            }
            Part::Element(item) | Part::Member(item) => {
                self.part_from_the_one_before(b"", b",");
                json_item(&mut self.sink, item)
            }
            Part::Field(item) => {
                self.part_from_the_one_before(b"[", b"],[");
                json_item(&mut self.sink, item)
            }
            Part::Value(item) => {
                self.sink.buffer().push(b',');
                json_item(&mut self.sink, item)
            }
            Part::Score(score) => {
                self.sink.buffer().push(b',');
                json_score(self.sink.buffer(), score)
            }
            Part::FieldExpiry(expiry) => {
                self.sink.buffer().push(b',');
                self.sink.buffer().extend_from_slice(Digits::default().write(expiry));
                Ok(())
            }
            // Of streams alone.
            _ => Ok(()),
        }
    }

    fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        for piece in bytes.chunks(LONG_BYTES) {
            self.raw.put(self.sink.buffer(), piece);
            self.sink.settle()?;
        }
        Ok(())
    }
}

impl<W: Write> Writer for JsonLines<'_, W> {
    fn event(&mut self, event: &Event<'_>) -> io::Result<()> {
        self.failed.take().map_or(Ok(()), Err)?;
        match event {
            Event::Entry(entry) if self.chosen.is_wanted => self.tail(entry),
            Event::Function { code } if self.chosen.takes_the_rest() => {
                self.sink.buffer().extend_from_slice(b"{\"function\":");
                json_bytes(&mut self.sink, code)?;
                self.chosen.exported.functions += 1;
                self.end_line()
            }
            Event::ModuleAux { module, .. } if self.chosen.takes_the_rest() => {
                self.raw.finish(self.sink.buffer());
                self.sink.buffer().extend_from_slice(b"\",\"module_version\":");
                let version = module.encoding_version();
                self.sink.buffer().extend_from_slice(Digits::default().write(version.into()));
                self.end_line()
            }
            _ => Ok(()),
        }
    }

    fn end(&mut self, is_sound: bool) -> io::Result<()> {
        if is_sound { self.sink.finish() } else { self.sink.abandon_record() }
    }

    fn exported(&self) -> Exported {
        self.chosen.exported
    }
}

fn write_name(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn write_module(out: &mut Vec<u8>, module: ModuleId) {
    out.extend_from_slice(b",\"module\":\"");
    out.extend_from_slice(module.name().as_bytes());
    out.extend_from_slice(b"\",\"module_version\":");
    out.extend_from_slice(Digits::default().write(module.encoding_version().into()));
}
