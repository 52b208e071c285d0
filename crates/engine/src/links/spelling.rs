//! How a link is written: the parameter names that each vendor's storage uses, around the same claims.
//!
//! `/<prefix>/<backup>/<part>/<file name>?…`. The access key and the expiry are readable, the rest of the claims is
//! one parameter, the signature is base64url or hex: nothing that a shell, a mail or a log would change.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::claims::{VERSION, VERSION_WITH_REPOSITORY};
use super::{AddressRange, LinkClaims, LinkFault};
use crate::model::Network;

/// Whose parameter names a link uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Spelling {
    /// Our own.
    Native,
    /// Alibaba Cloud OSS.
    Oss,
    /// Tencent Cloud COS.
    Cos,
    /// Tencent's older Redis API: one nameless value, which no shell cuts.
    Crs,
    /// `UCloud` US3.
    Us3,
    /// Huawei Cloud OBS.
    Obs,
}

/// RFC 3986 unreserved characters stay as they are.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Room for a link without address ranges.
const USUAL_LETTERS: usize = 512;
/// Longest query that is looked at. Ours are under 1 kB; a link may have picked up trackers.
const LONGEST_QUERY: usize = 8 * 1024;

/// Names of the parameters that carry access key, expiry, claims and signature.
struct Names {
    access_key: &'static str,
    expires: &'static str,
    claims: &'static str,
    signature: &'static str,
}

impl Spelling {
    /// Those whose parameters have names.
    const NAMED: [Self; 5] = [Self::Native, Self::Oss, Self::Cos, Self::Us3, Self::Obs];

    pub(super) fn tag(self) -> u8 {
        match self {
            Self::Native => 0,
            Self::Oss => 1,
            Self::Cos => 2,
            Self::Crs => 3,
            Self::Us3 => 4,
            Self::Obs => 5,
        }
    }

    fn names(self) -> Names {
        match self {
            Self::Native | Self::Crs => Names {
                access_key: "KeystowAccessKeyId",
                expires: "Expires",
                claims: "Claims",
                signature: "Signature",
            },
            Self::Oss => Names {
                access_key: "OSSAccessKeyId",
                expires: "Expires",
                claims: "x-claims",
                signature: "Signature",
            },
            Self::Cos => Names {
                access_key: "q-ak",
                expires: "q-sign-time",
                claims: "q-claims",
                signature: "q-signature",
            },
            Self::Us3 => Names {
                access_key: "UCloudPublicKey",
                expires: "Expires",
                claims: "Claims",
                signature: "Signature",
            },
            Self::Obs => Names {
                access_key: "AccessKeyId",
                expires: "Expires",
                claims: "x-obs-claims",
                signature: "Signature",
            },
        }
    }

    /// The spelling that a query's parameter names show, whole or not; our own if they show none.
    pub fn of(query: &str) -> Self {
        if is_nameless(query) {
            return Self::Crs;
        }
        let shown = |(name, _): (&str, &str)| {
            Self::NAMED.into_iter().find(|spelling| spelling.names().access_key == name)
        };
        parameters(query).find_map(shown).unwrap_or(Self::Native)
    }

    pub(super) fn write(self, claims: &LinkClaims, mac: &[u8]) -> String {
        let (backup, part) = (claims.backup.to_string(), claims.part.to_string());
        let key = Cow::from(utf8_percent_encode(&claims.access_key, UNRESERVED));
        let expires = claims.expires_at.as_second().to_string();
        let packed = URL_SAFE_NO_PAD.encode(pack(claims));
        let names = self.names();
        // Pieces, not a format: a list of backups writes thousands of links.
        let mut link = String::with_capacity(USUAL_LETTERS);
        link.extend(["/", &backup, "/", &part, "/"]);
        link.extend(utf8_percent_encode(&claims.file_name, UNRESERVED));
        link.push('?');
        match self {
            Self::Crs => {
                link += &URL_SAFE_NO_PAD.encode(nameless(&claims.access_key, &expires, &packed, mac));
            }
            Self::Native | Self::Oss | Self::Us3 | Self::Obs => {
                let signature = URL_SAFE_NO_PAD.encode(mac);
                link.extend([names.access_key, "=", &key, "&", names.expires, "=", &expires, "&"]);
                link.extend([names.claims, "=", &packed, "&", names.signature, "=", &signature]);
            }
            Self::Cos => {
                let time = [&claims.issued_at.as_second().to_string(), "%3B", &expires].concat();
                link.extend(["q-sign-algorithm=hmac-sha256&q-ak=", &key, "&q-sign-time=", &time]);
                link.extend(["&q-key-time=", &time, "&q-header-list=host&q-url-param-list="]);
                link.extend(["&q-claims=", &packed, "&q-signature=", &crate::model::hex(mac)]);
            }
        }
        link
    }
}

/// Reads a link back into claims and signature. Nothing is trusted yet.
pub(super) fn read(path: &str, query: &str) -> Result<(LinkClaims, Vec<u8>), LinkFault> {
    if query.len() > LONGEST_QUERY {
        return Err(LinkFault::Malformed);
    }
    let spelling = Spelling::of(query);
    let unfolded;
    let query = if spelling == Spelling::Crs {
        unfolded = named(query).ok_or(LinkFault::BadSignature)?;
        &unfolded
    } else {
        query
    };
    let names = spelling.names();
    let find = |name: &str| {
        let (_, value) = parameters(query).find(|(found, _)| *found == name).ok_or(LinkFault::Incomplete)?;
        let value = decoded(value);
        if value.is_empty() { Err(LinkFault::Incomplete) } else { Ok(value) }
    };
    let access_key = find(names.access_key)?.into_owned();
    let expires = find(names.expires)?;
    let packed = find(names.claims)?;
    let signature = find(names.signature)?;
    let expires = expires.rsplit(';').next().unwrap_or_default().trim();
    let expires_at = second(expires.parse().map_err(|_| LinkFault::Malformed)?)?;
    let mac = match spelling {
        Spelling::Cos => from_hex(signature.trim()),
        Spelling::Native | Spelling::Oss | Spelling::Crs | Spelling::Us3 | Spelling::Obs => {
            from_base64(&signature)
        }
    }
    .ok_or(LinkFault::BadSignature)?;

    let mut segments = path.rsplit('/');
    let mut segment = || {
        let text = segments.next().filter(|text| !text.is_empty()).ok_or(LinkFault::Malformed)?;
        percent_decode_str(text).decode_utf8().map_err(|_| LinkFault::Malformed)
    };
    let file_name = segment()?.into_owned();
    let part = segment()?.parse::<u32>().map_err(|_| LinkFault::Malformed)?;
    let backup = segment()?.parse().map_err(|_| LinkFault::Malformed)?;
    let packed = from_base64(&packed).and_then(|bytes| unpack(&bytes)).ok_or(LinkFault::BadSignature)?;
    let claims = LinkClaims {
        spelling,
        signing_key: packed.signing_key,
        issued_at: Timestamp::from_microsecond(packed.issued).map_err(|_| LinkFault::BadSignature)?,
        expires_at,
        access_key,
        account: packed.account.parse().map_err(|_| LinkFault::BadSignature)?,
        backup,
        part: part.into(),
        file_name,
        network: if packed.intranet { Network::Intranet } else { Network::Public },
        addresses: ranges(&packed.addresses)?,
        denied: ranges(&packed.denied)?,
        remembered: packed.remembered,
        repository: packed.repository,
    };
    Ok((claims, mac))
}

fn ranges(texts: &[String]) -> Result<Vec<AddressRange>, LinkFault> {
    texts.iter().map(|text| text.parse()).collect::<Result<_, _>>().map_err(|_| LinkFault::BadSignature)
}

/// A query that begins with a value without a name. Base64 may end in `=`; what follows it somebody else added.
fn is_nameless(query: &str) -> bool {
    let text = first_piece(query).trim_end_matches(['=', '\n', '\r', ' ']);
    !text.is_empty() && !text.contains('=')
}

fn first_piece(query: &str) -> &str {
    query.split('&').next().unwrap_or_default()
}

/// The one value of a [`Spelling::Crs`] link.
fn nameless(access_key: &str, expires: &str, packed: &str, mac: &[u8]) -> String {
    [access_key, expires, packed, &URL_SAFE_NO_PAD.encode(mac)].join("\n")
}

/// The same link with our own parameter names.
fn named(query: &str) -> Option<String> {
    let text = decoded(first_piece(query));
    let text = String::from_utf8(from_base64(text.trim_end())?).ok()?;
    let fields: [&str; 4] = text.split('\n').collect::<Vec<_>>().try_into().ok()?;
    // Nobody rewrites what is inside of base64: there is one way to write a link, not some.
    let is_as_written =
        |field: &str| field.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if !fields[2..].iter().all(|field| is_as_written(field)) {
        return None;
    }
    let names = Spelling::Crs.names();
    let names = [names.access_key, names.expires, names.claims, names.signature];
    let pairs = names
        .iter()
        .zip(fields)
        .map(|(name, field)| format!("{name}={}", utf8_percent_encode(field, UNRESERVED)));
    Some(pairs.collect::<Vec<_>>().join("&"))
}

fn second(value: i64) -> Result<Timestamp, LinkFault> {
    Timestamp::from_second(value).map_err(|_| LinkFault::Malformed)
}

/// Names and values of a query, as they stand. Forgives `&amp;`, which copying out of a document leaves.
fn parameters(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (name.strip_prefix("amp;").unwrap_or(name), value)
    })
}

/// A value without its escapes, in either case, and without what copying may have left at its end.
fn decoded(value: &str) -> Cow<'_, str> {
    const LEFT: [char; 3] = ['\n', '\r', ' '];
    match percent_decode_str(value).decode_utf8_lossy() {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim_end_matches(LEFT)),
        Cow::Owned(text) => Cow::Owned(text.trim_end_matches(LEFT).to_owned()),
    }
}

/// base64url, or standard base64 as some HTTP libraries rewrite it (`+` may have become a blank).
fn from_base64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=');
    if !text.contains(['+', ' ', '/']) {
        return URL_SAFE_NO_PAD.decode(text).ok();
    }
    URL_SAFE_NO_PAD.decode(text.replace(['+', ' '], "-").replace('/', "_")).ok()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

/// The claims that are not readable in the link.
struct Packed {
    signing_key: u32,
    issued: i64,
    intranet: bool,
    account: String,
    remembered: Option<String>,
    addresses: Vec<String>,
    denied: Vec<String>,
    repository: Option<String>,
}

fn pack(claims: &LinkClaims) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    out.extend_from_slice(&[claims.version(), u8::from(claims.network == Network::Intranet)]);
    out.extend_from_slice(&claims.signing_key.to_be_bytes());
    out.extend_from_slice(&claims.issued_at.as_microsecond().to_be_bytes());
    let listed =
        |ranges: &[AddressRange]| ranges.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let remembered = claims.remembered.as_deref().unwrap_or("");
    let (addresses, denied) = (listed(&claims.addresses), listed(&claims.denied));
    let text = [claims.account.as_str(), remembered, &addresses, &denied].join("\n");
    out.extend_from_slice(text.as_bytes());
    if let Some(repository) = &claims.repository {
        out.push(b'\n');
        out.extend_from_slice(repository.as_bytes());
    }
    out
}

fn unpack(bytes: &[u8]) -> Option<Packed> {
    let (head, text) = bytes.split_at_checked(14)?;
    let (version, intranet) = (head[0], head[1]);
    if !matches!(version, VERSION | VERSION_WITH_REPOSITORY) || intranet > 1 {
        return None;
    }
    let mut lines = std::str::from_utf8(text).ok()?.split('\n');
    let account = lines.next()?.to_owned();
    let remembered = Some(lines.next()?.to_owned()).filter(|id| !id.is_empty());
    let mut ranges = || -> Option<Vec<String>> {
        Some(lines.next()?.split(',').filter(|text| !text.is_empty()).map(str::to_owned).collect())
    };
    let (addresses, denied) = (ranges()?, ranges()?);
    let repository = match version {
        VERSION => None,
        _ => Some(lines.next()?.to_owned()),
    };
    lines.next().is_none().then_some(())?;
    Some(Packed {
        signing_key: u32::from_be_bytes(head[2..6].try_into().ok()?),
        issued: i64::from_be_bytes(head[6..14].try_into().ok()?),
        intranet: intranet == 1,
        account,
        remembered,
        addresses,
        denied,
        repository,
    })
}
