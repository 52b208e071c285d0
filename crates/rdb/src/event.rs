//! What a snapshot says, in the order it says it. What values hold is for a [`Visitor`](crate::Visitor).

use std::fmt;

use crate::format::{Encoding, Format};

/// One thing that the file says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The first nine bytes. Comes before a fault about the version, so that a report can name it.
    Header(Format),
    /// A named note about the file or the server (opcode 250).
    Aux {
        /// Such as `redis-ver` or `ctime`; unknown names are legal.
        name: &'a [u8],
        /// The value as text.
        value: &'a [u8],
    },
    /// The entries that follow are of this database (opcode 254).
    Database {
        /// The number that `SELECT` takes.
        index: u64,
    },
    /// How many keys are to come in this database (opcode 251): a hint that may be wrong.
    SizeHint {
        /// All keys.
        keys: u64,
        /// Those of them with an expiry.
        with_expiry: u64,
    },
    /// How many keys are to come in this cluster slot (opcode 244): a hint that may be wrong.
    SlotInfo {
        /// The cluster slot.
        slot: u64,
        /// All keys.
        keys: u64,
        /// Those of them with an expiry.
        with_expiry: u64,
    },
    /// A range of cluster slots that was being moved to this server (opcode 243 of Valkey 9).
    SlotImport {
        /// The name of the move: 40 characters.
        job: &'a [u8],
    },
    /// A function library (opcode 245).
    Function {
        /// Its source code.
        code: &'a [u8],
    },
    /// Data that a module keeps outside of keys (opcode 247).
    ModuleAux {
        /// Whose data.
        module: ModuleId,
        /// At which side of the keys the module wants it back.
        when: ModuleWhen,
    },
    /// A key with its value.
    Entry(Entry<'a>),
    /// The end was reached and the checksum is not wrong; a wrong one is a [`Fault`](crate::Fault).
    End {
        /// [`Checksum::Ok`] or [`Checksum::Absent`].
        checksum: Checksum,
    },
}

/// A key with what is known of its value once every byte of it was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry<'a> {
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
    /// Members, fields or stream entries; 1 for a string or a module value.
    pub elements: u64,
    /// Bytes of the whole record in the file, its expiry and key included.
    pub stored_bytes: u64,
    /// Bytes of the value alone, with each compressed string at the length that it expands to.
    pub value_bytes: u64,
    /// Fields of a hash that expire.
    pub expiring_fields: u64,
    /// The module that wrote the value, for [`Kind::Module`].
    pub module: Option<ModuleId>,
}

impl Entry<'_> {
    /// Whether servers leave this key out when they load the file: an empty collection
    /// (`rdbLoadRioWithLoadingCtx` in Redis `src/rdb.c`, "skipping empty key"). Empty streams are kept.
    pub fn is_skipped_by_servers(&self) -> bool {
        self.elements == 0 && self.kind != Kind::Stream
    }
}

/// What a value is to its users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Text, numbers, bitmaps, `HyperLogLogs`.
    String,
    /// A list.
    List,
    /// A set.
    Set,
    /// A sorted set, geo sets too.
    SortedSet,
    /// A hash.
    Hash,
    /// A stream with its consumer groups.
    Stream,
    /// Something that only a module understands.
    Module,
}

impl Kind {
    /// All kinds, in their order.
    pub const ALL: [Self; 7] =
        [Self::String, Self::List, Self::Set, Self::SortedSet, Self::Hash, Self::Stream, Self::Module];

    /// The word that the `TYPE` command answers; `module` for modules.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::List => "list",
            Self::Set => "set",
            Self::SortedSet => "zset",
            Self::Hash => "hash",
            Self::Stream => "stream",
            Self::Module => "module",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What the eight bytes at the end of the file say about all bytes before them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Checksum {
    /// The stored CRC-64 is that of the bytes.
    Ok,
    /// Stored as zero (`rdbchecksum no`), or the version is older than 5 and has none.
    #[default]
    Absent,
    /// The stored CRC-64 is another one.
    Bad {
        /// As written in the file.
        stored: u64,
        /// As computed here.
        computed: u64,
    },
}

impl Checksum {
    /// Judges a stored CRC-64; zero means that the writer had checksums off (Redis `src/rdb.c`).
    pub(crate) fn judge(stored: u64, computed: u64) -> Self {
        match stored {
            0 => Self::Absent,
            _ if stored == computed => Self::Ok,
            _ => Self::Bad { stored, computed },
        }
    }
}

/// A module's 64-bit identity: nine characters of name and a version of its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModuleId(pub u64);

impl ModuleId {
    /// The version of the module's own encoding: the low ten bits.
    pub fn encoding_version(self) -> u16 {
        (self.0 & 0x3ff) as u16
    }

    /// The nine characters of the name, six bits each (`moduleTypeNameByID` in Redis `src/module.c`).
    pub fn name(self) -> String {
        const CHARSET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        (0..9)
            .map(|place| {
                let six_bits = (self.0 >> (58 - 6 * place)) & 63;
                char::from(CHARSET[six_bits as usize])
            })
            .collect()
    }
}

impl fmt::Display for ModuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (encoding {})", self.name(), self.encoding_version())
    }
}

/// At which side of the keys a module wants its data back (`REDISMODULE_AUX_*` in Redis `src/redismodule.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModuleWhen {
    /// Before the first key.
    BeforeKeys,
    /// After the last key.
    AfterKeys,
}
