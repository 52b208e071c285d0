//! HTTP/1.1 as far as a download needs it: requests without bodies in, one answer each out, keep-alive between them.
//!
//! Parsed by httparse; the rest is ours because the bytes go out by `sendfile`, which needs the bare socket.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;

use http::header::{CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use jiff::Timestamp;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Downloads, Payload, conditions, transfer};
use crate::http::accept::{Limits, Serve};

/// Longest request line and headers.
const LONGEST_HEAD: usize = 16 * 1024;
/// Most headers of a request.
const MOST_HEADERS: usize = 64;

impl Serve for Downloads {
    async fn serve(self, mut socket: TcpStream, peer: SocketAddr, limits: Limits, stop: CancellationToken) {
        let mut pending = Vec::new();
        loop {
            let asked = match next_request(&mut socket, &mut pending, limits, &stop).await {
                Ok(Some(asked)) => asked,
                Ok(None) => return,
                Err(Unreadable::Lost(error)) => {
                    tracing::debug!(%peer, %error, "connection ended early");
                    return;
                }
                Err(Unreadable::Request(status)) => {
                    let mut answer = Response::new(());
                    *answer.status_mut() = status;
                    let head = write_head(&answer, false, self.engine.clock().now());
                    // It is closed whether or not this arrives.
                    let _ = transfer::write(&mut socket, &head, limits.idle_timeout).await;
                    return;
                }
            };
            let keep = asked.keep_alive && !stop.is_cancelled();
            let (answer, body) = self.answer(&asked.request, peer).await.into_parts();
            let answer = Response::from_parts(answer, ());
            let head = write_head(&answer, keep, self.engine.clock().now());
            let sent = match body {
                Payload::Nothing => transfer::write(&mut socket, &head, limits.idle_timeout).await,
                Payload::Bytes(bytes) => {
                    transfer::write(&mut socket, &[&head[..], &bytes].concat(), limits.idle_timeout).await
                }
                Payload::Transfer(transfer) => transfer.send(&mut socket, head, limits.idle_timeout).await,
            };
            if let Err(error) = &sent {
                tracing::debug!(%peer, %error, "transfer ended early");
            }
            if sent.is_err() || !keep {
                return;
            }
        }
    }
}

/// A request, and whether another may follow.
struct Asked {
    request: Request<()>,
    keep_alive: bool,
}

/// Why there is no request.
#[derive(Debug)]
enum Unreadable {
    /// The connection broke.
    Lost(io::Error),
    /// It is not one that this listener takes.
    Request(StatusCode),
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        Self::Lost(error)
    }
}

/// The next request; `None` when the peer is done, or idle for too long, or the server stops.
async fn next_request(
    socket: &mut TcpStream,
    pending: &mut Vec<u8>,
    limits: Limits,
    stop: &CancellationToken,
) -> Result<Option<Asked>, Unreadable> {
    if pending.is_empty() {
        let first = tokio::select! {
            biased;
            first = timeout(limits.idle_timeout, fill(socket, pending)) => first,
            () = stop.cancelled() => return Ok(None),
        };
        match first {
            Err(_) | Ok(Ok(0)) => return Ok(None),
            Ok(read) => read?,
        };
    }
    if let Some(asked) = parse(pending)? {
        return Ok(Some(asked));
    }
    let rest = async {
        loop {
            if pending.len() > LONGEST_HEAD {
                return Err(Unreadable::Request(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
            }
            if fill(socket, pending).await? == 0 {
                return Ok(None);
            }
            if let Some(asked) = parse(pending)? {
                return Ok(Some(asked));
            }
        }
    };
    timeout(limits.header_timeout, rest)
        .await
        .unwrap_or(Err(Unreadable::Request(StatusCode::REQUEST_TIMEOUT)))
}

async fn fill(socket: &mut TcpStream, pending: &mut Vec<u8>) -> io::Result<usize> {
    pending.reserve(4096);
    socket.read_buf(pending).await
}

/// Takes one whole request off the front of `pending`; `None` if it is not all there.
fn parse(pending: &mut Vec<u8>) -> Result<Option<Asked>, Unreadable> {
    let bad = || Unreadable::Request(StatusCode::BAD_REQUEST);
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let used = match parsed.parse(pending) {
        Ok(httparse::Status::Complete(used)) => used,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Unreadable::Request(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
        }
        Err(_) => return Err(bad()),
    };
    let mut request = Request::new(());
    *request.method_mut() =
        parsed.method.and_then(|name| Method::from_bytes(name.as_bytes()).ok()).ok_or_else(bad)?;
    *request.uri_mut() = parsed.path.and_then(|target| target.parse::<Uri>().ok()).ok_or_else(bad)?;
    for header in parsed.headers.iter() {
        let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| bad())?;
        let value = HeaderValue::from_bytes(header.value).map_err(|_| bad())?;
        request.headers_mut().append(name, value);
    }
    let newer = parsed.version == Some(1);
    let keep_alive = keeps_alive(request.headers(), newer) && !has_body(request.headers());
    pending.drain(..used);
    Ok(Some(Asked { request, keep_alive }))
}

fn keeps_alive(headers: &HeaderMap, newer: bool) -> bool {
    let says = |word: &str| {
        headers
            .get_all(CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|value| value.split(',').any(|option| option.trim().eq_ignore_ascii_case(word)))
    };
    if newer { !says("close") } else { says("keep-alive") }
}

/// A body is never read: the connection ends after the answer, so that it cannot be taken for a request.
fn has_body(headers: &HeaderMap) -> bool {
    let length = headers.get_all(CONTENT_LENGTH).iter().any(|value| value.as_bytes() != b"0");
    length || headers.contains_key(TRANSFER_ENCODING)
}

fn write_head<T>(answer: &Response<T>, keep_alive: bool, now: Timestamp) -> Vec<u8> {
    let status = answer.status();
    let mut head = String::with_capacity(1024);
    // Writing to a String does not fail.
    let _ =
        write!(head, "HTTP/1.1 {} {}\r\n", status.as_u16(), status.canonical_reason().unwrap_or("Unknown"));
    for (name, value) in answer.headers() {
        let _ = write!(head, "{name}: {}\r\n", value.to_str().unwrap_or_default());
    }
    if answer.headers().get(CONTENT_LENGTH).is_none() && status != StatusCode::NOT_MODIFIED {
        head.push_str("content-length: 0\r\n");
    }
    if !keep_alive {
        head.push_str("connection: close\r\n");
    }
    let _ = write!(head, "{DATE}: {}\r\n\r\n", conditions::http_date(now));
    head.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<Asked> {
        parse(&mut text.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn requests_are_taken_one_by_one() {
        let mut pending = b"GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\nHEAD /d HTTP/1.1\r\n\r\nGET".to_vec();
        let first = parse(&mut pending).unwrap().unwrap();
        assert_eq!((first.request.method(), first.request.uri().query()), (&Method::GET, Some("b=c")));
        assert_eq!(parse(&mut pending).unwrap().unwrap().request.uri().path(), "/d");
        assert!(parse(&mut pending).unwrap().is_none());
        assert_eq!(pending, b"GET");
    }

    #[test]
    fn a_connection_is_kept_when_both_sides_can_tell_where_a_request_ends() {
        assert!(parsed("GET / HTTP/1.1\r\n\r\n").unwrap().keep_alive);
        assert!(!parsed("GET / HTTP/1.1\r\nConnection: close\r\n\r\n").unwrap().keep_alive);
        assert!(!parsed("GET / HTTP/1.0\r\n\r\n").unwrap().keep_alive);
        assert!(parsed("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").unwrap().keep_alive);
        assert!(!parsed("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n").unwrap().keep_alive);
        assert!(!parsed("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap().keep_alive);
        assert!(parsed("GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n").unwrap().keep_alive);
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for text in [
            "GET\r\n\r\n",
            "GET / HTTP/9.9\r\n\r\n",
            "GET / HTTP/1.1\r\nbad header\r\n\r\n",
            "\u{0}\u{1}\r\n\r\n",
        ] {
            assert!(parse(&mut text.as_bytes().to_vec()).is_err(), "{text:?}");
        }
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(MOST_HEADERS + 1));
        assert!(parse(&mut many.into_bytes()).is_err());
    }
}
