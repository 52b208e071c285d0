//! Asks a target for every key of a restore, before anything is changed.

use std::io;

use keystow_rdb::{RestoreEntry, RestoreSink};

use super::at_target;
use super::attempt::Attempt;
use super::survey::Survey;
use crate::error::{Error, Kind, Result};
use crate::redis::{Connection, Reply, Route, encode};

/// Keys that are asked for at once.
const AT_ONCE: usize = 1000;
/// Keys that a refusal names.
const NAMED: usize = 5;

impl Attempt {
    /// Refuses a restore of which the target has a key already.
    pub(super) fn look_for_conflicts(&self, survey: &Survey) -> Result<()> {
        let to = survey
            .format()
            .ok_or_else(|| Error::internal("a target of no known version", "it was planned for"))?;
        let route = survey.route()?;
        let opened = route.primaries().iter().map(|node| self.door(node).open(&self.cancel).map(Asker::new));
        let askers = opened.collect::<Result<Vec<_>>>().map_err(at_target)?;
        let mut asking = Asking { route, askers, found: 0, names: Vec::new(), failure: None };
        for part in &self.backup.parts {
            let options = self.parts().options(part, to)?;
            self.parts().read(part, &options, &mut asking, |asking| asking.failure.take())?;
        }
        asking.ask_all()?;
        if asking.found == 0 {
            return Ok(());
        }
        let names: Vec<String> = asking.names.iter().map(|key| format!("\"{key}\"")).collect();
        let more = if asking.found > names.len() as u64 { " and others" } else { "" };
        Err(Error::new(
            Kind::Conflict,
            "RESTORE_CONFLICT",
            format!("the target has {} of the keys already", asking.found),
        )
        .because(format!("{}{more}", names.join(", ")))
        .hint("choose with --on-conflict replace or skip, or give the keys other names with --prefix"))
    }
}

/// A connection, and what it is to ask next.
struct Asker {
    connection: Connection,
    database: u64,
    command: Vec<u8>,
    keys: Vec<Vec<u8>>,
}

impl Asker {
    fn new(connection: Connection) -> Self {
        Self { connection, database: 0, command: Vec::new(), keys: Vec::new() }
    }

    /// Asks; gives the keys that are there.
    fn ask(&mut self) -> Result<Vec<Vec<u8>>> {
        let mut found = Vec::new();
        self.connection.send_raw(&self.command)?;
        for key in self.keys.drain(..) {
            match self.connection.reply()? {
                Reply::Integer(0) => {}
                Reply::Integer(_) => found.push(key),
                Reply::Error(text) => return Err(self.connection.refusal("tell of a key (EXISTS)", &text)),
                _ => return Err(self.connection.no_redis("an odd reply to EXISTS")),
            }
        }
        self.command.clear();
        Ok(found)
    }

    fn select(&mut self, database: u64) -> Result<()> {
        let reply = self.connection.call(&[b"SELECT", database.to_string().as_bytes()])?;
        if let Reply::Error(text) = reply {
            return Err(self.connection.refusal("select a database", &text));
        }
        self.database = database;
        Ok(())
    }
}

struct Asking {
    route: Route,
    askers: Vec<Asker>,
    found: u64,
    names: Vec<String>,
    failure: Option<Error>,
}

impl Asking {
    fn take(&mut self, entry: &RestoreEntry<'_>) -> Result<()> {
        let index = self.route.owner(entry.slot);
        if self.askers[index].database != entry.database {
            self.ask(index)?;
            self.askers[index].select(entry.database).map_err(at_target)?;
        }
        let asker = &mut self.askers[index];
        encode(&mut asker.command, &[b"EXISTS", entry.key]);
        asker.keys.push(entry.key.to_vec());
        if asker.keys.len() >= AT_ONCE { self.ask(index) } else { Ok(()) }
    }

    fn ask(&mut self, index: usize) -> Result<()> {
        let found = self.askers[index].ask().map_err(at_target)?;
        self.found += found.len() as u64;
        let free = NAMED.saturating_sub(self.names.len());
        self.names
            .extend(found.iter().take(free).map(|key| key[..key.len().min(64)].escape_ascii().to_string()));
        Ok(())
    }

    fn ask_all(&mut self) -> Result<()> {
        (0..self.askers.len()).try_for_each(|index| self.ask(index))
    }

    fn or_keep(&mut self, result: Result<()>) -> io::Result<()> {
        result.map_err(|error| {
            self.failure = Some(error);
            io::Error::other("the target")
        })
    }
}

impl RestoreSink for Asking {
    fn database(&mut self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn entry(&mut self, entry: RestoreEntry<'_>) -> io::Result<()> {
        if !entry.is_last {
            return Ok(());
        }
        let asked = self.take(&entry);
        self.or_keep(asked)
    }

    fn function(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
}
