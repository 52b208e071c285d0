//! The account of a counted link's transfer: what was promised to it becomes what was really sent.

use std::sync::Arc;
use std::time::Duration;

use keystow_engine::Result;
use keystow_engine::ops::{Engine, Promised};
use tokio::sync::Semaphore;

/// Deliveries at most that wait for a catalog that is away. Those beyond are not counted.
const MOST_WAITING: usize = 10_000;
/// How long one of them is tried again every minute: as long as the catalog remembers its promise.
const MINUTES: usize = 24 * 60;

static WAITING: Semaphore = Semaphore::const_new(MOST_WAITING);

/// The account of a counted link's transfer. Dropped with it, it writes what was really sent.
pub(super) struct Settlement {
    engine: Arc<Engine>,
    /// Until it is dropped.
    promised: Option<Promised>,
    pub(super) sent: u64,
    /// The last bytes of that which may never have arrived.
    doubtful: u64,
}

impl Settlement {
    pub(super) fn new(engine: &Arc<Engine>, promised: Promised) -> Self {
        Self { engine: engine.clone(), promised: Some(promised), sent: 0, doubtful: 0 }
    }

    /// Its connection broke, and so many bytes may not have arrived.
    pub(super) fn broken(&mut self, doubtful: u64) {
        self.doubtful = doubtful;
    }

    /// Whether the rest is still promised to this transfer.
    pub(super) fn stands(&self) -> bool {
        self.promised.as_ref().is_some_and(Promised::stands)
    }
}

impl Drop for Settlement {
    fn drop(&mut self) {
        let (engine, sent, doubtful) = (self.engine.clone(), self.sent, self.doubtful);
        let Some(promised) = self.promised.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            let settled = persist(&WAITING, || engine.settle_delivery(&promised, sent, doubtful));
            if let Err(error) = settled.await {
                tracing::error!(%error, "cannot count a delivery");
            }
        });
    }
}

/// Tries again as long as it may help. A catalog that is away must not leave the promise standing, and then forgotten: a
/// link for one delivery would give another.
async fn persist<F: Future<Output = Result<()>>>(waiting: &Semaphore, settle: impl Fn() -> F) -> Result<()> {
    let mut pauses = [1, 2, 4, 8, 16, 32].into_iter().chain(std::iter::repeat_n(60, MINUTES));
    let mut place = None;
    loop {
        let Err(error) = settle().await else { return Ok(()) };
        place = place.or_else(|| waiting.try_acquire().ok());
        match pauses.next() {
            Some(pause) if error.worth_retrying() && place.is_some() => {
                tokio::time::sleep(Duration::from_secs(pause)).await;
            }
            _ => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use keystow_engine::{Error, Kind};
    use tokio::time::Instant;

    use super::*;

    /// How often it is tried and how long, if it works after so long.
    async fn tries(waiting: &Semaphore, kind: Kind, works_after: Duration) -> (u64, Duration, bool) {
        let (begun, tried) = (Instant::now(), Cell::new(0));
        let settled = persist(waiting, || {
            tried.set(tried.get() + 1);
            let works = begun.elapsed() >= works_after;
            std::future::ready(works.then_some(()).ok_or_else(|| Error::new(kind, "AWAY", "it is away")))
        });
        let settled = settled.await.is_ok();
        (tried.get(), begun.elapsed(), settled)
    }

    #[tokio::test(start_paused = true)]
    async fn a_delivery_is_counted_also_after_hours_without_the_catalog() {
        let (hour, day) = (Duration::from_hours(1), Duration::from_hours(24));
        let waiting = Semaphore::new(1);
        assert_eq!(tries(&waiting, Kind::Unreachable, Duration::ZERO).await, (1, Duration::ZERO, true));
        let (tried, took, settled) = tries(&waiting, Kind::Unreachable, hour).await;
        assert!(settled && took >= hour && took < hour * 2 && tried < 100, "{tried} {took:?}");
        let (_, took, settled) = tries(&waiting, Kind::Unreachable, day * 3).await;
        assert!(!settled && took > day && took < day * 2, "not for ever: {took:?}");
        assert_eq!(waiting.available_permits(), 1);
        // What does not get better by waiting, and more than may wait.
        assert_eq!(tries(&waiting, Kind::Internal, hour).await.0, 1);
        assert_eq!(tries(&Semaphore::new(0), Kind::Unreachable, hour).await.0, 1);
    }
}
