//! Writes the access log, once a second, and removes what is too old of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::ops::Engine;

/// How often notes become rows.
const PERIOD: Duration = Duration::from_secs(1);
/// How often old rows are looked for.
const TIDY: Duration = Duration::from_mins(10);
/// Least pause between two complaints about the same.
const QUIET: Duration = Duration::from_secs(30);

/// Works until `stop`. What is accessed after that is for the caller to write, when all downloads have ended.
pub async fn write_access_log(engine: Arc<Engine>, keep: Duration, stop: CancellationToken) {
    let (mut tidied, mut told): (Option<Instant>, Option<Instant>) = (None, None);
    let is_due = |last: Option<Instant>, pause| last.is_none_or(|at| at.elapsed() >= pause);
    loop {
        if let Err(error) = engine.write_access_log().await
            && is_due(told, QUIET)
        {
            told = Some(Instant::now());
            tracing::error!(%error, "the access log cannot be written; it is tried again");
        }
        if is_due(tidied, TIDY) {
            tidied = Some(Instant::now());
            tidy(&engine, keep, &stop).await;
        }
        tokio::select! {
            () = tokio::time::sleep(PERIOD) => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn tidy(engine: &Engine, keep: Duration, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        match engine.prune_access_log(keep).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                tracing::warn!(%error, "old records of the access log cannot be removed");
                return;
            }
        }
    }
}
