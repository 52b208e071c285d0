//! What the signatures of several vendors are built from: percent-encoding, name-value pairs,
//! hashes, header access and calendar texts. It knows no vendor.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::time::{Duration, SystemTime};

use aws_lc_rs::{constant_time, digest, hmac};
use http::header::{AUTHORIZATION, AsHeaderName, CONTENT_TYPE, HOST};
use jiff::civil::DateTime;
use jiff::tz::Offset;
use jiff::{Timestamp, civil};
use serde_json::Value;

use crate::vocabulary::{Fault, Request, Weekdays};

/// More parameters than any action of any vendor has, nested lists included.
const MAX_PAIRS: usize = 1000;

/// Parameters by name; the order of the map is the byte order that signatures sort by.
pub(crate) type Parameters = BTreeMap<String, String>;

/// How a signature comes about, for tests and for showing a caller where his own differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workings {
    /// The canonical request, where the scheme has one.
    pub canonical_request: Option<String>,
    /// The text that is signed.
    pub string_to_sign: String,
    /// The signature as it is sent.
    pub signature: String,
}

/// Percent-encodes every byte but `A-Z a-z 0-9 - _ . ~` (RFC 3986, section 2.3).
pub(crate) fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for &byte in text.as_bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// Undoes percent-encoding and reads `+` as a blank; `None` for a broken escape or for no UTF-8.
pub(crate) fn percent_decode(raw: &[u8]) -> Option<String> {
    decode_with(raw, b' ')
}

/// Undoes percent-encoding and leaves `+` as it is; `None` for a broken escape or for no UTF-8.
pub(crate) fn unescape(raw: &[u8]) -> Option<String> {
    decode_with(raw, b'+')
}

fn decode_with(raw: &[u8], plus: u8) -> Option<String> {
    let mut decoded = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        decoded.push(match byte {
            b'+' => plus,
            b'%' => {
                let (digits, tail) = rest.split_at_checked(2)?;
                rest = tail;
                hex_digit(digits[0])? << 4 | hex_digit(digits[1])?
            }
            other => other,
        });
    }
    String::from_utf8(decoded).ok()
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// The pairs of a query or a form in wire order, names and values decoded.
pub(crate) fn pairs(raw: &[u8]) -> Result<Vec<(String, String)>, Fault> {
    pairs_by(raw, percent_decode)
}

/// The pairs of a query or a form in wire order, names and values decoded by a rule.
pub(crate) fn pairs_by(
    raw: &[u8],
    decode: fn(&[u8]) -> Option<String>,
) -> Result<Vec<(String, String)>, Fault> {
    let mut pairs = Vec::new();
    for (name, value) in raw_pairs(raw) {
        if pairs.len() == MAX_PAIRS {
            return Err(Fault::MalformedRequest(format!("more than {MAX_PAIRS} parameters")));
        }
        match (decode(name), decode(value)) {
            (Some(name), Some(value)) => pairs.push((name, value)),
            _ => return Err(Fault::MalformedRequest("a parameter is badly encoded".to_owned())),
        }
    }
    Ok(pairs)
}

fn raw_pairs(raw: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    raw.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
        match pair.iter().position(|&byte| byte == b'=') {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &pair[pair.len()..]),
        }
    })
}

/// The pairs of several sources as one map. A name given twice is refused: a signature must not
/// leave it open which of two values counts.
pub(crate) fn merge<'a>(sources: impl IntoIterator<Item = &'a [u8]>) -> Result<Parameters, Fault> {
    let mut parameters = Parameters::new();
    for source in sources {
        for (name, value) in pairs(source)? {
            if parameters.contains_key(&name) {
                return Err(Fault::MalformedRequest(format!("the parameter {name} is given twice")));
            }
            parameters.insert(name, value);
        }
    }
    Ok(parameters)
}

/// A text that was signed, fit to be kept in an error: without the values of parameters that are
/// secrets themselves.
pub(crate) fn without_secrets(signed: &str, parameters: &Parameters, names: &[&str]) -> String {
    let secrets = names.iter().filter_map(|name| parameters.get(*name).map(|value| (name, value)));
    secrets.filter(|(_, value)| !value.is_empty()).fold(signed.to_owned(), |text, (name, value)| {
        text.replace(&format!("{name}={value}"), &format!("{name}=***"))
    })
}

/// The raw text after `?`, escapes kept.
pub(crate) fn query(request: &Request) -> &[u8] {
    request.uri().query().unwrap_or_default().as_bytes()
}

/// The body, if it is a form; nothing otherwise.
pub(crate) fn form(request: &Request) -> &[u8] {
    if is_form(request) { request.body() } else { &[] }
}

/// Whether the Content-Type is that of a form.
pub(crate) fn is_form(request: &Request) -> bool {
    media_type(request).eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// The Content-Type without its parameters; empty when there is none.
pub(crate) fn media_type(request: &Request) -> &str {
    let value = peek_header(request, CONTENT_TYPE).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim()
}

/// The raw value of a parameter in query or form, for recognising a request before it is checked:
/// never fails, trusts nothing. The names looked for need no escaping.
pub(crate) fn peek_parameter<'a>(request: &'a Request, name: &str) -> Option<&'a [u8]> {
    [query(request), form(request)]
        .into_iter()
        .flat_map(raw_pairs)
        .find(|(found, _)| *found == name.as_bytes())
        .map(|(_, value)| value)
}

/// Whether query or form have a parameter of one of these names; see [`peek_parameter`].
pub(crate) fn has_parameter(request: &Request, names: &[&str]) -> bool {
    let sources = [query(request), form(request)];
    sources
        .into_iter()
        .flat_map(raw_pairs)
        .any(|(found, _)| names.iter().any(|name| found == name.as_bytes()))
}

/// The first value of a header, for recognising a request before it is checked. A name that is known in advance is
/// found faster as a [`http::HeaderName`] than as a text, which has to be read first.
pub(crate) fn peek_header(request: &Request, name: impl AsHeaderName) -> Option<&str> {
    request.headers().get(name).and_then(|value| value.to_str().ok())
}

/// The one value of a header. A repeated one is refused: two parties could read different values.
pub(crate) fn header(
    request: &Request,
    name: impl AsHeaderName + Copy + Display,
) -> Result<Option<&str>, Fault> {
    let mut values = request.headers().get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(Fault::MalformedRequest(format!("the header {name} is given twice")));
    }
    match first.map(|value| value.to_str()) {
        None => Ok(None),
        Some(Ok(text)) => Ok(Some(text.trim())),
        Some(Err(_)) => Err(Fault::MalformedRequest(format!("the header {name} is not text"))),
    }
}

/// The Host header as it was sent.
pub(crate) fn host(request: &Request) -> &str {
    peek_header(request, HOST).unwrap_or_default()
}

/// The spellings of the Host header that clients sign: as sent, without scheme and port, or with the
/// default port that their HTTP library drops from the header. The first is the usual one.
pub(crate) fn host_spellings(request: &Request) -> impl Iterator<Item = Cow<'_, str>> {
    let sent = host(request).trim();
    let bare = sent.split_once("://").map_or(sent, |(_, authority)| authority);
    let bare = match bare.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => bare,
    };
    let others = move || [Cow::Borrowed(bare), format!("{bare}:443").into(), format!("{bare}:80").into()];
    let others = std::iter::once_with(others).flatten().filter(move |other| other != sent);
    std::iter::once(Cow::Borrowed(sent)).chain(others)
}

/// The fields of an Authorization header of the layout
/// `<algorithm> Credential=…, SignedHeaders=…, Signature=…`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Authorization<'a> {
    /// Name of the algorithm.
    pub(crate) algorithm: &'a str,
    /// Key id and, where the vendor has one, scope.
    pub(crate) credential: &'a str,
    /// Names of the signed headers, as written.
    pub(crate) signed_headers: &'a str,
    /// The signature.
    pub(crate) signature: &'a str,
}

impl<'a> Authorization<'a> {
    /// Reads the header; blanks after commas are optional, the order of the fields is free.
    pub(crate) fn read(request: &'a Request) -> Result<Self, Fault> {
        Self::read_with(request, "Credential")
    }

    /// Reads a header whose first field the vendor calls otherwise.
    pub(crate) fn read_with(request: &'a Request, credential_field: &str) -> Result<Self, Fault> {
        let text = header(request, &AUTHORIZATION)?.ok_or(Fault::Unsigned("Authorization"))?;
        let broken = |what: &str| Fault::MalformedSignature(format!("Authorization: {what}"));
        let (algorithm, fields) = text.split_once(' ').ok_or_else(|| broken("no fields"))?;
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for field in fields.split(',') {
            let (name, value) =
                field.trim().split_once('=').ok_or_else(|| broken("a field without a value"))?;
            let slot = match name {
                name if name == credential_field => &mut credential,
                "SignedHeaders" => &mut signed_headers,
                "Signature" => &mut signature,
                _ => return Err(broken("an unknown field")),
            };
            if slot.replace(value).is_some() {
                return Err(broken("a field is given twice"));
            }
        }
        match (credential, signed_headers, signature) {
            (Some(credential), Some(signed_headers), Some(signature))
                if !credential.is_empty() && !signature.is_empty() =>
            {
                Ok(Self { algorithm, credential, signed_headers, signature })
            }
            _ => Err(broken(&format!("{credential_field}, SignedHeaders and Signature are needed"))),
        }
    }
}

/// HMAC-SHA-1 of a message.
pub(crate) fn hmac_sha1(key: &[u8], message: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key), message)
}

/// HMAC-SHA-256 of a message.
pub(crate) fn hmac_sha256(key: &[u8], message: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message)
}

/// SHA-1 of several pieces in a row, in lower-case hex. The pieces are not joined in memory: one
/// may be a secret.
pub(crate) fn sha1_hex(pieces: &[&[u8]]) -> String {
    let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    for piece in pieces {
        context.update(piece);
    }
    hex(context.finish().as_ref())
}

/// SHA-256 in lower-case hex.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// Bytes in lower-case hex. Written by table: every request has several of them.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for &byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 0xf)]));
    }
    text
}

/// Whether two signatures are the same, in a time that does not tell where they differ.
pub(crate) fn same(ours: &str, theirs: &str) -> bool {
    constant_time::verify_slices_are_equal(ours.as_bytes(), theirs.as_bytes()).is_ok()
}

/// Reads a calendar text by a template in which `0` stands for a digit and every other letter for
/// itself, such as `0000-00-00T00:00Z`. Fields run from the year down to the second.
pub(crate) fn read_calendar(text: &str, template: &str) -> Option<DateTime> {
    if text.len() != template.len() {
        return None;
    }
    let mut fields = [0_i16; 6];
    let mut field = 0;
    for (byte, wanted) in text.bytes().zip(template.bytes()) {
        if wanted == b'0' {
            let digit = char::from(byte).to_digit(10).and_then(|digit| i16::try_from(digit).ok())?;
            let slot = fields.get_mut(field)?;
            *slot = slot.checked_mul(10)?.checked_add(digit)?;
        } else if wanted == byte {
            field += 1;
        } else {
            return None;
        }
    }
    let small = |at: usize| i8::try_from(fields[at]).ok();
    civil::DateTime::new(fields[0], small(1)?, small(2)?, small(3)?, small(4)?, small(5)?, 0).ok()
}

/// The moment at which clocks of that offset show a calendar text.
pub(crate) fn moment(calendar: DateTime, offset: Offset) -> Option<SystemTime> {
    offset.to_timestamp(calendar).ok().map(SystemTime::from)
}

/// The day of a moment in UTC, such as `2026-01-31`.
pub(crate) fn write_day(at: SystemTime) -> String {
    let timestamp = Timestamp::try_from(at).unwrap_or(Timestamp::MAX);
    Offset::UTC.to_datetime(timestamp).date().to_string()
}

/// What a calendar of that offset shows at a moment, in a `strftime` format.
pub(crate) fn write_calendar(at: SystemTime, offset: Offset, format: &str) -> String {
    let timestamp = Timestamp::try_from(at).unwrap_or(Timestamp::MAX);
    offset.to_datetime(timestamp).strftime(format).to_string()
}

/// Where a weekly hour falls on clocks that are so many hours ahead of those that show it now: a shift
/// past midnight moves the days along.
pub(crate) fn shift_week(mut days: Weekdays, minute: u16, hours: i32) -> (Weekdays, u16) {
    const DAY: i32 = 24 * 60;
    let shifted = i32::from(minute) + hours * 60;
    let by = usize::try_from(shifted.div_euclid(DAY).rem_euclid(7)).unwrap_or_default();
    days.rotate_right(by);
    (days, u16::try_from(shifted.rem_euclid(DAY)).unwrap_or_default())
}

/// How far two moments are apart, whichever is earlier.
pub(crate) fn apart(one: SystemTime, other: SystemTime) -> Duration {
    one.duration_since(other).unwrap_or_else(|earlier| earlier.duration())
}

/// `7.0` of `7.0.15`: vendors show no more of a server's version.
pub(crate) fn short_version(version: &str) -> &str {
    version.match_indices('.').nth(1).map_or(version, |(at, _)| &version[..at])
}

/// Drops every null of an answer: vendors write it for what they leave out.
pub(crate) fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(without_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn only_unreserved_letters_stay_as_they_are() {
        assert_eq!(percent_encode("aZ09-_.~ +*/!'()é"), "aZ09-_.~%20%2B%2A%2F%21%27%28%29%C3%A9");
    }

    #[test]
    fn broken_escapes_are_refused() {
        assert_eq!(percent_decode(b"a+b%2b%2B").as_deref(), Some("a b++"));
        for broken in [&b"%"[..], b"%2", b"%zz", b"%+1", b"%C3", b"\xff"] {
            assert_eq!(percent_decode(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn pairs_keep_their_order_and_empty_values() {
        let read = pairs(b"b=2&&a=1&c&=x&d=1=2").unwrap();
        let expected = [("b", "2"), ("a", "1"), ("c", ""), ("", "x"), ("d", "1=2")];
        assert_eq!(read, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn a_name_given_twice_is_refused() {
        assert!(merge([&b"a=1"[..], b"b=2"]).is_ok());
        assert!(merge([&b"a=1"[..], b"%61=1"]).is_err());
    }

    #[test]
    fn too_many_pairs_are_refused() {
        assert!(pairs("a&".repeat(MAX_PAIRS).as_bytes()).is_ok());
        assert!(pairs("a&".repeat(MAX_PAIRS + 1).as_bytes()).is_err());
    }

    #[test]
    fn calendar_texts_are_read_strictly() {
        let read = |text| read_calendar(text, "0000-00-00T00:00Z").and_then(|at| moment(at, Offset::UTC));
        assert_eq!(read("1970-01-01T00:01Z"), Some(UNIX_EPOCH + Duration::from_mins(1)));
        for broken in [
            "1970-01-01T00:01",
            "1970-1-01T00:01ZZ",
            "1970-02-30T00:00Z",
            "+970-01-01T00:00Z",
            "1970-01-01T00:01z",
        ] {
            assert_eq!(read(broken), None, "{broken}");
        }
    }

    #[test]
    fn a_weekly_hour_before_the_offset_is_of_the_day_before() {
        let monday = [true, false, false, false, false, false, false];
        let sunday = [false, false, false, false, false, false, true];
        assert_eq!(shift_week(monday, 10 * 60, -8), (monday, 2 * 60));
        assert_eq!(shift_week(monday, 2 * 60, -8), (sunday, 18 * 60));
        assert_eq!(shift_week(sunday, 18 * 60, 8), (monday, 2 * 60));
        assert_eq!(shift_week(sunday, 30, 0), (sunday, 30));
    }

    #[test]
    fn a_version_is_cut_after_the_second_number() {
        assert_eq!(["7.0.15", "7.0", "8", ""].map(short_version), ["7.0", "7.0", "8", ""]);
    }
}
