//! One file behind a link: what the server says of it, and its bytes. Works with Keystow's links and with those of
//! object stores; the link's secret part stays out of every message.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap,
    HeaderName, IF_RANGE, RANGE, RETRY_AFTER,
};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};

use super::name;
use crate::cli::output::plain;
use crate::client::{http_client, root_cause};
use crate::failure::{Exit, Failure};

/// Silence in the middle of a transfer.
const READ_TIMEOUT: Duration = Duration::from_mins(1);
/// The longest that a server may make us wait with `Retry-After`.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
const ERROR_BODY_BYTES: usize = 16 * 1024;

/// A file behind a link.
pub(in crate::cli) struct Remote {
    http: reqwest::Client,
    url: Url,
}

/// What the server says of the file.
#[derive(Debug, Clone, Default)]
pub(in crate::cli) struct Facts {
    /// Its bytes.
    pub(in crate::cli) size: Option<u64>,
    /// Its strong entity tag, which changes whenever a byte does.
    pub(super) etag: Option<String>,
    /// Whether parts of it can be asked for.
    pub(in crate::cli) ranges: bool,
    /// Its SHA-256, in lower-case hex.
    pub(in crate::cli) sha256: Option<String>,
    /// Its name, fit for a file system.
    pub(super) name: Option<String>,
}

/// Why a request brought nothing.
#[derive(Debug)]
pub(in crate::cli) enum Trouble {
    /// It may work later.
    Passing {
        /// What happened.
        reason: String,
        /// How long the server wants to be left alone.
        wait: Option<Duration>,
    },
    /// The file is no longer the one that was begun.
    Changed,
    /// It will not work.
    Fatal(Failure),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Fatal(failure)
    }
}

impl From<reqwest::Error> for Trouble {
    fn from(error: reqwest::Error) -> Self {
        Self::passing(root_cause(&error))
    }
}

impl Trouble {
    /// Trouble that may be over soon.
    pub(super) fn passing(reason: impl Into<String>) -> Self {
        Self::Passing { reason: reason.into(), wait: None }
    }
}

impl Remote {
    /// The file behind this link. The URL may have gone through a mail or a shell.
    pub(in crate::cli) fn new(url: &str) -> Result<Self, Failure> {
        let url = Url::parse(url.trim())
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.host_str().is_some())
            .ok_or_else(|| Failure::usage("the link is not an http or https URL"))?;
        let http = http_client(&url, |builder| builder.read_timeout(READ_TIMEOUT))?;
        Ok(Self { http, url })
    }

    /// The link without its secret part, for messages.
    pub(in crate::cli) fn shown(&self) -> String {
        format!("{}{}", self.url.origin().ascii_serialization(), self.url.path())
    }

    /// The name at the end of the link, for a server that gives none.
    pub(super) fn name(&self) -> String {
        name::of_url(&self.url)
    }

    /// Asks what the file is. HEAD costs a limited link nothing; stores that sign the method refuse it, so the first
    /// byte is asked for then.
    pub(in crate::cli) async fn ask(&self) -> Result<Facts, Trouble> {
        let head = self.request(Method::HEAD).send().await?;
        let told = if head.status() == StatusCode::OK { Facts::of(head.headers()) } else { Facts::default() };
        if told.ranges && told.size.is_some() {
            return Ok(told);
        }
        let response = self.request(Method::GET).header(RANGE, "bytes=0-0").send().await?;
        let mut facts = Facts::of(response.headers());
        match response.status() {
            StatusCode::PARTIAL_CONTENT => {
                facts.size = content_range(response.headers()).and_then(|range| range.total);
                facts.ranges = facts.size.is_some();
            }
            StatusCode::OK => facts.ranges = false,
            StatusCode::RANGE_NOT_SATISFIABLE => {
                // Only an empty file has no first byte.
                facts = Facts { size: Some(0), ranges: false, ..facts };
            }
            _ => return Err(self.refusal(response).await),
        }
        facts.sha256 = facts.sha256.or(told.sha256);
        Ok(facts)
    }

    /// Asks for the bytes from `start` up to, and not with, `end`.
    pub(in crate::cli) async fn range(
        &self,
        start: u64,
        end: u64,
        facts: &Facts,
    ) -> Result<Response, Trouble> {
        let mut request = self.request(Method::GET).header(RANGE, format!("bytes={start}-{}", end - 1));
        if let Some(etag) = &facts.etag {
            request = request.header(IF_RANGE, etag);
        }
        let response = request.send().await?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT => {
                let given = content_range(response.headers());
                let same_file = strong_etag(response.headers()) == facts.etag
                    && given.as_ref().is_some_and(|given| given.total == facts.size);
                if !same_file {
                    return Err(Trouble::Changed);
                }
                if given.is_none_or(|given| (given.start, given.end) != (start, end)) {
                    return Err(Trouble::passing("the server sent another range than asked for"));
                }
                Ok(response)
            }
            StatusCode::OK | StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::PRECONDITION_FAILED => {
                Err(Trouble::Changed)
            }
            _ => Err(self.refusal(response).await),
        }
    }

    /// Asks for all bytes.
    pub(in crate::cli) async fn whole(&self) -> Result<Response, Trouble> {
        let response = self.request(Method::GET).send().await?;
        if response.status() == StatusCode::OK { Ok(response) } else { Err(self.refusal(response).await) }
    }

    fn request(&self, method: Method) -> RequestBuilder {
        // A compressed reply would have other sizes, ranges and checksums.
        self.http.request(method, self.url.clone()).header(ACCEPT_ENCODING, "identity")
    }

    async fn refusal(&self, response: Response) -> Trouble {
        let status = response.status();
        let wait = retry_after(response.headers());
        let said = read_message(response).await;
        let reason = said.clone().unwrap_or_else(|| format!("the server answered {status}"));
        let link = self.shown();
        let failure = match status.as_u16() {
            408 | 425 | 429 | 500..=599 => return Trouble::Passing { reason, wait },
            401 | 403 if reason.to_ascii_lowercase().contains("expired") => {
                Failure::new(Exit::Auth, "LINK_EXPIRED", format!("the link to {link} has expired"))
                    .hint("get a new link and run the same command with it; what has arrived is kept")
            }
            401 | 403 => {
                Failure::new(Exit::Auth, "LINK_REFUSED", format!("the server refuses the link to {link}"))
                    .hint("put the whole link in quotes, or get a new one")
            }
            404 | 410 => Failure::new(Exit::NotFound, "LINK_GONE", format!("there is nothing at {link}"))
                .hint("the backup may have been removed; list what there is with: keystow backup list"),
            _ => Failure::new(Exit::Failure, "LINK_ANSWER", format!("the server does not deliver {link}")),
        };
        Trouble::Fatal(failure.because(reason))
    }
}

impl Facts {
    fn of(headers: &HeaderMap) -> Self {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        Self {
            size: text(CONTENT_LENGTH).and_then(|length| length.parse().ok()),
            etag: strong_etag(headers),
            ranges: text(ACCEPT_RANGES).is_some_and(|unit| unit.eq_ignore_ascii_case("bytes")),
            sha256: text(HeaderName::from_static("repr-digest")).and_then(sha256_of),
            name: headers
                .get(CONTENT_DISPOSITION)
                .and_then(|value| name::of_disposition(&String::from_utf8_lossy(value.as_bytes()))),
        }
    }
}

struct GivenRange {
    start: u64,
    end: u64,
    total: Option<u64>,
}

/// `bytes 0-99/1000` as 0, 100 and 1000.
fn content_range(headers: &HeaderMap) -> Option<GivenRange> {
    let (range, total) =
        headers.get(CONTENT_RANGE)?.to_str().ok()?.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    Some(GivenRange {
        start: first.parse().ok()?,
        end: last.parse::<u64>().ok()?.checked_add(1)?,
        total: total.parse().ok(),
    })
}

fn strong_etag(headers: &HeaderMap) -> Option<String> {
    let etag = headers.get(ETAG)?.to_str().ok()?;
    (!etag.starts_with("W/")).then(|| etag.to_owned())
}

/// The SHA-256 among the digests of RFC 9530, as hex.
fn sha256_of(header: &str) -> Option<String> {
    let encoded =
        header.split(',').find_map(|digest| digest.trim().strip_prefix("sha-256=:")?.strip_suffix(':'))?;
    let digest = STANDARD.decode(encoded).ok().filter(|digest| digest.len() == 32)?;
    Some(super::hex(&digest))
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_WAIT))
}

/// What an error body has to say, in the words of object stores.
async fn read_message(mut response: Response) -> Option<String> {
    let mut body = Vec::new();
    while body.len() < ERROR_BODY_BYTES {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            _ => break,
        }
    }
    let text = String::from_utf8_lossy(&body);
    let (_, rest) = text.split_once("<Message>")?;
    let (message, _) = rest.split_once("</Message>")?;
    Some(plain(message).chars().take(300).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_part_of_a_link_is_never_shown() {
        let remote = Remote::new("https://user:pw@h.example/d/f.rdb?Signature=secret#x\n").unwrap();
        assert_eq!(remote.shown(), "https://h.example/d/f.rdb");
        let failure = Remote::new("https//h/?Signature=secret").err().unwrap();
        assert!(!failure.to_string().contains("secret"));
    }

    #[test]
    fn digests_are_read() {
        let hex = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        let header = "md5=:AAAA:, sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:";
        assert_eq!(sha256_of(header).as_deref(), Some(hex));
        for wrong in ["", "sha-256=:AAAA:", "sha-512=:AAAA:", "sha-256=LPJN"] {
            assert_eq!(sha256_of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_weak_tag_is_no_tag() {
        let mut headers = HeaderMap::new();
        headers.insert(ETAG, "W/\"x\"".parse().unwrap());
        assert_eq!(strong_etag(&headers), None);
        headers.insert(ETAG, "\"x\"".parse().unwrap());
        assert_eq!(strong_etag(&headers).as_deref(), Some("\"x\""));
    }
}
