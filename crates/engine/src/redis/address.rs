//! Where an instance is, as a URL.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::Credentials;
use crate::error::{Error, Result};
use crate::model::Secret;

/// Where an instance is. Holds no user and no password.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// One server.
    Server(Node),
    /// `redis-sentinel://host:port,host:port/service`, or `rediss-sentinel://…` with TLS, to Sentinels and servers.
    Sentinel {
        /// The Sentinels to ask.
        sentinels: Vec<HostPort>,
        /// What they call the service.
        service: String,
        /// Whether all connections use TLS.
        tls: bool,
    },
    /// `redis-cluster://host:port,host:port`, or `rediss-cluster://…` with TLS.
    Cluster {
        /// Nodes that know the others.
        seeds: Vec<HostPort>,
        /// Whether all connections use TLS.
        tls: bool,
    },
}

/// One server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Node {
    /// `redis://host:port`, or `rediss://host:port` with TLS.
    Tcp {
        /// Host name or address, IPv6 without brackets.
        host: String,
        /// Port.
        port: u16,
        /// Whether the connection uses TLS.
        tls: bool,
    },
    /// `unix:///path`
    Unix(PathBuf),
}

/// A host and a port. Shown as `host:port`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// Host name or address, IPv6 without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

const SERVER_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;
/// More hosts than anybody lists.
const MOST_HOSTS: usize = 64;
/// What stands for itself in a service's name; Sentinel itself allows no more.
const IN_NAMES: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'_');

impl Address {
    /// Reads a URL, and the user and password that it may carry. They are for the servers that hold the data, not for
    /// Sentinels.
    pub fn parse(url: &str) -> Result<(Self, Credentials)> {
        let (scheme, rest) = url.trim().split_once("://").ok_or_else(|| bad("it has no scheme"))?;
        if scheme == "unix" {
            return match rest.strip_prefix('/') {
                Some(_) => Ok((Self::Server(Node::Unix(rest.into())), Credentials::default())),
                None => Err(bad("the path of a unix:// address starts with /")),
            };
        }
        let (user_info, rest) = match rest.rsplit_once('@') {
            Some((user_info, rest)) => (Some(user_info), rest),
            None => (None, rest),
        };
        let tls = scheme.starts_with("rediss");
        let address = match scheme {
            "redis" | "rediss" => server(rest, tls)?,
            "redis-sentinel" | "rediss-sentinel" => sentinel(rest, tls)?,
            "redis-cluster" | "rediss-cluster" => {
                Self::Cluster { seeds: hosts(without_path(rest)?, SERVER_PORT)?, tls }
            }
            _ => return Err(bad(&format!("unknown scheme {scheme}"))),
        };
        Ok((address, user_info.map(credentials).unwrap_or_default()))
    }

    /// Host and port of the first node, as lists show them.
    pub fn host_port(&self) -> (String, u16) {
        match self {
            Self::Server(Node::Tcp { host, port, .. }) => (host.clone(), *port),
            Self::Server(Node::Unix(path)) => (path.display().to_string(), 0),
            Self::Sentinel { sentinels: hosts, .. } | Self::Cluster { seeds: hosts, .. } => {
                hosts.first().map_or((String::new(), 0), |first| (first.host.clone(), first.port))
            }
        }
    }
}

fn bad(why: &str) -> Error {
    Error::invalid(format!("the address is not valid: {why}")).hint(
        "write it as redis://host:port, redis-sentinel://host:port,host:port/service, \
         redis-cluster://host:port,host:port (rediss… with TLS) or unix:///path/to/redis.sock",
    )
}

fn server(rest: &str, tls: bool) -> Result<Address> {
    let HostPort { host, port } = host_port(without_path(rest)?, SERVER_PORT)?;
    Ok(Address::Server(Node::Tcp { host, port, tls }))
}

fn sentinel(rest: &str, tls: bool) -> Result<Address> {
    let (authority, path) =
        rest.split_once('/').ok_or_else(|| bad("behind the Sentinels comes /, and the service's name"))?;
    let service = percent_decode_str(path.trim_end_matches('/')).decode_utf8();
    let service = service.map_err(|_| bad("the service's name is not UTF-8"))?.into_owned();
    if service.is_empty()
        || service.chars().any(|c| c.is_control() || c.is_whitespace() || "/?#@".contains(c))
    {
        return Err(bad("the service's name is missing, or holds what no name has"));
    }
    Ok(Address::Sentinel { sentinels: hosts(authority, SENTINEL_PORT)?, service, tls })
}

fn without_path(rest: &str) -> Result<&str> {
    let authority = rest.trim_end_matches('/');
    if authority.contains(['/', '?', '#']) {
        return Err(bad("nothing may follow the port; every database is backed up"));
    }
    Ok(authority)
}

fn hosts(list: &str, default_port: u16) -> Result<Vec<HostPort>> {
    let hosts: Vec<_> = list.split(',').take(MOST_HOSTS + 1).collect();
    if hosts.len() > MOST_HOSTS {
        return Err(bad(&format!("it has more than {MOST_HOSTS} hosts")));
    }
    hosts.into_iter().map(|host| host_port(host, default_port)).collect()
}

fn host_port(authority: &str, default_port: u16) -> Result<HostPort> {
    let (host, port) =
        split_port(authority, default_port).ok_or_else(|| bad("the port is not a number from 1 to 65535"))?;
    if !is_host(host) {
        return Err(bad("the host is missing, or holds what no host name has"));
    }
    Ok(HostPort { host: host.to_owned(), port })
}

/// Whether it may be a host's name or address, and stand in a URL.
pub(super) fn is_host(host: &str) -> bool {
    let odd = |c: char| c.is_whitespace() || c.is_control() || "[]@,/?#".contains(c);
    !host.is_empty() && host.len() <= 255 && !host.chars().any(odd)
}

fn split_port(authority: &str, default: u16) -> Option<(&str, u16)> {
    let number = |port: &str| port.parse().ok().filter(|port| *port > 0);
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        return match port.strip_prefix(':') {
            Some(port) => Some((host, number(port)?)),
            None if port.is_empty() => Some((host, default)),
            None => None,
        };
    }
    match authority.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => Some((host, number(port)?)),
        Some(_) => None,
        None => Some((authority, default)),
    }
}

/// `user:password`, or `:password` for the default user.
fn credentials(user_info: &str) -> Credentials {
    let decode = |text: &str| percent_decode_str(text).collect::<Vec<u8>>();
    let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
    let username = String::from_utf8_lossy(&decode(user)).into_owned();
    Credentials {
        username: Some(username).filter(|user| !user.is_empty()),
        password: Some(decode(password)).filter(|password| !password.is_empty()).map(Secret::new),
    }
}

impl Address {
    /// Whether another server takes over there when one is lost.
    pub fn has_fail_over(&self) -> bool {
        !matches!(self, Self::Server(_))
    }
}

impl Node {
    /// Its host; `localhost` for a path.
    pub fn host(&self) -> &str {
        match self {
            Self::Tcp { host, .. } => host,
            Self::Unix(_) => "localhost",
        }
    }
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(url: &str) -> Result<Self> {
        Self::parse(url).map(|(address, _)| address)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, kind: &str, tls: bool, hosts: &[HostPort]| {
            write!(f, "redis{}-{kind}://", if tls { "s" } else { "" })?;
            for (at, host) in hosts.iter().enumerate() {
                write!(f, "{}{host}", if at == 0 { "" } else { "," })?;
            }
            Ok(())
        };
        match self {
            Self::Server(node) => node.fmt(f),
            Self::Cluster { seeds, tls } => list(f, "cluster", *tls, seeds),
            Self::Sentinel { sentinels, service, tls } => {
                list(f, "sentinel", *tls, sentinels)?;
                write!(f, "/{}", utf8_percent_encode(service, IN_NAMES))
            }
        }
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port, tls } => {
                f.write_str(if *tls { "rediss://" } else { "redis://" })?;
                write_host_port(f, host, *port)
            }
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_host_port(f, &self.host, self.port)
    }
}

fn write_host_port(f: &mut fmt::Formatter<'_>, host: &str, port: u16) -> fmt::Result {
    if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_read_and_show_without_secrets() {
        let cases = [
            ("redis://10.0.0.1", "redis://10.0.0.1:6379"),
            ("redis://cache.local:7000/", "redis://cache.local:7000"),
            ("redis://user:p%40ss@cache.local:7000", "redis://cache.local:7000"),
            ("redis://[::1]:7000", "redis://[::1]:7000"),
            ("rediss://u:p@[::1]", "rediss://[::1]:6379"),
            ("unix:///run/redis.sock", "unix:///run/redis.sock"),
            (
                "redis-sentinel://:p@a,b:7,[::1]/my.service-1",
                "redis-sentinel://a:26379,b:7,[::1]:26379/my.service-1",
            ),
            ("rediss-sentinel://a:1/s%C3%A9/", "rediss-sentinel://a:1/s%C3%A9"),
            ("redis-cluster://u:p@a,b:7000", "redis-cluster://a:6379,b:7000"),
            ("rediss-cluster://a/", "rediss-cluster://a:6379"),
        ];
        for (url, shown) in cases {
            assert_eq!(url.parse::<Address>().unwrap().to_string(), shown, "{url}");
        }
    }

    #[test]
    fn first_node_stands_for_all_in_lists() {
        for (url, shown) in [
            ("rediss://h:1", ("h", 1)),
            ("unix:///run/r.sock", ("/run/r.sock", 0)),
            ("redis-sentinel://a,b/s", ("a", 26379)),
            ("redis-cluster://[::1]:7,b", ("::1", 7)),
        ] {
            let (host, port) = url.parse::<Address>().unwrap().host_port();
            assert_eq!((host.as_str(), port), shown, "{url}");
        }
    }

    #[test]
    fn user_and_password_are_taken_apart() {
        let (_, found) = Address::parse("redis://backup:p%40s:s@h:1").unwrap();
        assert_eq!(found.username.as_deref(), Some("backup"));
        assert!(found.password.unwrap().equals(b"p@s:s"));
        let (_, found) = Address::parse("redis-cluster://:only@h:1,h:2").unwrap();
        assert_eq!(found.username, None);
        assert!(found.password.unwrap().equals(b"only"));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let many = format!("redis-cluster://{}h", "h,".repeat(MOST_HOSTS));
        for url in [
            "",
            "host:6379",
            "redis://",
            "redis://h:0",
            "redis://h:x",
            "redis://h:1/3",
            "redis://a,b",
            "http://h",
            "redisss://h",
            "unix://x",
            "redis-sentinel://a:1",
            "redis-sentinel://a:1/",
            "redis-sentinel://a:1/two words",
            "redis-sentinel://a:1/a/b",
            "redis-sentinel:///s",
            "redis-cluster://",
            "redis-cluster://a,,b",
            "redis-cluster://a/0",
            &many,
        ] {
            assert!(url.parse::<Address>().is_err(), "{url}");
        }
    }

    #[test]
    fn a_host_that_would_not_read_back_is_refused() {
        for url in [
            "redis://[[]:5",
            "redis://a]:1",
            "redis://[::1",
            "redis://[::1]x",
            "redis://::1",
            "redis://a b:1",
        ] {
            assert!(url.parse::<Address>().is_err(), "{url}");
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(url in ".{0,120}") {
            let _ = Address::parse(&url);
        }

        #[test]
        fn what_is_shown_reads_back(
            rest in r"[a-z0-9:@%/,\[\].\- ]{0,40}",
            scheme in "rediss?(-sentinel|-cluster)?|unix",
        ) {
            if let Ok((address, _)) = Address::parse(&format!("{scheme}://{rest}")) {
                prop_assert_eq!(address.to_string().parse::<Address>().unwrap(), address);
            }
        }

        #[test]
        fn lists_of_hosts_read_back(
            hosts in prop::collection::vec(("[a-z][a-z0-9.-]{0,12}|::[0-9a-f]{1,4}", 1u16..), 1..8),
            service in "[a-zA-Z0-9._é%:-]{1,20}",
            tls: bool,
        ) {
            let hosts: Vec<_> = hosts.into_iter().map(|(host, port)| HostPort { host, port }).collect();
            for address in [
                Address::Cluster { seeds: hosts.clone(), tls },
                Address::Sentinel { sentinels: hosts.clone(), service: service.clone(), tls },
            ] {
                prop_assert_eq!(address.to_string().parse::<Address>().unwrap(), address);
            }
        }
    }
}
