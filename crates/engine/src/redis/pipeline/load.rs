//! How much a lane holds: bounded in bytes, for batches may be as large as the largest value.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::lock;

/// Most bytes that wait for a lane or are under way on it. A batch that is larger goes alone.
const MOST_BYTES: usize = 64 * 1024 * 1024;
/// How often a wait looks whether the lane is still there.
const LOOK_UP: Duration = Duration::from_millis(100);

/// Bytes that wait for a lane or are under way on it.
#[derive(Default)]
pub(super) struct Load {
    bytes: Mutex<usize>,
    less: Condvar,
}

impl Load {
    /// Adds that many as soon as they fit, or when nobody is there any more to take some away.
    pub(super) fn add(&self, bytes: usize, is_over: &dyn Fn() -> bool) {
        let mut held = lock(&self.bytes);
        while *held > 0 && *held + bytes > MOST_BYTES && !is_over() {
            held = self.less.wait_timeout(held, LOOK_UP).unwrap_or_else(PoisonError::into_inner).0;
        }
        *held += bytes;
    }

    /// Takes that many away.
    pub(super) fn shed(&self, bytes: usize) {
        let mut held = lock(&self.bytes);
        *held = held.saturating_sub(bytes);
        self.less.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_waits_until_there_is_less() {
        let load = Load::default();
        let never = || false;
        // A batch of any size goes alone.
        load.add(MOST_BYTES * 8, &never);
        load.shed(MOST_BYTES * 8);
        load.add(MOST_BYTES, &never);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| load.add(2, &never));
            assert!(!waiting.is_finished());
            assert_eq!(*lock(&load.bytes), MOST_BYTES);
            load.shed(1);
            assert_eq!(*lock(&load.bytes), MOST_BYTES - 1);
            load.shed(1);
            waiting.join().unwrap();
        });
        assert_eq!(*lock(&load.bytes), MOST_BYTES);
        // A lane that is gone takes nothing away.
        load.add(MOST_BYTES, &|| true);
    }
}
