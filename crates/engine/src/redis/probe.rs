//! What a server says of itself.

use super::{Connection, Reply};
use crate::error::Result;
use crate::model::{ServerFacts, Topology};

/// Asks a server who it is. A user without `+info` gives facts with empty texts, not an error.
pub fn probe(connection: &mut Connection) -> Result<ServerFacts> {
    match connection.call(&[b"PING"])? {
        Reply::Simple(text) if text == "PONG" => {}
        // An ACL user may lack PING and still be allowed to replicate.
        Reply::Error(text) if text.starts_with("NOPERM") => {}
        Reply::Error(text) => return Err(connection.refusal("answer", &text)),
        _ => return Err(connection.no_redis("an odd reply to PING")),
    }
    match connection.call(&[b"INFO"])? {
        Reply::Bulk(Some(text)) => Ok(read_info(&String::from_utf8_lossy(&text))),
        Reply::Error(text) if text.starts_with("NOPERM") => Ok(read_info("")),
        Reply::Error(text) => Err(connection.refusal("describe itself", &text)),
        _ => Err(connection.no_redis("an odd reply to INFO")),
    }
}

fn read_info(text: &str) -> ServerFacts {
    let find = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map(str::trim)
            .unwrap_or_default()
    };
    let number = |name: &str| find(name).parse().unwrap_or(0);
    let valkey = find("valkey_version");
    ServerFacts {
        valkey: !valkey.is_empty() || find("server_name") == "valkey",
        version: if valkey.is_empty() { find("redis_version") } else { valkey }.to_owned(),
        role: find("role").to_owned(),
        used_bytes: number("used_memory"),
        max_bytes: number("maxmemory"),
        replicas: find("connected_slaves").parse().unwrap_or(0),
        topology: match (find("redis_mode"), find("server_mode")) {
            ("cluster", _) | (_, "cluster") => Topology::Cluster,
            _ => Topology::Standalone,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valkey_is_told_from_redis() {
        let valkey =
            read_info("redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.1.2\r\nrole:master\r\n");
        assert_eq!((valkey.valkey, valkey.version.as_str()), (true, "9.1.2"));
        let redis = read_info("redis_version:7.0.15\r\nredis_mode:standalone\r\nused_memory:1024\r\n");
        assert_eq!((redis.valkey, redis.version.as_str(), redis.used_bytes), (false, "7.0.15", 1024));
    }

    #[test]
    fn an_empty_answer_gives_empty_facts() {
        assert_eq!(read_info("").version, "");
    }
}
