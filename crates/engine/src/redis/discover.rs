//! Finding the servers of an instance: of one address, through Sentinel, or of a cluster.

use tokio_util::sync::CancellationToken;

use super::layout::{Layout, Member, Shard};
use super::standing::{Role, Standing};
use super::{Address, Connection, HostPort, Login, Node, Timeouts, cluster, sentinel};
use crate::error::{Error, Kind, Result};
use crate::model::{Slots, Topology};

/// Servers of a shard that are looked at; more are not asked.
pub(super) const MOST_MEMBERS: usize = 16;

/// Finds the servers of an instance, and asks each how it is. A plain address stands for the server that it names,
/// whatever its role, but for the whole cluster if that is a node of one. Blocks, on a thread of a tokio runtime that
/// may.
pub fn discover(
    address: &Address,
    login: &Login,
    timeouts: Timeouts,
    cancel: &CancellationToken,
) -> Result<Layout> {
    let search = Search { login, timeouts, cancel };
    match address {
        Address::Server(node) => server(&search, node),
        Address::Sentinel { sentinels, service, tls } => {
            sentinel::find(&search, &nodes(sentinels, *tls), service)
        }
        Address::Cluster { seeds, tls } => cluster::find(&search, &nodes(seeds, *tls)),
    }
}

fn nodes(hosts: &[HostPort], tls: bool) -> Vec<Node> {
    let node = |HostPort { host, port }: &HostPort| Node::Tcp { host: host.clone(), port: *port, tls };
    hosts.iter().map(node).collect()
}

/// What it takes to ask a server.
pub(super) struct Search<'a> {
    pub(super) login: &'a Login,
    timeouts: Timeouts,
    pub(super) cancel: &'a CancellationToken,
}

impl Search<'_> {
    pub(super) fn open(&self, node: &Node) -> Result<Connection> {
        Connection::open(node, self.login, self.timeouts, self.cancel.clone())
    }

    pub(super) fn open_sentinel(&self, node: &Node) -> Result<Connection> {
        Connection::open(node, &self.login.at_sentinel(), self.timeouts, self.cancel.clone())
    }
}

fn server(search: &Search<'_>, node: &Node) -> Result<Layout> {
    let mut connection = search.open(node)?;
    let standing = Standing::ask(&mut connection)?;
    if standing.in_cluster {
        return cluster::find(search, std::slice::from_ref(node));
    }
    if standing.role == Role::Sentinel {
        return Err(Error::new(
            Kind::Invalid,
            "SOURCE_NOT_REDIS",
            format!("{node} is a Sentinel, and holds no data"),
        )
        .hint("write the address as redis-sentinel://host:port,host:port/service"));
    }
    if let (Role::Replica, Some(why)) = (standing.role, &standing.trouble) {
        return Err(Error::new(
            Kind::Unreachable,
            "SOURCE_REPLICA_STALE",
            format!("{node} is a replica that does not follow its primary"),
        )
        .because(why)
        .hint("mend its link (master_link_status in INFO), or back up the primary"));
    }
    let member = Member {
        node: node.clone(),
        primary: standing.role != Role::Replica,
        healthy: standing.trouble.is_none(),
        why: standing.trouble.unwrap_or_default(),
        lag_bytes: None,
        id: None,
    };
    Ok(Layout {
        topology: Topology::Standalone,
        shards: vec![Shard { index: 0, slots: Slots::default(), nodes: vec![member] }],
        epoch: None,
        uncovered: Slots::default(),
        moving: Vec::new(),
    })
}

/// What to say when none of several servers helped. Where all of them failed for one reason that no waiting mends,
/// that reason is it.
pub(super) fn none_helped(code: &'static str, what: String, mut failures: Vec<Error>) -> Error {
    let same = failures.windows(2).all(|pair| pair[0].code == pair[1].code);
    if same && failures.first().is_some_and(|first| !first.worth_retrying()) {
        return failures.swap_remove(0);
    }
    let told: Vec<_> = failures.iter().map(ToString::to_string).collect();
    let told: String = told.join("; ").chars().take(2000).collect();
    Error::new(Kind::Unreachable, code, what)
        .because(told)
        .hint("check the addresses and the firewall; are they running?")
}
