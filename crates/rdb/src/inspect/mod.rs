//! What takes the space: keys, bytes and memory by every measure that people ask for, in one pass.

mod biggest;
mod memory;
mod prefix;
mod slot;
mod spans;

use std::{collections::BTreeMap, io::BufRead};

use crate::{
    event::{Entry, Event, Kind},
    fault::Fault,
    filter::Filter,
    format::{Encoding, Flavour},
    limits::Limits,
    reader::Reader,
    report::{Report, Summary},
};

pub use biggest::BigKey;
pub use memory::memory_estimate;
pub use prefix::Prefixes;
pub use slot::SlotSums;
pub use spans::{ExpiryHistogram, FREQUENCIES, FrequencyHistogram, IdleHistogram, SPANS_S};

use biggest::Biggest;
use prefix::PrefixTable;
use slot::SlotTable;

/// Type bytes up to here have a row of their own; no format has more.
const ENCODINGS: usize = 34;

/// What [`inspect`] looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InspectOptions {
    /// Which keys; the rest is proven, but not counted.
    pub filter: Filter,
    /// How many rows the lists of keys and prefixes have.
    pub top: usize,
    /// What parts the levels of a key's name.
    pub separator: Vec<u8>,
    /// How many levels a prefix has.
    pub prefix_depth: usize,
    /// The time, in Unix milliseconds: expiries count from it where the file does not say when it was made.
    pub now_ms: i64,
}

impl Default for InspectOptions {
    fn default() -> Self {
        Self { filter: Filter::default(), top: 20, separator: b":".to_vec(), prefix_depth: 1, now_ms: 0 }
    }
}

/// What is in a file, by every measure. The keys that servers leave out ([`Entry::is_skipped_by_servers`]) and those
/// that the filter leaves out are counted in the report only.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inspection {
    /// The whole file, as [`verify`](crate::verify) sees it; bytes after the end are not looked for.
    pub report: Report,
    /// All keys that were counted.
    pub all: Sums,
    /// By kind; a kind without keys is not named.
    pub kinds: BTreeMap<Kind, Sums>,
    /// By encoding, in the order of the type bytes.
    pub encodings: Vec<(Encoding, Sums)>,
    /// By database.
    pub databases: BTreeMap<u64, Sums>,
    /// By what their names begin with.
    pub prefixes: Prefixes,
    /// By cluster slot: [`SLOTS`](crate::SLOTS) of them.
    pub slots: Vec<SlotSums>,
    /// The keys that take the most memory, the largest first.
    pub biggest: Vec<BigKey>,
    /// The keys with the most elements.
    pub most_elements: Vec<BigKey>,
    /// By expiry.
    pub expiry: ExpiryHistogram,
    /// By idle time, where the file has it; each bound is of [`SPANS_S`].
    pub idle: Option<IdleHistogram>,
    /// By access counter, where the file has it.
    pub frequency: Option<FrequencyHistogram>,
    /// Hashes with fields that expire.
    pub hashes_with_expiring_fields: u64,
    /// Those fields.
    pub expiring_fields: u64,
    /// Keys over [`LARGE_BYTES`] of memory.
    pub over_large_bytes: u64,
    /// Keys with more than [`LARGE_ELEMENTS`] elements.
    pub over_large_elements: u64,
}

/// Values over this much memory are slow to copy, to delete and to move between the nodes of a cluster.
pub const LARGE_BYTES: u64 = 1 << 20;
/// Collections with more elements are slow to read as a whole.
pub const LARGE_ELEMENTS: u64 = 10_000;

/// Some keys, summed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sums {
    /// How many.
    pub keys: u64,
    /// Those of them with an expiry.
    pub with_expiry: u64,
    /// Members, fields and entries; 1 for a string or a module value.
    pub elements: u64,
    /// Their bytes in the file, keys and expiries included.
    pub stored_bytes: u64,
    /// What a server is estimated to hold for them: [`memory_estimate`].
    pub memory_bytes: u64,
}

impl Sums {
    #[inline]
    fn of(entry: &Entry<'_>) -> Self {
        Self {
            keys: 1,
            with_expiry: entry.expires_ms.is_some().into(),
            elements: entry.elements,
            stored_bytes: entry.stored_bytes,
            memory_bytes: memory_estimate(entry),
        }
    }

    #[inline]
    fn add(&mut self, other: &Self) {
        self.keys += other.keys;
        self.with_expiry += other.with_expiry;
        // A stream may claim any length.
        self.elements = self.elements.saturating_add(other.elements);
        self.stored_bytes += other.stored_bytes;
        self.memory_bytes = self.memory_bytes.saturating_add(other.memory_bytes);
    }
}

/// Reads a whole file and sums up its keys by every measure.
///
/// Memory is bounded: beside what [`Reader`] takes, some 5 MB at most.
///
/// ```
/// use keystow_rdb::{InspectOptions, Kind, Limits, inspect};
///
/// let file = b"REDIS0004\xfe\x00\x00\x06user:1\x04Anna\x00\x06user:2\x03Bob\xff";
/// let found = inspect(&file[..], Limits::default(), &InspectOptions::default()).unwrap();
/// assert_eq!(found.kinds[&Kind::String].keys, 2);
/// assert_eq!(found.prefixes.rows[0].0, b"user:");
/// ```
///
/// # Errors
/// The first fault.
pub fn inspect<R: BufRead>(source: R, limits: Limits, options: &InspectOptions) -> Result<Inspection, Fault> {
    let mut reader = Reader::new(source, limits);
    let mut inspector = Inspector::new(options);
    while let Some(event) = reader.next_event()? {
        inspector.add(&event);
    }
    Ok(inspector.finish(&reader))
}

/// Sums up event by event.
struct Inspector<'o> {
    filter: &'o Filter,
    top: usize,
    summary: Summary,
    flavour: Flavour,
    encodings: [Sums; ENCODINGS],
    // Entered into the map when the database changes.
    database: u64,
    in_database: Sums,
    databases: BTreeMap<u64, Sums>,
    prefixes: PrefixTable<'o>,
    slots: SlotTable,
    biggest: Biggest,
    most_elements: Biggest,
    expiry: ExpiryHistogram,
    idle: IdleHistogram,
    frequency: FrequencyHistogram,
    hashes_with_expiring_fields: u64,
    expiring_fields: u64,
    over_large_bytes: u64,
    over_large_elements: u64,
}

impl<'o> Inspector<'o> {
    fn new(options: &'o InspectOptions) -> Self {
        Self {
            filter: &options.filter,
            top: options.top,
            summary: Summary::default(),
            flavour: Flavour::default(),
            encodings: [Sums::default(); ENCODINGS],
            database: 0,
            in_database: Sums::default(),
            databases: BTreeMap::new(),
            prefixes: PrefixTable::new(&options.separator, options.prefix_depth),
            slots: SlotTable::new(),
            biggest: Biggest::new(options.top),
            most_elements: Biggest::new(options.top),
            expiry: ExpiryHistogram { relative_to_ms: options.now_ms, ..ExpiryHistogram::default() },
            idle: IdleHistogram::default(),
            frequency: FrequencyHistogram::default(),
            hashes_with_expiring_fields: 0,
            expiring_fields: 0,
            over_large_bytes: 0,
            over_large_elements: 0,
        }
    }

    fn add(&mut self, event: &Event<'_>) {
        self.summary.add(event);
        match event {
            Event::Entry(entry) if self.filter.wants_entry(entry) && !entry.is_skipped_by_servers() => {
                self.add_entry(entry);
            }
            Event::Header(format) => self.flavour = format.flavour,
            Event::Aux { name: b"ctime", value } => {
                let seconds = std::str::from_utf8(value).ok().and_then(|text| text.parse::<i64>().ok());
                if let Some(ms) = seconds.and_then(|seconds| seconds.checked_mul(1000)) {
                    self.expiry.relative_to_ms = ms;
                }
            }
            _ => {}
        }
    }

    fn add_entry(&mut self, entry: &Entry<'_>) {
        let sums = Sums::of(entry);
        if let Some(row) = self.encodings.get_mut(usize::from(entry.encoding.number)) {
            row.add(&sums);
        }
        if entry.database != self.database {
            self.enter_database();
            self.database = entry.database;
        }
        self.in_database.add(&sums);
        self.prefixes.add(entry.key, &sums);
        self.slots.add(entry.key, sums.memory_bytes);
        self.biggest.add(sums.memory_bytes, sums.memory_bytes, entry);
        self.most_elements.add(entry.elements, sums.memory_bytes, entry);
        self.expiry.add(entry.expires_ms, &sums);
        if let Some(seconds) = entry.idle_seconds {
            self.idle[spans::span(seconds)] += 1;
        }
        if let Some(counter) = entry.frequency {
            self.frequency[spans::frequency(counter)] += 1;
        }
        self.hashes_with_expiring_fields += u64::from(entry.expiring_fields > 0);
        self.expiring_fields += entry.expiring_fields;
        self.over_large_bytes += u64::from(sums.memory_bytes > LARGE_BYTES);
        self.over_large_elements += u64::from(entry.elements > LARGE_ELEMENTS);
    }

    fn enter_database(&mut self) {
        let counted = std::mem::take(&mut self.in_database);
        if counted.keys > 0 {
            self.databases.entry(self.database).or_default().add(&counted);
        }
    }

    fn finish<R: BufRead>(mut self, reader: &Reader<R>) -> Inspection {
        self.enter_database();
        let mut all = Sums::default();
        let mut kinds: BTreeMap<Kind, Sums> = BTreeMap::new();
        let mut encodings = Vec::new();
        for (number, sums) in (0u8..).zip(self.encodings) {
            let encoding = Encoding { number, flavour: self.flavour };
            if let Some(kind) = encoding.kind().filter(|_| sums.keys > 0) {
                all.add(&sums);
                kinds.entry(kind).or_default().add(&sums);
                encodings.push((encoding, sums));
            }
        }
        Inspection {
            report: self.summary.into_report(reader),
            all,
            kinds,
            encodings,
            databases: self.databases,
            prefixes: self.prefixes.finish(self.top),
            slots: self.slots.finish(),
            biggest: self.biggest.finish(),
            most_elements: self.most_elements.finish(),
            expiry: self.expiry,
            idle: self.idle.iter().any(|keys| *keys > 0).then_some(self.idle),
            frequency: self.frequency.iter().any(|keys| *keys > 0).then_some(self.frequency),
            hashes_with_expiring_fields: self.hashes_with_expiring_fields,
            expiring_fields: self.expiring_fields,
            over_large_bytes: self.over_large_bytes,
            over_large_elements: self.over_large_elements,
        }
    }
}
