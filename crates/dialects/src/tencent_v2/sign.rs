//! Who signed a request: `HmacSHA1` or `HmacSHA256` over its own parameters.
//!
//! Rules: "Signature" of API v2 in the vendor's documentation, and what its Python and Node.js SDKs
//! do. Values are decoded and joined without escaping them.

use std::borrow::Cow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{HeaderValue, Method};

use super::PATH;
use crate::canonical::{
    Parameters, Workings, apart, form, header, hmac_sha1, hmac_sha256, host_spellings, is_form, merge,
    percent_encode, query, same, sha256_hex, without_secrets,
};
use crate::vocabulary::{Claim, Credentials, Endpoint, Fault, Request, Secret, Verified};

/// How far a request's time may be from the server's, ends included.
const WINDOW: Duration = Duration::from_mins(5);
/// Clocks may differ by the window on both sides.
const NONCE_TTL: Duration = Duration::from_mins(10);
/// Parameters whose value may have been left out of the signature: a text for a person, no more.
const FREE_TEXTS: [&str; 1] = ["remark"];
/// Parameters that are secrets themselves.
const SECRETS: [&str; 2] = ["password", "Token"];

/// The parameters of a request: the query of a GET, the form of a POST.
pub(super) fn parameters(request: &Request) -> Result<Parameters, Fault> {
    merge([if request.method() == Method::GET { query(request) } else { form(request) }])
}

/// Reads who claims to have signed; see [`crate::Dialect::claim`].
pub(super) fn claim(request: &Request) -> Result<Claim, Fault> {
    check_shape(request)?;
    claim_of(&parameters(request)?)
}

fn claim_of(parameters: &Parameters) -> Result<Claim, Fault> {
    for name in ["Action", "Timestamp", "Nonce", "Signature"] {
        field(parameters, name)?;
    }
    Ok(Claim {
        access_key_id: field(parameters, "SecretId")?.to_owned(),
        session_token: parameters.get("Token").filter(|token| !token.is_empty()).cloned(),
    })
}

/// No signature may leave anything open that is read later: path, method and body are settled here.
fn check_shape(request: &Request) -> Result<(), Fault> {
    let malformed = |why: &str| Err(Fault::MalformedRequest(why.to_owned()));
    if request.headers().contains_key("authorization") {
        return Err(Fault::MalformedSignature("credentials are given in two places".to_owned()));
    }
    match *request.method() {
        _ if request.uri().path() != PATH => malformed("the path of this API is /v2/index.php"),
        Method::GET if !request.body().is_empty() => malformed("a GET has no body"),
        Method::POST if !query(request).is_empty() || !is_form(request) => {
            malformed("a POST has a form and no query")
        }
        Method::GET | Method::POST => Ok(()),
        _ => malformed("the method is neither GET nor POST"),
    }
}

/// Longer than any number that a client draws; both are kept for as long as a copy could be sent.
const LONGEST_NUMBER: usize = 64;

/// A parameter that a signed request must have.
fn field<'a>(parameters: &'a Parameters, name: &'static str) -> Result<&'a str, Fault> {
    parameters.get(name).map(String::as_str).filter(|value| !value.is_empty()).ok_or(Fault::Unsigned(name))
}

/// Checks signature and age; see [`crate::Dialect::verify`].
pub(super) fn verify(request: &Request, secret: &Secret, now: SystemTime) -> Result<Verified, Fault> {
    check_shape(request)?;
    let parameters = parameters(request)?;
    let claim = claim_of(&parameters)?;
    let (timestamp, nonce) = (field(&parameters, "Timestamp")?, field(&parameters, "Nonce")?);
    if nonce.len() > LONGEST_NUMBER || timestamp.len() > LONGEST_NUMBER {
        return Err(Fault::BadParameter { name: "Nonce".to_owned(), why: "is too long".to_owned() });
    }
    check_age(timestamp, now)?;
    let signature = field(&parameters, "Signature")?;
    let mut readings = readings(request, &parameters, secret)?;
    let usual = readings.next().ok_or(Fault::Internal)?;
    let good = same(&usual.signature, signature) || readings.any(|other| same(&other.signature, signature));
    if !good {
        let string_to_sign = without_secrets(&usual.string_to_sign, &parameters, &SECRETS);
        return Err(Fault::BadSignature { string_to_sign });
    }
    // One SDK draws its nonce from 65,536 numbers: alone it would repeat itself too soon.
    let nonce = format!("{} {timestamp} {nonce}", claim.access_key_id);
    Ok(Verified { nonce: Some(nonce), nonce_ttl: NONCE_TTL })
}

fn check_age(timestamp: &str, now: SystemTime) -> Result<(), Fault> {
    let digits = timestamp.bytes().all(|byte| byte.is_ascii_digit());
    let seconds: Option<u64> = timestamp.parse().ok().filter(|_| digits);
    let signed_at = seconds
        .and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds)))
        .ok_or(Fault::MalformedTime)?;
    if apart(signed_at, now) > WINDOW { Err(Fault::Stale) } else { Ok(()) }
}

/// How the signature of a request comes about with a secret: one entry for each accepted reading.
pub(super) fn workings(request: &Request, secret: &Secret) -> Result<Vec<Workings>, Fault> {
    Ok(readings(request, &parameters(request)?, secret)?.collect())
}

/// Every accepted reading, the usual one first: which values are signed, how names with an underscore
/// are written and sorted, and how the host is spelt.
fn readings<'a>(
    request: &'a Request,
    parameters: &Parameters,
    secret: &'a Secret,
) -> Result<impl Iterator<Item = Workings> + use<'a>, Fault> {
    // Anything else than the one name means the older hash.
    let is_sha256 = parameters.get("SignatureMethod").is_some_and(|method| method == "HmacSHA256");
    let hmac = if is_sha256 { hmac_sha256 } else { hmac_sha1 };
    header(request, "host")?;
    let signed = || parameters.iter().filter(|(name, _)| *name != "Signature");
    let mut texts = vec![by_python(signed()), by_node(signed())];
    // By POST both SDKs take a value that begins so for a file, and leave it out of what they sign.
    let is_file = |value: &str| request.method() == Method::POST && value.starts_with('@');
    let mut files = signed().filter(|(_, value)| is_file(value)).peekable();
    if files.peek().is_some() && files.all(|(name, _)| FREE_TEXTS.contains(&name.as_str())) {
        texts.push(by_python(signed().filter(|(_, value)| !is_file(value))));
        texts.push(by_node(signed().filter(|(_, value)| !is_file(value))));
    }
    texts.dedup();
    let hosts: Vec<_> = host_spellings(request).collect();
    Ok(texts.into_iter().flat_map(move |text| {
        let with_host = |host: &Cow<'_, str>| {
            let string_to_sign = format!("{}{host}{PATH}?{text}", request.method());
            let signature = BASE64.encode(hmac(secret.expose(), string_to_sign.as_bytes()));
            Workings { canonical_request: None, string_to_sign, signature }
        };
        hosts.iter().map(with_host).collect::<Vec<_>>()
    }))
}

type Pair<'a> = (&'a String, &'a String);

/// The Python SDK writes every underscore of a name as a dot, then sorts.
fn by_python<'a>(pairs: impl Iterator<Item = Pair<'a>>) -> String {
    let mut pairs: Vec<_> = pairs.map(|(name, value)| (name.replace('_', "."), value)).collect();
    pairs.sort_by(|(one, _), (other, _)| one.cmp(other));
    joined(pairs.iter().map(|(name, value)| (name.as_str(), *value)))
}

/// The Node.js SDK sorts first, and leaves a name alone that begins with an underscore.
fn by_node<'a>(pairs: impl Iterator<Item = Pair<'a>>) -> String {
    let written = |name: &String| if name.starts_with('_') { name.clone() } else { name.replace('_', ".") };
    let pairs: Vec<_> = pairs.map(|(name, value)| (written(name), value)).collect();
    joined(pairs.iter().map(|(name, value)| (name.as_str(), *value)))
}

fn joined<'a>(pairs: impl Iterator<Item = (&'a str, &'a String)>) -> String {
    pairs.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// Writes and signs a request: POST with `HmacSHA256`, and no value that could be left out.
pub(super) fn signed(
    mut parameters: Parameters,
    endpoint: &Endpoint,
    credentials: &Credentials,
    now: SystemTime,
    nonce: &str,
) -> Result<Request, Fault> {
    let bad = |name: &str, why: &str| Fault::BadParameter { name: name.to_owned(), why: why.to_owned() };
    let seconds = now.duration_since(UNIX_EPOCH).map_err(|_| bad("Timestamp", "is before 1970"))?.as_secs();
    let common = [
        ("Nonce", number(nonce).to_string()),
        ("SecretId", credentials.access_key_id.clone()),
        ("SignatureMethod", "HmacSHA256".to_owned()),
        ("Timestamp", seconds.to_string()),
    ];
    let token = credentials.session_token.clone().filter(|token| !token.is_empty());
    let token = token.map(|token| ("Token", token));
    parameters.extend(common.into_iter().chain(token).map(|(name, value)| (name.to_owned(), value)));
    if let Some((name, _)) = parameters.iter().find(|(_, value)| value.starts_with('@')) {
        return Err(bad(name, "must not begin with @"));
    }
    let target = format!("{}://{}{PATH}", endpoint.scheme, endpoint.authority);
    let mut request =
        http::Request::post(target).body(bytes::Bytes::new()).map_err(|_| bad("endpoint", "is none"))?;
    let host = HeaderValue::from_str(&endpoint.authority).map_err(|_| bad("endpoint", "is none"))?;
    request.headers_mut().insert(http::header::HOST, host);
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    request.headers_mut().insert(http::header::CONTENT_TYPE, form);
    let usual = readings(&request, &parameters, &credentials.secret)?.next().ok_or(Fault::Internal)?;
    parameters.insert("Signature".to_owned(), usual.signature);
    let pairs: Vec<_> = parameters
        .iter()
        .map(|(name, value)| format!("{}={}", percent_encode(name), percent_encode(value)))
        .collect();
    *request.body_mut() = pairs.join("&").into();
    Ok(request)
}

/// The vendor's nonce is a positive number.
fn number(nonce: &str) -> u64 {
    let digits = sha256_hex(nonce.as_bytes());
    digits.get(..15).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or_default().max(1)
}
