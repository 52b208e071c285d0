//! How far a job is, counted where the work is done and read by its heartbeats.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::model::{Phase, Progress};

/// How far a job is, for whoever watches.
#[derive(Debug, Default)]
pub struct Meter {
    phase: AtomicU8,
    bytes: AtomicU64,
    total: AtomicU64,
    keys: AtomicU64,
    safe: Mutex<Safe>,
    lost: AtomicBool,
}

/// Tells how many keys of the part under way are safe in a target.
type SafeKeys = Box<dyn Fn() -> u64 + Send>;

/// Keys that are safe in a target: of the parts that are done, and of the one under way.
#[derive(Default)]
struct Safe {
    parts: Vec<u64>,
    under_way: Option<(usize, SafeKeys)>,
}

impl Safe {
    /// Keeps what the part under way has come to.
    fn update(&mut self) {
        if let Some((part, keys)) = &self.under_way {
            if self.parts.len() <= *part {
                self.parts.resize(part + 1, 0);
            }
            self.parts[*part] = keys();
        }
    }
}

impl fmt::Debug for Safe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.fmt(f)
    }
}

const PHASES: [Phase; 8] = [
    Phase::Waiting,
    Phase::Connecting,
    Phase::Receiving,
    Phase::Sealing,
    Phase::Checking,
    Phase::Restoring,
    Phase::Loading,
    Phase::Copying,
];

impl Meter {
    /// The present state.
    pub fn progress(&self) -> Progress {
        let total = self.total.load(Ordering::Relaxed);
        Progress {
            phase: PHASES[usize::from(self.phase.load(Ordering::Relaxed)).min(PHASES.len() - 1)],
            bytes: self.bytes.load(Ordering::Relaxed),
            total_bytes: (total > 0).then_some(total),
            keys: self.keys.load(Ordering::Relaxed),
            safe: {
                let mut safe = self.safe.lock().unwrap_or_else(PoisonError::into_inner);
                safe.update();
                safe.parts.clone()
            },
        }
    }

    /// The job's lease is lost, or is about to run out.
    pub(crate) fn lose(&self) {
        self.lost.store(true, Ordering::Relaxed);
    }

    /// Whether another worker may have the job by now: then it is that one's to put things right.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// What the job does from now on.
    pub(super) fn enter(&self, phase: Phase) {
        let index = PHASES.iter().position(|known| *known == phase).unwrap_or_default();
        self.phase.store(u8::try_from(index).unwrap_or_default(), Ordering::Relaxed);
    }

    /// More bytes came.
    pub(super) fn add_bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// More bytes are to come in all.
    pub(super) fn add_total(&self, bytes: u64) {
        self.total.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So many bytes are done, of so many in all.
    pub(super) fn set_bytes(&self, bytes: u64, total: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
    }

    /// So many keys are done.
    pub(super) fn set_keys(&self, keys: u64) {
        self.keys.store(keys, Ordering::Relaxed);
    }

    /// More keys were seen.
    pub(super) fn add_keys(&self, keys: u64) {
        self.keys.fetch_add(keys, Ordering::Relaxed);
    }

    /// What was counted for work that begins anew.
    pub(super) fn take_back(&self, counted: &Counted) {
        self.bytes.fetch_sub(counted.bytes.load(Ordering::Relaxed), Ordering::Relaxed);
        self.total.fetch_sub(counted.total.load(Ordering::Relaxed), Ordering::Relaxed);
        self.keys.fetch_sub(counted.keys.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// From now on `keys` tells how many keys of a part are safe; those of the parts before stay what they were.
    pub(super) fn follow(&self, part: usize, keys: SafeKeys) {
        let mut safe = self.safe.lock().unwrap_or_else(PoisonError::into_inner);
        safe.update();
        safe.under_way = Some((part, keys));
    }

    /// Starts with what an attempt before this one has brought to safety.
    pub(super) fn resume(&self, parts: Vec<u64>) {
        self.safe.lock().unwrap_or_else(PoisonError::into_inner).parts = parts;
    }
}

/// One shard's share of a job's meter: what must be taken back when the shard is begun anew.
#[derive(Debug)]
pub(super) struct Gauge<'a> {
    meter: &'a Meter,
    counted: Counted,
}

/// What was counted.
#[derive(Debug, Default)]
pub(super) struct Counted {
    bytes: AtomicU64,
    total: AtomicU64,
    keys: AtomicU64,
}

impl<'a> Gauge<'a> {
    pub(super) fn new(meter: &'a Meter) -> Self {
        Self { meter, counted: Counted::default() }
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.meter.enter(phase);
    }

    pub(super) fn expect(&self, bytes: u64) {
        self.counted.total.fetch_add(bytes, Ordering::Relaxed);
        self.meter.add_total(bytes);
    }

    pub(super) fn add_bytes(&self, bytes: u64) {
        self.counted.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.meter.add_bytes(bytes);
    }

    /// So many keys in all.
    pub(super) fn set_keys(&self, keys: u64) {
        let before = self.counted.keys.swap(keys, Ordering::Relaxed);
        self.meter.add_keys(keys.saturating_sub(before));
    }

    /// Bytes that came, and those that were to come, where the server said so.
    pub(super) fn received(&self) -> (u64, Option<u64>) {
        let total = self.counted.total.load(Ordering::Relaxed);
        (self.counted.bytes.load(Ordering::Relaxed), (total > 0).then_some(total))
    }

    /// Takes all of it back: the work begins anew.
    pub(super) fn take_back(self) {
        self.meter.take_back(&self.counted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phase_reads_back() {
        let meter = Meter::default();
        for phase in PHASES {
            meter.enter(phase);
            assert_eq!(meter.progress().phase, phase);
        }
    }

    #[test]
    fn a_shard_that_begins_anew_takes_its_share_back() {
        let meter = Meter::default();
        let (first, second) = (Gauge::new(&meter), Gauge::new(&meter));
        first.expect(100);
        first.add_bytes(40);
        first.set_keys(4);
        first.set_keys(7);
        second.add_bytes(5);
        assert_eq!(first.received(), (40, Some(100)));
        let progress = meter.progress();
        assert_eq!((progress.bytes, progress.total_bytes, progress.keys), (45, Some(100), 7));
        first.take_back();
        let progress = meter.progress();
        assert_eq!((progress.bytes, progress.total_bytes, progress.keys), (5, None, 0));
    }

    #[test]
    fn safe_keys_are_kept_by_part() {
        let meter = Meter::default();
        meter.resume(vec![5]);
        meter.follow(0, Box::new(|| 7));
        meter.follow(2, Box::new(|| 9));
        assert_eq!(meter.progress().safe, [7, 0, 9]);
    }
}
