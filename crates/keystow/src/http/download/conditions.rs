//! Preconditions, in the order of RFC 9110, 13.2.2.

use http::HeaderMap;
use http::header::{HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE};
use jiff::Timestamp;
use jiff::fmt::rfc2822;

/// What the preconditions say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Deliver; honour a range or not.
    Go { ranges: bool },
    /// The client has it already (304).
    NotModified,
    /// It is not what the client takes it for (412).
    Failed,
}

/// Judges a request's preconditions.
pub(super) fn judge(headers: &HeaderMap, etag: &str, modified_at: Timestamp) -> Verdict {
    let modified = modified_at.as_second();
    if let Some(tags) = header(headers, &IF_MATCH) {
        if !matches_any(tags, etag) {
            return Verdict::Failed;
        }
    } else if date(headers, &IF_UNMODIFIED_SINCE).is_some_and(|date| modified > date) {
        return Verdict::Failed;
    }
    if let Some(tags) = header(headers, &IF_NONE_MATCH) {
        if matches_any(tags, etag) {
            return Verdict::NotModified;
        }
    } else if date(headers, &IF_MODIFIED_SINCE).is_some_and(|date| modified <= date) {
        return Verdict::NotModified;
    }
    let ranges = match header(headers, &IF_RANGE) {
        None => true,
        Some(value) => same_tag(value, etag) || parse_date(value) == Some(modified),
    };
    Verdict::Go { ranges }
}

fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn matches_any(tags: &str, etag: &str) -> bool {
    tags.trim() == "*" || tags.split(',').any(|tag| same_tag(tag, etag))
}

/// Some storage clients send tags without quotes, so those do not count.
fn same_tag(tag: &str, etag: &str) -> bool {
    tag.trim().trim_matches('"') == etag.trim_matches('"')
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<i64> {
    parse_date(header(headers, name)?)
}

fn parse_date(text: &str) -> Option<i64> {
    rfc2822::parse(text.trim()).ok().map(|date| date.timestamp().as_second())
}

/// A moment as HTTP writes it, such as `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(super) fn http_date(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ETAG: &str = "\"abc\"";

    fn judged(pairs: &[(HeaderName, &str)]) -> Verdict {
        let headers = pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        judge(&headers, ETAG, Timestamp::from_second(784_111_777).unwrap())
    }

    #[test]
    fn dates_are_written_and_read_as_http_does() {
        let at = Timestamp::from_second(784_111_777).unwrap();
        assert_eq!(http_date(at), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(parse_date(&http_date(at)), Some(784_111_777));
    }

    #[test]
    fn each_precondition_works_both_ways() {
        let go = Verdict::Go { ranges: true };
        let (before, same) = ("Sun, 06 Nov 1994 08:49:36 GMT", "Sun, 06 Nov 1994 08:49:37 GMT");
        let cases = [
            (vec![], go),
            (vec![(IF_MATCH, "\"abc\"")], go),
            (vec![(IF_MATCH, "abc")], go),
            (vec![(IF_MATCH, "*")], go),
            (vec![(IF_MATCH, "\"x\", \"abc\"")], go),
            (vec![(IF_MATCH, "\"x\"")], Verdict::Failed),
            (vec![(IF_UNMODIFIED_SINCE, same)], go),
            (vec![(IF_UNMODIFIED_SINCE, before)], Verdict::Failed),
            (vec![(IF_MATCH, "\"abc\""), (IF_UNMODIFIED_SINCE, before)], go),
            (vec![(IF_NONE_MATCH, "\"abc\"")], Verdict::NotModified),
            (vec![(IF_NONE_MATCH, "\"x\"")], go),
            (vec![(IF_MODIFIED_SINCE, same)], Verdict::NotModified),
            (vec![(IF_MODIFIED_SINCE, before)], go),
            (vec![(IF_NONE_MATCH, "\"x\""), (IF_MODIFIED_SINCE, same)], go),
            (vec![(IF_RANGE, "\"abc\"")], go),
            (vec![(IF_RANGE, same)], go),
            (vec![(IF_RANGE, "\"x\"")], Verdict::Go { ranges: false }),
            (vec![(IF_RANGE, before)], Verdict::Go { ranges: false }),
            (vec![(IF_MODIFIED_SINCE, "nonsense")], go),
        ];
        for (headers, expected) in cases {
            assert_eq!(judged(&headers), expected, "{headers:?}");
        }
    }
}
