//! How a part's bytes are stored: as they are, compressed, encrypted, or both.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What is done to a part's bytes on their way into the repository: first compressed, then encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Encoding {
    /// How they are compressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<Compression>,
    /// How they are encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
}

/// A way to compress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Zstandard in independent frames, with the standard seek table behind them.
    Zstd,
}

/// A way to encrypt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encryption {
    /// The age format, version 1 (age-encryption.org/v1).
    Age,
}

impl Encoding {
    /// Stored as it is.
    pub const PLAIN: Self = Self { compression: None, encryption: None };

    /// Whether the stored bytes are the plain ones.
    pub fn is_plain(&self) -> bool {
        *self == Self::PLAIN
    }

    /// What an object's name gets at its end.
    pub fn suffix(self) -> &'static str {
        match (self.compression, self.encryption) {
            (None, None) => "",
            (Some(Compression::Zstd), None) => ".zst",
            (None, Some(Encryption::Age)) => ".age",
            (Some(Compression::Zstd), Some(Encryption::Age)) => ".zst.age",
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.compression, self.encryption) {
            (None, None) => "plain",
            (Some(Compression::Zstd), None) => "zstd",
            (None, Some(Encryption::Age)) => "age",
            (Some(Compression::Zstd), Some(Encryption::Age)) => "zstd+age",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_older_versions_wrote_is_plain() {
        assert_eq!(serde_json::from_str::<Encoding>("{}").unwrap(), Encoding::PLAIN);
        let both = Encoding { compression: Some(Compression::Zstd), encryption: Some(Encryption::Age) };
        let text = serde_json::to_string(&both).unwrap();
        assert_eq!(text, r#"{"compression":"zstd","encryption":"age"}"#);
        assert_eq!(serde_json::from_str::<Encoding>(&text).unwrap(), both);
    }
}
