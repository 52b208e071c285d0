//! One connection: commands out, replies in, with a limit on every wait.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::{Address, Credentials};
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

/// How often a wait looks whether it was cancelled.
const LOOK_UP: Duration = Duration::from_millis(250);
/// Longest line of a reply.
const LONGEST_LINE: usize = 64 * 1024;
/// Longest bulk reply, such as INFO.
const LONGEST_BULK: usize = 16 * 1024 * 1024;

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    /// What a server sends, read by read; what it is sent is dropped.
    #[cfg(test)]
    Script(std::collections::VecDeque<Vec<u8>>),
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.read(buffer),
            Self::Unix(socket) => socket.read(buffer),
            #[cfg(test)]
            Self::Script(reads) => {
                let Some(mut next) = reads.pop_front() else { return Ok(0) };
                let length = next.len().min(buffer.len());
                buffer[..length].copy_from_slice(&next[..length]);
                if length < next.len() {
                    reads.push_front(next.split_off(length));
                }
                Ok(length)
            }
        }
    }
}

impl Write for Socket {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.write(buffer),
            Self::Unix(socket) => socket.write(buffer),
            #[cfg(test)]
            Self::Script(_) => Ok(buffer.len()),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A connection to one server.
pub struct Connection {
    socket: Socket,
    address: String,
    timeouts: Timeouts,
    cancel: CancellationToken,
    /// Received, not yet used.
    pending: Vec<u8>,
    used: usize,
}

impl Connection {
    /// A server that sends just this, one piece a read, and closes.
    #[cfg(test)]
    pub(super) fn scripted(reads: impl IntoIterator<Item = Vec<u8>>, timeouts: Timeouts) -> Self {
        // An empty read would mean that the server closed.
        let reads = reads.into_iter().filter(|read| !read.is_empty()).collect();
        let (address, cancel) = ("redis://script:1".to_owned(), CancellationToken::new());
        Self { socket: Socket::Script(reads), address, timeouts, cancel, pending: Vec::new(), used: 0 }
    }

    /// Connects and signs in. Blocks, on a thread of a tokio runtime that may.
    pub fn open(
        address: &Address,
        credentials: &Credentials,
        timeouts: Timeouts,
        cancel: CancellationToken,
    ) -> Result<Self> {
        let socket = connect(address, timeouts.reply, &cancel)?;
        let mut connection =
            Self { socket, address: address.to_string(), timeouts, cancel, pending: Vec::new(), used: 0 };
        connection.sign_in(credentials)?;
        Ok(connection)
    }

    fn sign_in(&mut self, credentials: &Credentials) -> Result<()> {
        let Some(password) = &credentials.password else { return Ok(()) };
        let mut command: Vec<&[u8]> = vec![b"AUTH"];
        if let Some(user) = &credentials.username {
            command.push(user.as_bytes());
        }
        command.push(password.expose());
        self.send(&command)?;
        match self.reply()? {
            Reply::Error(text) if text.contains("without any password") => Err(self
                .refused("SOURCE_AUTH", "takes no password, but one is set", &text)
                .hint("add the instance again without a password")),
            Reply::Error(text) => Err(self.refusal("sign in", &text)),
            Reply::Simple(_) => Ok(()),
            Reply::Bulk(_) => Err(self.no_redis("an odd reply to AUTH")),
        }
    }

    /// Sends one command.
    pub fn send(&mut self, command: &[&[u8]]) -> Result<()> {
        let mut out = format!("*{}\r\n", command.len()).into_bytes();
        for word in command {
            out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            out.extend_from_slice(word);
            out.extend_from_slice(b"\r\n");
        }
        let sent = self.socket.write_all(&out);
        zeroize::Zeroize::zeroize(&mut out);
        sent.map_err(|error| self.lost(&error))
    }

    /// The reply to one command: a status, an error or a bulk string. Null reads as an empty bulk.
    pub(super) fn reply(&mut self) -> Result<Reply> {
        let deadline = Instant::now() + self.timeouts.reply;
        let line = loop {
            let line = self.line(deadline)?;
            if !line.is_empty() {
                break line;
            }
        };
        let rest = String::from_utf8_lossy(&line[1..]).into_owned();
        match line[0] {
            b'+' | b':' => Ok(Reply::Simple(rest)),
            b'-' => Ok(Reply::Error(rest)),
            b'$' => {
                let length: i64 = rest.parse().map_err(|_| self.no_redis("a length that is no number"))?;
                let Ok(length) = usize::try_from(length) else { return Ok(Reply::Bulk(Vec::new())) };
                if length > LONGEST_BULK {
                    return Err(self.no_redis("an absurdly long reply"));
                }
                let mut body = self.exactly(length + 2, deadline)?;
                body.truncate(length);
                Ok(Reply::Bulk(body))
            }
            _ => Err(self.no_redis("bytes that are no reply of the Redis protocol")),
        }
    }

    /// One line without its end; may be empty (a keepalive).
    pub(super) fn line(&mut self, deadline: Instant) -> Result<Vec<u8>> {
        loop {
            if let Some(end) = self.pending[self.used..].iter().position(|b| *b == b'\n') {
                let line = &self.pending[self.used..self.used + end];
                let line = line.strip_suffix(b"\r").unwrap_or(line).to_vec();
                self.used += end + 1;
                return Ok(line);
            }
            if self.pending.len() - self.used > LONGEST_LINE {
                return Err(self.no_redis("a line without an end"));
            }
            self.fill(deadline)?;
        }
    }

    fn exactly(&mut self, length: usize, deadline: Instant) -> Result<Vec<u8>> {
        while self.pending.len() - self.used < length {
            self.fill(deadline)?;
        }
        let bytes = self.pending[self.used..self.used + length].to_vec();
        self.used += length;
        Ok(bytes)
    }

    fn fill(&mut self, deadline: Instant) -> Result<()> {
        self.pending.drain(..self.used);
        self.used = 0;
        let start = self.pending.len();
        self.pending.resize(start + 16 * 1024, 0);
        let result = wait_for(&mut self.socket, &mut self.pending[start..], deadline, &self.cancel);
        self.pending.truncate(start + *result.as_ref().unwrap_or(&0));
        match result {
            Ok(0) => Err(self.closed()),
            Ok(_) => Ok(()),
            Err(error) => Err(self.lost(&error)),
        }
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
        let deadline = Instant::now() + self.timeouts.silence;
        wait_for(&mut self.socket, buffer, deadline, &self.cancel).map_err(|error| self.lost(&error))
    }

    /// The moment after which silence is too long.
    pub(super) fn silence_deadline(&self) -> Instant {
        Instant::now() + self.timeouts.silence
    }

    pub(super) fn closed(&self) -> Error {
        Error::new(Kind::Unreachable, "SOURCE_CLOSED", format!("{} closed the connection", self.address))
            .hint("look at the server's own log for why")
    }

    fn lost(&self, error: &std::io::Error) -> Error {
        if self.cancel.is_cancelled() {
            return cancelled();
        }
        if error.kind() == ErrorKind::TimedOut {
            return Error::new(
                Kind::Unreachable,
                "SOURCE_SILENT",
                format!("{} did not answer in time", self.address),
            )
            .hint("check that it is alive and not blocked by a long command");
        }
        Error::new(Kind::Unreachable, "SOURCE_LOST", format!("the connection to {} broke", self.address))
            .because(error)
            .hint("check the server and the network, then try again")
    }

    pub(super) fn no_redis(&self, found: &str) -> Error {
        Error::new(
            Kind::Invalid,
            "SOURCE_NOT_REDIS",
            format!("{} is no Redis or Valkey server", self.address),
        )
        .because(format!("it sent {found}"))
        .hint("check host and port; a TLS port is not reached with redis://")
    }

    fn refused(&self, code: &'static str, what: &str, text: &str) -> Error {
        let kind = match code {
            "SOURCE_LOADING" | "SOURCE_BUSY" => Kind::Unreachable,
            _ => Kind::Denied,
        };
        let text: String = text.chars().filter(|c| !c.is_control()).take(300).collect();
        Error::new(kind, code, format!("{} {what}", self.address)).because(text)
    }

    /// What an error reply to `action` means.
    pub(super) fn refusal(&self, action: &str, text: &str) -> Error {
        let first = text.split(' ').next().unwrap_or_default();
        match first {
            "NOAUTH" => self
                .refused("SOURCE_AUTH", "wants a password", text)
                .hint("add the instance with --password-file"),
            "WRONGPASS" => self
                .refused("SOURCE_AUTH", "refused the user or password", text)
                .hint("check user and password; the ACL user must exist and be on"),
            "NOPERM" => self
                .refused("SOURCE_DENIED", &format!("does not let this user {action}"), text)
                .hint("give the user what a backup needs: ACL SETUSER <user> +psync +replconf +ping +info"),
            "LOADING" => self
                .refused("SOURCE_LOADING", "is still loading its data", text)
                .hint("try again when it has finished"),
            "NOMASTERLINK" | "MASTERDOWN" | "BUSY" => self
                .refused("SOURCE_BUSY", &format!("cannot {action} now"), text)
                .hint("try again later, or back up its primary"),
            _ if text.contains("unknown command") => self
                .refused("SOURCE_NO_PSYNC", &format!("does not offer what it takes to {action}"), text)
                .hint("managed services hide PSYNC; such a source cannot be backed up by this version"),
            _ if text.contains("invalid password") || text.contains("AUTH") => self
                .refused("SOURCE_AUTH", "refused the user or password", text)
                .hint("check user and password"),
            _ => self.refused("SOURCE_REFUSED", &format!("refused to {action}"), text),
        }
    }
}

/// A reply, of the kinds that are ever asked for here.
#[derive(Debug)]
pub(super) enum Reply {
    Simple(String),
    Error(String),
    Bulk(Vec<u8>),
}

fn connect(address: &Address, limit: Duration, cancel: &CancellationToken) -> Result<Socket> {
    let connected = match address {
        Address::Tcp { host, port } => connect_tcp(host, *port, limit, cancel).map(Socket::Tcp),
        Address::Unix(path) => connect_unix(path, limit).map(Socket::Unix),
    };
    connected.map_err(|error| {
        if cancel.is_cancelled() {
            return cancelled();
        }
        Error::new(Kind::Unreachable, "SOURCE_UNREACHABLE", format!("cannot connect to {address}"))
            .because(error)
            .hint("check host, port and firewall; is the server running?")
    })
}

/// Tries every address of the name. Waits on the runtime, because a connect there can be given up at once.
fn connect_tcp(
    host: &str,
    port: u16,
    limit: Duration,
    cancel: &CancellationToken,
) -> std::io::Result<TcpStream> {
    let connecting = async {
        let mut last = std::io::Error::new(ErrorKind::NotFound, "the name has no address");
        for candidate in tokio::net::lookup_host((host, port)).await? {
            match tokio::time::timeout(limit, tokio::net::TcpStream::connect(candidate)).await {
                Ok(Ok(socket)) => return socket.into_std(),
                Ok(Err(error)) => last = error,
                Err(_) => last = std::io::Error::new(ErrorKind::TimedOut, "no answer in time"),
            }
        }
        Err(last)
    };
    let runtime = Handle::try_current().map_err(std::io::Error::other)?;
    let socket = runtime.block_on(async {
        tokio::select! {
            connected = connecting => connected,
            () = cancel.cancelled() => Err(ErrorKind::Interrupted.into()),
        }
    })?;
    socket.set_nonblocking(false)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(LOOK_UP))?;
    socket.set_write_timeout(Some(limit))?;
    Ok(socket)
}

fn connect_unix(path: &Path, limit: Duration) -> std::io::Result<UnixStream> {
    let socket = UnixStream::connect(path)?;
    socket.set_read_timeout(Some(LOOK_UP))?;
    socket.set_write_timeout(Some(limit))?;
    Ok(socket)
}

fn cancelled() -> Error {
    Error::new(Kind::Cancelled, "CANCELLED", "stopped on request")
}

/// Reads what is there, waiting until the deadline or a cancellation.
fn wait_for(
    socket: &mut Socket,
    buffer: &mut [u8],
    deadline: Instant,
    cancel: &CancellationToken,
) -> std::io::Result<usize> {
    loop {
        if cancel.is_cancelled() {
            return Err(ErrorKind::Interrupted.into());
        }
        // Looked at even when bytes do come: a reply that arrives drop by drop must end as well.
        if Instant::now() >= deadline {
            return Err(ErrorKind::TimedOut.into());
        }
        match socket.read(buffer) {
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                ) => {}
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reply_to(reads: Vec<Vec<u8>>) -> Result<Reply> {
        Connection::scripted(reads, Timeouts::default()).reply()
    }

    fn code(bytes: &[u8]) -> &'static str {
        reply_to(vec![bytes.to_vec()]).unwrap_err().code
    }

    #[test]
    fn replies_of_every_kind_are_read() {
        let text = |bytes: &[u8]| format!("{:?}", reply_to(vec![bytes.to_vec()]).unwrap());
        assert_eq!(text(b"+PONG\r\n"), "Simple(\"PONG\")");
        assert_eq!(text(b":42\r\n"), "Simple(\"42\")");
        assert_eq!(text(b"-ERR no\r\n"), "Error(\"ERR no\")");
        assert_eq!(text(b"\n\n\r\n+OK\r\n"), "Simple(\"OK\")", "keepalives are skipped");
        assert!(
            matches!(reply_to(vec![b"$2\r\na\n\r\n".to_vec()]).unwrap(), Reply::Bulk(body) if body == b"a\n")
        );
        assert!(matches!(reply_to(vec![b"$-1\r\n".to_vec()]).unwrap(), Reply::Bulk(body) if body.is_empty()));
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        for bytes in [
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            b"SSH-2.0-OpenSSH_9.2p1\r\n",
            b"*1\r\n+OK\r\n",
            b"$x\r\n",
            b"$99999999999\r\n",
            b"$9223372036854775807\r\n",
            &vec![b'x'; LONGEST_LINE * 2],
        ] {
            assert_eq!(code(bytes), "SOURCE_NOT_REDIS", "{}", bytes[..20.min(bytes.len())].escape_ascii());
        }
    }

    #[test]
    fn a_server_that_closes_is_told_from_a_silent_one() {
        for bytes in [&b""[..], b"+PON", b"$5\r\nab"] {
            assert_eq!(code(bytes), "SOURCE_CLOSED");
        }
        let none = Timeouts { reply: Duration::ZERO, silence: Duration::ZERO };
        // Bytes do come, but too late: a reply that drips in must not hold a worker for hours.
        let mut dripping = Connection::scripted((0..100).map(|_| b"+".to_vec()), none);
        assert_eq!(dripping.reply().unwrap_err().code, "SOURCE_SILENT");
    }

    #[test]
    fn the_reasons_of_servers_get_stable_codes() {
        let connection = Connection::scripted([], Timeouts::default());
        for (text, expected) in [
            ("NOAUTH Authentication required.", "SOURCE_AUTH"),
            ("WRONGPASS invalid username-password pair or user is disabled.", "SOURCE_AUTH"),
            ("ERR invalid password", "SOURCE_AUTH"),
            ("NOPERM this user has no permissions to run the 'psync' command", "SOURCE_DENIED"),
            ("LOADING Redis is loading the dataset in memory", "SOURCE_LOADING"),
            ("NOMASTERLINK Can't SYNC while not connected with my master", "SOURCE_BUSY"),
            ("ERR unknown command 'PSYNC', with args beginning with: '?' '-1' ", "SOURCE_NO_PSYNC"),
            ("ERR something else", "SOURCE_REFUSED"),
            ("", "SOURCE_REFUSED"),
        ] {
            assert_eq!(connection.refusal("act", text).code, expected, "{text}");
        }
        assert!(connection.refusal("act", "LOADING x").worth_retrying());
        assert!(!connection.refusal("act", "WRONGPASS x").worth_retrying());
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(reads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8)) {
            let _ = reply_to(reads);
        }

        #[test]
        fn a_reply_reads_the_same_however_it_is_cut(body in prop::collection::vec(any::<u8>(), 0..60), cut in 0usize..80) {
            let mut whole = format!("\n${}\r\n", body.len()).into_bytes();
            whole.extend_from_slice(&body);
            whole.extend_from_slice(b"\r\n");
            let (head, tail) = whole.split_at(cut.min(whole.len()));
            let read = reply_to(vec![head.to_vec(), tail.to_vec()]).unwrap();
            prop_assert!(matches!(read, Reply::Bulk(found) if found == body));
        }
    }
}
