//! Who signed a request: the query signature (V1, HMAC-SHA1) and the header signature (V3,
//! ACS3-HMAC-SHA256), checked and made.
//!
//! Rules: "Request signature" of the RPC style and "V3 request body and signature" in the vendor's
//! API reference. Neither signs the raw query: SDKs write blanks and `! ' ( ) *` differently on the
//! wire, so names and values are decoded and encoded again.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue, Method};
use jiff::tz::Offset;

use super::VERSION;
use crate::canonical::{
    Authorization, Parameters, Workings, apart, form, header, hex, hmac_sha1, hmac_sha256, merge, moment,
    peek_header, peek_parameter, percent_encode, query, read_calendar, same, sha256_hex, write_calendar,
};
use crate::vocabulary::{Claim, Credentials, Endpoint, Fault, Request, Secret, Verified};

const ALGORITHM: &str = "ACS3-HMAC-SHA256";
/// How far a request's time may be from the server's, ends included ("Common error codes").
const WINDOW: Duration = Duration::from_mins(15);
/// Clocks may differ by the window on both sides, so a nonce lives twice as long.
const NONCE_TTL: Duration = Duration::from_mins(30);
const MAX_NONCE_BYTES: usize = 256;
/// Headers that must be among the signed ones, beside every other `x-acs-*` that is present.
const SIGNED_ALWAYS: [&str; 6] =
    ["host", "x-acs-action", "x-acs-version", "x-acs-date", "x-acs-signature-nonce", "x-acs-content-sha256"];

/// Where a request carries its signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    /// In parameters (V1).
    Parameters,
    /// In headers (V3).
    Headers,
}

impl Scheme {
    /// The scheme that a request uses or, when it is not signed, would use.
    pub(super) fn of(request: &Request) -> Self {
        let in_headers = has_v3_authorization(request)
            || !["AccessKeyId", "Signature", "Action"]
                .iter()
                .any(|name| peek_parameter(request, name).is_some());
        if in_headers { Self::Headers } else { Self::Parameters }
    }
}

/// Whether the Authorization header is one of the V3 family, supported or not.
pub(super) fn has_v3_authorization(request: &Request) -> bool {
    peek_header(request, AUTHORIZATION).is_some_and(|text| text.starts_with("ACS3-"))
}

/// The parameters of query and form together.
pub(super) fn parameters(request: &Request) -> Result<Parameters, Fault> {
    merge([query(request), form(request)])
}

/// Reads who claims to have signed; see [`crate::Dialect::claim`].
pub(super) fn claim(request: &Request) -> Result<Claim, Fault> {
    check_shape(request)?;
    let parameters = parameters(request)?;
    match Scheme::of(request) {
        Scheme::Parameters => claim_by_parameters(request, &parameters),
        Scheme::Headers => claim_by_headers(request, &parameters),
    }
}

/// The signature covers neither another path nor a body that is no form.
fn check_shape(request: &Request) -> Result<(), Fault> {
    if request.uri().path() != "/" {
        return Err(Fault::MalformedRequest("the path of this API is /".to_owned()));
    }
    if request.method() != Method::GET && request.method() != Method::POST {
        return Err(Fault::MalformedRequest("the method is neither GET nor POST".to_owned()));
    }
    if !request.body().is_empty() && form(request).is_empty() {
        return Err(Fault::MalformedRequest("the body is not a form".to_owned()));
    }
    Ok(())
}

fn twice() -> Fault {
    Fault::MalformedSignature("credentials are given in two places".to_owned())
}

fn unknown_method() -> Fault {
    Fault::BadParameter {
        name: "SignatureMethod".to_owned(),
        why: "HMAC-SHA1 and ACS3-HMAC-SHA256 are supported".to_owned(),
    }
}

/// A parameter that a signed request must have.
fn field<'a>(parameters: &'a Parameters, name: &'static str) -> Result<&'a str, Fault> {
    parameters.get(name).map(String::as_str).filter(|value| !value.is_empty()).ok_or(Fault::Unsigned(name))
}

fn claim_by_parameters(request: &Request, parameters: &Parameters) -> Result<Claim, Fault> {
    for elsewhere in ["authorization", "x-acs-accesskey-id", "x-acs-security-token"] {
        if request.headers().contains_key(elsewhere) {
            return Err(twice());
        }
    }
    field(parameters, "Action")?;
    field(parameters, "Version")?;
    let access_key_id = field(parameters, "AccessKeyId")?;
    for name in ["Signature", "SignatureNonce", "SignatureVersion", "Timestamp"] {
        field(parameters, name)?;
    }
    // An empty SignatureType is what the older Python SDK sends; PRIVATEKEY and BEARERTOKEN are other schemes.
    let plain = parameters.get("SignatureType").is_none_or(String::is_empty);
    if field(parameters, "SignatureMethod")? != "HMAC-SHA1"
        || parameters["SignatureVersion"] != "1.0"
        || !plain
    {
        return Err(unknown_method());
    }
    Ok(Claim {
        access_key_id: access_key_id.to_owned(),
        session_token: parameters.get("SecurityToken").filter(|token| !token.is_empty()).cloned(),
    })
}

fn claim_by_headers(request: &Request, parameters: &Parameters) -> Result<Claim, Fault> {
    if !request.headers().contains_key("authorization") {
        return Err(Fault::Unsigned("AccessKeyId"));
    }
    if ["AccessKeyId", "Signature"].iter().any(|name| parameters.contains_key(*name)) {
        return Err(twice());
    }
    let authorization = Authorization::read(request)?;
    if authorization.algorithm != ALGORITHM {
        return Err(unknown_method());
    }
    for (name, parameter) in [
        ("x-acs-action", "Action"),
        ("x-acs-version", "Version"),
        ("x-acs-date", "Timestamp"),
        ("x-acs-signature-nonce", "SignatureNonce"),
    ] {
        header(request, name)?.filter(|value| !value.is_empty()).ok_or(Fault::Unsigned(parameter))?;
    }
    if header(request, "x-acs-accesskey-id")?.is_some_and(|id| id != authorization.credential) {
        return Err(twice());
    }
    // Several action models have a business parameter SecurityToken; it is the same thing.
    let in_header = header(request, "x-acs-security-token")?.filter(|token| !token.is_empty());
    let in_parameter = parameters.get("SecurityToken").map(String::as_str).filter(|token| !token.is_empty());
    if in_header.is_some() && in_parameter.is_some() && in_header != in_parameter {
        return Err(twice());
    }
    Ok(Claim {
        access_key_id: authorization.credential.to_owned(),
        session_token: in_header.or(in_parameter).map(str::to_owned),
    })
}

/// Checks signature and age; see [`crate::Dialect::verify`].
pub(super) fn verify(request: &Request, secret: &Secret, now: SystemTime) -> Result<Verified, Fault> {
    check_shape(request)?;
    let parameters = parameters(request)?;
    let scheme = Scheme::of(request);
    let (time, nonce, signature) = match scheme {
        Scheme::Parameters => {
            claim_by_parameters(request, &parameters)?;
            let [time, nonce, signature] = ["Timestamp", "SignatureNonce", "Signature"];
            (field(&parameters, time)?, field(&parameters, nonce)?, field(&parameters, signature)?)
        }
        Scheme::Headers => {
            claim_by_headers(request, &parameters)?;
            let time = header(request, "x-acs-date")?.unwrap_or_default();
            let nonce = header(request, "x-acs-signature-nonce")?.unwrap_or_default();
            (time, nonce, Authorization::read(request)?.signature)
        }
    };
    let signed_at = read_calendar(time, "0000-00-00T00:00:00Z")
        .and_then(|calendar| moment(calendar, Offset::UTC))
        .ok_or(Fault::MalformedTime)?;
    if apart(signed_at, now) > WINDOW {
        return Err(Fault::Stale);
    }
    if nonce.len() > MAX_NONCE_BYTES {
        let why = format!("longer than {MAX_NONCE_BYTES} bytes");
        return Err(Fault::BadParameter { name: "SignatureNonce".to_owned(), why });
    }
    let workings = work(request, scheme, &parameters, secret)?;
    if !same(&workings.signature, signature) {
        return Err(Fault::BadSignature { string_to_sign: workings.string_to_sign });
    }
    Ok(Verified { nonce: Some(nonce.to_owned()), nonce_ttl: NONCE_TTL })
}

/// How the signature of a request comes about with a secret, by the scheme that the request uses.
pub(super) fn workings(request: &Request, secret: &Secret) -> Result<Workings, Fault> {
    work(request, Scheme::of(request), &parameters(request)?, secret)
}

fn work(
    request: &Request,
    scheme: Scheme,
    parameters: &Parameters,
    secret: &Secret,
) -> Result<Workings, Fault> {
    match scheme {
        Scheme::Parameters => Ok(by_parameters(request.method(), parameters, secret)),
        Scheme::Headers => {
            let signed_headers = Authorization::read(request)?.signed_headers;
            check_signed_headers(request, signed_headers)?;
            by_headers(request, signed_headers, secret)
        }
    }
}

fn by_parameters(method: &Method, parameters: &Parameters, secret: &Secret) -> Workings {
    let joined = join(parameters.iter().filter(|(name, _)| *name != "Signature"));
    let string_to_sign = format!("{method}&%2F&{}", percent_encode(&joined));
    let key = zeroize::Zeroizing::new([secret.expose(), b"&"].concat());
    let signature = BASE64.encode(hmac_sha1(&key, string_to_sign.as_bytes()));
    Workings { canonical_request: None, string_to_sign, signature }
}

/// `name=value` joined with `&`, both encoded; the map's order is the vendor's.
fn join<'a>(parameters: impl Iterator<Item = (&'a String, &'a String)>) -> String {
    let mut joined = String::new();
    for (name, value) in parameters {
        let separator = if joined.is_empty() { "" } else { "&" };
        let _ = write!(joined, "{separator}{}={}", percent_encode(name), percent_encode(value));
    }
    joined
}

/// All of the vendor's headers must be signed, and the type of a body that is read.
fn check_signed_headers(request: &Request, signed_headers: &str) -> Result<(), Fault> {
    let signed: Vec<&str> = signed_headers.split(';').collect();
    let present = request.headers().keys().map(HeaderName::as_str).filter(|name| name.starts_with("x-acs-"));
    let body_type = (!request.body().is_empty()).then_some("content-type");
    match SIGNED_ALWAYS.into_iter().chain(present).chain(body_type).find(|name| !signed.contains(name)) {
        Some(name) => Err(Fault::MalformedSignature(format!("the header {name} is not signed"))),
        None => Ok(()),
    }
}

fn by_headers(request: &Request, signed_headers: &str, secret: &Secret) -> Result<Workings, Fault> {
    // The hash of what arrived, not the one that the client names: that header is signed too, so a
    // body that was changed on the way gives another signature.
    let body_hash = sha256_hex(request.body());
    let query = join(merge([query(request)])?.iter());
    let mut canonical = format!("{}\n/\n{query}\n", request.method()).into_bytes();
    for name in signed_headers.split(';') {
        canonical.extend_from_slice(name.as_bytes());
        canonical.push(b':');
        let mut values: Vec<&[u8]> =
            request.headers().get_all(name).iter().map(|value| value.as_bytes().trim_ascii()).collect();
        if values.is_empty() {
            return Err(Fault::MalformedSignature(format!("the signed header {name} is missing")));
        }
        values.sort_unstable();
        canonical.extend_from_slice(&values.join(&b","[..]));
        canonical.push(b'\n');
    }
    let _ = std::io::Write::write_fmt(&mut canonical, format_args!("\n{signed_headers}\n{body_hash}"));
    let string_to_sign = format!("{ALGORITHM}\n{}", sha256_hex(&canonical));
    let signature = hex(hmac_sha256(secret.expose(), string_to_sign.as_bytes()).as_ref());
    let canonical_request = Some(String::from_utf8_lossy(&canonical).into_owned());
    Ok(Workings { canonical_request, string_to_sign, signature })
}

/// Writes and signs a request the way of the vendor's current SDKs: V3, POST, parameters in the
/// query, no body.
pub(super) fn signed(
    action: &'static str,
    parameters: &Parameters,
    endpoint: &Endpoint,
    credentials: &Credentials,
    now: SystemTime,
    nonce: &str,
) -> Result<Request, Fault> {
    let bad =
        |name: &str| Fault::BadParameter { name: name.to_owned(), why: "not fit for a request".to_owned() };
    let target = format!("{}://{}/?{}", endpoint.scheme, endpoint.authority, join(parameters.iter()));
    let mut request = http::Request::post(target).body(Bytes::new()).map_err(|_| bad("endpoint"))?;
    let date = write_calendar(now, Offset::UTC, "%Y-%m-%dT%H:%M:%SZ");
    let body_hash = sha256_hex(b"");
    let mut headers = vec![
        ("accept", "application/json"),
        ("host", &endpoint.authority),
        ("x-acs-action", action),
        ("x-acs-content-sha256", &body_hash),
        ("x-acs-date", &date),
        ("x-acs-signature-nonce", nonce),
        ("x-acs-version", VERSION),
    ];
    if let Some(token) = &credentials.session_token {
        headers.push(("x-acs-accesskey-id", &credentials.access_key_id));
        headers.push(("x-acs-security-token", token));
    }
    headers.sort_unstable();
    for (name, value) in &headers {
        let value = HeaderValue::from_str(value).map_err(|_| bad(name))?;
        request.headers_mut().insert(HeaderName::from_static(name), value);
    }
    let signed_headers = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let Workings { signature, .. } = by_headers(&request, &signed_headers, &credentials.secret)?;
    let id = &credentials.access_key_id;
    let value = format!("{ALGORITHM} Credential={id},SignedHeaders={signed_headers},Signature={signature}");
    let value = HeaderValue::from_str(&value).map_err(|_| bad("AccessKeyId"))?;
    request.headers_mut().insert(http::header::AUTHORIZATION, value);
    Ok(request)
}
