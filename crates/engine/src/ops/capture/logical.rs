//! One node's data, key by key, written down as a valid RDB file. Each key is right at its own moment; the whole is
//! not of one instant.
//!
//! First all keys are listed into files on the local disk, divided by their hash, then each file's keys are asked for
//! once: SCAN may name a key twice, but a snapshot must not hold it twice. Memory holds one file's keys, one batch of
//! values.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;

use keystow_rdb::dump::Payload;
use keystow_rdb::{Fault, Format, Limits, Record, WriteError, Writer};

use super::proof::{ChunkWriter, Proven, prove};
use crate::clock::Clock;
use crate::error::{Error, Kind, Result};
use crate::model::{Phase, ServerFacts, Slots};
use crate::ops::meter::Gauge;
use crate::redis::{Connection, Dumped, KeyPace, databases, dump, functions, scan, select};
use crate::vault::codec::PartWriter;

/// Files that the keys of a database are divided into.
const DIVISIONS: usize = 64;
/// Values above this are named in a warning: DUMP blocks the server while it writes one down.
const BIG_VALUE_BYTES: usize = 64 * 1024 * 1024;
/// Big values that are named.
const MOST_NAMED: usize = 10;

/// Data that is in the writer's hands.
pub(super) struct ReadOut {
    pub(super) proven: Proven,
    pub(super) warnings: Vec<String>,
    /// What this user may not read: it is missing.
    pub(super) missing: Option<Error>,
}

/// What reading key by key needs besides a connection.
pub(super) struct Order<'a> {
    pub(super) server: &'a ServerFacts,
    pub(super) keys_per_second: Option<u64>,
    pub(super) slots: &'a Slots,
    /// A folder for the lists of keys.
    pub(super) spool: &'a Path,
    pub(super) clock: &'a Clock,
}

/// Reads all keys of a node.
pub(super) fn read(
    mut connection: Connection,
    order: &Order<'_>,
    create: impl FnOnce() -> Result<PartWriter>,
    gauge: &Gauge<'_>,
) -> Result<(ReadOut, PartWriter)> {
    gauge.enter(Phase::Receiving);
    let mut missing = None;
    let libraries = functions(&mut connection).or_else(|error| match error.kind {
        Kind::Denied => {
            missing = Some(
                Error::new(Kind::Denied, "FUNCTIONS_DENIED", "the functions are missing")
                    .because(error)
                    .hint("give the user +function|list"),
            );
            Ok(Vec::new())
        }
        _ => Err(error),
    })?;
    let mut indexes = databases(&mut connection)?;
    if indexes.is_empty() {
        // It is scanned all the same: an empty server must not hide that the right to scan is missing.
        indexes.push(0);
    }
    let mut writer = create()?;
    let (warnings, proven) = prove(&mut writer, order.slots, gauge, |chunks| {
        let mut sheet = Sheet::new(ChunkWriter::new(chunks), &libraries);
        for database in indexes {
            read_database(&mut connection, order, database, &mut sheet)?;
        }
        sheet.end()
    })?;
    Ok((ReadOut { proven, warnings, missing }, writer))
}

fn read_database(
    connection: &mut Connection,
    order: &Order<'_>,
    database: u64,
    sheet: &mut Sheet<'_, '_>,
) -> Result<()> {
    select(connection, database)?;
    let mut lists = KeyLists::new(order.spool)?;
    scan(connection, |key| lists.add(key).map_err(|error| spool_failed(&error)))?;
    let mut pace = KeyPace::new(order.keys_per_second);
    let now_ms = || order.clock.now().as_millisecond();
    for index in 0..DIVISIONS {
        let keys = lists.take(index).map_err(|error| spool_failed(&error))?;
        dump(connection, order.server, &keys, &mut pace, &now_ms, |dumped| sheet.entry(database, &dumped))?;
    }
    Ok(())
}

fn spool_failed(error: &io::Error) -> Error {
    if error.kind() == io::ErrorKind::StorageFull {
        return Error::new(Kind::NoSpace, "DISK_FULL", "the list of keys does not fit on the disk")
            .because(error)
            .hint("free space on the disk of the data directory, then try again");
    }
    Error::internal("the list of keys cannot be kept", error)
}

/// The keys of one database, each in the file of its hash.
struct KeyLists {
    files: Vec<BufWriter<File>>,
    hash: RandomState,
}

impl KeyLists {
    /// The files have no name, so that nothing is left behind whatever happens.
    fn new(folder: &Path) -> Result<Self> {
        let file = || tempfile::tempfile_in(folder).map(|file| BufWriter::with_capacity(16 * 1024, file));
        let files = (0..DIVISIONS).map(|_| file()).collect::<io::Result<_>>();
        Ok(Self { files: files.map_err(|error| spool_failed(&error))?, hash: RandomState::new() })
    }

    fn add(&mut self, key: &[u8]) -> io::Result<()> {
        let index = self.hash.hash_one(key) % DIVISIONS as u64;
        let file = &mut self.files[usize::try_from(index).unwrap_or_default()];
        file.write_all(&u32::try_from(key.len()).unwrap_or(u32::MAX).to_le_bytes())?;
        file.write_all(key)
    }

    /// The keys of one file, each once; the file is emptied.
    fn take(&mut self, index: usize) -> io::Result<Vec<Vec<u8>>> {
        let writer = &mut self.files[index];
        writer.flush()?;
        let file = writer.get_mut();
        file.rewind()?;
        let mut keys = Vec::new();
        let mut reader = BufReader::new(&*file);
        let mut length = [0; 4];
        while reader.read(&mut length[..1])? == 1 {
            reader.read_exact(&mut length[1..])?;
            let mut key = vec![0; u32::from_le_bytes(length) as usize];
            reader.read_exact(&mut key)?;
            keys.push(key);
        }
        file.set_len(0)?;
        keys.sort_unstable();
        keys.dedup();
        Ok(keys)
    }
}

/// The file that is being written. It begins with the first value, which tells its format.
struct Sheet<'a, 'b> {
    out: Option<ChunkWriter<'a, 'b>>,
    file: Option<Writer<ChunkWriter<'a, 'b>>>,
    libraries: &'a [Vec<u8>],
    database: Option<u64>,
    big: Vec<String>,
}

impl<'a, 'b> Sheet<'a, 'b> {
    fn new(out: ChunkWriter<'a, 'b>, libraries: &'a [Vec<u8>]) -> Self {
        Self { out: Some(out), file: None, libraries, database: None, big: Vec::new() }
    }

    fn entry(&mut self, database: u64, dumped: &Dumped<'_>) -> Result<()> {
        let odd = |fault: Fault| {
            let message = format!("the source gave an odd value for \"{}\"", shown(dumped.key));
            Error::new(Kind::Corrupt, "SNAPSHOT_CORRUPT", message)
                .because(fault)
                .hint("take the backup again; if it happens twice, check the server's memory")
        };
        let mut payload = Payload::open(dumped.payload).map_err(odd)?;
        payload.check_sum().map_err(odd)?;
        if dumped.payload.len() > BIG_VALUE_BYTES && self.big.len() < MOST_NAMED {
            let mib = dumped.payload.len() >> 20;
            self.big.push(format!("\"{}\" has {mib} MiB: reading it blocks the source", shown(dumped.key)));
        }
        let file = self.file(payload.format())?;
        let relabelled;
        if payload.format() != file.format() {
            relabelled = payload
                .relabel(file.format(), Limits::default())
                .map_err(|error| unwritable(format!("\"{}\": {error}", shown(dumped.key))))?;
            payload = Payload::open(&relabelled).map_err(odd)?;
        }
        let record = Record { expires_ms: dumped.expires_ms, ..Record::new(dumped.key) };
        if self.database != Some(database) {
            self.database = Some(database);
            self.begun()?.database(database).map_err(refused)?;
        }
        let file = self.begun()?;
        file.entry(&record, payload.encoding()).map_err(not_written)?;
        file.raw(payload.value()).map_err(refused)
    }

    /// The file, begun in the format of a value if that is one that is written here.
    fn file(&mut self, format: Format) -> Result<&mut Writer<ChunkWriter<'a, 'b>>> {
        if let Some(out) = self.out.take() {
            let format = if format.is_written() { format } else { Format::REDIS_12 };
            let mut file = Writer::new(out, format).map_err(unwritable)?;
            file.aux(b"keystow-method", b"logical").map_err(refused)?;
            for code in self.libraries {
                file.function(code).map_err(not_written)?;
            }
            self.file = Some(file);
        }
        self.begun()
    }

    fn begun(&mut self) -> Result<&mut Writer<ChunkWriter<'a, 'b>>> {
        self.file.as_mut().ok_or_else(|| Error::internal("the file is not begun", "no value came"))
    }

    /// Ends the file. Returns what is to be said of big values.
    fn end(mut self) -> Result<Vec<String>> {
        // A server without a key still may have functions.
        self.file(if self.libraries.is_empty() { Format::REDIS_9 } else { Format::REDIS_10 })?;
        if let Some(file) = self.file {
            file.end().map_err(refused)?;
        }
        Ok(self.big)
    }
}

fn shown(key: &[u8]) -> String {
    key.escape_ascii().take(80).map(char::from).collect()
}

/// The repository's own error, where a write failed for that.
fn refused(error: io::Error) -> Error {
    error.downcast::<Error>().unwrap_or_else(|error| Error::internal("the snapshot cannot be written", error))
}

fn not_written(error: WriteError) -> Error {
    match error {
        WriteError::Io(error) => refused(error),
        WriteError::Unwritable(why) => unwritable(why),
    }
}

fn unwritable(why: impl std::fmt::Display) -> Error {
    Error::new(Kind::Invalid, "LOGICAL_UNWRITABLE", "a value of the source cannot be written down")
        .because(why)
        .hint("check whether a newer version of Keystow knows the format of this server")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_is_kept_once_whatever_a_scan_says() {
        let folder = tempfile::tempdir().unwrap();
        let mut lists = KeyLists::new(folder.path()).unwrap();
        let keys: Vec<Vec<u8>> = (0..1000u32).map(|n| format!("key:{n}\r\n\0").into_bytes()).collect();
        for key in keys.iter().chain(&keys[..300]).chain([&Vec::new(), &Vec::new()]) {
            lists.add(key).unwrap();
        }
        let mut taken: Vec<_> = (0..DIVISIONS).flat_map(|index| lists.take(index).unwrap()).collect();
        let mut expected = keys;
        expected.push(Vec::new());
        taken.sort();
        expected.sort();
        assert_eq!(taken, expected);
        assert!((0..DIVISIONS).all(|index| lists.take(index).unwrap().is_empty()), "taken once");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the files have no name");
    }
}
