//! Writes values in the plain encodings that every server since Redis 5 reads.

use super::{HashField, Scored, Value, encode_stream};
use crate::{
    encode,
    format::{Encoding, Flavour, Format},
    unwritable::Unwritable,
};

/// The latest expiry of a field in Redis (`EB_EXPIRE_TIME_MAX` in `src/ebuckets.h`), Unix milliseconds.
pub(crate) const LATEST_EXPIRY: i64 = (1 << 48) - 1;
/// Stands for "no field expires" (`EB_EXPIRE_TIME_INVALID` in Redis `src/ebuckets.h`).
const NO_EXPIRY: i64 = 1 << 48;

/// The type of hashes whose fields expire, in each family.
pub(crate) fn expiring_hash(format: Format) -> Option<Encoding> {
    let number = match format.flavour {
        Flavour::Redis => 24,
        Flavour::Valkey => 22,
    };
    Some(Encoding { number, flavour: format.flavour }).filter(|encoding| format.holds(*encoding))
}

/// A field's expiry, if servers of the format take it.
pub(crate) fn field_expiry(ms: i64, format: Format) -> Result<i64, Unwritable> {
    let latest = match format.flavour {
        Flavour::Redis => LATEST_EXPIRY,
        Flavour::Valkey => i64::MAX,
    };
    if (0..=latest).contains(&ms) { Ok(ms) } else { Err(Unwritable::FieldExpiryRange(ms, format)) }
}

impl Value {
    /// The value as it stands in a file of that format, behind its type byte and key.
    ///
    /// Nothing is packed or compressed; servers do that themselves when they have loaded it. Whether the value makes
    /// sense is only looked at as far as the encoding needs it: a set may hold a member twice, and a server will
    /// refuse it.
    ///
    /// # Errors
    /// The format is not written here, or has no words for something in the value. What it merely has no place for
    /// beside the contents is left out: a stream's history before RDB 10, when a consumer was active before RDB 11.
    pub fn encode(&self, format: Format) -> Result<(Encoding, Vec<u8>), Unwritable> {
        let mut out = Vec::new();
        let encoding = self.encode_to(&mut out, format)?;
        Ok((encoding, out))
    }

    fn encode_to(&self, out: &mut Vec<u8>, format: Format) -> Result<Encoding, Unwritable> {
        if !format.is_written() {
            return Err(Unwritable::Format(format));
        }
        let number = match self {
            Self::String(text) => {
                encode::string(out, text);
                0
            }
            Self::List(elements) => strings(out, elements, 1),
            Self::Set(members) => strings(out, members, 2),
            Self::SortedSet(members) => sorted_set(out, members)?,
            Self::Hash(fields) if fields.iter().any(|field| field.expires_ms.is_some()) => {
                return expiring(out, fields, format);
            }
            Self::Hash(fields) => hash(out, fields),
            Self::Stream(stream) => encode_stream::stream(out, stream, format)?,
            Self::Module(raw) => {
                out.extend_from_slice(raw);
                7
            }
        };
        Ok(Encoding { number, flavour: format.flavour })
    }
}

/// Types 1 and 2.
fn strings(out: &mut Vec<u8>, strings: &[Vec<u8>], number: u8) -> u8 {
    encode::count(out, strings.len());
    for text in strings {
        encode::string(out, text);
    }
    number
}

/// Type 5.
fn sorted_set(out: &mut Vec<u8>, members: &[Scored]) -> Result<u8, Unwritable> {
    encode::count(out, members.len());
    for Scored { member, score } in members {
        if score.is_nan() {
            return Err(Unwritable::Score);
        }
        encode::string(out, member);
        encode::score(out, *score);
    }
    Ok(5)
}

/// Type 4.
fn hash(out: &mut Vec<u8>, fields: &[HashField]) -> u8 {
    encode::count(out, fields.len());
    for HashField { field, value, .. } in fields {
        encode::string(out, field);
        encode::string(out, value);
    }
    4
}

/// Type 24 of Redis, 22 of Valkey.
fn expiring(out: &mut Vec<u8>, fields: &[HashField], format: Format) -> Result<Encoding, Unwritable> {
    let encoding = expiring_hash(format).ok_or(Unwritable::FieldExpiry(format))?;
    let earliest = fields.iter().filter_map(|field| field.expires_ms).min().unwrap_or(NO_EXPIRY);
    if format.flavour == Flavour::Redis {
        encode::milliseconds(out, field_expiry(earliest, format)?);
    }
    encode::count(out, fields.len());
    for HashField { field, value, expires_ms } in fields {
        let expires_ms = expires_ms.map(|ms| field_expiry(ms, format)).transpose()?;
        let text = |out: &mut Vec<u8>| {
            encode::string(out, field);
            encode::string(out, value);
        };
        match format.flavour {
            Flavour::Redis => {
                encode::length(out, distance(expires_ms, earliest));
                text(out);
            }
            Flavour::Valkey => {
                text(out);
                encode::milliseconds(out, expires_ms.unwrap_or(-1));
            }
        }
    }
    Ok(encoding)
}

/// How type 24 writes an expiry: zero for none, else one more than its distance from the earliest.
pub(crate) fn distance(expires_ms: Option<i64>, earliest: i64) -> u64 {
    expires_ms.map_or(0, |ms| ms.abs_diff(earliest) + 1)
}
