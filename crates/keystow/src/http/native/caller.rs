//! What a handler gets of a request, each with its refusal in our form.

use std::str::FromStr;

use axum::Json;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::request::Parts;
use keystow_engine::access::Principal;
use keystow_engine::{Error, Kind};
use serde::de::DeserializeOwned;

use super::Native;
use super::problem::Refusal;
use crate::api::SESSION_TOKEN_HEADER;
use crate::http::client::Client;

/// A caller that has signed in. A handler that takes none cannot reach the engine's verbs.
pub(in crate::http) struct Caller(pub(in crate::http) Principal);

impl FromRequestParts<Native> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &Native) -> Result<Self, Refusal> {
        let (id, secret) = basic(parts).ok_or_else(|| {
            Error::new(Kind::Unauthenticated, "NO_CREDENTIALS", "the request does not say who calls")
                .hint("send the access key id and secret as HTTP Basic")
        })?;
        let address = parts.extensions.get::<Client>().map(|client| client.address.ip());
        let token = parts.headers.get(SESSION_TOKEN_HEADER).map(http::HeaderValue::as_bytes);
        let who = state.engine.sign_in_with_session(&id, &secret, token, address).await?;
        Ok(Self(who.calling(address, "native")))
    }
}

/// User and password of exactly one `Authorization: Basic` header.
fn basic(parts: &Parts) -> Option<(String, Vec<u8>)> {
    let mut values = parts.headers.get_all(AUTHORIZATION).iter();
    let (value, None) = (values.next()?.to_str().ok()?, values.next()) else { return None };
    let (scheme, rest) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = STANDARD.decode(rest.trim()).ok()?;
    let colon = decoded.iter().position(|b| *b == b':')?;
    let id = String::from_utf8(decoded[..colon].to_vec()).ok()?;
    Some((id, decoded[colon + 1..].to_vec()))
}

fn unreadable(what: &'static str, cause: impl std::fmt::Display) -> Refusal {
    Error::new(Kind::Invalid, "INVALID_REQUEST", what).because(cause).into()
}

/// A JSON body.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Native> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &Native) -> Result<Self, Refusal> {
        let Json(value) = Json::<T>::from_request(request, state)
            .await
            .map_err(|rejection| unreadable("the request body cannot be read", rejection.body_text()))?;
        Ok(Self(value))
    }
}

/// A JSON body that may be left out.
pub(super) struct MaybeBody<T>(pub(super) T);

impl<T: DeserializeOwned + Default> FromRequest<Native> for MaybeBody<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &Native) -> Result<Self, Refusal> {
        use http_body::Body as _;
        if request.body().is_end_stream() {
            return Ok(Self(T::default()));
        }
        Body::from_request(request, state).await.map(|Body(value)| Self(value))
    }
}

/// A query.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Native> for Asked<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &Native) -> Result<Self, Refusal> {
        let Query(value) = Query::<T>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| unreadable("the query cannot be read", rejection.body_text()))?;
        Ok(Self(value))
    }
}

/// The one name in the path, parsed.
pub(super) struct Named<T>(pub(super) T);

impl<T: FromStr<Err: std::fmt::Display>> FromRequestParts<Native> for Named<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &Native) -> Result<Self, Refusal> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| unreadable("the path cannot be read", rejection.body_text()))?;
        text.parse().map(Self).map_err(|error| unreadable("the name in the path is not valid", error))
    }
}
