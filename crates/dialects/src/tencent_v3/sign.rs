//! Who signed a request: TC3-HMAC-SHA256 in the Authorization header, or the older signature (v1,
//! `HmacSHA1` and `HmacSHA256`) in parameters.
//!
//! Rules: "Signature v3" and "Signature v1" of API 3.0 in the vendor's documentation. TC3 signs the
//! raw query and the raw body, so neither is decoded or sorted here; v1 signs decoded values.

use std::borrow::Cow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac::Tag;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderName, HeaderValue, Method};

use super::{ACTION, REGION, VERSION, VERSION_HEADER};
use crate::canonical::{
    Authorization, Parameters, Workings, apart, form, has_parameter, header, hex, hmac_sha1, hmac_sha256,
    host_spellings, is_form, merge, peek_header, query, same, sha256_hex, without_secrets, write_day,
};
use crate::vocabulary::{Claim, Credentials, Endpoint, Fault, Request, Secret, Verified};

const TIMESTAMP: HeaderName = HeaderName::from_static("x-tc-timestamp");
const TOKEN: HeaderName = HeaderName::from_static("x-tc-token");
const CONTENT_SHA256: HeaderName = HeaderName::from_static("x-tc-content-sha256");
const ALGORITHM: &str = "TC3-HMAC-SHA256";
/// The end of every credential scope.
const SCOPE_END: &str = "tc3_request";
/// How far a request's time may be from the server's, ends included (`AuthFailure.SignatureExpire`).
const WINDOW: Duration = Duration::from_mins(5);
/// Clocks may differ by the window on both sides.
const NONCE_TTL: Duration = Duration::from_mins(10);
/// Value of X-TC-Content-SHA256 that leaves the body out of the signature.
const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";
/// Size limits of "Request structure": by GET, and by POST with each signature.
const MAX_GET_BYTES: usize = 32 << 10;
const MAX_V1_BYTES: usize = 1 << 20;
const MAX_TC3_BYTES: usize = 10 << 20;

/// How a request is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    /// TC3, in the Authorization header.
    Tc3,
    /// v1, in parameters.
    V1,
    /// By neither.
    Unsigned,
}

impl Scheme {
    /// The scheme of a request, by its marks only.
    pub(super) fn of(request: &Request) -> Self {
        if peek_header(request, AUTHORIZATION).is_some_and(|text| text.starts_with("TC3-")) {
            Self::Tc3
        } else if has_v1_parameters(request) {
            Self::V1
        } else {
            Self::Unsigned
        }
    }
}

/// Whether parameters say who signs.
fn has_v1_parameters(request: &Request) -> bool {
    has_parameter(request, &["Signature", "SecretId"])
}

/// The parameters of a v1 request: the query of a GET, the form of a POST.
pub(super) fn parameters(request: &Request) -> Result<Parameters, Fault> {
    merge([if request.method() == Method::GET { query(request) } else { form(request) }])
}

/// Reads who claims to have signed; see [`crate::Dialect::claim`].
pub(super) fn claim(request: &Request) -> Result<Claim, Fault> {
    match check_shape(request)? {
        Scheme::Tc3 => {
            let (tc3, token) = claim_tc3(request)?;
            Ok(Claim { access_key_id: tc3.secret_id.to_owned(), session_token: token.map(str::to_owned) })
        }
        Scheme::V1 => claim_v1(request, &parameters(request)?),
        // Such as `SKIP`, which SDKs send when they are told not to sign.
        Scheme::Unsigned if request.headers().contains_key(AUTHORIZATION) => {
            Err(Fault::MalformedSignature("Authorization: unknown algorithm".to_owned()))
        }
        Scheme::Unsigned => Err(Fault::Unsigned("SecretId")),
    }
}

/// The scheme of a request that is in shape. No signature may leave anything open that is read later: path, method
/// and body are settled here.
fn check_shape(request: &Request) -> Result<Scheme, Fault> {
    let malformed = |why: &str| Err(Fault::MalformedRequest(why.to_owned()));
    if request.uri().path() != "/" {
        return malformed("the path of this API is /");
    }
    let body_bytes = request.body().len();
    let scheme = Scheme::of(request);
    let too_large = match (request.method(), scheme) {
        (&Method::GET, _) if body_bytes > 0 => return malformed("a GET has no body"),
        (&Method::GET, _) => query(request).len() > MAX_GET_BYTES,
        (&Method::POST, Scheme::V1) if !query(request).is_empty() || !is_form(request) => {
            return malformed("a POST with signature v1 has a form and no query");
        }
        (&Method::POST, Scheme::V1) => body_bytes > MAX_V1_BYTES,
        (&Method::POST, _) => body_bytes > MAX_TC3_BYTES,
        _ => return malformed("the method is neither GET nor POST"),
    };
    if too_large { Err(Fault::TooLarge) } else { Ok(scheme) }
}

fn twice() -> Fault {
    Fault::MalformedSignature("credentials are given in two places".to_owned())
}

/// What a TC3 header says, taken apart.
#[derive(Debug, Clone, Copy)]
struct Tc3<'a> {
    secret_id: &'a str,
    date: &'a str,
    service: &'a str,
    timestamp: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

/// What a TC3 request says of its signature, and its session token.
fn claim_tc3(request: &Request) -> Result<(Tc3<'_>, Option<&str>), Fault> {
    if has_v1_parameters(request) {
        return Err(twice());
    }
    let tc3 = read_tc3(request)?;
    for (name, parameter) in [(&ACTION, "Action"), (&VERSION_HEADER, "Version")] {
        header(request, name)?.filter(|value| !value.is_empty()).ok_or(Fault::Unsigned(parameter))?;
    }
    header(request, &REGION)?;
    let token = header(request, &TOKEN)?.filter(|token| !token.is_empty());
    Ok((tc3, token))
}

fn read_tc3(request: &Request) -> Result<Tc3<'_>, Fault> {
    let broken = |what: &str| Fault::MalformedSignature(format!("Authorization: {what}"));
    let authorization = Authorization::read(request)?;
    if authorization.algorithm != ALGORITHM {
        return Err(broken("unknown algorithm"));
    }
    let mut scope = authorization.credential.split('/');
    let (Some(secret_id), Some(date), Some(service), Some(SCOPE_END), None) =
        (scope.next(), scope.next(), scope.next(), scope.next(), scope.next())
    else {
        return Err(broken("the credential is not <SecretId>/<date>/<service>/tc3_request"));
    };
    if [secret_id, date, service].contains(&"") {
        return Err(broken("the credential has an empty part"));
    }
    let signed_headers = authorization.signed_headers;
    if !["content-type", "host"].iter().all(|name| signed_headers.split(';').any(|signed| signed == *name)) {
        return Err(broken("content-type and host must be signed"));
    }
    let timestamp = header(request, &TIMESTAMP)?.ok_or(Fault::Unsigned("Timestamp"))?;
    Ok(Tc3 { secret_id, date, service, timestamp, signed_headers, signature: authorization.signature })
}

fn claim_v1(request: &Request, parameters: &Parameters) -> Result<Claim, Fault> {
    if [AUTHORIZATION, TOKEN].iter().any(|name| request.headers().contains_key(name)) {
        return Err(twice());
    }
    for name in ["Action", "Version", "Timestamp", "Nonce", "Signature"] {
        field(parameters, name)?;
    }
    Ok(Claim {
        access_key_id: field(parameters, "SecretId")?.to_owned(),
        session_token: parameters.get("Token").filter(|token| !token.is_empty()).cloned(),
    })
}

/// A parameter that a signed request must have.
fn field<'a>(parameters: &'a Parameters, name: &'static str) -> Result<&'a str, Fault> {
    parameters.get(name).map(String::as_str).filter(|value| !value.is_empty()).ok_or(Fault::Unsigned(name))
}

/// Checks signature and age; see [`crate::Dialect::verify`].
pub(super) fn verify(request: &Request, secret: &Secret, now: SystemTime) -> Result<Verified, Fault> {
    match check_shape(request)? {
        Scheme::Tc3 => {
            let (tc3, _) = claim_tc3(request)?;
            let signed_at = check_age(tc3.timestamp, now)?;
            if write_day(signed_at) != tc3.date {
                return Err(Fault::Stale);
            }
            check(tc3_workings(request, tc3, secret)?, tc3.signature)?;
            // TC3 has no nonce.
            Ok(Verified { nonce: None, nonce_ttl: NONCE_TTL })
        }
        Scheme::V1 => {
            let parameters = parameters(request)?;
            claim_v1(request, &parameters)?;
            check_age(field(&parameters, "Timestamp")?, now)?;
            let signature = field(&parameters, "Signature")?;
            let readings = v1_workings(request, &parameters, secret)?;
            check(readings.into_iter(), signature).map_err(|fault| match fault {
                Fault::BadSignature { string_to_sign } => Fault::BadSignature {
                    string_to_sign: without_secrets(&string_to_sign, &parameters, &["Password", "Token"]),
                },
                other => other,
            })?;
            // `Nonce` alone will not do: one SDK draws it from 65,536 numbers. The signature covers
            // nonce, time and everything else.
            Ok(Verified { nonce: Some(signature.to_owned()), nonce_ttl: NONCE_TTL })
        }
        Scheme::Unsigned => Err(Fault::Unsigned("SecretId")),
    }
}

/// Accepts when any reading of the request gives the signature; the first is the usual one.
fn check(mut readings: impl Iterator<Item = Workings>, signature: &str) -> Result<(), Fault> {
    let usual = readings.next().ok_or(Fault::Internal)?;
    let good = same(&usual.signature, signature) || readings.any(|other| same(&other.signature, signature));
    if good { Ok(()) } else { Err(Fault::BadSignature { string_to_sign: usual.string_to_sign }) }
}

fn check_age(timestamp: &str, now: SystemTime) -> Result<SystemTime, Fault> {
    let digits = !timestamp.is_empty() && timestamp.bytes().all(|byte| byte.is_ascii_digit());
    let seconds: Option<u64> = timestamp.parse().ok().filter(|_| digits);
    let signed_at = seconds
        .and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds)))
        .ok_or(Fault::MalformedTime)?;
    if apart(signed_at, now) > WINDOW { Err(Fault::Stale) } else { Ok(signed_at) }
}

/// How the signature of a request comes about with a secret: one entry for each accepted reading
/// of the host and the signed headers.
pub(super) fn workings(request: &Request, secret: &Secret) -> Result<Vec<Workings>, Fault> {
    match Scheme::of(request) {
        Scheme::Tc3 => Ok(tc3_workings(request, claim_tc3(request)?.0, secret)?.collect()),
        Scheme::V1 => v1_workings(request, &parameters(request)?, secret),
        Scheme::Unsigned => Err(Fault::Unsigned("SecretId")),
    }
}

fn tc3_workings<'a>(
    request: &'a Request,
    tc3: Tc3<'a>,
    secret: &Secret,
) -> Result<impl Iterator<Item = Workings> + use<'a>, Fault> {
    header(request, &HOST)?;
    header(request, &CONTENT_TYPE)?;
    let payload_hash = if header(request, &CONTENT_SHA256)? == Some(UNSIGNED_PAYLOAD) {
        sha256_hex(UNSIGNED_PAYLOAD.as_bytes())
    } else {
        sha256_hex(request.body())
    };
    let mut signed = Vec::new();
    for name in tc3.signed_headers.split(';') {
        let value = header(request, name)?;
        let value =
            value.ok_or_else(|| Fault::MalformedSignature(format!("the signed header {name} is missing")))?;
        signed.push((name, value));
    }
    let key = tc3_key(secret, tc3.date, tc3.service);
    // Hand-written clients that sign more than the two headers lower-case the values, as the
    // vendor's own samples do with the action.
    let spellings = if signed.len() > 2 { &[false, true][..] } else { &[false][..] };
    let readings =
        host_spellings(request).flat_map(|host| spellings.iter().map(move |lower| (host.clone(), *lower)));
    Ok(readings.map(move |(host, lower)| {
        let mut lines = String::new();
        for (name, value) in &signed {
            let value = if *name == "host" { &host } else { *value };
            let value = if lower { Cow::Owned(value.to_lowercase()) } else { Cow::Borrowed(value) };
            lines.extend([name, ":", &value, "\n"]);
        }
        tc3_sign(request, &lines, tc3, &payload_hash, &key)
    }))
}

fn tc3_sign(request: &Request, header_lines: &str, tc3: Tc3<'_>, payload_hash: &str, key: &Tag) -> Workings {
    let Tc3 { date, service, timestamp, signed_headers, .. } = tc3;
    let query = request.uri().query().unwrap_or_default();
    let method = request.method().as_str();
    let canonical = [method, "/", query, header_lines, signed_headers, payload_hash].join("\n");
    let scope = [date, service, SCOPE_END].join("/");
    let hashed = sha256_hex(canonical.as_bytes());
    let string_to_sign = [ALGORITHM, timestamp, &scope, &hashed].join("\n");
    let signature = hex(hmac_sha256(key.as_ref(), string_to_sign.as_bytes()).as_ref());
    Workings { canonical_request: Some(canonical), string_to_sign, signature }
}

fn tc3_key(secret: &Secret, date: &str, service: &str) -> Tag {
    let start = zeroize::Zeroizing::new([b"TC3", secret.expose()].concat());
    let of_date = hmac_sha256(&start, date.as_bytes());
    let of_service = hmac_sha256(of_date.as_ref(), service.as_bytes());
    hmac_sha256(of_service.as_ref(), SCOPE_END.as_bytes())
}

/// v1 joins decoded values without escaping them.
fn v1_workings(request: &Request, parameters: &Parameters, secret: &Secret) -> Result<Vec<Workings>, Fault> {
    let hmac = match parameters.get("SignatureMethod").map(String::as_str) {
        None | Some("HmacSHA1") => hmac_sha1,
        Some("HmacSHA256") => hmac_sha256,
        Some(_) => return Err(Fault::MalformedSignature("SignatureMethod: unknown method".to_owned())),
    };
    header(request, &HOST)?;
    let joined: Vec<String> = parameters
        .iter()
        .filter(|(name, _)| *name != "Signature")
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let joined = joined.join("&");
    let reading = |host: Cow<'_, str>| {
        let string_to_sign = format!("{}{host}/?{joined}", request.method());
        let signature = BASE64.encode(hmac(secret.expose(), string_to_sign.as_bytes()));
        Workings { canonical_request: None, string_to_sign, signature }
    };
    Ok(host_spellings(request).map(reading).collect())
}

/// Writes and signs a request the way of the vendor's SDKs: TC3, POST, JSON.
pub(super) fn signed(
    action: &'static str,
    region: &str,
    body: Bytes,
    endpoint: &Endpoint,
    credentials: &Credentials,
    now: SystemTime,
) -> Result<Request, Fault> {
    let bad =
        |name: &str| Fault::BadParameter { name: name.to_owned(), why: "not fit for a request".to_owned() };
    let target = format!("{}://{}/", endpoint.scheme, endpoint.authority);
    let mut request = http::Request::post(target).body(body).map_err(|_| bad("endpoint"))?;
    let seconds = now.duration_since(UNIX_EPOCH).map_err(|_| bad("Timestamp"))?.as_secs().to_string();
    let optional = [("x-tc-region", Some(region)), ("x-tc-token", credentials.session_token.as_deref())];
    let headers = [
        ("content-type", "application/json"),
        ("host", &endpoint.authority),
        ("x-tc-action", action),
        ("x-tc-language", "en-US"),
        ("x-tc-timestamp", &seconds),
        ("x-tc-version", VERSION),
    ];
    let given = optional
        .iter()
        .filter_map(|(name, value)| value.filter(|value| !value.is_empty()).map(|value| (*name, value)));
    for (name, value) in headers.into_iter().chain(given) {
        let value = HeaderValue::from_str(value).map_err(|_| bad(name))?;
        request.headers_mut().insert(name, value);
    }
    let tc3 = Tc3 {
        secret_id: &credentials.access_key_id,
        date: &write_day(now),
        service: "redis",
        timestamp: &seconds,
        signed_headers: "content-type;host",
        signature: "",
    };
    let workings = tc3_workings(&request, tc3, &credentials.secret)?.next().ok_or(Fault::Internal)?;
    let Tc3 { secret_id, date, service, signed_headers, .. } = tc3;
    let value = format!(
        "{ALGORITHM} Credential={secret_id}/{date}/{service}/{SCOPE_END}, SignedHeaders={signed_headers}, Signature={}",
        workings.signature,
    );
    let value = HeaderValue::from_str(&value).map_err(|_| bad("SecretId"))?;
    request.headers_mut().insert(AUTHORIZATION, value);
    Ok(request)
}
