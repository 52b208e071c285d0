//! Nodes know of each other.

use jiff::SignedDuration;

use super::{Engine, turns};
use crate::access::Principal;
use crate::error::Result;
use crate::model::{Node, NodeRole, Right, SeenNode};

/// How far a node's clock may be from the database's before it follows no policy.
const MOST_OFF: SignedDuration = SignedDuration::from_secs(120);

impl Engine {
    /// This node's id, anew for each run.
    pub fn node_id(&self) -> &str {
        &self.node
    }

    /// How long this node counts as there after [`Engine::be_seen`].
    pub fn seen_for(&self) -> std::time::Duration {
        turns::hold(&*self.catalog)
    }

    /// Says that this node is there and what it is. Holds its turns and promises, and learns how many nodes answer APIs.
    pub async fn be_seen(&self, node: &Node) -> Result<()> {
        let now = self.clock.now();
        self.catalog.beat(node, now, self.seen_for()).await?;
        self.turns.hold().await?;
        self.hold_promises().await?;
        let nodes = self.catalog.nodes(now).await?;
        let answering = nodes.iter().filter(|seen| seen.alive && seen.node.roles.contains(&NodeRole::Api));
        let own = nodes.iter().find(|seen| seen.node.id == self.node);
        let is_off = own.is_some_and(|own| now.duration_since(own.seen_at).abs() > MOST_OFF);
        if is_off {
            tracing::error!("this node's clock is not the database's; it follows no policy until it is");
        }
        self.clock_is_off.store(is_off, std::sync::atomic::Ordering::Relaxed);
        let count = u32::try_from(answering.count()).unwrap_or(u32::MAX).max(1);
        self.api_nodes.store(count, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    }

    /// Whether this node's clock is known to be right enough for removing what is old: it is held against that of a
    /// database that others use as well.
    pub(super) fn knows_the_time(&self) -> bool {
        !self.clock_is_off.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Whether something is under way that other nodes may do once this one is not seen any more.
    pub fn is_needed(&self) -> bool {
        self.turns.has_any() || self.has_promises()
    }

    /// Says that this node goes.
    pub async fn leave(&self) -> Result<()> {
        self.catalog.leave(&self.node).await
    }

    /// How many nodes answer APIs, this one too: what an account may ask for in a second is shared out among them.
    pub fn api_nodes(&self) -> u32 {
        self.api_nodes.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Every node of the last day, by host.
    pub async fn nodes(&self, who: &Principal) -> Result<Vec<SeenNode>> {
        who.with(Right::Administer)?;
        self.catalog.nodes(self.clock.now()).await
    }
}
