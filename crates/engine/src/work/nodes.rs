//! Keeps a node seen by the others, and cleans up after those that were lost.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::model::Node;
use crate::ops::Engine;

/// How often the repository is looked through for what lost nodes left.
const SWEEP: Duration = Duration::from_hours(1);

/// Says every now and then that the node is there, until `stop`; then that it goes.
pub async fn keep_seen(engine: Arc<Engine>, node: Node, stop: CancellationToken) {
    let period = engine.seen_for() / 5;
    loop {
        // A catalog that hangs must not make a late word of it.
        match tokio::time::timeout(engine.seen_for(), engine.be_seen(&node)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "cannot tell the other nodes that this one is there"),
            Err(_) => tracing::warn!("the catalog does not answer"),
        }
        tokio::select! {
            () = tokio::time::sleep(period) => {}
            () = stop.cancelled() => break,
        }
    }
    if let Err(error) = engine.leave().await {
        tracing::warn!(%error, "cannot tell the other nodes that this one goes");
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
