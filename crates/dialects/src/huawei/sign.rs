//! Who signed a request: `SDK-HMAC-SHA256`, or `V11-HMAC-SHA256` with a derived key, in the
//! Authorization header.
//!
//! Rules: the signing code of the vendor's SDKs. Clients differ in the headers that they sign (the Go
//! SDK leaves out even `host`), so the header itself says which; only the date must be among them.

use std::time::{Duration, SystemTime};

use http::header::{AUTHORIZATION, HOST};
use http::{HeaderName, HeaderValue};
use jiff::tz::Offset;
use zeroize::Zeroizing;

use super::route::segments;
use crate::canonical::{
    Authorization, Workings, apart, header, hex, hmac_sha256, moment, pairs_by, peek_header, percent_decode,
    percent_encode, query, read_calendar, same, sha256_hex, unescape, write_calendar,
};
use crate::vocabulary::{Claim, Credentials, Endpoint, Fault, Request, Secret, Verified};

/// How far a request's time may be from the server's, ends included.
const WINDOW: Duration = Duration::from_mins(15);
const DATE_HEADER: &str = "x-sdk-date";
pub(super) const DATE_FORMAT: &str = "%Y%m%dT%H%M%SZ";
/// Headers whose values are not shown to anybody.
const TOKENS: [&str; 2] = ["x-security-token", "x-auth-token"];
/// Parameters that read the same whether a bare `+` in them is a plus or a blank: times, in which a
/// blank before the zone is a plus and a plus after the date is a blank.
const TIMES: [&str; 3] = ["begin_time", "end_time", "start_time"];

/// How a request is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    /// With the secret itself.
    Sdk,
    /// With a key derived from it.
    V11,
}

impl Scheme {
    /// The scheme of a request, by its marks only.
    pub(super) fn of(request: &Request) -> Option<Self> {
        let text = peek_header(request, AUTHORIZATION)?;
        [Self::Sdk, Self::V11]
            .into_iter()
            .find(|scheme| text.split_once(' ').is_some_and(|(name, _)| name == scheme.algorithm()))
    }

    fn algorithm(self) -> &'static str {
        match self {
            Self::Sdk => "SDK-HMAC-SHA256",
            Self::V11 => "V11-HMAC-SHA256",
        }
    }

    fn credential_field(self) -> &'static str {
        match self {
            Self::Sdk => "Access",
            Self::V11 => "Credential",
        }
    }
}

/// Whether a request carries a header that only this vendor's clients send.
pub(super) fn has_marks(request: &Request) -> bool {
    let scheme = peek_header(request, AUTHORIZATION)
        .is_some_and(|text| ["SDK-", "V11-"].iter().any(|mark| text.starts_with(mark)));
    scheme || [DATE_HEADER, "x-auth-token"].iter().any(|name| request.headers().contains_key(*name))
}

/// What the Authorization header says, taken apart.
#[derive(Debug, Clone, Copy)]
struct Signed<'a> {
    scheme: Scheme,
    access_key_id: &'a str,
    /// `<day>/<region>/<service>` of a derived key; empty without one.
    info: &'a str,
    date: &'a str,
    /// Names of the signed headers, joined as they are.
    headers: &'a str,
    signature: &'a str,
}

impl<'a> Signed<'a> {
    fn read(request: &'a Request) -> Result<Self, Fault> {
        let broken = |what: &str| Fault::MalformedSignature(format!("Authorization: {what}"));
        let Some(scheme) = Scheme::of(request) else {
            return Err(if request.headers().contains_key(AUTHORIZATION) {
                broken("unknown algorithm")
            } else {
                Fault::Unsigned("X-Auth-Token")
            });
        };
        let Authorization { credential, signed_headers, signature, .. } =
            Authorization::read_with(request, scheme.credential_field())?;
        let (access_key_id, info) = match scheme {
            Scheme::Sdk => (credential, ""),
            Scheme::V11 => credential.split_once('/').unwrap_or((credential, "")),
        };
        if scheme == Scheme::V11 && info.split('/').filter(|part| !part.is_empty()).count() != 3 {
            return Err(broken("the credential is not <key>/<day>/<region>/<service>"));
        }
        let date = header(request, DATE_HEADER)?.ok_or(Fault::Unsigned("X-Sdk-Date"))?;
        let mut names: Vec<&str> = signed_headers.split(';').collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(broken("a header is named twice"));
        }
        if names.binary_search(&DATE_HEADER).is_err() {
            return Err(broken("x-sdk-date must be signed"));
        }
        Ok(Self { scheme, access_key_id, info, date, headers: signed_headers, signature })
    }
}

/// Reads who claims to have signed; see [`crate::Dialect::claim`].
pub(super) fn claim(request: &Request) -> Result<Claim, Fault> {
    let signed = Signed::read(request)?;
    let token = header(request, "x-security-token")?.filter(|token| !token.is_empty());
    Ok(Claim { access_key_id: signed.access_key_id.to_owned(), session_token: token.map(str::to_owned) })
}

/// Checks signature and age; see [`crate::Dialect::verify`].
pub(super) fn verify(request: &Request, secret: &Secret, now: SystemTime) -> Result<Verified, Fault> {
    let signed = Signed::read(request)?;
    let signed_at = read_date(signed.date).ok_or(Fault::MalformedTime)?;
    if apart(signed_at, now) > WINDOW {
        return Err(Fault::Stale);
    }
    let day = signed.date.get(..8).unwrap_or_default();
    if signed.scheme == Scheme::V11 && signed.info.split('/').next() != Some(day) {
        return Err(Fault::MalformedSignature("Authorization: the day is not that of X-Sdk-Date".to_owned()));
    }
    check_named_hash(request)?;
    let mut readings = readings(request, &signed, secret)?.into_iter();
    let usual = readings.next().ok_or(Fault::Internal)?;
    if same(&usual.signature, signed.signature)
        || readings.any(|other| same(&other.signature, signed.signature))
    {
        // The scheme has no nonce.
        Ok(Verified { nonce: None, nonce_ttl: WINDOW * 2 })
    } else {
        Err(Fault::BadSignature { string_to_sign: usual.string_to_sign })
    }
}

/// The text of X-Sdk-Date as a moment.
fn read_date(text: &str) -> Option<SystemTime> {
    let part = |range: std::ops::Range<usize>| text.get(range);
    let spaced = format!(
        "{}-{}-{}{}:{}:{}",
        part(0..4)?,
        part(4..6)?,
        part(6..8)?,
        part(8..11)?,
        part(11..13)?,
        text.get(13..)?
    );
    read_calendar(&spaced, "0000-00-00T00:00:00Z").and_then(|calendar| moment(calendar, Offset::UTC))
}

/// A client that names the hash of the body must name the right one. `UNSIGNED-PAYLOAD` goes with
/// content types that no action here takes.
fn check_named_hash(request: &Request) -> Result<(), Fault> {
    match header(request, "x-sdk-content-sha256")? {
        Some(named) if named != sha256_hex(request.body()) => {
            Err(Fault::MalformedSignature("X-Sdk-Content-Sha256 is not the hash of the body".to_owned()))
        }
        _ => Ok(()),
    }
}

/// How the signature of a request comes about with a secret: one entry for each accepted reading of
/// its path and query.
pub(super) fn workings(request: &Request, secret: &Secret) -> Result<Vec<Workings>, Fault> {
    readings(request, &Signed::read(request)?, secret)
}

/// The canonical request as the server sees it, token values blanked, for a caller whose signature
/// differs.
pub(super) fn canonical_shown(request: &Request) -> Option<String> {
    let signed = Signed::read(request).ok()?;
    let path = paths(request).ok()?.into_iter().next()?;
    let query = queries(request).ok()?.into_iter().next()?;
    let canonical = canonical(request, signed.headers, &path, &query, true).ok()?;
    Some(String::from_utf8_lossy(&canonical).into_owned())
}

/// The key id and the date that a request shows, for messages.
pub(super) fn shown(request: &Request) -> (String, String) {
    let signed = Signed::read(request).ok();
    signed.map(|signed| (signed.access_key_id.to_owned(), signed.date.to_owned())).unwrap_or_default()
}

fn readings(request: &Request, signed: &Signed<'_>, secret: &Secret) -> Result<Vec<Workings>, Fault> {
    let mut readings = Vec::new();
    let queries = queries(request)?;
    for path in paths(request)? {
        for query in &queries {
            let canonical = canonical(request, signed.headers, &path, query, false)?;
            readings.push(sign(&canonical, signed, secret));
        }
    }
    Ok(readings)
}

fn sign(canonical: &[u8], signed: &Signed<'_>, secret: &Secret) -> Workings {
    let (algorithm, date) = (signed.scheme.algorithm(), signed.date);
    let hash = sha256_hex(canonical);
    let (string_to_sign, signature) = match signed.scheme {
        Scheme::Sdk => {
            let text = format!("{algorithm}\n{date}\n{hash}");
            let signature = hmac_sha256(secret.expose(), text.as_bytes());
            (text, signature)
        }
        Scheme::V11 => {
            let text = format!("{algorithm}\n{date}\n{}\n{hash}", signed.info);
            let key = derived_key(signed.access_key_id, signed.info, secret);
            let signature = hmac_sha256(key.as_bytes(), text.as_bytes());
            (text, signature)
        }
    };
    let canonical_request = Some(String::from_utf8_lossy(canonical).into_owned());
    Workings { canonical_request, string_to_sign, signature: hex(signature.as_ref()) }
}

/// HKDF-SHA-256, one block, salted with the key id; the key is its hex text.
fn derived_key(access_key_id: &str, info: &str, secret: &Secret) -> Zeroizing<String> {
    let extracted = hmac_sha256(access_key_id.as_bytes(), secret.expose());
    let expanded = hmac_sha256(extracted.as_ref(), &[info.as_bytes(), b"\x01"].concat());
    Zeroizing::new(hex(expanded.as_ref()))
}

/// The canonical path: of the decoded one, and of one that a client (Node.js) escaped twice. The two
/// never mean different paths, see [`segments`].
fn paths(request: &Request) -> Result<Vec<String>, Fault> {
    let raw = request.uri().path();
    let usual = canonical_path(segments(raw)?.iter().map(String::as_str));
    let twice = canonical_path(raw.split('/'));
    Ok(if usual == twice { vec![usual] } else { vec![usual, twice] })
}

fn canonical_path<'a>(parts: impl Iterator<Item = &'a str>) -> String {
    let mut path = parts.map(percent_encode).collect::<Vec<_>>().join("/");
    if !path.ends_with('/') {
        path.push('/');
    }
    path
}

/// The canonical query, with a bare `+` as a plus and, where that changes nothing, as a blank.
fn queries(request: &Request) -> Result<Vec<String>, Fault> {
    let plus = pairs_by(query(request), unescape)?;
    let blank = pairs_by(query(request), percent_decode)?;
    let changed: Vec<_> = plus.iter().zip(&blank).filter(|(one, other)| one != other).collect();
    let harmless = !changed.is_empty()
        && changed.iter().all(|(one, other)| one.0 == other.0 && TIMES.contains(&one.0.as_str()));
    let mut queries = vec![canonical_query(plus)];
    if harmless {
        queries.push(canonical_query(blank));
    }
    Ok(queries)
}

fn canonical_query(mut pairs: Vec<(String, String)>) -> String {
    pairs.sort_unstable();
    let pairs =
        pairs.iter().map(|(name, value)| format!("{}={}", percent_encode(name), percent_encode(value)));
    pairs.collect::<Vec<_>>().join("&")
}

fn canonical(
    request: &Request,
    signed_headers: &str,
    path: &str,
    query: &str,
    blank_tokens: bool,
) -> Result<Vec<u8>, Fault> {
    let mut text = format!("{}\n{path}\n{query}\n", request.method()).into_bytes();
    for name in signed_headers.split(';') {
        let value =
            if blank_tokens && TOKENS.contains(&name) { &b"***"[..] } else { signed_value(request, name)? };
        text.extend_from_slice(&[name.as_bytes(), b":", value, b"\n"].concat());
    }
    let hash = sha256_hex(request.body());
    text.extend_from_slice(format!("\n{signed_headers}\n{hash}").as_bytes());
    Ok(text)
}

/// The bytes of a signed header; HTTP/2 has the host elsewhere.
fn signed_value<'a>(request: &'a Request, name: &str) -> Result<&'a [u8], Fault> {
    let mut values = request.headers().get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value.as_bytes().trim_ascii()),
        (None, _) if name == HOST.as_str() => request.uri().authority().map(|host| host.as_str().as_bytes()),
        _ => None,
    }
    .ok_or_else(|| Fault::MalformedSignature(format!("the signed header {name} is not there once")))
}

/// The host that a request was sent to, with its port.
pub(super) fn host(request: &Request) -> &str {
    let authority = request.uri().authority().map_or("", http::uri::Authority::as_str);
    peek_header(request, HOST).unwrap_or(authority)
}

/// Signs a request the way of the vendor's SDKs.
pub(super) fn signed(
    mut request: Request,
    project: &str,
    endpoint: &Endpoint,
    credentials: &Credentials,
    now: SystemTime,
) -> Result<Request, Fault> {
    let bad =
        |name: &str| Fault::BadParameter { name: name.to_owned(), why: "not fit for a request".to_owned() };
    let date = write_calendar(now, Offset::UTC, DATE_FORMAT);
    let mut headers = vec![
        ("content-type", "application/json"),
        ("host", &endpoint.authority),
        ("x-project-id", project),
        (DATE_HEADER, &date),
    ];
    headers.extend(credentials.session_token.as_deref().map(|token| ("x-security-token", token)));
    for (name, value) in &headers {
        let value = HeaderValue::from_str(value).map_err(|_| bad(name))?;
        request.headers_mut().insert(HeaderName::from_static(name), value);
    }
    let signed = Signed {
        scheme: Scheme::Sdk,
        access_key_id: &credentials.access_key_id,
        info: "",
        date: &date,
        headers: &headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";"),
        signature: "",
    };
    let workings = readings(&request, &signed, &credentials.secret)?.into_iter().next();
    let value = format!(
        "{} Access={}, SignedHeaders={}, Signature={}",
        signed.scheme.algorithm(),
        signed.access_key_id,
        signed.headers,
        workings.ok_or(Fault::Internal)?.signature,
    );
    let value = HeaderValue::from_str(&value).map_err(|_| bad("access key id"))?;
    request.headers_mut().insert(AUTHORIZATION, value);
    Ok(request)
}
