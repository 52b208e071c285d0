//! The accept loop. Ours, because a public port needs a time-out on headers, a bound on connections and a shutdown
//! that lets transfers end.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::patience::Patient;

/// Bounds on what a listener takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) connections: usize,
    pub(crate) body_bytes: usize,
    pub(crate) header_timeout: Duration,
    pub(crate) idle_timeout: Duration,
}

/// What a listener does with a connection.
pub(super) trait Serve: Clone + Send + Sync + 'static {
    /// Answers the requests of one connection until it ends. After `stop` it ends with the request under way.
    fn serve(
        self,
        socket: TcpStream,
        peer: SocketAddr,
        limits: Limits,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send;
}

/// Accepts until `stop`. Connections go on in `tracker`.
pub(super) async fn accept<S: Serve>(
    listener: TcpListener,
    limits: Limits,
    service: S,
    tracker: TaskTracker,
    stop: CancellationToken,
) {
    let room = Arc::new(Semaphore::new(limits.connections));
    loop {
        let permit = tokio::select! {
            permit = room.clone().acquire_owned() => permit,
            () = stop.cancelled() => return,
        };
        let Ok(permit) = permit else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((socket, peer)) => {
                if let Err(error) = socket.set_nodelay(true) {
                    tracing::debug!(%peer, %error, "cannot set TCP_NODELAY");
                }
                let connection = service.clone().serve(socket, peer, limits, stop.clone());
                tracker.spawn(async move {
                    connection.await;
                    drop(permit);
                });
            }
            Err(error) => {
                // Out of file descriptors, most likely: a pause instead of a spin.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// An axum router behind hyper.
#[derive(Clone)]
pub(super) struct Routed(pub(super) axum::Router);

impl Serve for Routed {
    async fn serve(self, socket: TcpStream, peer: SocketAddr, limits: Limits, stop: CancellationToken) {
        let service = hyper::service::service_fn(|request: Request<Incoming>| {
            let router = self.0.clone();
            async move {
                let mut request = request.map(Body::new);
                request.extensions_mut().insert(ConnectInfo(peer));
                router.oneshot(request).await.map_err(|never: Infallible| match never {})
            }
        });
        let socket = TokioIo::new(Patient::new(socket, limits.idle_timeout));
        let mut connection = std::pin::pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(limits.header_timeout)
                .max_buf_size(64 * 1024)
                .serve_connection(socket, service)
        );
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%peer, %error, "connection ended early");
        }
    }
}
