//! Alibaba Cloud: `ApsaraDB` for Redis / Tair, product R-kvstore, version 2015-01-01.
//!
//! Requests are signed in their parameters (V1) or in their headers (V3); answers are JSON or XML.

mod fault;
mod sign;
mod wire;

use std::time::SystemTime;

use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::canonical::{host, peek_header, peek_parameter, percent_decode};
use crate::vocabulary::{
    Call, Claim, Credentials, Endpoint, Fault, Reply, Request, Response, Secret, Verified,
};
use crate::{Dialect, Exchange, ReadError, Workings};

const VERSION: &str = "2015-01-01";

/// The dialect `alibaba`.
#[derive(Debug, Clone, Copy)]
pub struct Alibaba;

impl Dialect for Alibaba {
    fn name(&self) -> &'static str {
        "alibaba"
    }

    fn recognises(&self, request: &Request) -> bool {
        let parameter = |name| peek_parameter(request, name);
        let signed = || {
            sign::has_v3_authorization(request)
                || (parameter("AccessKeyId").is_some()
                    && (parameter("SignatureMethod").is_some() || parameter("SignatureVersion").is_some()))
        };
        let unsigned = || {
            peek_header(request, "x-acs-version").is_some_and(|version| version == VERSION)
                || (parameter("Action").is_some() && parameter("Version") == Some(VERSION.as_bytes()))
        };
        request.uri().path() == "/" && (signed() || unsigned())
    }

    fn claim(&self, request: &Request) -> Result<Claim, Fault> {
        sign::claim(request)
    }

    fn verify(&self, request: &Request, secret: &Secret, now: SystemTime) -> Result<Verified, Fault> {
        sign::verify(request, secret, now)
    }

    fn workings(&self, request: &Request, secret: &Secret) -> Result<Vec<Workings>, Fault> {
        Ok(vec![sign::workings(request, secret)?])
    }

    fn action(&self, request: &Request) -> Option<String> {
        match sign::Scheme::of(request) {
            sign::Scheme::Headers => {
                peek_header(request, "x-acs-action").map(|action| action.trim().to_owned())
            }
            sign::Scheme::Parameters => peek_parameter(request, "Action").and_then(percent_decode),
        }
    }

    fn decode(&self, request: &Request) -> Result<Call, Fault> {
        let action = self.action(request).ok_or_else(|| Fault::MissingParameter("Action".to_owned()))?;
        let parameters = sign::parameters(request)?;
        let version = match sign::Scheme::of(request) {
            sign::Scheme::Headers => peek_header(request, "x-acs-version").map(str::trim),
            sign::Scheme::Parameters => parameters.get("Version").map(String::as_str),
        };
        match version {
            Some(VERSION) => wire::request::decode(action, &parameters),
            Some(other) => Err(Fault::UnknownVersion(other.to_owned())),
            None => Err(Fault::MissingParameter("Version".to_owned())),
        }
    }

    fn encode(&self, request: &Request, exchange: &Exchange<'_>, outcome: &Result<Reply, Fault>) -> Response {
        let request_id = exchange.request_id.to_uppercase();
        let action = self.action(request);
        let answer = match outcome {
            Ok(reply) => {
                let asked = action.as_deref().unwrap_or_default();
                wire::reply::success(reply, asked, request, exchange.now)
            }
            Err(fault) => Err(fault.clone()),
        };
        let (status, root, mut answer) = match answer {
            Ok(answer) => {
                (StatusCode::OK, format!("{}Response", action.as_deref().unwrap_or_default()), answer)
            }
            Err(fault) => {
                let verdict = fault::verdict(&fault, action.as_deref(), request);
                let (status, answer) = wire::reply::failure(&verdict, host(request));
                (status, "Error".to_owned(), answer)
            }
        };
        answer["RequestId"] = request_id.as_str().into();
        // The header carries the only XML Content-Type that the vendor's SDKs parse errors from.
        let (content_type, body) = if wants_json(request) {
            ("application/json;charset=utf-8", answer.to_string().into_bytes())
        } else {
            ("text/xml;charset=utf-8", wire::xml::write(&root, &answer))
        };
        let mut response = Response::new(body.into());
        *response.status_mut() = status;
        let headers: &mut HeaderMap = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        if let Ok(value) = HeaderValue::from_str(&request_id) {
            headers.insert("x-acs-request-id", value);
        }
        response
    }

    fn ask(
        &self,
        call: &Call,
        endpoint: &Endpoint,
        credentials: &Credentials,
        now: SystemTime,
        nonce: &str,
    ) -> Result<Request, Fault> {
        let (action, parameters) = wire::ask::ask(call, &endpoint.region)?;
        sign::signed(action, &parameters, endpoint, credentials, now, nonce)
    }

    fn read(&self, call: &Call, response: &Response) -> Result<Reply, ReadError> {
        wire::read::read(call, response)
    }
}

/// V3 is always answered in JSON; V1 in what `Format` says, and XML is its default. Read without
/// checking anything else, so that a request that fails to sign in hears so in its own format.
fn wants_json(request: &Request) -> bool {
    sign::Scheme::of(request) == sign::Scheme::Headers
        || peek_parameter(request, "Format").is_some_and(|format| format.eq_ignore_ascii_case(b"JSON"))
}
