//! What the user, or whoever runs the program, can stop: an output that is dropped then leaves nothing behind.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::{Exit, Failure};

/// Does the work, unless Ctrl-C, the end of the terminal or SIGTERM comes first; `unfinished` says what that means.
/// The work should make its files itself, for what it owns is dropped then.
pub(super) async fn unless_stopped<T>(
    unfinished: &str,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let mut signals = Signals::listen().map_err(|error| Failure::file("cannot listen to signals", &error))?;
    tokio::select! {
        done = work => done,
        exit = signals.first() => Err(Failure::new(exit, "INTERRUPTED", unfinished)),
    }
}

/// The signals that stop a command; none that are ignored.
struct Signals {
    interrupt: Option<Signal>,
    hangup: Option<Signal>,
    terminate: Option<Signal>,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        let unless_ignored = |kind| if is_ignored(kind) { Ok(None) } else { signal(kind).map(Some) };
        Ok(Self {
            interrupt: unless_ignored(SignalKind::interrupt())?,
            hangup: unless_ignored(SignalKind::hangup())?,
            terminate: unless_ignored(SignalKind::terminate())?,
        })
    }

    /// Waits for the first of them.
    async fn first(&mut self) -> Exit {
        tokio::select! {
            () = received(&mut self.interrupt) => Exit::Interrupted,
            () = received(&mut self.hangup) => Exit::Interrupted,
            () = received(&mut self.terminate) => Exit::Terminated,
        }
    }
}

async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// Whether whoever started the program wants it to go on, as `nohup` does. To listen would undo that.
fn is_ignored(kind: SignalKind) -> bool {
    // proc(5): a mask in hex, the first signal being its lowest bit. Elsewhere than on Linux nobody can be asked.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| (mask >> (kind.as_raw_value() - 1)) & 1 == 1)
}
