//! A server that is visited again and again, and what it says of itself when asked.

use std::collections::BTreeMap;

use tokio_util::sync::CancellationToken;

use super::info::Info;
use super::settings::read_setting;
use super::{Connection, Login, Node, Reply, Timeouts};
use crate::error::{Kind, Result};

/// All that it takes to connect to one server.
#[derive(Debug, Clone)]
pub struct Door {
    /// The server.
    pub node: Node,
    /// What it wants to see.
    pub login: Login,
    /// Limits on waiting for it.
    pub timeouts: Timeouts,
}

/// What one database holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Keyspace {
    /// Keys.
    pub keys: u64,
    /// Keys with an expiry.
    pub expires: u64,
}

impl Door {
    /// Connects and signs in.
    pub fn open(&self, cancel: &CancellationToken) -> Result<Connection> {
        Connection::open(&self.node, &self.login, self.timeouts, cancel.clone())
    }
}

impl Connection {
    /// The value of a setting; `None` if there is none of that name, or the user may not ask.
    pub fn setting(&mut self, name: &str) -> Result<Option<String>> {
        match read_setting(self, name) {
            Err(error) if error.kind == Kind::Denied => Ok(None),
            other => other,
        }
    }

    /// Changes a setting. Whether it did.
    pub fn set(&mut self, name: &str, value: &[u8]) -> Result<bool> {
        let reply = self.call(&[b"CONFIG", b"SET", name.as_bytes(), value])?;
        Ok(matches!(reply, Reply::Simple(_)))
    }

    /// Whether the user may run a command, so far as the server can tell without running it: by `ACL DRYRUN` (7.0 and
    /// newer), else by whether the command is there at all.
    pub fn may(&mut self, user: &str, command: &[&[u8]]) -> Result<bool> {
        let asked = [&[b"ACL".as_slice(), b"DRYRUN", user.as_bytes()], command].concat();
        match self.call(&asked)? {
            Reply::Simple(_) => return Ok(true),
            // The answer of a server that does allow itself to be asked.
            Reply::Bulk(_) => return Ok(false),
            _ => {}
        }
        match self.call(&[b"COMMAND", b"INFO", command[0]])? {
            Reply::Array(Some(found)) => Ok(matches!(found.first(), Some(Reply::Array(Some(_))))),
            _ => Ok(true),
        }
    }
}

impl Info {
    /// Databases that hold something, such as `db0:keys=1,expires=0,avg_ttl=0`.
    pub fn keyspace(&self) -> BTreeMap<u64, Keyspace> {
        let database = |line: &str| {
            let (index, facts) = line.strip_prefix("db")?.split_once(':')?;
            let fact = |name: &str| {
                facts
                    .split(',')
                    .find_map(|fact| fact.strip_prefix(name)?.strip_prefix('=')?.trim().parse().ok())
            };
            Some((
                index.parse().ok()?,
                Keyspace { keys: fact("keys")?, expires: fact("expires").unwrap_or(0) },
            ))
        };
        self.lines().filter_map(database).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_are_read() {
        let info = Info::new(
            "# Replication\r\nrole:slave\r\nmaster_link_status:up\r\nslave_repl_offset:15\r\n\
             # Keyspace\r\ndb0:keys=5,expires=2,avg_ttl=0,subexpiry=0\r\ndb9:keys=1,expires=0,avg_ttl=0\r\ndbx:keys=1\r\n",
        );
        let found = info.keyspace();
        assert_eq!(found[&0], Keyspace { keys: 5, expires: 2 });
        assert_eq!((found.len(), found[&9].keys), (2, 1));
    }

    #[test]
    fn rights_are_asked_for_without_using_them() {
        let may = |reply: &str, then: &str| {
            let script = [reply.as_bytes().to_vec(), then.as_bytes().to_vec()];
            Connection::scripted(script, Timeouts::default())
                .may("default", &[b"REPLICAOF", b"NO", b"ONE"])
                .unwrap()
        };
        assert!(may("+OK\r\n", ""));
        assert!(!may("$19\r\nUser x has no right\r\n", ""));
        assert!(may("-ERR unknown subcommand\r\n", "*1\r\n*1\r\n$9\r\nreplicaof\r\n"));
        assert!(!may("-ERR unknown subcommand\r\n", "*1\r\n*-1\r\n"));
        assert!(!may("-ERR unknown subcommand\r\n", "*1\r\n$-1\r\n"));
    }
}
