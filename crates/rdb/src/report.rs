//! A whole snapshot in one page: what is in it and whether it is sound.

use std::{
    collections::{BTreeMap, BTreeSet},
    error, fmt,
    io::{self, BufRead},
};

use crate::{
    event::{Checksum, Entry, Event, Kind},
    fault::{Fault, Reason},
    format::{Flavour, Format},
    limits::{Limits, NotCompared},
    reader::Reader,
};

/// AUX fields worth keeping; others may be one per key (`KeyDB` writes `mvcc-tstamp` so) and are not.
const KNOWN_AUX: [&str; 10] = [
    "redis-ver",
    "valkey-ver",
    "redis-bits",
    "ctime",
    "used-mem",
    "aof-base",
    "aof-preamble",
    "repl-stream-db",
    "repl-id",
    "repl-offset",
];
/// Values of known AUX fields are numbers, versions and 40-digit ids; a longer one is cut.
const AUX_BYTES: usize = 128;
/// More modules than any server has; keeps a hostile file from growing the set.
const MAX_MODULES: usize = 1024;
/// `redis-cli --rdb` of old versions leaves the end mark of a diskless transfer behind the checksum.
const END_MARK_BYTES: u64 = 40;

/// Reads a whole file and sums it up.
///
/// # Errors
/// The first fault, with the sums up to there.
pub fn verify<R: BufRead>(source: R, limits: Limits) -> Result<Report, Failure> {
    let mut reader = Reader::new(source, limits);
    let mut summary = Summary::default();
    loop {
        match reader.next_event() {
            Ok(Some(event)) => summary.add(&event),
            Ok(None) => break,
            Err(fault) => {
                return Err(Failure::new(fault, summary.into_report(&reader)));
            }
        }
    }
    let mut report = summary.into_report(&reader);
    match count_trailing(reader.into_inner()) {
        Ok((bytes, is_end_mark)) => {
            report.trailing_bytes = bytes;
            report.trailing_end_mark = is_end_mark;
            Ok(report)
        }
        Err(error) => {
            let fault = Fault { offset: report.bytes, key: None, reason: Reason::from(error) };
            Err(Failure::new(fault, report))
        }
    }
}

/// What a snapshot holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Report {
    /// The family of servers that the magic stands for.
    pub flavour: Flavour,
    /// The RDB version; 0 when the header was not reached.
    pub rdb_version: u16,
    /// The first nine bytes, such as `REDIS0011`.
    pub magic: String,
    /// The well-known AUX fields: server version, creation time, replication position.
    pub aux: BTreeMap<String, String>,
    /// Keys that a server would hold after loading the file.
    pub keys: u64,
    /// Empty collections, which servers leave out when they load the file; not counted elsewhere.
    pub empty_keys: u64,
    /// The same by database; a database without keys is not named.
    pub databases: BTreeMap<u64, DatabaseReport>,
    /// The same by kind.
    pub kinds: BTreeMap<Kind, KindReport>,
    /// Function libraries.
    pub functions: u64,
    /// Names of the modules that a server needs to load the file.
    pub modules: BTreeSet<String>,
    /// The state of the checksum; [`Checksum::Absent`] as long as the end was not reached.
    pub checksum: Checksum,
    /// What was not looked at for standing twice.
    pub not_compared: NotCompared,
    /// Bytes read, up to and with the checksum.
    pub bytes: u64,
    /// Bytes after the checksum; servers ignore them.
    pub trailing_bytes: u64,
    /// Those are the 40 letters and digits of a diskless transfer's end mark.
    pub trailing_end_mark: bool,
    /// The key with the most bytes in the file (itself cut to [`Fault::KEY_BYTES`]), and those bytes.
    pub largest_key: Option<(Vec<u8>, u64)>,
}

/// The keys of one database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DatabaseReport {
    /// All keys.
    pub keys: u64,
    /// Those of them with an expiry.
    pub with_expiry: u64,
}

/// The keys of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KindReport {
    /// How many.
    pub keys: u64,
    /// Their bytes in the file, keys and expiries included.
    pub bytes: u64,
}

/// A file that cannot be vouched for, with what was read before the fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The first fault.
    pub fault: Fault,
    /// The sums up to there.
    pub report_so_far: Box<Report>,
}

impl Failure {
    fn new(fault: Fault, mut report: Report) -> Self {
        if let Reason::Checksum { stored, computed } = fault.reason {
            report.checksum = Checksum::Bad { stored, computed };
        }
        Self { fault, report_so_far: Box::new(report) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fault.fmt(f)
    }
}

impl error::Error for Failure {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.fault.source()
    }
}

/// Builds a [`Report`] event by event, for callers with a loop of their own.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    report: Report,
    // Counted here and entered into the maps late: a map look-up per key would show in the run time.
    database: u64,
    in_database: DatabaseReport,
    kinds: [KindReport; Kind::ALL.len()],
}

impl Summary {
    /// Counts one event.
    pub fn add(&mut self, event: &Event<'_>) {
        match event {
            Event::Entry(entry) => self.add_entry(entry),
            Event::Header(format @ Format { flavour, version }) => {
                self.report.flavour = *flavour;
                self.report.rdb_version = *version;
                self.report.magic = format.magic();
            }
            Event::Aux { name, value } => self.add_aux(name, value),
            Event::Function { .. } => self.report.functions += 1,
            Event::ModuleAux { module, .. } => self.add_module(&module.name()),
            Event::End { checksum } => self.report.checksum = *checksum,
            Event::Database { .. }
            | Event::SizeHint { .. }
            | Event::SlotInfo { .. }
            | Event::SlotImport { .. } => {}
        }
    }

    /// Keys counted so far, for progress.
    pub fn keys(&self) -> u64 {
        self.report.keys
    }

    /// The sums, up to where the reader has come.
    pub fn into_report<R: BufRead>(mut self, reader: &Reader<R>) -> Report {
        self.enter_database();
        for (kind, counted) in Kind::ALL.into_iter().zip(self.kinds) {
            if counted.keys > 0 {
                self.report.kinds.insert(kind, counted);
            }
        }
        self.report.bytes = reader.offset();
        self.report.not_compared = reader.not_compared();
        self.report
    }

    fn add_entry(&mut self, entry: &Entry<'_>) {
        if let Some(module) = entry.module {
            self.add_module(&module.name());
        }
        if entry.is_skipped_by_servers() {
            self.report.empty_keys += 1;
            return;
        }
        if entry.database != self.database {
            self.enter_database();
            self.database = entry.database;
        }
        self.in_database.keys += 1;
        self.in_database.with_expiry += u64::from(entry.expires_ms.is_some());
        self.report.keys += 1;
        let kind = &mut self.kinds[entry.kind as usize];
        kind.keys += 1;
        kind.bytes += entry.stored_bytes;
        let largest = self.report.largest_key.as_ref().map_or(0, |(_, bytes)| *bytes);
        if entry.stored_bytes > largest {
            let key = &entry.key[..entry.key.len().min(Fault::KEY_BYTES)];
            self.report.largest_key = Some((key.to_vec(), entry.stored_bytes));
        }
    }

    fn enter_database(&mut self) {
        let counted = std::mem::take(&mut self.in_database);
        if counted.keys > 0 {
            let database = self.report.databases.entry(self.database).or_default();
            database.keys += counted.keys;
            database.with_expiry += counted.with_expiry;
        }
    }

    fn add_aux(&mut self, name: &[u8], value: &[u8]) {
        if let Some(known) = KNOWN_AUX.iter().find(|known| known.as_bytes() == name) {
            let value = &value[..value.len().min(AUX_BYTES)];
            let text = String::from_utf8_lossy(value).into_owned();
            self.report.aux.insert((*known).to_owned(), text);
        }
    }

    fn add_module(&mut self, name: &str) {
        if self.report.modules.len() < MAX_MODULES && !self.report.modules.contains(name) {
            self.report.modules.insert(name.to_owned());
        }
    }
}

/// Counts what follows the checksum, and tells whether it looks like an end mark.
fn count_trailing<R: BufRead>(mut source: R) -> io::Result<(u64, bool)> {
    let mut bytes = 0;
    let mut all_alphanumeric = true;
    loop {
        let chunk = match source.fill_buf() {
            Ok([]) => return Ok((bytes, bytes == END_MARK_BYTES && all_alphanumeric)),
            Ok(chunk) => chunk,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        all_alphanumeric &= bytes < END_MARK_BYTES && chunk.iter().all(u8::is_ascii_alphanumeric);
        bytes += chunk.len() as u64;
        let consumed = chunk.len();
        source.consume(consumed);
    }
}
