//! Reads Redis and Valkey snapshots (RDB files): bytes in, events out, every structure proven on the way.
//!
//! The crate knows no files, sockets or clocks: it reads any [`std::io::BufRead`] in bounded memory.
//! [`verify`] sums up a whole snapshot; [`Reader`] gives its events to callers with a loop of their own, and
//! hands values to a [`Visitor`].
//!
//! Read here: RDB 1 to 13 under the `REDIS` magic and RDB 80 under `VALKEY`, with every value type of those.
//! Anything newer is a clear [`Fault`], never a guess.
//!
//! Not looked for: keys that stand twice beyond the first 786,432 of a file; members that do beyond as many of
//! one collection, or over 64 KiB each ([`NotCompared`] counts both); the order of scores; what
//! module data means.

mod bytes;
mod crc;
mod digest;
pub mod dump;
mod encode;
mod event;
mod export;
mod fault;
mod filter;
mod fingerprint;
mod format;
mod inspect;
mod keys;
mod length;
pub mod lzf;
pub mod model;
pub mod packed;
mod part;
mod reader;
mod report;
mod rewrite;
mod source;
mod text;
mod unwritable;
mod value;
mod writer;

pub use digest::{Digest, DigestKey, Digester};
pub use event::{Checksum, Entry, Event, Kind, ModuleId, ModuleWhen};
pub use export::{ExportOptions, Exported, Form, NotCarried, export, for_each_key, written_key};
pub use fault::{Fault, Reason};
pub use filter::{Filter, Pattern};
pub use format::{Encoding, Flavour, Format, UnknownFormat};
pub use inspect::{
    BigKey, ExpiryHistogram, FREQUENCIES, FrequencyHistogram, IdleHistogram, InspectOptions, Inspection,
    LARGE_BYTES, LARGE_ELEMENTS, Prefixes, SLOTS, SPANS_S, SlotSums, Sums, cluster_slot, inspect,
    memory_estimate,
};
pub use model::{Collector, Value};
pub use part::{Frame, Head, Part, StreamFacts, StreamHistory, StreamId, Visitor, Want};
pub use reader::{Limits, NotCompared, Reader};
pub use report::{DatabaseReport, Failure, KindReport, Report, Summary, verify};
pub use rewrite::{Dropped, Impossible, Moves, Place, RewriteError, RewriteOptions, Rewritten, rewrite};
pub use unwritable::{Unwritable, WriteError};
pub use writer::{Record, Writer};
