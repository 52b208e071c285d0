//! Reads, proves, explains and writes Redis and Valkey snapshots (RDB files) and `DUMP` payloads.
//!
//! The crate knows no files, sockets or clocks: it reads any [`std::io::BufRead`] and writes any
//! [`std::io::Write`], in bounded memory, whatever the bytes are. Everything that is wrong with them is a [`Fault`]
//! with its place, its key and a [`Reason`] that has a stable code; nothing panics.
//!
//! | to | call |
//! |---|---|
//! | prove a file and sum it up | [`verify`] |
//! | go through a file key by key | [`Reader`] |
//! | see what values hold while they are proven | [`Reader::next_event_with`] and a [`Visitor`] |
//! | have values in memory | [`Collector`], [`Value`] |
//! | see what takes the space | [`inspect()`] |
//! | turn a file into JSON lines, commands or CSV | [`export()`] |
//! | write a file | [`Writer`] |
//! | write a file for servers of another version | [`rewrite`] |
//! | make one file of a cluster's | [`rewrite_all`] |
//! | restore a file to a server that runs | [`restore`] and a [`RestoreSink`] |
//! | choose, rename, and change expiries on the way | [`Changes`] |
//! | open, prove, relabel and make `DUMP` payloads | [`dump::Payload`], [`Value::to_payload`] |
//! | compare values whatever their encoding | [`Digester`] |
//! | read listpacks, ziplists, intsets, zipmaps and LZF by themselves | [`packed`], [`lzf`] |
//!
//! ```
//! use keystow_rdb::{Event, Limits, Reader, verify};
//!
//! let file = b"REDIS0004\xfe\x00\x00\x05hello\x05world\xff";
//! assert_eq!(verify(&file[..], Limits::default())?.keys, 1);
//!
//! let mut reader = Reader::new(&file[..], Limits::default());
//! while let Some(event) = reader.next_event()? {
//!     if let Event::Entry(entry) = event {
//!         println!("{} is a {}", entry.key.escape_ascii(), entry.kind);
//!     }
//! }
//!
//! // Cut short: the fault says where, and in which key.
//! let failure = verify(&file[..18], Limits::default()).unwrap_err();
//! assert_eq!(failure.to_string(), "the file ends too early at byte 18, in key \"hello\"");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Read are RDB 1 to 13 under the `REDIS` magic and RDB 80 under `VALKEY`, with every value type of those; written
//! are 9 to 12 and 80 ([`Format`]). Anything newer is a clear fault, never a guess.
//!
//! Not looked for: keys that stand twice beyond the first 786,432 of a file; members that do beyond as many of
//! one collection, or over 64 KiB each ([`NotCompared`] counts both); the order of scores; what
//! module data means.

mod bytes;
mod changes;
mod commands;
mod crc;
mod digest;
pub mod dump;
mod encode;
mod event;
pub mod export;
mod fault;
mod filter;
mod fingerprint;
mod format;
pub mod inspect;
mod keys;
mod length;
mod limits;
pub mod lzf;
pub mod model;
mod opcode;
pub mod packed;
mod part;
mod reader;
mod report;
mod restore;
mod rewrite;
mod sink;
mod slots;
mod source;
mod text;
mod unwritable;
mod value;
mod writer;

pub use changes::{ChangeCounts, Changes, Prefix, Ttl};
pub use digest::{Digest, DigestKey, Digester};
pub use event::{Checksum, Entry, Event, Kind, ModuleId, ModuleWhen};
pub use export::{ExportOptions, Exported, Form, export};
pub use fault::{Fault, Reason};
pub use filter::{Filter, Pattern};
pub use format::{Encoding, Flavour, Format, UnknownFormat};
pub use inspect::{InspectOptions, Inspection, inspect};
pub use limits::{Limits, NotCompared};
pub use model::{Collector, Value};
pub use part::{Frame, Head, Part, StreamFacts, StreamHistory, StreamId, Visitor, Want};
pub use reader::Reader;
pub use report::{DatabaseReport, Failure, KindReport, Report, Summary, verify};
pub use restore::{
    NotRestored, RestoreEntry, RestoreError, RestoreOptions, RestoreSink, Restored, TooLarge, Whole, restore,
};
pub use rewrite::{
    Dropped, Impossible, Moves, Place, RewriteError, RewriteOptions, RewriteSource, Rewritten, rewrite,
    rewrite_all,
};
pub use slots::{SLOTS, SlotSet, slot};
pub use unwritable::{Unwritable, WriteError};
pub use writer::{Record, Writer};
