//! Puts back settings of sources that a crash of ours left changed, as soon as their servers can be reached.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::ops::Engine;

/// How often it is tried.
const PERIOD: Duration = Duration::from_secs(30);

/// Works until `stop`.
pub async fn collect_debts(engine: Arc<Engine>, stop: CancellationToken) {
    loop {
        if let Err(error) = engine.settle_debts().await {
            tracing::error!(%error, "cannot look which settings are to be put back");
        }
        tokio::select! {
            () = tokio::time::sleep(PERIOD) => {}
            () = stop.cancelled() => return,
        }
    }
}
