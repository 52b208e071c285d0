//! Settings: what they are, where they come from, and which one wins.
//!
//! Flag > `KEYSTOW_*` environment > file > default. Every setting is one line of [`SETTINGS`]; an unknown name is an
//! error with the nearest known one.

mod copies;
mod layers;
mod naming;
mod notify;
mod repository;
mod settings;
mod tls;
mod values;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use keystow_engine::access::RootKeySource;
use keystow_engine::catalog::PostgresOptions;
use keystow_engine::model::{NodeRole, Secret};
use keystow_engine::{Error, Kind, Result};
use serde::Deserialize;

pub(crate) use copies::CopiesConfig;
pub(crate) use layers::Layers;
pub(crate) use naming::{DialectConfig, NetworkConfig, RegionConfig};
pub(crate) use notify::Notify;
pub(crate) use repository::{Compression, Encryption, Repository, Verify};
pub(crate) use tls::Tls;
pub(crate) use values::{Cidr, Period, Size};

/// Everything that an operator can set.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) data_dir: PathBuf,
    /// Empty = a file in the data directory.
    pub(crate) root_key: String,
    pub(crate) roles: Vec<Role>,
    pub(crate) listen: Listen,
    pub(crate) tls: Tls,
    pub(crate) catalog: Catalog,
    pub(crate) repository: Repository,
    /// By the operator's name for the repository.
    #[serde(default)]
    pub(crate) copies: BTreeMap<String, CopiesConfig>,
    pub(crate) links: Links,
    pub(crate) limits: Limits,
    pub(crate) source: Source,
    pub(crate) work: Work,
    pub(crate) restore: Restore,
    pub(crate) drill: Drill,
    pub(crate) scrub: Scrub,
    pub(crate) notify: Notify,
    pub(crate) log: Log,
    pub(crate) metrics: Metrics,
    /// By the operator's name for the network.
    #[serde(default)]
    pub(crate) networks: BTreeMap<String, NetworkConfig>,
    /// By the region's name.
    #[serde(default)]
    pub(crate) regions: BTreeMap<String, RegionConfig>,
    /// By the dialect's name; each dialect has its entry.
    pub(crate) dialects: BTreeMap<String, DialectConfig>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listen {
    pub(crate) api: SocketAddr,
    pub(crate) download: SocketAddr,
    pub(crate) intranet: SocketAddr,
    pub(crate) insecure_http: bool,
    pub(crate) trusted_proxies: Vec<Cidr>,
    pub(crate) proxy_protocol: Vec<Listener>,
}

/// What a node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Role(pub(crate) NodeRole);

impl TryFrom<String> for Role {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        text.parse().map(Self).map_err(|error: Error| error.message.into_owned())
    }
}

/// Which catalog.
pub(crate) enum CatalogPlace {
    /// A file of this node's own.
    Sqlite(PathBuf),
    /// A database that several nodes may share.
    Postgres(PostgresOptions),
}

/// One of the three listeners.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Listener {
    Api,
    Download,
    Intranet,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Catalog {
    pub(crate) url: String,
    /// Empty = the password is in the URL, or none is asked for.
    pub(crate) password_file: PathBuf,
    pub(crate) connections: u32,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Links {
    pub(crate) public_url: String,
    pub(crate) intranet_url: String,
    pub(crate) mode: LinkMode,
    pub(crate) max_ttl: Period,
    pub(crate) ttl: LinkTtl,
}

/// Who serves downloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LinkMode {
    /// The download listeners.
    Proxy,
    /// The object store, where a link has no limits.
    Direct,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LinkTtl {
    pub(crate) native: Period,
    pub(crate) alibaba: Period,
    pub(crate) tencent_v3: Period,
    pub(crate) tencent_v2: Period,
    pub(crate) ucloud: Period,
    pub(crate) huawei: Period,
}

impl LinkTtl {
    fn longest(&self) -> Duration {
        let all = [self.native, self.alibaba, self.tencent_v3, self.tencent_v2, self.ucloud, self.huawei];
        all.into_iter().map(|ttl| ttl.0).max().unwrap_or_default()
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limits {
    pub(crate) connections: usize,
    /// 0 = no limit.
    pub(crate) client_downloads: u32,
    /// 0 = no limit.
    pub(crate) client_bytes_per_second: u64,
    pub(crate) body_bytes: usize,
    pub(crate) header_timeout: Period,
    pub(crate) idle_timeout: Period,
    pub(crate) drain: Period,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Source {
    pub(crate) reply_timeout: Period,
    pub(crate) silence_timeout: Period,
    /// Time that lost servers are looked for.
    pub(crate) fail_over: Period,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Work {
    pub(crate) workers: usize,
    pub(crate) lease: Period,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Drill {
    /// Folder with server programs; empty = only those on the PATH.
    pub(crate) folder: PathBuf,
    pub(crate) timeout: Period,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scrub {
    /// 0 = as fast as it can.
    pub(crate) bytes_per_second: Size,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Restore {
    /// Empty = the address of the connection to the target.
    pub(crate) advertise: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Metrics {
    /// Anybody may read them, without a key.
    pub(crate) open: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Log {
    pub(crate) level: String,
    pub(crate) format: LogFormat,
    pub(crate) access_keep: Period,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    Text,
    Json,
}

impl Config {
    /// Reads the merged layers, and fills in what follows from other settings.
    pub(crate) fn read(layers: &Layers) -> Result<Self> {
        let mut config: Self = layers.to_table().try_into().map_err(|error: toml::de::Error| {
            invalid("a setting has a value that does not fit").because(error.message().trim())
        })?;
        for (listener, address, url) in [
            (Listener::Download, config.listen.download, &mut config.links.public_url),
            (Listener::Intranet, config.listen.intranet, &mut config.links.intranet_url),
        ] {
            if url.is_empty() {
                *url = format!("{}://{address}", config.tls.scheme(listener));
            }
        }
        config.check()?;
        Ok(config)
    }

    fn check(&mut self) -> Result<()> {
        for url in [&mut self.links.public_url, &mut self.links.intranet_url] {
            if !(url.starts_with("http://") || url.starts_with("https://")) || url.contains(['?', '#', ' ']) {
                return Err(invalid("links.public_url and links.intranet_url are http:// or https:// URLs"));
            }
            url.truncate(url.trim_end_matches('/').len());
        }
        self.tls.check()?;
        self.check_listen()?;
        if self.links.ttl.longest() > self.links.max_ttl.0 {
            return Err(invalid("a links.ttl is longer than links.max_ttl"));
        }
        self.root_key_source()?;
        self.repository.check(self.links.mode)?;
        self.copies.iter().try_for_each(|(name, copies)| copies.check(name))?;
        naming::check(self)?;
        self.notify.check()?;
        if self.roles.is_empty() {
            return Err(invalid("roles names none, so this node would do nothing"));
        }
        if self.catalog.connections == 0 {
            return Err(invalid("catalog.connections is at least 1"));
        }
        if self.work.lease.0 > Duration::from_hours(1) {
            return Err(invalid("work.lease is at most 1h"));
        }
        if self.work.workers == 0 || self.limits.connections == 0 || self.limits.body_bytes == 0 {
            return Err(invalid("work.workers, limits.connections and limits.body_bytes are at least 1"));
        }
        Ok(())
    }

    fn check_listen(&self) -> Result<()> {
        let listen = &self.listen;
        let exposed = [
            (Listener::Api, listen.api),
            (Listener::Download, listen.download),
            (Listener::Intranet, listen.intranet),
        ]
        .into_iter()
        .find(|(listener, address)| !address.ip().is_loopback() && self.tls.files(*listener).is_none());
        if let Some((_, address)) = exposed
            && !listen.insecure_http
        {
            return Err(invalid(format!("{address} is reachable from outside without TLS")).hint(
                "set tls.cert and tls.key, or put a TLS proxy in front of a loopback address, or add --insecure-http if the network is trusted",
            ));
        }
        if !listen.proxy_protocol.is_empty() && listen.trusted_proxies.is_empty() {
            return Err(invalid("listen.proxy_protocol is set, but listen.trusted_proxies names nobody")
                .hint("name the addresses of the proxies in listen.trusted_proxies"));
        }
        Ok(())
    }

    /// Where the root key is.
    pub(crate) fn root_key_source(&self) -> Result<RootKeySource> {
        match self.root_key.as_str() {
            "" => Ok(RootKeySource::File(self.data_dir.join("root.key"))),
            text => text.parse(),
        }
    }

    /// Whether this node does that.
    pub(crate) fn has_role(&self, role: NodeRole) -> bool {
        self.roles.contains(&Role(role))
    }

    /// Where the catalog is.
    pub(crate) fn catalog_place(&self) -> Result<CatalogPlace> {
        let url = &self.catalog.url;
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            let path = path_of(url, "sqlite://", "catalog.url", &self.data_dir, "catalog.db")?;
            return Ok(CatalogPlace::Sqlite(path));
        }
        let file = &self.catalog.password_file;
        let password = if file.as_os_str().is_empty() {
            None
        } else {
            let text = std::fs::read_to_string(file)
                .map_err(|error| invalid(format!("cannot read {}", file.display())).because(error))?;
            Some(Secret::new(text.trim_end_matches(['\r', '\n'])))
        };
        Ok(CatalogPlace::Postgres(PostgresOptions {
            url: Secret::new(url.as_str()),
            password,
            connections: self.catalog.connections,
        }))
    }
}

/// The path of a URL of that scheme; an empty URL means `name` in the data directory.
fn path_of(url: &str, scheme: &str, setting: &str, data_dir: &Path, name: &str) -> Result<PathBuf> {
    if url.is_empty() {
        return Ok(data_dir.join(name));
    }
    match url.strip_prefix(scheme) {
        Some(path) if !path.is_empty() && !path.contains('?') => Ok(PathBuf::from(path)),
        _ => Err(invalid(format!(
            "{setting} = '{}' is not supported by this version",
            url.split('@').next_back().unwrap_or("")
        ))
        .hint(format!("write it as {scheme}/path"))),
    }
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(Kind::Invalid, "CONFIG_INVALID", message)
}

#[cfg(test)]
mod tests;
