//! A server that is visited again and again, and what it says of itself when asked.

use std::collections::BTreeMap;

use tokio_util::sync::CancellationToken;

use super::info::Info;
use super::settings::{read_setting, write_setting};
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
        match write_setting(self, name, value) {
            Err(error) if error.kind == Kind::Denied => Ok(false),
            other => other.map(|()| true),
        }
    }

    /// Whether the user may run a command, which must be one that fails for another reason: rights are looked at before
    /// arguments are, but for their number (`processCommand` in Redis `src/server.c`). `ACL DRYRUN` would take a right
    /// of its own.
    pub fn may(&mut self, failing: &[&[u8]]) -> Result<bool> {
        match self.call(failing)? {
            // A user of some keys only may run it all the same.
            Reply::Error(text) => {
                Ok(!text.contains("unknown command") && !text.contains("permissions to run"))
            }
            _ => Ok(true),
        }
    }
}

impl Info {
    /// Keys of the databases that hold some.
    pub fn key_counts(&self) -> BTreeMap<u64, u64> {
        self.keyspace().into_iter().map(|(index, space)| (index, space.keys)).collect()
    }

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
    fn rights_show_in_why_a_command_fails() {
        let may = |reply: &str| {
            let script = [format!("-{reply}\r\n").into_bytes()];
            Connection::scripted(script, Timeouts::default()).may(&[b"REPLICAOF", b"a", b"x"]).unwrap()
        };
        assert!(may("ERR value is not an integer or out of range"));
        assert!(may("NOPERM No permissions to access a key"));
        assert!(!may("NOPERM User weak has no permissions to run the 'replicaof' command"));
        assert!(!may("NOPERM this user has no permissions to run the 'replicaof' command or its subcommand"));
        assert!(!may("ERR unknown command 'REPLICAOF', with args beginning with: 'a' 'x' "));
    }
}
