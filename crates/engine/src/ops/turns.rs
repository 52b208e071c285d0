//! Whose turn it is, among the tasks of this node and among all nodes: what would do harm if two did it at once, such as
//! two full syncs on one host, waits for its turn.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::error::{Error, Result};

/// How often it is looked whether another node has given up a turn.
const PAUSE: Duration = Duration::from_millis(500);

/// The turns of this node.
pub(super) struct Turns {
    catalog: Arc<dyn Catalog>,
    clock: Clock,
    node: String,
    /// Where the tasks of this node wait for each other.
    places: Mutex<HashMap<String, Arc<Semaphore>>>,
    /// The turns that this node has, each with what says that it is lost.
    had: Mutex<HashMap<String, CancellationToken>>,
}

/// A turn; dropping gives it to the next. A node that dies with it loses it when it is not seen for a while.
pub(super) struct Turn {
    turns: Arc<Turns>,
    name: String,
    lost: CancellationToken,
    place: Option<OwnedSemaphorePermit>,
}

/// How long a node, and what is its turn, is held without being seen. Alone, nobody waits for the end of it.
pub(super) fn hold(catalog: &dyn Catalog) -> Duration {
    if catalog.is_shared() { Duration::from_secs(10) } else { Duration::from_mins(1) }
}

impl Turns {
    pub(super) fn new(catalog: Arc<dyn Catalog>, clock: Clock, node: String) -> Self {
        Self { catalog, clock, node, places: Mutex::default(), had: Mutex::default() }
    }

    /// The turn of that name; `None` while somebody has it.
    pub(super) async fn take(self: &Arc<Self>, name: String) -> Result<Option<Turn>> {
        let Ok(place) = self.place(&name).try_acquire_owned() else { return Ok(None) };
        let is_ours = self.ask(&name).await?;
        Ok(is_ours.then(|| self.begin(name, place)))
    }

    fn begin(self: &Arc<Self>, name: String, place: OwnedSemaphorePermit) -> Turn {
        let lost = CancellationToken::new();
        self.had().insert(name.clone(), lost.clone());
        Turn { turns: self.clone(), name, lost, place: Some(place) }
    }

    fn had(&self) -> MutexGuard<'_, HashMap<String, CancellationToken>> {
        self.had.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The turn of that name, as soon as it comes.
    pub(super) async fn wait(self: &Arc<Self>, name: String, cancel: &CancellationToken) -> Result<Turn> {
        let place = tokio::select! {
            place = self.place(&name).acquire_owned() => place.map_err(|error| Error::internal("no turn", error))?,
            () = cancel.cancelled() => return Err(Error::cancelled()),
        };
        loop {
            match self.ask(&name).await {
                Ok(true) => return Ok(self.begin(name, place)),
                Ok(false) => {}
                Err(error) if error.worth_retrying() => tracing::warn!(%error, name, "cannot ask for a turn"),
                Err(error) => return Err(error),
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = cancel.cancelled() => return Err(Error::cancelled()),
            }
        }
    }

    /// Holds the turns that this node has, and tells those who have one that was lost.
    pub(super) async fn hold(&self) -> Result<()> {
        let had: Vec<_> = self.had().iter().map(|(name, lost)| (name.clone(), lost.clone())).collect();
        for (name, lost) in had {
            let now = self.clock.now();
            // One that is given up meanwhile only seems to be lost, and nobody listens any more.
            if !self.catalog.hold_turn(&name, &self.node, now, hold(&*self.catalog)).await? {
                lost.cancel();
            }
        }
        Ok(())
    }

    /// Whether this node has a turn.
    pub(super) fn has_any(&self) -> bool {
        !self.had().is_empty()
    }

    async fn ask(&self, name: &str) -> Result<bool> {
        self.catalog.take_turn(name, &self.node, self.clock.now(), hold(&*self.catalog)).await
    }

    fn place(&self, name: &str) -> Arc<Semaphore> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.retain(|_, place| Arc::strong_count(place) > 1);
        places.entry(name.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(1))).clone()
    }
}

impl Turn {
    /// Waits until another node has taken it, because this one was not seen for too long.
    pub(super) async fn lost(&self) {
        self.lost.cancelled().await;
    }

    /// Whether it was ours all the time; holds it longer.
    pub(super) async fn is_ours(&self) -> Result<bool> {
        let (catalog, now) = (&*self.turns.catalog, self.turns.clock.now());
        catalog.hold_turn(&self.name, &self.turns.node, now, hold(catalog)).await
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let (turns, name, place) = (self.turns.clone(), std::mem::take(&mut self.name), self.place.take());
        let Ok(runtime) = Handle::try_current() else { return };
        runtime.spawn(async move {
            if let Err(error) = turns.catalog.give_turn(&name, &turns.node).await {
                tracing::warn!(%error, name, "cannot give up a turn; it ends by itself");
            }
            turns.had().remove(&name);
            // Not before: the next of this node would take it, and lose it here.
            drop(place);
        });
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::catalog::SqliteCatalog;

    #[tokio::test]
    async fn a_turn_is_one_tasks_and_one_nodes() {
        let folder = tempfile::tempdir().unwrap();
        let catalog = Arc::new(SqliteCatalog::open(&folder.path().join("catalog.db")).await.unwrap());
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let node = |name: &str| Arc::new(Turns::new(catalog.clone(), clock.clone(), name.to_owned()));
        let (one, other) = (node("one"), node("other"));
        let take = async |turns: &Arc<Turns>, name: &str| turns.take(name.to_owned()).await.unwrap();
        let first = take(&one, "a").await.unwrap();
        assert!(take(&one, "a").await.is_none());
        assert!(take(&other, "a").await.is_none());
        assert!(take(&other, "b").await.is_some());
        assert!(one.has_any());
        let cancel = CancellationToken::new();
        let (waiting, ()) = tokio::join!(other.wait("a".to_owned(), &cancel), async { drop(first) });
        drop(waiting.unwrap());
        drop(one.wait("a".to_owned(), &cancel).await.unwrap());
        cancel.cancel();
        let _theirs = other.wait("a".to_owned(), &CancellationToken::new()).await.unwrap();
        assert_eq!(one.wait("a".to_owned(), &cancel).await.err().unwrap().code, "CANCELLED");
        assert!(one.places.lock().unwrap().len() <= 1, "names that nobody uses are forgotten");
    }

    #[tokio::test]
    async fn the_turn_of_a_dead_node_comes_free() {
        let folder = tempfile::tempdir().unwrap();
        let catalog = Arc::new(SqliteCatalog::open(&folder.path().join("catalog.db")).await.unwrap());
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        catalog.take_turn("a", "dead", clock.now(), hold(&*catalog)).await.unwrap();
        let turns = Arc::new(Turns::new(catalog.clone(), clock.clone(), "living".to_owned()));
        assert!(turns.take("a".to_owned()).await.unwrap().is_none());
        clock.advance(hold(&*catalog) + Duration::from_secs(1));
        assert!(turns.take("a".to_owned()).await.unwrap().is_some());
    }
}
