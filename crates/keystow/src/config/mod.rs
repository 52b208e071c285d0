//! Settings: what they are, where they come from, and which one wins.
//!
//! Flag > `KEYSTOW_*` environment > file > default. Every setting is one line of [`SETTINGS`]; an unknown name is an
//! error with the nearest known one.

mod layers;
mod settings;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use keystow_engine::{Error, Kind, Result};
use serde::Deserialize;

pub(crate) use layers::Layers;

/// Everything that an operator can set.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) data_dir: PathBuf,
    pub(crate) listen: Listen,
    pub(crate) catalog: Catalog,
    pub(crate) repository: Repository,
    pub(crate) links: Links,
    pub(crate) limits: Limits,
    pub(crate) source: Source,
    pub(crate) work: Work,
    pub(crate) log: Log,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listen {
    pub(crate) api: SocketAddr,
    pub(crate) download: SocketAddr,
    pub(crate) intranet: SocketAddr,
    pub(crate) insecure_http: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Catalog {
    pub(crate) url: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Repository {
    pub(crate) url: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Links {
    pub(crate) public_url: String,
    pub(crate) intranet_url: String,
    pub(crate) max_ttl: Period,
    pub(crate) ttl: LinkTtl,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LinkTtl {
    pub(crate) native: Period,
    pub(crate) alibaba: Period,
    pub(crate) tencent_v3: Period,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limits {
    pub(crate) connections: usize,
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
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Work {
    pub(crate) workers: usize,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Log {
    pub(crate) level: String,
    pub(crate) format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// A length of time, written as `90s`, `15m`, `6h` or `7d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Period(pub(crate) Duration);

impl TryFrom<String> for Period {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        let bad = || format!("'{text}' is not a length of time; write it as 90s, 15m, 6h or 7d");
        let (digits, unit) = text.split_at(text.trim_end_matches(|c: char| c.is_ascii_alphabetic()).len());
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 60 * 60,
            "d" => 24 * 60 * 60,
            _ => return Err(bad()),
        };
        let count: u64 = digits.parse().map_err(|_| bad())?;
        let total = count.checked_mul(seconds).filter(|total| (1..=10 * 366 * 86_400).contains(total));
        total.map(|total| Self(Duration::from_secs(total))).ok_or_else(bad)
    }
}

impl Config {
    /// Reads the merged layers, and fills in what follows from other settings.
    pub(crate) fn read(layers: &Layers) -> Result<Self> {
        let mut config: Self = layers.to_table().try_into().map_err(|error: toml::de::Error| {
            invalid("a setting has a value that does not fit").because(error.message().trim())
        })?;
        if config.links.public_url.is_empty() {
            config.links.public_url = format!("http://{}", config.listen.download);
        }
        if config.links.intranet_url.is_empty() {
            config.links.intranet_url = format!("http://{}", config.listen.intranet);
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
        let exposed = [self.listen.api, self.listen.download, self.listen.intranet]
            .into_iter()
            .find(|address| !address.ip().is_loopback());
        if let Some(address) = exposed
            && !self.listen.insecure_http
        {
            return Err(invalid(format!("{address} is reachable from outside without TLS"))
                .hint("put a TLS proxy in front of a loopback address, or add --insecure-http if the network is trusted"));
        }
        let ttl = &self.links.ttl;
        if [ttl.native, ttl.alibaba, ttl.tencent_v3].iter().any(|ttl| ttl.0 > self.links.max_ttl.0) {
            return Err(invalid("a links.ttl is longer than links.max_ttl"));
        }
        if self.work.workers == 0 || self.limits.connections == 0 || self.limits.body_bytes == 0 {
            return Err(invalid("work.workers, limits.connections and limits.body_bytes are at least 1"));
        }
        Ok(())
    }

    /// The catalog's file.
    pub(crate) fn catalog_path(&self) -> Result<PathBuf> {
        path_of(&self.catalog.url, "sqlite://", "catalog.url", &self.data_dir, "catalog.db")
    }

    /// The repository's folder.
    pub(crate) fn repository_path(&self) -> Result<PathBuf> {
        path_of(&self.repository.url, "file://", "repository.url", &self.data_dir, "repository")
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
