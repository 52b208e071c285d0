//! Downloads: a signed link in, the bytes of a part out.
//!
//! `connection` speaks HTTP/1.1, `transfer` moves the bytes; this file decides what the answer is.

mod conditions;
mod connection;
mod fault;
mod range;
mod transfer;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    ETAG, LAST_MODIFIED, RANGE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use keystow_engine::links::Spelling;
use keystow_engine::model::Network;
use keystow_engine::ops::{Deliverable, Delivery, DeliveryFault, Engine};
use uuid::Uuid;

use conditions::Verdict;
use fault::Refusal;
use range::Wanted;
use transfer::{Settlement, Transfer};

/// Answers the requests of one download listener.
#[derive(Clone)]
pub(super) struct Downloads {
    engine: Arc<Engine>,
    network: Network,
    ids: Arc<RequestIds>,
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

impl Downloads {
    pub(super) fn new(engine: Arc<Engine>, network: Network) -> Self {
        let prefix = Uuid::new_v4().hyphenated().to_string()[..23].to_owned();
        Self { engine, network, ids: Arc::new(RequestIds { prefix, last: AtomicU64::new(1) }) }
    }

    /// The answer to one request, whatever it asks.
    async fn answer(&self, request: &Request<()>, peer: SocketAddr) -> Response<Payload> {
        let id = self.ids.next();
        let query = request.uri().query().unwrap_or_default();
        let mut response = match self.deliver(request, peer).await {
            Ok(response) => response,
            Err(refusal) => {
                if let Refusal::Link(DeliveryFault::Failed(error)) = &refusal {
                    tracing::error!(request = id, %peer, code = error.code, %error, "a download failed");
                }
                let spelling = Spelling::of(query);
                let body = refusal.body(spelling, &id, request.uri().path(), self.engine.clock().now());
                refused(&refusal, body, *request.method() == Method::HEAD)
            }
        };
        tracing::debug!(request = id, %peer, network = %self.network, path = request.uri().path(), status = response.status().as_u16());
        if let Ok(value) = HeaderValue::try_from(id) {
            match Spelling::of(query) {
                Spelling::Native => {}
                Spelling::Oss => drop(response.headers_mut().insert("x-oss-request-id", value.clone())),
                Spelling::Cos => drop(response.headers_mut().insert("x-cos-request-id", value.clone())),
            }
            response.headers_mut().insert("x-request-id", value);
        }
        response
    }

    async fn deliver(&self, request: &Request<()>, peer: SocketAddr) -> Result<Response<Payload>, Refusal> {
        let head = match *request.method() {
            Method::GET => false,
            Method::HEAD => true,
            _ => return Err(Refusal::Method),
        };
        let uri = request.uri();
        let delivery = self
            .engine
            .open_link(uri.path(), uri.query().unwrap_or_default(), self.network, peer.ip())
            .await?;
        let part = &delivery.part;
        let etag = format!("\"{}\"", part.sha256);
        let asked = match conditions::judge(request.headers(), &etag, part.modified_at) {
            Verdict::Failed => return Err(Refusal::Precondition),
            Verdict::NotModified => return Ok(not_modified(part, &etag)),
            Verdict::Go { ranges: true } if !head => request.headers().get(RANGE),
            Verdict::Go { .. } => None,
        };
        let mut response = Response::new(Payload::Nothing);
        describe(response.headers_mut(), part, &etag);
        let (from, until) = match range::read(asked, part.size_bytes) {
            Wanted::Nothing => return Err(Refusal::Range { total: part.size_bytes }),
            Wanted::Whole => (0, part.size_bytes),
            Wanted::Part { from, until } => {
                *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                let range = format!("bytes {from}-{}/{}", until - 1, part.size_bytes);
                response.headers_mut().insert(CONTENT_RANGE, text(&range));
                (from, until)
            }
        };
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(until - from));
        if !head {
            *response.body_mut() = Payload::Transfer(self.transfer(delivery, from, until).await?);
        }
        Ok(response)
    }

    async fn transfer(&self, delivery: Delivery, from: u64, until: u64) -> Result<Transfer, Refusal> {
        let settlement = if delivery.counted {
            self.engine.reserve_delivery(&delivery, until - from).await?;
            Settlement::new(&self.engine, delivery.claims.remembered.as_deref(), until - from)
        } else {
            None
        };
        Ok(Transfer { part: delivery.part, at: from, until, settlement })
    }
}

fn refused(refusal: &Refusal, body: Bytes, head: bool) -> Response<Payload> {
    let mut response = Response::new(Payload::Nothing);
    *response.status_mut() = refusal.status();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    match refusal {
        Refusal::Method => drop(headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"))),
        Refusal::Range { total } => drop(headers.insert(CONTENT_RANGE, text(&format!("bytes */{total}")))),
        _ => {}
    }
    if !head {
        *response.body_mut() = Payload::Bytes(body);
    }
    response
}

fn not_modified(part: &Deliverable, etag: &str) -> Response<Payload> {
    let mut response = Response::new(Payload::Nothing);
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    let headers = response.headers_mut();
    headers.insert(ETAG, text(etag));
    headers.insert(LAST_MODIFIED, text(&conditions::http_date(part.modified_at)));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    response
}

/// The headers that every delivery of a part has, whole or not.
fn describe(headers: &mut HeaderMap, part: &Deliverable, etag: &str) {
    headers.reserve(16);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(ETAG, text(etag));
    headers.insert(LAST_MODIFIED, text(&conditions::http_date(part.modified_at)));
    // Our file names hold nothing that either form would have to escape. curl takes the first, wget the second.
    let name = &part.file_name;
    headers.insert(
        CONTENT_DISPOSITION,
        text(&format!("attachment; filename=\"{name}\"; filename*=UTF-8''{name}")),
    );
    if let Some(digest) = repr_digest(&part.sha256) {
        headers.insert("repr-digest", text(&digest));
    }
}

/// `Repr-Digest` (RFC 9530) from a digest in hex.
fn repr_digest(sha256: &str) -> Option<String> {
    let bytes: Option<Vec<u8>> =
        (0..sha256.len()).step_by(2).map(|at| u8::from_str_radix(sha256.get(at..at + 2)?, 16).ok()).collect();
    Some(format!("sha-256=:{}:", base64::engine::general_purpose::STANDARD.encode(bytes?)))
}

/// A header value of our own making, which is always printable ASCII.
fn text(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).unwrap_or(HeaderValue::from_static(""))
}
