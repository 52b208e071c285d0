//! Values as one holds them in memory: read by a [`Collector`], written by [`Value::encode`].

mod collector;
pub(crate) mod encode;
pub(crate) mod encode_stream;

pub use collector::Collector;

use crate::{
    event::Kind,
    part::{StreamHistory, StreamId},
};

/// What a key holds, whatever the encoding that it was read from.
///
/// Two values with the same contents need not be equal: the order of a set's members or a hash's fields is that of
/// the file.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Text, numbers, bitmaps, `HyperLogLogs`.
    String(Vec<u8>),
    /// Elements, from head to tail.
    List(Vec<Vec<u8>>),
    /// Members; none twice.
    Set(Vec<Vec<u8>>),
    /// Members with their scores; no member twice, no score NaN.
    SortedSet(Vec<Scored>),
    /// Fields with their values; no field twice.
    Hash(Vec<HashField>),
    /// A stream with its consumer groups.
    Stream(Box<Stream>),
    /// What a module wrote, as it stands in the file: only the module understands it.
    Module(Vec<u8>),
}

impl Value {
    /// What it is to its users.
    pub fn kind(&self) -> Kind {
        match self {
            Self::String(_) => Kind::String,
            Self::List(_) => Kind::List,
            Self::Set(_) => Kind::Set,
            Self::SortedSet(_) => Kind::SortedSet,
            Self::Hash(_) => Kind::Hash,
            Self::Stream(_) => Kind::Stream,
            Self::Module(_) => Kind::Module,
        }
    }
}

/// A member of a sorted set.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scored {
    /// Its name.
    pub member: Vec<u8>,
    /// What it is sorted by.
    pub score: f64,
}

/// A field of a hash.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HashField {
    /// Its name.
    pub field: Vec<u8>,
    /// What it holds.
    pub value: Vec<u8>,
    /// When it expires, in Unix milliseconds, if it does.
    pub expires_ms: Option<i64>,
}

/// A stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stream {
    /// Its entries, the lowest ID first.
    pub entries: Vec<StreamEntry>,
    /// The highest ID ever added.
    pub last_id: StreamId,
    /// What Redis 7.0 and later know in addition.
    pub history: Option<StreamHistory>,
    /// Its consumer groups.
    pub groups: Vec<Group>,
    /// How it tells repeated additions from new ones (Redis 8.6).
    pub idempotence: Option<Idempotence>,
}

/// An entry of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StreamEntry {
    /// Its ID.
    pub id: StreamId,
    /// Its fields with their values; a field may stand twice.
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A consumer group of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Group {
    /// Its name.
    pub name: Vec<u8>,
    /// The last ID that was delivered.
    pub last_id: StreamId,
    /// How many entries it has read, if that is known.
    pub entries_read: Option<u64>,
    /// Its consumers. What is pending for the group is what is pending for them.
    pub consumers: Vec<Consumer>,
}

/// A consumer of a group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Consumer {
    /// Its name.
    pub name: Vec<u8>,
    /// When it was seen last, in Unix milliseconds.
    pub seen_ms: i64,
    /// When it last read something, in Unix milliseconds; `None` when never or not known (before Redis 7.2).
    pub active_ms: Option<i64>,
    /// What it has not acknowledged, the lowest ID first.
    pub pending: Vec<Pending>,
}

/// An entry that was delivered and not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pending {
    /// Its ID.
    pub id: StreamId,
    /// When it was delivered last, in Unix milliseconds.
    pub delivered_ms: i64,
    /// How often.
    pub deliveries: u64,
}

/// How a stream tells repeated additions from new ones (Redis 8.6).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Idempotence {
    /// How long an ID is remembered.
    pub seconds: u64,
    /// How many are.
    pub max_entries: u64,
    /// Who added what.
    pub producers: Vec<Producer>,
}

/// What one producer added to a stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Producer {
    /// Its name.
    pub name: Vec<u8>,
    /// The IDs that it chose, and the entries that they became.
    pub produced: Vec<(Vec<u8>, StreamId)>,
}
