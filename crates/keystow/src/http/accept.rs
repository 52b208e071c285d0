//! The accept loop. Ours, because a public port needs a time-out on headers, a bound on connections and a shutdown
//! that lets transfers end.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::HttpService;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::Listener;
use super::body::Timely;
use super::entrance::{Connection, Socket};
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
        connection: Connection,
        limits: Limits,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send;
}

/// Accepts until `stop`. Connections go on in `tracker`.
pub(super) async fn accept<S: Serve>(
    listener: Listener,
    limits: Limits,
    service: S,
    tracker: TaskTracker,
    stop: CancellationToken,
) {
    let Listener { socket: listener, entrance } = listener;
    let entrance = Arc::new(entrance);
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
                let (entrance, service, stop) = (entrance.clone(), service.clone(), stop.clone());
                tracker.spawn(async move {
                    let entered = tokio::select! {
                        entered = entrance.enter(socket, peer, limits) => entered,
                        () = stop.cancelled() => return,
                    };
                    match entered {
                        Ok(connection) => service.serve(connection, limits, stop).await,
                        Err(error) => tracing::debug!(%peer, %error, "connection not taken"),
                    }
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
    async fn serve(self, connection: Connection, limits: Limits, stop: CancellationToken) {
        let (peer, tls, trusted) = (connection.peer, connection.is_tls(), connection.trusted);
        let service = hyper::service::service_fn(|request: Request<Incoming>| {
            let router = self.0.clone();
            let client = trusted.client(peer, tls, request.headers());
            async move {
                let timely = if is_upload(&request) { Timely::piecewise } else { Timely::new };
                let mut request = request.map(|body| Body::new(timely(body, limits.idle_timeout)));
                request.extensions_mut().insert(client);
                router.oneshot(request).await.map_err(|never: Infallible| match never {})
            }
        });
        let ended = match connection.socket {
            Socket::Plain(socket) => {
                talk(Patient::new(socket, limits.idle_timeout), service, limits, stop).await
            }
            Socket::Tls(socket) => talk(socket, service, limits, stop).await,
        };
        if let Err(error) = ended {
            tracing::debug!(%peer, %error, "connection ended early");
        }
    }
}

/// Whether the body is as long as files are. Its handler reads nothing of it before the caller has signed in.
fn is_upload<B>(request: &Request<B>) -> bool {
    let path = request.uri().path().strip_prefix("/api/v1/instances/");
    let id = path.and_then(|path| path.strip_suffix("/imports"));
    request.method() == hyper::Method::POST && id.is_some_and(|id| !id.is_empty() && !id.contains('/'))
}

/// HTTP/1.1 by hyper.
async fn talk<IO, S>(socket: IO, service: S, limits: Limits, stop: CancellationToken) -> hyper::Result<()>
where
    IO: AsyncRead + AsyncWrite + Unpin,
    S: HttpService<Incoming, ResBody = Body, Error = Infallible>,
{
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_timeout)
            .max_buf_size(64 * 1024)
            .serve_connection(TokioIo::new(socket), service)
    );
    tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    }
}
