//! Which server family and version wrote a file, and which value types those know.

use std::{fmt, str::FromStr};

use crate::event::Kind;

/// The family of servers that a file's magic stands for; the same version number means different things in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Flavour {
    /// `REDIS`: every Redis, `KeyDB`, and Valkey up to 8.
    #[default]
    Redis,
    /// `VALKEY`: Valkey 9 and later.
    Valkey,
}

impl fmt::Display for Flavour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Redis => "Redis",
            Self::Valkey => "Valkey",
        })
    }
}

/// A family and its RDB version: what decides how a file is read and who can load it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Format {
    /// The family of servers.
    pub flavour: Flavour,
    /// The RDB version (`RDB_VERSION` in `src/rdb.h`).
    pub version: u16,
}

impl Format {
    /// Redis 5.0, 6.0 and 6.2.
    pub const REDIS_9: Self = Self::redis(9);
    /// Redis 7.0.
    pub const REDIS_10: Self = Self::redis(10);
    /// Redis 7.2 and Valkey 7.2 to 8.1: the newest that both families load.
    pub const REDIS_11: Self = Self::redis(11);
    /// Redis 7.4 and 8.0 to 8.4.
    pub const REDIS_12: Self = Self::redis(12);
    /// Valkey 9.0 and 9.1.
    pub const VALKEY_80: Self = Self { flavour: Flavour::Valkey, version: 80 };

    /// Those that are written here, the oldest first.
    pub const WRITTEN: [Self; 5] =
        [Self::REDIS_9, Self::REDIS_10, Self::REDIS_11, Self::REDIS_12, Self::VALKEY_80];

    /// A version of the `REDIS` magic.
    pub const fn redis(version: u16) -> Self {
        Self { flavour: Flavour::Redis, version }
    }

    /// The format that the version in the footer of a `DUMP` payload stands for: there is no magic, but
    /// Valkey counts from 80 (Valkey `src/rdb.h`).
    pub const fn of_payload(version: u16) -> Self {
        let flavour = if version >= 80 { Flavour::Valkey } else { Flavour::Redis };
        Self { flavour, version }
    }

    /// The format of a file whose magic begins like this, `REDIS` or `VALKEY`, and of that version.
    pub fn of_magic(magic: &str, version: u16) -> Self {
        let flavour = if magic.starts_with("VALKEY") { Flavour::Valkey } else { Flavour::Redis };
        Self { flavour, version }
    }

    /// The nine bytes that a file of this format begins with.
    pub fn magic(self) -> String {
        match self.flavour {
            Flavour::Redis => format!("REDIS{:04}", self.version),
            Flavour::Valkey => format!("VALKEY{:03}", self.version),
        }
    }

    /// Whether this crate reads the format: Redis 1 to 13, Valkey 80.
    pub const fn is_read(self) -> bool {
        match self.flavour {
            Flavour::Redis => matches!(self.version, 1..=13),
            Flavour::Valkey => self.version == 80,
        }
    }

    /// Whether this crate writes the format.
    pub fn is_written(self) -> bool {
        Self::WRITTEN.contains(&self)
    }

    /// Whether servers that write this format know a value type of that number, written by the other family
    /// or not. Type 22 is another one in each family: ask with the family that wrote it.
    pub fn holds(self, encoding: Encoding) -> bool {
        encoding.since().is_some_and(|(flavour, version)| match flavour {
            // Valkey 9 reads all that Redis 7.2 wrote.
            None if self.flavour == Flavour::Valkey => version <= 11,
            None => version <= self.version,
            Some(flavour) => flavour == self.flavour && version <= self.version,
        })
    }

    /// The first server that writes the version, for messages; `None` for one that is not known here.
    pub fn first_server(self) -> Option<&'static str> {
        Some(match (self.flavour, self.version) {
            (Flavour::Redis, 9) => "Redis 5.0",
            (Flavour::Redis, 10) => "Redis 7.0",
            (Flavour::Redis, 11) => "Redis 7.2 or Valkey 7.2",
            (Flavour::Redis, 12) => "Redis 7.4",
            (Flavour::Redis, 13) => "Redis 8.6",
            (Flavour::Redis, 14) => "Redis 8.8",
            (Flavour::Redis, 15) => "Redis 8.10",
            (Flavour::Valkey, 80) => "Valkey 9.0",
            _ => return None,
        })
    }
}

/// Servers by the format that they write, and load.
const SERVERS: [(&str, Format); 14] = [
    ("redis-5.0", Format::REDIS_9),
    ("redis-6.0", Format::REDIS_9),
    ("redis-6.2", Format::REDIS_9),
    ("redis-7.0", Format::REDIS_10),
    ("redis-7.2", Format::REDIS_11),
    ("redis-7.4", Format::REDIS_12),
    ("redis-8.0", Format::REDIS_12),
    ("redis-8.2", Format::REDIS_12),
    ("redis-8.4", Format::REDIS_12),
    ("valkey-7.2", Format::REDIS_11),
    ("valkey-8.0", Format::REDIS_11),
    ("valkey-8.1", Format::REDIS_11),
    ("valkey-9.0", Format::VALKEY_80),
    ("valkey-9.1", Format::VALKEY_80),
];

/// A name that stands for no format that is written here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a server or RDB version that is written here; there are {}", names())]
pub struct UnknownFormat;

impl FromStr for Format {
    type Err = UnknownFormat;

    /// A server's family and version, such as `redis-7.2`, or an RDB version: 9 to 12 and 80.
    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        let of_server = SERVERS.iter().find(|(server, _)| *server == name).map(|(_, format)| *format);
        let of_version = || Self::WRITTEN.into_iter().find(|format| format.version.to_string() == name);
        of_server.or_else(of_version).ok_or(UnknownFormat)
    }
}

fn names() -> String {
    let mut names: Vec<String> = SERVERS.iter().map(|(server, _)| (*server).to_owned()).collect();
    names.extend(Format::WRITTEN.map(|format| format.version.to_string()));
    names.join(", ")
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RDB version {} of {}", self.version, self.flavour)
    }
}

/// How a value is written: the type byte (`RDB_TYPE_*` in `src/rdb.h`) and the family that wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Encoding {
    /// The type byte.
    pub number: u8,
    /// The family: type 22 is another one in each.
    pub flavour: Flavour,
}

impl Encoding {
    /// A short name, such as `listpack` or `quicklist2`; `None` for a number that is not known.
    pub fn name(self) -> Option<&'static str> {
        Some(match (self.number, self.flavour) {
            (0, _) => "string",
            (1, _) => "linkedlist",
            (2 | 4, _) => "hashtable",
            (3, _) => "skiplist_text",
            (5, _) => "skiplist",
            (6, _) => "module_pre_ga",
            (7, _) => "module",
            (9, _) => "zipmap",
            (10 | 12 | 13, _) => "ziplist",
            (11, _) => "intset",
            (14, _) => "quicklist",
            (15, _) => "stream",
            (16 | 17 | 20, _) => "listpack",
            (18, _) => "quicklist2",
            (19, _) => "stream2",
            (21, _) => "stream3",
            (22, Flavour::Valkey) | (24, Flavour::Redis) => "hashtable_ttl",
            (22, Flavour::Redis) => "hashtable_ttl_pre_ga",
            (23, Flavour::Redis) => "listpack_ttl_pre_ga",
            (25, Flavour::Redis) => "listpack_ttl",
            (26, Flavour::Redis) => "stream4",
            (27, Flavour::Redis) => "stream5",
            (28, Flavour::Redis) => "array",
            (29..=32, Flavour::Redis) => "template_hash",
            (33, Flavour::Redis) => "rate_limiter",
            _ => return None,
        })
    }

    /// What values of it are to their users; `None` for one that is not read here.
    pub fn kind(self) -> Option<Kind> {
        Some(match (self.number, self.flavour) {
            (0, _) => Kind::String,
            (1 | 10 | 14 | 18, _) => Kind::List,
            (2 | 11 | 20, _) => Kind::Set,
            (3 | 5 | 12 | 17, _) => Kind::SortedSet,
            (4 | 9 | 13 | 16 | 22, _) | (23..=25, Flavour::Redis) => Kind::Hash,
            (15 | 19 | 21, _) | (26, Flavour::Redis) => Kind::Stream,
            (7, _) => Kind::Module,
            _ => return None,
        })
    }

    /// The first RDB version with it, and the only family that has it; no family when both do.
    pub(crate) fn since(self) -> Option<(Option<Flavour>, u16)> {
        Some(match (self.number, self.flavour) {
            (0..=4 | 9, _) => (None, 1),
            (10..=12, _) => (None, 2),
            (13, _) => (None, 4),
            (14, _) => (None, 7),
            (5 | 7, _) => (None, 8),
            (15, _) => (None, 9),
            (16..=19, _) => (None, 10),
            (20 | 21, _) => (None, 11),
            (22, Flavour::Valkey) => (Some(Flavour::Valkey), 80),
            (22..=25, Flavour::Redis) => (Some(Flavour::Redis), 12),
            (26, Flavour::Redis) => (Some(Flavour::Redis), 13),
            (27 | 28, Flavour::Redis) => (Some(Flavour::Redis), 14),
            (29..=33, Flavour::Redis) => (Some(Flavour::Redis), 15),
            _ => return None,
        })
    }
}

impl fmt::Display for Encoding {
    /// Such as `28 (array, since Redis 8.8)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.number)?;
        let since =
            self.since().map(|(flavour, version)| Format { flavour: flavour.unwrap_or_default(), version });
        match (self.name(), since.and_then(Format::first_server)) {
            (Some(name), Some(server)) => write!(f, " ({name}, since {server})"),
            (Some(name), None) => write!(f, " ({name})"),
            (None, _) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_held_by_the_formats_that_know_them() {
        let redis = |number| Encoding { number, flavour: Flavour::Redis };
        let valkey = |number| Encoding { number, flavour: Flavour::Valkey };
        assert!(Format::REDIS_9.holds(redis(15)) && !Format::REDIS_9.holds(redis(16)));
        assert!(Format::REDIS_10.holds(redis(18)) && !Format::REDIS_10.holds(redis(20)));
        assert!(Format::REDIS_11.holds(valkey(21)) && Format::VALKEY_80.holds(redis(21)));
        assert!(Format::REDIS_12.holds(redis(24)) && !Format::VALKEY_80.holds(redis(24)));
        assert!(Format::VALKEY_80.holds(valkey(22)) && !Format::REDIS_12.holds(valkey(22)));
        assert!(!Format::REDIS_12.holds(redis(26)) && !Format::REDIS_12.holds(redis(200)));
    }

    #[test]
    fn formats_go_by_servers_and_versions() {
        for (name, format) in SERVERS {
            assert!(format.is_written() && name.parse() == Ok(format), "{name}");
        }
        for format in Format::WRITTEN {
            assert_eq!(format.version.to_string().parse(), Ok(format));
        }
        for name in ["", "redis", "redis-7", "redis-8.6", "8", "13", "080", "Redis-7.2"] {
            assert!(name.parse::<Format>().is_err(), "{name}");
        }
        assert!(UnknownFormat.to_string().contains("valkey-9.0"));
    }

    #[test]
    fn messages_name_the_server_that_a_type_needs() {
        let array = Encoding { number: 28, flavour: Flavour::Redis };
        assert_eq!(array.to_string(), "28 (array, since Redis 8.8)");
        assert_eq!(Encoding { number: 200, flavour: Flavour::Redis }.to_string(), "200");
    }
}
