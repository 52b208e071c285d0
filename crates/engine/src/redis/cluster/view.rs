//! How one node sees its cluster: CLUSTER SHARDS, CLUSTER SLOTS before Redis 7.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::{Group, MOST_SHARDS, View, refusal};
use crate::error::Result;
use crate::model::Slots;
use crate::redis::address::is_host;
use crate::redis::standing::Seen;
use crate::redis::{Connection, Node, Reply};

pub(super) fn ask(connection: &mut Connection) -> Result<View> {
    let (ok, epoch) = state(connection)?;
    let node = connection.node().clone();
    let shards = connection.call(&[b"CLUSTER", b"SHARDS"])?;
    let groups = match shards {
        Reply::Array(Some(shards)) => {
            shards.iter().take(2 * MOST_SHARDS).map(|shard| of_shards(&node, shard)).collect()
        }
        // Unknown before Redis 7, and perhaps not allowed; the older question gives nearly as much.
        Reply::Error(_) => {
            let slots = connection.call(&[b"CLUSTER", b"SLOTS"])?;
            match slots {
                Reply::Array(Some(ranges)) => of_slots(&node, &ranges),
                Reply::Error(text) => return Err(refusal(connection, &text)),
                _ => return Err(connection.no_redis("an odd reply to CLUSTER SLOTS")),
            }
        }
        _ => return Err(connection.no_redis("an odd reply to CLUSTER SHARDS")),
    };
    Ok(View { ok, epoch, groups })
}

/// Whether the node takes its cluster for well, and the epoch that it has seen.
pub(super) fn state(connection: &mut Connection) -> Result<(bool, u64)> {
    let text = match connection.call(&[b"CLUSTER", b"INFO"])? {
        Reply::Bulk(Some(text)) => String::from_utf8_lossy(&text).into_owned(),
        Reply::Error(text) => return Err(refusal(connection, &text)),
        _ => return Err(connection.no_redis("an odd reply to CLUSTER INFO")),
    };
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let epoch = field("cluster_current_epoch").and_then(|epoch| epoch.trim().parse().ok());
    Ok((field("cluster_state").is_some_and(|state| state.trim() == "ok"), epoch.unwrap_or(0)))
}

/// `slots [first last …] nodes [[id … port … tls-port … ip … endpoint … hostname … role … health …] …]`
fn of_shards(asked: &Node, shard: &Reply) -> Group {
    let numbers: Vec<_> =
        shard.field("slots").map(Reply::elements).unwrap_or_default().iter().map(Reply::number).collect();
    let (pairs, _) = numbers.as_chunks::<2>();
    let slots = pairs.iter().filter_map(|[first, last]| Slots::range((*first)?, (*last)?));
    let slots = Slots::new(slots);
    let nodes = shard.field("nodes").map(Reply::elements).unwrap_or_default();
    Group { slots, nodes: nodes.iter().filter_map(|node| shard_member(asked, node)).collect() }
}

fn shard_member(asked: &Node, fields: &Reply) -> Option<Seen> {
    let text = |name| fields.field(name).and_then(Reply::text).unwrap_or_default();
    let port = |name| fields.field(name).and_then(Reply::number).filter(|port| *port > 0);
    let port = if uses_tls(asked) { port("tls-port").or(port("port")) } else { port("port") };
    let (endpoint, hostname) = (text("endpoint"), text("hostname"));
    // Certificates are for names; without TLS the cluster's own preference is best.
    let host = if uses_tls(asked) && is_host(&hostname) { hostname } else { endpoint };
    let health = text("health");
    Some(Seen {
        node: place(asked, &host, port)?,
        id: Some(text("id")).filter(|id| !id.is_empty()),
        primary: text("role") == "master",
        doubt: (health != "online").then(|| format!("its health is {health}")),
        standing: None,
    })
}

/// `[first, last, primary, replica, …]`, each `[host, port, id, [hostname …]]`. Nodes that fail are left out.
fn of_slots(asked: &Node, ranges: &[Reply]) -> Vec<Group> {
    let (mut groups, mut places) = (Vec::new(), HashMap::new());
    for range in ranges {
        let [first, last, nodes @ ..] = range.elements() else { continue };
        let slots = first.number().zip(last.number()).and_then(|(first, last)| Slots::range(first, last));
        let nodes: Vec<_> =
            nodes.iter().enumerate().filter_map(|(at, node)| slots_member(asked, node, at == 0)).collect();
        // Without a primary that can be reached it stands for itself.
        let Some(primary) = nodes.first().filter(|node: &&Seen| node.primary) else {
            groups.push(Group { slots: Slots::new(slots), nodes });
            continue;
        };
        match places.entry((primary.node.clone(), primary.id.clone())) {
            Entry::Occupied(at) => {
                let group: &mut Group = &mut groups[*at.get()];
                group.slots = Slots::new(group.slots.ranges().iter().copied().chain(slots));
            }
            Entry::Vacant(place) => {
                place.insert(groups.len());
                groups.push(Group { slots: Slots::new(slots), nodes });
            }
        }
    }
    groups
}

fn slots_member(asked: &Node, node: &Reply, primary: bool) -> Option<Seen> {
    let [host, port, more @ ..] = node.elements() else { return None };
    let hostname = more.get(1).and_then(|names| names.field("hostname")).and_then(Reply::text);
    let hostname = hostname.filter(|name| uses_tls(asked) && is_host(name));
    let host = hostname.or_else(|| host.text()).unwrap_or_default();
    Some(Seen {
        node: place(asked, &host, port.number())?,
        id: more.first().and_then(Reply::text),
        primary,
        doubt: None,
        standing: None,
    })
}

fn uses_tls(node: &Node) -> bool {
    matches!(node, Node::Tcp { tls: true, .. })
}

/// A place that a node names. Without a host it is where that node itself was reached.
fn place(asked: &Node, host: &str, port: Option<i64>) -> Option<Node> {
    let port = port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
    let nameless = host.is_empty() || host == "?";
    match asked {
        // Only the node that was asked may not know its own address.
        Node::Unix(_) if nameless => Some(asked.clone()),
        Node::Unix(_) => {
            is_host(host).then_some(Node::Tcp { host: host.to_owned(), port: port?, tls: false })
        }
        Node::Tcp { host: own, tls, .. } => {
            let host = if nameless { own.as_str() } else { host };
            is_host(host).then_some(Node::Tcp { host: host.to_owned(), port: port?, tls: *tls })
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::redis::{Timeouts, encode};

    fn asked(tls: bool) -> Node {
        Node::Tcp { host: "seed".to_owned(), port: 1, tls }
    }

    /// `[a 1 [b]]` as a reply of arrays, numbers and strings; `_` is an empty string.
    fn reply(text: &str) -> Reply {
        fn write(words: &mut std::iter::Peekable<std::vec::IntoIter<String>>) -> Vec<u8> {
            let mut items = Vec::new();
            loop {
                match words.next().as_deref() {
                    None | Some("]") => break,
                    Some("[") => items.push(write(words)),
                    Some(word) => items.push(word.parse::<i64>().map_or_else(
                        |_| {
                            let mut out = Vec::new();
                            encode(&mut out, &[word.trim_matches('_').as_bytes()]);
                            out.split_off(4)
                        },
                        |number| format!(":{number}\r\n").into_bytes(),
                    )),
                }
            }
            [format!("*{}\r\n", items.len()).into_bytes(), items.concat()].concat()
        }
        let words: Vec<_> =
            text.replace('[', " [ ").replace(']', " ] ").split_whitespace().map(str::to_owned).collect();
        let mut words = words.into_iter().peekable();
        assert_eq!(words.next().as_deref(), Some("["));
        Connection::scripted([write(&mut words)], Timeouts::default()).reply().unwrap()
    }

    fn told(groups: &[Group]) -> Vec<String> {
        let group = |group: &Group| {
            let slots = group.slots.to_string();
            let nodes: Vec<_> = group
                .nodes
                .iter()
                .map(|seen| {
                    let mark = if seen.primary { "*" } else { "" };
                    let doubt = seen.doubt.as_ref().map(|doubt| format!(" ({doubt})")).unwrap_or_default();
                    format!("{}{mark} {}{doubt}", seen.id.as_deref().unwrap_or("-"), seen.node)
                })
                .collect();
            format!("{}: {}", slots, nodes.join(", "))
        };
        groups.iter().map(group).collect()
    }

    const SHARD: &str = "[slots [0 99 200 300] nodes [
        [id aa port 7000 tls-port 8000 ip 10.0.0.1 endpoint 10.0.0.1 hostname one.local role master replication-offset 5 health online]
        [id bb port 7001 ip 10.0.0.2 endpoint _ hostname _ role replica replication-offset 5 health fail]
        [id cc port 0 endpoint 10.0.0.3 role replica health online]
        [id dd port 7003 endpoint a/b role replica health online]]]";

    #[test]
    fn shards_are_read_with_the_ports_and_names_that_fit() {
        let plain = told(&[of_shards(&asked(false), &reply(SHARD))]);
        assert_eq!(
            plain,
            ["0-99,200-300: aa* redis://10.0.0.1:7000, bb redis://seed:7001 (its health is fail)"]
        );
        let tls = told(&[of_shards(&asked(true), &reply(SHARD))]);
        assert_eq!(
            tls,
            ["0-99,200-300: aa* rediss://one.local:8000, bb rediss://seed:7001 (its health is fail)"]
        );
    }

    #[test]
    fn ranges_of_one_primary_are_one_shard() {
        let text = "[[0 5 [10.0.0.1 7000 aa []] [10.0.0.2 7001 bb [hostname two.local]]]
                     [9 9 [_ 7002 cc]] [7 8 [10.0.0.1 7000 aa []] [10.0.0.2 7001 bb []]] [1] [3 2 [x 1 dd]]]";
        let ranges = reply(text);
        assert_eq!(
            told(&of_slots(&asked(false), ranges.elements())),
            [
                "0-5,7-8: aa* redis://10.0.0.1:7000, bb redis://10.0.0.2:7001",
                "9: cc* redis://seed:7002",
                ": dd* redis://x:1",
            ]
        );
        let over_tls = told(&of_slots(&asked(true), ranges.elements()));
        assert_eq!(over_tls[0], "0-5,7-8: aa* rediss://10.0.0.1:7000, bb rediss://two.local:7001");
    }

    #[test]
    fn a_node_that_knows_no_address_of_its_own_is_where_it_was_asked() {
        let socket = Node::Unix("/run/redis.sock".into());
        assert_eq!(place(&socket, "", Some(7000)), Some(socket.clone()));
        assert_eq!(place(&socket, "10.0.0.1", Some(7)).unwrap().to_string(), "redis://10.0.0.1:7");
        assert_eq!(place(&asked(false), "?", Some(7)).unwrap().to_string(), "redis://seed:7");
        assert_eq!((place(&asked(false), "h", None), place(&asked(false), "h", Some(70_000))), (None, None));
    }

    fn any_reply() -> impl Strategy<Value = Reply> {
        let words =
            "slots|nodes|id|port|tls-port|endpoint|hostname|role|master|health|online|h|_|[a-z:]{0,4}";
        let leaf = prop_oneof![
            words.prop_map(|text| Reply::Bulk(Some(text.into_bytes()))),
            (-2i64..70_000).prop_map(Reply::Integer),
            Just(Reply::Bulk(None)),
            Just(Reply::Array(None)),
        ];
        leaf.prop_recursive(4, 60, 6, |inner| {
            prop::collection::vec(inner, 0..8).prop_map(|elements| Reply::Array(Some(elements)))
        })
    }

    proptest! {
        #[test]
        fn whatever_a_node_says_only_places_that_can_be_reached_come_of_it(reply in any_reply(), tls: bool) {
            let groups = of_slots(&asked(tls), reply.elements());
            for group in groups.iter().chain([&of_shards(&asked(tls), &reply)]) {
                for seen in &group.nodes {
                    let url = seen.node.to_string();
                    prop_assert!(matches!(
                        url.parse::<crate::redis::Address>(),
                        Ok(crate::redis::Address::Server(node)) if node == seen.node
                    ), "{}", url);
                }
                prop_assert!(group.slots.iter().all(|slot| slot < 16_384));
            }
        }
    }
}
