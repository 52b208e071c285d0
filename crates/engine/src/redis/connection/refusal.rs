//! What goes wrong with a connection, in words and stable codes.

use std::io::ErrorKind;

use super::{Connection, tls};
use crate::error::{Error, Kind};
use crate::redis::Node;

/// The least that a user needs for a backup (tried with Redis 6.2 to 8.2 and Valkey 8.1 and 9.1).
const SMALLEST_RULE: &str = "give the user what a backup needs, at least: \
    ACL SETUSER <user> on ><password> +psync +replconf +ping; \
    with +info +role +config|get a backup also looks at how the server is";

impl Connection {
    pub(in crate::redis) fn closed(&self) -> Error {
        if self.is_unheard_tls() {
            return tls::hung_up(&self.node);
        }
        let hint = if self.is_unheard_plain() {
            "look at the server's own log for why; a TLS port is reached with rediss://"
        } else {
            "look at the server's own log for why"
        };
        Error::new(Kind::Unreachable, "SOURCE_CLOSED", format!("{} closed the connection", self.node))
            .hint(hint)
    }

    pub(super) fn lost(&self, error: &std::io::Error) -> Error {
        if self.cancel.is_cancelled() {
            return Error::cancelled();
        }
        if let Some(failure) = tls::failure(&self.node, error) {
            return failure;
        }
        if error.kind() == ErrorKind::TimedOut {
            return Error::new(
                Kind::Unreachable,
                "SOURCE_SILENT",
                format!("{} did not answer in time", self.node),
            )
            .hint("check that it is alive and not blocked by a long command");
        }
        if self.is_unheard_tls() {
            return tls::hung_up(&self.node).because(error);
        }
        Error::new(Kind::Unreachable, "SOURCE_LOST", format!("the connection to {} broke", self.node))
            .because(error)
            .hint(if self.is_unheard_plain() {
                "check the server and the network; a TLS port is reached with rediss://"
            } else {
                "check the server and the network, then try again"
            })
    }

    fn is_unheard_tls(&self) -> bool {
        !self.heard && matches!(self.node, Node::Tcp { tls: true, .. })
    }

    fn is_unheard_plain(&self) -> bool {
        !self.heard && matches!(self.node, Node::Tcp { tls: false, .. })
    }

    pub(crate) fn no_redis(&self, found: &str) -> Error {
        Error::new(Kind::Invalid, "SOURCE_NOT_REDIS", format!("{} is no Redis or Valkey server", self.node))
            .because(format!("it sent {found}"))
            .hint("check host and port; a TLS port is reached with rediss://")
    }

    fn refused(&self, code: &'static str, what: &str, text: &str) -> Error {
        let kind = match code {
            "SOURCE_LOADING" | "SOURCE_BUSY" => Kind::Unreachable,
            _ => Kind::Denied,
        };
        let text: String = text.chars().filter(|c| !c.is_control()).take(300).collect();
        Error::new(kind, code, format!("{} {what}", self.node)).because(text)
    }

    /// What an error reply to the command of signing in means.
    pub(super) fn sign_in_refusal(&self, text: &str) -> Error {
        if text.contains("without any password") {
            return self
                .refused("SOURCE_AUTH", "takes no password, but one is set", text)
                .hint("add the instance again without a password");
        }
        self.refusal("sign in", text)
    }

    /// What an error reply to `action` means.
    pub(crate) fn refusal(&self, action: &str, text: &str) -> Error {
        let first = text.split(' ').next().unwrap_or_default();
        match first {
            "NOAUTH" => self
                .refused("SOURCE_AUTH", "wants a password", text)
                .hint("add the instance with --password-file"),
            "WRONGPASS" => self
                .refused("SOURCE_AUTH", "refused the user or password", text)
                .hint("check user and password; the ACL user must exist and be on"),
            "NOPERM" => self
                .refused("SOURCE_DENIED", &format!("does not let this user {action}"), text)
                .hint(SMALLEST_RULE),
            "LOADING" => self
                .refused("SOURCE_LOADING", "is still loading its data", text)
                .hint("try again when it has finished"),
            "NOMASTERLINK" | "MASTERDOWN" | "BUSY" | "CLUSTERDOWN" | "TRYAGAIN" => self
                .refused("SOURCE_BUSY", &format!("cannot {action} now"), text)
                .hint("try again later, or back up its primary"),
            _ if text.contains("unknown command") => self
                .refused("SOURCE_NO_PSYNC", &format!("does not offer what it takes to {action}"), text)
                .hint("managed services hide PSYNC; keystow instance set ID --method auto reads such a source key by key"),
            _ if text.contains("invalid password") || text.contains("AUTH") => self
                .refused("SOURCE_AUTH", "refused the user or password", text)
                .hint("check user and password"),
            _ => self.refused("SOURCE_REFUSED", &format!("refused to {action}"), text),
        }
    }
}
