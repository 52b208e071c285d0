//! A request as a download needs it: method, target, and the few headers that change the answer.

use std::mem::MaybeUninit;

use http::header::{
    CONNECTION, CONTENT_LENGTH, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE,
    RANGE, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::http::client::FORWARDED_FOR;

/// Most headers of a request.
const MOST_HEADERS: usize = 64;
/// The headers that are looked at; others are not kept.
const KEPT: [HeaderName; 7] =
    [RANGE, IF_RANGE, IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, FORWARDED_FOR];

/// A request without a body.
#[derive(Debug)]
pub(super) struct Request {
    method: Method,
    /// Path of the target, as sent.
    pub(super) path: String,
    /// Query of the target, as sent; empty if it has none.
    pub(super) query: String,
    /// Those headers that change the answer.
    pub(super) headers: HeaderMap,
    /// Whether another request may follow on the connection.
    pub(super) keep_alive: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Get,
    Head,
    Other,
}

impl Request {
    pub(super) fn is_get(&self) -> bool {
        self.method == Method::Get
    }

    pub(super) fn is_head(&self) -> bool {
        self.method == Method::Head
    }

    /// Takes one whole request off the front of `pending`; `None` if it is not all there. An error is the status
    /// to refuse it with.
    pub(super) fn take(pending: &mut Vec<u8>) -> Result<Option<Self>, StatusCode> {
        let mut room = [const { MaybeUninit::uninit() }; MOST_HEADERS];
        let mut parsed = httparse::Request::new(&mut []);
        let used = match parsed.parse_with_uninit_headers(pending, &mut room) {
            Ok(httparse::Status::Complete(used)) => used,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
            Err(_) => return Err(StatusCode::BAD_REQUEST),
        };
        let target = parsed.path.ok_or(StatusCode::BAD_REQUEST)?;
        let (path, query) = origin_form(target).ok_or(StatusCode::BAD_REQUEST)?;
        let request = Self {
            method: match parsed.method {
                Some("GET") => Method::Get,
                Some("HEAD") => Method::Head,
                _ => Method::Other,
            },
            path: path.to_owned(),
            query: query.to_owned(),
            headers: kept(parsed.headers)?,
            keep_alive: keeps_alive(parsed.headers, parsed.version == Some(1)),
        };
        pending.drain(..used);
        Ok(Some(request))
    }
}

/// Path and query of a target, which may be a whole URL (RFC 9112, 3.2.2).
fn origin_form(target: &str) -> Option<(&str, &str)> {
    let target = match target.split_once("://") {
        Some((_, rest)) if !target.starts_with('/') => &rest[rest.find('/')?..],
        _ => target,
    };
    target.starts_with('/').then(|| target.split_once('?').unwrap_or((target, "")))
}

fn kept(headers: &[httparse::Header<'_>]) -> Result<HeaderMap, StatusCode> {
    let mut map = HeaderMap::new();
    for header in headers {
        if let Some(name) = KEPT.iter().find(|name| header.name.eq_ignore_ascii_case(name.as_str())) {
            let value = HeaderValue::from_bytes(header.value).map_err(|_| StatusCode::BAD_REQUEST)?;
            map.append(name.clone(), value);
        }
    }
    Ok(map)
}

/// A body is never read: the connection ends after the answer, so that it cannot be taken for a request.
fn keeps_alive(headers: &[httparse::Header<'_>], newer: bool) -> bool {
    let mut keep = newer;
    for header in headers {
        let is = |name: &HeaderName| header.name.eq_ignore_ascii_case(name.as_str());
        if is(&TRANSFER_ENCODING) || (is(&CONTENT_LENGTH) && header.value != b"0") {
            return false;
        }
        if is(&CONNECTION) {
            let value = String::from_utf8_lossy(header.value);
            let says = |word: &str| value.split(',').any(|option| option.trim().eq_ignore_ascii_case(word));
            keep = (keep || says("keep-alive")) && !says("close");
        }
    }
    keep
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn taken(text: &str) -> Request {
        Request::take(&mut text.as_bytes().to_vec()).unwrap().unwrap()
    }

    #[test]
    fn requests_are_taken_one_by_one() {
        let mut pending = b"GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\nHEAD /d HTTP/1.1\r\n\r\nGET".to_vec();
        let first = Request::take(&mut pending).unwrap().unwrap();
        assert!(first.is_get());
        assert_eq!((first.path.as_str(), first.query.as_str()), ("/a", "b=c"));
        assert_eq!(Request::take(&mut pending).unwrap().unwrap().path, "/d");
        assert!(Request::take(&mut pending).unwrap().is_none());
        assert_eq!(pending, b"GET");
    }

    #[test]
    fn a_target_may_be_a_whole_url() {
        assert_eq!(taken("GET http://host:1/a?b HTTP/1.1\r\n\r\n").path, "/a");
        assert_eq!(taken("GET /a?u=http://x/ HTTP/1.1\r\n\r\n").query, "u=http://x/");
    }

    #[test]
    fn a_connection_is_kept_when_both_sides_can_tell_where_a_request_ends() {
        assert!(taken("GET / HTTP/1.1\r\n\r\n").keep_alive);
        assert!(!taken("GET / HTTP/1.1\r\nConnection: close\r\n\r\n").keep_alive);
        assert!(!taken("GET / HTTP/1.0\r\n\r\n").keep_alive);
        assert!(taken("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keep_alive);
        assert!(!taken("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n").keep_alive);
        assert!(!taken("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n").keep_alive);
        assert!(taken("GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n").keep_alive);
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for text in [
            "GET\r\n\r\n",
            "GET / HTTP/9.9\r\n\r\n",
            "GET x HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nbad header\r\n\r\n",
        ] {
            assert!(Request::take(&mut text.as_bytes().to_vec()).is_err(), "{text:?}");
        }
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(MOST_HEADERS + 1));
        assert!(Request::take(&mut many.into_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn reading_never_panics(mut bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Request::take(&mut bytes);
            let mut line = [b"GET /".as_slice(), &bytes, b" HTTP/1.1\r\n\r\n"].concat();
            let _ = Request::take(&mut line);
        }
    }
}
