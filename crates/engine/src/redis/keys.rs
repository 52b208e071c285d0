//! A server's data key by key, for those that hide replication: `SCAN`, then `DUMP` and the expiry of each key.

use std::time::{Duration, Instant};

use super::connection::{Connection, Reply, encode};
use super::info::Info;
use super::pace::Pace;
use crate::error::Result;
use crate::model::ServerFacts;

/// Keys that one SCAN asks for.
const SCAN_COUNT: &[u8] = b"1000";
/// Keys whose values are asked for at once, at most: all of them may turn out to be large, and wait in the server's
/// memory.
const MOST_AT_ONCE: usize = 64;
/// Bytes of values that one batch should bring.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Longest value: a server refuses longer strings (`proto-max-bulk-len`), collections may be dumped up to this.
const LONGEST_PAYLOAD: usize = 1024 * 1024 * 1024;
/// Longest wait for one value; a server may need seconds to write a big one down.
const LONGEST_DUMP: Duration = Duration::from_mins(2);
/// Most databases that are looked for where INFO is not allowed; more than any server is known to have.
const MOST_DATABASES: u64 = 65_536;

/// A key with its value.
pub struct Dumped<'a> {
    /// The key.
    pub key: &'a [u8],
    /// What DUMP gave.
    pub payload: &'a [u8],
    /// Absolute expiry in Unix milliseconds.
    pub expires_ms: Option<i64>,
}

/// How fast keys may be read.
pub struct KeyPace {
    pace: Option<Pace>,
    /// Keys that may be asked for at once.
    at_once: usize,
}

impl KeyPace {
    /// At most so many keys a second; `None` = as fast as the server answers.
    pub fn new(keys_per_second: Option<u64>) -> Self {
        let rate = keys_per_second.filter(|rate| *rate > 0);
        // A tenth of a second's worth, so that a slow pace is an even one.
        let at_once = usize::try_from(rate.unwrap_or(u64::MAX).div_ceil(10)).unwrap_or(usize::MAX);
        Self { pace: rate.map(|rate| Pace::new(rate, Instant::now())), at_once: at_once.min(MOST_AT_ONCE) }
    }

    /// Waits until more keys may be asked for, then counts so many.
    fn take(&mut self, connection: &Connection, keys: usize) {
        if let Some(pace) = &mut self.pace {
            pace.wait(connection.cancel());
            pace.add(keys, Instant::now());
        }
    }
}

/// The reply, unless it is an error: then what that means for `action`.
fn granted(connection: &Connection, action: &str, reply: Reply) -> Result<Reply> {
    match reply {
        Reply::Error(text) => Err(connection.refusal(action, &text)),
        reply => Ok(reply),
    }
}

/// The databases that hold keys. Where INFO is not allowed, all that can be selected.
pub fn databases(connection: &mut Connection) -> Result<Vec<u64>> {
    match Info::ask(connection)? {
        Some(info) => Ok(info.keyspace().into_keys().collect()),
        None => selectable(connection),
    }
}

fn selectable(connection: &mut Connection) -> Result<Vec<u64>> {
    let mut found = Vec::new();
    for database in 0..MOST_DATABASES {
        match connection.call(&[b"SELECT", database.to_string().as_bytes()])? {
            Reply::Simple(_) => found.push(database),
            // Without the right to SELECT there is one database to be seen.
            Reply::Error(_) if database == 0 => return Ok(vec![0]),
            _ => break,
        }
    }
    Ok(found)
}

/// Goes to a database.
pub fn select(connection: &mut Connection, database: u64) -> Result<()> {
    let reply = connection.call(&[b"SELECT", database.to_string().as_bytes()])?;
    granted(connection, "select a database (SELECT)", reply).map(drop)
}

/// Lets a replica of a cluster answer for the keys of its shard.
pub fn read_at_replica(connection: &mut Connection) -> Result<()> {
    let reply = connection.call(&[b"READONLY"])?;
    granted(connection, "read from a replica (READONLY)", reply).map(drop)
}

/// The source code of each function library; none from servers that have no functions.
pub fn functions(connection: &mut Connection) -> Result<Vec<Vec<u8>>> {
    let reply = match connection.call(&[b"FUNCTION", b"LIST", b"WITHCODE"])? {
        Reply::Error(text) if text.contains("unknown command") => return Ok(Vec::new()),
        reply => granted(connection, "list its functions (FUNCTION LIST)", reply)?,
    };
    let code = |library: &Reply| match library.field("library_code") {
        Some(Reply::Bulk(Some(code))) => Some(code.clone()),
        _ => None,
    };
    let found: Option<Vec<_>> = reply.elements().iter().map(code).collect();
    found.ok_or_else(|| connection.no_redis("an odd reply to FUNCTION LIST"))
}

/// Every key of the selected database, at least once. One that is there all the time is not missed; one that comes or
/// goes meanwhile may be.
pub fn scan(connection: &mut Connection, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut cursor = b"0".to_vec();
    loop {
        let reply = connection.call(&[b"SCAN", &cursor, b"COUNT", SCAN_COUNT])?;
        let reply = granted(connection, "list its keys (SCAN)", reply)?;
        let [Reply::Bulk(Some(next)), Reply::Array(Some(keys))] = reply.elements() else {
            return Err(connection.no_redis("an odd reply to SCAN"));
        };
        for key in keys {
            let Reply::Bulk(Some(key)) = key else {
                return Err(connection.no_redis("an odd reply to SCAN"));
            };
            each(key)?;
        }
        if next == b"0" {
            return Ok(());
        }
        cursor.clone_from(next);
    }
}

/// The values of keys, in order, for those that still exist. `now_ms` turns what is left of an expiry into a moment, at
/// servers before 7.0.
pub fn dump(
    connection: &mut Connection,
    server: &ServerFacts,
    keys: &[Vec<u8>],
    pace: &mut KeyPace,
    now_ms: &dyn Fn() -> i64,
    mut each: impl FnMut(Dumped<'_>) -> Result<()>,
) -> Result<()> {
    let absolute = knows_absolute_expiry(server);
    let mut size = 16;
    let mut rest = keys;
    let mut commands = Vec::new();
    while !rest.is_empty() {
        let (batch, later) = rest.split_at(size.min(rest.len()).min(pace.at_once).max(1));
        pace.take(connection, batch.len());
        commands.clear();
        for key in batch {
            let expiry: &[u8] = if absolute { b"PEXPIRETIME" } else { b"PTTL" };
            encode(&mut commands, &[expiry, key]);
            encode(&mut commands, &[b"DUMP", key]);
        }
        connection.send_raw(&commands)?;
        let mut brought = 0;
        for key in batch {
            let expiry = Expiry::read(connection, absolute, now_ms)?;
            let reply = connection.reply_within(LONGEST_PAYLOAD, LONGEST_DUMP)?;
            // A key that has moved to another shard is that shard's.
            if has_moved(&reply) {
                continue;
            }
            // Null: the key is gone since.
            let Reply::Bulk(Some(payload)) = granted(connection, "give a value (DUMP)", reply)? else {
                continue;
            };
            let expires_ms = match expiry {
                Expiry::Never => None,
                Expiry::At(ms) => Some(ms),
                Expiry::Gone => continue,
            };
            brought += payload.len();
            each(Dumped { key, payload: &payload, expires_ms })?;
        }
        // As many keys as bring a batch's worth, but no leaps: the next values may be larger.
        size = if brought > BATCH_BYTES { (size / 4).max(1) } else { (size * 2).min(MOST_AT_ONCE) };
        rest = later;
    }
    Ok(())
}

/// `PEXPIRETIME` came with Redis 7.0. A server that does not say what it is may be older.
fn knows_absolute_expiry(server: &ServerFacts) -> bool {
    server.valkey || server.version.split('.').next().and_then(|major| major.parse::<u32>().ok()) >= Some(7)
}

/// Whether another shard of the cluster has the key.
fn has_moved(reply: &Reply) -> bool {
    matches!(reply, Reply::Error(text) if text.starts_with("MOVED ") || text.starts_with("ASK "))
}

/// When a key expires.
enum Expiry {
    /// It does not.
    Never,
    /// At this moment, in Unix milliseconds.
    At(i64),
    /// The key is not there any more.
    Gone,
}

impl Expiry {
    fn read(connection: &mut Connection, absolute: bool, now_ms: &dyn Fn() -> i64) -> Result<Self> {
        let reply = connection.reply()?;
        if has_moved(&reply) {
            return Ok(Self::Gone);
        }
        let Reply::Integer(ms) = granted(connection, "tell when a key expires", reply)? else {
            return Err(connection.no_redis("an odd reply to PEXPIRETIME"));
        };
        Ok(match ms {
            -2 => Self::Gone,
            ..0 => Self::Never,
            ms if absolute => Self::At(ms),
            left => Self::At(now_ms().saturating_add(left)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis::Timeouts;

    fn scripted(text: &str) -> Connection {
        Connection::scripted([text.as_bytes().to_vec()], Timeouts::default())
    }

    fn facts(version: &str) -> ServerFacts {
        ServerFacts {
            valkey: false,
            version: version.to_owned(),
            role: String::new(),
            used_bytes: 0,
            max_bytes: 0,
            replicas: 0,
            topology: crate::model::Topology::Standalone,
            shards: 0,
            nodes: Vec::new(),
        }
    }

    #[test]
    fn a_scan_goes_on_until_the_cursor_comes_back_to_nought() {
        let mut server =
            scripted("*2\r\n$2\r\n17\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n*2\r\n$1\r\n0\r\n*1\r\n$1\r\na\r\n");
        let mut seen = Vec::new();
        scan(&mut server, |key| {
            seen.push(key.to_vec());
            Ok(())
        })
        .unwrap();
        assert_eq!(seen, [b"a", b"b", b"a"], "doubles are the caller's matter");
        assert_eq!(scan(&mut scripted("+OK\r\n"), |_| Ok(())).unwrap_err().code, "SOURCE_NOT_REDIS");
        assert_eq!(scan(&mut scripted("-NOPERM no\r\n"), |_| Ok(())).unwrap_err().code, "SOURCE_DENIED");
    }

    #[test]
    fn keys_that_are_gone_are_passed_over_and_expiries_become_moments() {
        let keys: Vec<Vec<u8>> = [b"a", b"b", b"c", b"d"].map(|key| key.to_vec()).to_vec();
        let replies = ":-1\r\n$1\r\nA\r\n:-2\r\n$-1\r\n:500\r\n$1\r\nC\r\n:-1\r\n$-1\r\n";
        for (version, expected) in [("6.2.14", 1_500), ("7.0.0", 500)] {
            let mut seen = Vec::new();
            let mut pace = KeyPace::new(None);
            dump(&mut scripted(replies), &facts(version), &keys, &mut pace, &|| 1_000, |dumped| {
                seen.push((dumped.key.to_vec(), dumped.payload.to_vec(), dumped.expires_ms));
                Ok(())
            })
            .unwrap();
            let expected =
                [(b"a".to_vec(), b"A".to_vec(), None), (b"c".to_vec(), b"C".to_vec(), Some(expected))];
            assert_eq!(seen, expected, "{version}");
        }
    }

    #[test]
    fn databases_come_from_info() {
        let mut server = scripted("$47\r\n# Keyspace\r\ndb0:keys=1,expires=0\r\ndb11:keys=2\r\n\r\n");
        assert_eq!(databases(&mut server).unwrap(), [0, 11]);
        let mut server = scripted("-NOPERM no\r\n+OK\r\n+OK\r\n-ERR DB index is out of range\r\n");
        assert_eq!(databases(&mut server).unwrap(), [0, 1]);
    }

    #[test]
    fn a_slow_pace_asks_for_little_at_once() {
        assert_eq!(KeyPace::new(None).at_once, 64);
        assert_eq!(KeyPace::new(Some(100)).at_once, 10);
        assert_eq!(KeyPace::new(Some(1)).at_once, 1);
        assert_eq!(KeyPace::new(Some(0)).at_once, 64);
    }
}
