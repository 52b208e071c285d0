//! The parameters of a request, wherever it carries them: query, form, flat JSON, nested JSON.
//!
//! Rules: "Public parameters" and "Signature algorithm" of the vendor's API manual, and what its SDKs
//! do: Go sends Action in the query and in the body, JavaScript writes lists as dotted names.

mod json;

use http::Method;

use crate::canonical::{self, form, is_form, media_type, merge, peek_parameter, percent_decode, query};
use crate::vocabulary::{Fault, Request};

/// Far more than the largest request of this API.
const MAX_BODY_BYTES: usize = 1 << 20;
/// What proves who calls: to be given in one place only.
const CREDENTIALS: [&str; 3] = ["PublicKey", "Signature", "SecurityToken"];

/// The parameters of a request, each name once.
#[derive(Debug)]
pub(super) struct Parameters {
    /// Names and texts as they are signed: a nested value is one text under its outer name.
    pub(super) signed: canonical::Parameters,
    /// Names and values as they are read: a nested value is spread over dotted names, `Disks.0.Size`.
    values: canonical::Parameters,
}

impl Parameters {
    /// Reads query and body together.
    pub(super) fn read(request: &Request) -> Result<Self, Fault> {
        if request.body().len() > MAX_BODY_BYTES {
            return Err(Fault::TooLarge);
        }
        let mut all = Self { signed: merge([query(request)])?, values: canonical::Parameters::new() };
        all.values.clone_from(&all.signed);
        let body = match *request.method() {
            Method::GET | Method::POST if request.body().is_empty() => return Ok(all),
            Method::POST if is_form(request) => {
                let signed = merge([form(request)])?;
                Self { values: signed.clone(), signed }
            }
            Method::POST if is_json(request) => {
                let (signed, values) = json::read(request.body())?;
                Self { signed, values }
            }
            Method::POST => {
                return Err(Fault::MalformedRequest("the body is neither a form nor JSON".to_owned()));
            }
            Method::GET => return Err(Fault::MalformedRequest("GET has no body here".to_owned())),
            _ => return Err(Fault::MalformedRequest("the method is neither GET nor POST".to_owned())),
        };
        unite(&mut all.signed, body.signed)?;
        unite(&mut all.values, body.values)?;
        Ok(all)
    }

    /// The value of a parameter; an empty one counts as absent.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Whether a parameter is one value, neither a list nor an object.
    pub(super) fn is_single(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }
}

/// Whether the Content-Type is that of JSON.
fn is_json(request: &Request) -> bool {
    media_type(request).eq_ignore_ascii_case("application/json")
}

/// A name in both places counts once; two values for it leave open which of them was meant.
fn unite(all: &mut canonical::Parameters, more: canonical::Parameters) -> Result<(), Fault> {
    for (name, text) in more {
        if let Some(known) = all.get(&name) {
            if CREDENTIALS.contains(&name.as_str()) {
                return Err(Fault::MalformedSignature("credentials are given in two places".to_owned()));
            }
            if *known != text {
                return Err(Fault::MalformedSignature(format!("{name} differs between query and body")));
            }
        }
        all.insert(name, text);
    }
    Ok(())
}

/// Whether a parameter is there, without reading the whole request: never fails, trusts nothing.
pub(super) fn is_there(request: &Request, name: &str) -> bool {
    let quoted = format!("\"{name}\"").into_bytes();
    let start = request.body().get(..MAX_BODY_BYTES).unwrap_or(request.body());
    let in_json = || start.windows(quoted.len()).any(|window| window == quoted);
    peek_parameter(request, name).is_some() || (is_json(request) && in_json())
}

/// The action asked for, trusted or not.
pub(super) fn action(request: &Request) -> Option<String> {
    match peek_parameter(request, "Action") {
        Some(raw) => percent_decode(raw),
        None if is_json(request) && request.body().len() <= MAX_BODY_BYTES => {
            json::read(request.body()).ok()?.0.remove("Action")
        }
        None => None,
    }
}
