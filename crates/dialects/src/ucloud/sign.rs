//! Who signed a request: SHA-1 over the sorted parameters with the private key behind them.
//!
//! Rules: "Signature algorithm" in the vendor's API manual. The scheme signs neither a time nor a nonce
//! nor the method, so a request stays good for as long as its key; and it joins names and values
//! without a mark between them, so the reader of an action refuses names that only moved a boundary.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, header};

use super::parameters::{Parameters, is_there};
use crate::canonical::Parameters as Pairs;
use crate::canonical::{Workings, peek_parameter, percent_encode, same, sha1_hex};
use crate::vocabulary::{Claim, Credentials, Endpoint, Fault, Request, Secret, Verified};

/// Stands for the private key in a text that is shown.
const BLANK: &str = "<secret>";

/// Whether a request carries marks of another scheme: its credentials would stand in two places.
pub(super) fn has_other_marks(request: &Request) -> bool {
    let header = request.headers().keys().any(|name| {
        let name = name.as_str();
        name == "authorization"
            || ["x-tc-", "x-acs-", "x-auth-", "x-sdk-"].iter().any(|start| name.starts_with(start))
    });
    header || ["AccessKeyId", "SecretId"].iter().any(|name| peek_parameter(request, name).is_some())
}

/// Whether a request is signed this vendor's way, or would be if its signature were there.
pub(super) fn has_marks(request: &Request) -> bool {
    is_there(request, "PublicKey")
        && (is_there(request, "Signature") || is_there(request, "Action"))
        && !has_other_marks(request)
}

/// Reads who claims to have signed; see [`crate::Dialect::claim`].
pub(super) fn claim(request: &Request) -> Result<Claim, Fault> {
    let parameters = read(request)?;
    let token = parameters.signed.get("SecurityToken").filter(|token| !token.is_empty());
    Ok(Claim { access_key_id: field(&parameters, "PublicKey")?.to_owned(), session_token: token.cloned() })
}

/// The parameters of a request that has everything that signing in needs.
fn read(request: &Request) -> Result<Parameters, Fault> {
    if has_other_marks(request) {
        return Err(Fault::MalformedSignature("credentials are given in two places".to_owned()));
    }
    let parameters = Parameters::read(request)?;
    for name in ["Action", "PublicKey", "Signature"] {
        field(&parameters, name)?;
    }
    Ok(parameters)
}

/// A parameter that a signed request must have.
fn field<'a>(parameters: &'a Parameters, name: &'static str) -> Result<&'a str, Fault> {
    let value = parameters.signed.get(name).map(String::as_str);
    value.filter(|value| !value.is_empty()).ok_or(Fault::Unsigned(name))
}

/// Checks the signature; see [`crate::Dialect::verify`]. There is no age to check.
pub(super) fn verify(request: &Request, secret: &Secret) -> Result<Verified, Fault> {
    let parameters = read(request)?;
    let workings = work(&parameters.signed, secret);
    if !same(&workings.signature, field(&parameters, "Signature")?) {
        return Err(Fault::BadSignature { string_to_sign: workings.string_to_sign });
    }
    Ok(Verified { nonce: None, nonce_ttl: Duration::ZERO })
}

/// How the signature of a request comes about; the text shows `<secret>` in place of the private key.
pub(super) fn workings(request: &Request, secret: &Secret) -> Result<Workings, Fault> {
    Ok(work(&Parameters::read(request)?.signed, secret))
}

fn work(parameters: &Pairs, secret: &Secret) -> Workings {
    let mut text = String::new();
    for (name, value) in parameters.iter().filter(|(name, _)| *name != "Signature") {
        text.push_str(name);
        text.push_str(value);
    }
    let signature = sha1_hex(&[text.as_bytes(), secret.expose()]);
    Workings { canonical_request: None, string_to_sign: text + BLANK, signature }
}

/// Writes and signs a request: POST with a form, which every server of this API takes.
pub(super) fn signed(
    action: &'static str,
    mut parameters: Pairs,
    endpoint: &Endpoint,
    credentials: &Credentials,
) -> Result<Request, Fault> {
    parameters.insert("Action".to_owned(), action.to_owned());
    parameters.insert("PublicKey".to_owned(), credentials.access_key_id.clone());
    if let Some(token) = &credentials.session_token {
        parameters.insert("SecurityToken".to_owned(), token.clone());
    }
    let Workings { signature, .. } = work(&parameters, &credentials.secret);
    parameters.insert("Signature".to_owned(), signature);
    let pairs = parameters.iter();
    let pairs = pairs.map(|(name, value)| format!("{}={}", percent_encode(name), percent_encode(value)));
    let body: Bytes = pairs.collect::<Vec<_>>().join("&").into();
    let bad =
        |_| Fault::BadParameter { name: "endpoint".to_owned(), why: "not fit for a request".to_owned() };
    http::Request::post(format!("{}://{}/", endpoint.scheme, endpoint.authority))
        .header(header::HOST, &endpoint.authority)
        .header(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))
        .body(body)
        .map_err(bad)
}
