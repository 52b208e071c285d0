//! Everything that listens: one listener for the APIs, two for downloads.

mod accept;
mod dialects;
mod download;
mod native;
mod patience;

use std::sync::Arc;

use keystow_engine::model::Network;
use keystow_engine::ops::Engine;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use accept::Limits;
use dialects::Dialects;
pub(crate) use dialects::{DialectRules, LinkLives, Region, Rules, VpcNetwork};

/// The listeners, bound but not yet accepting.
pub(crate) struct Listeners {
    pub(crate) api: TcpListener,
    pub(crate) download: TcpListener,
    pub(crate) intranet: TcpListener,
}

/// Accepts on all three until `stop`. What is under way then goes on in `tracker`.
pub(crate) fn serve(
    engine: &Arc<Engine>,
    listeners: Listeners,
    limits: Limits,
    rules: Rules,
    tracker: &TaskTracker,
    stop: &CancellationToken,
) {
    let native_life = rules.lives.native;
    let dialects = Dialects::new(engine.clone(), Arc::new(rules), limits.body_bytes);
    let router = native::router(engine.clone(), native_life).fallback(|request| dialects.answer(request));
    let api = accept::Routed(router);
    tracker.spawn(accept::accept(listeners.api, limits, api, tracker.clone(), stop.clone()));
    for (listener, network) in
        [(listeners.download, Network::Public), (listeners.intranet, Network::Intranet)]
    {
        let service = download::Downloads::new(engine.clone(), network);
        tracker.spawn(accept::accept(listener, limits, service, tracker.clone(), stop.clone()));
    }
}
