//! Going on after a primary died, failed over or gave slots away.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::batch::Leftover;
use super::verdict::{Verdict, judge};
use super::{Pipeline, lock};
use crate::error::{Error, Kind, Result};
use crate::redis::{Connection, Node, Reply};

/// The first wait after a look-out that did not help; each is twice as long as the one before.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// How often a wait looks whether it was cancelled.
const LOOK_UP: Duration = Duration::from_millis(50);

/// How long to go on trying while nothing is answered.
pub(super) struct Patience {
    limit: Duration,
    /// Since when nothing was answered, how many orders were answered then, and how long to wait next.
    since: Option<(Instant, u64, Duration)>,
}

impl Patience {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, since: None }
    }

    /// Waits a little if nothing was answered since the last time. `false` when it has been long enough.
    fn wait(&mut self, answered: u64, cancel: &CancellationToken) -> bool {
        let (since, wait) = match self.since {
            Some((since, before, wait)) if before == answered => (since, wait),
            // Something was answered meanwhile, so this is new trouble.
            _ => {
                self.since = Some((Instant::now(), answered, FIRST_WAIT));
                return true;
            }
        };
        if since.elapsed() >= self.limit {
            return false;
        }
        let until = Instant::now() + wait;
        while Instant::now() < until && !cancel.is_cancelled() {
            thread::sleep(LOOK_UP.min(until.saturating_duration_since(Instant::now())));
        }
        self.since = Some((since, answered, (wait * 2).min(LONGEST_WAIT)));
        true
    }
}

impl Pipeline {
    /// Brings the lanes to rest, finds the primaries anew, and sends again what was not answered.
    pub(super) fn mend(&mut self) -> Result<()> {
        self.rest();
        loop {
            if let Some(failure) = self.failure() {
                return Err(failure);
            }
            if self.cancel.is_cancelled() {
                return Err(Error::cancelled());
            }
            if !self.patience.wait(self.gauge().answered(), &self.cancel) {
                let reason = lock(&self.shared.reason).clone();
                return Err(
                    reason.unwrap_or_else(|| Error::internal("the target is lost", "nobody knows why"))
                );
            }
            match (self.fleet.find)() {
                Ok(route) => self.route = route,
                Err(error) if error.kind == Kind::Unreachable => {
                    *lock(&self.shared.reason) = Some(error);
                    continue;
                }
                Err(error) => return Err(error),
            }
            self.mended += 1;
            tracing::info!(primaries = self.route.primaries().len(), "the target was looked for anew");
            return self.send_again();
        }
    }

    /// Sends what is left over: in the order in which it was first sent, for later pieces of a value build on earlier
    /// ones.
    fn send_again(&mut self) -> Result<()> {
        let mut left = std::mem::take(&mut *lock(&self.shared.leftovers));
        left.sort_by_key(|left| left.item.number);
        // From here on these are what is unanswered.
        let mut unanswered = lock(&self.shared.unanswered);
        unanswered.clear();
        let held = left.first().map(|first| first.item.number);
        unanswered.extend(held.map(|first| (first, 1)));
        drop(unanswered);
        self.shared.trouble.store(false, Ordering::Release);

        self.start_lanes()?;
        let mut guide = None;
        for left in left {
            if let Some(node) = left.ask.clone() {
                self.ask(&mut guide, &node, left)?;
            } else {
                let lane = self.route.owner(left.item.slot);
                self.fill(lane, left.database, left.item, &left.command)?;
            }
        }
        if let Some(first) = held
            && !self.shared.trouble.load(Ordering::Acquire)
        {
            self.shared.end(first);
        }
        Ok(())
    }

    /// Sends one order to the node that a slot is moving to.
    fn ask(&mut self, guide: &mut Option<Connection>, node: &Node, left: Leftover) -> Result<()> {
        let asked = self.ask_now(guide, node, &left);
        let verdict = match asked {
            Ok(verdict) => verdict,
            Err(error) if error.kind == Kind::Unreachable && left.item.repeatable => {
                *guide = None;
                let again = super::Item { again: true, ..left.item };
                self.shared.leave([Leftover { item: again, ask: None, ..left }], error);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        match verdict {
            Verdict::Done => {
                self.shared.done.fetch_add(1, Ordering::Relaxed);
            }
            Verdict::Ours => self.shared.take_for_ours(),
            Verdict::Skipped => {
                self.shared.skipped.fetch_add(1, Ordering::Relaxed);
            }
            Verdict::Later(_, reason) => self.shared.leave([Leftover { ask: None, ..left }], reason),
            Verdict::Fatal(error) => return Err(error),
        }
        Ok(())
    }

    fn ask_now(&self, guide: &mut Option<Connection>, node: &Node, left: &Leftover) -> Result<Verdict> {
        if guide.as_ref().is_none_or(|guide| guide.node() != node) {
            *guide = Some(self.fleet.door(node).open(&self.cancel)?);
        }
        let Some(guide) = guide else { return Err(Error::internal("no connection", "it was just opened")) };
        // Also for the case that it was used for another database before.
        guide.call(&[b"SELECT", left.database.to_string().as_bytes()])?;
        let mut verdict = Verdict::Done;
        // It holds for one command, and orders of several never come here.
        guide.call(&[b"ASKING"])?;
        guide.send_raw(&left.command)?;
        for _ in 0..left.item.replies {
            let reply: Reply = guide.reply()?;
            self.shared.wrote.fetch_or(!matches!(reply, Reply::Error(_)), Ordering::Relaxed);
            if matches!(verdict, Verdict::Done) {
                verdict = judge(&reply, node, &left.command, left.item.again, self.shared.when_busy);
            }
        }
        Ok(verdict)
    }
}
