//! `UCloud`: the backup part of `URedis` (primary and replica) and `UMem` (distributed).
//!
//! One URL for every action; requests are a form, JSON or a query, signed with SHA-1 over their
//! parameters. Every answer, errors included, is HTTP 200 with a `RetCode`.

mod fault;
mod parameters;
mod sign;
mod wire;

use std::time::SystemTime;

use http::{HeaderValue, header};

use self::parameters::Parameters;
use crate::vocabulary::{
    Call, Claim, Credentials, Endpoint, Fault, Reply, Request, Response, Secret, Verified,
};
use crate::{Dialect, Exchange, ReadError, Workings};

/// Header of the request's id; the SDKs show it in logs and errors.
const REQUEST_ID: &str = "x-ucloud-request-uuid";

/// The dialect `ucloud`.
#[derive(Debug, Clone, Copy)]
pub struct Ucloud;

impl Dialect for Ucloud {
    fn name(&self) -> &'static str {
        "ucloud"
    }

    /// Any path is taken: the SDKs keep the one of their base URL.
    fn recognises(&self, request: &Request) -> bool {
        sign::has_marks(request)
    }

    fn claim(&self, request: &Request) -> Result<Claim, Fault> {
        sign::claim(request)
    }

    fn verify(&self, request: &Request, secret: &Secret, _now: SystemTime) -> Result<Verified, Fault> {
        sign::verify(request, secret)
    }

    /// The signed text ends in the private key; `<secret>` stands in its place.
    fn workings(&self, request: &Request, secret: &Secret) -> Result<Vec<Workings>, Fault> {
        Ok(vec![sign::workings(request, secret)?])
    }

    fn action(&self, request: &Request) -> Option<String> {
        parameters::action(request).filter(|action| !action.is_empty())
    }

    fn decode(&self, request: &Request) -> Result<Call, Fault> {
        let action = self.action(request).ok_or(Fault::Unsigned("Action"))?;
        wire::request::decode(action, &Parameters::read(request)?)
    }

    fn encode(&self, request: &Request, exchange: &Exchange<'_>, outcome: &Result<Reply, Fault>) -> Response {
        let action = self.action(request);
        let parameters = Parameters::read(request);
        let answer = match (outcome, &parameters) {
            (Ok(reply), Ok(parameters)) => wire::reply::success(reply, action.as_deref(), parameters),
            (Ok(_), Err(fault)) | (Err(fault), _) => Err(fault.clone()),
        };
        let body = match answer {
            Ok(members) => wire::reply::envelope(members, action.as_deref()),
            Err(fault) => wire::reply::failure(&fault::verdict(&fault, action.as_deref()), action.as_deref()),
        };
        let mut response = Response::new(body.to_string().into());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Ok(value) = HeaderValue::from_str(exchange.request_id) {
            headers.insert(REQUEST_ID, value);
        }
        response
    }

    fn ask(
        &self,
        call: &Call,
        endpoint: &Endpoint,
        credentials: &Credentials,
        _now: SystemTime,
        _nonce: &str,
    ) -> Result<Request, Fault> {
        let (action, parameters) = wire::ask::ask(call, &endpoint.region)?;
        sign::signed(action, parameters, endpoint, credentials)
    }

    fn read(&self, call: &Call, response: &Response) -> Result<Reply, ReadError> {
        let id = response.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok());
        wire::read::read(call, response, id)
    }
}
