//! Turns one value's parts into an encoding that the target knows, piece by piece.

use crate::{
    encode,
    event::Kind,
    format::{Encoding, Flavour, Format},
    model::{
        Pending,
        encode::{distance, expiring_hash, field_expiry},
        encode_stream::{Layout, consumer_head, group_head, group_pending, history},
    },
    packed::ZiplistBuilder,
    part::{Frame, Part, StreamFacts},
    source::give_back,
    unwritable::Unwritable,
};

/// Writes one value at a time. Holds no more of it than one node, one field, or one packed collection.
#[derive(Debug)]
pub(crate) struct Converter {
    to: Format,
    shape: Shape,
    /// Whether the source has said how many elements there are, so that they need not be held to be counted.
    is_counted: bool,
    elements: u64,
    /// The elements of a collection that has not.
    held: Vec<u8>,
    /// A field with its value, until it is known whether it expires, and when.
    field: Vec<u8>,
    field_expiry: Option<i64>,
    /// A list's node.
    node: ZiplistBuilder,
}

/// What a value is turned into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// A count and strings: sets, hashes, sorted sets.
    Plain,
    /// A hash whose fields expire.
    Expiring,
    /// A quicklist of ziplists.
    Quicklist,
    /// A stream with the same nodes.
    Stream(Layout),
    /// A stream of which all was written that the target has a place for.
    StreamTail,
}

impl Converter {
    pub(crate) fn new(to: Format) -> Self {
        Self {
            to,
            shape: Shape::Plain,
            is_counted: false,
            elements: 0,
            held: Vec::new(),
            field: Vec::new(),
            field_expiry: None,
            node: ZiplistBuilder::new(),
        }
    }

    /// Begins a value of a type that the target does not know; gives the type that it will be.
    pub(crate) fn begin(&mut self, from: Encoding) -> Result<Encoding, Unwritable> {
        let layout = Layout::of(self.to);
        let (shape, number) = match (from.kind(), from.number) {
            (Some(Kind::Set), _) => (Shape::Plain, 2),
            (Some(Kind::SortedSet), _) => (Shape::Plain, 5),
            (Some(Kind::Hash), 22..) => match expiring_hash(self.to) {
                Some(encoding) => (Shape::Expiring, encoding.number),
                // Fields may have lost their expiries; if not, the first that has one ends it.
                None => (Shape::Plain, 4),
            },
            (Some(Kind::Hash), _) => (Shape::Plain, 4),
            (Some(Kind::List), _) => (Shape::Quicklist, 14),
            (Some(Kind::Stream), _) => (Shape::Stream(layout), layout.number()),
            _ => return Err(Unwritable::Encoding(from, self.to)),
        };
        (self.shape, self.is_counted, self.elements) = (shape, false, 0);
        self.held.clear();
        self.field.clear();
        self.node.clear();
        Ok(Encoding { number, flavour: self.to.flavour })
    }

    pub(crate) fn frame(&mut self, frame: Frame<'_>, out: &mut Vec<u8>) -> Result<(), Unwritable> {
        match (self.shape, frame) {
            (Shape::Plain | Shape::Expiring, Frame::Count(elements)) => {
                self.is_counted = true;
                self.count(elements, out);
            }
            (Shape::Quicklist | Shape::Stream(_), Frame::Count(count)) => encode::length(out, count),
            (Shape::Quicklist, Frame::ListNode) => {
                encode::plain(out, self.node.finish().map_err(Unwritable::too_long(self.to))?);
                self.node.clear();
            }
            (Shape::Stream(_), Frame::StreamNode { first, listpack }) => {
                encode::plain(out, &first.to_bytes());
                encode::plain(out, listpack);
            }
            // The first count behind a stream's consumers is that of its producers.
            (Shape::StreamTail, Frame::Count(1..)) => return Err(Unwritable::Producers(self.to)),
            _ => {}
        }
        Ok(())
    }

    pub(crate) fn part(&mut self, part: Part<'_>, out: &mut Vec<u8>) -> Result<(), Unwritable> {
        match self.shape {
            Shape::Plain => self.plain_part(part, out),
            Shape::Expiring => self.field_part(part, out),
            Shape::Quicklist => match part {
                Part::Element(item) => self.node.push(item).map_err(Unwritable::too_long(self.to)),
                _ => Ok(()),
            },
            Shape::Stream(layout) => {
                self.stream_part(part, layout, out);
                Ok(())
            }
            Shape::StreamTail => Ok(()),
        }
    }

    /// Writes what was held. To be called when all parts have come.
    pub(crate) fn end(&mut self, out: &mut Vec<u8>) {
        if self.shape == Shape::Expiring {
            self.end_field(out);
        }
        if !self.is_counted && matches!(self.shape, Shape::Plain | Shape::Expiring) {
            self.count(self.elements, out);
            out.extend_from_slice(&self.held);
        }
        give_back(&mut self.held);
    }

    /// All that stands before the elements.
    fn count(&self, elements: u64, out: &mut Vec<u8>) {
        if self.shape == Shape::Expiring && self.to.flavour == Flavour::Redis {
            // The earliest expiry, which is not known yet: only what distances are counted from.
            encode::milliseconds(out, 0);
        }
        encode::length(out, elements);
    }

    fn plain_part(&mut self, part: Part<'_>, out: &mut Vec<u8>) -> Result<(), Unwritable> {
        let out = if self.is_counted { out } else { &mut self.held };
        match part {
            Part::Member(item) | Part::Field(item) => {
                self.elements += 1;
                encode::item(out, item);
            }
            Part::Value(item) => encode::item(out, item),
            Part::Score(score) => encode::score(out, score),
            Part::FieldExpiry(_) => return Err(Unwritable::FieldExpiry(self.to)),
            _ => {}
        }
        Ok(())
    }

    fn field_part(&mut self, part: Part<'_>, out: &mut Vec<u8>) -> Result<(), Unwritable> {
        match part {
            Part::Field(item) => {
                self.end_field(out);
                self.elements += 1;
                encode::item(&mut self.field, item);
            }
            Part::Value(item) => encode::item(&mut self.field, item),
            Part::FieldExpiry(ms) => self.field_expiry = Some(field_expiry(ms, self.to)?),
            _ => {}
        }
        Ok(())
    }

    /// Writes the field before, if there is one.
    fn end_field(&mut self, out: &mut Vec<u8>) {
        if self.field.is_empty() {
            return;
        }
        let out = if self.is_counted { out } else { &mut self.held };
        let expiry = self.field_expiry.take();
        match self.to.flavour {
            Flavour::Redis => {
                encode::length(out, distance(expiry, 0));
                out.append(&mut self.field);
            }
            Flavour::Valkey => {
                out.append(&mut self.field);
                encode::milliseconds(out, expiry.unwrap_or(-1));
            }
        }
    }

    /// Entries themselves are passed over: their nodes are written as they are.
    fn stream_part(&mut self, part: Part<'_>, layout: Layout, out: &mut Vec<u8>) {
        match part {
            Part::StreamFacts(StreamFacts { length, last_id, history: known }) => {
                encode::length(out, length);
                encode::id(out, last_id);
                if layout >= Layout::V2 {
                    history(out, known.unwrap_or_default());
                }
            }
            Part::Group { name, last_id, entries_read } => {
                group_head(out, name, last_id, entries_read, layout);
            }
            Part::Pending { id, delivered_ms, deliveries } => {
                group_pending(out, Pending { id, delivered_ms, deliveries });
            }
            Part::Consumer { name, seen_ms, active_ms } => {
                consumer_head(out, name, seen_ms, active_ms, layout);
            }
            Part::ConsumerPending(id) => out.extend(id.to_bytes()),
            Part::Idempotence { .. } => self.shape = Shape::StreamTail,
            _ => {}
        }
    }
}
