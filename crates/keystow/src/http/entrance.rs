//! What happens to a connection before its first request: who it comes from, and TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::accept::Limits;
use super::client::TrustedProxies;
use super::patience::Patient;
use super::proxy_header;
use super::tls::Certificates;

/// How long an answer to a connection without TLS may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// How a listener takes connections in.
#[derive(Clone, Default)]
pub(crate) struct Entrance {
    /// Set if it speaks TLS.
    pub(crate) tls: Option<Arc<Certificates>>,
    /// Whether connections begin with the PROXY protocol.
    pub(crate) proxy_protocol: bool,
    pub(crate) trusted: Arc<TrustedProxies>,
}

/// A connection whose requests may be read.
pub(super) struct Connection {
    pub(super) socket: Socket,
    /// The other end, or the one that the PROXY protocol names.
    pub(super) peer: SocketAddr,
    pub(super) trusted: Arc<TrustedProxies>,
}

/// A socket, plain or with TLS on it.
pub(super) enum Socket {
    Plain(TcpStream),
    /// The time limit lies below TLS, which would otherwise wait for ever to get rid of what it holds.
    Tls(Box<TlsStream<Patient<TcpStream>>>),
}

impl Connection {
    pub(super) fn is_tls(&self) -> bool {
        matches!(self.socket, Socket::Tls(_))
    }
}

impl Entrance {
    /// Takes a connection in, in the time that headers have.
    pub(super) async fn enter(
        &self,
        socket: TcpStream,
        peer: SocketAddr,
        limits: Limits,
    ) -> io::Result<Connection> {
        if self.tls.is_none() && !self.proxy_protocol {
            return Ok(self.connection(Socket::Plain(socket), peer));
        }
        let entered = tokio::time::timeout(limits.header_timeout, self.take_in(socket, peer, limits));
        entered.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    async fn take_in(
        &self,
        mut socket: TcpStream,
        mut peer: SocketAddr,
        limits: Limits,
    ) -> io::Result<Connection> {
        let mut trusted = self.trusted.clone();
        if self.proxy_protocol {
            if !self.trusted.trusts(peer.ip()) {
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, "not from a trusted proxy"));
            }
            match proxy_header::read(&mut socket).await? {
                Some(client) => peer = client,
                // The proxy names nobody and does not look into HTTP: what the client writes there of itself
                // must not count as the proxy's word.
                None => trusted = Arc::default(),
            }
        }
        let socket = match &self.tls {
            None => Socket::Plain(socket),
            Some(certificates) => {
                // The name of a method. TLS begins with the type of a record, which is no letter (RFC 8446, 5.1).
                if first_byte(&socket).await?.is_ascii_uppercase() {
                    return Err(send_to_https(socket).await);
                }
                let acceptor = TlsAcceptor::from(certificates.current());
                let accepted = acceptor.accept(Patient::new(socket, limits.idle_timeout)).await?;
                Socket::Tls(Box::new(accepted))
            }
        };
        Ok(Connection { socket, peer, trusted })
    }

    fn connection(&self, socket: Socket, peer: SocketAddr) -> Connection {
        Connection { socket, peer, trusted: self.trusted.clone() }
    }
}

async fn first_byte(socket: &TcpStream) -> io::Result<u8> {
    let mut first = [0];
    match socket.peek(&mut first).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(first[0]),
    }
}

/// Tells a client that speaks plain HTTP what it met.
async fn send_to_https(mut socket: TcpStream) -> io::Error {
    const TEXT: &str = "this port speaks https\n";
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{TEXT}",
        TEXT.len()
    );
    // What is not read would have the kernel reset the connection, and the answer with it.
    let _ = socket.try_read(&mut [0; 16 * 1024]);
    let _ = tokio::time::timeout(FAREWELL, async {
        socket.write_all(answer.as_bytes()).await?;
        socket.shutdown().await
    })
    .await;
    io::Error::new(io::ErrorKind::InvalidData, "not TLS")
}
