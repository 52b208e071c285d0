//! A lane: the connection to one primary, and what is under way on it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};

use tokio_util::sync::CancellationToken;

use super::Shared;
use super::batch::Batch;
use super::load::Load;
use super::verdict::{Verdict, judge, shown_key};
use crate::error::{Error, Kind, Result};
use crate::redis::{Connection, Door, Reply};

/// Most bytes, and most orders, under way. A batch that begins below goes out whole.
const WINDOW_BYTES: usize = 16 * 1024 * 1024;
const WINDOW_ITEMS: usize = 10_000;

/// A batch under way.
struct Flight {
    batch: Batch,
    /// The order whose replies come next, and how many of them are to come.
    next: usize,
    replies: u32,
    /// Whether the reply to a SELECT comes before all others.
    selects: bool,
    /// Whether the order that comes next is settled, whatever its further replies are.
    settled: bool,
}

/// The connection to one primary, and what is under way on it.
pub(super) struct Lane {
    door: Door,
    shared: Arc<Shared>,
    spare: Sender<Batch>,
    cancel: CancellationToken,
    connection: Option<Connection>,
    database: u64,
    flights: VecDeque<Flight>,
    bytes: usize,
    items: usize,
    /// Bytes that wait for this lane or are under way on it.
    load: Arc<Load>,
    /// The number of a key that goes in piece by piece, and of which a piece was refused for now.
    stuck: Option<u64>,
}

impl Lane {
    pub(super) fn new(
        door: Door,
        shared: Arc<Shared>,
        (spare, load): (Sender<Batch>, Arc<Load>),
        cancel: CancellationToken,
    ) -> Self {
        Self {
            door,
            shared,
            spare,
            cancel,
            connection: None,
            database: 0,
            flights: VecDeque::new(),
            bytes: 0,
            items: 0,
            load,
            stuck: None,
        }
    }

    /// Sends batches and reads replies until there are no more batches and no more replies. Whatever happens, takes
    /// batches to the end: its user waits for that.
    pub(super) fn run(mut self, waiting: &Receiver<Batch>) {
        let mut result = self.door.open(&self.cancel).map(|connection| self.connection = Some(connection));
        while result.is_ok() {
            match self.step(waiting) {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => result = Err(error),
            }
        }
        if let Err(error) = result {
            self.give_up(error, waiting);
        }
    }

    /// Sends a batch, or reads replies. `false` at the end.
    fn step(&mut self, waiting: &Receiver<Batch>) -> Result<bool> {
        if self.flights.is_empty() {
            return match waiting.recv() {
                Ok(batch) => self.send(batch).map(|()| true),
                Err(_) => Ok(false),
            };
        }
        if self.bytes < WINDOW_BYTES && self.items < WINDOW_ITEMS {
            match waiting.try_recv() {
                Ok(batch) => return self.send(batch).map(|()| true),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => {}
            }
        }
        self.read().map(|()| true)
    }

    fn send(&mut self, batch: Batch) -> Result<()> {
        if self.shared.failed.load(Ordering::Acquire) {
            // Nothing is added to a restore that has failed.
            self.load.shed(batch.bytes.len());
            return Ok(());
        }
        let selects = batch.database != self.database;
        self.bytes += batch.bytes.len();
        self.items += batch.items.len();
        self.database = batch.database;
        // It counts as under way from here: a write that fails may have reached the server.
        let replies = batch.items[0].replies;
        self.flights.push_back(Flight { batch, next: 0, replies, selects, settled: false });
        let (Some(connection), Some(flight)) = (&mut self.connection, self.flights.back()) else {
            return Err(Error::internal("a lane has no connection", "it was given up"));
        };
        if selects {
            connection.send(&[b"SELECT", self.database.to_string().as_bytes()])?;
        }
        connection.send_raw(&flight.batch.bytes)
    }

    /// Reads the replies that are there, at least one.
    fn read(&mut self) -> Result<()> {
        let Self { connection: Some(connection), flights, shared, stuck, .. } = self else {
            return Err(Error::internal("a lane has no connection", "it was given up"));
        };
        let Some(flight) = flights.front_mut() else { return Ok(()) };
        if flight.selects {
            if let Reply::Error(text) = connection.reply()? {
                let action = format!("select database {}", flight.batch.database);
                return Err(connection.refusal(&action, &text));
            }
            flight.selects = false;
        }
        let plain = connection.take_ok(flight.plain_replies());
        if plain > 0 {
            flight.skip(plain);
            shared.done.fetch_add(plain as u64, Ordering::Relaxed);
            shared.wrote.store(true, Ordering::Relaxed);
        } else {
            let reply = connection.reply()?;
            let (command, item) = (flight.batch.command(flight.next), flight.batch.items[flight.next]);
            let verdict = judge(&reply, connection.node(), command, item.again, shared.when_busy);
            flight.note(verdict, shared, stuck);
            flight.answered();
        }
        if flight.next == flight.batch.items.len() {
            self.land();
        }
        Ok(())
    }

    /// The first batch under way is answered in full.
    fn land(&mut self) {
        let Some(Flight { mut batch, .. }) = self.flights.pop_front() else { return };
        self.bytes -= batch.bytes.len();
        self.load.shed(batch.bytes.len());
        self.items -= batch.items.len();
        if !self.shared.trouble.load(Ordering::Acquire) && !self.shared.failed.load(Ordering::Acquire) {
            self.shared.end(batch.first);
        }
        batch.empty();
        // Its user may be gone.
        let _ = self.spare.send(batch);
    }

    /// After this nothing more is sent. What was not answered is left over, unless the error is not about to pass.
    fn give_up(mut self, error: Error, waiting: &Receiver<Batch>) {
        let flights = std::mem::take(&mut self.flights);
        self.connection = None;
        self.load.shed(self.bytes);
        if error.kind != Kind::Unreachable {
            self.shared.fail(error);
            // Taken, so that nobody waits for it.
            for batch in waiting {
                self.load.shed(batch.bytes.len());
            }
            return;
        }
        let (mut left, mut half) = (Vec::new(), None);
        // Whatever was sent may have been carried out.
        self.shared.wrote.fetch_or(!flights.is_empty(), Ordering::Relaxed);
        for flight in &flights {
            let mut unanswered = flight.batch.leave(flight.next, true);
            if flight.settled {
                // Of a piece that was refused, nobody knows whether the rest was as well.
                let known = unanswered.remove(0);
                half = half.or((!known.item.repeatable).then(|| shown_key(&known.command)));
            }
            left.append(&mut unanswered);
        }
        let lost = left.iter().find(|left| !left.item.repeatable);
        if let Some(key) = half.or(lost.map(|lost| shown_key(&lost.command))) {
            self.shared.fail(half_done(&error, &key));
        }
        self.shared.leave(left, error.clone());
        for batch in waiting {
            self.load.shed(batch.bytes.len());
            self.shared.leave(batch.leave(0, false), error.clone());
        }
    }
}

impl Flight {
    /// How many orders from the next one on are a whole key each, by one command.
    fn plain_replies(&self) -> usize {
        if self.settled {
            return 0;
        }
        self.batch.items[self.next..].iter().take_while(|item| item.repeatable).count()
    }

    /// So many orders of one reply each were carried out.
    fn skip(&mut self, orders: usize) {
        self.next += orders;
        self.replies = self.batch.items.get(self.next).map_or(0, |item| item.replies);
    }

    /// Notes what one reply means for the next order. `stuck`: the key of which a piece was refused.
    fn note(&mut self, verdict: Verdict, shared: &Shared, stuck: &mut Option<u64>) {
        let item = self.batch.items[self.next];
        let key = || shown_key(self.batch.command(self.next));
        if matches!(verdict, Verdict::Done) {
            shared.wrote.store(true, Ordering::Relaxed);
        }
        let is_stuck = !item.repeatable && *stuck == Some(item.number);
        match verdict {
            // What comes behind a piece that was refused must be refused as well: it may not overtake it.
            Verdict::Done if is_stuck => {
                shared.fail(half_done("a piece of it was refused, and a later one taken", &key()));
            }
            _ if self.settled => return,
            Verdict::Done => {
                let is_whole = self.replies <= 1 && item.is_last;
                shared.done.fetch_add(u64::from(is_whole), Ordering::Relaxed);
                return;
            }
            Verdict::Ours => return shared.take_for_ours(),
            Verdict::Skipped => {
                shared.skipped.fetch_add(1, Ordering::Relaxed);
            }
            // Some of its commands were carried out here, and cannot be taken back.
            Verdict::Later(_, reason) if !item.repeatable && self.replies < item.replies => {
                *stuck = Some(item.number);
                shared.fail(half_done(&reason, &key()));
            }
            // Pieces wait until their slot has moved: half of a value would be at each node.
            Verdict::Later(_, reason) if !item.repeatable => {
                *stuck = Some(item.number);
                shared.leave([self.batch.take_out(self.next, None)], reason);
            }
            Verdict::Later(ask, reason) => {
                shared.leave([self.batch.take_out(self.next, ask)], reason);
            }
            Verdict::Fatal(error) => shared.fail(error),
        }
        self.settled = true;
    }

    /// One reply to the next order has come.
    fn answered(&mut self) {
        self.replies = self.replies.saturating_sub(1);
        if self.replies == 0 {
            self.settled = false;
            self.skip(1);
        }
    }
}

/// A value that goes in piece by piece can go on only where it stopped, and nobody knows where that was.
fn half_done(why: impl fmt::Display, key: &str) -> Error {
    Error::new(
        Kind::Unreachable,
        "RESTORE_HALF_DONE",
        format!("the target stopped in the middle of a large value, at key {key}"),
    )
    .because(why)
    .hint("restore again with --on-conflict replace")
}
