//! Keeps copies of the catalog in the repository, for the day when the catalog is lost; and looks after the other
//! repositories, which hold copies of backups.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::ops::{CopySweeps, Engine};

/// How often it looks whether something has changed: what happened since is lost with the catalog.
const PERIOD: Duration = Duration::from_mins(1);

/// Works until `stop`, and looks once more then.
pub async fn keep_copies(engine: Arc<Engine>, stop: CancellationToken) {
    let mut swept = CopySweeps::default();
    loop {
        // A repository that hangs holds up no shutdown.
        for repository in stop.run_until_cancelled(engine.open_copies()).await.unwrap_or_default() {
            tracing::info!(repository, "copies are kept there");
        }
        if let Err(error) = engine.copy_catalog_if_due().await {
            tracing::error!(%error, "the catalog cannot be copied into the repository");
        }
        if stop.is_cancelled() {
            return;
        }
        let rest = async {
            engine.sweep_copies_if_due(&mut swept).await;
            tokio::time::sleep(PERIOD).await;
        };
        stop.run_until_cancelled(rest).await;
    }
}
