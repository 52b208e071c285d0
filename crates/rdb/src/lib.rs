//! Reads Redis and Valkey snapshots (RDB files): bytes in, events out, every structure proven on the way.
//!
//! The crate knows no files, sockets or clocks: it reads any [`std::io::BufRead`] in bounded memory.
//! [`verify`] sums up a whole snapshot; [`Reader`] gives its events to callers with a loop of their own.
//!
//! Read here: RDB 1 to 11 under the `REDIS` magic with value types 0 to 21. Anything newer is a clear
//! [`Fault`], never a guess.
//!
//! Not looked for: duplicate keys within a database; duplicate members beyond the first million of one
//! collection, or over 64 KiB each in collections whose members are strings of their own; the order of
//! scores; what module data means.

mod crc;
mod event;
mod fault;
mod fingerprint;
mod length;
mod lzf;
mod packed;
mod reader;
mod report;
mod source;
mod text;
mod value;

pub use event::{Checksum, Entry, Event, Flavour, Kind, ModuleId, ModuleWhen};
pub use fault::{Fault, Reason};
pub use reader::{Limits, Reader};
pub use report::{DatabaseReport, Failure, KindReport, Report, Summary, verify};
