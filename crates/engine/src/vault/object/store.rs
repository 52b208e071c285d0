//! From `s3://bucket/prefix?endpoint=…&region=…` to a client of that store.

use std::time::Duration;

use opendal::layers::{RetryEvent, RetryLayer, TimeoutLayer};
use opendal::{Operator, services};
use percent_encoding::percent_decode_str;

use crate::error::{Error, Kind, Result};
use crate::model::Secret;

/// Where the proof of who we are comes from.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// An access key.
    Keys {
        /// Its id.
        id: String,
        /// Its secret.
        secret: Secret,
        /// The session token of a temporary key.
        session_token: Option<Secret>,
    },
    /// The provider's own chain: environment, profile, role of the host.
    Chain,
}

/// A vendor's protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    S3,
    Oss,
    Cos,
    Obs,
    #[cfg(feature = "gcs")]
    Gcs,
    #[cfg(feature = "azblob")]
    Azblob,
}

/// A bucket, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    protocol: Protocol,
    bucket: String,
    prefix: String,
    endpoint: Option<String>,
    region: Option<String>,
    virtual_host: bool,
}

/// Schemes of `repository.url` that name a store.
const PROTOCOLS: &[(&str, Protocol)] = &[
    ("s3", Protocol::S3),
    ("oss", Protocol::Oss),
    ("cos", Protocol::Cos),
    ("obs", Protocol::Obs),
    #[cfg(feature = "gcs")]
    ("gcs", Protocol::Gcs),
    #[cfg(feature = "azblob")]
    ("azblob", Protocol::Azblob),
];

impl Place {
    /// Reads a URL.
    pub(super) fn parse(url: &str) -> Result<Self> {
        let (scheme, rest) = url.split_once("://").ok_or_else(|| unsupported(url))?;
        let protocol = PROTOCOLS.iter().find(|(name, _)| *name == scheme).ok_or_else(|| unsupported(url))?.1;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
        let names = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        if bucket.is_empty() || !bucket.chars().all(names) {
            return Err(invalid("repository.url names no bucket, or one with a name that none has")
                .hint("keys are not part of the URL: repository.access_key_id, repository.secret_file"));
        }
        if prefix.split('/').any(|name| name == "." || name == "..") {
            return Err(invalid("the prefix in repository.url holds '.' or '..'"));
        }
        let mut place = Self {
            protocol,
            bucket: bucket.to_owned(),
            prefix: prefix.trim_matches('/').to_owned(),
            endpoint: None,
            region: None,
            virtual_host: false,
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_decode_str(value)
                .decode_utf8()
                .map_err(|_| invalid(format!("'{name}' in repository.url is not UTF-8")))?;
            match name {
                "endpoint" => place.endpoint = Some(endpoint(&value)?),
                "region" => place.region = Some(value.into_owned()),
                "addressing" if protocol == Protocol::S3 && ["virtual", "path"].contains(&&*value) => {
                    place.virtual_host = value == "virtual";
                }
                _ => {
                    return Err(invalid(format!(
                        "'{name}' in repository.url is not known, or has no such value"
                    ))
                    .hint("endpoint=https://…, region=…, addressing=path|virtual"));
                }
            }
        }
        if place.endpoint.is_none() {
            place.endpoint = place.vendors_endpoint()?;
        }
        Ok(place)
    }

    /// The endpoint that follows from the region.
    fn vendors_endpoint(&self) -> Result<Option<String>> {
        let region = self.region.as_deref().ok_or_else(|| {
            invalid("repository.url has neither region nor endpoint")
                .hint("add ?region=… or ?endpoint=https://…")
        });
        Ok(match self.protocol {
            Protocol::S3 => region.map(|_| None)?,
            Protocol::Oss => Some(format!("https://oss-{}.aliyuncs.com", region?.trim_start_matches("oss-"))),
            Protocol::Cos => Some(format!("https://cos.{}.myqcloud.com", region?)),
            Protocol::Obs => Some(format!("https://obs.{}.myhuaweicloud.com", region?)),
            #[cfg(feature = "gcs")]
            Protocol::Gcs => None,
            #[cfg(feature = "azblob")]
            Protocol::Azblob => return region.map(|_| None),
        })
    }

    /// The same bucket through another endpoint.
    pub(super) fn through(&self, other: &str) -> Result<Self> {
        Ok(Self { endpoint: Some(endpoint(other)?), ..self.clone() })
    }

    /// The place for people: nothing in it is secret.
    pub(super) fn shown(&self) -> String {
        let scheme =
            PROTOCOLS.iter().find(|(_, protocol)| *protocol == self.protocol).map_or("", |(name, _)| name);
        let endpoint = self.endpoint.as_deref().map(|endpoint| format!(" at {endpoint}")).unwrap_or_default();
        match self.prefix.as_str() {
            "" => format!("{scheme}://{}{endpoint}", self.bucket),
            prefix => format!("{scheme}://{}/{prefix}{endpoint}", self.bucket),
        }
    }

    /// A client without layers.
    pub(super) fn client(&self, credentials: &Credentials) -> Result<Operator> {
        let token = matches!(credentials, Credentials::Keys { session_token: Some(_), .. });
        if token && self.protocol == Protocol::Obs {
            return Err(invalid("temporary keys cannot be used with obs://")
                .hint("the same bucket as s3://…?endpoint=https://obs.REGION.myhuaweicloud.com takes them"));
        }
        let built = match self.protocol {
            Protocol::S3 => Operator::new(self.s3(credentials)),
            Protocol::Oss => Operator::new(self.oss(credentials)),
            Protocol::Cos => Operator::new(self.cos(credentials)),
            Protocol::Obs => Operator::new(self.obs(credentials)),
            #[cfg(feature = "gcs")]
            Protocol::Gcs => Operator::new(self.gcs()),
            #[cfg(feature = "azblob")]
            Protocol::Azblob => Operator::new(self.azblob(credentials)),
        };
        built.map_err(|error| {
            invalid("repository.url does not fit the store")
                .because(error.message())
                .hint("write it as s3://bucket/prefix?endpoint=https://…&region=…; oss, cos and obs alike")
        })
    }

    fn endpoint(&self) -> &str {
        self.endpoint.as_deref().unwrap_or_default()
    }

    fn s3(&self, credentials: &Credentials) -> services::S3 {
        // A server of one's own has no regions, but the signature wants one.
        let region = self.region.as_deref().unwrap_or("us-east-1");
        let mut builder = services::S3::default().root(&self.prefix).bucket(&self.bucket).region(region);
        if self.endpoint.is_some() {
            builder = builder.endpoint(self.endpoint());
        }
        if self.virtual_host {
            builder = builder.enable_virtual_host_style();
        }
        let Credentials::Keys { id, secret, session_token } = credentials else { return builder };
        builder = builder.disable_config_load().access_key_id(id).secret_access_key(&text(secret));
        match session_token {
            Some(token) => builder.session_token(&text(token)),
            None => builder,
        }
    }

    fn oss(&self, credentials: &Credentials) -> services::Oss {
        let builder =
            services::Oss::default().root(&self.prefix).bucket(&self.bucket).endpoint(self.endpoint());
        let Credentials::Keys { id, secret, session_token } = credentials else { return builder };
        let builder = builder.access_key_id(id).access_key_secret(&text(secret));
        match session_token {
            Some(token) => builder.security_token(&text(token)),
            None => builder,
        }
    }

    fn cos(&self, credentials: &Credentials) -> services::Cos {
        let builder =
            services::Cos::default().root(&self.prefix).bucket(&self.bucket).endpoint(self.endpoint());
        let Credentials::Keys { id, secret, session_token } = credentials else { return builder };
        let builder = builder.disable_config_load().secret_id(id).secret_key(&text(secret));
        match session_token {
            Some(token) => builder.security_token(&text(token)),
            None => builder,
        }
    }

    fn obs(&self, credentials: &Credentials) -> services::Obs {
        let builder =
            services::Obs::default().root(&self.prefix).bucket(&self.bucket).endpoint(self.endpoint());
        match credentials {
            Credentials::Keys { id, secret, .. } => {
                builder.access_key_id(id).secret_access_key(&text(secret))
            }
            Credentials::Chain => builder,
        }
    }

    /// Google's own chain finds the service account; access keys are those of its S3 endpoint.
    #[cfg(feature = "gcs")]
    fn gcs(&self) -> services::Gcs {
        let builder = services::Gcs::default().root(&self.prefix).bucket(&self.bucket);
        if self.endpoint.is_some() { builder.endpoint(self.endpoint()) } else { builder }
    }

    #[cfg(feature = "azblob")]
    fn azblob(&self, credentials: &Credentials) -> services::Azblob {
        let builder =
            services::Azblob::default().root(&self.prefix).container(&self.bucket).endpoint(self.endpoint());
        match credentials {
            Credentials::Keys { id, secret, .. } => builder.account_name(id).account_key(&text(secret)),
            Credentials::Chain => builder,
        }
    }
}

/// How patient a client is.
pub(super) struct Patience {
    /// Longest silence of one try.
    pub(super) timeout: Duration,
    /// Tries after the first.
    pub(super) retries: usize,
}

/// A client that gives up a try that takes too long, and tries again what may work the next time.
pub(super) fn patient(client: Operator, patience: &Patience) -> Operator {
    client
        .layer(TimeoutLayer::new().with_timeout(patience.timeout).with_io_timeout(patience.timeout))
        .layer(
            RetryLayer::new()
                .with_min_delay(Duration::from_millis(200))
                .with_max_delay(Duration::from_secs(5))
                .with_factor(2.0)
                .with_jitter()
                .with_max_times(patience.retries)
                .with_notify(|event: RetryEvent<'_>| {
                    tracing::debug!(operation = ?event.op, attempt = event.attempt, error = %event.err, "the store is asked again");
                }),
        )
}

/// The client's library takes texts, and keeps them.
fn text(secret: &Secret) -> String {
    String::from_utf8_lossy(secret.expose()).into_owned()
}

/// Plain HTTP must be asked for by name.
fn endpoint(text: &str) -> Result<String> {
    let url = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).unwrap_or_default();
    if host.trim_matches('/').is_empty() || host.contains(['@', '?', '#', ' ']) {
        return Err(invalid("an endpoint of the repository is not an http:// or https:// URL"));
    }
    Ok(url.trim_end_matches('/').to_owned())
}

fn unsupported(url: &str) -> Error {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    let known: Vec<_> = PROTOCOLS.iter().map(|(name, _)| *name).collect();
    invalid(format!("repository.url has a scheme that is not known: '{scheme}'"))
        .hint(format!("file or {}", known.join(", ")))
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(Kind::Invalid, "CONFIG_INVALID", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_bucket_prefix_endpoint_and_region() {
        let place =
            Place::parse("s3://backups/redis/prod/?endpoint=http%3A%2F%2F127.0.0.1%3A9000/&region=eu-1")
                .unwrap();
        assert_eq!((place.bucket.as_str(), place.prefix.as_str()), ("backups", "redis/prod"));
        assert_eq!(place.endpoint(), "http://127.0.0.1:9000");
        assert_eq!(place.shown(), "s3://backups/redis/prod at http://127.0.0.1:9000");
        assert_eq!(place.through("https://in.example/").unwrap().endpoint(), "https://in.example");
    }

    #[test]
    fn the_region_gives_each_vendors_endpoint() {
        for (url, endpoint) in [
            ("oss://b?region=cn-hangzhou", "https://oss-cn-hangzhou.aliyuncs.com"),
            ("oss://b?region=oss-cn-hangzhou", "https://oss-cn-hangzhou.aliyuncs.com"),
            ("cos://b-125?region=ap-guangzhou", "https://cos.ap-guangzhou.myqcloud.com"),
            ("obs://b?region=cn-north-4", "https://obs.cn-north-4.myhuaweicloud.com"),
            ("s3://b?region=eu-west-1", ""),
            ("oss://b?endpoint=oss.example", "https://oss.example"),
        ] {
            assert_eq!(Place::parse(url).unwrap().endpoint(), endpoint, "{url}");
        }
    }

    #[test]
    fn what_is_no_store_is_refused() {
        for url in [
            "",
            "s3",
            "ftp://b",
            "s3://",
            "s3://b",
            "oss://b",
            "s3://id:secret@b?region=x",
            "s3://b/../c?region=x",
            "s3://b?region=x&nonsense=1",
            "s3://b?endpoint=ftp://x",
            "s3://b?endpoint=http://",
            "s3://b?addressing=x",
        ] {
            assert_eq!(Place::parse(url).unwrap_err().code, "CONFIG_INVALID", "{url}");
        }
    }

    #[test]
    fn every_store_gets_a_client() {
        let keys = |session_token| Credentials::Keys {
            id: "AK".to_owned(),
            secret: Secret::new("SK"),
            session_token,
        };
        let token = || Some(Secret::new("T"));
        for (url, keys) in [
            ("s3://b?region=x&addressing=virtual", keys(token())),
            ("oss://b?region=x", keys(token())),
            ("cos://b?region=x", keys(token())),
            ("obs://b?region=x", keys(None)),
        ] {
            let client = Place::parse(url).unwrap().client(&keys).unwrap();
            assert!(client.info().capability().write_can_multi, "{url}");
        }
        let refused = Place::parse("obs://b?region=x").unwrap().client(&keys(token()));
        assert_eq!(refused.unwrap_err().code, "CONFIG_INVALID", "its client cannot send one");
        assert!(Place::parse("oss://b?region=x&addressing=path").is_err());
    }
}
