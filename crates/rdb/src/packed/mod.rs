//! The encodings that live inside one string: a small collection in one piece of memory.
//! Each is walked in place, entry by entry, and proven to its last byte.

pub(crate) mod intset;
pub(crate) mod listpack;
pub(crate) mod ziplist;
pub(crate) mod zipmap;

pub(crate) use listpack::Listpack;
pub(crate) use ziplist::Ziplist;

use crate::fault::Reason;

/// A proven walk over one packed sequence.
pub(crate) trait Packed<'a> {
    /// The next entry; `None` once the end and the header's totals were found right.
    fn next_item(&mut self) -> Result<Option<Item<'a>>, Box<Reason>>;
}

/// One entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Item<'a> {
    /// Written as a number; reads as its decimal text.
    Integer(i64),
    /// Written as text.
    Text(&'a [u8]),
}

impl Item<'_> {
    /// Numbers as numbers, even where they were written as text.
    #[inline]
    pub(crate) fn canonical(self) -> Self {
        match self {
            Self::Text(text) => decimal(text).map_or(self, Self::Integer),
            Self::Integer(_) => self,
        }
    }

    /// Whether this reads as a score: any number but NaN (`zzlStrtod` in Redis `src/t_zset.c`).
    pub(crate) fn is_score(self) -> bool {
        match self {
            Self::Integer(_) => true,
            Self::Text(text) => is_score(text),
        }
    }
}

/// Whether a text is a number and not NaN. Servers write `%.17g`, `inf` and `-inf`.
pub(crate) fn is_score(text: &[u8]) -> bool {
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse::<f64>().ok())
        .is_some_and(|score| !score.is_nan())
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
            assert!(is_score(text.as_bytes()), "{text:?}");
        }
        for text in ["nan", "-nan", "", "abc", "1,5", "\u{ff}"] {
            assert!(!is_score(text.as_bytes()), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn every_number_is_its_text(number: i64) {
            prop_assert_eq!(decimal(number.to_string().as_bytes()), Some(number));
        }
    }
}
