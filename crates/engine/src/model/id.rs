//! Names of things. A value of these types is well formed, so it may stand in a path or a URL.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{Error, Result};

/// From the one sequence of all backups, parts and jobs: positive and below 2^31, because some vendors' clients
/// hold it in 32 bits.
pub type Number = u64;

/// Whether a text can be an id: 1 to 64 of `A-Z a-z 0-9 . _ -`, starting with a letter or digit.
fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    (1..=64).contains(&bytes.len())
        && bytes[0].is_ascii_alphanumeric()
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

macro_rules! plain_id {
    ($(#[$doc:meta])* $name:ident, $noun:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                if is_plain(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(Error::invalid(concat!($noun, " id is not valid"))
                        .hint("use 1 to 64 letters, digits, '.', '_' or '-', starting with a letter or digit"))
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;

            fn try_from(text: String) -> Result<Self> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

plain_id!(
    /// Owns projects, instances and access keys.
    AccountId,
    "account"
);
plain_id!(
    /// Groups instances of an account.
    ProjectId,
    "project"
);
plain_id!(
    /// Chosen by the operator, or minted as `ks-` and eight letters and digits.
    InstanceId,
    "instance"
);

impl Default for AccountId {
    fn default() -> Self {
        Self("default".to_owned())
    }
}

impl InstanceId {
    /// A new id, from 40 random bits.
    pub fn mint() -> Self {
        const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let random = Uuid::new_v4().as_u128();
        let tail: String = (0..8).map(|i| char::from(LETTERS[((random >> (i * 5)) & 31) as usize])).collect();
        Self(format!("ks-{tail}"))
    }
}

/// A backup's id: UUID v7, so that ids sort by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BackupId(Uuid);

impl BackupId {
    /// A new id for a backup that was asked for at `at`.
    pub fn mint(at: jiff::Timestamp) -> Self {
        let seconds = u64::try_from(at.as_second()).unwrap_or(0);
        let nanos = u32::try_from(at.subsec_nanosecond()).unwrap_or(0);
        Self(Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanos)))
    }
}

impl FromStr for BackupId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Uuid::try_parse(text).map(Self).map_err(|_| Error::invalid("backup id is not valid"))
    }
}

impl fmt::Display for BackupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_an_earlier_life_are_accepted() {
        for id in ["crs-c7xq4kqu", "r-bp1zxszhcgatnx", "uredis-0xz", "A.b_c-1"] {
            assert!(id.parse::<InstanceId>().is_ok(), "{id}");
        }
    }

    #[test]
    fn ids_that_could_leave_a_path_are_refused() {
        for id in ["", "..", ".hidden", "a/b", "a\\b", "a b", "é", "-x", &"x".repeat(65)] {
            assert!(id.parse::<InstanceId>().is_err(), "{id}");
        }
    }

    #[test]
    fn minted_ids_are_well_formed() {
        let id = InstanceId::mint();
        assert_eq!(id.as_str().len(), 11);
        assert!(id.as_str().parse::<InstanceId>().is_ok());
    }
}
