//! Errors as problem documents (RFC 9457).

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use keystow_engine::{Error, Kind};
use uuid::Uuid;

use crate::api::Problem;
use crate::http::dialects::{is_ours, title};

/// An engine's error on its way out.
pub(in crate::http) struct Refusal(Error);

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

/// Result of a handler.
pub(super) type Answer<T> = Result<T, Refusal>;

fn status(error: &Error) -> StatusCode {
    match error.kind {
        Kind::Invalid => StatusCode::BAD_REQUEST,
        Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        // What a source or target refuses is not refused by us.
        Kind::Denied | Kind::Unreachable if is_of_a_server(error.code) => StatusCode::BAD_GATEWAY,
        Kind::Denied => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::Unreachable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::NoSpace => StatusCode::INSUFFICIENT_STORAGE,
        Kind::Cancelled | Kind::Corrupt | Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Whether a server that this one asks is meant, such as a Redis or Valkey, not this service.
fn is_of_a_server(code: &str) -> bool {
    ["SOURCE_", "TARGET_", "WEBHOOK_"].iter().any(|start| code.starts_with(start))
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let error = self.0;
        let request_id = Uuid::new_v4().hyphenated().to_string();
        if is_ours(&error) {
            tracing::error!(request = request_id, code = error.code, %error, "a request failed");
        }
        let status = status(&error);
        let mut response = written(
            status,
            &Problem {
                kind: "about:blank".to_owned(),
                title: title(status).to_owned(),
                status: status.as_u16(),
                detail: error.message.into_owned(),
                code: error.code.to_owned(),
                cause: error.cause,
                hint: error.hint.map(std::borrow::Cow::into_owned),
                request_id,
            },
        );
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("2"));
        }
        if status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Basic realm=\"keystow\", charset=\"UTF-8\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

fn written(status: StatusCode, problem: &Problem) -> Response {
    let body = serde_json::to_vec(problem).unwrap_or_default();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    response
}

/// The answer to a request that is nobody's.
pub(in crate::http) fn unknown_route(request_id: &str, path: &str) -> Response {
    let path: String = path.chars().take(200).collect();
    let hint = "the native API is under /api/v1; a vendor's request carries that vendor's marks";
    let detail = format!("nothing is served at {path}");
    nobodys(request_id, StatusCode::NOT_FOUND, "UNKNOWN_ROUTE", detail, hint)
}

/// The answer to a request whose body was not read to its end, so that nothing tells whose it is.
pub(in crate::http) fn too_large(request_id: &str) -> Response {
    let detail = "the request's body is too large".to_owned();
    nobodys(request_id, StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE", detail, "see limits.body_bytes")
}

/// The answer to a request whose body did not arrive in time.
pub(in crate::http) fn too_slow(request_id: &str) -> Response {
    let detail = "the request's body did not arrive in time".to_owned();
    nobodys(request_id, StatusCode::REQUEST_TIMEOUT, "BODY_TOO_SLOW", detail, "see limits.idle_timeout")
}

fn nobodys(
    request_id: &str,
    status: StatusCode,
    code: &'static str,
    detail: String,
    hint: &'static str,
) -> Response {
    written(
        status,
        &Problem {
            kind: "about:blank".to_owned(),
            title: title(status).to_owned(),
            status: status.as_u16(),
            detail,
            code: code.to_owned(),
            cause: None,
            hint: Some(hint.to_owned()),
            request_id: request_id.to_owned(),
        },
    )
}
