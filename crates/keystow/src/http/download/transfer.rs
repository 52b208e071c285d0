//! Moves the bytes of a part to a socket: by `sendfile` where they lie in a file and go out as they are, else piece by
//! piece.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Instant;

use keystow_engine::ops::{Deliverable, DeliveryNote, Passage};
use keystow_engine::vault::ObjectStream;
use rustix::fs::sendfile;
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::TcpStream;

use super::settlement::Settlement;
use crate::http::entrance::Socket;
use crate::http::patience::Waiting;

/// Bytes of one step.
const STEP_BYTES: u64 = 2 * 1024 * 1024;
/// The longest transfer that is sent in one piece with its headers.
const SMALL_BYTES: u64 = 64 * 1024;
/// Bytes that are in memory at a time for a part that lies in no file.
const STORE_BYTES: u64 = 128 * 1024;
/// Bytes that are encrypted at a time: eight records.
const PIECE_BYTES: u64 = 128 * 1024;

/// What part of a counted file may be in a send buffer, where nobody knows whether it will arrive: one sixteenth, which
/// Linux doubles. A few broken connections are forgiven that.
const SHARE_IN_DOUBT: u64 = 16;
/// What a send buffer grows to by Linux's usual limits, in bytes.
const USUAL_BUFFER: u64 = 4 * 1024 * 1024;

/// The longest segment that Linux makes of what is written, in bytes.
const SEGMENT_BYTES: u64 = 64 * 1024;

/// A stretch of a part on its way.
pub(super) struct Transfer {
    pub(super) part: Arc<Deliverable>,
    pub(super) at: u64,
    pub(super) until: u64,
    /// How fast it may go.
    pub(super) passage: Passage,
    pub(super) settlement: Option<Settlement>,
    /// What the access log gets in the end.
    pub(super) note: DeliveryNote,
}

impl Transfer {
    /// Sends the headers and then the bytes. An error leaves the connection short of what the headers promised, so
    /// it must be closed. Gives what is to be settled once it shows that the bytes arrived.
    pub(super) async fn send(mut self, to: &mut Peer, head: &mut Vec<u8>) -> io::Result<Option<Settlement>> {
        let sent = self.send_all(to, head).await;
        if let (Err(_), Some(settlement)) = (&sent, &mut self.settlement) {
            settlement.broken(to.doubtful());
        }
        sent.map(|()| self.settlement)
    }

    async fn send_all(&mut self, to: &mut Peer, head: &mut Vec<u8>) -> io::Result<()> {
        if self.settlement.is_some() {
            to.narrow(self.part.size_bytes / SHARE_IN_DOUBT);
        }
        if self.until - self.at <= SMALL_BYTES && self.passage.is_free() {
            let added = self.append(head)?;
            self.sent(added);
            to.write(head).await?;
            return self.send_rest(to).await;
        }
        // Full segments only, until the end: half as many packets, and as many wake-ups less at the other end.
        to.cork(true);
        to.write(head).await?;
        let sent = self.send_rest(to).await;
        to.cork(false);
        sent
    }

    async fn send_rest(&mut self, to: &mut Peer) -> io::Result<()> {
        if let Some(stream) = self.part.reader.stream(self.at..self.until) {
            return self.send_stream(stream, to).await;
        }
        let mut piece = Vec::new();
        while self.at < self.until {
            self.wait_for_leave().await?;
            let step = self.passage.step((self.until - self.at).min(STEP_BYTES));
            let sent = if to.is_tls() {
                self.read_into(&mut piece, step).await?;
                to.write(&piece).await?;
                piece.len() as u64
            } else if self.part.reader.file().is_some() {
                self.warm(step).await?;
                self.send_file(to, step).await?
            } else {
                let bytes = self.read(step.min(STORE_BYTES)).await?;
                to.write(&bytes).await?;
                bytes.len() as u64
            };
            self.sent(sent);
        }
        Ok(())
    }

    /// Sends what is stored otherwise than it is delivered.
    async fn send_stream(&mut self, mut stream: Box<dyn ObjectStream>, to: &mut Peer) -> io::Result<()> {
        while self.at < self.until {
            let piece = stream.next().await.map_err(io::Error::other)?;
            if piece.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let mut rest = piece;
            while !rest.is_empty() {
                self.wait_for_leave().await?;
                let step = usize::try_from(self.passage.step(rest.len() as u64)).unwrap_or(rest.len());
                let (now, later) = rest.split_at(step.clamp(1, rest.len()));
                to.write(now).await?;
                self.sent(now.len() as u64);
                rest = later;
            }
        }
        Ok(())
    }

    /// Waits until what was sent so far is paid for. The headers do not wait for it. An error if the rest is no longer
    /// promised to this transfer.
    async fn wait_for_leave(&self) -> io::Result<()> {
        if self.settlement.as_ref().is_some_and(|settlement| !settlement.stands()) {
            return Err(io::Error::other(
                "the catalog was away for too long to deliver more of a counted link",
            ));
        }
        if !self.passage.is_free() {
            let wait = self.passage.pay(0, Instant::now());
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
        }
        Ok(())
    }

    /// Puts the bytes behind the headers, if they can be had at once. Returns how many.
    fn append(&self, head: &mut Vec<u8>) -> io::Result<u64> {
        let start = head.len();
        head.resize(start + usize::try_from(self.until - self.at).unwrap_or(0), 0);
        let read = self
            .part
            .reader
            .read_now(self.at, &mut head[start..])
            .unwrap_or(Ok(0))
            .map_err(io::Error::other)?;
        head.truncate(start + read);
        Ok(read as u64)
    }

    async fn read(&self, length: u64) -> io::Result<bytes::Bytes> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let bytes = self.part.reader.read_at(self.at, length).await.map_err(io::Error::other)?;
        if bytes.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(bytes) }
    }

    /// Puts the next bytes into `piece`, on this thread if they are in memory.
    async fn read_into(&self, piece: &mut Vec<u8>, step: u64) -> io::Result<()> {
        let length = step.min(PIECE_BYTES);
        piece.resize(usize::try_from(length).unwrap_or(0), 0);
        if let Some(read) = self.part.reader.read_now(self.at, piece) {
            piece.truncate(read.map_err(io::Error::other)?);
        } else {
            let bytes = self.read(length).await?;
            piece.clear();
            piece.extend_from_slice(&bytes);
        }
        if piece.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    /// `sendfile` waits for the disk where it runs. So the end of the step is looked at first: what is not in
    /// memory is read on a thread that may wait.
    async fn warm(&self, step: u64) -> io::Result<()> {
        if self.part.reader.read_now(self.at + step - 1, &mut [0]).is_none() {
            self.read(step).await?;
        }
        Ok(())
    }

    async fn send_file(&self, to: &mut Peer, step: u64) -> io::Result<u64> {
        let file = self.part.reader.file().ok_or(io::ErrorKind::Unsupported)?;
        let Peer { socket: Socket::Plain(socket), idle } = to else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        loop {
            match socket.try_io(Interest::WRITABLE, || some_of(socket.as_fd(), file, self.at, step)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => writable(socket, idle).await?,
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                sent => return sent,
            }
        }
    }

    fn sent(&mut self, bytes: u64) {
        self.at += bytes;
        self.note.sent += bytes;
        if !self.passage.is_free() {
            self.passage.pay(bytes, Instant::now());
        }
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

/// The other end: it may be slow, but not stand still.
pub(super) struct Peer {
    pub(super) socket: Socket,
    pub(super) idle: Waiting,
}

impl Peer {
    /// Writes all of it.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.socket {
            Socket::Plain(socket) => write_plain(socket, &mut self.idle, bytes).await,
            Socket::Tls(socket) => {
                socket.write_all(bytes).await?;
                socket.flush().await
            }
        }
    }

    /// Says that nothing more follows, where there is a way to say it.
    pub(super) async fn close(&mut self) {
        if let Socket::Tls(socket) = &mut self.socket {
            // The peer may be gone already.
            let _ = self.idle.on(socket.shutdown()).await;
        }
    }

    fn is_tls(&self) -> bool {
        matches!(self.socket, Socket::Tls(_))
    }

    /// Ends our side of the connection; the other one may go on.
    pub(super) async fn finish(&mut self) {
        let ended = match &mut self.socket {
            Socket::Plain(socket) => self.idle.on(socket.shutdown()).await,
            Socket::Tls(socket) => self.idle.on(socket.shutdown()).await,
        };
        // Whoever looks for the other end's answer sees that it is gone.
        let _ = ended;
    }

    fn tcp(&self) -> &TcpStream {
        match &self.socket {
            Socket::Plain(socket) => socket,
            Socket::Tls(socket) => socket.get_ref().0.socket(),
        }
    }

    /// The most that was written and may not have arrived, in bytes.
    pub(super) fn doubtful(&self) -> u64 {
        // How much of it was acknowledged cannot be asked for without unsafe code.
        let buffer = rustix::net::sockopt::socket_send_buffer_size(self.tcp());
        // The last segment may go beyond it.
        buffer.map_or(0, |bytes| bytes as u64 + SEGMENT_BYTES)
    }

    /// Makes the send buffer smaller for good, if the usual one may hold more than that.
    fn narrow(&self, bytes: u64) {
        if bytes < USUAL_BUFFER {
            // Less than a segment would make it slow.
            let bytes = usize::try_from(bytes.max(SEGMENT_BYTES)).unwrap_or(usize::MAX);
            // A socket without it is forgiven no more than any other.
            let _ = rustix::net::sockopt::set_socket_send_buffer_size(self.tcp(), bytes);
        }
    }

    fn cork(&self, cork: bool) {
        // A socket without it only sends more packets.
        let _ = rustix::net::sockopt::set_tcp_cork(self.tcp(), cork);
    }
}

async fn write_plain(socket: &TcpStream, idle: &mut Waiting, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match socket.try_write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => writable(socket, idle).await?,
            written => bytes = &bytes[written?..],
        }
    }
    Ok(())
}

async fn writable(socket: &TcpStream, idle: &mut Waiting) -> io::Result<()> {
    idle.on(socket.writable()).await.unwrap_or(Err(io::ErrorKind::TimedOut.into()))
}
