//! How a server is before a snapshot is asked of it, so that a backup does no harm: a snapshot forks, and the child's
//! memory grows with what is written meanwhile.

use std::time::Duration;

use super::info::Info;
use super::{Connection, Reply};
use crate::error::Result;

/// A replica's output buffer below this is soon full while a snapshot is sent.
const SMALL_BUFFER: u64 = 32 << 20;
/// A fork for longer than this is felt by the server's clients.
const SLOW_FORK: Duration = Duration::from_secs(1);

/// How a server is. What it does not say, or may not be asked, is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Condition {
    /// `true` for Valkey.
    pub valkey: bool,
    /// Such as `7.0.15`; empty if unknown.
    pub version: String,
    /// A BGSAVE is running, be it for a replica.
    pub saving: bool,
    /// An AOF rewrite is running.
    pub rewriting_aof: bool,
    /// The last fork's duration.
    pub latest_fork: Option<Duration>,
    /// Bytes of data, without what the server needs beside it.
    pub dataset_bytes: Option<u64>,
    /// Bytes of memory that the server's process has.
    pub rss_bytes: Option<u64>,
    /// Bytes of memory of its host.
    pub system_bytes: Option<u64>,
    /// `maxmemory`, in bytes; 0 = no limit.
    pub max_memory_bytes: Option<u64>,
    /// Replicas connected.
    pub replicas: Option<u64>,
    /// Hard limit of `client-output-buffer-limit replica`, in bytes; 0 = none.
    pub replica_buffer_bytes: Option<u64>,
    /// `min-replicas-to-write`
    pub min_replicas_to_write: Option<u64>,
    /// `rdbcompression`
    pub rdb_compression: Option<bool>,
    /// `repl-diskless-sync`
    pub diskless_sync: Option<bool>,
    /// ACL rules that this user lacks for looking, such as `+info`.
    pub missing_rights: Vec<&'static str>,
}

/// What a person, or a backup, should do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// How bad it is.
    pub severity: Severity,
    /// Stable code.
    pub code: &'static str,
    /// What is so, and which setting mends it.
    pub text: String,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Tell, and go on.
    Warn,
    /// Do not take a snapshot now.
    Refuse,
}

/// Asks the server how it is, by INFO, and by CONFIG GET where this user may.
pub fn look(connection: &mut Connection) -> Result<Condition> {
    let mut missing = Vec::new();
    let info = Info::ask(connection)?;
    let mut condition = info.as_ref().map(Condition::of_info).unwrap_or_default();
    if info.is_none() {
        missing.push("+info");
    }
    for setting in SETTINGS {
        match connection.call(&[b"CONFIG", b"GET", setting.as_bytes()])? {
            Reply::Error(text) if text.starts_with("NOPERM") => {
                missing.push("+config|get");
                break;
            }
            // Managed services hide CONFIG; there is no right to be given.
            Reply::Error(_) => break,
            reply => {
                if let Some(value) = reply.field(setting).and_then(Reply::text) {
                    condition.set(setting, &value);
                }
            }
        }
    }
    condition.missing_rights = missing;
    Ok(condition)
}

/// Asked one by one: before Redis 7 CONFIG GET takes a single name.
const SETTINGS: [&str; 5] = [
    "client-output-buffer-limit",
    "min-replicas-to-write",
    "rdbcompression",
    "repl-diskless-sync",
    "maxmemory",
];

impl Condition {
    fn of_info(info: &Info) -> Self {
        let (valkey, version) = info.version();
        let known = |name| info.number(name).filter(|bytes| *bytes > 0);
        Self {
            valkey,
            version: version.to_owned(),
            saving: info.is_on("rdb_bgsave_in_progress"),
            rewriting_aof: info.is_on("aof_rewrite_in_progress"),
            latest_fork: info.number("latest_fork_usec").map(Duration::from_micros),
            dataset_bytes: known("used_memory_dataset").or(known("used_memory")),
            rss_bytes: known("used_memory_rss"),
            system_bytes: known("total_system_memory"),
            max_memory_bytes: info.number("maxmemory"),
            replicas: info.number("connected_slaves"),
            ..Self::default()
        }
    }

    fn set(&mut self, setting: &str, value: &str) {
        match setting {
            "client-output-buffer-limit" => self.replica_buffer_bytes = replica_limit(value),
            "min-replicas-to-write" => self.min_replicas_to_write = value.parse().ok(),
            "rdbcompression" => self.rdb_compression = Some(value == "yes"),
            "repl-diskless-sync" => self.diskless_sync = Some(value == "yes"),
            "maxmemory" => self.max_memory_bytes = value.parse().ok().or(self.max_memory_bytes),
            _ => {}
        }
    }

    /// Whether the server sends a snapshot alone when asked to (`REPLCONF rdb-only`): Redis since 6.2, and all Valkey.
    /// `None` if its version is unknown.
    pub fn knows_rdb_only(&self) -> Option<bool> {
        let mut numbers = self.version.split('.').map(|number| number.parse::<u32>().ok());
        let version = (numbers.next()??, numbers.next()??);
        Some(self.valkey || version >= (6, 2))
    }

    /// What to do about it, the worst first.
    pub fn advice(&self) -> Vec<Advice> {
        let all =
            [self.busy(), self.memory(), self.buffer(), self.min_replicas(), self.fork(), self.unseen()];
        let mut all: Vec<_> = all.into_iter().flatten().collect();
        all.sort_by_key(|advice| std::cmp::Reverse(advice.severity));
        all
    }

    fn busy(&self) -> Option<Advice> {
        let what = match (self.saving, self.rewriting_aof) {
            (true, _) => "a BGSAVE is running (rdb_bgsave_in_progress)",
            (_, true) => "an AOF rewrite is running (aof_rewrite_in_progress)",
            _ => return None,
        };
        let text =
            format!("{what}, and a second fork would double what memory it takes; wait until it has ended");
        Some(Advice { severity: Severity::Refuse, code: "SOURCE_SAVING", text })
    }

    /// A fork copies each page that is written meanwhile: with many writes up to all of the data.
    fn memory(&self) -> Option<Advice> {
        let (data, system) = (self.dataset_bytes?, self.system_bytes?);
        let left = system.saturating_sub(self.rss_bytes?);
        let (severity, code, part) = match left {
            _ if left < data / 10 => (Severity::Refuse, "SOURCE_MEMORY_SHORT", "a tenth"),
            _ if left < data / 2 => (Severity::Warn, "SOURCE_MEMORY_LOW", "half"),
            _ => return None,
        };
        let text = format!(
            "the host has {} MiB of memory left beside the server, less than {part} of its {} MiB of data, which a \
             snapshot may need for a copy of what is written meanwhile; lower maxmemory, give the host more, or back \
             up a replica",
            left >> 20,
            data >> 20,
        );
        Some(Advice { severity, code, text })
    }

    fn buffer(&self) -> Option<Advice> {
        let limit = self.replica_buffer_bytes.filter(|limit| (1..SMALL_BUFFER).contains(limit))?;
        let text = format!(
            "this version queues its changes for us while it sends the snapshot, and cuts us off when there are more \
             than {} KiB of them; raise client-output-buffer-limit replica to 256mb 64mb 60",
            limit >> 10,
        );
        self.as_a_replica("SOURCE_BUFFER_SMALL", text)
    }

    fn min_replicas(&self) -> Option<Advice> {
        let wanted = self.min_replicas_to_write.filter(|wanted| *wanted > 0)?;
        let text = format!(
            "this version may count us as one of the {wanted} replicas of min-replicas-to-write during a snapshot; \
             back up a replica instead, or use Redis 6.2 or later"
        );
        self.as_a_replica("SOURCE_MIN_REPLICAS", text)
    }

    /// Of servers that do not know `rdb-only`.
    fn as_a_replica(&self, code: &'static str, text: String) -> Option<Advice> {
        (self.knows_rdb_only() == Some(false)).then_some(Advice { severity: Severity::Warn, code, text })
    }

    fn fork(&self) -> Option<Advice> {
        let fork = self.latest_fork.filter(|fork| *fork > SLOW_FORK)?;
        let text = format!(
            "its last fork stopped the server for {} ms (latest_fork_usec); switch transparent huge pages off, or back \
             up a replica",
            fork.as_millis(),
        );
        Some(Advice { severity: Severity::Warn, code: "SOURCE_FORK_SLOW", text })
    }

    fn unseen(&self) -> Option<Advice> {
        let rights = self.missing_rights.join(" ");
        let text = format!(
            "this user may not look at how the server is, so a backup cannot spare it; ACL SETUSER <user> {rights}"
        );
        (!rights.is_empty()).then_some(Advice { severity: Severity::Warn, code: "SOURCE_UNSEEN", text })
    }
}

/// `normal 0 0 0 slave 268435456 67108864 60 pubsub …`: class, hard limit, soft limit, seconds.
fn replica_limit(value: &str) -> Option<u64> {
    let words: Vec<_> = value.split_whitespace().collect();
    let (classes, _) = words.as_chunks::<4>();
    let [_, hard, ..] = classes.iter().find(|class| matches!(class[0], "slave" | "replica"))?;
    hard.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis::Timeouts;

    /// Of INFO, Redis 7.0.15.
    const CALM: &str = "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\n# Memory\r\n\
        used_memory:1084408\r\nused_memory_rss:9195520\r\ntotal_system_memory:8326176768\r\n\
        used_memory_dataset:97704\r\nmaxmemory:0\r\n# Persistence\r\nloading:0\r\nrdb_bgsave_in_progress:0\r\n\
        rdb_last_bgsave_status:ok\r\naof_rewrite_in_progress:0\r\n# Stats\r\nlatest_fork_usec:412\r\n\
        # Replication\r\nrole:master\r\nconnected_slaves:1\r\n";
    const LIMITS: &str = "normal 0 0 0 slave 1048576 0 60 pubsub 33554432 8388608 60";

    fn with(changes: &[(&str, &str)]) -> Condition {
        let text = changes.iter().fold(CALM.to_owned(), |text, (from, to)| text.replace(from, to));
        assert!(changes.is_empty() || text != CALM);
        Condition::of_info(&Info::new(&text))
    }

    fn codes(condition: &Condition) -> Vec<(Severity, &'static str)> {
        condition.advice().iter().map(|advice| (advice.severity, advice.code)).collect()
    }

    #[test]
    fn a_calm_server_needs_no_advice() {
        let calm = with(&[]);
        assert_eq!(codes(&calm), []);
        assert_eq!(
            (calm.dataset_bytes, calm.replicas, calm.max_memory_bytes),
            (Some(97_704), Some(1), Some(0))
        );
        assert_eq!(calm.latest_fork, Some(Duration::from_micros(412)));
    }

    #[test]
    fn a_server_that_saves_is_left_alone() {
        for field in ["rdb_bgsave_in_progress", "aof_rewrite_in_progress"] {
            let saving = with(&[(&format!("{field}:0"), &format!("{field}:1"))]);
            assert_eq!(codes(&saving), [(Severity::Refuse, "SOURCE_SAVING")]);
            assert!(saving.advice()[0].text.contains(field));
        }
    }

    #[test]
    fn a_fork_needs_room_for_what_is_written_meanwhile() {
        for (left, expected) in [
            (99 << 20, Some((Severity::Refuse, "SOURCE_MEMORY_SHORT"))),
            (101 << 20, Some((Severity::Warn, "SOURCE_MEMORY_LOW"))),
            (499 << 20, Some((Severity::Warn, "SOURCE_MEMORY_LOW"))),
            (501 << 20, None),
        ] {
            let condition = Condition {
                dataset_bytes: Some(1000 << 20),
                rss_bytes: Some(1100 << 20),
                system_bytes: Some((1100 << 20) + left),
                // Nearly full is how caches are meant to be.
                max_memory_bytes: Some(1001 << 20),
                ..Condition::default()
            };
            assert_eq!(codes(&condition).first().copied(), expected, "{left}");
        }
        // More than there is: another host's figures, or swapped out.
        let swapped = with(&[("total_system_memory:8326176768", "total_system_memory:1024")]);
        assert_eq!(codes(&swapped), [(Severity::Refuse, "SOURCE_MEMORY_SHORT")]);
        assert_eq!(codes(&with(&[("total_system_memory", "something_else")])), []);
    }

    #[test]
    fn old_servers_take_a_backup_for_a_replica() {
        let mut old = with(&[("7.0.15", "6.0.16")]);
        old.set("client-output-buffer-limit", LIMITS);
        old.set("min-replicas-to-write", "2");
        assert_eq!(
            codes(&old),
            [(Severity::Warn, "SOURCE_BUFFER_SMALL"), (Severity::Warn, "SOURCE_MIN_REPLICAS"),]
        );
        assert!(old.advice()[0].text.contains("client-output-buffer-limit"));
        for version in ["6.2.0", "7.0.15", "10.0.1", "", "odd"] {
            let newer = Condition { version: version.to_owned(), ..old.clone() };
            assert_eq!(codes(&newer), [], "{version}");
        }
        let valkey = Condition { valkey: true, ..old.clone() };
        assert_eq!(codes(&valkey), []);
        for fine in ["normal 0 0 0 replica 0 0 0", "slave 33554432 0 0", "", "slave", "slave x 0 0"] {
            let mut fine_buffer = Condition { min_replicas_to_write: None, ..old.clone() };
            fine_buffer.set("client-output-buffer-limit", fine);
            assert_eq!(codes(&fine_buffer), [], "{fine}");
        }
    }

    #[test]
    fn a_slow_fork_is_told() {
        assert_eq!(codes(&with(&[("usec:412", "usec:1000001")])), [(Severity::Warn, "SOURCE_FORK_SLOW")]);
        assert_eq!(codes(&with(&[("usec:412", "usec:1000000")])), []);
    }

    fn look_at(replies: &[&str]) -> Condition {
        let script = replies.iter().map(|reply| reply.as_bytes().to_vec());
        look(&mut Connection::scripted(script, Timeouts::default())).unwrap()
    }

    #[test]
    fn everything_that_may_be_asked_is_asked() {
        let info = format!("${}\r\n{CALM}\r\n", CALM.len());
        let pair = |name: &str, value: &str| {
            format!("*2\r\n${}\r\n{name}\r\n${}\r\n{value}\r\n", name.len(), value.len())
        };
        let seen = look_at(&[
            &info,
            &pair("client-output-buffer-limit", LIMITS),
            &pair("min-replicas-to-write", "1"),
            &pair("rdbcompression", "yes"),
            // A server that does not know a name lists nothing.
            "*0\r\n",
            &pair("maxmemory", "104857600"),
        ]);
        assert_eq!((seen.rdb_compression, seen.diskless_sync), (Some(true), None));
        assert_eq!((seen.replica_buffer_bytes, seen.min_replicas_to_write), (Some(1 << 20), Some(1)));
        assert_eq!((seen.max_memory_bytes, seen.missing_rights.len()), (Some(100 << 20), 0));
    }

    #[test]
    fn missing_rights_are_named_once() {
        let seen = look_at(&["-NOPERM no\r\n", "-NOPERM no\r\n"]);
        let advice = seen.advice();
        assert_eq!(codes(&seen), [(Severity::Warn, "SOURCE_UNSEEN")]);
        assert!(advice[0].text.contains("+info +config|get"), "{}", advice[0].text);
        assert_eq!(codes(&look_at(&["-NOPERM no\r\n", "-ERR unknown command 'CONFIG'\r\n"])).len(), 1);
    }
}
