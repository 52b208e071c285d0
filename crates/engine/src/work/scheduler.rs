//! The scheduler: has policies take their backups, and looks through what was kept. Any number of nodes may run one.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::error::Result;
use crate::ops::Engine;

/// How often it looks for fires.
const POLL: Duration = Duration::from_secs(1);
/// How often it looks for instances to look through.
const UPKEEP: Duration = Duration::from_secs(5);
/// How often it looks for expiries that somebody set.
const EXPIRIES: Duration = Duration::from_mins(5);

/// Works until `stop`.
pub async fn run_scheduler(engine: Arc<Engine>, stop: CancellationToken) {
    let (fires, upkeep) = (fire(&engine), keep_up(&engine));
    tokio::select! {
        () = fires => {}
        () = upkeep => {}
        () = stop.cancelled() => {}
    }
}

/// A fire does not wait for the upkeep of many instances.
async fn fire(engine: &Engine) {
    loop {
        told("cannot look which policies are due", engine.fire_due().await);
        tokio::time::sleep(POLL).await;
    }
}

async fn keep_up(engine: &Engine) {
    let mut expiries_at = Instant::now();
    loop {
        told("cannot look through backups", engine.keep_up().await);
        told("cannot look for copies to make", engine.retry_copies().await);
        if Instant::now() >= expiries_at {
            told("cannot look for expired backups", engine.remove_expired().await);
            expiries_at = Instant::now() + EXPIRIES;
        }
        tokio::time::sleep(UPKEEP).await;
    }
}

fn told<T>(what: &str, result: Result<T>) {
    if let Err(error) = result {
        tracing::error!(%error, "{what}");
    }
}
