//! Makes a server follow us for as long as it takes to load a snapshot, and lets it go again with its settings as
//! they were.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::thread;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::info::Info;
use super::primary::random_hex;
use super::{Connection, Door, Guest, Keyspace, Node, Payload, Primary, Reply, Served};
use crate::error::{Error, Kind, Result};
use crate::model::Secret;

/// How often the target is asked how far it is.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// How often we look around in between.
const LOOK_UP: Duration = Duration::from_millis(10);
/// How long the target may not answer while it loads: one huge value holds it up.
const PATIENCE: Duration = Duration::from_mins(5);
/// How long it is tried to let the target go. It cannot be let go while it loads.
const LET_GO: Duration = Duration::from_mins(1);
/// The same when it cannot be reached at all. A server that died has forgotten whom it followed when it is back, unless
/// somebody had it write its settings down meanwhile (`CONFIG REWRITE`).
const REACH: Duration = Duration::from_secs(5);

/// Keeps what must be put back, should this process die before it does so.
pub trait Ledger: Sync {
    /// A setting is about to be changed; this is its value.
    fn owe(&self, setting: &str, value: &str) -> Result<()>;
    /// It was put back.
    fn settle(&self, setting: &str, value: &str);
    /// The target is about to be told to follow us, at this `host:port`.
    fn lead(&self, us: &str) -> Result<()>;
    /// Whether the target is somebody else's by now: then nothing more is done to it.
    fn is_lost(&self) -> bool;
}

/// A standalone server that is to load a snapshot.
pub struct Follower<'a> {
    /// The server.
    pub door: &'a Door,
    /// Whether it holds neither keys nor functions: then it may load straight from the connection, without its disk.
    pub is_empty: bool,
    /// The address under which it finds us; if absent, that of our connection to it.
    pub advertise: Option<&'a str>,
    /// Keeps what must be put back.
    pub ledger: &'a dyn Ledger,
}

/// How far the target is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// So many bytes were sent.
    Sent(u64),
    /// So many bytes, all of which it has, were loaded.
    Loaded(u64),
}

/// What was done to the target, whether it went well or not.
#[derive(Debug, Default)]
pub struct Trace {
    /// Whether its old data is gone.
    pub changed: bool,
    /// What could not be put right again, in words for people.
    pub warnings: Vec<String>,
}

impl Follower<'_> {
    /// Makes it load the snapshot; gives what it holds then. `check` looks at that while the target still follows and
    /// so expires nothing. In the end, however it went, the target is a primary of its own again.
    pub fn load(
        &self,
        payload: Payload<'_>,
        check: &dyn Fn(&BTreeMap<u64, Keyspace>) -> Result<()>,
        watch: &dyn Fn(Step),
        cancel: &CancellationToken,
        trace: &mut Trace,
    ) -> Result<BTreeMap<u64, Keyspace>> {
        let mut control = self.door.open(cancel)?;
        let mut borrowed = Vec::new();
        let loaded = self.prepare(&mut control, &mut borrowed).and_then(|(primary, keeps)| {
            let (served, stop) = (Served::default(), cancel.child_token());
            thread::scope(|scope| {
                let serving = thread::Builder::new()
                    .name("primary".to_owned())
                    .spawn_scoped(scope, || primary.serve(payload, &served, &stop))
                    .map_err(|error| Error::internal("no thread for the target", error))?;
                let watched = self
                    .start(&mut control, &primary)
                    .and_then(|()| {
                        self.watch(&mut control, &served, &|| serving.is_finished(), watch, cancel)
                    })
                    .and_then(|info| check(&info.keyspace()).map(|()| info.keyspace()));
                // After a failure the target must not go on with what it has of the snapshot. After a success it
                // is let go first: without us it would try to connect again, and again.
                if watched.is_err() {
                    stop.cancel();
                }
                let gone = if self.ledger.is_lost() { Ok(()) } else { let_go(self.door, &mut control) };
                stop.cancel();
                trace.changed |= served.is_whole() || (!keeps && served.is_begun());
                if let Err(error) = gone {
                    trace.warnings.push(format!(
                        "the target may still follow this host ({error}): send it REPLICAOF NO ONE"
                    ));
                }
                let serving = serving
                    .join()
                    .unwrap_or_else(|_| Err(Error::internal("the primary stopped", "it panicked")));
                // Whoever failed first knows best; to be stopped is no failure of the one that serves.
                match (watched, serving) {
                    (Ok(found), _) => Ok(found),
                    (Err(error), Err(cause)) if is_lost(&error) && cause.kind != Kind::Cancelled => {
                        Err(cause)
                    }
                    (Err(error), _) => Err(error),
                }
            })
        });
        self.put_back(borrowed, trace);
        loaded
    }

    /// Changes settings for a while, and listens for the target. Also tells whether the target keeps its old data until
    /// it has all of the new.
    fn prepare(
        &self,
        control: &mut Connection,
        borrowed: &mut Vec<(&'static str, String)>,
    ) -> Result<(Primary, bool)> {
        let mut change =
            |control: &mut Connection, name: &'static str, old: &str, new: &str| -> Result<bool> {
                self.ledger.owe(name, old)?;
                if control.set(name, new.as_bytes())? {
                    borrowed.push((name, old.to_owned()));
                    return Ok(true);
                }
                self.ledger.settle(name, old);
                Ok(false)
            };
        let diskless = control.setting("repl-diskless-load")?;
        let keeps = match diskless.as_deref() {
            Some("disabled") if self.is_empty => {
                change(control, "repl-diskless-load", "disabled", "on-empty-db")?;
                true
            }
            // With flush-before-load of Valkey 8.1 it throws all away at the first byte, and with on-empty-db it may
            // hold functions that do not count (`useDisklessLoad` in its `src/replication.c`).
            Some(own) if !self.is_empty && !["disabled", "swapdb"].contains(&own) => {
                change(control, "repl-diskless-load", own, "disabled")?
            }
            Some(_) => true,
            None => self.is_empty,
        };
        let password = match control.setting("masterauth")? {
            None => None,
            Some(own) if !own.is_empty() => Some(own),
            Some(_) => {
                let once = random_hex(16)?;
                change(control, "masterauth", "", &once)?.then_some(once)
            }
        };
        let ports = self.ports(control)?;
        let on = match (self.advertise, control.local_ip()) {
            (Some(_), Some(IpAddr::V6(_))) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            (Some(_), _) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            (None, Some(ip)) => ip,
            // Over a Unix socket the target is on this host.
            (None, None) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        };
        // Behind a translation of addresses it comes from anywhere; then only the password tells it from others.
        let ip = match (self.advertise, &password) {
            (Some(_), Some(_)) => None,
            _ => Some(control.peer_ip().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))),
        };
        let guest = Guest { ip, ports, password: password.map(Secret::new) };
        Ok((Primary::listen(on, guest, self.door.timeouts.silence)?, keeps))
    }

    /// Every port that the target may say it listens on (`REPLCONF listening-port` in Redis `src/replication.c`).
    fn ports(&self, control: &mut Connection) -> Result<Vec<u16>> {
        let mut ports = Vec::new();
        if let Node::Tcp { port, .. } = &self.door.node {
            ports.push(*port);
        }
        if let Some(info) = Info::ask(control)? {
            ports.extend(info.text("tcp_port").parse::<u16>());
        }
        let announced = control.setting("replica-announce-port")?.and_then(|port| port.parse::<u16>().ok());
        ports.extend(announced.filter(|port| *port > 0));
        Ok(ports)
    }

    /// Tells the target to follow us.
    fn start(&self, control: &mut Connection, primary: &Primary) -> Result<()> {
        let host = match (self.advertise, control.local_ip()) {
            (Some(host), _) => host.to_owned(),
            (None, Some(ip)) => ip.to_canonical().to_string(),
            (None, None) => Ipv4Addr::LOCALHOST.to_string(),
        };
        let port = primary.port().to_string();
        self.ledger.lead(&format!("{host}:{port}"))?;
        match control.call(&[b"REPLICAOF", host.as_bytes(), port.as_bytes()])? {
            Reply::Simple(_) => Ok(()),
            Reply::Error(text) => Err(control.refusal("follow another server (REPLICAOF)", &text)),
            _ => Err(control.no_redis("an odd reply to REPLICAOF")),
        }
    }

    /// Waits until the target has loaded everything; gives what it says of itself then.
    fn watch(
        &self,
        control: &mut Connection,
        served: &Served,
        is_over: &dyn Fn() -> bool,
        watch: &dyn Fn(Step),
        cancel: &CancellationToken,
    ) -> Result<Info> {
        let mut answered = Instant::now();
        let mut next = Instant::now();
        loop {
            if cancel.is_cancelled() {
                return Err(Error::cancelled());
            }
            if is_over() {
                return Err(lost());
            }
            // An acknowledgement may be the last one for a second: look at once.
            if Instant::now() < next && !served.is_acknowledged() {
                thread::sleep(LOOK_UP);
                continue;
            }
            next = Instant::now() + ASK_EVERY;
            match Info::ask(control) {
                Ok(Some(info)) if is_done(&info, served) => return Ok(info),
                Ok(Some(info)) => {
                    answered = Instant::now();
                    let is_loading = served.is_whole() && info.is_on("loading");
                    watch(if is_loading {
                        Step::Loaded(info.number("loading_loaded_bytes").unwrap_or(0))
                    } else {
                        Step::Sent(served.sent_bytes())
                    });
                }
                Ok(None) => return Err(control.refusal("describe itself (INFO)", "NOPERM")),
                Err(error) if error.kind == Kind::Unreachable && answered.elapsed() < PATIENCE => {
                    if let Ok(again) = self.door.open(cancel) {
                        *control = again;
                    }
                }
                Err(error) => return Err(error),
            }
            if served.is_acknowledged() {
                thread::sleep(LOOK_UP);
            }
        }
    }

    fn put_back(&self, borrowed: Vec<(&'static str, String)>, trace: &mut Trace) {
        if borrowed.is_empty() || self.ledger.is_lost() {
            return;
        }
        let mut control = self.door.open(&CancellationToken::new());
        for (name, old) in borrowed {
            let done = control.as_mut().map_or(Ok(false), |control| control.set(name, old.as_bytes()));
            if matches!(done, Ok(true)) {
                self.ledger.settle(name, &old);
            } else {
                trace.warnings.push(format!("the target's {name} could not be put back to \"{old}\""));
            }
        }
    }
}

/// Whom a server follows, as `host:port`; `None` if it is a primary.
pub fn leader(info: &Info) -> Option<String> {
    (info.text("role") == "slave")
        .then(|| format!("{}:{}", info.text("master_host"), info.text("master_port")))
}

/// Makes a server a primary of its own again, which it refuses while it loads: for a minute it is asked again and
/// again. Does not stop on request: the server would be left following nobody.
pub fn let_go(door: &Door, control: &mut Connection) -> Result<()> {
    let never = CancellationToken::new();
    let deadline = Instant::now() + LET_GO;
    let mut reached = Instant::now();
    let mut released = release(control);
    while let Err(error) = &released
        && error.kind != Kind::Denied
        && Instant::now() < deadline
        && reached.elapsed() < REACH
    {
        thread::sleep(LOOK_UP * 10);
        let opened = door.open(&never);
        if opened.is_ok() {
            reached = Instant::now();
        }
        released = opened.and_then(|mut control| release(&mut control));
    }
    released
}

fn release(control: &mut Connection) -> Result<()> {
    match control.call(&[b"REPLICAOF", b"NO", b"ONE"])? {
        Reply::Simple(_) => Ok(()),
        Reply::Error(text) => Err(control.refusal("stop following (REPLICAOF NO ONE)", &text)),
        _ => Err(control.no_redis("an odd reply to REPLICAOF")),
    }
}

fn is_done(info: &Info, served: &Served) -> bool {
    served.is_whole()
        && info.text("master_link_status") == "up"
        && !info.is_on("loading")
        && !info.is_on("master_sync_in_progress")
        && (served.is_acknowledged() || info.number("slave_repl_offset") >= Some(super::primary::OFFSET))
}

fn lost() -> Error {
    Error::new(Kind::Unreachable, "TARGET_LOST", "the target stopped following in the middle of the snapshot")
        .hint("look at the target's own log for why")
}

fn is_lost(error: &Error) -> bool {
    error.code == "TARGET_LOST"
}
