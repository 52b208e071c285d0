//! What a value is made of, handed out piece by piece once it is proven.

use std::{fmt, io};

use crate::{
    event::{Kind, ModuleId, ModuleWhen},
    fault::Reason,
    format::Encoding,
    packed::Item,
};

/// Sees values while they are read: [`Reader::next_event_with`](crate::Reader::next_event_with).
///
/// A piece is handed out as soon as it is proven, so a fault may come after pieces of the same value; only the
/// entry's event says that all of it is sound.
pub trait Visitor {
    /// Whether values are wanted at all: reading for a visitor that never wants one costs nothing.
    const SEES: bool = true;

    /// A value follows. Says how much of it to hand out.
    fn begin(&mut self, head: &Head<'_>) -> Want;

    /// A module's data outside of keys follows. Says whether to hand it out; it has no parts.
    fn begin_module_aux(&mut self, _module: ModuleId, _when: ModuleWhen) -> Want {
        Want::Nothing
    }

    /// One part of a value, after [`Want::Parts`].
    ///
    /// # Errors
    /// Ends the reading, as [`Reason::Output`].
    fn part(&mut self, part: Part<'_>) -> io::Result<()>;

    /// How the value is put together, after [`Want::Parts`]: stands between the parts. For visitors that write it
    /// again without holding it; others need not care.
    ///
    /// # Errors
    /// Ends the reading, as [`Reason::Output`].
    fn frame(&mut self, _frame: Frame<'_>) -> io::Result<()> {
        Ok(())
    }

    /// The next bytes of a value as they stand in the file, after [`Want::Raw`]: all that follows the key.
    ///
    /// # Errors
    /// Ends the reading, as [`Reason::Output`].
    fn raw(&mut self, _bytes: &[u8]) -> io::Result<()> {
        Ok(())
    }

    /// Whether the rest of a value is to be handed out as parts, after [`Want::Raw`]. Asked between the elements of
    /// large collections; all bytes up to there are handed out as they stand before the first part comes, and nothing
    /// else of them. A value without a further element ends without a part.
    fn turns_to_parts(&mut self) -> bool {
        false
    }
}

/// Wants nothing: values are only proven.
impl Visitor for () {
    const SEES: bool = false;

    fn begin(&mut self, _head: &Head<'_>) -> Want {
        Want::Nothing
    }

    fn part(&mut self, _part: Part<'_>) -> io::Result<()> {
        Ok(())
    }
}

/// How much of a value is handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Want {
    /// Nothing: it is only proven.
    #[default]
    Nothing,
    /// What it means: elements, fields, scores, whatever their encoding. A module's value has no parts.
    Parts,
    /// Its bytes as they stand in the file.
    Raw,
}

/// What is known of an entry before its value is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Head<'a> {
    /// The database that the key is in.
    pub database: u64,
    /// The key; may be empty and hold any byte.
    pub key: &'a [u8],
    /// What the value is to its users.
    pub kind: Kind,
    /// How the value is written.
    pub encoding: Encoding,
    /// Absolute expiry in Unix milliseconds; may lie in the past or be negative.
    pub expires_ms: Option<i64>,
    /// Seconds since the last access, where the server's eviction policy is LRU.
    pub idle_seconds: Option<u64>,
    /// Access frequency counter, where the server's eviction policy is LFU.
    pub frequency: Option<u8>,
    /// Whether a module keeps data at the key itself (opcode 243, Redis 8.6): it is not handed out.
    pub has_key_meta: bool,
}

/// A piece of a value. The pieces of one value come in the order of the file.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Part<'a> {
    /// A whole string.
    Text(Item<'a>),
    /// An element of a list, from head to tail.
    Element(Item<'a>),
    /// A member of a set or a sorted set.
    Member(Item<'a>),
    /// The score of the member before; not NaN.
    Score(f64),
    /// A field of a hash or of a stream entry.
    Field(Item<'a>),
    /// The value of the field before.
    Value(Item<'a>),
    /// When the hash field before expires, in Unix milliseconds; only after fields that do.
    FieldExpiry(i64),
    /// An entry of a stream that was not deleted. Its fields and values follow.
    StreamEntry {
        /// Its ID.
        id: StreamId,
        /// How many fields follow.
        fields: u64,
    },
    /// What a stream knows of itself; comes once, after its entries.
    StreamFacts(StreamFacts),
    /// A consumer group; what is pending and its consumers follow.
    Group {
        /// Its name.
        name: &'a [u8],
        /// The last ID that was delivered.
        last_id: StreamId,
        /// How many entries it has read; `None` when not known or not written (before Redis 7).
        entries_read: Option<u64>,
    },
    /// An entry that a consumer of the group before has not acknowledged.
    Pending {
        /// Its ID.
        id: StreamId,
        /// When it was delivered last, in Unix milliseconds.
        delivered_ms: i64,
        /// How often.
        deliveries: u64,
    },
    /// A consumer of the group before; the IDs that are pending for it follow.
    Consumer {
        /// Its name.
        name: &'a [u8],
        /// When it was seen last, in Unix milliseconds.
        seen_ms: i64,
        /// When it last read something; `None` when never or not written (before Redis 7.2).
        active_ms: Option<i64>,
    },
    /// An ID that is pending for the consumer before.
    ConsumerPending(StreamId),
    /// How a stream tells repeated additions from new ones (Redis 8.6). Its producers follow.
    Idempotence {
        /// How long an ID is remembered.
        seconds: u64,
        /// How many are.
        max_entries: u64,
    },
    /// A producer of the stream; what it added follows.
    Producer(&'a [u8]),
    /// An ID that the producer before chose, and the entry that it became.
    Produced {
        /// The producer's own ID.
        iid: &'a [u8],
        /// The entry's ID.
        id: StreamId,
    },
}

/// How a value is put together, as far as its encoding tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Frame<'a> {
    /// So many follow of what comes next: elements, members, fields, nodes of a list or stream, groups, pending
    /// entries, consumers, producers. Collections in one packed piece do not count beforehand.
    Count(u64),
    /// The elements since the last one were a node of a quicklist.
    ListNode,
    /// The entries since the last one were a node of a stream.
    StreamNode {
        /// The ID that the entries count from.
        first: StreamId,
        /// The entries, deleted ones among them.
        listpack: &'a [u8],
    },
}

/// An ID in a stream: milliseconds, and a number within the millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct StreamId {
    /// Usually a Unix time in milliseconds.
    pub ms: u64,
    /// Counts within it.
    pub seq: u64,
}

impl StreamId {
    /// From its sixteen bytes, big endian (`streamDecodeID` in Redis `src/t_stream.c`).
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        let number = u128::from_be_bytes(bytes);
        #[expect(clippy::cast_possible_truncation, reason = "the lower half is what is meant")]
        Self { ms: (number >> 64) as u64, seq: number as u64 }
    }

    /// As its sixteen bytes, big endian.
    pub fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.ms) << 64 | u128::from(self.seq)).to_be_bytes()
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// What a stream knows of itself beside its entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StreamFacts {
    /// Entries, as the stream counts them.
    pub length: u64,
    /// The highest ID ever added.
    pub last_id: StreamId,
    /// What Redis 7.0 and later write in addition.
    pub history: Option<StreamHistory>,
}

/// What streams know of their past since Redis 7.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StreamHistory {
    /// The ID of the first entry that is there; zero when none is.
    pub first_id: StreamId,
    /// The highest ID that was deleted.
    pub max_deleted_id: StreamId,
    /// Entries ever added.
    pub entries_added: u64,
}

/// A visitor with what it wants of the value at hand.
pub(crate) struct Out<'v, V> {
    pub(crate) visitor: &'v mut V,
    pub(crate) want: Want,
}

impl<V: Visitor> Out<'_, V> {
    /// Whether parts are to be handed out. Known at compile time for a visitor that sees nothing.
    #[inline]
    pub(crate) fn wants_parts(&self) -> bool {
        V::SEES && self.want == Want::Parts
    }

    #[inline]
    pub(crate) fn wants_raw(&self) -> bool {
        V::SEES && self.want == Want::Raw
    }

    /// Tells how the value is put together, if wanted.
    #[inline]
    pub(crate) fn frame(&mut self, frame: Frame<'_>) -> Result<(), Box<Reason>> {
        if self.wants_parts() {
            self.visitor.frame(frame).map_err(|error| Box::new(Reason::output(&error)))?;
        }
        Ok(())
    }

    /// Hands a part out, if wanted.
    #[inline]
    pub(crate) fn part(&mut self, part: Part<'_>) -> Result<(), Box<Reason>> {
        if self.wants_parts() {
            self.visitor.part(part).map_err(|error| Box::new(Reason::output(&error)))?;
        }
        Ok(())
    }
}
