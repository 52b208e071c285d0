//! HTTP/1.1 as far as a download needs it: requests without bodies in, one answer each out, keep-alive between them.
//!
//! Parsed by httparse; the rest is ours because the bytes go out by `sendfile`, which needs the bare socket.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::request::Request;
use super::settlement::Settlement;
use super::transfer::Peer;
use super::{Downloads, Payload, conditions};
use crate::http::accept::{Limits, Serve};
use crate::http::entrance::{Connection, Socket};
use crate::http::patience::Waiting;

/// Longest request line and headers.
const LONGEST_HEAD: usize = 16 * 1024;
/// How long a peer is waited for that gives no sign of having a counted transfer.
const SIGN_TIMEOUT: Duration = Duration::from_secs(3);

impl Serve for Downloads {
    async fn serve(self, connection: Connection, limits: Limits, stop: CancellationToken) {
        let (peer, tls, trusted) = (connection.peer, connection.is_tls(), connection.trusted);
        let who = |request: &Request| trusted.client(peer, tls, &request.headers).address;
        let mut to = Peer { socket: connection.socket, idle: Waiting::new(limits.idle_timeout) };
        match self.talk(&mut to, who, limits, &stop).await {
            Ok(()) => to.close().await,
            Err(error) => tracing::debug!(%peer, %error, "connection ended early"),
        }
    }
}

impl Downloads {
    /// One request after another. After an error the connection is of no use.
    async fn talk(
        &self,
        to: &mut Peer,
        who: impl Fn(&Request) -> SocketAddr,
        limits: Limits,
        stop: &CancellationToken,
    ) -> io::Result<()> {
        let mut stopped = pin!(stop.cancelled());
        let mut dates = Dates::default();
        let (mut pending, mut head) = (Vec::new(), Vec::new());
        loop {
            let request = match next_request(to, &mut pending, limits, stopped.as_mut()).await {
                Ok(Some(request)) => request,
                Ok(None) => return Ok(()),
                Err(Unreadable::Lost(error)) => return Err(error),
                Err(Unreadable::Request(status)) => {
                    let now = dates.at(self.engine.clock().now());
                    write_head(&mut head, status, "content-length: 0\r\n", false, now);
                    return to.write(&head).await;
                }
            };
            let answer = self.answer(&request, who(&request)).await;
            let keep = request.keep_alive && !stop.is_cancelled();
            write_head(&mut head, answer.status, &answer.headers, keep, dates.at(self.engine.clock().now()));
            let mut counted = None;
            match answer.payload {
                Payload::Nothing => to.write(&head).await?,
                Payload::Bytes(bytes) => {
                    head.extend_from_slice(&bytes);
                    to.write(&head).await?;
                }
                Payload::Transfer(transfer) => counted = transfer.send(to, &mut head).await?,
            }
            if let Some(settlement) = counted {
                if !keep {
                    to.finish().await;
                }
                has_arrived(settlement, to, &mut pending).await?;
            }
            if !keep {
                return Ok(());
            }
        }
    }
}

/// Settles a counted transfer that was written whole. What the kernel took may still be lost: the peer's next request or
/// its orderly end shows that it was not, and so, after a moment, does silence.
async fn has_arrived(mut settlement: Settlement, to: &mut Peer, pending: &mut Vec<u8>) -> io::Result<()> {
    if !pending.is_empty() {
        return Ok(());
    }
    match timeout(SIGN_TIMEOUT, fill(&mut to.socket, pending)).await {
        Ok(Err(error)) => {
            settlement.broken(to.doubtful());
            Err(error)
        }
        Ok(Ok(_)) | Err(_) => Ok(()),
    }
}

/// Why there is no request.
#[derive(Debug)]
enum Unreadable {
    /// The connection broke.
    Lost(io::Error),
    /// It is not one that this listener takes.
    Request(StatusCode),
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        Self::Lost(error)
    }
}

impl From<StatusCode> for Unreadable {
    fn from(status: StatusCode) -> Self {
        Self::Request(status)
    }
}

/// The next request; `None` when the peer is done, or idle for too long, or the server stops.
async fn next_request(
    from: &mut Peer,
    pending: &mut Vec<u8>,
    limits: Limits,
    stopped: Pin<&mut impl Future<Output = ()>>,
) -> Result<Option<Request>, Unreadable> {
    if pending.is_empty() {
        let first = tokio::select! {
            biased;
            first = from.idle.on(fill(&mut from.socket, pending)) => first,
            () = stopped => return Ok(None),
        };
        match first {
            None | Some(Ok(0)) => return Ok(None),
            Some(read) => read?,
        };
    }
    if let Some(request) = Request::take(pending)? {
        return Ok(Some(request));
    }
    let rest = async {
        loop {
            if pending.len() > LONGEST_HEAD {
                return Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE.into());
            }
            if fill(&mut from.socket, pending).await? == 0 {
                return Ok(None);
            }
            if let Some(request) = Request::take(pending)? {
                return Ok(Some(request));
            }
        }
    };
    timeout(limits.header_timeout, rest).await.unwrap_or(Err(StatusCode::REQUEST_TIMEOUT.into()))
}

async fn fill(socket: &mut Socket, pending: &mut Vec<u8>) -> io::Result<usize> {
    pending.reserve(2048);
    match socket {
        Socket::Plain(socket) => socket.read_buf(pending).await,
        Socket::Tls(socket) => socket.read_buf(pending).await,
    }
}

fn write_head(head: &mut Vec<u8>, status: StatusCode, headers: &str, keep_alive: bool, date: &str) {
    let reason = status.canonical_reason().unwrap_or("Unknown");
    let connection = if keep_alive { "" } else { "connection: close\r\n" };
    head.clear();
    for text in
        ["HTTP/1.1 ", status.as_str(), " ", reason, "\r\n", headers, connection, "date: ", date, "\r\n\r\n"]
    {
        head.extend_from_slice(text.as_bytes());
    }
}

/// The `Date` header, written once a second.
#[derive(Default)]
struct Dates {
    second: Option<i64>,
    text: String,
}

impl Dates {
    fn at(&mut self, now: Timestamp) -> &str {
        if self.second != Some(now.as_second()) {
            self.second = Some(now.as_second());
            self.text = conditions::http_date(now);
        }
        &self.text
    }
}
