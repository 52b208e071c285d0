//! The encodings that live inside one string: a small collection in one piece of memory.
//! Each is walked in place, entry by entry, and proven to its last byte.

mod intset;
mod listpack;
mod listpack_builder;
mod ziplist;
mod ziplist_builder;
mod zipmap;

pub use intset::Intset;
pub use listpack::Listpack;
pub use listpack_builder::ListpackBuilder;
pub use ziplist::Ziplist;
pub use ziplist_builder::ZiplistBuilder;
pub use zipmap::Zipmap;

use crate::fault::Reason;

/// A proven walk over one packed sequence.
pub trait Packed<'a> {
    /// The next entry; `None` once the end and the header's totals were found right.
    ///
    /// # Errors
    /// The first rule that the bytes break.
    fn next_item(&mut self) -> Result<Option<Item<'a>>, Box<Reason>>;
}

/// One entry: an element, member, field or value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item<'a> {
    /// Written as a number; reads as its decimal text.
    Integer(i64),
    /// Written as text.
    Text(&'a [u8]),
}

impl Item<'_> {
    /// Numbers as numbers, even where they were written as text.
    #[inline]
    #[must_use]
    pub fn canonical(self) -> Self {
        match self {
            Self::Text(text) => decimal(text).map_or(self, Self::Integer),
            Self::Integer(_) => self,
        }
    }

    /// Whether both read the same.
    #[inline]
    pub(crate) fn is_same(self, other: Self) -> bool {
        match (self, other) {
            (Self::Text(text), Item::Text(other)) => text == other,
            (Self::Integer(number), Item::Integer(other)) => number == other,
            (Self::Text(text), Item::Integer(number)) | (Self::Integer(number), Item::Text(text)) => {
                decimal(text) == Some(number)
            }
        }
    }

    /// The number that this reads as, if it is one and not NaN (`zzlStrtod` in Redis `src/t_zset.c`).
    pub(crate) fn score(self) -> Option<f64> {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "a score is a double")]
            Self::Integer(number) => Some(number as f64),
            Self::Text(text) => score(text),
        }
    }

    /// What it reads as: the text itself, or the number's decimal text, written into `scratch`.
    pub fn bytes<'b>(&self, scratch: &'b mut Digits) -> &'b [u8]
    where
        Self: 'b,
    {
        match self {
            Self::Text(text) => text,
            Self::Integer(number) => scratch.write(*number),
        }
    }
}

/// A packed sequence would be of 4 GiB or more, which its header cannot say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a packed collection of 4 GiB or more")]
pub struct TooLong;

/// Room for the decimal text of a number.
#[derive(Debug, Default)]
pub struct Digits([u8; 20]);

impl Digits {
    /// The decimal text of a number, as servers write it.
    pub fn write(&mut self, number: i64) -> &[u8] {
        let mut at = self.0.len();
        let mut rest = number.unsigned_abs();
        loop {
            at -= 1;
            let digit = (rest % 10) as u8;
            self.0[at] = b'0' + digit;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if number < 0 {
            at -= 1;
            self.0[at] = b'-';
        }
        &self.0[at..]
    }
}

/// The number that a text reads as, if it is one and not NaN. Servers write `%.17g`, `inf` and `-inf`.
pub(crate) fn score(text: &[u8]) -> Option<f64> {
    let score: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (!score.is_nan()).then_some(score)
}

/// The number whose decimal text this is, written as a server would write it.
#[inline]
fn decimal(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    match digits {
        [b'0'] if digits.len() == text.len() => return Some(0),
        [b'1'..=b'9', ..] if digits.len() <= 19 => {}
        _ => return None,
    }
    let mut magnitude = 0u64;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        // Nineteen digits stay below 10^19, which fits.
        magnitude = magnitude * 10 + u64::from(digit - b'0');
    }
    if digits.len() < text.len() {
        0i64.checked_sub_unsigned(magnitude)
    } else {
        i64::try_from(magnitude).ok()
    }
}

/// A position for a message. Packed encodings are under 4 GiB: their headers cannot say more.
fn position(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_canonical_decimals_are_numbers() {
        assert_eq!(decimal(b"0"), Some(0));
        assert_eq!(decimal(b"-9223372036854775808"), Some(i64::MIN));
        assert_eq!(decimal(b"9223372036854775807"), Some(i64::MAX));
        for text in ["", "-", "-0", "007", "+5", "1.0", "9223372036854775808", " 1"] {
            assert_eq!(decimal(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn scores_are_numbers_but_not_nan() {
        for text in ["1", "-1.5", "3.3e-17", "inf", "-inf", "1.7976931348623157e+308"] {
            assert!(score(text.as_bytes()).is_some(), "{text:?}");
        }
        for text in ["nan", "-nan", "", "abc", "1,5", "\u{ff}"] {
            assert!(score(text.as_bytes()).is_none(), "{text:?}");
        }
    }

    fn items() -> impl Strategy<Value = Vec<Result<i64, Vec<u8>>>> {
        let text = prop_oneof![0usize..70, 4090usize..4100, 16_300usize..16_400];
        let text = text.prop_flat_map(|length| proptest::collection::vec(any::<u8>(), length));
        let number = (any::<i64>(), 0u32..64).prop_map(|(number, shift)| number >> shift);
        proptest::collection::vec(prop_oneof![number.prop_map(Ok), text.prop_map(Err)], 0..40)
    }

    fn item(written: &Result<i64, Vec<u8>>) -> Item<'_> {
        match written {
            Ok(number) => Item::Integer(*number),
            Err(text) => Item::Text(text),
        }
    }

    fn all<'a>(mut packed: impl Packed<'a>) -> Vec<Item<'a>> {
        std::iter::from_fn(|| packed.next_item().unwrap()).collect()
    }

    proptest! {
        #[test]
        fn what_is_built_reads_as_it_was(written in items()) {
            let expected: Vec<_> = written.iter().map(item).collect();
            let (mut listpack, mut ziplist) = (ListpackBuilder::new(), ZiplistBuilder::new());
            // Twice: memory of the first time must not show.
            for _ in 0..2 {
                listpack.clear();
                ziplist.clear();
                for item in &expected {
                    listpack.push(*item).unwrap();
                    ziplist.push(*item).unwrap();
                }
                prop_assert_eq!(&all(Listpack::open(listpack.finish().unwrap()).unwrap()), &expected);
                prop_assert_eq!(&all(Ziplist::open(ziplist.finish().unwrap()).unwrap()), &expected);
            }
        }

        #[test]
        fn every_number_is_its_text(number: i64) {
            let text = number.to_string();
            prop_assert_eq!(decimal(text.as_bytes()), Some(number));
            let mut digits = Digits::default();
            prop_assert_eq!(digits.write(number), text.as_bytes());
        }
    }
}
