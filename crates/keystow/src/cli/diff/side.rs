//! The records of one side: in memory while they are few, else in files, parted by the hash of their keys so that
//! the same key is in the same part of either side.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Seek, Write};
use std::path::PathBuf;
use std::sync::Arc;

use super::record::Record;
use crate::failure::Failure;

/// More of a side than this is put into files; two parts of the size are held at once when they are compared.
const MOST_BYTES: u64 = 4 << 20;
/// Bytes that wait to be written, of all parts of a side together.
const BUFFER_BYTES: u64 = 2 << 20;
/// A record is at least 33 bytes and its key; a short key with a short value is about a quarter of that in its file.
const RECORD_TO_FILE: u64 = 4;
/// Both sides' files are open at the same time, and processes may usually have a thousand.
const MOST_PARTS: usize = 256;
/// Where the size is not known.
const USUAL_PARTS: usize = 64;
/// So often a part that is still too large is parted again. Not without end: one key may be as large.
const MOST_LEVELS: u8 = 4;

/// How records are parted.
pub(super) struct Parting {
    hash: RandomState,
    parts: usize,
    /// 0 for whole sides, 1 for their parts, and so on: parted again, keys must go other ways.
    level: u8,
    most_bytes: u64,
    folder: Option<PathBuf>,
}

impl Parting {
    /// For sides that are files of so many bytes, as far as that is known.
    pub(super) fn for_files(bytes: Option<u64>, folder: Option<PathBuf>) -> Self {
        Self::new(bytes.map(|bytes| bytes.saturating_mul(RECORD_TO_FILE)), MOST_BYTES, folder)
    }

    /// For sides with so many bytes of records.
    pub(super) fn new(bytes: Option<u64>, most_bytes: u64, folder: Option<PathBuf>) -> Self {
        Self { hash: RandomState::new(), parts: parts(bytes, most_bytes), level: 0, most_bytes, folder }
    }

    /// How a part of so many bytes is parted again; `None` if it is compared as it is.
    pub(super) fn below(&self, bytes: u64) -> Option<Self> {
        let is_parted = bytes > self.most_bytes && self.level < MOST_LEVELS;
        is_parted.then(|| Self {
            hash: self.hash.clone(),
            parts: parts(Some(bytes), self.most_bytes),
            level: self.level + 1,
            most_bytes: self.most_bytes,
            folder: self.folder.clone(),
        })
    }

    fn part_of(&self, record: &Record<'_>) -> usize {
        let hash = self.hash.hash_one((self.level, record.name()));
        usize::try_from(hash % self.parts as u64).unwrap_or(0)
    }

    /// A file that is gone when it is closed, however the program ends.
    fn file(&self) -> Result<File, Failure> {
        match &self.folder {
            Some(folder) => tempfile::tempfile_in(folder),
            None => tempfile::tempfile(),
        }
        .map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &io::Error) -> Failure {
        let folder = self.folder.clone().unwrap_or_else(std::env::temp_dir);
        Failure::file(format!("cannot keep temporary files in {}", folder.display()), error)
    }
}

/// As many parts as make each about half as large as it may be.
fn parts(bytes: Option<u64>, most_bytes: u64) -> usize {
    let Some(bytes) = bytes else { return USUAL_PARTS };
    let wanted = bytes.div_ceil((most_bytes / 2).max(1));
    usize::try_from(wanted).unwrap_or(MOST_PARTS).clamp(2, MOST_PARTS)
}

/// The records of one side.
pub(super) struct Side {
    parting: Arc<Parting>,
    records: Records,
}

enum Records {
    Memory(Vec<u8>),
    Parts(Vec<Part>),
}

impl Side {
    pub(super) fn new(parting: Arc<Parting>) -> Self {
        Self { parting, records: Records::Memory(Vec::new()) }
    }

    /// Adds a record; into files if there are too many.
    pub(super) fn add(&mut self, record: &Record<'_>) -> Result<(), Failure> {
        match &mut self.records {
            Records::Parts(parts) => parts[self.parting.part_of(record)].add(record, &self.parting),
            Records::Memory(bytes) => {
                record.write(bytes);
                if bytes.len() as u64 > self.parting.most_bytes { self.part() } else { Ok(()) }
            }
        }
    }

    pub(super) fn parting(&self) -> &Arc<Parting> {
        &self.parting
    }

    /// The records, if they are in memory.
    pub(super) fn memory(&self) -> Option<&[u8]> {
        match &self.records {
            Records::Memory(bytes) => Some(bytes),
            Records::Parts(_) => None,
        }
    }

    /// The records in parts, whether or not they would fit into memory.
    pub(super) fn into_parts(mut self) -> Result<Vec<Part>, Failure> {
        self.part()?;
        match self.records {
            Records::Parts(parts) => Ok(parts),
            Records::Memory(_) => Ok(Vec::new()),
        }
    }

    /// Takes no more room in memory than it must, for all records are there.
    pub(super) fn settle(mut self) -> Result<Self, Failure> {
        match &mut self.records {
            Records::Memory(bytes) => bytes.shrink_to_fit(),
            Records::Parts(parts) => {
                parts.iter_mut().try_for_each(|part| part.settle(&self.parting))?;
            }
        }
        Ok(self)
    }

    /// Puts what is in memory into files.
    fn part(&mut self) -> Result<(), Failure> {
        if let Records::Memory(bytes) = &mut self.records {
            let bytes = std::mem::take(bytes);
            let parts: Result<Vec<_>, _> =
                (0..self.parting.parts).map(|_| Part::new(&self.parting)).collect();
            self.records = Records::Parts(parts?);
            let mut rest = &bytes[..];
            while let Some(record) = Record::read(&mut rest) {
                self.add(&record)?;
            }
        }
        Ok(())
    }
}

/// Some of a side's records in a file.
pub(super) struct Part {
    file: File,
    /// How many are in the file.
    written: u64,
    /// Those to be written next.
    waiting: Vec<u8>,
}

impl Part {
    fn new(parting: &Parting) -> Result<Self, Failure> {
        Ok(Self { file: parting.file()?, written: 0, waiting: Vec::new() })
    }

    fn add(&mut self, record: &Record<'_>, parting: &Parting) -> Result<(), Failure> {
        record.write(&mut self.waiting);
        if self.waiting.len() as u64 >= BUFFER_BYTES / parting.parts as u64 {
            self.write(parting)?;
        }
        Ok(())
    }

    fn write(&mut self, parting: &Parting) -> Result<(), Failure> {
        self.file.write_all(&self.waiting).map_err(|error| parting.failed(&error))?;
        self.written += self.waiting.len() as u64;
        self.waiting.clear();
        Ok(())
    }

    /// Writes what waits, for there is no more.
    fn settle(&mut self, parting: &Parting) -> Result<(), Failure> {
        self.write(parting)?;
        self.waiting = Vec::new();
        Ok(())
    }

    /// The bytes of its records.
    pub(super) fn bytes(&self) -> u64 {
        self.written + self.waiting.len() as u64
    }

    /// All records at once.
    pub(super) fn read(mut self, parting: &Parting) -> Result<Vec<u8>, Failure> {
        self.settle(parting)?;
        // Room for what is there, and no more: two of these decide how much memory a comparison needs.
        let mut bytes = Vec::with_capacity(usize::try_from(self.written).unwrap_or(0));
        self.file.rewind().map_err(|error| parting.failed(&error))?;
        self.file.read_to_end(&mut bytes).map_err(|error| parting.failed(&error))?;
        Ok(bytes)
    }

    /// Parts it again.
    pub(super) fn split(mut self, parting: &Parting, below: Arc<Parting>) -> Result<Side, Failure> {
        const STEP: usize = 1 << 20;
        self.settle(parting)?;
        let mut side = Side::new(below);
        self.file.rewind().map_err(|error| parting.failed(&error))?;
        let mut bytes = Vec::new();
        loop {
            let step = (&mut self.file).take(STEP as u64).read_to_end(&mut bytes);
            if step.map_err(|error| parting.failed(&error))? == 0 {
                return side.settle();
            }
            let mut rest = &bytes[..];
            loop {
                let mut ahead = rest;
                let Some(record) = Record::read(&mut ahead) else { break };
                side.add(&record)?;
                rest = ahead;
            }
            let taken = bytes.len() - rest.len();
            bytes.drain(..taken);
        }
    }
}
