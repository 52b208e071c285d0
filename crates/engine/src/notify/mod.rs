//! Telling others over HTTP: one signed POST to one receiver, to no address that it must not reach.

mod guard;
mod signature;

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url};
use tokio::sync::OnceCell;

use crate::error::{Error, Result};
use crate::model::{AddressRange, Secret};
use guard::Guard;
pub use signature::signature;

/// Longest URL of a receiver, in bytes.
const LONGEST_URL: usize = 2048;
/// How long a receiver has to take a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// How long it has for all of it.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an answer that are looked at.
const ANSWER_BYTES: usize = 1024;
/// Characters of an answer that are repeated.
const ANSWER_SHOWN: usize = 200;
/// Who posts.
const USER_AGENT: &str = concat!("keystow/", env!("CARGO_PKG_VERSION"));

/// A signed message.
#[derive(Debug)]
pub struct Post<'a> {
    /// Where it goes.
    pub url: &'a str,
    /// What it is about: the header `Keystow-Event`.
    pub event: &'a str,
    /// Its id, the same in every try: the header `Keystow-Delivery`.
    pub id: &'a str,
    /// The JSON.
    pub body: String,
    /// What signs it.
    pub secret: &'a Secret,
    /// When it is sent, in seconds since 1970.
    pub at: i64,
}

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The HTTP status of the answer, if there was one.
    pub status: Option<u16>,
    /// For a person.
    pub why: String,
}

/// Posts messages.
pub struct Poster {
    guard: Guard,
    /// Made when it is first needed: it reads the authorities that the system trusts.
    client: OnceCell<Client>,
}

impl Poster {
    /// One that reaches none of these addresses, nor those that nobody may reach.
    pub fn new(denied: &[AddressRange]) -> Self {
        Self { guard: Guard::new(denied), client: OnceCell::new() }
    }

    /// Checks where messages are to go: `http` or `https`, no user or password in it, and no address that is denied.
    /// A name is looked up when it is used. Gives it as it will be used.
    pub fn check(&self, url: &str) -> Result<String> {
        let wrong = |why: &str| {
            Error::invalid(format!("the receiver's URL is not valid: {why}"))
                .hint("write it as https://host:port/path")
        };
        if url.len() > LONGEST_URL {
            return Err(wrong("it is too long"));
        }
        let parsed = Url::parse(url.trim()).map_err(|error| wrong(&error.to_string()))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(wrong("it is neither http nor https"));
        }
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(wrong("a user or password does not belong there")
                .hint("the receiver knows the sender by the signature"));
        }
        if parsed.fragment().is_some() {
            return Err(wrong("nothing may follow a #"));
        }
        self.guard.check(&parsed)?;
        Ok(parsed.to_string())
    }

    /// Posts a message. Gives the status of the answer that took it, which is 2xx; redirects are not followed.
    pub async fn post(&self, post: Post<'_>) -> Result<u16, Refused> {
        let refused = |why: String| Refused { status: None, why };
        let url = Url::parse(post.url).map_err(|error| refused(error.to_string()))?;
        self.guard.check(&url).map_err(|error| refused(error.message.into_owned()))?;
        let client = self.client.get_or_try_init(async || client(&self.guard)).await;
        let client = client.map_err(|error| refused(format!("no HTTP client: {}", root_cause(&error))))?;
        let signature = signature(post.secret, post.at, post.body.as_bytes());
        let request = client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header("Keystow-Event", post.event)
            .header("Keystow-Delivery", post.id)
            .header("Keystow-Signature", signature)
            .body(Bytes::from(post.body));
        let response = request.send().await.map_err(|error| refused(unreached(&error)))?;
        let status = response.status();
        if status.is_success() {
            return Ok(status.as_u16());
        }
        let said = beginning(response).await;
        let mut why = format!("answered {}", status.as_u16());
        if status.is_redirection() {
            why.push_str("; redirects are not followed");
        } else if !said.is_empty() {
            why = format!("{why}: {said}");
        }
        Err(Refused { status: Some(status.as_u16()), why })
    }
}

/// A client that keeps no connections, so that each message looks its receiver up anew, and reaches what it has judged.
fn client(guard: &Guard) -> reqwest::Result<Client> {
    Client::builder()
        .user_agent(USER_AGENT)
        .connect_timeout(CONNECT)
        .timeout(PATIENCE)
        .redirect(Policy::none())
        // A proxy would look names up itself.
        .no_proxy()
        .pool_max_idle_per_host(0)
        .http1_only()
        .http1_title_case_headers()
        .dns_resolver(guard.clone())
        .build()
}

fn unreached(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer within {} s", PATIENCE.as_secs());
    }
    root_cause(error)
}

/// The innermost reason; the outer ones only say that there is one, or carry the URL.
fn root_cause(error: &reqwest::Error) -> String {
    let (mut innermost, mut next) = (None, std::error::Error::source(error));
    while let Some(source) = next {
        innermost = Some(source);
        next = source.source();
    }
    innermost.map_or_else(|| "the connection failed".to_owned(), ToString::to_string)
}

/// How an answer begins, in one line. It may never end.
async fn beginning(mut response: Response) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < ANSWER_BYTES {
        match response.chunk().await {
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk[..chunk.len().min(ANSWER_BYTES - bytes.len())]),
            Ok(None) | Err(_) => break,
        }
    }
    one_line(&String::from_utf8_lossy(&bytes))
}

fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split(|c: char| c.is_whitespace() || c.is_control()).collect();
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    words.join(" ").chars().take(ANSWER_SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    fn code(url: &str) -> Option<&'static str> {
        Poster::new(&[]).check(url).err().map(|error| error.code)
    }

    #[test]
    fn a_receiver_is_an_http_url_without_secrets() {
        for good in [
            "https://hooks.example.com/a?b=c",
            "http://10.0.0.5:8080",
            "http://localhost:1/x",
            "http://[::1]/",
        ] {
            assert_eq!(code(good), None, "{good}");
        }
        for bad in [
            "",
            "hooks.example.com",
            "ftp://h/x",
            "gopher://h/x",
            "file:///etc/passwd",
            "https://user:hush@h/x",
            "https://user@h/x",
            "https://h/#x",
            "http://",
            &format!("https://h/{}", "x".repeat(LONGEST_URL)),
        ] {
            assert_eq!(code(bad), Some("INVALID_VALUE"), "{bad}");
        }
    }

    #[test]
    fn an_answer_is_shown_in_one_bounded_line() {
        assert_eq!(one_line("a\r\n\t b\u{1b}[31mred\u{0}"), "a b [31mred");
        assert_eq!(one_line(&"é".repeat(5000)).chars().count(), ANSWER_SHOWN);
    }

    /// Answers one connection with these bytes, and gives what it was sent.
    async fn answers(answer: &'static [u8]) -> (String, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        #[expect(clippy::disallowed_methods, reason = "a receiver beside the test")]
        let asked = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut bytes = vec![0; 64 * 1024];
            let mut read = 0;
            while !bytes[..read].ends_with(b"{}") {
                read += socket.read(&mut bytes[read..]).await.unwrap();
            }
            socket.write_all(answer).await.unwrap();
            String::from_utf8(bytes[..read].to_vec()).unwrap()
        });
        (url, asked)
    }

    fn post<'a>(url: &'a str, secret: &'a Secret) -> Post<'a> {
        Post { url, event: "webhook.test", id: "n-1", body: "{}".to_owned(), secret, at: 1_700_000_000 }
    }

    #[tokio::test]
    async fn a_message_carries_what_it_is_and_its_signature() {
        let (url, asked) = answers(b"HTTP/1.1 204 No Content\r\n\r\n").await;
        let secret = Secret::new("hush");
        assert_eq!(Poster::new(&[]).post(post(&url, &secret)).await, Ok(204));
        let asked = asked.await.unwrap().to_lowercase();
        for line in [
            "post /hook http/1.1",
            "content-type: application/json",
            concat!("user-agent: keystow/", env!("CARGO_PKG_VERSION")),
            "keystow-event: webhook.test",
            "keystow-delivery: n-1",
            &format!("keystow-signature: {}", signature(&secret, 1_700_000_000, b"{}")),
        ] {
            assert!(asked.contains(line), "{line}: {asked}");
        }
    }

    #[tokio::test]
    async fn anything_but_2xx_is_a_refusal_with_the_beginning_of_the_answer() {
        let secret = Secret::new("hush");
        for (answer, status, why) in [
            (&b"HTTP/1.1 500 x\r\nContent-Length: 4\r\n\r\nouch"[..], Some(500), "answered 500: ouch"),
            (
                b"HTTP/1.1 302 x\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n",
                Some(302),
                "answered 302; redirects are not followed",
            ),
            (b"SSH-2.0-x\r\n", None, ""),
        ] {
            let (url, _asked) = answers(answer).await;
            let refused = Poster::new(&[]).post(post(&url, &secret)).await.unwrap_err();
            assert_eq!(refused.status, status);
            assert!(refused.why.starts_with(why) && !refused.why.is_empty(), "{refused:?}");
        }
    }

    #[tokio::test]
    async fn a_denied_address_is_not_connected_to_by_name_or_number() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let poster = Poster::new(&["127.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()]);
        let secret = Secret::new("hush");
        for host in ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "[::1]"] {
            let url = format!("http://{host}:{port}/");
            let refused = poster.post(post(&url, &secret)).await.unwrap_err();
            assert!(refused.why.contains("may not be reached"), "{host}: {refused:?}");
        }
        let nobody = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
        assert!(nobody.is_err(), "nobody came");
    }

    proptest! {
        #[test]
        fn checking_never_panics_and_what_it_gives_passes_again(url in "(https?://)?.{0,60}") {
            if let Ok(checked) = Poster::new(&[]).check(&url) {
                prop_assert_eq!(Poster::new(&[]).check(&checked).unwrap(), checked);
            }
        }
    }
}
