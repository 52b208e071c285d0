//! The socket beneath a connection, and waiting for it: never without a limit, and always ready to stop.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio_rustls::rustls::{ClientConnection, StreamOwned};
use tokio_util::sync::CancellationToken;

/// How often a wait looks whether it was cancelled.
const LOOK_UP: Duration = Duration::from_millis(250);

pub(super) enum Socket {
    Tcp(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    Unix(UnixStream),
    /// What a server sends, read by read; what it is sent is dropped.
    #[cfg(test)]
    Script(std::collections::VecDeque<Vec<u8>>),
}

impl Socket {
    /// The TCP socket, with or without TLS around it.
    pub(super) fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(socket) => Some(socket),
            Self::Tls(stream) => Some(&stream.sock),
            Self::Unix(_) => None,
            #[cfg(test)]
            Self::Script(_) => None,
        }
    }

    /// Ends the connection in both directions, now.
    pub(super) fn shut_down(&self) {
        // What is ended already cannot be ended again.
        let _ = match self {
            Self::Unix(socket) => socket.shutdown(std::net::Shutdown::Both),
            other => other.tcp().map_or(Ok(()), |socket| socket.shutdown(std::net::Shutdown::Both)),
        };
    }

    /// Reads what is there, waiting until the deadline or a cancellation.
    pub(super) fn wait(
        &mut self,
        buffer: &mut [u8],
        deadline: Instant,
        cancel: &CancellationToken,
    ) -> io::Result<usize> {
        until(deadline, cancel, || self.read(buffer))
    }

    /// Writes all of it. Each piece that the other side takes is worth another `limit`.
    pub(super) fn send(
        &mut self,
        mut bytes: &[u8],
        limit: Duration,
        cancel: &CancellationToken,
    ) -> io::Result<()> {
        while !bytes.is_empty() {
            match until(Instant::now() + limit, cancel, || self.write(bytes))? {
                0 => return Err(ErrorKind::WriteZero.into()),
                sent => bytes = &bytes[sent..],
            }
        }
        until(Instant::now() + limit, cancel, || self.flush())
    }
}

/// Does what may block for [`LOOK_UP`], again and again, until the deadline or a cancellation.
pub(super) fn until<T>(
    deadline: Instant,
    cancel: &CancellationToken,
    mut step: impl FnMut() -> io::Result<T>,
) -> io::Result<T> {
    loop {
        if cancel.is_cancelled() {
            return Err(ErrorKind::Interrupted.into());
        }
        // Looked at even when bytes do come: a reply that arrives drop by drop must end as well.
        if Instant::now() >= deadline {
            return Err(ErrorKind::TimedOut.into());
        }
        match step() {
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                ) => {}
            other => return other,
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.read(buffer),
            Self::Unix(socket) => socket.read(buffer),
            Self::Tls(stream) => match stream.read(buffer) {
                // Closed without a goodbye of TLS. Whether something is missing shows in what was sent.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(0),
                other => other,
            },
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
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.write(buffer),
            Self::Tls(stream) => stream.write(buffer),
            Self::Unix(socket) => socket.write(buffer),
            #[cfg(test)]
            Self::Script(_) => Ok(buffer.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tls(stream) => stream.flush(),
            _ => Ok(()),
        }
    }
}

/// Tries every address of the name. Waits on the runtime, because a connect there can be given up at once.
pub(super) fn connect_tcp(
    host: &str,
    port: u16,
    limit: Duration,
    cancel: &CancellationToken,
) -> io::Result<TcpStream> {
    let connecting = async {
        let mut last = io::Error::new(ErrorKind::NotFound, "the name has no address");
        for candidate in tokio::net::lookup_host((host, port)).await? {
            match tokio::time::timeout(limit, tokio::net::TcpStream::connect(candidate)).await {
                Ok(Ok(socket)) => return socket.into_std(),
                Ok(Err(error)) => last = error,
                Err(_) => last = io::Error::new(ErrorKind::TimedOut, "no answer in time"),
            }
        }
        Err(last)
    };
    let runtime = Handle::try_current().map_err(io::Error::other)?;
    let socket = runtime.block_on(async {
        tokio::select! {
            connected = connecting => connected,
            () = cancel.cancelled() => Err(ErrorKind::Interrupted.into()),
        }
    })?;
    socket.set_nonblocking(false)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(LOOK_UP))?;
    socket.set_write_timeout(Some(LOOK_UP))?;
    Ok(socket)
}

pub(super) fn connect_unix(path: &Path) -> io::Result<UnixStream> {
    let socket = UnixStream::connect(path)?;
    socket.set_read_timeout(Some(LOOK_UP))?;
    socket.set_write_timeout(Some(LOOK_UP))?;
    Ok(socket)
}
