//! Huawei Cloud: one host that speaks DDS v3, `GeminiDB` v3, v3.1 and v4, DCS v2, and the look-ups of
//! IAM that the SDKs make.
//!
//! Requests are signed in the Authorization header or show a token; what is asked for is in the path.

mod fault;
mod route;
mod sign;
mod token;
mod wire;

use std::time::SystemTime;

use http::{HeaderName, HeaderValue, StatusCode, header};

use self::route::{Action, Route};
use self::token::Login;
use crate::canonical::{header as one_header, peek_header};
use crate::vocabulary::{
    Call, Claim, Credentials, Endpoint, Fault, Reply, Request, Response, Secret, Verified,
};
use crate::{Dialect, Exchange, ReadError, Workings};

/// Where every path of the vendor's versions begins.
const VERSIONS: [&str; 5] = ["/v2/", "/v3/", "/v3.0/", "/v3.1/", "/v4/"];
/// A path of another vendor.
const NOT_OURS: &str = "/v2/index.php";
/// A path of the server's own API.
const NATIVE: &str = "/api/";
/// Seconds that a throttled client is told to wait.
const RETRY_AFTER: &str = "1";

/// The dialect `huawei`.
#[derive(Debug, Clone, Copy)]
pub struct Huawei;

impl Dialect for Huawei {
    fn name(&self) -> &'static str {
        "huawei"
    }

    fn recognises(&self, request: &Request) -> bool {
        let path = request.uri().path();
        if path == NOT_OURS || path.starts_with(NATIVE) {
            return false;
        }
        path == "/v3" || VERSIONS.iter().any(|start| path.starts_with(start)) || sign::has_marks(request)
    }

    fn open_answer(&self, request: &Request, exchange: &Exchange<'_>) -> Option<Response> {
        let answer = wire::iam::versions(Route::of(request).ok()?.action)?;
        Some(respond(answer, exchange))
    }

    fn bearer(&self, request: &Request) -> Result<Option<Secret>, Fault> {
        // A path that does not exist is told even to a caller who is not known.
        if Route::of(request)?.action == Action::IssueToken || sign::Scheme::of(request).is_some() {
            return Ok(None);
        }
        let token = one_header(request, "x-auth-token")?.filter(|token| !token.is_empty());
        Ok(token.map(|token| Secret::new(token.as_bytes())))
    }

    fn claim(&self, request: &Request) -> Result<Claim, Fault> {
        match Route::of(request)?.action {
            Action::IssueToken => Login::read(request).map(Login::claim),
            _ => sign::claim(request),
        }
    }

    fn verify(&self, request: &Request, secret: &Secret, now: SystemTime) -> Result<Verified, Fault> {
        match Route::of(request)?.action {
            Action::IssueToken => Login::read(request)?.verify(secret),
            _ => sign::verify(request, secret, now),
        }
    }

    fn workings(&self, request: &Request, secret: &Secret) -> Result<Vec<Workings>, Fault> {
        sign::workings(request, secret)
    }

    fn action(&self, request: &Request) -> Option<String> {
        Route::of(request).ok().map(|route| route.action.name().to_owned())
    }

    fn decode(&self, request: &Request) -> Result<Call, Fault> {
        wire::request::decode(request, Route::of(request)?)
    }

    fn encode(&self, request: &Request, exchange: &Exchange<'_>, outcome: &Result<Reply, Fault>) -> Response {
        let route = Route::of(request).ok();
        let answer = match (outcome, &route) {
            (Ok(reply), Some(route)) => wire::reply::success(reply, route, request),
            (Ok(_), None) => Err(Fault::Internal),
            (Err(fault), _) => Err(fault.clone()),
        };
        answer.map_or_else(
            |fault| {
                let verdict = fault::verdict(&fault, route.map(|route| route.action), request, exchange.now);
                let mut response = respond(verdict.answer(&request_id(exchange)), exchange);
                if verdict.status == StatusCode::TOO_MANY_REQUESTS {
                    let value = HeaderValue::from_static(RETRY_AFTER);
                    response.headers_mut().insert(header::RETRY_AFTER, value);
                }
                response
            },
            |answer| respond(answer, exchange),
        )
    }

    fn ask(
        &self,
        call: &Call,
        endpoint: &Endpoint,
        credentials: &Credentials,
        now: SystemTime,
        _nonce: &str,
    ) -> Result<Request, Fault> {
        let asked = wire::request::ask(call, endpoint)?;
        sign::signed(asked.request, &asked.project, endpoint, credentials, now)
    }

    fn read(&self, call: &Call, response: &Response) -> Result<Reply, ReadError> {
        wire::reply::read(call, response)
    }
}

/// The vendor's form of the request's id: 32 hex digits.
fn request_id(exchange: &Exchange<'_>) -> String {
    exchange.request_id.replace('-', "")
}

/// Messages are in Chinese where the caller asks for it; another language is the default one.
fn wants_chinese(request: &Request) -> bool {
    peek_header(request, "x-language").is_some_and(|language| language.trim().eq_ignore_ascii_case("zh-cn"))
}

/// No redirects, and no type but JSON: the SDKs take both amiss.
fn respond(answer: wire::Answer, exchange: &Exchange<'_>) -> Response {
    let body = answer.body.as_ref().map(ToString::to_string);
    let mut headers = vec![(HeaderName::from_static("x-request-id"), request_id(exchange))];
    headers.extend(body.as_ref().map(|_| (header::CONTENT_TYPE, "application/json".to_owned())));
    headers.extend(answer.token.map(|token| (HeaderName::from_static("x-subject-token"), token)));
    let mut response = Response::new(body.unwrap_or_default().into());
    *response.status_mut() = answer.status;
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
