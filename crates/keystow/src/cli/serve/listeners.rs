//! The sockets, and how each takes connections in.

use std::net::SocketAddr;
use std::sync::Arc;

use keystow_engine::model::NodeRole;
use keystow_engine::{Error, Kind, Result};
use tokio::net::TcpListener;

use crate::config::{self, Config};
use crate::http::{Certificates, Entrance, Listener, Listeners, TlsFiles, TrustedProxies};

/// Binds the listeners. A port 0 becomes the one that was given, so that links can name it.
pub(super) async fn bind(config: &mut Config) -> Result<Listeners> {
    async fn one(name: &str, address: &mut SocketAddr, url: Option<&mut String>) -> Result<TcpListener> {
        let failed = |error: std::io::Error| {
            let kind =
                if error.kind() == std::io::ErrorKind::AddrInUse { Kind::Conflict } else { Kind::Internal };
            Error::new(kind, "LISTEN_FAILED", format!("cannot listen on {address} ({name})"))
                .because(error)
                .hint(format!("choose another address with --{name}"))
        };
        let listener = TcpListener::bind(*address).await.map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        if let Some(url) = url
            && let Some((scheme, rest)) = url.split_once("://")
            && rest == address.to_string()
        {
            *url = format!("{scheme}://{bound}");
        }
        *address = bound;
        Ok(listener)
    }
    let [api, download, intranet] = entrances(config)?;
    let (listen, links) = (&mut config.listen, &mut config.links);
    let has = |role| config.roles.contains(&config::Role(role));
    let mut listeners = Listeners { api: None, download: None, intranet: None };
    if has(NodeRole::Download) {
        let socket = one("download", &mut listen.download, Some(&mut links.public_url)).await?;
        listeners.download = Some(Listener { socket, entrance: download });
        let socket = one("intranet", &mut listen.intranet, Some(&mut links.intranet_url)).await?;
        listeners.intranet = Some(Listener { socket, entrance: intranet });
    }
    if has(NodeRole::Api) {
        let socket = one("api", &mut listen.api, None).await?;
        listeners.api = Some(Listener { socket, entrance: api });
    }
    Ok(listeners)
}

/// How the three listeners take connections in.
fn entrances(config: &Config) -> Result<[Entrance; 3]> {
    let trusted = config.listen.trusted_proxies.iter().map(|range| range.0).collect();
    let trusted = Arc::new(TrustedProxies(trusted));
    let entrance = |listener| {
        let tls = config.tls.files(listener).map(|files| {
            Certificates::load(TlsFiles { cert: files.cert, key: files.key, client_ca: files.client_ca })
        });
        let proxy_protocol = config.listen.proxy_protocol.contains(&listener);
        Ok(Entrance { tls: tls.transpose()?.map(Arc::new), proxy_protocol, trusted: trusted.clone() })
    };
    Ok([
        entrance(config::Listener::Api)?,
        entrance(config::Listener::Download)?,
        entrance(config::Listener::Intranet)?,
    ])
}
