//! The answer to INFO: lines of `name:value` (Redis `src/server.c`).

use super::{Connection, Reply};
use crate::error::Result;

/// What a server says of itself.
#[derive(Debug, Clone, Default)]
pub struct Info(String);

impl Info {
    /// Asks; `None` when this user may not.
    pub fn ask(connection: &mut Connection) -> Result<Option<Self>> {
        match connection.call(&[b"INFO"])? {
            Reply::Bulk(Some(text)) => Ok(Some(Self(String::from_utf8_lossy(&text).into_owned()))),
            Reply::Error(text) if text.starts_with("NOPERM") => Ok(None),
            Reply::Error(text) => Err(connection.refusal("describe itself", &text)),
            _ => Err(connection.no_redis("an odd reply to INFO")),
        }
    }

    #[cfg(test)]
    pub(super) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = &str> {
        self.0.lines()
    }

    /// The value of a field; empty if there is none.
    pub fn text(&self, name: &str) -> &str {
        self.0
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map(str::trim)
            .unwrap_or_default()
    }

    /// A field that is a whole number; `None` where it is missing or something else.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.text(name).parse().ok()
    }

    /// Whether a field is 1.
    pub fn is_on(&self, name: &str) -> bool {
        self.text(name) == "1"
    }

    /// Whether it is Valkey, and its version such as `7.0.15`, empty if unknown.
    pub fn version(&self) -> (bool, &str) {
        match self.text("valkey_version") {
            "" => (self.text("server_name") == "valkey", self.text("redis_version")),
            version => (true, version),
        }
    }

    /// How it runs: `standalone`, `cluster` or `sentinel`; empty if unknown.
    pub(super) fn mode(&self) -> &str {
        match self.text("redis_mode") {
            "" => self.text("server_mode"),
            mode => mode,
        }
    }
}
