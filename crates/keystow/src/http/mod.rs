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
pub(crate) use dialects::LinkLives;

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
    lives: LinkLives,
    tracker: &TaskTracker,
    stop: &CancellationToken,
) {
    let dialects = Dialects::new(engine.clone(), lives, limits.body_bytes);
    let router = native::router(engine.clone(), lives.native).fallback(|request| dialects.answer(request));
    let api = accept::Routed(router);
    tracker.spawn(accept::accept(listeners.api, limits, api, tracker.clone(), stop.clone()));
    for (listener, network) in
        [(listeners.download, Network::Public), (listeners.intranet, Network::Intranet)]
    {
        let service = download::Downloads::new(engine.clone(), network);
        tracker.spawn(accept::accept(listener, limits, service, tracker.clone(), stop.clone()));
    }
}
