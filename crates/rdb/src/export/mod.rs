//! Keys and values in forms that other programs read: JSON lines, commands, CSV.

mod commands;
mod csv;
mod json;
mod json_stream;
pub(crate) mod text;

use std::{
    io::{self, BufRead, Write},
    ops::AddAssign,
};

use crate::{
    event::{Entry, Event},
    fault::{Fault, Reason},
    filter::Filter,
    limits::Limits,
    part::{Head, Visitor},
    reader::Reader,
};

pub use csv::written_key;

use commands::Commands;
use json::JsonLines;

/// The form of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// One JSON object per line (<https://jsonlines.org>): `db`, `key`, `type`, `encoding`, `expires_at_ms`,
    /// `idle_seconds` and `frequency` where there are any, and `value`, which is by type
    ///
    /// - `string`: a string;
    /// - `list`, `set`: an array of strings;
    /// - `zset`: an array of `[member, score]`, an infinite score as `"inf"` or `"-inf"`;
    /// - `hash`: an array of `[field, value]`, or `[field, value, expires_at_ms]` for a field that expires;
    /// - `stream`: an object with `entries` (`id`, `fields` as `[field, value]`), `length`, `last_id`, `first_id`,
    ///   `max_deleted_id`, `entries_added`, `groups` (`name`, `last_id`, `entries_read`, `pending`, `consumers`) and
    ///   `idempotence`; what older servers did not write is left out;
    /// - `module`: `{"raw_base64":"…"}`, all that follows the key in the file; `module` and `module_version` follow.
    ///
    /// Keys, members and the like are strings, also where the file has them as numbers; those that are not UTF-8
    /// are `{"base64":"…"}`. A function library is a line `{"function":"…"}`, what a module keeps outside of keys
    /// is a line `{"module_aux":…}`; both only when no filter chooses keys. Empty collections are written.
    #[default]
    JsonLines,
    /// Commands in the servers' protocol, for `redis-cli --pipe`: they recreate the keys in an empty server.
    ///
    /// What no command can set is not in it: see [`NotCarried`]. Of streams, what is pending of deleted entries is
    /// dropped by servers since 7.0, and consumers were all seen just now.
    Commands,
    /// One row per key (RFC 4180): `db,key,type,encoding,elements,stored_bytes,memory_bytes,expires_at_ms,
    /// idle_seconds,frequency,slot`. In keys a backslash is written `\\`, and a byte that is not UTF-8 as `\xff`.
    Csv,
}

/// What [`export`] writes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExportOptions {
    /// Its form.
    pub form: Form,
    /// Which keys; the rest is proven, but not written.
    pub filter: Filter,
    /// Without the header row of [`Form::Csv`]: for files that are written one after another.
    pub without_header: bool,
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Exported {
    /// Keys.
    pub keys: u64,
    /// Function libraries.
    pub functions: u64,
    /// What the form has no place for.
    pub not_carried: NotCarried,
}

/// What could not be written in [`Form::Commands`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct NotCarried {
    /// Keys at which a module keeps data of its own (Redis 8.6), in any form.
    pub key_meta: u64,
    /// Data of modules outside of keys.
    pub module_aux: u64,
    /// Keys whose idle time or access counter is lost.
    pub usage: u64,
    /// Streams that tell repeated additions from new ones (Redis 8.6).
    pub idempotence: u64,
}

impl AddAssign for Exported {
    /// For files that are written one after another.
    fn add_assign(&mut self, other: Self) {
        let NotCarried { key_meta, module_aux, usage, idempotence } = other.not_carried;
        self.keys += other.keys;
        self.functions += other.functions;
        self.not_carried.key_meta += key_meta;
        self.not_carried.module_aux += module_aux;
        self.not_carried.usage += usage;
        self.not_carried.idempotence += idempotence;
    }
}

/// Reads a whole file and writes its keys in another form.
///
/// Values are written while they are read; memory is bounded by the longest single string, and for commands by the
/// longest module value and 32 bytes for each pending entry of one consumer group. The same file always gives the
/// same bytes.
///
/// ```
/// use keystow_rdb::{ExportOptions, Limits, export};
///
/// let file = b"REDIS0004\xfe\x00\x00\x04user\x04Anna\xff";
/// let mut lines = Vec::new();
/// export(&file[..], Limits::default(), &ExportOptions::default(), &mut lines).unwrap();
/// assert_eq!(lines, br#"{"db":0,"key":"user","type":"string","encoding":"string","value":"Anna"}
/// "#);
/// ```
///
/// # Errors
/// The first fault, or [`Reason::Output`]. All sound keys before it are written, and the one at fault is not unless
/// it is longer than the buffer of 256 KiB.
pub fn export<R: BufRead, W: Write>(
    source: R,
    limits: Limits,
    options: &ExportOptions,
    out: W,
) -> Result<Exported, Fault> {
    let filter = &options.filter;
    match options.form {
        Form::JsonLines => write_all(&mut Reader::new(source, limits), JsonLines::new(filter, out)),
        Form::Commands => write_all(&mut Reader::new(source, limits), Commands::new(filter, out)),
        Form::Csv => csv::write(source, limits, options, out),
    }
}

/// Reads a whole file and shows its keys to somebody, for forms that are written elsewhere.
///
/// # Errors
/// The first fault, or what was said about a key as [`Reason::Output`].
pub fn for_each_key<R: BufRead>(
    source: R,
    limits: Limits,
    filter: &Filter,
    mut take: impl FnMut(&Entry<'_>) -> io::Result<()>,
) -> Result<(), Fault> {
    let mut reader = Reader::new(source, limits);
    loop {
        let taken = match reader.next_event()? {
            Some(Event::Entry(entry)) if filter.wants_entry(&entry) => take(&entry),
            Some(_) => Ok(()),
            None => return Ok(()),
        };
        taken.map_err(|error| not_taken(&reader, &error))?;
    }
}

/// Sees values and events in turn, and writes them.
trait Writer: Visitor {
    /// The event that follows upon a value, or stands alone.
    fn event(&mut self, event: &Event<'_>) -> io::Result<()>;

    /// Ends the writing: the file was sound to its end, or else the record at hand is given up.
    fn end(&mut self, is_sound: bool) -> io::Result<()>;

    /// What was written.
    fn exported(&self) -> Exported;
}

fn write_all<R: BufRead, F: Writer>(reader: &mut Reader<R>, mut form: F) -> Result<Exported, Fault> {
    let outcome = write_events(reader, &mut form);
    let ended = form.end(outcome.is_ok()).map_err(|error| not_taken(reader, &error));
    outcome.and(ended).map(|()| form.exported())
}

fn write_events<R: BufRead, F: Writer>(reader: &mut Reader<R>, form: &mut F) -> Result<(), Fault> {
    loop {
        let written = match reader.next_event_with(form)? {
            Some(event) => form.event(&event),
            None => return Ok(()),
        };
        written.map_err(|error| not_taken(reader, &error))?;
    }
}

fn not_taken<R: BufRead>(reader: &Reader<R>, error: &io::Error) -> Fault {
    Fault { offset: reader.offset(), key: None, reason: Reason::output(error) }
}

/// Which keys are written, and how many were.
struct Chosen<'f> {
    filter: &'f Filter,
    /// Whether the key at hand is.
    is_wanted: bool,
    exported: Exported,
}

impl<'f> Chosen<'f> {
    fn new(filter: &'f Filter) -> Self {
        Self { filter, is_wanted: false, exported: Exported::default() }
    }

    /// Whether to write a key.
    #[inline]
    fn takes(&mut self, head: &Head<'_>) -> bool {
        self.is_wanted = self.filter.wants(head);
        self.exported.not_carried.key_meta += u64::from(self.is_wanted && head.has_key_meta);
        self.is_wanted
    }

    /// Whether to write what belongs to no key.
    fn takes_the_rest(&self) -> bool {
        self.filter.is_all()
    }
}
