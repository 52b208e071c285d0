//! Turns a file into the commands that restore it to a server that runs.

mod command;
mod error;
mod pieces;
mod restorer;

use std::{
    collections::BTreeMap,
    io::{self, BufRead},
};

use crate::{
    changes::{ChangeCounts, Changes},
    event::{Event, Kind},
    format::Format,
    limits::{Limits, NotCompared},
    reader::Reader,
};
pub use error::{RestoreError, TooLarge, Whole};
use restorer::Restorer;

/// What to restore, and for which servers.
#[derive(Debug, Clone)]
pub struct RestoreOptions {
    /// What the servers read: their own format, or an older one of their family.
    pub to: Format,
    /// Which keys, until when and under which names.
    pub changes: Changes,
    /// Whether keys that are there are replaced. Otherwise servers answer `BUSYKEY` for them and keep them.
    pub replace: bool,
    /// Bounds on what the source may make the reader do.
    pub limits: Limits,
    /// Larger values are not restored by one command, for which all of a value has to be in memory, here and twice in
    /// the server; servers take no more than `proto-max-bulk-len`, 512 MiB by default. Values may be over it by as
    /// much as one string of theirs.
    pub max_value_bytes: u64,
    /// The same for a module's value, which only one command can restore.
    pub max_module_bytes: u64,
}

impl RestoreOptions {
    /// Everything, with the usual limits; keys that are there stay.
    pub fn new(to: Format) -> Self {
        let (changes, limits) = (Changes::default(), Limits::default());
        Self { to, changes, replace: false, limits, max_value_bytes: 64 << 20, max_module_bytes: 512 << 20 }
    }
}

/// Takes the commands of a restore, in the order of the file.
pub trait RestoreSink {
    /// The entries that follow are of this database. Called before the first entry, and where the database changes.
    ///
    /// # Errors
    /// Ends the restore, as [`RestoreError::Sink`]; so do the others.
    fn database(&mut self, index: u64) -> io::Result<()>;

    /// The commands of a key.
    ///
    /// # Errors
    /// Ends the restore.
    fn entry(&mut self, entry: RestoreEntry<'_>) -> io::Result<()>;

    /// A function library's source code, as `FUNCTION LOAD` takes it, whichever keys are chosen. Not called for servers
    /// without functions.
    ///
    /// # Errors
    /// Ends the restore.
    fn function(&mut self, code: &[u8]) -> io::Result<()>;
}

/// Commands that restore a key, or a part of a large one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RestoreEntry<'a> {
    /// The database that it is in.
    pub database: u64,
    /// The key, under the name that it is to have.
    pub key: &'a [u8],
    /// The cluster slot of that name.
    pub slot: u16,
    /// What the value is to its users.
    pub kind: Kind,
    /// One `RESTORE`, or several other commands, in the servers' protocol (RESP). Never a part of a command.
    pub command: &'a [u8],
    /// How many replies servers give to it, each `+OK`, an integer, a status or an error.
    pub replies: u32,
    /// Bytes that the key's record has in the file, for progress; zero before the last commands of a large one.
    pub size: u64,
    /// Whether the key is whole with these commands. More follow upon the first ones of a large value, in their order
    /// and next to each other.
    pub is_last: bool,
}

/// Reads a file, proves it, and hands out the commands that restore its keys, one after another.
///
/// A value is restored by `RESTORE key ttl payload [REPLACE] [ABSTTL] [IDLETIME n | FREQ n]`: the payload has the
/// value's bytes as they stand in the file, or written anew where the target does not know their type, as
/// [`rewrite`](crate::rewrite()) does it, under the target's own version. An expiry of zero is told as 1 ms, since zero
/// means none to the command, and a negative one as none.
///
/// A value of more than [`RestoreOptions::max_value_bytes`] is made by other commands, a few hundred kilobytes at a
/// time: `UNLINK`, then `SET` and `APPEND`, `RPUSH`, `SADD`, `HSET`, `ZADD` or `XADD` and what belongs to it, and
/// `PEXPIREAT` at last. Clients see it grow; it loses how often it was used, and a stream what is pending of entries
/// that are not there. These commands need [`RestoreOptions::replace`], for they would add to a key that is there;
/// without it such a value is an error, and so is a module's of more than [`RestoreOptions::max_module_bytes`].
///
/// Not restored are empty collections, which servers leave out as well, and what [`NotRestored`] counts. Memory is
/// bounded by twice the largest value that is restored by one command, and twice the longest string of a larger one.
///
/// ```
/// use std::io;
/// use keystow_rdb::{Format, RestoreEntry, RestoreOptions, RestoreSink, restore};
///
/// struct Pipe(Vec<u8>);
///
/// impl RestoreSink for Pipe {
///     fn database(&mut self, index: u64) -> io::Result<()> {
///         Ok(self.0.extend(format!("SELECT {index}\r\n").bytes()))
///     }
///     fn entry(&mut self, entry: RestoreEntry<'_>) -> io::Result<()> {
///         Ok(self.0.extend(entry.command))
///     }
///     fn function(&mut self, _: &[u8]) -> io::Result<()> {
///         Ok(())
///     }
/// }
///
/// let file = b"REDIS0004\xfe\x00\x00\x06user:1\x04Anna\xff";
/// let mut pipe = Pipe(Vec::new());
/// let restored = restore(&file[..], &mut pipe, &RestoreOptions::new(Format::REDIS_11))?;
/// assert_eq!(restored.keys, 1);
/// assert!(pipe.0.starts_with(b"SELECT 0\r\n*4\r\n$7\r\nRESTORE\r\n$6\r\nuser:1\r\n$1\r\n0\r\n"));
/// # Ok::<(), keystow_rdb::RestoreError>(())
/// ```
///
/// # Errors
/// The first thing that is wrong with the source or that the target has no words for, or what the sink said. What came
/// before has been handed out then, also when only the last byte proves the file unsound: prove it first
/// ([`verify`](crate::verify)) where that matters. An entry is handed out when all of its value was found sound; of a
/// large one parts are.
pub fn restore<R: BufRead, S: RestoreSink>(
    source: R,
    sink: &mut S,
    options: &RestoreOptions,
) -> Result<Restored, RestoreError> {
    let mut reader = Reader::new(source, options.limits);
    let mut restorer = Restorer::new(sink, options)?;
    loop {
        let event = reader.next_event_with(&mut restorer);
        restorer.check()?;
        match event? {
            Some(Event::End { .. }) | None => break,
            Some(event) => restorer.event(&event)?,
        }
    }
    Ok(restorer.end(reader.offset(), reader.not_compared()))
}

/// What was handed out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Restored {
    /// The format of the source.
    pub from: Format,
    /// Keys.
    pub keys: u64,
    /// The same by kind; a kind without keys is not named.
    pub kinds: BTreeMap<Kind, u64>,
    /// Those whose values were written anew, because the target does not know how they were or they have changed.
    pub converted: u64,
    /// Those that were too large for one command.
    pub in_pieces: u64,
    /// Function libraries.
    pub functions: u64,
    /// Empty collections, which servers leave out when they load a file.
    pub empty: u64,
    /// What was changed.
    pub changes: ChangeCounts,
    /// What no command carries.
    pub not_restored: NotRestored,
    /// Bytes read, up to and with the checksum.
    pub bytes_read: u64,
    /// What was not looked at for standing twice in the source.
    pub not_compared: NotCompared,
}

/// What is in the file and was not restored, because there is no command for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct NotRestored {
    /// Function libraries: the target has none before RDB 10 (Redis 7.0).
    pub functions: u64,
    /// Data of modules outside of keys: only a file can hold it.
    pub module_aux: u64,
    /// Keys at which a module keeps data of its own (Redis 8.6): no format that is written here has a place for it.
    pub key_meta: u64,
    /// Keys whose idle time or access counter is lost, because they were too large for one command.
    pub usage: u64,
    /// Scripts that the server had been sent (before Redis 7.0): clients send them again when they are missed.
    pub scripts: u64,
    /// Expiries of single members, which only `KeyDB` knows: those members no longer expire.
    pub member_expiries: u64,
}

impl Restored {
    /// Whether anything was left behind that a user may miss.
    pub fn is_complete(&self) -> bool {
        self.not_restored == NotRestored::default()
    }
}
