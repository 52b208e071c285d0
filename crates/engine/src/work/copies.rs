//! Keeps copies of the catalog in the repository, for the day when the catalog is lost.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::ops::Engine;

/// How often it looks whether something has changed: what happened since is lost with the catalog.
const PERIOD: Duration = Duration::from_mins(1);

/// Works until `stop`, and looks once more then.
pub async fn keep_copies(engine: Arc<Engine>, stop: CancellationToken) {
    loop {
        if let Err(error) = engine.copy_catalog_if_due().await {
            tracing::error!(%error, "the catalog cannot be copied into the repository");
        }
        if stop.is_cancelled() {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(PERIOD) => {}
            () = stop.cancelled() => {}
        }
    }
}
