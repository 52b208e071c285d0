//! Where a server is, as a URL.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

use crate::error::{Error, Kind, Result};
use crate::model::Secret;

/// Where a server is. Holds no user and no password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// `redis://host:port`
    Tcp {
        /// Host name or address, IPv6 without brackets.
        host: String,
        /// Port.
        port: u16,
    },
    /// `unix:///path`
    Unix(PathBuf),
}

/// User and password for a server.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// ACL user; `None` = the default user.
    pub username: Option<String>,
    /// Password.
    pub password: Option<Secret>,
}

const DEFAULT_PORT: u16 = 6379;

impl Address {
    /// Reads a URL, and the user and password that it may carry.
    pub fn parse(url: &str) -> Result<(Self, Credentials)> {
        let bad = |why: &str| {
            Error::invalid(format!("the address is not valid: {why}"))
                .hint("write it as redis://host:port or unix:///path/to/redis.sock")
        };
        let (scheme, rest) = url.trim().split_once("://").ok_or_else(|| bad("it has no scheme"))?;
        match scheme {
            "redis" => {}
            "unix" if rest.starts_with('/') => return Ok((Self::Unix(rest.into()), Credentials::default())),
            "unix" => return Err(bad("the path of a unix:// address starts with /")),
            "rediss" | "redis-sentinel" | "redis-cluster" => {
                return Err(Error::new(
                    Kind::Invalid,
                    "ADDRESS_UNSUPPORTED",
                    format!("{scheme}:// addresses are not supported by this version"),
                )
                .hint("use redis://host:port of one server, or unix:///path/to/redis.sock"));
            }
            _ => return Err(bad(&format!("unknown scheme {scheme}"))),
        }
        let (user_info, authority) = match rest.rsplit_once('@') {
            Some((user_info, authority)) => (Some(user_info), authority),
            None => (None, rest),
        };
        let authority = authority.trim_end_matches('/');
        if authority.contains(['/', '?', '#']) {
            return Err(bad("nothing may follow the port; every database is backed up"));
        }
        let (host, port) =
            split_port(authority).ok_or_else(|| bad("the port is not a number from 1 to 65535"))?;
        if host.is_empty() || host.chars().any(|c| c.is_whitespace() || c.is_control() || "[]@".contains(c)) {
            return Err(bad("the host is missing, or holds what no host name has"));
        }
        Ok((Self::Tcp { host: host.to_owned(), port }, user_info.map(credentials).unwrap_or_default()))
    }

    /// Host and port, as lists show them.
    pub fn host_port(&self) -> (String, u16) {
        match self {
            Self::Tcp { host, port } => (host.clone(), *port),
            Self::Unix(path) => (path.display().to_string(), 0),
        }
    }
}

fn split_port(authority: &str) -> Option<(&str, u16)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        return match port.strip_prefix(':') {
            Some(port) => Some((host, port.parse().ok().filter(|port| *port > 0)?)),
            None if port.is_empty() => Some((host, DEFAULT_PORT)),
            None => None,
        };
    }
    match authority.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => {
            Some((host, port.parse().ok().filter(|port| *port > 0)?))
        }
        Some(_) => None,
        None => Some((authority, DEFAULT_PORT)),
    }
}

/// `user:password`, `:password`, or a bare password as `redis-cli` does not take it but many tools do.
fn credentials(user_info: &str) -> Credentials {
    let decode = |text: &str| percent_decode_str(text).collect::<Vec<u8>>();
    let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
    let username = String::from_utf8_lossy(&decode(user)).into_owned();
    Credentials {
        username: Some(username).filter(|user| !user.is_empty()),
        password: Some(decode(password)).filter(|password| !password.is_empty()).map(Secret::new),
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
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "redis://[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "redis://{host}:{port}"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
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
            ("unix:///run/redis.sock", "unix:///run/redis.sock"),
        ];
        for (url, shown) in cases {
            assert_eq!(url.parse::<Address>().unwrap().to_string(), shown, "{url}");
        }
    }

    #[test]
    fn user_and_password_are_taken_apart() {
        let (_, found) = Address::parse("redis://backup:p%40s:s@h:1").unwrap();
        assert_eq!(found.username.as_deref(), Some("backup"));
        assert!(found.password.unwrap().equals(b"p@s:s"));
        let (_, found) = Address::parse("redis://:only@h:1").unwrap();
        assert_eq!(found.username, None);
        assert!(found.password.unwrap().equals(b"only"));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for url in [
            "",
            "host:6379",
            "redis://",
            "redis://h:0",
            "redis://h:x",
            "redis://h:1/3",
            "http://h",
            "unix://x",
        ] {
            assert!(url.parse::<Address>().is_err(), "{url}");
        }
        assert_eq!("rediss://h:1".parse::<Address>().unwrap_err().code, "ADDRESS_UNSUPPORTED");
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
        fn what_is_shown_reads_back(rest in r"[a-z0-9:@%/\[\].\- ]{0,40}", scheme in "redis|unix") {
            if let Ok((address, _)) = Address::parse(&format!("{scheme}://{rest}")) {
                prop_assert_eq!(address.to_string().parse::<Address>().unwrap(), address);
            }
        }
    }
}
