//! Turns one value's parts into an encoding that the target knows, piece by piece.

use crate::{
    changes::{Fate, Ttl},
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

/// Writes one value at a time. Holds no more of it than one node, one field, or one packed collection; of a hash that
/// loses fields all that is left, since their number stands first.
#[derive(Debug)]
pub(crate) struct Converter {
    to: Format,
    /// What becomes of fields that expire.
    ttl: Ttl,
    /// The most bytes of a hash that loses fields.
    max_held_bytes: u64,
    shape: Shape,
    /// Whether the value may lose fields.
    loses_fields: bool,
    lost_fields: u64,
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
    /// A hash of which each field is held until it is known whether it expires: with its expiry where the target has
    /// a place for it, else without those that do.
    Fields { with_expiry: bool },
    /// A quicklist of ziplists.
    Quicklist,
    /// A stream with the same nodes.
    Stream(Layout),
    /// A stream of which all was written that the target has a place for.
    StreamTail,
}

impl Converter {
    /// Writes for servers of a format. A hash that loses fields must not take more than so many bytes.
    pub(crate) fn new(to: Format, ttl: Ttl, max_held_bytes: u64) -> Self {
        Self {
            to,
            ttl,
            max_held_bytes,
            shape: Shape::Plain,
            loses_fields: false,
            lost_fields: 0,
            is_counted: false,
            elements: 0,
            held: Vec::new(),
            field: Vec::new(),
            field_expiry: None,
            node: ZiplistBuilder::new(),
        }
    }

    /// Begins a value that cannot pass through as it is; gives the type that it will be.
    pub(crate) fn begin(&mut self, from: Encoding) -> Result<Encoding, Unwritable> {
        let layout = Layout::of(self.to);
        let (shape, number) = match (from.kind(), from.number) {
            (Some(Kind::Set), _) => (Shape::Plain, 2),
            (Some(Kind::SortedSet), _) => (Shape::Plain, 5),
            (Some(Kind::Hash), 22..) if self.ttl != Ttl::Strip => match expiring_hash(self.to) {
                Some(encoding) => (Shape::Fields { with_expiry: true }, encoding.number),
                // Fields may have lost their expiries; if not, the first that has one ends it.
                None => (Shape::Fields { with_expiry: false }, 4),
            },
            (Some(Kind::Hash), _) => (Shape::Plain, 4),
            (Some(Kind::List), _) => (Shape::Quicklist, 14),
            (Some(Kind::Stream), _) => (Shape::Stream(layout), layout.number()),
            _ => return Err(Unwritable::Encoding(from, self.to)),
        };
        (self.shape, self.is_counted, self.elements) = (shape, false, 0);
        (self.loses_fields, self.lost_fields) = (self.ttl.drops_fields_of(from), 0);
        self.held.clear();
        self.field.clear();
        self.field_expiry = None;
        self.node.clear();
        Ok(Encoding { number, flavour: self.to.flavour })
    }

    pub(crate) fn frame(&mut self, frame: Frame<'_>, out: &mut Vec<u8>) -> Result<(), Unwritable> {
        match (self.shape, frame) {
            (Shape::Plain | Shape::Fields { .. }, Frame::Count(elements)) if !self.loses_fields => {
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
            Shape::Plain => {
                self.plain_part(part, out);
                Ok(())
            }
            Shape::Fields { with_expiry } => self.field_part(part, with_expiry, out),
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
        self.end_field(out);
        if !self.is_counted && matches!(self.shape, Shape::Plain | Shape::Fields { .. }) {
            self.count(self.elements, out);
            out.extend_from_slice(&self.held);
        }
        self.held.clear();
        give_back(&mut self.held);
        give_back(&mut self.field);
    }

    /// Bytes of this value that are not written yet.
    #[inline]
    pub(crate) fn held_bytes(&self) -> usize {
        self.held.len() + self.field.len()
    }

    /// Forgets what is held of a value that nobody wants any more; gives its bytes.
    pub(crate) fn forget_held(&mut self) -> usize {
        let bytes = self.held.len();
        self.held.clear();
        give_back(&mut self.held);
        bytes
    }

    /// Fields of this value that are left out because they have expired.
    pub(crate) fn lost_fields(&self) -> u64 {
        self.lost_fields
    }

    /// Whether this value had fields, and all of them have expired. To be asked when all parts have come.
    pub(crate) fn is_emptied(&self) -> bool {
        self.lost_fields > 0 && self.elements == 0 && self.field.is_empty()
    }

    /// All that stands before the elements.
    fn count(&self, elements: u64, out: &mut Vec<u8>) {
        if self.shape == (Shape::Fields { with_expiry: true }) && self.to.flavour == Flavour::Redis {
            // The earliest expiry, which is not known yet: only what distances are counted from.
            encode::milliseconds(out, 0);
        }
        encode::length(out, elements);
    }

    fn plain_part(&mut self, part: Part<'_>, out: &mut Vec<u8>) {
        let out = if self.is_counted { out } else { &mut self.held };
        match part {
            Part::Member(item) | Part::Field(item) => {
                self.elements += 1;
                encode::item(out, item);
            }
            Part::Value(item) => encode::item(out, item),
            Part::Score(score) => encode::score(out, score),
            // Of a hash whose fields no longer expire.
            _ => {}
        }
    }

    fn field_part(&mut self, part: Part<'_>, with_expiry: bool, out: &mut Vec<u8>) -> Result<(), Unwritable> {
        match part {
            Part::Field(item) => {
                self.end_field(out);
                encode::item(&mut self.field, item);
            }
            Part::Value(item) => encode::item(&mut self.field, item),
            Part::FieldExpiry(ms) => match self.ttl.of_field(ms) {
                Fate::Goes => {
                    self.field.clear();
                    self.lost_fields += 1;
                }
                Fate::Expires(_) if !with_expiry => return Err(Unwritable::FieldExpiry(self.to)),
                Fate::Expires(ms) => self.field_expiry = Some(field_expiry(ms, self.to)?),
                Fate::Stays => {}
            },
            _ => {}
        }
        if self.loses_fields && self.held.len() as u64 > self.max_held_bytes {
            return Err(Unwritable::HeldHash(self.max_held_bytes));
        }
        Ok(())
    }

    /// Writes the field before, if there is one.
    fn end_field(&mut self, out: &mut Vec<u8>) {
        if self.field.is_empty() {
            return;
        }
        self.elements += 1;
        let out = if self.is_counted { out } else { &mut self.held };
        let expiry = self.field_expiry.take();
        match self.to.flavour {
            _ if self.shape == (Shape::Fields { with_expiry: false }) => out.append(&mut self.field),
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
