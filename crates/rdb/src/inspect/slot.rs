//! Keys by cluster slot.

use crate::slots::{SLOTS, slot};

/// The keys of one cluster slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SlotSums {
    /// How many.
    pub keys: u64,
    /// What a server is estimated to hold for them.
    pub memory_bytes: u64,
}

/// Counts keys by slot, a batch at a time: their slots are all over the table, and in a row the memory is waited for
/// many times at once.
pub(super) struct SlotTable {
    slots: Vec<SlotSums>,
    waiting: Vec<(u16, u64)>,
}

impl SlotTable {
    const BATCH: usize = 64;

    pub(super) fn new() -> Self {
        Self { slots: vec![SlotSums::default(); SLOTS], waiting: Vec::with_capacity(Self::BATCH) }
    }

    #[inline]
    pub(super) fn add(&mut self, key: &[u8], memory_bytes: u64) {
        self.waiting.push((slot(key), memory_bytes));
        if self.waiting.len() >= Self::BATCH {
            self.settle();
        }
    }

    fn settle(&mut self) {
        for (slot, memory_bytes) in self.waiting.drain(..) {
            let slot = &mut self.slots[usize::from(slot)];
            slot.keys += 1;
            slot.memory_bytes = slot.memory_bytes.saturating_add(memory_bytes);
        }
    }

    pub(super) fn finish(mut self) -> Vec<SlotSums> {
        self.settle();
        self.slots
    }
}
