//! What a server says of itself.

use super::info::Info;
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
    Ok(facts(&Info::ask(connection)?.unwrap_or_default()))
}

fn facts(info: &Info) -> ServerFacts {
    let (valkey, version) = info.version();
    let number = |name| info.number(name).unwrap_or(0);
    ServerFacts {
        valkey,
        version: version.to_owned(),
        role: info.text("role").to_owned(),
        used_bytes: number("used_memory"),
        max_bytes: number("maxmemory"),
        replicas: u32::try_from(number("connected_slaves")).unwrap_or(0),
        topology: if info.mode() == "cluster" { Topology::Cluster } else { Topology::Standalone },
        shards: 0,
        nodes: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_info(text: &str) -> ServerFacts {
        facts(&Info::new(text))
    }

    #[test]
    fn valkey_is_told_from_redis() {
        let valkey =
            read_info("redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.1.2\r\nrole:master\r\n");
        assert_eq!((valkey.valkey, valkey.version.as_str()), (true, "9.1.2"));
        let redis = read_info("redis_version:7.0.15\r\nredis_mode:standalone\r\nused_memory:1024\r\n");
        assert_eq!((redis.valkey, redis.version.as_str(), redis.used_bytes), (false, "7.0.15", 1024));
    }

    #[test]
    fn a_cluster_shows_under_either_name() {
        for text in ["redis_mode:cluster\r\n", "server_mode:cluster\r\n"] {
            assert_eq!(read_info(text).topology, Topology::Cluster);
        }
    }

    #[test]
    fn an_empty_answer_gives_empty_facts() {
        assert_eq!(read_info("").version, "");
    }
}
