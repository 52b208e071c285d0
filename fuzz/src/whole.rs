//! Files and payloads: read at once and byte by byte, with and without somebody who sees the values.

use std::{
    cmp::Ordering,
    io::{self, BufRead, Read},
};

use keystow_rdb::{
    Event, Fault, Format, Head, Kind, Limits, Part, Reader, Reason, RestoreEntry, RestoreError,
    RestoreOptions, RestoreSink, StreamId, Visitor, Want, dump, restore, verify,
};

use super::packed::text;

/// No input of a fuzzer is as large.
pub const LIMITS: Limits = Limits { max_blob_bytes: 1 << 20, max_database: 65_535 };

/// Stream layouts, each with the first version that has it.
const STREAMS: [(u8, u16); 4] = [(15, 9), (19, 10), (21, 11), (26, 13)];

/// The only entry of a file, if it has one, or the fault.
pub type Outcome = Result<Option<Seen>, Fault>;

/// A file.
///
/// # Panics
/// An invariant does not hold.
pub fn rdb(bytes: &[u8]) {
    let whole = verify(bytes, LIMITS).map_err(|failure| failure.fault);
    let dripped = verify(Drip(bytes), LIMITS).map_err(|failure| failure.fault);
    assert_eq!(whole, dripped, "pieces make no difference");
    for want in [Want::Parts, Want::Raw] {
        let seen = read(bytes, want);
        match (&whole, &seen) {
            (Ok(report), Ok(entries)) => {
                assert_eq!(report.keys + report.empty_keys, entries.len() as u64);
            }
            // Of several things wrong with a value, holding its strings may find another one first.
            (Err(fault), Err(seen)) => {
                assert!(fault.key == seen.key || is_too_large(seen), "{fault} is not {seen}");
            }
            // A whole string has to be held to be seen.
            (Ok(_), Err(fault)) => assert!(is_too_large(fault), "{fault}"),
            (Err(fault), Ok(_)) => panic!("not seen: {fault}"),
        }
        for entry in seen.into_iter().flatten() {
            entry.check();
        }
    }
    for (to, max_value_bytes) in [(Format::REDIS_12, u64::MAX), (Format::VALKEY_80, 0), (Format::REDIS_9, 9)]
    {
        let options =
            RestoreOptions { limits: LIMITS, replace: true, max_value_bytes, ..RestoreOptions::new(to) };
        let mut taken = Taken(0);
        let restored = restore(bytes, &mut taken, &options);
        let dripped = restore(Drip(bytes), &mut Taken(0), &options);
        assert_eq!(restored.is_ok(), dripped.is_ok(), "pieces make no difference");
        match (&whole, restored) {
            (Ok(report), Ok(restored)) => assert_eq!((restored.keys, taken.0), (report.keys, report.keys)),
            (_, Err(RestoreError::Impossible(_) | RestoreError::TooLarge(_)))
            | (Err(_), Err(RestoreError::Unsound(_))) => {}
            (Ok(_), Err(RestoreError::Unsound(fault))) => assert!(is_too_large(&fault), "{fault}"),
            (Err(fault), Ok(_)) => panic!("restored: {fault}"),
            (_, Err(RestoreError::Sink(error))) => panic!("{error}"),
        }
    }
}

/// Counts keys, and looks whether commands are whole.
struct Taken(u64);

impl RestoreSink for Taken {
    fn database(&mut self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn entry(&mut self, entry: RestoreEntry<'_>) -> io::Result<()> {
        assert!(entry.replies > 0 && entry.command.starts_with(b"*") && entry.command.ends_with(b"\r\n"));
        self.0 += u64::from(entry.is_last);
        Ok(())
    }

    fn function(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

/// The argument of a `RESTORE`.
///
/// # Panics
/// An invariant does not hold.
pub fn dump(bytes: &[u8]) {
    let Ok(payload) = dump::Payload::open(bytes) else { return };
    let _ = payload.check_sum();
    let checked = payload.check(LIMITS);
    if payload.encoding().kind().is_none() || !payload.format().is_read() {
        assert!(checked.is_err());
        return;
    }
    let in_file = read_value(payload.format(), payload.encoding().number, payload.value());
    match (checked, in_file) {
        (Ok(checked), Ok(Some(entry))) => {
            assert_eq!((checked.kind, checked.elements), (entry.kind, entry.elements));
            let mut sealed = [&[entry.encoding], &entry.raw[..]].concat();
            dump::seal(&mut sealed, payload.format());
            let again = dump::Payload::open(&sealed).expect("was opened before");
            assert_eq!((again.check(LIMITS), again.check_sum()), (Ok(checked), Ok(())));
        }
        // What is behind the value may be the end of a file, or what a file may hold.
        (Ok(_), outcome) => panic!("only in a payload: {outcome:?}"),
        // In a file the value may go on with what is the end here, or end before.
        (Err(fault), Ok(Some(entry))) => {
            let expected = match entry.raw.len().cmp(&payload.value().len()) {
                Ordering::Less => Reason::TrailingBytes,
                Ordering::Equal => Reason::Empty,
                Ordering::Greater => Reason::Truncated,
            };
            assert_eq!(fault.reason, expected);
        }
        (Err(_), Ok(None) | Err(_)) => {}
    }
}

/// The value of a stream; the first byte chooses its layout.
///
/// # Panics
/// An invariant does not hold.
pub fn stream(bytes: &[u8]) {
    let Some((choice, value)) = bytes.split_first() else { return };
    let (encoding, version) = STREAMS[usize::from(*choice) % STREAMS.len()];
    if let Ok(Some(entry)) = read_value(Format::redis(version), encoding, value) {
        assert_eq!(entry.kind, Kind::Stream);
        entry.check();
    }
    let payload = [&[encoding], value, &version.to_le_bytes(), &[0; 8]].concat();
    dump(&payload);
}

/// Reads a value as the only one of a file, at once and byte by byte; what stands behind it is the end.
pub fn read_value(format: Format, encoding: u8, value: &[u8]) -> Outcome {
    let file = [format.magic().as_bytes(), &[encoding, 1, b'k'], value, &[0xff], &[0; 8]].concat();
    let whole = read_first(&file[..], Want::Parts);
    assert_eq!(whole, read_first(Drip(&file), Want::Parts), "pieces make no difference");
    match (whole, read_first(&file[..], Want::Raw)) {
        (Ok(Some(seen)), Ok(Some(Seen { raw, .. }))) => Ok(Some(Seen { raw, ..seen })),
        (Err(fault), Ok(_)) if is_too_large(&fault) => Err(fault),
        (whole, raw) => {
            assert_eq!(whole.is_err(), raw.is_err(), "{whole:?}, {raw:?}");
            whole
        }
    }
}

fn is_too_large(fault: &Fault) -> bool {
    matches!(fault.reason, Reason::TooLarge { .. })
}

/// The first entry and no more.
fn read_first(source: impl BufRead, want: Want) -> Outcome {
    let mut reader = Reader::new(source, LIMITS);
    let mut seen = Seen::new(want);
    while let Some(event) = reader.next_event_with(&mut seen)? {
        if let Event::Entry(entry) = event {
            seen.end(&entry);
            return Ok(Some(seen));
        }
    }
    Ok(None)
}

/// All entries.
fn read(bytes: &[u8], want: Want) -> Result<Vec<Seen>, Fault> {
    let mut reader = Reader::new(bytes, LIMITS);
    let mut entries = Vec::new();
    let mut seen = Seen::new(want);
    while let Some(event) = reader.next_event_with(&mut seen)? {
        if let Event::Entry(entry) = event {
            seen.end(&entry);
            entries.push(std::mem::replace(&mut seen, Seen::new(want)));
        }
    }
    Ok(entries)
}

/// What was seen of a value.
#[derive(Debug, PartialEq)]
pub struct Seen {
    want: Want,
    /// What the entry says.
    pub kind: Kind,
    /// The type byte.
    pub encoding: u8,
    /// What the entry says.
    pub elements: u64,
    /// Every text, in order.
    pub texts: Vec<String>,
    /// The value as it stands in the file.
    pub raw: Vec<u8>,
    stored_bytes: u64,
    scores: usize,
    facts: usize,
    entries: u64,
    /// Fields that the entries of a stream announce, twice each: with their values.
    announced: u64,
    pending: Vec<StreamId>,
    owned: Vec<StreamId>,
}

impl Seen {
    fn new(want: Want) -> Self {
        Self {
            want,
            kind: Kind::String,
            encoding: 0,
            elements: 0,
            texts: Vec::new(),
            raw: Vec::new(),
            stored_bytes: 0,
            scores: 0,
            facts: 0,
            entries: 0,
            announced: 0,
            pending: Vec::new(),
            owned: Vec::new(),
        }
    }

    fn end(&mut self, entry: &keystow_rdb::Entry<'_>) {
        self.kind = entry.kind;
        self.encoding = entry.encoding.number;
        self.elements = entry.elements;
        self.stored_bytes = entry.stored_bytes;
    }

    /// Whether the parts are as many as the entry says.
    fn check(&self) {
        assert!((self.raw.len() as u64) < self.stored_bytes, "the key is not part of the value");
        if self.want != Want::Parts {
            return;
        }
        let (texts, elements) = (self.texts.len() as u64, self.elements);
        match self.kind {
            Kind::String | Kind::List | Kind::Set => assert_eq!(texts, elements),
            Kind::SortedSet => assert_eq!((texts, self.scores as u64), (elements, elements)),
            Kind::Hash => assert_eq!(texts, 2 * elements),
            Kind::Module => assert_eq!(texts, 0),
            Kind::Stream => self.check_stream(),
        }
    }

    fn check_stream(&self) {
        assert_eq!(self.facts, 1, "facts come once");
        assert!(self.entries <= self.elements && (self.entries > 0 || self.elements == 0));
        assert_eq!(self.texts.len() as u64, self.announced, "each entry has its fields");
        let (mut pending, mut owned) = (self.pending.clone(), self.owned.clone());
        pending.sort_unstable();
        owned.sort_unstable();
        assert_eq!(pending, owned, "each pending entry has one consumer");
    }
}

impl Visitor for Seen {
    fn begin(&mut self, _: &Head<'_>) -> Want {
        self.want
    }

    fn part(&mut self, part: Part<'_>) -> io::Result<()> {
        match part {
            Part::Text(item)
            | Part::Element(item)
            | Part::Member(item)
            | Part::Field(item)
            | Part::Value(item) => self.texts.push(text(item)),
            Part::Score(score) => {
                assert!(!score.is_nan());
                self.scores += 1;
            }
            Part::StreamEntry { fields, .. } => {
                self.entries += 1;
                self.announced += 2 * fields;
            }
            Part::StreamFacts(_) => self.facts += 1,
            Part::Pending { id, .. } => self.pending.push(id),
            Part::ConsumerPending(id) => self.owned.push(id),
            _ => {}
        }
        Ok(())
    }

    fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.raw.extend_from_slice(bytes);
        Ok(())
    }
}

/// Lends one byte at a time.
struct Drip<'a>(&'a [u8]);

impl BufRead for Drip<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(&self.0[..self.0.len().min(1)])
    }

    fn consume(&mut self, amount: usize) {
        self.0 = &self.0[amount..];
    }
}

impl Read for Drip<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}
