//! A TCP proxy that does to a snapshot what networks and dying servers do.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

/// What happens to the bytes that come from the server.
pub(crate) enum Harm {
    /// The connection ends behind so many bytes of payload.
    CutAfter(u64),
    /// One bit of the payload byte at this place is the other way round.
    Flip(u64),
    /// This happens once, when so many bytes of payload have passed.
    At(u64, Box<dyn FnOnce() + Send>),
    /// Behind so many bytes of payload nothing more comes, but the connection stays.
    StallAfter(u64),
}

/// Starts a proxy to a port of this host; gives its URL. It serves until the test ends.
pub(crate) fn start(target: u16, mut make: impl FnMut() -> Harm + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for client in listener.incoming() {
            let (Ok(client), Ok(server)) = (client, TcpStream::connect(("127.0.0.1", target))) else {
                return;
            };
            let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Write);
            });
            let harm = make();
            thread::spawn(move || forward(server, client, harm));
        }
    });
    format!("redis://127.0.0.1:{port}")
}

fn forward(mut server: TcpStream, mut client: TcpStream, harm: Harm) {
    let mut payload = Payload::default();
    let mut harm = Some(harm);
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = server.read(&mut buffer) {
        let bytes = &mut buffer[..read];
        let start = payload.advance(bytes);
        let mut keep = read;
        if let Some((skipped, from)) = start {
            let upto = from + (read - skipped) as u64;
            match &mut harm {
                Some(Harm::CutAfter(limit) | Harm::StallAfter(limit)) if *limit <= upto => {
                    keep = skipped + usize::try_from(limit.saturating_sub(from)).unwrap();
                }
                Some(Harm::Flip(place)) if (from..upto).contains(place) => {
                    bytes[skipped + usize::try_from(*place - from).unwrap()] ^= 1;
                }
                Some(Harm::At(limit, _)) if *limit <= upto => {
                    let Some(Harm::At(_, act)) = harm.take() else { unreachable!() };
                    act();
                }
                _ => {}
            }
        }
        if client.write_all(&bytes[..keep]).is_err() {
            return;
        }
        if keep < read {
            if matches!(harm, Some(Harm::StallAfter(_))) {
                // Until the other side has had enough.
                let _ = std::io::copy(&mut client, &mut std::io::sink());
            }
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}

/// Finds where the payload starts: behind the `$…` line that follows `+FULLRESYNC …`.
#[derive(Default)]
struct Payload {
    head: Vec<u8>,
    passed: Option<u64>,
}

impl Payload {
    /// Where in `bytes` payload starts, and how much of it came before; `None` = there is none in it.
    fn advance(&mut self, bytes: &[u8]) -> Option<(usize, u64)> {
        if let Some(passed) = self.passed {
            self.passed = Some(passed + bytes.len() as u64);
            return Some((0, passed));
        }
        let before = self.head.len();
        self.head.extend_from_slice(bytes);
        let resync = find(&self.head, b"+FULLRESYNC", 0)?;
        let frame = find(&self.head, b"\n$", resync)? + 1;
        let start = find(&self.head, b"\n", frame)? + 1;
        self.passed = Some((self.head.len() - start) as u64);
        Some((start - before, 0))
    }
}

fn find(bytes: &[u8], what: &[u8], from: usize) -> Option<usize> {
    bytes[from..].windows(what.len()).position(|window| window == what).map(|at| from + at)
}
