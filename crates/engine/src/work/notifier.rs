//! Tells webhooks what went wrong. Any number of nodes may do it; each notice is sent by one of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::error::Result;
use crate::ops::Engine;

/// How often it looks for what is to be sent.
const POLL: Duration = Duration::from_secs(1);
/// How often it looks for backups that have become too old.
const LOOK: Duration = Duration::from_mins(1);
/// How often what was told long ago is forgotten.
const TIDY: Duration = Duration::from_mins(10);

/// Works until `stop`. What is being sent then is sent again, under the same id.
pub async fn run_notifier(engine: Arc<Engine>, stop: CancellationToken) {
    tokio::select! {
        () = send(&engine) => {}
        () = look(&engine) => {}
        () = stop.cancelled() => {}
    }
}

async fn send(engine: &Arc<Engine>) {
    loop {
        logged("cannot look for what is to be told", engine.tell_due().await);
        tokio::time::sleep(POLL).await;
    }
}

async fn look(engine: &Engine) {
    let mut tidied: Option<Instant> = None;
    loop {
        logged("cannot look for backups that are too old", engine.look_for_old().await);
        if tidied.is_none_or(|at| at.elapsed() >= TIDY) {
            tidied = Some(Instant::now());
            logged("cannot forget what was told", engine.prune_notices().await);
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn logged<T>(what: &str, result: Result<T>) {
    if let Err(error) = result {
        tracing::error!(%error, "{what}");
    }
}
