//! The native API's client, as the command line uses it: where the server is, who calls, and typed requests.

mod credentials;
mod pages;

use std::time::Duration;

use clap::Args;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE};
use reqwest::redirect::Policy;
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::api::{Problem, SESSION_TOKEN_HEADER};
use crate::failure::{Exit, Failure};
use credentials::Credentials;
pub(crate) use credentials::{data_dir, folder_of_kept, secret};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest request asks a server that may be silent for as long as its own time-outs allow.
const REPLY_TIMEOUT: Duration = Duration::from_mins(2);
/// A day for the longest upload; the server ends one that stands still.
const UPLOAD_TIMEOUT: Duration = Duration::from_hours(24);
/// Names this program to servers.
const USER_AGENT: &str = concat!("keystow/", env!("CARGO_PKG_VERSION"));
/// What an id keeps in a path; everything else is escaped.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');

/// Where the server is.
#[derive(Debug, Clone, Args)]
pub(crate) struct ClientOptions {
    /// Address of the service's native API
    #[arg(
        long,
        global = true,
        env = "KEYSTOW_SERVER",
        default_value = "http://127.0.0.1:7360",
        value_name = "URL",
        help_heading = "Global options"
    )]
    server: String,
    /// Allow credentials to travel over plain http beyond this host
    #[arg(long, global = true, help_heading = "Global options")]
    insecure_http: bool,
}

/// Calls the native API.
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
    credentials: Credentials,
}

impl Client {
    /// A client with the credentials of the environment, else those of the data directory on this host.
    pub(crate) fn from_environment(options: &ClientOptions) -> Result<Self, Failure> {
        let base = base_url(&options.server, options.insecure_http)?;
        let credentials = Credentials::find()?;
        // The API never redirects; following one could carry the credentials elsewhere.
        let http = http_client(&base, |builder| builder.timeout(REPLY_TIMEOUT).redirect(Policy::none()))?;
        Ok(Self { http, base, credentials })
    }

    /// The server's address, for messages.
    pub(crate) fn server(&self) -> String {
        self.base.origin().ascii_serialization()
    }

    /// Reads one thing.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, Failure> {
        self.read(self.request(Method::GET, path)?).await
    }

    /// Reads one thing, with query parameters.
    pub(crate) async fn query<T: DeserializeOwned>(
        &self,
        path: &[&str],
        parameters: &[(&str, String)],
    ) -> Result<T, Failure> {
        let mut url = self.url(path)?;
        if !parameters.is_empty() {
            url.query_pairs_mut().extend_pairs(parameters);
        }
        self.read(self.signed(Method::GET, url)).await
    }

    /// Makes something.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        self.read(self.request(Method::POST, path)?.json(body)).await
    }

    /// Has something done that answers nothing.
    pub(crate) async fn post_quietly(&self, path: &[&str], body: &impl Serialize) -> Result<(), Failure> {
        self.send(self.request(Method::POST, path)?.json(body)).await.map(drop)
    }

    /// Sends a body of that length, piece by piece, however long it takes.
    pub(crate) async fn upload<T: DeserializeOwned>(
        &self,
        path: &[&str],
        parameters: &[(&str, String)],
        length: u64,
        pieces: impl futures_util::Stream<Item = std::io::Result<Vec<u8>>> + Send + 'static,
    ) -> Result<T, Failure> {
        let mut url = self.url(path)?;
        url.query_pairs_mut().extend_pairs(parameters);
        let request = self
            .signed(Method::POST, url)
            .timeout(UPLOAD_TIMEOUT)
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(CONTENT_LENGTH, length)
            .body(reqwest::Body::wrap_stream(pieces));
        self.read(request).await
    }

    /// Has something done that needs no more words.
    pub(crate) async fn act<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, Failure> {
        self.read(self.request(Method::POST, path)?).await
    }

    /// Sets something.
    pub(crate) async fn put<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        self.read(self.request(Method::PUT, path)?.json(body)).await
    }

    /// Changes some of something.
    pub(crate) async fn patch<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        self.read(self.request(Method::PATCH, path)?.json(body)).await
    }

    /// Removes something; the answer says what becomes of it.
    pub(crate) async fn delete<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, Failure> {
        self.read(self.request(Method::DELETE, path)?).await
    }

    /// Removes something at once.
    pub(crate) async fn delete_quietly(&self, path: &[&str]) -> Result<(), Failure> {
        self.send(self.request(Method::DELETE, path)?).await.map(drop)
    }

    fn request(&self, method: Method, path: &[&str]) -> Result<RequestBuilder, Failure> {
        Ok(self.signed(method, self.url(path)?))
    }

    fn signed(&self, method: Method, url: Url) -> RequestBuilder {
        let Credentials { id, secret, session_token } = &self.credentials;
        let request = self.http.request(method, url).basic_auth(id, Some(secret));
        match session_token {
            Some(token) => request.header(SESSION_TOKEN_HEADER, token),
            None => request,
        }
    }

    fn url(&self, path: &[&str]) -> Result<Url, Failure> {
        let mut url = self.base.clone();
        url.set_path(&api_path(self.base.path(), path)?);
        Ok(url)
    }

    async fn read<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Failure> {
        let response = self.send(request).await?;
        let bytes = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        serde_json::from_slice(&bytes).map_err(|error| {
            self.odd_answer("the server's answer is not what this version understands").because(error)
        })
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        if status.is_success() { Ok(response) } else { Err(self.refusal(status, response).await) }
    }

    async fn refusal(&self, status: StatusCode, response: Response) -> Failure {
        let is_problem = response
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/problem+json"));
        if is_problem && let Ok(problem) = response.json::<Problem>().await {
            return problem.into();
        }
        let mut failure = self.odd_answer(&format!("the server answered {status}"));
        if status.is_server_error() {
            failure.exit = Exit::Unreachable;
        }
        failure
    }

    fn odd_answer(&self, message: &str) -> Failure {
        Failure::new(Exit::Failure, "SERVER_ANSWER", message)
            .hint(format!("check that {} is the API of a Keystow server of this version", self.server()))
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let message = if error.is_timeout() { "does not answer in time" } else { "cannot be reached" };
        Failure::new(
            Exit::Unreachable,
            "SERVER_UNREACHABLE",
            format!("the server at {} {message}", self.server()),
        )
        .because(root_cause(error))
        .hint(if is_loopback(&self.base) {
            "start it with: keystow serve"
        } else {
            "check --server and the network"
        })
    }
}

/// The innermost reason of a transport error; the outer ones only say that there is one, or carry the URL.
pub(crate) fn root_cause(error: &reqwest::Error) -> String {
    let (mut innermost, mut next) = (None, std::error::Error::source(error));
    while let Some(source) = next {
        innermost = Some(source);
        next = source.source();
    }
    innermost.map_or_else(|| "the connection failed".to_owned(), ToString::to_string)
}

/// An HTTP client for that server.
pub(crate) fn http_client(
    base: &Url,
    options: impl Fn(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
) -> Result<reqwest::Client, Failure> {
    let builder = || {
        let builder = reqwest::Client::builder().user_agent(USER_AGENT).connect_timeout(CONNECT_TIMEOUT);
        options(if is_loopback(base) { builder.no_proxy() } else { builder })
    };
    let mut client = builder().build();
    if client.is_err() && base.scheme() == "http" {
        // A host that trusts no authority at all, as small images do: none is asked for here.
        client = builder().tls_certs_only([]).build();
    }
    client.map_err(|error| {
        Failure::new(Exit::Failure, "INTERNAL", "cannot start an HTTP client")
            .because(error)
            .hint("install the authorities that your system trusts (ca-certificates), or set SSL_CERT_FILE")
    })
}

/// Whether a URL leads to this very host.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Reads the server's address. Credentials must not be readable on the way.
fn base_url(text: &str, insecure_http: bool) -> Result<Url, Failure> {
    let wrong = || {
        Failure::usage("the server's address is not an http or https URL")
            .hint("such as: --server http://127.0.0.1:7360")
    };
    let url = Url::parse(text.trim()).map_err(|_| wrong())?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(wrong());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Failure::usage("the server's address must not carry credentials")
            .hint("set KEYSTOW_ACCESS_KEY_ID and KEYSTOW_ACCESS_KEY_SECRET"));
    }
    if url.scheme() == "http" && !insecure_http && !is_loopback(&url) {
        return Err(Failure::new(
            Exit::Usage,
            "INSECURE_HTTP",
            "credentials would travel unencrypted to another host",
        )
        .because(format!("{} is plain http", url.origin().ascii_serialization()))
        .hint("use https, or add --insecure-http if the network is trusted"));
    }
    Ok(url)
}

/// The path of a resource; ids are escaped, so that none of them can lead elsewhere.
fn api_path(base: &str, segments: &[&str]) -> Result<String, Failure> {
    let mut path = format!("{}/api/v1", base.trim_end_matches('/'));
    for segment in segments {
        // URL parsers take dots for steps, escaped or not.
        if matches!(*segment, "" | "." | "..") {
            return Err(Failure::usage(format!("'{segment}' is not an id")));
        }
        path.push('/');
        path.extend(utf8_percent_encode(segment, SEGMENT));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_go_in_the_clear_only_to_this_host() {
        for good in
            ["http://127.0.0.1:7360", "http://localhost:7360/", "http://[::1]:7360", "https://backup.example"]
        {
            assert!(base_url(good, false).is_ok(), "{good}");
        }
        let refused = base_url("http://10.0.0.5:7360", false).unwrap_err();
        assert_eq!((refused.exit, refused.code.as_str()), (Exit::Usage, "INSECURE_HTTP"));
        assert!(base_url("http://127.0.0.1.example.com", false).is_err());
        assert!(base_url("http://10.0.0.5:7360", true).is_ok());
    }

    #[test]
    fn an_address_that_is_no_server_is_a_usage_error() {
        for wrong in ["", "localhost:7360", "ftp://x", "http://user:secret@127.0.0.1", "/tmp/socket"] {
            assert_eq!(base_url(wrong, true).unwrap_err().exit, Exit::Usage, "{wrong}");
        }
    }

    #[test]
    fn an_id_cannot_leave_its_place_in_the_path() {
        assert_eq!(api_path("/", &["backups", "a/../b?c#d"]).unwrap(), "/api/v1/backups/a%2F..%2Fb%3Fc%23d");
        assert_eq!(api_path("/keystow/", &["jobs", "7"]).unwrap(), "/keystow/api/v1/jobs/7");
        for wrong in ["", ".", ".."] {
            assert!(api_path("/", &["backups", wrong]).is_err());
        }
    }
}
