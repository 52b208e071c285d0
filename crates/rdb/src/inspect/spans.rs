//! How far away something is, in a handful of spans.

use super::Sums;

/// The upper bounds of the spans, in seconds: an hour, a day, a week, thirty days, a year. The last span has none.
pub const SPANS_S: [u64; 5] = [3600, 86_400, 7 * 86_400, 30 * 86_400, 365 * 86_400];

/// When keys expire, counted from the moment at which the file was made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ExpiryHistogram {
    /// That moment in Unix milliseconds: the file's `ctime`, or the caller's time where it has none.
    pub relative_to_ms: i64,
    /// Keys that never expire.
    pub never: Sums,
    /// Keys that were over then.
    pub expired: Sums,
    /// The others: one more than there are bounds in [`SPANS_S`].
    pub within: [Sums; SPANS_S.len() + 1],
}

impl ExpiryHistogram {
    #[inline]
    pub(super) fn add(&mut self, expires_ms: Option<i64>, sums: &Sums) {
        let row = match expires_ms {
            None => &mut self.never,
            Some(expiry) => match u64::try_from(expiry.saturating_sub(self.relative_to_ms)) {
                Ok(left_ms @ 1..) => &mut self.within[span(left_ms / 1000)],
                _ => &mut self.expired,
            },
        };
        row.add(sums);
    }
}

/// How long keys have been idle: one more than there are bounds in [`SPANS_S`].
pub type IdleHistogram = [u64; SPANS_S.len() + 1];

/// The span that so many seconds fall into.
#[inline]
pub(super) fn span(seconds: u64) -> usize {
    SPANS_S.iter().position(|bound| seconds < *bound).unwrap_or(SPANS_S.len())
}

/// The upper bounds of the access counters' ranges; a new key begins with 5 (`LFU_INIT_VAL` in Redis
/// `src/server.h`). The last range has none.
pub const FREQUENCIES: [u8; 4] = [5, 10, 50, 100];

/// Keys by access counter: one more than there are bounds in [`FREQUENCIES`].
pub type FrequencyHistogram = [u64; FREQUENCIES.len() + 1];

#[inline]
pub(super) fn frequency(counter: u8) -> usize {
    FREQUENCIES.iter().position(|bound| counter < *bound).unwrap_or(FREQUENCIES.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expiry_falls_into_its_span() {
        let mut histogram = ExpiryHistogram { relative_to_ms: 1_000_000, ..ExpiryHistogram::default() };
        let one = Sums { keys: 1, ..Sums::default() };
        for left_ms in [-1, 0, 1, 3_599_999, 3_600_000, 86_400_000, i64::MAX] {
            histogram.add(Some(1_000_000i64.saturating_add(left_ms)), &one);
        }
        histogram.add(Some(i64::MIN), &one);
        histogram.add(None, &one);
        assert_eq!((histogram.never.keys, histogram.expired.keys), (1, 3));
        assert_eq!(histogram.within.map(|sums| sums.keys), [2, 1, 1, 0, 0, 1]);
    }
}
