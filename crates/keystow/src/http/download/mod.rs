//! Downloads: a signed link in, the bytes of a part out.
//!
//! `connection` speaks HTTP/1.1, `transfer` moves the bytes; this file decides what the answer is.

mod conditions;
mod connection;
mod fault;
mod range;
mod request;
mod settlement;
mod transfer;

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use bytes::Bytes;
use http::StatusCode;
use http::header::RANGE;
use keystow_engine::links::Spelling;
use keystow_engine::model::Network;
use keystow_engine::ops::{Deliverable, Delivery, DeliveryFault, Engine};
use uuid::Uuid;

use conditions::Verdict;
use fault::Refusal;
use range::Wanted;
use request::Request;
use settlement::Settlement;
use transfer::Transfer;

/// Answers the requests of one download listener.
#[derive(Clone)]
pub(super) struct Downloads {
    engine: Arc<Engine>,
    network: Network,
    ids: Arc<RequestIds>,
}

/// An answer, its headers written.
struct Answer {
    status: StatusCode,
    /// Header lines, each with its end.
    headers: String,
    payload: Payload,
}

/// What follows the headers.
enum Payload {
    Nothing,
    Bytes(Bytes),
    Transfer(Transfer),
}

/// Ids of requests: one random part for the process, and a number.
struct RequestIds {
    prefix: String,
    last: AtomicU64,
}

impl RequestIds {
    fn next(&self) -> String {
        format!("{}-{:012x}", self.prefix, self.last.fetch_add(1, Ordering::Relaxed))
    }
}

/// A header line. Writing to a `String` does not fail.
macro_rules! header {
    ($headers:expr, $($form:tt)*) => {{
        let _ = write!($headers, $($form)*);
        $headers.push_str("\r\n");
    }};
}

impl Downloads {
    pub(super) fn new(engine: Arc<Engine>, network: Network) -> Self {
        let prefix = Uuid::new_v4().hyphenated().to_string()[..23].to_owned();
        Self { engine, network, ids: Arc::new(RequestIds { prefix, last: AtomicU64::new(1) }) }
    }

    /// The answer to one request, whatever it asks.
    async fn answer(&self, request: &Request, peer: SocketAddr) -> Answer {
        let id = self.ids.next();
        let (mut answer, spelling) = match self.deliver(request, peer).await {
            Ok(answer) => answer,
            Err(refusal) => {
                if let Refusal::Link(DeliveryFault::Failed(error)) = &refusal {
                    tracing::error!(request = id, %peer, code = error.code, %error, "a download failed");
                }
                let spelling = Spelling::of(&request.query);
                let body = refusal.body(spelling, &id, &request.path, self.engine.clock().now());
                (refused(&refusal, spelling, body, request.is_head()), spelling)
            }
        };
        match spelling {
            Spelling::Native => {}
            Spelling::Oss => header!(answer.headers, "x-oss-request-id: {id}"),
            Spelling::Cos | Spelling::Crs => header!(answer.headers, "x-cos-request-id: {id}"),
            Spelling::Us3 => header!(answer.headers, "x-sessionid: {id}"),
            Spelling::Obs => header!(answer.headers, "x-obs-request-id: {id}"),
        }
        header!(answer.headers, "x-request-id: {id}");
        let status = answer.status.as_u16();
        tracing::debug!(request = id, %peer, network = %self.network, path = request.path, status);
        answer
    }

    async fn deliver(&self, request: &Request, peer: SocketAddr) -> Result<(Answer, Spelling), Refusal> {
        if !request.is_get() && !request.is_head() {
            return Err(Refusal::Method);
        }
        let delivery = self.engine.open_link(&request.path, &request.query, self.network, peer.ip()).await?;
        let (part, spelling) = (&delivery.part, delivery.claims.spelling);
        let asked = match conditions::judge(&request.headers, &part.sha256, part.modified_at) {
            Verdict::Failed => return Err(Refusal::Precondition),
            Verdict::NotModified => return Ok((not_modified(part), spelling)),
            Verdict::Go { ranges: true } if request.is_get() => request.headers.get(RANGE),
            Verdict::Go { .. } => None,
        };
        let mut headers = String::with_capacity(1024);
        headers.push_str(part.noted.get_or_init(|| describe(part)));
        let (status, from, until) = match range::read(asked, part.size_bytes) {
            Wanted::Nothing => return Err(Refusal::Range { total: part.size_bytes }),
            Wanted::Whole => (StatusCode::OK, 0, part.size_bytes),
            Wanted::Part { from, until } => {
                header!(headers, "content-range: bytes {from}-{}/{}", until - 1, part.size_bytes);
                (StatusCode::PARTIAL_CONTENT, from, until)
            }
        };
        header!(headers, "content-length: {}", until - from);
        let payload = if request.is_head() {
            Payload::Nothing
        } else {
            Payload::Transfer(self.transfer(delivery, peer.ip(), from, until).await?)
        };
        Ok((Answer { status, headers, payload }, spelling))
    }

    async fn transfer(
        &self,
        delivery: Delivery,
        client: IpAddr,
        from: u64,
        until: u64,
    ) -> Result<Transfer, Refusal> {
        let passage = self.engine.admit_transfer(&delivery, client)?;
        let promised = self.engine.reserve_delivery(&delivery, until - from).await?;
        let settlement = promised.map(|promised| Settlement::new(&self.engine, promised));
        let note = self.engine.note_delivery(&delivery, client, from, until);
        Ok(Transfer { part: delivery.part, at: from, until, passage, settlement, note })
    }
}

fn refused(refusal: &Refusal, spelling: Spelling, body: Bytes, head: bool) -> Answer {
    let mut headers = String::new();
    let form = if spelling == Spelling::Us3 { "json" } else { "xml" };
    header!(headers, "content-type: application/{form}");
    header!(headers, "content-length: {}", body.len());
    header!(headers, "cache-control: private, no-store");
    match refusal {
        Refusal::Method => header!(headers, "allow: GET, HEAD"),
        Refusal::Range { total } => header!(headers, "content-range: bytes */{total}"),
        _ => {}
    }
    if let Some(seconds) = refusal.retry_after() {
        header!(headers, "retry-after: {seconds}");
    }
    Answer {
        status: refusal.status(),
        headers,
        payload: if head { Payload::Nothing } else { Payload::Bytes(body) },
    }
}

fn not_modified(part: &Deliverable) -> Answer {
    let mut headers = String::new();
    header!(headers, "etag: \"{}\"", part.sha256);
    header!(headers, "last-modified: {}", conditions::http_date(part.modified_at));
    header!(headers, "cache-control: private, no-store");
    Answer { status: StatusCode::NOT_MODIFIED, headers, payload: Payload::Nothing }
}

/// The headers that every delivery of a part has, whole or not.
fn describe(part: &Deliverable) -> String {
    let mut headers = String::new();
    header!(headers, "content-type: application/octet-stream");
    header!(headers, "accept-ranges: bytes");
    header!(headers, "cache-control: private, no-store");
    header!(headers, "x-content-type-options: nosniff");
    header!(headers, "referrer-policy: no-referrer");
    header!(headers, "etag: \"{}\"", part.sha256);
    header!(headers, "last-modified: {}", conditions::http_date(part.modified_at));
    // Our file names hold nothing that either form would have to escape. curl takes the first, wget the second.
    let name = &part.file_name;
    header!(headers, "content-disposition: attachment; filename=\"{name}\"; filename*=UTF-8''{name}");
    if let Some(digest) = repr_digest(&part.sha256) {
        header!(headers, "repr-digest: {digest}");
    }
    headers
}

/// `Repr-Digest` (RFC 9530) from a digest in hex.
fn repr_digest(sha256: &str) -> Option<String> {
    let bytes: Option<Vec<u8>> =
        (0..sha256.len()).step_by(2).map(|at| u8::from_str_radix(sha256.get(at..at + 2)?, 16).ok()).collect();
    Some(format!("sha-256=:{}:", base64::engine::general_purpose::STANDARD.encode(bytes?)))
}
