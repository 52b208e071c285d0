//! Tencent Cloud API 3.0: service `redis`, version 2018-04-12.
//!
//! Requests are signed with TC3-HMAC-SHA256 or the older signature v1; every answer, errors
//! included, is HTTP 200 with one JSON envelope.

mod fault;
mod sign;
mod wire;

use std::time::SystemTime;

use http::{HeaderName, HeaderValue, header};

pub use fault::NEVER_RAISED;

use crate::canonical::{peek_header, peek_parameter, percent_decode};
use crate::vocabulary::{
    Call, Claim, Credentials, Endpoint, Fault, Reply, Request, Response, Secret, Verified,
};
use crate::{Dialect, Exchange, ReadError, Workings};

const VERSION: &str = "2018-04-12";
const ACTION: HeaderName = HeaderName::from_static("x-tc-action");
const VERSION_HEADER: HeaderName = HeaderName::from_static("x-tc-version");
const REGION: HeaderName = HeaderName::from_static("x-tc-region");
const LANGUAGE: HeaderName = HeaderName::from_static("x-tc-language");

/// Actions of the vendor's backup chapter, and the ones around it, that this server does not do yet.
const NOT_YET: [&str; 7] = [
    "CloneInstances",
    "ModifyInstanceBackupMode",
    "DescribeBackupEncryptConfig",
    "ModifyBackupEncrypt",
    "DescribeSecondLevelBackupInfo",
    "CreateExportTask",
    "DescribeExportTasks",
];

/// The dialect `tencent_v3`.
#[derive(Debug, Clone, Copy)]
pub struct TencentV3;

impl Dialect for TencentV3 {
    fn name(&self) -> &'static str {
        "tencent_v3"
    }

    fn recognises(&self, request: &Request) -> bool {
        let signed = || {
            sign::Scheme::of(request) == sign::Scheme::Tc3 || peek_parameter(request, "SecretId").is_some()
        };
        let unsigned = || {
            request.headers().keys().any(|name| name.as_str().starts_with("x-tc-"))
                || (peek_parameter(request, "Action").is_some()
                    && peek_parameter(request, "Version") == Some(VERSION.as_bytes()))
        };
        // The older API of this vendor, with the same parameters, lives at /v2/index.php.
        request.uri().path() == "/" && (signed() || unsigned())
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
        Common::of(request).value(&ACTION, "Action")
    }

    fn decode(&self, request: &Request) -> Result<Call, Fault> {
        let missing = |name: &str| Fault::MissingParameter(name.to_owned());
        let common = Common::of(request);
        let action = common.value(&ACTION, "Action").ok_or_else(|| missing("Action"))?;
        match common.value(&VERSION_HEADER, "Version") {
            None => return Err(missing("Version")),
            Some(version) if version != VERSION => return Err(Fault::UnknownVersion(version)),
            Some(_) => {}
        }
        let region = common.value(&REGION, "Region").filter(|region| !region.is_empty());
        wire::request::decode(action, region, request)
    }

    fn encode(&self, request: &Request, exchange: &Exchange<'_>, outcome: &Result<Reply, Fault>) -> Response {
        let common = Common::of(request);
        let action = common.value(&ACTION, "Action");
        let name = action.as_deref().unwrap_or_default();
        let chinese = common.value(&LANGUAGE, "Language").is_some_and(|language| language == "zh-CN");
        let answer = match outcome {
            Ok(reply) => {
                let call = || self.decode(request).ok();
                wire::reply::success(reply, name, &call, chinese, exchange.request_id)
            }
            Err(fault) => Err(fault.clone()),
        };
        let envelope = answer.unwrap_or_else(|fault| {
            let verdict = fault::verdict(&fault, name, request, chinese);
            wire::reply::failure(&verdict, exchange.request_id)
        });
        // HTTP 200 whatever the outcome, and no charset: the Python SDK looks for an error only
        // under exactly this type.
        let mut response = Response::new(envelope.into());
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }

    fn ask(
        &self,
        call: &Call,
        endpoint: &Endpoint,
        credentials: &Credentials,
        now: SystemTime,
        _nonce: &str,
    ) -> Result<Request, Fault> {
        let asked = wire::request::ask(call)?;
        let region = asked.region.unwrap_or(&endpoint.region);
        sign::signed(asked.action, region, asked.body, endpoint, credentials, now)
    }

    fn read(&self, call: &Call, response: &Response) -> Result<Reply, ReadError> {
        wire::reply::read(call, response)
    }
}

/// The common parameters of a request: headers beside TC3, parameters of the same request beside signature v1.
struct Common<'a> {
    request: &'a Request,
    scheme: sign::Scheme,
}

impl<'a> Common<'a> {
    fn of(request: &'a Request) -> Self {
        Self { request, scheme: sign::Scheme::of(request) }
    }

    fn value(&self, in_header: &HeaderName, in_parameters: &str) -> Option<String> {
        let header = || peek_header(self.request, in_header).map(|value| value.trim().to_owned());
        let parameter = || peek_parameter(self.request, in_parameters).and_then(percent_decode);
        match self.scheme {
            sign::Scheme::Tc3 => header(),
            sign::Scheme::V1 => parameter(),
            sign::Scheme::Unsigned => header().or_else(parameter),
        }
    }
}
