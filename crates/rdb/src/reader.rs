//! The frame of a file: header, opcodes, entries, end and checksum. What values look like is not known here.

mod entries;
mod records;

use std::io::{self, BufRead};

use crate::{
    bytes::Bytes,
    event::{Checksum, Entry, Event, Kind, ModuleId, ModuleWhen},
    fault::{Fault, Reason},
    format::{Encoding, Flavour, Format},
    keys::{Keys, Twice},
    length::Lengths,
    limits::{Limits, NotCompared},
    opcode,
    part::{Out, Visitor},
    source::{Source, give_back},
    text::Texts,
    value::{Seen, Value},
};

/// The first version with a checksum at its end (Redis `src/rdb.c`, `rdbLoadRioWithLoadingCtx`).
const FIRST_WITH_CHECKSUM: u16 = 5;

/// The first version with data of modules at keys (librdb `src/lib/parser.c`).
const FIRST_WITH_KEY_META: u16 = 13;

/// Reads one file from its first byte to its checksum and proves everything between.
///
/// Memory stays bounded whatever the file says. The source is read no further than the last byte of the
/// checksum, so it may be a connection that stays open.
pub struct Reader<R: BufRead> {
    source: Source<R>,
    limits: Limits,
    seen: Seen,
    phase: Phase,
    keys: Keys,
    format: Format,
    database: u64,
    attributes: Attributes,
    latest: Latest,
    key: Vec<u8>,
    aux_value: Vec<u8>,
    /// Whether `key` is that of the entry being read.
    in_entry: bool,
    failed: Option<Fault>,
    /// The place and the key of a fault that was found later than read.
    blamed: Option<(u64, Vec<u8>)>,
    checksum: Checksum,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Magic,
    Body,
    Ended,
}

/// What opcodes before an entry say of it. It holds until the next entry, whatever stands between.
#[derive(Debug, Clone, Copy, Default)]
struct Attributes {
    expires_ms: Option<i64>,
    idle_seconds: Option<u64>,
    frequency: Option<u8>,
    has_key_meta: bool,
}

/// The entry that was read last; its key is the reader's.
#[derive(Default)]
struct Latest {
    encoding: Encoding,
    /// Where its record begins in the file.
    start: u64,
    attributes: Attributes,
    value: Value,
}

/// An event that does not borrow yet.
#[derive(Clone, Copy)]
enum Step {
    Header,
    Aux,
    Database,
    SizeHint {
        keys: u64,
        with_expiry: u64,
    },
    SlotInfo {
        slot: u64,
        keys: u64,
        with_expiry: u64,
    },
    SlotImport,
    Function,
    ModuleAux {
        module: ModuleId,
        when: ModuleWhen,
    },
    /// It is the reader's latest.
    Entry,
    End,
}

impl<R: BufRead> Reader<R> {
    /// Prepares to read; nothing is taken from the source yet.
    pub fn new(source: R, limits: Limits) -> Self {
        Self {
            source: Source::new(source, limits.max_blob_bytes),
            limits,
            seen: Seen::new(),
            phase: Phase::Magic,
            keys: Keys::new(),
            format: Format::default(),
            database: 0,
            attributes: Attributes::default(),
            latest: Latest::default(),
            key: Vec::new(),
            aux_value: Vec::new(),
            in_entry: false,
            failed: None,
            blamed: None,
            checksum: Checksum::Absent,
        }
    }

    /// The next thing the file says; `None` after the end.
    ///
    /// # Errors
    /// The first fault; every further call gives the same.
    pub fn next_event(&mut self) -> Result<Option<Event<'_>>, Fault> {
        self.next_event_with(&mut ())
    }

    /// The same, with the value handed to a visitor before the event of its entry.
    ///
    /// # Errors
    /// The first fault, or what the visitor made of it; every further call gives the same.
    pub fn next_event_with<V: Visitor>(&mut self, visitor: &mut V) -> Result<Option<Event<'_>>, Fault> {
        if let Some(fault) = &self.failed {
            return Err(fault.clone());
        }
        let step = match self.step(visitor) {
            Ok(Some(step)) => step,
            Ok(None) => return Ok(None),
            Err(reason) => return Err(self.fail(*reason)),
        };
        Ok(Some(self.event(step)))
    }

    /// What could not be compared so far, because there was too much of it.
    pub fn not_compared(&self) -> NotCompared {
        NotCompared { keys: self.keys.not_compared(), members: self.seen.not_compared().iter().sum() }
    }

    /// Bytes read so far.
    pub fn offset(&self) -> u64 {
        self.source.offset()
    }

    /// Gives up on structure and only checks the checksum: reads the rest of the source and takes its last
    /// eight bytes as the stored CRC-64. For files whose fault is [`Reason::is_unvouched`].
    ///
    /// # Errors
    /// The source's own, and `UnexpectedEof` when it gave less than eight bytes in all.
    pub fn finish_unparsed(&mut self) -> io::Result<Checksum> {
        if self.phase == Phase::Ended {
            return Ok(self.checksum);
        }
        let stored = self.source.drain()?;
        if (1..FIRST_WITH_CHECKSUM).contains(&self.format.version) {
            return Ok(Checksum::Absent);
        }
        let (stored, computed) = stored.ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(Checksum::judge(stored, computed))
    }

    /// Gives the source back, just behind the last byte read.
    pub fn into_inner(self) -> R {
        self.source.into_inner()
    }

    fn step<V: Visitor>(&mut self, visitor: &mut V) -> Result<Option<Step>, Box<Reason>> {
        self.in_entry = false;
        match self.phase {
            Phase::Body => self.body(visitor).map(Some),
            Phase::Ended => Ok(None),
            Phase::Magic => {
                self.magic()?;
                self.phase = Phase::Body;
                Ok(Some(Step::Header))
            }
        }
    }

    /// The first nine bytes: a magic word and the version in digits, four for Redis and three for Valkey.
    fn magic(&mut self) -> Result<(), Box<Reason>> {
        let found: [u8; 9] = self.source.array()?;
        let (flavour, digits) = match &found {
            [b'R', b'E', b'D', b'I', b'S', digits @ ..] => (Flavour::Redis, &digits[..]),
            [b'V', b'A', b'L', b'K', b'E', b'Y', digits @ ..] => (Flavour::Valkey, &digits[..]),
            _ => return Err(Reason::BadMagic(found).into()),
        };
        let mut version = 0;
        for digit in digits {
            if !digit.is_ascii_digit() {
                return Err(Reason::BadMagic(found).into());
            }
            version = version * 10 + u16::from(digit - b'0');
        }
        self.format = Format { flavour, version };
        Ok(())
    }

    /// Everything behind the header, one event at a time.
    fn body<V: Visitor>(&mut self, visitor: &mut V) -> Result<Step, Box<Reason>> {
        // Refused only now: the header's event has told the version.
        if !self.format.is_read() {
            return Err(Reason::UnsupportedVersion { format: self.format }.into());
        }
        self.source.settle()?;
        give_back(&mut self.key);
        give_back(&mut self.aux_value);
        let start = self.source.offset();
        if !V::SEES
            && let Some(step) = self.whole_entry(start)?
        {
            return Ok(step);
        }
        loop {
            match self.source.byte()? {
                opcode::EXPIRY_MS => {
                    self.attributes.expires_ms = Some(self.source.milliseconds()?);
                }
                opcode::EXPIRY_SECONDS => {
                    let seconds = i32::from_le_bytes(self.source.array()?);
                    self.attributes.expires_ms = Some(i64::from(seconds) * 1000);
                }
                opcode::IDLE => self.attributes.idle_seconds = Some(self.source.length()?),
                opcode::FREQUENCY => self.attributes.frequency = Some(self.source.byte()?),
                opcode::KEY_META_OR_SLOT_IMPORT if self.has_key_meta() => self.key_meta()?,
                code if opcode::ENTERPRISE.contains(&code) => drop(self.source.length()?),
                other => return self.record(other, start, visitor),
            }
        }
    }

    fn record<V: Visitor>(&mut self, opcode: u8, start: u64, visitor: &mut V) -> Result<Step, Box<Reason>> {
        match opcode {
            opcode::AUX => self.aux(),
            opcode::DATABASE => {
                self.database = self.source.length()?;
                if self.database > self.limits.max_database {
                    return Err(Reason::BadDatabase(self.database).into());
                }
                Ok(Step::Database)
            }
            opcode::SIZE_HINT => {
                Ok(Step::SizeHint { keys: self.source.length()?, with_expiry: self.source.length()? })
            }
            opcode::SLOT_INFO => Ok(Step::SlotInfo {
                slot: self.source.length()?,
                keys: self.source.length()?,
                with_expiry: self.source.length()?,
            }),
            opcode::FUNCTION => {
                self.aux_value.clear();
                self.aux_value.extend_from_slice(self.source.string()?);
                Ok(Step::Function)
            }
            opcode::FUNCTION_PRE_GA => Err(Reason::PreReleaseFunction.into()),
            opcode::MODULE_AUX => self.module_aux(visitor),
            opcode::END => self.end(),
            opcode::KEY_META_OR_SLOT_IMPORT if self.format.flavour == Flavour::Valkey => self.slot_import(),
            opcode::HASH_TEMPLATE | opcode::KEY_META_OR_SLOT_IMPORT => {
                Err(Reason::UnknownOpcode(opcode).into())
            }
            encoding => self.entry(encoding, start, visitor),
        }
    }

    /// Whether opcode 243 is the data of modules at the next key.
    fn has_key_meta(&self) -> bool {
        self.format.flavour == Flavour::Redis && self.format.version >= FIRST_WITH_KEY_META
    }

    /// Makes the fault about a key that was found to stand twice after its value was read.
    #[cold]
    fn twice(&mut self, twice: Twice) -> Reason {
        self.blamed = Some((twice.offset, twice.key));
        Reason::Duplicate("key")
    }

    fn end(&mut self) -> Result<Step, Box<Reason>> {
        self.keys.look_up().map_err(|twice| self.twice(twice))?;
        let computed = self.source.checksum()?;
        if self.format.version >= FIRST_WITH_CHECKSUM {
            let stored = u64::from_le_bytes(self.source.array()?);
            self.checksum = Checksum::judge(stored, computed);
        }
        self.phase = Phase::Ended;
        if let Checksum::Bad { stored, computed } = self.checksum {
            return Err(Reason::Checksum { stored, computed }.into());
        }
        Ok(Step::End)
    }

    fn event(&self, step: Step) -> Event<'_> {
        match step {
            Step::Entry => Event::Entry(self.latest_entry()),
            Step::Header => Event::Header(self.format),
            Step::Aux => Event::Aux { name: &self.key, value: &self.aux_value },
            Step::Database => Event::Database { index: self.database },
            Step::SizeHint { keys, with_expiry } => Event::SizeHint { keys, with_expiry },
            Step::SlotInfo { slot, keys, with_expiry } => Event::SlotInfo { slot, keys, with_expiry },
            Step::SlotImport => Event::SlotImport { job: &self.aux_value },
            Step::Function => Event::Function { code: &self.aux_value },
            Step::ModuleAux { module, when } => Event::ModuleAux { module, when },
            Step::End => Event::End { checksum: self.checksum },
        }
    }

    #[inline]
    fn latest_entry(&self) -> Entry<'_> {
        let Latest { encoding, start, attributes, value } = &self.latest;
        Entry {
            database: self.database,
            key: &self.key,
            // A value of an unknown type has not been read.
            kind: encoding.kind().unwrap_or(Kind::Module),
            encoding: *encoding,
            expires_ms: attributes.expires_ms,
            idle_seconds: attributes.idle_seconds,
            frequency: attributes.frequency,
            elements: value.elements,
            stored_bytes: self.source.offset() - *start,
            value_bytes: value.bytes,
            expiring_fields: value.expiring_fields,
            module: value.module,
        }
    }

    /// The key of the entry being read.
    fn entry_key(&self) -> Option<Vec<u8>> {
        self.in_entry.then(|| self.key.clone())
    }

    #[cold]
    fn fail(&mut self, reason: Reason) -> Fault {
        let (offset, key) = match self.blamed.take() {
            Some((offset, key)) => (offset, Some(key)),
            None if reason.is_about_a_string() => (self.source.latest_string(), self.entry_key()),
            None => (self.source.offset(), self.entry_key()),
        };
        let key = key.map(|mut key| {
            key.truncate(Fault::KEY_BYTES);
            key
        });
        let fault = Fault { offset, key, reason };
        self.failed = Some(fault.clone());
        fault
    }
}

/// Reads something of which the visitor may want the bytes.
#[inline]
fn with_tap<R: BufRead, V: Visitor, T>(
    source: &mut Source<R>,
    mut out: Out<'_, V>,
    read: impl FnOnce(&mut Source<R>, &mut Out<'_, V>) -> Result<T, Box<Reason>>,
) -> Result<T, Box<Reason>> {
    if !out.wants_raw() {
        return read(source, &mut out);
    }
    source.tap();
    let value = read(source, &mut out)?;
    source.drain_tap(|bytes| out.visitor.raw(bytes))?;
    source.end_tap();
    Ok(value)
}
