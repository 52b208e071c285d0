//! `Range` headers (RFC 9110, 14).

use http::HeaderValue;

/// The bytes that a request wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of them.
    Whole,
    /// From `from` up to, not including, `until`.
    Part { from: u64, until: u64 },
    /// None that exist.
    Nothing,
}

/// Reads a `Range` header against a size. What is not understood counts for nothing: the answer is the whole, as it
/// is for several ranges at once, which a server need not honour.
pub(super) fn read(header: Option<&HeaderValue>, size: u64) -> Wanted {
    let Some(spec) = header.and_then(|value| value.to_str().ok()?.trim().strip_prefix("bytes=")) else {
        return Wanted::Whole;
    };
    let Some((first, last)) = spec.split_once('-').map(|(a, b)| (a.trim(), b.trim())) else {
        return Wanted::Whole;
    };
    match (number(first), number(last)) {
        (Number::Absent, Number::Value(0)) => Wanted::Nothing,
        (Number::Absent, Number::Value(_)) if size == 0 => Wanted::Nothing,
        (Number::Absent, Number::Value(tail)) => {
            Wanted::Part { from: size.saturating_sub(tail), until: size }
        }
        (Number::Value(from), Number::Value(last)) if last < from => Wanted::Whole,
        (Number::Value(from), Number::Value(_) | Number::Absent) if from >= size => Wanted::Nothing,
        (Number::Value(from), Number::Value(last)) => {
            Wanted::Part { from, until: last.saturating_add(1).min(size) }
        }
        (Number::Value(from), Number::Absent) => Wanted::Part { from, until: size },
        (Number::Garbage, _) | (_, Number::Garbage) | (Number::Absent, Number::Absent) => Wanted::Whole,
    }
}

enum Number {
    Absent,
    Value(u64),
    Garbage,
}

/// Digits only; one that is too large counts as very large.
fn number(text: &str) -> Number {
    if text.is_empty() {
        Number::Absent
    } else if text.bytes().all(|b| b.is_ascii_digit()) {
        Number::Value(text.parse().unwrap_or(u64::MAX))
    } else {
        Number::Garbage
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(header: &str, size: u64) -> Wanted {
        read(Some(&HeaderValue::from_str(header).unwrap()), size)
    }

    #[test]
    fn ranges_are_read_as_the_rfc_says() {
        let part = |from, until| Wanted::Part { from, until };
        let cases = [
            ("bytes=0-0", part(0, 1)),
            ("bytes=0-", part(0, 100)),
            ("bytes=99-", part(99, 100)),
            ("bytes=90-1000", part(90, 100)),
            ("bytes=-1", part(99, 100)),
            ("bytes=-1000", part(0, 100)),
            ("bytes=0-99999999999999999999999", part(0, 100)),
            ("bytes=100-", Wanted::Nothing),
            ("bytes=100-200", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=5-4", Wanted::Whole),
            ("bytes=", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("bytes=0-1,5-6", Wanted::Whole),
            ("items=0-1", Wanted::Whole),
        ];
        for (header, expected) in cases {
            assert_eq!(wanted(header, 100), expected, "{header}");
        }
    }

    #[test]
    fn an_empty_file_has_no_ranges() {
        assert_eq!(read(None, 0), Wanted::Whole);
        assert_eq!(wanted("bytes=0-0", 0), Wanted::Nothing);
        assert_eq!(wanted("bytes=-5", 0), Wanted::Nothing);
    }
}
