//! One connection: commands out, replies in, with a limit on every wait.

mod refusal;
mod reply;
mod socket;
mod tls;

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

pub use self::reply::Reply;
use self::socket::{Socket, connect_tcp, connect_unix};
use super::{Credentials, Login, Node, TlsOptions};
use crate::error::{Error, Kind, Result};

/// Limits on waiting for a server.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For a connection, and for an ordinary reply.
    pub reply: Duration,
    /// Without a single byte while a snapshot is awaited or under way. Well over the 60 s after which servers
    /// themselves give up (`repl-timeout`); their keepalives reset it.
    pub silence: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { reply: Duration::from_secs(10), silence: Duration::from_secs(90) }
    }
}

/// A connection to one server.
pub struct Connection {
    socket: Socket,
    node: Node,
    timeouts: Timeouts,
    cancel: CancellationToken,
    /// Received, not yet used.
    pending: Vec<u8>,
    used: usize,
    /// Whether the server ever sent a byte.
    heard: bool,
}

impl Connection {
    /// Connects and signs in with `login.credentials`. Blocks, on a thread of a tokio runtime that may.
    pub fn open(node: &Node, login: &Login, timeouts: Timeouts, cancel: CancellationToken) -> Result<Self> {
        let socket = connect(node, &login.tls, timeouts.reply, &cancel)?;
        let mut connection = Self::on(socket, node.clone(), timeouts, cancel);
        connection.sign_in(&login.credentials)?;
        Ok(connection)
    }

    fn on(socket: Socket, node: Node, timeouts: Timeouts, cancel: CancellationToken) -> Self {
        Self { socket, node, timeouts, cancel, pending: Vec::new(), used: 0, heard: false }
    }

    /// A server that sends just this, one piece a read, and closes.
    #[cfg(test)]
    pub(super) fn scripted(reads: impl IntoIterator<Item = Vec<u8>>, timeouts: Timeouts) -> Self {
        // An empty read would mean that the server closed.
        let reads = reads.into_iter().filter(|read| !read.is_empty()).collect();
        let node = Node::Tcp { host: "script".to_owned(), port: 1, tls: false };
        Self::on(Socket::Script(reads), node, timeouts, CancellationToken::new())
    }

    fn sign_in(&mut self, credentials: &Credentials) -> Result<()> {
        let Some(password) = &credentials.password else { return Ok(()) };
        let mut command: Vec<&[u8]> = vec![b"AUTH"];
        if let Some(user) = &credentials.username {
            command.push(user.as_bytes());
        }
        command.push(password.expose());
        match self.call(&command)? {
            Reply::Simple(_) => Ok(()),
            Reply::Error(text) => Err(self.sign_in_refusal(&text)),
            _ => Err(self.no_redis("an odd reply to AUTH")),
        }
    }

    /// Sends one command.
    pub fn send(&mut self, command: &[&[u8]]) -> Result<()> {
        let mut out = Vec::new();
        encode(&mut out, command);
        let sent = self.send_raw(&out);
        zeroize::Zeroize::zeroize(&mut out);
        sent
    }

    /// Sends what was encoded before. Whoever sends much reads the replies in between: a server stops reading when
    /// nobody takes what it answers.
    pub fn send_raw(&mut self, bytes: &[u8]) -> Result<()> {
        self.socket.send(bytes, self.timeouts.reply, &self.cancel).map_err(|error| self.lost(&error))
    }

    /// The next bytes of a payload; 0 when the server closed. Waits as long as a snapshot may be silent.
    pub(super) fn read_payload(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let pending = &self.pending[self.used..];
        if !pending.is_empty() {
            let length = pending.len().min(buffer.len());
            buffer[..length].copy_from_slice(&pending[..length]);
            self.used += length;
            return Ok(length);
        }
        self.socket.wait(buffer, self.silence_deadline(), &self.cancel).map_err(|error| self.lost(&error))
    }

    /// The moment after which silence is too long.
    pub(super) fn silence_deadline(&self) -> Instant {
        Instant::now() + self.timeouts.silence
    }

    /// The server.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The server's address, as it was connected to; `None` on a Unix socket.
    pub fn peer_ip(&self) -> Option<IpAddr> {
        self.socket.tcp()?.peer_addr().ok().map(|address| address.ip())
    }

    /// Our own address, as the server can reach it where nothing translates addresses in between; `None` on a Unix
    /// socket.
    pub fn local_ip(&self) -> Option<IpAddr> {
        self.socket.tcp()?.local_addr().ok().map(|address| address.ip())
    }

    /// What stops every wait of this connection.
    pub(super) fn cancel(&self) -> &CancellationToken {
        &self.cancel
    }

    /// Drops what still comes until the server closes, but for no longer than `limit`.
    pub(super) fn await_close(mut self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let mut buffer = [0; 1024];
        while let Ok(1..) = self.socket.wait(&mut buffer, deadline, &self.cancel) {}
    }

    /// Ends the connection now, whatever the server is about to say.
    pub(super) fn shut_down(&self) {
        self.socket.shut_down();
    }
}

/// Adds a command, as the Redis protocol writes it.
pub fn encode(out: &mut Vec<u8>, words: &[&[u8]]) {
    add_length(out, b'*', words.len());
    for word in words {
        add_length(out, b'$', word.len());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

fn add_length(out: &mut Vec<u8>, kind: u8, length: usize) {
    out.push(kind);
    out.extend_from_slice(length.to_string().as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn connect(node: &Node, tls: &TlsOptions, limit: Duration, cancel: &CancellationToken) -> Result<Socket> {
    let deadline = Instant::now() + limit;
    let connected = match node {
        Node::Unix(path) => connect_unix(path).map(Socket::Unix),
        Node::Tcp { host, port, .. } => connect_tcp(host, *port, limit, cancel).map(Socket::Tcp),
    };
    let socket = connected.map_err(|error| {
        if cancel.is_cancelled() {
            return Error::cancelled();
        }
        Error::new(Kind::Unreachable, "SOURCE_UNREACHABLE", format!("cannot connect to {node}"))
            .because(error)
            .hint("check host, port and firewall; is the server running?")
    })?;
    match (node, socket) {
        (Node::Tcp { host, tls: true, .. }, Socket::Tcp(socket)) => {
            let stream = tls::shake_hands(socket, (node, host), tls, deadline, cancel)?;
            Ok(Socket::Tls(Box::new(stream)))
        }
        (_, socket) => Ok(socket),
    }
}
