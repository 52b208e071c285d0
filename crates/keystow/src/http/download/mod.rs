//! Downloads: a signed link in, the bytes of a part out.

mod body;
mod conditions;
mod fault;
mod range;

use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine as _;
use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    LAST_MODIFIED, RANGE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Request, Response};
use keystow_engine::links::Spelling;
use keystow_engine::model::Network;
use keystow_engine::ops::{Deliverable, Delivery, DeliveryFault, Engine};
use uuid::Uuid;

use super::accept::Answer;
use body::{PartBody, Settlement};
use conditions::Verdict;
use fault::Refusal;
use range::Wanted;

type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// Answers the requests of one download listener.
#[derive(Clone)]
pub(crate) struct Downloads {
    engine: Arc<Engine>,
    network: Network,
}

/// The longest body that is sent in one piece with its headers.
const SMALL_BYTES: u64 = 64 * 1024;

impl Downloads {
    pub(crate) fn new(engine: Arc<Engine>, network: Network) -> Self {
        Self { engine, network }
    }

    async fn deliver(&self, request: &Request<Incoming>, peer: SocketAddr) -> Result<Response<Body>, Refusal> {
        let head = match *request.method() {
            Method::GET => false,
            Method::HEAD => true,
            _ => return Err(Refusal::Method),
        };
        let uri = request.uri();
        let delivery =
            self.engine.open_link(uri.path(), uri.query().unwrap_or_default(), self.network, peer.ip()).await?;
        let part = &delivery.part;
        let etag = format!("\"{}\"", part.sha256);
        let asked = match conditions::judge(request.headers(), &etag, part.modified_at) {
            Verdict::Failed => return Err(Refusal::Precondition),
            Verdict::NotModified => return Ok(not_modified(part, &etag)),
            Verdict::Go { ranges: true } if !head => request.headers().get(RANGE),
            Verdict::Go { .. } => None,
        };
        let wanted = range::read(asked, part.size_bytes);
        let mut response = Response::new(empty());
        describe(response.headers_mut(), part, &etag);
        let (from, until) = match wanted {
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
            *response.body_mut() = self.body(delivery, from, until).await?;
        }
        Ok(response)
    }

    async fn body(&self, delivery: Delivery, from: u64, until: u64) -> Result<Body, Refusal> {
        let settlement = if delivery.counted {
            self.engine.reserve_delivery(&delivery, until - from).await?;
            Settlement::new(&self.engine, delivery.claims.remembered.as_deref(), until - from)
        } else {
            None
        };
        let length = until - from;
        if settlement.is_none()
            && length <= SMALL_BYTES
            && let Some(Ok(bytes)) = delivery.part.reader.read_now(from, usize::try_from(length).unwrap_or(0))
            && bytes.len() as u64 == length
        {
            return Ok(Full::new(bytes).map_err(|never| match never {}).boxed_unsync());
        }
        let reader = delivery.part.reader.clone();
        Ok(PartBody::new(reader, from, until, settlement).boxed_unsync())
    }
}

impl Answer for Downloads {
    type Body = Body;

    async fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        let id = Uuid::new_v4().hyphenated().to_string();
        let query = request.uri().query().unwrap_or_default();
        let mut response = match self.deliver(&request, peer).await {
            Ok(response) => response,
            Err(refusal) => {
                let spelling = Spelling::of(query);
                if let Refusal::Link(DeliveryFault::Failed(error)) = &refusal {
                    tracing::error!(request = id, %peer, code = error.code, %error, "a download failed");
                }
                let body = refusal.body(spelling, &id, request.uri().path(), self.engine.clock().now());
                let mut response = refused(&refusal, &body);
                if *request.method() != Method::HEAD {
                    *response.body_mut() = Full::new(body).map_err(|never| match never {}).boxed_unsync();
                }
                response
            }
        };
        let headers = response.headers_mut();
        if let Ok(value) = HeaderValue::try_from(id) {
            match Spelling::of(query) {
                Spelling::Native => {}
                Spelling::Oss => drop(headers.insert("x-oss-request-id", value.clone())),
                Spelling::Cos => drop(headers.insert("x-cos-request-id", value.clone())),
            }
            headers.insert("x-request-id", value);
        }
        tracing::debug!(%peer, network = %self.network, path = request.uri().path(), status = response.status().as_u16());
        response
    }
}

fn refused(refusal: &Refusal, body: &Bytes) -> Response<Body> {
    let mut response = Response::new(empty());
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
    response
}

fn not_modified(part: &Deliverable, etag: &str) -> Response<Body> {
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    let headers = response.headers_mut();
    headers.insert(ETAG, text(etag));
    headers.insert(LAST_MODIFIED, text(&conditions::http_date(part.modified_at)));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    response
}

/// The headers that every delivery of a part has, whole or not.
fn describe(headers: &mut HeaderMap, part: &Deliverable, etag: &str) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(ETAG, text(etag));
    headers.insert(LAST_MODIFIED, text(&conditions::http_date(part.modified_at)));
    // Our file names hold nothing that either form would have to escape. curl takes the first, wget the second.
    let name = &part.file_name;
    headers.insert(CONTENT_DISPOSITION, text(&format!("attachment; filename=\"{name}\"; filename*=UTF-8''{name}")));
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

fn empty() -> Body {
    Full::new(Bytes::new()).map_err(|never| match never {}).boxed_unsync()
}
