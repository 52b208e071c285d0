//! What is there at the target, before anything is done to it.

use std::collections::BTreeMap;

use keystow_rdb::Format;
use tokio_util::sync::CancellationToken;

use super::at_target;
use crate::error::{Error, Kind, Result};
use crate::model::{ServerFacts, Slots, Topology};
use crate::redis::{
    Address, Connection, Door, Info, Layout, Login, Node, Reply, Route, Timeouts, Version, discover, probe,
};

/// Databases that are looked at one by one where INFO is not allowed.
const MOST_DATABASES: u64 = 16;

/// How to reach a target.
#[derive(Debug, Clone)]
pub(super) struct Reach {
    pub(super) address: Address,
    pub(super) login: Login,
    pub(super) timeouts: Timeouts,
}

/// A target as it was found.
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) topology: Topology,
    /// The primaries, at least one; of a cluster by their slots.
    pub(super) primaries: Vec<Primary>,
    /// Why data cannot go there now, as for a cluster of which a slot has no primary.
    pub(super) trouble: Option<String>,
}

/// A primary of the target.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "four answers of a server that have nothing to do with each other"
)]
pub(super) struct Primary {
    pub(super) node: Node,
    pub(super) slots: Slots,
    pub(super) facts: ServerFacts,
    /// What it writes itself, and so reads; `None` for a server that is too old or unknown.
    pub(super) format: Option<Format>,
    /// What this run of its process is called; empty if it does not tell.
    pub(super) run_id: String,
    /// Keys by database.
    pub(super) databases: BTreeMap<u64, u64>,
    /// Function libraries.
    pub(super) functions: u64,
    /// Names of its modules; `None` if it does not tell.
    pub(super) modules: Option<Vec<String>>,
    /// How many databases it has; `None` if it does not tell.
    pub(super) most_databases: Option<u64>,
    /// Whether it is a replica.
    pub(super) is_replica: bool,
    /// Whether it replicates over TLS.
    pub(super) replicates_with_tls: bool,
    /// Whether its user may make it follow another server, and may restore keys.
    pub(super) may_follow: bool,
    pub(super) may_restore: bool,
}

impl Reach {
    pub(super) fn door(&self, node: &Node) -> Door {
        Door { node: node.clone(), login: self.login.clone(), timeouts: self.timeouts }
    }

    /// The primaries with their slots, as they are now.
    pub(super) fn layout(&self, cancel: &CancellationToken) -> Result<Layout> {
        discover(&self.address, &self.login, self.timeouts, cancel).map_err(at_target)
    }

    /// The primaries, for a pipeline that is under way.
    pub(super) fn route(&self, cancel: &CancellationToken) -> Result<Route> {
        let layout = self.layout(cancel)?;
        if let Some(trouble) = trouble(&layout) {
            return Err(cluster_down(&trouble));
        }
        let route = Route::new(primaries(&layout));
        route.ok_or_else(|| cluster_down("the target has no primary"))
    }
}

fn primaries(layout: &Layout) -> Vec<(Node, Slots)> {
    let primary = |shard: &crate::redis::Shard| {
        let member = shard.nodes.iter().find(|member| member.primary).or(shard.nodes.first())?;
        let slots = shard.slots.clone();
        Some((member.node.clone(), slots))
    };
    layout.shards.iter().filter_map(primary).collect()
}

/// Why a target cannot take data as it is.
fn trouble(layout: &Layout) -> Option<String> {
    let uncovered = &layout.uncovered;
    if !uncovered.is_empty() {
        return Some(format!("no primary has the slots {uncovered}"));
    }
    if layout.shards.is_empty() {
        return Some("it has no primary".to_owned());
    }
    let ill = layout.shards.iter().filter_map(|shard| {
        let primary = shard.nodes.iter().find(|member| member.primary);
        match primary {
            Some(member) if member.healthy => None,
            Some(member) => Some(format!("{}: {}", member.node, member.why)),
            None if layout.topology == Topology::Standalone => None,
            None => Some(format!("shard {} has no primary", shard.index)),
        }
    });
    let ill: Vec<String> = ill.collect();
    (!ill.is_empty()).then(|| ill.join("; "))
}

pub(super) fn cluster_down(why: &str) -> Error {
    Error::new(Kind::Unreachable, "RESTORE_CLUSTER_DOWN", "the target cannot take every key now")
        .because(why)
        .hint("mend the target first: CLUSTER INFO and CLUSTER NODES say what is missing")
}

/// Looks at a target. Blocks, on a thread of a tokio runtime that may.
pub(super) fn survey(reach: &Reach, cancel: &CancellationToken) -> Result<Survey> {
    let layout = reach.layout(cancel)?;
    let trouble = trouble(&layout);
    let mut found = Vec::new();
    for (node, slots) in primaries(&layout) {
        match reach.door(&node).open(cancel).and_then(|mut connection| look(&mut connection, slots)) {
            Ok(primary) => found.push(primary),
            // Named already.
            Err(error) if trouble.is_some() && error.kind == Kind::Unreachable => {}
            Err(error) => return Err(at_target(error)),
        }
    }
    if found.is_empty() {
        return Err(cluster_down(trouble.as_deref().unwrap_or("it has no primary")));
    }
    Ok(Survey { topology: layout.topology, primaries: found, trouble })
}

fn look(connection: &mut Connection, slots: Slots) -> Result<Primary> {
    let facts = probe(connection)?;
    let info = Info::ask(connection)?.unwrap_or_default();
    let databases = match facts.role.as_str() {
        "" => count_databases(connection)?,
        _ => info.key_counts(),
    };
    let functions = match connection.call(&[b"FUNCTION", b"LIST"])? {
        Reply::Array(Some(libraries)) => libraries.len() as u64,
        // Unknown before Redis 7.0, or not allowed.
        _ => info.number("number_of_libraries").unwrap_or(0),
    };
    let modules = match connection.call(&[b"MODULE", b"LIST"])? {
        Reply::Array(Some(modules)) => {
            Some(modules.iter().filter_map(|module| module.field("name")?.text()).collect())
        }
        _ => None,
    };
    let databases_setting =
        if facts.topology == Topology::Cluster { "cluster-databases" } else { "databases" };
    let most_databases = connection.setting(databases_setting)?.and_then(|text| text.parse().ok());
    Ok(Primary {
        node: connection.node().clone(),
        slots,
        format: format_of(facts.valkey, &facts.version),
        run_id: info.text("run_id").to_owned(),
        databases,
        functions,
        modules,
        // A cluster has one, but for Valkey 9 if it is told otherwise.
        most_databases: most_databases.or((facts.topology == Topology::Cluster).then_some(1)),
        is_replica: facts.role == "slave",
        replicates_with_tls: connection.setting("tls-replication")?.as_deref() == Some("yes"),
        may_follow: connection.may(&[b"REPLICAOF", b"keystow", b"no port"])?,
        may_restore: connection.may(&[b"RESTORE", b"keystow", b"-1", b""])?,
        facts,
    })
}

/// Keys by database, counted in one after the other.
fn count_databases(connection: &mut Connection) -> Result<BTreeMap<u64, u64>> {
    let mut databases = BTreeMap::new();
    for index in 0..MOST_DATABASES {
        if !matches!(connection.call(&[b"SELECT", index.to_string().as_bytes()])?, Reply::Simple(_))
            && index > 0
        {
            break;
        }
        if let Reply::Integer(keys) = connection.call(&[b"DBSIZE"])? {
            databases.insert(index, u64::try_from(keys).unwrap_or(0));
        }
    }
    databases.retain(|_, keys| *keys > 0);
    Ok(databases)
}

/// The newest format that a server reads and that is written here; `None` for one that is too old or unknown.
pub(super) fn format_of(valkey: bool, version: &str) -> Option<Format> {
    let own = Version::read(version)?.own_format(valkey);
    let written = Format::WRITTEN.into_iter().filter(|format| format.flavour == own.flavour);
    written.filter(|format| format.version <= own.version).max_by_key(|format| format.version)
}

/// Whether a server loads a file of that format as it is. None that is too old to be a target does.
pub(super) fn loads(facts: &ServerFacts, file: Format) -> bool {
    format_of(facts.valkey, &facts.version).is_some()
        && Version::read(&facts.version).is_some_and(|version| version.loads(facts.valkey, file))
}

impl Survey {
    /// Keys in all primaries.
    pub(super) fn keys(&self) -> u64 {
        self.primaries.iter().flat_map(|primary| primary.databases.values()).sum()
    }

    /// Function libraries of all primaries.
    pub(super) fn functions(&self) -> u64 {
        self.primaries.iter().map(|primary| primary.functions).sum()
    }

    /// Whether it has nothing to lose.
    pub(super) fn is_empty(&self) -> bool {
        self.keys() == 0 && self.functions() == 0
    }

    /// Run ids of all primaries that tell theirs.
    pub(super) fn run_ids(&self) -> Vec<String> {
        let run_ids = self.primaries.iter().map(|primary| primary.run_id.clone());
        run_ids.filter(|run_id| !run_id.is_empty()).collect()
    }

    /// The same for every way to this target: the run ids of its primaries, in order; `None` if one does not tell.
    pub(super) fn identity(&self) -> Option<String> {
        // 40 hex digits (`CONFIG_RUN_ID_SIZE` in Redis `src/server.h`).
        let is_sound = |id: &&str| id.len() == 40 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let ids = self.primaries.iter().map(|primary| Some(primary.run_id.as_str()).filter(is_sound));
        let mut ids = ids.collect::<Option<Vec<_>>>()?;
        ids.sort_unstable();
        Some(ids.join(","))
    }

    /// The first primary, which speaks for all in matters of version.
    pub(super) fn first(&self) -> &Primary {
        &self.primaries[0]
    }

    /// The primaries, for commands.
    pub(super) fn route(&self) -> Result<Route> {
        let primaries = self.primaries.iter().map(|primary| (primary.node.clone(), primary.slots.clone()));
        Route::new(primaries)
            .ok_or_else(|| Error::internal("a target without a primary", "it was just found"))
    }

    /// The oldest format of all primaries.
    pub(super) fn format(&self) -> Option<Format> {
        let formats = self.primaries.iter().map(|primary| primary.format).collect::<Option<Vec<_>>>()?;
        formats.into_iter().min_by_key(|format| format.version)
    }
}

/// Keys in all primaries now.
pub(super) fn count_keys(reach: &Reach, route: &Route, cancel: &CancellationToken) -> Result<u64> {
    let count = |node: &Node| -> Result<u64> {
        let mut connection = reach.door(node).open(cancel)?;
        Ok(match Info::ask(&mut connection)? {
            Some(info) => info.key_counts().values().sum(),
            None => count_databases(&mut connection)?.values().sum(),
        })
    };
    route.primaries().iter().map(count).sum::<Result<u64>>().map_err(at_target)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(name: &str) -> ServerFacts {
        let (family, version) = name.split_once(' ').unwrap();
        ServerFacts {
            valkey: family == "valkey",
            version: version.to_owned(),
            role: String::new(),
            used_bytes: 0,
            max_bytes: 0,
            replicas: 0,
            topology: Topology::Standalone,
            shards: 0,
            nodes: Vec::new(),
        }
    }

    #[test]
    fn files_load_in_servers_as_new_as_they_are() {
        let old = Format::redis(6);
        for (name, loaded, refused) in [
            ("redis 6.2.14", vec![old, Format::REDIS_9], vec![Format::REDIS_10, Format::VALKEY_80]),
            ("redis 7.2.4", vec![old, Format::REDIS_11], vec![Format::REDIS_12, Format::VALKEY_80]),
            ("redis 8.6.0", vec![Format::REDIS_12, Format::redis(13)], vec![Format::redis(14)]),
            ("valkey 8.1.1", vec![Format::REDIS_11], vec![Format::REDIS_12, Format::VALKEY_80]),
            ("valkey 9.1.2", vec![Format::REDIS_11, Format::VALKEY_80], vec![Format::REDIS_12]),
            ("redis 4.0.14", vec![], vec![old]),
            ("redis ", vec![], vec![old]),
        ] {
            let facts = server(name);
            assert!(loaded.iter().all(|file| loads(&facts, *file)), "{name}");
            assert!(!refused.iter().any(|file| loads(&facts, *file)), "{name}");
        }
    }

    #[test]
    fn servers_read_what_they_write() {
        for (valkey, version, format) in [
            (false, "5.0.14", Some(Format::REDIS_9)),
            (false, "6.2.14", Some(Format::REDIS_9)),
            (false, "7.0.15", Some(Format::REDIS_10)),
            (false, "7.2.4", Some(Format::REDIS_11)),
            (false, "7.3.6", Some(Format::REDIS_11)),
            (false, "7.4.1", Some(Format::REDIS_12)),
            (false, "8.2.3", Some(Format::REDIS_12)),
            (false, "99.0", Some(Format::REDIS_12)),
            (true, "8.1.1", Some(Format::REDIS_11)),
            (true, "9.1.2", Some(Format::VALKEY_80)),
            (false, "4.0.14", None),
            (false, "", None),
        ] {
            assert_eq!(format_of(valkey, version), format, "{version}");
        }
    }
}
