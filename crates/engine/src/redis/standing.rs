//! Where a server stands in replication, in its own words: Sentinels and other nodes of a cluster lag behind.

use super::info::Info;
use super::layout::Member;
use super::{Connection, Node, Reply};
use crate::error::{Error, Result};

/// What a server is to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Primary,
    Replica,
    Sentinel,
    /// This user may ask neither INFO nor ROLE.
    Unknown,
}

/// A server's own view of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) role: Role,
    /// Why a backup should not ask it now.
    pub(super) trouble: Option<String>,
    /// How far it is in the replication stream, and of which history that is.
    pub(super) offset: Option<u64>,
    pub(super) history: String,
    pub(super) in_cluster: bool,
    /// Whether it may move whole ranges of slots at once, as Valkey 9 does; `None` if its version is unknown.
    pub(super) moves_ranges: Option<bool>,
}

impl Standing {
    /// Asks by INFO, else by ROLE.
    pub(super) fn ask(connection: &mut Connection) -> Result<Self> {
        if let Some(info) = Info::ask(connection)? {
            return Ok(Self::of_info(&info));
        }
        // A node of a cluster must not pass for a server that holds everything.
        let in_cluster = matches!(connection.call(&[b"CLUSTER", b"INFO"])?, Reply::Bulk(Some(_)));
        match connection.call(&[b"ROLE"])? {
            Reply::Error(text) if !text.starts_with("NOPERM") => {
                Err(connection.refusal("say its role", &text))
            }
            reply => Ok(Self { in_cluster, ..Self::of_role(&reply) }),
        }
    }

    fn of_info(info: &Info) -> Self {
        let (role, offset) = match info.text("role") {
            _ if info.mode() == "sentinel" => (Role::Sentinel, None),
            "master" => (Role::Primary, info.number("master_repl_offset")),
            "slave" | "replica" => (Role::Replica, info.number("slave_repl_offset")),
            _ => (Role::Unknown, None),
        };
        let (valkey, version) = info.version();
        let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        let trouble = if info.is_on("loading") {
            Some("it is loading its data".to_owned())
        } else if role != Role::Replica || info.text("master_link_status") == "up" {
            None
        } else if info.is_on("master_sync_in_progress") {
            Some("it is fetching the whole data from its primary".to_owned())
        } else {
            let seconds = info.number("master_link_down_since_seconds");
            let since = seconds.map(|seconds| format!(" for {seconds} s")).unwrap_or_default();
            Some(format!("its link to the primary is down{since}"))
        };
        Self {
            role,
            trouble,
            offset,
            history: info.text("master_replid").to_owned(),
            in_cluster: info.is_on("cluster_enabled") || info.mode() == "cluster",
            moves_ranges: major.map(|major| valkey && major >= 9),
        }
    }

    /// `master <offset> …`, `slave <host> <port> <state> <offset>` or `sentinel …` (Redis `roleCommand`).
    fn of_role(reply: &Reply) -> Self {
        let words = reply.elements();
        let offset = |at: usize| words.get(at).and_then(Reply::number).and_then(|at| u64::try_from(at).ok());
        let link = words.get(3).and_then(Reply::text).unwrap_or_default();
        let (role, offset) = match words.first().and_then(Reply::text).as_deref() {
            Some("master") => (Role::Primary, offset(1)),
            Some("slave" | "replica") => (Role::Replica, offset(4)),
            Some("sentinel") => (Role::Sentinel, None),
            _ => (Role::Unknown, None),
        };
        let stale = role == Role::Replica && link != "connected";
        Self {
            role,
            trouble: stale.then(|| format!("its link to the primary is not up ({link})")),
            offset,
            history: String::new(),
            in_cluster: false,
            moves_ranges: None,
        }
    }
}

/// A server of a shard, as others tell of it, and then as it tells itself.
pub(super) struct Seen {
    pub(super) node: Node,
    pub(super) id: Option<String>,
    /// Whether the others take it for the primary.
    pub(super) primary: bool,
    /// What the others have against it.
    pub(super) doubt: Option<String>,
    /// `None` if it was not asked.
    pub(super) standing: Option<Result<Standing, Error>>,
}

impl Seen {
    fn own(&self) -> Option<&Standing> {
        self.standing.as_ref()?.as_ref().ok()
    }

    fn is_primary(&self) -> bool {
        match self.own().map(|own| own.role) {
            Some(Role::Primary) => true,
            Some(Role::Replica | Role::Sentinel) => false,
            Some(Role::Unknown) | None => self.primary,
        }
    }

    /// Why a backup should not ask it; `primary` is what the shard's primary says of itself.
    fn trouble(&self, primary: Option<&Standing>) -> Option<String> {
        let own = match &self.standing {
            None => return Some(self.doubt.clone().unwrap_or_else(|| "it was not asked".to_owned())),
            Some(Err(error)) => return Some(error.to_string()),
            Some(Ok(own)) => own,
        };
        if own.role == Role::Sentinel {
            return Some("it is a Sentinel".to_owned());
        }
        if let Some(known) = own.trouble.as_ref().or(self.doubt.as_ref()) {
            return Some(known.clone());
        }
        if self.primary && own.role == Role::Replica {
            return Some("it was the primary and is a replica now: a fail-over is under way".to_owned());
        }
        let other = primary.filter(|primary| !primary.history.is_empty() && !own.history.is_empty());
        let strange = other.is_some_and(|primary| primary.history != own.history);
        strange.then(|| "it follows another primary".to_owned())
    }
}

/// The members of a shard, its primary first.
pub(super) fn members(all: Vec<Seen>) -> Vec<Member> {
    let primary =
        all.iter().find(|seen| seen.is_primary() && seen.doubt.is_none()).and_then(Seen::own).cloned();
    let mut members: Vec<_> = all
        .into_iter()
        .map(|seen| {
            let is_primary = seen.is_primary();
            let trouble = seen.trouble(primary.as_ref());
            let behind = |own: &Standing| Some(primary.as_ref()?.offset?.saturating_sub(own.offset?));
            Member {
                primary: is_primary,
                healthy: trouble.is_none(),
                lag_bytes: seen.own().filter(|_| !is_primary).and_then(behind),
                why: trouble.unwrap_or_default(),
                node: seen.node,
                id: seen.id,
            }
        })
        .collect();
    members.sort_by_key(|member| !member.primary);
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(text: &str) -> Standing {
        Standing::of_info(&Info::new(&text.replace(' ', "\r\n")))
    }

    fn role(lines: &str) -> Standing {
        let script = [lines.as_bytes().to_vec()];
        Standing::of_role(&Connection::scripted(script, super::super::Timeouts::default()).reply().unwrap())
    }

    const PRIMARY: &str = "role:master master_repl_offset:500 master_replid:abc loading:0";
    const REPLICA: &str = "role:slave master_link_status:up slave_repl_offset:480 master_replid:abc";

    fn seen(port: u16, primary: bool, doubt: Option<&str>, standing: Option<Result<Standing>>) -> Seen {
        let node = Node::Tcp { host: "h".to_owned(), port, tls: false };
        Seen { node, id: None, primary, doubt: doubt.map(str::to_owned), standing }
    }

    #[test]
    fn a_server_is_taken_at_its_own_word() {
        let primary = info(PRIMARY);
        assert_eq!((primary.role, primary.offset, primary.trouble), (Role::Primary, Some(500), None));
        let replica = info(REPLICA);
        assert_eq!((replica.role, replica.offset, replica.trouble), (Role::Replica, Some(480), None));
        for (text, why) in [
            ("role:slave master_link_status:down master_link_down_since_seconds:12", "down for 12 s"),
            ("role:slave master_link_status:down master_sync_in_progress:1", "fetching the whole data"),
            ("role:slave", "is down"),
            ("role:master loading:1", "loading"),
        ] {
            assert!(info(text).trouble.unwrap().contains(why), "{text}");
        }
        assert_eq!(info("redis_mode:sentinel role:master").role, Role::Sentinel);
        assert!(info("cluster_enabled:1").in_cluster && info("server_mode:cluster").in_cluster);
        let moves = |text| info(text).moves_ranges;
        assert_eq!(moves("server_name:valkey redis_version:7.2.4 valkey_version:9.1.2"), Some(true));
        assert_eq!(
            (moves("valkey_version:8.1.8"), moves("redis_version:10.0.0")),
            (Some(false), Some(false))
        );
        assert_eq!(moves("role:master"), None);
    }

    #[test]
    fn role_answers_where_info_may_not() {
        assert_eq!(role("*3\r\n$6\r\nmaster\r\n:77\r\n*0\r\n").offset, Some(77));
        let replica = |state: &str| {
            let length = state.len();
            role(&format!("*5\r\n$5\r\nslave\r\n$1\r\nh\r\n:6379\r\n${length}\r\n{state}\r\n:66\r\n"))
        };
        let good = replica("connected");
        assert_eq!((good.role, good.offset, good.trouble), (Role::Replica, Some(66), None));
        assert!(replica("connect").trouble.unwrap().contains("(connect)"));
        assert_eq!(role("-NOPERM no\r\n").role, Role::Unknown);
        assert_eq!(role("*0\r\n").role, Role::Unknown);
    }

    #[test]
    fn members_are_judged_by_what_they_and_the_others_say() {
        let strange = info(&REPLICA.replace("abc", "xyz"));
        let lost = Error::new(crate::error::Kind::Unreachable, "SOURCE_UNREACHABLE", "cannot connect");
        let members = members(vec![
            seen(1, false, None, Some(Ok(info(REPLICA)))),
            seen(2, false, Some("its health is fail"), Some(Ok(info(REPLICA)))),
            seen(3, true, None, Some(Ok(info(PRIMARY)))),
            seen(4, false, None, Some(Ok(strange))),
            seen(5, false, None, Some(Err(lost))),
            seen(6, false, Some("s_down"), None),
        ]);
        let told: Vec<_> = members
            .iter()
            .map(|member| (member.node.to_string(), member.why.as_str(), member.lag_bytes))
            .collect();
        let expected = [
            (3, "", None),
            (1, "", Some(20)),
            (2, "its health is fail", Some(20)),
            (4, "it follows another primary", Some(20)),
            (5, "cannot connect", None),
            (6, "s_down", None),
        ];
        assert_eq!(told, expected.map(|(port, why, lag)| (format!("redis://h:{port}"), why, lag)));
        assert_eq!(members.iter().filter(|member| member.primary).count(), 1);
        assert!(members.iter().all(|member| member.healthy == member.why.is_empty()));
    }

    #[test]
    fn a_primary_that_was_replaced_is_none() {
        let members = members(vec![seen(1, true, None, Some(Ok(info(REPLICA))))]);
        assert!(!members[0].primary && !members[0].healthy && members[0].why.contains("fail-over"));
    }
}
