//! The connection of one replica: who it is, what it is sent, and what it acknowledges.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::Guest;
use crate::error::{Error, Kind, Result};

/// How often a wait looks whether it is over.
const LOOK_UP: Duration = Duration::from_millis(100);
/// How often a replica hears from us. It gives up after 60 s of silence unless told otherwise (`repl-timeout`).
const PING_EVERY: Duration = Duration::from_secs(5);
/// Most words of a command, and most bytes of a word: a replica never says more.
const MOST_WORDS: usize = 64;
const LONGEST_WORD: usize = 1024;

type Command = Vec<Vec<u8>>;

/// The connection of one replica.
pub(super) struct Link {
    socket: TcpStream,
    silence: Duration,
    stop: CancellationToken,
    /// Received, not yet used.
    pending: Vec<u8>,
    /// Whether it takes a snapshot that ends with a mark.
    pub(super) knows_marks: bool,
}

impl Link {
    pub(super) fn new(socket: TcpStream, silence: Duration, stop: CancellationToken) -> Result<Self> {
        let prepared = socket
            .set_nonblocking(false)
            .and_then(|()| socket.set_nodelay(true))
            .and_then(|()| socket.set_read_timeout(Some(LOOK_UP)))
            .and_then(|()| socket.set_write_timeout(Some(LOOK_UP)));
        prepared.map_err(|error| lost(&error))?;
        Ok(Self { socket, silence, stop, pending: Vec::new(), knows_marks: false })
    }

    /// Answers until it asks for the snapshot. Whoever is not the guest is told so.
    pub(super) fn shake_hands(mut self, from: IpAddr, guest: &Guest, limit: Duration) -> Result<Self> {
        let deadline = Instant::now() + limit;
        let known = guest.ip.map_or(guest.password.is_some(), |ip| ip.to_canonical() == from.to_canonical());
        let (mut signed_in, mut announced) = (guest.password.is_none(), false);
        loop {
            if !known {
                break;
            }
            let command = self.command(deadline)?;
            let words: Vec<&[u8]> = command.iter().map(Vec::as_slice).collect();
            let name = words[0].to_ascii_lowercase();
            match (name.as_slice(), &words[1..]) {
                (b"auth", [.., password]) => {
                    let right = guest.password.as_ref().is_some_and(|own| own.equals(password));
                    if !right {
                        break;
                    }
                    signed_in = true;
                    self.send(b"+OK\r\n")?;
                }
                // A replica asks this first, and does not mind the answer.
                (b"ping", []) if !signed_in => self.send(b"-NOAUTH Authentication required.\r\n")?,
                _ if !signed_in => break,
                (b"ping", []) => self.send(b"+PONG\r\n")?,
                (b"replconf", options) => {
                    announced |= self.options(options, &guest.ports);
                    self.send(b"+OK\r\n")?;
                }
                (b"psync", [_, _]) if announced => return Ok(self),
                _ => break,
            }
        }
        // It may be gone already.
        let _ = self.send(b"-ERR this is not for you\r\n");
        Err(Error::new(Kind::Denied, "RESTORE_STRANGER", "somebody else than the target connected"))
    }

    /// Takes note of what a replica says about itself. Whether it listens where the target does.
    fn options(&mut self, options: &[&[u8]], ports: &[u16]) -> bool {
        let mut is_guest = false;
        for [name, value] in options.as_chunks::<2>().0 {
            match name.to_ascii_lowercase().as_slice() {
                b"listening-port" => {
                    let port = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                    is_guest = port.is_some_and(|port| ports.contains(&port));
                }
                b"capa" if *value == b"eof" => self.knows_marks = true,
                _ => {}
            }
        }
        is_guest
    }

    /// Listens to what the replica acknowledges, and gives a sign of life now and then, until told to stop.
    pub(super) fn listen_until_stopped(&mut self, offset: u64, acknowledged: &AtomicBool) -> Result<()> {
        let mut next_ping = Instant::now() + PING_EVERY;
        while !self.stop.is_cancelled() {
            if let Some(command) = self.command_now()? {
                let words: Vec<&[u8]> = command.iter().map(Vec::as_slice).collect();
                if let [name, ack, number, ..] = words.as_slice()
                    && name.eq_ignore_ascii_case(b"replconf")
                    && ack.eq_ignore_ascii_case(b"ack")
                {
                    let number = std::str::from_utf8(number).ok().and_then(|text| text.parse::<u64>().ok());
                    if number.is_some_and(|number| number >= offset) {
                        acknowledged.store(true, Ordering::Release);
                    }
                }
                continue;
            }
            // Nothing may follow the snapshot before the replica has loaded it.
            if acknowledged.load(Ordering::Acquire) && Instant::now() >= next_ping {
                self.send(b"*1\r\n$4\r\nPING\r\n")?;
                next_ping = Instant::now() + PING_EVERY;
            }
            match self.fill() {
                Err(error) if is_pause(&error) => {}
                Err(error) => return Err(lost(&error)),
                Ok(0) => return Err(closed()),
                Ok(_) => {}
            }
        }
        Ok(())
    }

    /// Sends all of it. Each piece that the replica takes is worth another wait.
    pub(super) fn send(&mut self, mut bytes: &[u8]) -> Result<()> {
        let mut deadline = Instant::now() + self.silence;
        while !bytes.is_empty() {
            if self.stop.is_cancelled() {
                return Err(Error::cancelled());
            }
            match self.socket.write(bytes) {
                Ok(0) => return Err(closed()),
                Ok(sent) => {
                    bytes = &bytes[sent..];
                    deadline = Instant::now() + self.silence;
                }
                Err(error) if is_pause(&error) && Instant::now() < deadline => {}
                Err(error) => return Err(lost(&error)),
            }
        }
        Ok(())
    }

    /// The next command, which must come before the deadline.
    fn command(&mut self, deadline: Instant) -> Result<Command> {
        loop {
            if let Some(command) = self.command_now()? {
                return Ok(command);
            }
            if self.stop.is_cancelled() {
                return Err(Error::cancelled());
            }
            if Instant::now() >= deadline {
                return Err(lost(&ErrorKind::TimedOut.into()));
            }
            match self.fill() {
                Err(error) if is_pause(&error) => {}
                Err(error) => return Err(lost(&error)),
                Ok(0) => return Err(closed()),
                Ok(_) => {}
            }
        }
    }

    /// The next command, if all of it has come.
    fn command_now(&mut self) -> Result<Option<Command>> {
        match parse(&self.pending) {
            Piece::Whole((command, used)) => {
                self.pending.drain(..used);
                Ok(Some(command))
            }
            Piece::Cut => {
                let blank = blank(&self.pending);
                self.pending.drain(..blank);
                Ok(None)
            }
            Piece::Junk => {
                let what = "something that is no replica connected";
                Err(Error::new(Kind::Denied, "RESTORE_STRANGER", what))
            }
        }
    }

    fn fill(&mut self) -> std::io::Result<usize> {
        let mut buffer = [0; 4096];
        let read = self.socket.read(&mut buffer)?;
        self.pending.extend_from_slice(&buffer[..read]);
        Ok(read)
    }
}

/// What bytes begin with.
pub(super) enum Piece<T> {
    /// All of what was looked for.
    Whole(T),
    /// Its beginning.
    Cut,
    /// Something else.
    Junk,
}

/// A replica sends empty lines while it loads.
fn blank(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count()
}

/// The first command in the bytes, and how many bytes are done with then.
pub(super) fn parse(bytes: &[u8]) -> Piece<(Command, usize)> {
    let mut at = blank(bytes);
    let count = match number(bytes, &mut at, b'*') {
        Piece::Whole(count @ 1..=MOST_WORDS) => count,
        Piece::Cut => return Piece::Cut,
        _ => return Piece::Junk,
    };
    let mut words = Vec::new();
    for _ in 0..count {
        let length = match number(bytes, &mut at, b'$') {
            Piece::Whole(length @ 0..=LONGEST_WORD) => length,
            Piece::Cut => return Piece::Cut,
            _ => return Piece::Junk,
        };
        let Some(word) = bytes.get(at..at + length + 2) else { return Piece::Cut };
        let Some(word) = word.strip_suffix(b"\r\n") else { return Piece::Junk };
        words.push(word.to_vec());
        at += length + 2;
    }
    Piece::Whole((words, at))
}

/// The number behind a mark, up to the end of its line.
fn number(bytes: &[u8], at: &mut usize, mark: u8) -> Piece<usize> {
    let rest = &bytes[*at..];
    if rest.first().is_some_and(|first| *first != mark) {
        return Piece::Junk;
    }
    let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
        return if rest.len() < 16 { Piece::Cut } else { Piece::Junk };
    };
    let digits = rest[1..end].strip_suffix(b"\r").and_then(|digits| std::str::from_utf8(digits).ok());
    let Some(number) = digits.and_then(|digits| digits.parse().ok()) else { return Piece::Junk };
    *at += end + 1;
    Piece::Whole(number)
}

fn is_pause(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

fn lost(error: &std::io::Error) -> Error {
    Error::new(
        Kind::Unreachable,
        "TARGET_LOST",
        "the target dropped the connection in the middle of the snapshot",
    )
    .because(error)
    .hint("look at the target's own log for why")
}

fn closed() -> Error {
    Error::new(
        Kind::Unreachable,
        "TARGET_LOST",
        "the target closed the connection in the middle of the snapshot",
    )
    .hint("look at the target's own log for why: it may have refused the file or run out of memory")
}
