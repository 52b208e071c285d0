//! All shards of an instance: found, taken side by side but one at a time on each host, and looked at again.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Captured, ShardOrder, Source};
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::error::{Error, Kind, Result};
use crate::model::{Instance, Slots, Topology};
use crate::ops::Meter;
use crate::ops::parts::Parts;
use crate::ops::turns::Turns;
use crate::redis::{Choice, Layout, Shard, discover};
use crate::vault::AttemptKey;
use crate::vault::codec::Sealing;

/// How long is waited before nodes that were lost are looked for again.
const PAUSE: Duration = Duration::from_secs(2);
/// How long a node may take to fork before it loses its host's place. Servers wait 5 s for others to ask as well
/// (`repl-diskless-sync-delay`).
const UNTIL_FORKED: Duration = Duration::from_secs(10);
/// The code of a capture that was stopped because another node may be at the same host by now.
pub(crate) const TURN_LOST: &str = "TURN_LOST";
/// How often slots that are being moved are looked at before the backup starts all the same.
const MOVING_ROUNDS: u32 = 15;

/// What all shards of one attempt have in common.
#[derive(Clone)]
pub(in crate::ops) struct SetOrder {
    pub(in crate::ops) instance: Arc<Instance>,
    pub(in crate::ops) source: Source,
    pub(in crate::ops) attempt: AttemptKey,
    pub(in crate::ops) spool: PathBuf,
    pub(in crate::ops) store: Parts,
    /// How its parts are to be stored.
    pub(in crate::ops) sealing: Sealing,
    pub(in crate::ops) catalog: Arc<dyn Catalog>,
    pub(in crate::ops) clock: Clock,
    pub(in crate::ops) turns: Arc<Turns>,
    /// How long lost nodes are looked for.
    pub(in crate::ops) fail_over: Duration,
    pub(in crate::ops) meter: Arc<Meter>,
    pub(in crate::ops) cancel: CancellationToken,
}

/// What was captured of an instance.
pub(in crate::ops) struct CapturedSet {
    pub(in crate::ops) before: Layout,
    /// The layout afterwards, or why it could not be had; of a cluster only.
    pub(in crate::ops) after: Option<Result<Layout>>,
    /// By shard of `before`.
    pub(in crate::ops) shards: Vec<Result<Captured>>,
}

impl SetOrder {
    /// Captures every shard. A shard that cannot be had is an error in its place, not of the whole.
    pub(in crate::ops) async fn capture(self) -> Result<CapturedSet> {
        let before = self.settled_layout().await?;
        let places = Arc::new(Semaphore::new(self.instance.capture.parallel.clamp(1, 64) as usize));
        let mut tasks = JoinSet::new();
        for (position, shard) in before.shards.iter().cloned().enumerate() {
            let (order, places, topology) = (self.clone(), places.clone(), before.topology);
            tasks.spawn(async move {
                let permit = places.acquire().await;
                let captured = order.capture_shard(shard, topology).await;
                drop(permit);
                (position, captured)
            });
        }
        let mut shards: Vec<_> = before.shards.iter().map(|_| Err(not_run())).collect();
        while let Some(done) = tasks.join_next().await {
            match done {
                Ok((position, captured)) => shards[position] = captured,
                Err(error) => tracing::error!(%error, "a capture stopped"),
            }
        }
        if self.cancel.is_cancelled() {
            return Err(Error::cancelled());
        }
        let after = match before.topology {
            // What was captured is kept, whether or not the cluster can be looked at again.
            Topology::Cluster => Some(self.layout_after_fail_over().await),
            Topology::Standalone | Topology::Sentinel => None,
        };
        if self.cancel.is_cancelled() {
            return Err(Error::cancelled());
        }
        Ok(CapturedSet { before, after, shards })
    }

    /// The layout, once no slot is being moved; or as it is, if that does not end.
    async fn settled_layout(&self) -> Result<Layout> {
        let mut layout = self.layout_after_fail_over().await?;
        for _ in 0..MOVING_ROUNDS {
            if layout.moving.is_empty() {
                break;
            }
            self.pause().await?;
            layout = self.layout().await?;
        }
        Ok(layout)
    }

    async fn layout(&self) -> Result<Layout> {
        let (source, cancel) = (self.source.clone(), self.cancel.clone());
        tokio::task::spawn_blocking(move || {
            discover(&source.address, &source.login, source.timeouts, &cancel)
        })
        .await
        .unwrap_or_else(|error| Err(Error::internal("the discovery stopped", error)))
    }

    /// The layout. Behind Sentinel and in a cluster a fail-over is waited for.
    async fn layout_after_fail_over(&self) -> Result<Layout> {
        for _ in 1..self.rounds() {
            match self.layout().await {
                Err(error) if error.worth_retrying() && self.source.address.has_fail_over() => {
                    tracing::info!(instance = %self.instance.id, %error, "looking for the nodes again");
                    self.pause().await?;
                }
                result => return result,
            }
        }
        self.layout().await
    }

    /// How often nodes are looked for.
    fn rounds(&self) -> u64 {
        self.fail_over.as_secs() / PAUSE.as_secs() + 1
    }

    async fn pause(&self) -> Result<()> {
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => Ok(()),
            () = self.cancel.cancelled() => Err(Error::cancelled()),
        }
    }

    /// One shard, from the first node that gives it. Nodes that were lost are looked for again, because a fail-over
    /// makes new ones.
    async fn capture_shard(&self, mut shard: Shard, topology: Topology) -> Result<Captured> {
        let mut last = not_run();
        let rounds = self.rounds();
        for round in 0..rounds {
            for choice in shard.candidates_or_first(self.instance.capture.prefer) {
                match self.capture_node(&shard, choice).await {
                    // Another node helps against a lost node, not against a lost repository: each try costs a fork.
                    Err(error)
                        if error.worth_retrying()
                            && !error.code.starts_with("REPOSITORY_")
                            && !self.cancel.is_cancelled() =>
                    {
                        tracing::info!(instance = %self.instance.id, shard = shard.index, %error, "not from this node");
                        last = error;
                    }
                    result => return result,
                }
            }
            if topology == Topology::Standalone || round + 1 == rounds {
                break;
            }
            self.pause().await?;
            if let Ok(layout) = self.layout().await
                && let Some(found) = layout.shards.into_iter().find(|found| found.is_of(&shard))
            {
                shard = Shard { index: shard.index, ..found };
            }
        }
        Err(last)
    }

    async fn capture_node(&self, shard: &Shard, choice: Choice) -> Result<Captured> {
        // One full sync at a time on each host, whatever instances its nodes belong to, and whichever of us asks.
        let turn = self.turns.wait(format!("host {}", choice.node.host()), &self.cancel).await?;
        let forked = Arc::new(AtomicBool::new(false));
        let order = Self { cancel: self.cancel.child_token(), ..self.clone() };
        let (slots, index, stop) = (shard.slots.clone(), shard.index, order.cancel.clone());
        let work = {
            let forked = forked.clone();
            tokio::task::spawn_blocking(move || order.capture_here(&choice, slots, index, &forked))
        };
        let mut work = std::pin::pin!(work);
        let done = tokio::select! {
            done = &mut work => done,
            () = turn.lost() => {
                stop.cancel();
                work.await
            }
            () = tokio::time::sleep(UNTIL_FORKED) => {
                if forked.load(Ordering::Relaxed) {
                    tokio::select! {
                        done = &mut work => done,
                        () = turn.lost() => {
                            stop.cancel();
                            work.await
                        }
                    }
                } else {
                    // A node that puts the fork off, or needs none, must not hold up the others on its host.
                    drop(turn);
                    work.await
                }
            }
        };
        match done.unwrap_or_else(|error| Err(Error::internal("the capture stopped", error))) {
            Err(error) if error.kind == Kind::Cancelled && !self.cancel.is_cancelled() => Err(turn_lost()),
            captured => captured,
        }
    }

    fn capture_here(
        &self,
        choice: &Choice,
        slots: Slots,
        shard: u32,
        forked: &AtomicBool,
    ) -> Result<Captured> {
        let order = ShardOrder {
            instance: &self.instance,
            source: &self.source,
            slots,
            spool: self.spool.clone(),
            catalog: &*self.catalog,
            turns: &self.turns,
            clock: &self.clock,
            forked,
        };
        order.capture(
            choice,
            &|| self.store.create_until(&self.attempt, shard, &self.sealing, &self.cancel),
            &self.meter,
            &self.cancel,
        )
    }
}

fn turn_lost() -> Error {
    Error::new(Kind::Unreachable, TURN_LOST, "another node took its turn on the source's host")
        .because("this node did not reach the catalog for too long")
        .hint("it begins anew by itself; look at the database and the way to it")
}

fn not_run() -> Error {
    Error::new(Kind::Unreachable, "SHARD_UNREACHABLE", "the shard has no node that could be asked")
        .hint("look at the cluster's nodes: keystow instance test")
}
