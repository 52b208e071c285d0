//! Values that turn out to be too large for one command.

use std::io;

use super::{Restorer, Way};
use crate::{
    bytes::Slice,
    changes::Fate,
    event::{Entry, Kind},
    fault::{Fault, Reason},
    model::{
        encode::{expiring_hash, field_expiry},
        encode_stream::Layout,
    },
    part::{Out, Part, StreamFacts, Want},
    restore::{RestoreError, RestoreSink, Whole, pieces::Replay},
    text::{Text, Texts},
    unwritable::Unwritable,
    value::{self, Seen},
};

impl<S: RestoreSink> Restorer<'_, S> {
    /// Whether the payload is too long for one command.
    #[inline]
    pub(super) fn has_outgrown(&self) -> bool {
        (self.command.value().len() + self.converter.held_bytes()) as u64 > self.longest_value()
    }

    /// Most bytes of this value that one command may restore.
    #[inline]
    pub(super) fn longest_value(&self) -> u64 {
        match self.heading.kind {
            Kind::Module => self.options.max_module_bytes,
            _ => self.options.max_value_bytes,
        }
    }

    /// Finds a way for a value that is too large for one command.
    #[cold]
    pub(super) fn outgrow(&mut self) {
        let is_converted = self.way == Way::Convert;
        let refused = match self.heading.kind {
            Kind::Module => Some(Whole::Module),
            _ if !self.options.replace => Some(Whole::NotReplacing),
            _ => None,
        };
        self.way = if let Some(why) = refused {
            self.way = Way::Refused { why, bytes: 0, is_converted };
            self.count_refused();
            self.way
        } else {
            self.lost_fields = if is_converted { self.converter.lost_fields() } else { 0 };
            Way::Outgrown
        };
    }

    /// Makes a string of what there is of it, to which the rest is added; not of a compressed one, which is made when
    /// there is all of it.
    pub(super) fn begin_text(&mut self) -> io::Result<()> {
        let mut decoded = Vec::new();
        let value = self.command.value();
        let mut slice = Slice::new(value, &mut decoded, self.options.limits.max_blob_bytes);
        if !matches!(slice.text(), Ok(Text::Plain(_))) {
            return Ok(());
        }
        let text = &value[value.len() - slice.left()..];
        self.pieces.begin(&self.heading)?;
        self.pieces.text(text, &self.heading, &mut self.target)?;
        self.command.clear();
        self.way = Way::Text;
        Ok(())
    }

    /// Makes commands of what there is of a value, which may end behind any element.
    #[cold]
    pub(super) fn replay(&mut self) -> Result<(), RestoreError> {
        let mut decoded = Vec::new();
        let max_blob_bytes = self.options.limits.max_blob_bytes;
        let mut slice = Slice::new(self.command.value(), &mut decoded, max_blob_bytes);
        self.pieces.begin(&self.heading).map_err(RestoreError::Sink)?;
        let (pieces, heading, target) = (&mut self.pieces, &self.heading, &mut self.target);
        let mut replay = Replay { pieces, heading, target, failed: None };
        let mut out = Out { visitor: &mut replay, want: Want::Parts };
        let made = value::check(self.encoding, &mut slice, &mut Seen::new(), &mut out);
        if let Some(error) = replay.failed {
            return Err(RestoreError::Sink(error));
        }
        self.command.clear();
        let is_turning = self.way == Way::Turning;
        self.way = Way::Pieces;
        match made.map_err(|reason| *reason) {
            Ok(_) => Ok(()),
            Err(Reason::Truncated) if is_turning => Ok(()),
            Err(Reason::TooLarge { bytes, limit }) => Err(self.too_large(Whole::Piece, bytes, limit)),
            // It was proven before.
            Err(reason) => Err(Fault { offset: 0, key: Some(self.heading.key.clone()), reason }.into()),
        }
    }

    /// A part that comes when the value is made in pieces.
    pub(super) fn piece(&mut self, part: Part<'_>) -> Result<(), RestoreError> {
        match self.fit(part) {
            Ok(Some(part)) => {
                self.pieces.part(part, &self.heading, &mut self.target).map_err(RestoreError::Sink)
            }
            Ok(None) => Ok(()),
            Err(why) => Err(self.impossible(why)),
        }
    }

    /// What the target can do with a part, in the way that the converter would have it.
    pub(super) fn fit<'p>(&mut self, part: Part<'p>) -> Result<Option<Part<'p>>, Unwritable> {
        let to = self.options.to;
        let has_history = Layout::of(to) >= Layout::V2;
        Ok(Some(match part {
            Part::FieldExpiry(ms) => match self.changer.ttl().of_field(ms) {
                Fate::Expires(ms) if expiring_hash(to).is_some() => Part::FieldExpiry(field_expiry(ms, to)?),
                Fate::Expires(_) => return Err(Unwritable::FieldExpiry(to)),
                Fate::Stays => return Ok(None),
                Fate::Goes => {
                    self.pieces.drop_field();
                    self.lost_fields += 1;
                    return Ok(None);
                }
            },
            Part::StreamFacts(facts) if !has_history => {
                Part::StreamFacts(StreamFacts { history: None, ..facts })
            }
            Part::Group { name, last_id, .. } if !has_history => {
                Part::Group { name, last_id, entries_read: None }
            }
            Part::Producer(_) => return Err(Unwritable::Producers(to)),
            part => part,
        }))
    }

    /// Makes commands of what there is of the new payload, and of what follows.
    pub(super) fn outgrow_converted(&mut self) -> Result<(), RestoreError> {
        self.outgrow();
        if self.way == Way::Outgrown {
            self.converter.end(self.command.payload());
            self.way = Way::Turning;
            self.replay()?;
            self.restored.converted += 1;
        }
        Ok(())
    }

    /// Counts what would have been in the payload of a value that is too large.
    pub(super) fn count_refused(&mut self) {
        if let Way::Refused { bytes, .. } = &mut self.way {
            *bytes += (self.command.value().len() + self.converter.forget_held()) as u64;
            self.command.clear();
        }
    }

    pub(super) fn end_pieces(&mut self, entry: &Entry<'_>) -> Result<(), RestoreError> {
        self.pieces
            .end(self.expires_ms, entry.stored_bytes, &self.heading, &mut self.target)
            .map_err(RestoreError::Sink)?;
        let lost = std::mem::take(&mut self.lost_fields);
        self.changer.count_fields(entry.expiring_fields, lost);
        if lost > 0 && lost == entry.elements {
            // Its last field took the key along.
            self.changer.drop_named();
            return Ok(());
        }
        self.kinds[entry.kind as usize] += 1;
        self.restored.in_pieces += 1;
        let has_usage = entry.idle_seconds.is_some() || entry.frequency.is_some();
        self.restored.not_restored.usage += u64::from(has_usage);
        Ok(())
    }
}

/// Whether all parts before that one are in the new payload, so that those from it on may go elsewhere. Entries of
/// streams and elements of lists are by whole nodes.
pub(super) fn is_boundary(kind: Kind, part: &Part<'_>) -> bool {
    match part {
        Part::Member(_)
        | Part::StreamFacts(_)
        | Part::Group { .. }
        | Part::Pending { .. }
        | Part::Consumer { .. }
        | Part::ConsumerPending(_) => true,
        Part::Field(_) => kind == Kind::Hash,
        _ => false,
    }
}
