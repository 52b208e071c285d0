//! Being a primary: one replica is let in, given a snapshot, and listened to until it says that it has it.
//!
//! The replica's side of the conversation is `syncWithMaster` and `readSyncBulkPayload` in Redis `src/replication.c`.

mod link;

use std::io::{self, ErrorKind, Write};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use self::link::Link;
use crate::error::{Error, Kind, Result};
use crate::model::Secret;

/// Offset of the snapshot. What follows it is counted from here.
pub(super) const OFFSET: u64 = 1;
/// How long a replica may take to come. It tries once a second.
const ARRIVAL: Duration = Duration::from_secs(30);
/// How long whoever comes may take to say who it is.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How often a wait looks around.
const LOOK_UP: Duration = Duration::from_millis(20);
/// Bytes of a chunk.
const CHUNK_BYTES: usize = 1024 * 1024;

/// What a replica is given.
pub enum Payload<'a> {
    /// A snapshot as it is, of so many bytes. `next` fills the buffer as far as it can, and gives 0 at the end; an
    /// error there keeps the last chunk from being sent, so that the replica throws the rest away.
    Whole {
        /// Bytes in all.
        size_bytes: u64,
        /// Gives the next bytes.
        next: &'a mut (dyn FnMut(&mut [u8]) -> Result<usize> + Send),
    },
    /// A snapshot that is made on the way; nobody knows yet how long it will be. After an error the replica throws
    /// away what it got.
    Made(&'a mut (dyn FnMut(&mut dyn Write) -> Result<()> + Send)),
}

/// Who is let in. Everybody else is told off and dropped.
#[derive(Debug, Clone)]
pub struct Guest {
    /// The address that it comes from; `None` = any, which takes a password.
    pub ip: Option<IpAddr>,
    /// Ports, one of which it says it listens on.
    pub ports: Vec<u16>,
    /// The password that it signs in with.
    pub password: Option<Secret>,
}

/// How far it is, for whoever watches.
#[derive(Debug, Default)]
pub struct Served {
    begun: AtomicBool,
    sent: AtomicU64,
    whole: AtomicBool,
    acknowledged: AtomicBool,
}

impl Served {
    /// Bytes of the snapshot that were sent.
    pub fn sent_bytes(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Whether the replica was told that a snapshot comes.
    pub fn is_begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }

    /// Whether the last byte was sent, or tried to be. A replica that loads from its disk keeps its old data until
    /// then.
    pub fn is_whole(&self) -> bool {
        self.whole.load(Ordering::Acquire)
    }

    /// Whether the replica said that it has loaded all of it.
    pub fn is_acknowledged(&self) -> bool {
        self.acknowledged.load(Ordering::Acquire)
    }
}

/// A port that a replica can ask for a snapshot, once.
pub struct Primary {
    listener: TcpListener,
    guest: Guest,
    silence: Duration,
}

impl Primary {
    /// Listens on a free port of that address. `silence` is how long the replica may take no byte.
    pub fn listen(on: IpAddr, guest: Guest, silence: Duration) -> Result<Self> {
        let failed = |error: io::Error| {
            Error::new(Kind::Internal, "RESTORE_PORT", format!("cannot listen on {on} for the target"))
                .because(error)
                .hint("check the address in the setting restore.advertise, or restore with --as commands")
        };
        let listener = TcpListener::bind(SocketAddr::new(on, 0)).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        Ok(Self { listener, guest, silence })
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.listener.local_addr().map_or(0, |address| address.port())
    }

    /// Lets the replica in, gives it the snapshot, and stays its primary until `stop`. Blocks.
    pub fn serve(&self, payload: Payload<'_>, served: &Served, stop: &CancellationToken) -> Result<()> {
        let mut link = self.admit(stop)?;
        served.begun.store(true, Ordering::Release);
        link.send(format!("+FULLRESYNC {} {OFFSET}\r\n", random_hex(20)?).as_bytes())?;
        match payload {
            Payload::Whole { size_bytes, next } => send_whole(&mut link, size_bytes, next, served)?,
            Payload::Made(make) => send_made(&mut link, make, served)?,
        }
        link.listen_until_stopped(OFFSET, &served.acknowledged)
    }

    /// Waits for the one that is expected.
    fn admit(&self, stop: &CancellationToken) -> Result<Link> {
        let deadline = Instant::now() + ARRIVAL;
        let mut strangers = 0u32;
        loop {
            if stop.is_cancelled() {
                return Err(Error::cancelled());
            }
            match self.listener.accept() {
                Ok((socket, from)) => {
                    let link = Link::new(socket, self.silence, stop.clone());
                    match link.and_then(|link| link.shake_hands(from.ip(), &self.guest, HANDSHAKE)) {
                        Ok(link) => return Ok(link),
                        Err(error) if error.kind == Kind::Cancelled => return Err(error),
                        Err(error) => {
                            strangers += 1;
                            tracing::warn!(%from, %error, "not the target of the restore");
                        }
                    }
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                    std::thread::sleep(LOOK_UP);
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection of the target");
                    std::thread::sleep(LOOK_UP);
                }
            }
            if Instant::now() >= deadline {
                return Err(self.nobody_came(strangers));
            }
        }
    }

    fn nobody_came(&self, strangers: u32) -> Error {
        let port = self.port();
        let error = Error::new(
            Kind::Unreachable,
            "RESTORE_NOT_FOLLOWED",
            format!("the target did not ask for the snapshot on port {port}"),
        )
        .hint(
            "the target must be able to connect to this host: see the setting restore.advertise and firewalls, \
             or restore with --as commands",
        );
        if strangers > 0 {
            error.because(format!("{strangers} others came and were turned away"))
        } else {
            error
        }
    }
}

/// Sends a snapshot of known length. The last chunk goes only after `next` has said that there is no more.
fn send_whole(
    link: &mut Link,
    size_bytes: u64,
    next: &mut (dyn FnMut(&mut [u8]) -> Result<usize> + Send),
    served: &Served,
) -> Result<()> {
    link.send(format!("${size_bytes}\r\n").as_bytes())?;
    let (mut chunk, mut following) = (vec![0; CHUNK_BYTES], vec![0; CHUNK_BYTES]);
    let mut filled = next(&mut chunk)?;
    let mut total = filled as u64;
    while filled > 0 {
        let more = next(&mut following)?;
        total += more as u64;
        if total > size_bytes || (more == 0 && total < size_bytes) {
            return Err(Error::internal("a part has another size than its row says", total));
        }
        served.whole.store(more == 0, Ordering::Release);
        link.send(&chunk[..filled])?;
        served.sent.fetch_add(filled as u64, Ordering::Relaxed);
        std::mem::swap(&mut chunk, &mut following);
        filled = more;
    }
    Ok(())
}

/// Sends a snapshot that ends with a mark.
fn send_made(
    link: &mut Link,
    make: &mut (dyn FnMut(&mut dyn Write) -> Result<()> + Send),
    served: &Served,
) -> Result<()> {
    if !link.knows_marks {
        return Err(Error::new(
            Kind::Invalid,
            "TARGET_REFUSED",
            "the target takes no snapshot of unknown length",
        )
        .hint("restore with --as commands"));
    }
    let mark = random_hex(20)?;
    link.send(format!("$EOF:{mark}\r\n").as_bytes())?;
    let mut out = Chunks { link, chunk: Vec::with_capacity(CHUNK_BYTES), served, failure: None };
    let result =
        make(&mut out).and_then(|()| out.flush().map_err(|error| Error::internal("cannot send", error)));
    // What the link said is nearer to the cause than what its user made of it.
    if let Some(failure) = out.failure {
        return Err(failure);
    }
    result?;
    served.whole.store(true, Ordering::Release);
    link.send(mark.as_bytes())
}

/// Gathers what is written, and sends it chunk by chunk.
struct Chunks<'a> {
    link: &'a mut Link,
    chunk: Vec<u8>,
    served: &'a Served,
    failure: Option<Error>,
}

impl Write for Chunks<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.chunk.len() + bytes.len() > CHUNK_BYTES && !self.chunk.is_empty() {
            self.flush()?;
        }
        if bytes.len() >= CHUNK_BYTES {
            self.chunk.extend_from_slice(bytes);
            self.flush()?;
        } else {
            self.chunk.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.link.send(&self.chunk) {
            Ok(()) => {
                self.served.sent.fetch_add(self.chunk.len() as u64, Ordering::Relaxed);
                self.chunk.clear();
                Ok(())
            }
            Err(error) => {
                self.failure.get_or_insert(error);
                Err(ErrorKind::BrokenPipe.into())
            }
        }
    }
}

/// So many random bytes as hex.
pub(super) fn random_hex(bytes: usize) -> Result<String> {
    let mut random = vec![0; bytes];
    aws_lc_rs::rand::fill(&mut random).map_err(|error| Error::internal("no random bytes", error))?;
    Ok(crate::model::hex(&random))
}

#[cfg(test)]
mod tests;
