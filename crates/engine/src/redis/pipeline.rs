//! Commands at full speed: written in batches, many of them under way at a time, each kept until it is answered.
//!
//! The caller's thread fills batches; each primary has a lane, a thread with a connection of its own. When a primary
//! dies, fails over or gives slots away, all lanes are brought to rest, the primaries are looked for anew, and what was
//! not answered goes out again. `RESTORE` does the same twice, so that is safe. A value that goes in piece by piece does
//! not: it goes on only where everything behind a refused piece was refused as well, and fails otherwise.

mod batch;
mod lane;
mod load;
mod mend;
mod verdict;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use self::batch::{Batch, Item, Leftover};
use self::lane::Lane;
use self::load::Load;
use self::mend::Patience;
use super::{Door, Login, Node, Timeouts};
use crate::error::{Error, Result};
use crate::model::{SLOT_COUNT, Slots};

/// Batches that wait for a lane.
const WAITING: usize = 4;

/// The primaries that get commands.
#[derive(Debug, Clone)]
pub struct Route {
    primaries: Vec<Node>,
    /// The primary of each slot, as a place in `primaries`; empty if there is only one for all.
    owners: Vec<u16>,
}

impl Route {
    /// Each primary with its slots; a single one gets all keys. `None` if there are none, or too many.
    pub fn new(primaries: impl IntoIterator<Item = (Node, Slots)>) -> Option<Self> {
        let (primaries, slots): (Vec<Node>, Vec<Slots>) = primaries.into_iter().unzip();
        let mut owners = Vec::new();
        if primaries.len() > 1 {
            owners = vec![0; usize::from(SLOT_COUNT)];
            for (index, slots) in slots.iter().enumerate() {
                for (first, last) in slots.ranges() {
                    owners[usize::from(*first)..=usize::from(*last)].fill(u16::try_from(index).ok()?);
                }
            }
        }
        (!primaries.is_empty()).then_some(Self { primaries, owners })
    }

    /// The primaries.
    pub fn primaries(&self) -> &[Node] {
        &self.primaries
    }

    /// The place of a slot's primary.
    pub fn owner(&self, slot: u16) -> usize {
        self.owners.get(usize::from(slot)).map_or(0, |owner| usize::from(*owner))
    }
}

/// What it takes to reach the primaries, wherever they are.
pub struct Fleet {
    /// What each wants to see.
    pub login: Login,
    /// Limits on waiting for one.
    pub timeouts: Timeouts,
    /// Finds the primaries, also after one has died.
    pub find: Box<dyn Fn() -> Result<Route> + Send>,
    /// How long they are looked for, all in all, while no command is answered.
    pub patience: Duration,
}

impl Fleet {
    pub(super) fn door(&self, node: &Node) -> Door {
        Door { node: node.clone(), login: self.login.clone(), timeouts: self.timeouts }
    }
}

/// What it means that a key is there already (`BUSYKEY`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenBusy {
    /// It stops everything.
    Fail,
    /// It stays, and is counted.
    Skip,
    /// It was sent before, by an attempt that died.
    Ours,
}

/// One or more commands about one key: all of it, or a piece.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// As the Redis protocol writes them.
    pub command: &'a [u8],
    /// Replies that they give.
    pub replies: u32,
    /// The key's slot.
    pub slot: u16,
    /// Its database.
    pub database: u64,
    /// Whether it may be sent a second time when nobody knows what became of the first: a whole key by one command that
    /// answers `+OK`.
    pub repeatable: bool,
    /// Whether the key is whole with it. Until then, further orders are about the same key.
    pub is_last: bool,
}

/// What became of the keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Keys that were written.
    pub done: u64,
    /// Keys that were there already, and stayed.
    pub skipped: u64,
    /// Of those written, keys that were there already and are taken for what an attempt before this one wrote.
    pub ours: u64,
    /// How often the primaries had to be looked for anew.
    pub mended: u64,
    /// Whether the target carried anything out, or may have: also pieces of keys, and keys that are not counted.
    pub wrote: bool,
}

/// What the lanes and their user tell each other.
struct Shared {
    when_busy: WhenBusy,
    done: AtomicU64,
    skipped: AtomicU64,
    ours: AtomicU64,
    /// Whether anything was carried out, or may have been.
    wrote: AtomicBool,
    /// Whether something waits in `leftovers`.
    trouble: AtomicBool,
    leftovers: Mutex<Vec<Leftover>>,
    /// Why there are leftovers: the latest reason.
    reason: Mutex<Option<Error>>,
    /// Whether `failure` is there.
    failed: AtomicBool,
    failure: Mutex<Option<Error>>,
    /// The first order of each batch that is not answered in full, and how many batches begin with it.
    unanswered: Mutex<BTreeMap<u64, u32>>,
    /// Whole keys taken so far.
    taken: AtomicU64,
}

impl Shared {
    fn fail(&self, error: Error) {
        lock(&self.failure).get_or_insert(error);
        self.failed.store(true, Ordering::Release);
    }

    fn leave(&self, leftovers: impl IntoIterator<Item = Leftover>, reason: Error) {
        lock(&self.leftovers).extend(leftovers);
        *lock(&self.reason) = Some(reason);
        self.trouble.store(true, Ordering::Release);
    }

    fn take_for_ours(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
        self.ours.fetch_add(1, Ordering::Relaxed);
    }

    fn begin(&self, first: u64) {
        *lock(&self.unanswered).entry(first).or_default() += 1;
    }

    fn end(&self, first: u64) {
        let mut unanswered = lock(&self.unanswered);
        if let Some(count) = unanswered.get_mut(&first) {
            *count -= 1;
            if *count == 0 {
                unanswered.remove(&first);
            }
        }
    }
}

/// Nobody leaves these half written.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How far a pipeline is, for whoever watches.
#[derive(Clone)]
pub struct Gauge(Arc<Shared>);

impl Gauge {
    /// How many keys, from the first one on, are whole in the target, without a gap.
    pub fn safe(&self) -> u64 {
        let unanswered = lock(&self.0.unanswered);
        unanswered.first_key_value().map_or(self.0.taken.load(Ordering::Acquire), |(first, _)| *first)
    }

    /// Keys that were written, and those that stayed.
    pub fn answered(&self) -> u64 {
        self.0.done.load(Ordering::Relaxed) + self.0.skipped.load(Ordering::Relaxed)
    }
}

/// Where a lane is fed.
struct Feed {
    batches: SyncSender<Batch>,
    spare: Receiver<Batch>,
    load: Arc<Load>,
    /// The batch that is being filled.
    filling: Option<Batch>,
    thread: JoinHandle<()>,
}

/// Commands on their way to the primaries.
pub struct Pipeline {
    fleet: Fleet,
    route: Route,
    shared: Arc<Shared>,
    feeds: Vec<Feed>,
    cancel: CancellationToken,
    patience: Patience,
    mended: u64,
}

impl Pipeline {
    /// Finds the primaries and connects. Blocks, on a thread of a tokio runtime that may.
    pub fn open(fleet: Fleet, when_busy: WhenBusy, cancel: CancellationToken) -> Result<Self> {
        let route = (fleet.find)()?;
        let shared = Arc::new(Shared {
            when_busy,
            done: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            ours: AtomicU64::new(0),
            wrote: AtomicBool::new(false),
            trouble: AtomicBool::new(false),
            leftovers: Mutex::default(),
            reason: Mutex::default(),
            failed: AtomicBool::new(false),
            failure: Mutex::default(),
            unanswered: Mutex::default(),
            taken: AtomicU64::new(0),
        });
        let patience = Patience::new(fleet.patience);
        let mut pipeline = Self { fleet, route, shared, feeds: Vec::new(), cancel, patience, mended: 0 };
        pipeline.start_lanes()?;
        Ok(pipeline)
    }

    /// How far it is, also for other threads.
    pub fn gauge(&self) -> Gauge {
        Gauge(self.shared.clone())
    }

    /// The primaries, as they were found last.
    pub fn route(&self) -> &Route {
        &self.route
    }

    /// Takes an order. An error may be about an earlier one.
    pub fn push(&mut self, order: Order<'_>) -> Result<()> {
        let number = self.shared.taken.load(Ordering::Relaxed);
        let item = Item {
            number,
            end: 0,
            replies: order.replies,
            slot: order.slot,
            repeatable: order.repeatable,
            is_last: order.is_last,
            again: false,
        };
        let lane = self.route.owner(order.slot);
        self.fill(lane, order.database, item, order.command)?;
        if order.is_last {
            // After the batch was noted: whoever looks in between must not take it for answered.
            self.shared.taken.store(number + 1, Ordering::Release);
        }
        self.check()
    }

    /// Waits until all orders are carried out.
    pub fn finish(mut self) -> (Result<()>, Counts) {
        let result = loop {
            if let Err(error) = self.flush_all() {
                break Err(error);
            }
            self.rest();
            if let Some(failure) = self.failure() {
                break Err(failure);
            }
            if lock(&self.shared.leftovers).is_empty() {
                break Ok(());
            }
            if let Err(error) = self.mend() {
                break Err(error);
            }
        };
        self.rest();
        (result, self.counts())
    }

    /// What became of the orders so far.
    pub fn counts(&self) -> Counts {
        Counts {
            done: self.shared.done.load(Ordering::Relaxed),
            skipped: self.shared.skipped.load(Ordering::Relaxed),
            ours: self.shared.ours.load(Ordering::Relaxed),
            mended: self.mended,
            wrote: self.shared.wrote.load(Ordering::Relaxed),
        }
    }

    fn start_lanes(&mut self) -> Result<()> {
        let runtime = Handle::try_current().map_err(|error| Error::internal("no runtime here", error))?;
        for node in self.route.primaries.clone() {
            let (batches, waiting) = sync_channel(WAITING);
            let (spare, returned): (Sender<Batch>, _) = channel();
            let load = Arc::new(Load::default());
            let fed = (spare, load.clone());
            let lane = Lane::new(self.fleet.door(&node), self.shared.clone(), fed, self.cancel.clone());
            let runtime = runtime.clone();
            let thread = thread::Builder::new()
                .name("restore-lane".to_owned())
                .spawn(move || {
                    let _runtime = runtime.enter();
                    lane.run(&waiting);
                })
                .map_err(|error| Error::internal("no thread for the target", error))?;
            self.feeds.push(Feed { batches, spare: returned, load, filling: None, thread });
        }
        Ok(())
    }

    /// Adds to the batch of a lane; sends it when it is full.
    fn fill(&mut self, lane: usize, database: u64, item: Item, command: &[u8]) -> Result<()> {
        if self.feeds[lane].filling.as_ref().is_some_and(|batch| batch.database != database) {
            self.flush(lane)?;
        }
        let feed = &mut self.feeds[lane];
        let batch = feed.filling.get_or_insert_with(|| {
            let spare = feed.spare.try_recv().unwrap_or_default();
            self.shared.begin(item.number);
            spare.begin(database, item.number)
        });
        batch.add(item, command);
        if batch.is_full() {
            self.flush(lane)?;
        }
        Ok(())
    }

    fn flush(&mut self, lane: usize) -> Result<()> {
        let feed = &mut self.feeds[lane];
        if let Some(batch) = feed.filling.take() {
            feed.load.add(batch.bytes.len(), &|| feed.thread.is_finished());
            // A lane takes batches until its feed ends, whatever happens to it.
            feed.batches
                .send(batch)
                .map_err(|_| Error::internal("a lane of the restore ended", "it panicked"))?;
        }
        Ok(())
    }

    fn flush_all(&mut self) -> Result<()> {
        (0..self.feeds.len()).try_for_each(|lane| self.flush(lane))
    }

    /// Looks whether a lane is in trouble.
    fn check(&mut self) -> Result<()> {
        if self.shared.failed.load(Ordering::Acquire)
            && let Some(failure) = self.failure()
        {
            return Err(failure);
        }
        if self.shared.trouble.load(Ordering::Acquire) {
            return self.mend();
        }
        Ok(())
    }

    fn failure(&self) -> Option<Error> {
        lock(&self.shared.failure).clone()
    }

    /// Brings all lanes to rest: what is under way is answered or left over.
    fn rest(&mut self) {
        for feed in self.feeds.drain(..) {
            let Feed { batches, spare, filling, thread, .. } = feed;
            drop((batches, spare));
            if let Some(batch) = filling {
                lock(&self.shared.leftovers).extend(batch.leave(0, false));
            }
            if thread.join().is_err() {
                self.shared.fail(Error::internal("a lane of the restore ended", "it panicked"));
            }
        }
    }
}

#[cfg(test)]
mod tests;
