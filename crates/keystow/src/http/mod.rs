//! Everything that listens: one listener for the APIs, two for downloads.

mod accept;
mod body;
mod client;
mod dialects;
mod download;
mod entrance;
mod metrics;
mod native;
mod patience;
mod proxy_header;
mod tls;

use std::sync::Arc;

use keystow_engine::model::Network;
use keystow_engine::ops::Engine;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use accept::Limits;
pub(crate) use client::TrustedProxies;
use dialects::Dialects;
pub(crate) use dialects::{DialectRules, LinkLives, Region, Rules, VpcNetwork};
pub(crate) use entrance::Entrance;
pub(crate) use tls::{Certificates, TlsFiles};

/// A listener, bound but not yet accepting.
pub(crate) struct Listener {
    pub(crate) socket: TcpListener,
    pub(crate) entrance: Entrance,
}

/// Those that this node has.
pub(crate) struct Listeners {
    pub(crate) api: Option<Listener>,
    pub(crate) download: Option<Listener>,
    pub(crate) intranet: Option<Listener>,
}

/// Accepts on all of them until `stop`. What is under way then goes on in `tracker`.
pub(crate) fn serve(
    engine: &Arc<Engine>,
    listeners: Listeners,
    limits: Limits,
    rules: Rules,
    open_metrics: bool,
    tracker: &TaskTracker,
    stop: &CancellationToken,
) {
    let all = [&listeners.api, &listeners.download, &listeners.intranet];
    let certificates =
        all.into_iter().flatten().filter_map(|listener| listener.entrance.tls.clone()).collect();
    tracker.spawn(tls::keep_fresh(certificates, stop.clone()));
    if let Some(listener) = listeners.api {
        let requests = metrics::requests();
        let native = native::Native {
            engine: engine.clone(),
            link_ttl: rules.lives.native,
            requests: requests.clone(),
            open_metrics,
            stop: stop.clone(),
        };
        let dialects = Dialects::new(engine.clone(), Arc::new(rules), limits.body_bytes, requests);
        let router = native::router(native).fallback(|request| dialects.answer(request));
        let api = accept::Routed(router);
        tracker.spawn(accept::accept(listener, limits, api, tracker.clone(), stop.clone()));
    }
    for (listener, network) in
        [(listeners.download, Network::Public), (listeners.intranet, Network::Intranet)]
    {
        let Some(listener) = listener else { continue };
        let service = download::Downloads::new(engine.clone(), network);
        tracker.spawn(accept::accept(listener, limits, service, tracker.clone(), stop.clone()));
    }
}
