//! Tencent Cloud's older API, "v2": `redis.api.qcloud.com/v2/index.php`.
//!
//! Every parameter is in the query or in the form, the signature included; every answer, errors
//! included, is HTTP 200 with `code`, `message` and `codeDesc`.

mod fault;
mod sign;
mod wire;

use std::time::SystemTime;

use http::{HeaderValue, header};

use crate::canonical::{peek_parameter, percent_decode};
use crate::vocabulary::{
    Call, Claim, Credentials, Endpoint, Fault, Reply, Request, Response, Secret, Verified,
};
use crate::{Dialect, Exchange, ReadError, Workings};

/// The one path of this API.
const PATH: &str = "/v2/index.php";

/// The dialect `tencent_v2`.
#[derive(Debug, Clone, Copy)]
pub struct TencentV2;

impl Dialect for TencentV2 {
    fn name(&self) -> &'static str {
        "tencent_v2"
    }

    fn recognises(&self, request: &Request) -> bool {
        request.uri().path() == PATH
    }

    fn claim(&self, request: &Request) -> Result<Claim, Fault> {
        sign::claim(request)
    }

    fn verify(&self, request: &Request, secret: &Secret, now: SystemTime) -> Result<Verified, Fault> {
        sign::verify(request, secret, now)
    }

    fn workings(&self, request: &Request, secret: &Secret) -> Result<Vec<Workings>, Fault> {
        sign::workings(request, secret)
    }

    fn action(&self, request: &Request) -> Option<String> {
        peek_parameter(request, "Action").and_then(percent_decode)
    }

    fn decode(&self, request: &Request) -> Result<Call, Fault> {
        wire::request::decode(&sign::parameters(request)?)
    }

    fn encode(
        &self,
        request: &Request,
        _exchange: &Exchange<'_>,
        outcome: &Result<Reply, Fault>,
    ) -> Response {
        let action = self.action(request).unwrap_or_default();
        let answer = match outcome {
            Ok(reply) => wire::reply::success(reply, &action, &|| self.decode(request).ok()),
            Err(fault) => Err(fault.clone()),
        };
        let answer = answer.unwrap_or_else(|fault| wire::reply::failure(&fault::verdict(&fault, &action)));
        // HTTP 200 whatever the outcome: the Python SDK hides the body of any other.
        let mut response = Response::new(answer.to_string().into());
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
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
        sign::signed(wire::request::ask(call, &endpoint.region)?, endpoint, credentials, now, nonce)
    }

    fn read(&self, call: &Call, response: &Response) -> Result<Reply, ReadError> {
        wire::reply::read(call, response)
    }
}
