//! What every node may know of the repository's identity: `keys/<n>.json`.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::hmac;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::error::{Error, Kind, Result};
use crate::model::hex;
use crate::ops::manifest::is_authentic;
use crate::vault::ObjectKey;
use crate::vault::codec::age::Recipient;

/// The version of the document.
const FORMAT: u32 = 1;

/// To whom new backups are encrypted, and who holds the identities.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyFacts {
    /// Version of this document.
    pub(super) format: u32,
    /// Number of the change.
    pub number: u64,
    /// When the change was made.
    pub changed_at: Timestamp,
    /// The repository's own recipient: new backups are encrypted to it.
    #[serde(with = "text")]
    pub recipient: Recipient,
    /// When that one was made.
    pub rotated_at: Timestamp,
    /// SHA-256 of `keys/<n>.age`, lower-case hex.
    pub(super) wrapped_sha256: String,
    /// Who can open that.
    pub holders: Vec<Holder>,
}

/// Somebody who can open the repository's identities.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// A person's name for it.
    pub name: String,
    /// Its public key.
    #[serde(with = "text")]
    pub recipient: Recipient,
    /// What it is.
    pub kind: HolderKind,
    /// When it became one.
    pub added_at: Timestamp,
}

/// What holds an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HolderKind {
    /// A node of Keystow.
    Node,
    /// A person or a machine with an identity of its own.
    Operator,
    /// Whoever knows a passphrase: its identity is `keys/<n>.passphrase.age`.
    Passphrase,
}

impl HolderKind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Operator => "operator",
            Self::Passphrase => "passphrase",
        }
    }
}

/// A value that is kept as its text.
mod text {
    use super::{FromStr, Recipient, fmt};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(value: &Recipient, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{value}") as &dyn fmt::Display)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Recipient, D::Error> {
        Recipient::from_str(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}

impl Holder {
    /// A node, under a name that tells it from others.
    pub(super) fn node(recipient: Recipient, now: Timestamp) -> Self {
        Self { name: "node".to_owned(), recipient, kind: HolderKind::Node, added_at: now }
    }
}

/// As it is stored: `mac` is HMAC-SHA-256, in hex, of the bytes of `keys` as they stand there.
#[derive(Serialize, Deserialize)]
struct Authenticated<'a> {
    #[serde(borrow)]
    keys: &'a RawValue,
    mac: String,
}

impl KeyFacts {
    pub(super) fn first(recipient: Recipient, holder: Holder, now: Timestamp) -> Self {
        Self {
            format: FORMAT,
            number: 1,
            changed_at: now,
            recipient,
            rotated_at: now,
            wrapped_sha256: String::new(),
            holders: vec![holder],
        }
    }

    /// The same for a next change.
    pub(in crate::ops) fn next(&self, now: Timestamp) -> Self {
        Self { format: FORMAT, number: self.number + 1, changed_at: now, ..self.clone() }
    }

    pub(super) fn written(&self, key: &hmac::Key) -> Result<Vec<u8>> {
        let failed = |error: serde_json::Error| Error::internal("the keys cannot be written", error);
        let text = serde_json::value::to_raw_value(self).map_err(failed)?;
        let mac = hex(hmac::sign(key, text.get().as_bytes()).as_ref());
        serde_json::to_vec(&Authenticated { keys: &text, mac }).map_err(failed)
    }

    pub(super) fn read(bytes: &[u8], number: u64, keys: &[hmac::Key]) -> Result<Self> {
        let object = ObjectKey::KeyFacts(number);
        let damaged = |why: &dyn fmt::Display| damaged(&object, why);
        let whole: Authenticated<'_> = serde_json::from_slice(bytes).map_err(|error| damaged(&error))?;
        if !is_authentic(keys, whole.keys.get(), &whole.mac) {
            return Err(damaged(&"its authentication code is wrong, or the root key is another one"));
        }
        let format =
            serde_json::from_str::<Format>(whole.keys.get()).map_err(|error| damaged(&error))?.format;
        if format > FORMAT {
            let message = format!("{} is of a newer version", object.name());
            return Err(Error::new(Kind::Invalid, "REPOSITORY_NEWER", message)
                .because(format!("it has format {format}, this program reads {FORMAT}")));
        }
        let facts: Self = serde_json::from_str(whole.keys.get()).map_err(|error| damaged(&error))?;
        if facts.number == number { Ok(facts) } else { Err(damaged(&"it was moved")) }
    }
}

/// The part of the document that every version has.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

pub(super) fn damaged(object: &ObjectKey, why: &dyn fmt::Display) -> Error {
    let message = format!("{}/{} cannot be used", object.folder(), object.name());
    Error::new(Kind::Corrupt, "KEYS_DAMAGED", message).because(why).hint(
        "put it back from a copy of the repository; docs/operate/encryption.md says what a key object is",
    )
}
