//! Finding a primary and its replicas through Sentinel (Redis `src/sentinel.c`).

use std::fmt::Display;

use super::address::is_host;
use super::discover::{MOST_MEMBERS, Search, none_helped};
use super::layout::{Layout, Shard};
use super::standing::{Role, Seen, Standing, members};
use super::together::together;
use super::{Connection, Node, Reply};
use crate::error::{Error, Kind, Result};
use crate::model::{Slots, Topology};

/// Asks one Sentinel after the other, until one names a primary that agrees.
pub(super) fn find(search: &Search<'_>, sentinels: &[Node], service: &str) -> Result<Layout> {
    let mut failures = Vec::new();
    let mut second_best = None;
    for sentinel in sentinels {
        let found = named_by(search, sentinel, service).and_then(|named| confirmed(search, named, sentinel));
        match found {
            Ok(layout) if layout.shards[0].nodes.iter().any(|node| node.primary && node.healthy) => {
                return Ok(layout);
            }
            // Its replicas may do without a primary that only we do not reach.
            Ok(layout) => {
                second_best.get_or_insert(layout);
            }
            Err(error) if error.kind == Kind::Cancelled => return Err(error),
            Err(error) => failures.push(error),
        }
    }
    if let Some(layout) = second_best {
        return Ok(layout);
    }
    // A Sentinel that answers says more than those that are down.
    for code in ["SENTINEL_NO_PRIMARY", "SENTINEL_UNKNOWN_SERVICE"] {
        if let Some(at) = failures.iter().position(|error| error.code == code) {
            return Err(failures.swap_remove(at));
        }
    }
    Err(none_helped("SENTINEL_UNREACHABLE", format!("no Sentinel tells where {service} is"), failures))
}

/// The servers of the service as one Sentinel knows them, the primary first.
fn named_by(search: &Search<'_>, sentinel: &Node, service: &str) -> Result<Vec<Seen>> {
    let mut connection = search.open_sentinel(sentinel).map_err(about_login)?;
    let name = service.as_bytes();
    let asked = connection.call(&[b"SENTINEL", b"get-master-addr-by-name", name])?;
    let reply = accept(&connection, asked)?;
    let place = |at: usize| reply.elements().get(at);
    let primary = match (place(0).and_then(Reply::text), place(1).and_then(Reply::number)) {
        (Some(host), Some(port)) => node(sentinel, &host, port),
        _ if matches!(reply, Reply::Array(None) | Reply::Bulk(None)) => {
            return Err(unknown_service(sentinel, service));
        }
        _ => None,
    };
    let primary = primary.ok_or_else(|| connection.no_redis("an odd place for a primary"))?;
    let mut all = vec![Seen { node: primary, id: None, primary: true, doubt: None, standing: None }];
    let mut asked = connection.call(&[b"SENTINEL", b"replicas", name])?;
    if matches!(asked, Reply::Error(_)) {
        // Before Redis 5 by its older name only.
        asked = connection.call(&[b"SENTINEL", b"slaves", name])?;
    }
    let reply = accept(&connection, asked)?;
    all.extend(reply.elements().iter().filter_map(|fields| replica(sentinel, fields)).take(MOST_MEMBERS - 1));
    Ok(all)
}

fn accept(connection: &Connection, reply: Reply) -> Result<Reply> {
    let Reply::Error(text) = reply else { return Ok(reply) };
    let lower = text.to_ascii_lowercase();
    if lower.contains("unknown command") {
        return Err(Error::new(
            Kind::Invalid,
            "SOURCE_NOT_SENTINEL",
            format!("{} is no Sentinel", connection.node()),
        )
        .because("it does not know the command SENTINEL")
        .hint("Sentinels listen on port 26379 by default; a single server is written as redis://host:port"));
    }
    let refusal = connection.refusal("name the service's servers (SENTINEL)", &text);
    Err(match refusal.code {
        "SOURCE_DENIED" => refusal.hint(
            "give the Sentinel's user: ACL SETUSER <user> +sentinel|get-master-addr-by-name +sentinel|replicas",
        ),
        _ => about_login(refusal),
    })
}

fn about_login(error: Error) -> Error {
    if error.code != "SOURCE_AUTH" {
        return error;
    }
    error.hint("Sentinels have users and passwords of their own, or none: check those of the Sentinels, not the server's")
}

fn unknown_service(sentinel: &Node, service: &str) -> Error {
    Error::new(
        Kind::NotFound,
        "SENTINEL_UNKNOWN_SERVICE",
        format!("the Sentinel {sentinel} watches no service {service}"),
    )
    .hint("the service's name stands in `sentinel monitor <name> …`; redis-cli -p 26379 SENTINEL masters lists them")
}

/// A place that a Sentinel names. It is reached as the Sentinel was, with or without TLS.
fn node(sentinel: &Node, host: &str, port: i64) -> Option<Node> {
    let tls = matches!(sentinel, Node::Tcp { tls: true, .. });
    let port = u16::try_from(port).ok().filter(|port| *port > 0)?;
    is_host(host).then(|| Node::Tcp { host: host.to_owned(), port, tls })
}

/// One that only reads snapshots, as we do, is listed with port 0.
fn replica(sentinel: &Node, fields: &Reply) -> Option<Seen> {
    let text = |name| fields.field(name).and_then(Reply::text).unwrap_or_default();
    let node = node(sentinel, &text("ip"), fields.field("port")?.number()?)?;
    let flags = text("flags");
    let doubt = (flags != "slave").then(|| format!("the Sentinel has it as {flags}"));
    Some(Seen { node, id: None, primary: false, doubt, standing: None })
}

/// Asks the servers themselves. Those that the Sentinel doubts are left alone: most of them are down.
fn confirmed(search: &Search<'_>, mut named: Vec<Seen>, sentinel: &Node) -> Result<Layout> {
    let ask = |seen: &Seen| {
        let ask = || Standing::ask(&mut search.open(&seen.node)?);
        seen.doubt.is_none().then(ask)
    };
    // The primary first: what it is sent in the meantime is not what a replica is behind.
    let (primary, replicas) = named.split_at(1);
    let mut standings = together(primary, ask);
    if let Some(Some(Ok(own))) = standings.first()
        && own.role == Role::Replica
    {
        return Err(no_primary(&primary[0].node, sentinel, "it is a replica"));
    }
    standings.extend(together(replicas, ask));
    if search.cancel.is_cancelled() {
        return Err(Error::cancelled());
    }
    let helpful = standings.iter().any(|standing| matches!(standing, Some(Ok(own)) if own.trouble.is_none()));
    for (seen, standing) in named.iter_mut().zip(standings) {
        match standing {
            Some(Err(error)) if seen.primary && !helpful => {
                return Err(if error.worth_retrying() {
                    no_primary(&seen.node, sentinel, error)
                } else {
                    error
                });
            }
            standing => seen.standing = standing,
        }
    }
    let shard = Shard { index: 0, slots: Slots::default(), nodes: members(named) };
    Ok(Layout {
        topology: Topology::Sentinel,
        shards: vec![shard],
        epoch: None,
        uncovered: Slots::default(),
        moving: Vec::new(),
    })
}

fn no_primary(node: &Node, sentinel: &Node, cause: impl Display) -> Error {
    Error::new(
        Kind::Unreachable,
        "SENTINEL_NO_PRIMARY",
        format!("{node} is the primary by what the Sentinel {sentinel} says, but not by its own"),
    )
    .because(cause)
    .hint("a fail-over may be under way: try again when it has ended; check that we reach the address that Sentinel names")
}
