//! Why a snapshot cannot be vouched for: the first fault, its place, and the key being read.

use std::{error, fmt, io};

use crate::format::{Encoding, Format};

/// The first thing that is wrong with a file. Reading stops there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Bytes from the start of the file: how far reading came, or where the string at fault begins.
    pub offset: u64,
    /// The key being read, cut to its first [`Fault::KEY_BYTES`] bytes.
    pub key: Option<Vec<u8>>,
    /// What is wrong.
    pub reason: Reason,
}

impl Fault {
    /// At most this much of a key is kept.
    pub const KEY_BYTES: usize = 1024;
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 64;
        write!(f, "{} at byte {}", self.reason, self.offset)?;
        if let Some(key) = &self.key {
            let shown = &key[..key.len().min(SHOWN)];
            let more = if key.len() > SHOWN { "…" } else { "" };
            write!(f, ", in key \"{}{more}\"", shown.escape_ascii())?;
        }
        Ok(())
    }
}

impl error::Error for Fault {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.reason)
    }
}

/// What is wrong with a file.
///
/// Positions named `at` count from the start of the nested encoding, uncompressed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// The source failed; nothing is known about the bytes that it did not give.
    #[error("cannot read: {message}")]
    Io {
        /// The source's own kind.
        kind: io::ErrorKind,
        /// The source's own words.
        message: Box<str>,
    },
    /// Whoever was to see the values could not take them; nothing is said about the file.
    #[error("cannot hand on: {message}")]
    Output {
        /// The taker's own kind.
        kind: io::ErrorKind,
        /// The taker's own words.
        message: Box<str>,
    },
    /// The file ends before its end mark and checksum.
    #[error("the file ends too early")]
    Truncated,
    /// The first nine bytes are not those of an RDB file.
    #[error("not an RDB file: it begins with \"{}\"", .0.escape_ascii())]
    BadMagic([u8; 9]),
    /// A version that this reader does not know.
    #[error("{format} is not supported{}", since(*format))]
    UnsupportedVersion {
        /// What the first nine bytes say.
        format: Format,
    },
    /// A value type that this reader does not know; its length cannot be known either.
    #[error("value type {0} is not supported")]
    UnknownType(Encoding),
    /// An opcode that has no meaning in this version.
    #[error("opcode {0} is not supported in this version")]
    UnknownOpcode(u8),
    /// A function in the format of the 7.0 release candidates, which servers refuse as well.
    #[error("a function in the format of a Redis 7.0 release candidate")]
    PreReleaseFunction,
    /// The bytes are not those that the server wrote.
    #[error("the checksum is wrong: stored {stored:016x}, computed {computed:016x}")]
    Checksum {
        /// As written in the file.
        stored: u64,
        /// As computed here.
        computed: u64,
    },
    /// One key or nested encoding is over the limit that the caller set.
    #[error("one key or value of {bytes} bytes is over the limit of {limit}")]
    TooLarge {
        /// As declared.
        bytes: u64,
        /// [`Limits::max_blob_bytes`](crate::Limits::max_blob_bytes).
        limit: u64,
    },
    /// A byte that begins no length, or an encoded string where a count belongs.
    #[error("byte {0:#04x} is not a length")]
    BadLength(u8),
    /// A special string encoding that is not assigned.
    #[error("string encoding {0} does not exist")]
    BadStringEncoding(u8),
    /// A database number over [`Limits::max_database`](crate::Limits::max_database).
    #[error("database {0} is out of range")]
    BadDatabase(u64),
    /// A compressed string that cannot be expanded to what it promises.
    #[error("compressed string: {0}")]
    Lzf(&'static str),
    /// A broken listpack.
    #[error("listpack, {at} bytes in: {what}")]
    Listpack {
        /// Position in the listpack.
        at: u32,
        /// Which rule it breaks.
        what: &'static str,
    },
    /// A broken ziplist.
    #[error("ziplist, {at} bytes in: {what}")]
    Ziplist {
        /// Position in the ziplist.
        at: u32,
        /// Which rule it breaks.
        what: &'static str,
    },
    /// A broken zipmap.
    #[error("zipmap, {at} bytes in: {what}")]
    Zipmap {
        /// Position in the zipmap.
        at: u32,
        /// Which rule it breaks.
        what: &'static str,
    },
    /// A broken intset.
    #[error("intset: {0}")]
    Intset(&'static str),
    /// A range of slots on its way to a Valkey server that cannot be one.
    #[error("slots being imported: a job's name is not of 40 bytes, or a range is no range of slots")]
    SlotImport,
    /// A quicklist node of an unknown container.
    #[error("quicklist: container {0} does not exist")]
    QuicklistContainer(u64),
    /// A quicklist node of one element that has no byte.
    #[error("quicklist: a plain node without a byte")]
    EmptyQuicklistNode,
    /// A score that is not a number.
    #[error("sorted set: a score is not a number")]
    Score,
    /// Fields without values, or members without scores.
    #[error("{0} with an odd number of elements")]
    Odd(&'static str),
    /// The same member or field twice.
    #[error("the same {0} twice")]
    Duplicate(&'static str),
    /// An empty collection in a payload, which servers refuse there.
    #[error("a collection without an element")]
    Empty,
    /// Bytes between a payload's value and its footer.
    #[error("bytes behind the value")]
    TrailingBytes,
    /// A hash field's expiry that servers refuse.
    #[error("hash: {0}")]
    FieldExpiry(&'static str),
    /// A broken stream.
    #[error("stream: {0}")]
    Stream(&'static str),
    /// Module data that does not follow the frame that all modules share.
    #[error("module data: {0}")]
    Module(&'static str),
}

impl Reason {
    pub(crate) const OUTPUT: &str = "RDB_OUTPUT";

    /// A stable code for programs and documentation.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "RDB_IO",
            Self::Output { .. } => Self::OUTPUT,
            Self::Truncated => "RDB_TRUNCATED",
            Self::BadMagic(_) => "RDB_MAGIC",
            Self::UnsupportedVersion { .. } => "RDB_VERSION",
            Self::UnknownType(_) => "RDB_TYPE",
            Self::UnknownOpcode(_) => "RDB_OPCODE",
            Self::PreReleaseFunction => "RDB_FUNCTION",
            Self::Checksum { .. } => "RDB_CHECKSUM",
            Self::TooLarge { .. } => "RDB_TOO_LARGE",
            Self::BadLength(_) => "RDB_LENGTH",
            Self::BadStringEncoding(_) => "RDB_STRING",
            Self::BadDatabase(_) => "RDB_DATABASE",
            Self::Lzf(_) => "RDB_LZF",
            Self::Listpack { .. } => "RDB_LISTPACK",
            Self::Ziplist { .. } => "RDB_ZIPLIST",
            Self::Zipmap { .. } => "RDB_ZIPMAP",
            Self::Intset(_) => "RDB_INTSET",
            Self::SlotImport => "RDB_SLOT_IMPORT",
            Self::QuicklistContainer(_) | Self::EmptyQuicklistNode => "RDB_QUICKLIST",
            Self::Score => "RDB_SCORE",
            Self::Odd(_) => "RDB_ODD",
            Self::Duplicate(_) => "RDB_DUPLICATE",
            Self::Empty => "RDB_EMPTY",
            Self::TrailingBytes => "RDB_TRAILING",
            Self::FieldExpiry(_) => "RDB_FIELD_EXPIRY",
            Self::Stream(_) => "RDB_STREAM",
            Self::Module(_) => "RDB_MODULE",
        }
    }

    pub(crate) fn output(error: &io::Error) -> Self {
        Self::Output { kind: error.kind(), message: error.to_string().into() }
    }

    /// Whether the bytes may still be what the server wrote, although this reader cannot vouch for them:
    /// an unknown version or type, or a structure that a server might crash on. The checksum then decides
    /// ([`Reader::finish_unparsed`](crate::Reader::finish_unparsed)).
    pub fn is_unvouched(&self) -> bool {
        !matches!(
            self,
            Self::Io { .. }
                | Self::Output { .. }
                | Self::Truncated
                | Self::BadMagic(_)
                | Self::Checksum { .. }
        )
    }

    /// Whether the place to name is where a string begins, and not how far reading came.
    pub(crate) fn is_about_a_string(&self) -> bool {
        matches!(
            self,
            Self::TooLarge { .. }
                | Self::Lzf(_)
                | Self::Listpack { .. }
                | Self::Ziplist { .. }
                | Self::Zipmap { .. }
                | Self::Intset(_)
                | Self::Score
                | Self::Odd(_)
                | Self::Duplicate(_)
        )
    }
}

/// Who writes that version, for a message.
fn since(format: Format) -> String {
    format.first_server().map(|server| format!("; it is written since {server}")).unwrap_or_default()
}

// Inside this crate reasons are boxed: a fault is rare, but the result of reading a length is passed on
// several times per key, and so it fits into registers.
impl From<io::Error> for Box<Reason> {
    fn from(error: io::Error) -> Self {
        Self::new(error.into())
    }
}

impl From<io::Error> for Reason {
    fn from(error: io::Error) -> Self {
        Self::Io { kind: error.kind(), message: error.to_string().into() }
    }
}
