//! Keeps a node seen by the others, and cleans up after those that were lost.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::model::Node;
use crate::ops::Engine;

/// How often the repository is looked through for what lost nodes left.
const SWEEP: Duration = Duration::from_hours(1);

/// How often a node that is to stop looks whether it may go.
const LAST_LOOKS: Duration = Duration::from_millis(250);

/// Says every now and then that the node is there, until `stop`, and on until no capture or counted download needs it
/// any more: another node must not do the same beside them. Then it says that the node goes.
pub async fn keep_seen(engine: Arc<Engine>, node: Node, stop: CancellationToken) {
    let period = engine.seen_for() / 5;
    while !stop.is_cancelled() {
        say(&engine, &node).await;
        tokio::select! {
            () = tokio::time::sleep(period) => {}
            () = stop.cancelled() => {}
        }
    }
    while engine.is_needed() {
        say(&engine, &node).await;
        tokio::time::sleep(LAST_LOOKS).await;
    }
    if let Err(error) = engine.leave().await {
        tracing::warn!(%error, "cannot tell the other nodes that this one goes");
    }
}

async fn say(engine: &Engine, node: &Node) {
    // A catalog that hangs must not make a late word of it.
    match tokio::time::timeout(engine.seen_for(), engine.be_seen(node)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "cannot tell the other nodes that this one is there"),
        Err(_) => tracing::warn!("the catalog does not answer"),
    }
}

/// Sweeps the repository now and then beside nodes that write there, one node at a time, until `stop`.
pub async fn keep_swept(engine: Arc<Engine>, stop: CancellationToken) {
    loop {
        match engine.sweep_in_turn().await {
            Ok(Some(swept)) if swept.attempts > 0 => {
                tracing::info!(attempts = swept.attempts, "removed what lost nodes left");
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "cannot sweep the repository"),
        }
        tokio::select! {
            () = tokio::time::sleep(SWEEP) => {}
            () = stop.cancelled() => return,
        }
    }
}
