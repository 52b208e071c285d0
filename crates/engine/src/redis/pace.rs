//! Reading no faster than allowed.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

/// How long one wait lasts at most, before it is looked whether it was cancelled.
const LOOK_UP: Duration = Duration::from_millis(100);
/// How much may come at once: what may come in this time.
const BURST: Duration = Duration::from_millis(250);
/// The least that may come at once, however low the limit.
const LEAST_BURST: usize = 1024;

impl super::Connection {
    /// Waits so long, or until a cancellation.
    pub fn pause(&self, time: Duration) {
        let end = Instant::now() + time;
        while !self.cancel().is_cancelled() && Instant::now() < end {
            std::thread::sleep(LOOK_UP.min(time));
        }
    }
}

/// A limit on bytes per second: a token bucket that is paid after the fact.
pub(super) struct Pace {
    bytes_per_second: f64,
    /// When all that came so far is paid for.
    paid_at: Instant,
}

impl Pace {
    pub(super) fn new(bytes_per_second: u64, now: Instant) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a limit need not be exact to the byte")]
        let bytes_per_second = bytes_per_second.max(1) as f64;
        Self { bytes_per_second, paid_at: now }
    }

    /// How many bytes to ask for at once.
    pub(super) fn burst(&self) -> usize {
        let bytes = self.bytes_per_second * BURST.as_secs_f64();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "positive; a limit beyond what an integer holds is none"
        )]
        let bytes = bytes as usize;
        bytes.max(LEAST_BURST)
    }

    /// Adds what came. Time that passed unused counts for at most one burst.
    pub(super) fn add(&mut self, bytes: usize, now: Instant) {
        #[expect(clippy::cast_precision_loss, reason = "a limit need not be exact to the byte")]
        let cost = Duration::try_from_secs_f64(bytes as f64 / self.bytes_per_second).unwrap_or(Duration::MAX);
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        let paid_at = self.paid_at.max(earliest);
        // Beyond all clocks: as good as never.
        self.paid_at = paid_at.checked_add(cost).unwrap_or(paid_at + Duration::from_hours(24 * 365));
    }

    /// How long to wait before the next bytes.
    fn debt(&self, now: Instant) -> Duration {
        self.paid_at.saturating_duration_since(now)
    }

    /// Waits until more may come, or a cancellation.
    pub(super) fn wait(&self, cancel: &CancellationToken) {
        loop {
            let debt = self.debt(Instant::now());
            if debt.is_zero() || cancel.is_cancelled() {
                return;
            }
            std::thread::sleep(debt.min(LOOK_UP));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_much_comes_in_a_second_and_no_more() {
        let start = Instant::now();
        let mut pace = Pace::new(1_000_000, start);
        assert_eq!(pace.burst(), 250_000);
        let (mut now, mut bytes) = (start, 0);
        while now < start + Duration::from_secs(10) {
            pace.add(pace.burst(), now);
            bytes += pace.burst();
            now += pace.debt(now);
        }
        assert!((9_900_000..=10_300_000).contains(&bytes), "{bytes}");
    }

    #[test]
    fn idle_time_is_saved_for_one_burst_only() {
        let start = Instant::now();
        let mut pace = Pace::new(1_000_000, start);
        let later = start + Duration::from_mins(1);
        pace.add(250_000, later);
        assert_eq!(pace.debt(later), Duration::ZERO);
        pace.add(250_000, later);
        assert_eq!(pace.debt(later).as_millis(), 250);
    }

    #[test]
    fn extreme_limits_do_no_harm() {
        let now = Instant::now();
        let mut slow = Pace::new(0, now);
        assert_eq!(slow.burst(), LEAST_BURST);
        slow.add(usize::MAX, now);
        assert!(slow.debt(now) > Duration::from_hours(24));
        let mut fast = Pace::new(u64::MAX, now);
        assert!(fast.burst() > 1 << 40);
        fast.add(usize::MAX, now);
        assert!(fast.debt(now) <= Duration::from_secs(1));
    }
}
