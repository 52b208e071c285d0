//! What is kept of a key, and its form in memory and in temporary files, where such records stand one behind the
//! other.

use keystow_rdb::{Digest, Kind};

/// What is kept of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) database: u64,
    pub(super) key: &'a [u8],
    pub(super) kind: Kind,
    pub(super) expires_ms: Option<i64>,
    pub(super) digest: Digest,
}

/// Which of the fields that may be missing are there.
const EXPIRES: u8 = 1 << 4;
const HISTORY: u8 = 1 << 5;
const ACTIVITY: u8 = 1 << 6;
/// The rest of that byte is the kind's place among all.
const KIND: u8 = 0x0f;

impl<'a> Record<'a> {
    /// Appends the record.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let kind = Kind::ALL.iter().position(|kind| *kind == self.kind).and_then(|at| u8::try_from(at).ok());
        let flag = |is_there: bool, flag: u8| if is_there { flag } else { 0 };
        out.push(
            kind.unwrap_or(0)
                | flag(self.expires_ms.is_some(), EXPIRES)
                | flag(self.digest.history.is_some(), HISTORY)
                | flag(self.digest.activity.is_some(), ACTIVITY),
        );
        out.extend(self.database.to_le_bytes());
        out.extend((self.key.len() as u64).to_le_bytes());
        out.extend(self.digest.contents.to_le_bytes());
        let expiry = self.expires_ms.map(i64::cast_unsigned);
        for word in [expiry, self.digest.history, self.digest.activity].into_iter().flatten() {
            out.extend(word.to_le_bytes());
        }
        out.extend(self.key);
    }

    /// Takes the first record off the bytes; `None` at their end, and where they are not whole.
    pub(super) fn read(bytes: &mut &'a [u8]) -> Option<Self> {
        let flags = *bytes.split_off_first()?;
        let database = word(bytes)?;
        let length = usize::try_from(word(bytes)?).ok()?;
        let (contents, rest) = bytes.split_first_chunk()?;
        *bytes = rest;
        let mut optional = |flag: u8| if flags & flag == 0 { Some(None) } else { word(bytes).map(Some) };
        let (expiry, history, activity) = (optional(EXPIRES)?, optional(HISTORY)?, optional(ACTIVITY)?);
        Some(Self {
            database,
            key: bytes.split_off(..length)?,
            kind: *Kind::ALL.get(usize::from(flags & KIND))?,
            expires_ms: expiry.map(u64::cast_signed),
            digest: Digest { contents: u128::from_le_bytes(*contents), history, activity },
        })
    }

    /// What decides about order and identity.
    pub(super) fn name(&self) -> (u64, &'a [u8]) {
        (self.database, self.key)
    }
}

fn word(bytes: &mut &[u8]) -> Option<u64> {
    let (word, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u64::from_le_bytes(*word))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn records_read_as_they_were_written(
            database: u64,
            keys in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..8),
            kind in prop::sample::select(&Kind::ALL[..]),
            expires_ms: Option<i64>,
            contents: u128,
            history: Option<u64>,
            activity: Option<u64>,
        ) {
            let digest = Digest { contents, history, activity };
            let records: Vec<_> =
                keys.iter().map(|key| Record { database, key, kind, expires_ms, digest }).collect();
            let mut bytes = Vec::new();
            for record in &records {
                record.write(&mut bytes);
            }
            let mut rest = &bytes[..];
            let read: Vec<_> = std::iter::from_fn(|| Record::read(&mut rest)).collect();
            prop_assert_eq!(read, records);
            prop_assert!(rest.is_empty());
        }
    }
}
