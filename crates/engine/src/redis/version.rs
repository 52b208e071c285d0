//! Versions of servers, and the RDB formats that they load and write.

use std::fmt;

use keystow_rdb::{Flavour, Format};

/// A server's version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub [u32; 3]);

impl Version {
    /// Reads `7.0.15` or `8.1.0-rc1`; numbers that are not there are 0.
    pub fn read(text: &str) -> Option<Self> {
        let mut numbers = [0; 3];
        for (number, piece) in numbers.iter_mut().zip(text.split('.')) {
            let digits = piece.find(|c: char| !c.is_ascii_digit()).unwrap_or(piece.len());
            *number = piece[..digits].parse().ok()?;
        }
        Some(Self(numbers))
    }

    /// How far two versions are apart, the first numbers first.
    pub(super) fn distance(self, other: Self) -> [u32; 3] {
        std::array::from_fn(|at| self.0[at].abs_diff(other.0[at]))
    }

    /// The format that a server of this version writes, and the newest of its own family that it loads (`RDB_VERSION` in
    /// `src/rdb.h` of each version).
    pub fn own_format(self, valkey: bool) -> Format {
        let [major, minor, _] = self.0;
        let version = match (valkey, major, minor) {
            (true, 9.., _) => return Format::VALKEY_80,
            (true, _, _) | (false, 7, 2..=3) => 11,
            (false, 8, 10..) | (false, 9.., _) => 15,
            (false, 8, 8..=9) => 14,
            (false, 8, 6..=7) => 13,
            (false, 8, _) | (false, 7, 4..) => 12,
            (false, 7, _) => 10,
            (false, 5..=6, _) => 9,
            (false, 4, _) => 8,
            (false, 3, 2..) => 7,
            (false, _, _) => 6,
        };
        Format::redis(version)
    }

    /// Whether a server of this version loads files of that format. Redis refuses Valkey's magic; Valkey 9 loads what
    /// Redis wrote up to 7.2, and refuses the versions that Redis gave out on its own since (Valkey `src/rdb.c`,
    /// `rdbIsForeignVersion`).
    pub fn loads(self, valkey: bool, format: Format) -> bool {
        let own = self.own_format(valkey);
        match (own.flavour, format.flavour) {
            (Flavour::Valkey, Flavour::Redis) => format.version <= Format::REDIS_11.version,
            (ours, theirs) => ours == theirs && format.version <= own.version,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.0;
        write!(f, "{major}.{minor}.{patch}")
    }
}
