//! The server itself, shared with the tests of the engine.

use std::path::Path;

use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Serves the folders below `folder` as buckets, to whoever has that access key; until it is dropped.
pub(crate) async fn serve(
    listener: TcpListener,
    folder: &Path,
    key: &str,
    secret: &str,
) -> Result<(), Box<dyn std::error::Error>> {
    let files = FileSystem::new(folder).map_err(|error| format!("{error:?}"))?;
    let mut service = S3ServiceBuilder::new(files);
    service.set_auth(SimpleAuth::from_single(key, secret));
    let service = service.build();
    let mut connections = JoinSet::new();
    loop {
        let (socket, _) = listener.accept().await?;
        let service = service.clone();
        connections.spawn(async move {
            // A client that goes away is not our concern.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
        while connections.try_join_next().is_some() {}
    }
}
