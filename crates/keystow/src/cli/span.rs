//! Reads the times that people type: spans such as `6h`, and moments.

use std::time::Duration;

use jiff::Timestamp;
use keystow_engine::clock::Clock;

/// Reads a span: a whole number and `s`, `m`, `h`, `d` or `w`; several may follow each other (`1h30m`).
pub(crate) fn parse_span(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is not a time span such as 90s, 15m, 6h or 7d");
    let mut rest = text;
    let mut seconds = 0u64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        let unit = match rest.as_bytes()[digits] {
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            b'd' => 86_400,
            b'w' => 604_800,
            _ => return Err(wrong()),
        };
        seconds = number.checked_mul(unit).and_then(|part| seconds.checked_add(part)).ok_or_else(wrong)?;
        rest = &rest[digits + 1..];
    }
    if seconds == 0 { Err(wrong()) } else { Ok(Duration::from_secs(seconds)) }
}

/// Reads a moment to come: RFC 3339, or a span from now.
pub(crate) fn parse_coming(text: &str) -> Result<Timestamp, String> {
    parse_moment(text, Timestamp::checked_add)
}

/// Reads a moment gone by: RFC 3339, or a span before now.
pub(crate) fn parse_past(text: &str) -> Result<Timestamp, String> {
    parse_moment(text, Timestamp::checked_sub)
}

fn parse_moment(
    text: &str,
    shift: impl FnOnce(Timestamp, Duration) -> Result<Timestamp, jiff::Error>,
) -> Result<Timestamp, String> {
    if let Ok(moment) = text.parse() {
        return Ok(moment);
    }
    let span = parse_span(text).map_err(|_| {
        format!("'{text}' is neither a time such as 2027-01-31T12:00:00Z nor a span such as 7d")
    })?;
    shift(Clock::system().now(), span).map_err(|_| format!("'{text}' is too far away"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read() {
        for (text, seconds) in
            [("90s", 90), ("15m", 900), ("6h", 21_600), ("7d", 604_800), ("2w", 1_209_600), ("1h30m", 5400)]
        {
            assert_eq!(parse_span(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn what_is_no_span_is_refused() {
        for text in ["", "6", "h", "6 h", "-6h", "1.5h", "6y", "0s", "é", "6é", "99999999999999999999s"] {
            assert!(parse_span(text).is_err(), "{text}");
        }
        assert!(parse_span("18446744073709551615w").is_err());
    }

    #[test]
    fn moments_are_absolute_or_counted_from_now() {
        assert_eq!(parse_coming("2027-01-31T12:00:00+08:00").unwrap().to_string(), "2027-01-31T04:00:00Z");
        let now = Clock::system().now();
        assert!(parse_coming("1h").unwrap() > now);
        assert!(parse_past("1h").unwrap() < now);
        assert!(parse_coming("tomorrow").is_err());
        assert!(parse_coming("30500000w").is_err());
    }
}
