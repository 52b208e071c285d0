//! Bytes of counted links that are promised to transfers of this node: held while it is seen, settled when they end.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Delivery, DeliveryFault, Engine};
use crate::error::Result;
use crate::model::{Admission, Promise};

/// How long a promise stands after this node was last seen: long enough for a restart of the database. A node that was
/// away for longer ends its transfers, because by then the bytes may be promised to another's.
const HOLD: Duration = Duration::from_mins(1);

/// What this node has promised.
#[derive(Debug, Default)]
pub(super) struct Promises {
    /// When all of it was last held.
    held_at: Mutex<Option<Instant>>,
}

/// Bytes of a counted link that are promised to one transfer.
#[derive(Debug)]
pub struct Promised {
    id: String,
    made_at: Instant,
    all: Arc<Promises>,
}

impl Promised {
    /// Whether the promise stands.
    pub fn stands(&self) -> bool {
        let held_at = *self.all.held_at.lock().unwrap_or_else(PoisonError::into_inner);
        held_at.map_or(self.made_at, |at| at.max(self.made_at)).elapsed() < HOLD
    }
}

impl Engine {
    /// Promises bytes of a counted link to a transfer. `Busy` = they are promised to others, which may still break.
    pub async fn reserve_delivery(
        &self,
        delivery: &Delivery,
        bytes: u64,
    ) -> Result<Option<Promised>, DeliveryFault> {
        let Some(link) = delivery.claims.remembered.clone().filter(|_| delivery.counted) else {
            return Ok(None);
        };
        let id = uuid::Uuid::new_v4().simple().to_string();
        let promised = Promised { id, made_at: Instant::now(), all: self.promises.clone() };
        let promise = Promise { id: promised.id.clone(), link, node: self.node.clone(), bytes };
        match self.catalog.reserve_delivery(&promise, self.clock.now(), HOLD).await? {
            Admission::Now => Ok(Some(promised)),
            Admission::Later => Err(DeliveryFault::Busy),
            Admission::Never => Err(DeliveryFault::UsedUp),
        }
    }

    /// Turns a promise into what was really sent, the last `doubtful` bytes of it into a connection that broke. It may be
    /// said again where the answer is not known.
    pub async fn settle_delivery(&self, promised: &Promised, sent: u64, doubtful: u64) -> Result<()> {
        self.catalog.settle_delivery(&promised.id, sent, doubtful).await
    }

    /// Holds what this node has promised, if there is something.
    pub(super) async fn hold_promises(&self) -> Result<()> {
        if !self.has_promises() {
            return Ok(());
        }
        let asked = Instant::now();
        self.catalog.hold_promises(&self.node, self.clock.now(), HOLD).await?;
        *self.promises.held_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(asked);
        Ok(())
    }

    /// Whether transfers of counted links are under way.
    pub(super) fn has_promises(&self) -> bool {
        Arc::strong_count(&self.promises) > 1
    }
}
