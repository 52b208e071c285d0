//! Moves the bytes of a part to a socket: by `sendfile` where they lie in a file, else piece by piece.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use keystow_engine::ops::{Deliverable, Engine};
use rustix::fs::sendfile;
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Bytes of one step. The client's address may stand still for `idle_timeout` in each.
const STEP_BYTES: u64 = 1024 * 1024;
/// The longest transfer that is sent in one piece with its headers.
const SMALL_BYTES: u64 = 64 * 1024;

/// A stretch of a part on its way.
pub(super) struct Transfer {
    pub(super) part: Arc<Deliverable>,
    pub(super) at: u64,
    pub(super) until: u64,
    pub(super) settlement: Option<Settlement>,
}

impl Transfer {
    /// Sends the headers and then the bytes. An error leaves the connection short of what the headers promised, so
    /// it must be closed.
    pub(super) async fn send(
        mut self,
        socket: &mut TcpStream,
        mut head: Vec<u8>,
        idle: Duration,
    ) -> io::Result<()> {
        let length = self.until - self.at;
        if length <= SMALL_BYTES {
            let bytes = self.next(length).await?;
            head.extend_from_slice(&bytes);
            self.sent(bytes.len() as u64);
        }
        write(socket, &head, idle).await?;
        while self.at < self.until {
            let step = (self.until - self.at).min(STEP_BYTES);
            if self.part.reader.file().is_some() {
                self.warm(step).await?;
                let sent = self.send_file(socket, step, idle).await?;
                self.sent(sent);
            } else {
                let bytes = self.next(step).await?;
                write(socket, &bytes, idle).await?;
                self.sent(bytes.len() as u64);
            }
        }
        Ok(())
    }

    async fn next(&self, length: u64) -> io::Result<bytes::Bytes> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let bytes = self.part.reader.read_at(self.at, length).await;
        let bytes = bytes.map_err(|error| io::Error::other(error.to_string()))?;
        if bytes.is_empty() && length > 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(bytes) }
    }

    /// `sendfile` waits for the disk where it runs. So the end of the step is looked at first: what is not in
    /// memory is read on a thread that may wait.
    async fn warm(&self, step: u64) -> io::Result<()> {
        let reader = &self.part.reader;
        if reader.read_now(self.at + step - 1, 1).is_none() {
            let length = usize::try_from(step).unwrap_or(usize::MAX);
            reader.read_at(self.at, length).await.map_err(|error| io::Error::other(error.to_string()))?;
        }
        Ok(())
    }

    async fn send_file(&self, socket: &TcpStream, step: u64, idle: Duration) -> io::Result<u64> {
        let file = self.part.reader.file().ok_or(io::ErrorKind::Unsupported)?;
        let sending = socket.async_io(Interest::WRITABLE, || some_of(socket.as_fd(), file, self.at, step));
        match timeout(idle, sending).await {
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
            Ok(Ok(0)) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(sent) => sent,
        }
    }

    fn sent(&mut self, bytes: u64) {
        self.at += bytes;
        if let Some(settlement) = &mut self.settlement {
            settlement.sent += bytes;
        }
    }
}

fn some_of(socket: BorrowedFd<'_>, file: BorrowedFd<'_>, at: u64, step: u64) -> io::Result<u64> {
    let mut offset = at;
    let sent = sendfile(socket, file, Some(&mut offset), usize::try_from(step).unwrap_or(usize::MAX))?;
    Ok(sent as u64)
}

/// Writes all of it to a peer that may be slow, but not stand still.
pub(super) async fn write(socket: &mut TcpStream, mut bytes: &[u8], idle: Duration) -> io::Result<()> {
    while !bytes.is_empty() {
        // Most writes are taken at once, without a timer.
        let written = match socket.try_write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => timeout(idle, socket.write(bytes))
                .await
                .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??,
            other => other?,
        };
        bytes = &bytes[written..];
    }
    Ok(())
}

/// The account of a counted link's transfer. Dropped with it, it writes what was really sent.
pub(super) struct Settlement {
    engine: Arc<Engine>,
    link: String,
    reserved: u64,
    sent: u64,
}

impl Settlement {
    pub(super) fn new(engine: &Arc<Engine>, link: Option<&str>, reserved: u64) -> Option<Self> {
        link.map(|link| Self { engine: engine.clone(), link: link.to_owned(), reserved, sent: 0 })
    }
}

impl Drop for Settlement {
    fn drop(&mut self) {
        let (engine, link) = (self.engine.clone(), std::mem::take(&mut self.link));
        let (reserved, sent) = (self.reserved, self.sent);
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            if let Err(error) = engine.settle_delivery(&link, reserved, sent).await {
                tracing::error!(link, %error, "cannot count a delivery");
            }
        });
    }
}
