//! The frame of a file: header, opcodes, entries, end and checksum. What values look like is not known here.

use std::io::{self, BufRead};

use crate::{
    event::{Checksum, Entry, Event, Flavour, ModuleId, ModuleWhen},
    fault::{Fault, Reason},
    source::{Source, give_back},
    value::{self, Seen, Value},
};

/// The newest version that is read; those above it add types whose layout differs between servers.
const NEWEST_VERSION: u16 = 11;
/// The first version with a checksum at its end (Redis `src/rdb.c`, `rdbLoadRioWithLoadingCtx`).
const FIRST_WITH_CHECKSUM: u16 = 5;

/// Opcodes of `src/rdb.h` in Redis and Valkey.
mod opcode {
    pub(super) const HASH_TEMPLATE: u8 = 242;
    /// `KEY_META` in Redis from RDB 13 on, `SLOT_IMPORT` in Valkey 9.
    pub(super) const KEY_META: u8 = 243;
    pub(super) const SLOT_INFO: u8 = 244;
    pub(super) const FUNCTION: u8 = 245;
    pub(super) const FUNCTION_PRE_GA: u8 = 246;
    pub(super) const MODULE_AUX: u8 = 247;
    pub(super) const IDLE: u8 = 248;
    pub(super) const FREQUENCY: u8 = 249;
    pub(super) const AUX: u8 = 250;
    pub(super) const SIZE_HINT: u8 = 251;
    pub(super) const EXPIRY_MS: u8 = 252;
    pub(super) const EXPIRY_SECONDS: u8 = 253;
    pub(super) const DATABASE: u8 = 254;
    pub(super) const END: u8 = 255;
}

/// Bounds on what one file may make the reader do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of one key or nested encoding (listpack, ziplist, intset and the like), expanded.
    /// Plain strings and elements are never held, so they have no bound.
    pub max_blob_bytes: u64,
    /// The highest database number. Servers have 16 databases unless told otherwise.
    pub max_database: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_blob_bytes: 512 << 20, max_database: 65_535 }
    }
}

/// Reads one file from its first byte to its checksum and proves everything between.
///
/// Memory stays bounded whatever the file says. The source is read no further than the last byte of the
/// checksum, so it may be a connection that stays open.
pub struct Reader<R: BufRead> {
    source: Source<R>,
    limits: Limits,
    seen: Seen,
    phase: Phase,
    flavour: Flavour,
    version: u16,
    database: u64,
    attributes: Attributes,
    key: Vec<u8>,
    aux_value: Vec<u8>,
    /// Whether `key` is that of the entry being read.
    in_entry: bool,
    failed: Option<Fault>,
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
}

/// An event that does not borrow yet.
enum Step {
    Header,
    Aux,
    Database,
    SizeHint { keys: u64, with_expiry: u64 },
    SlotInfo { slot: u64, keys: u64, with_expiry: u64 },
    Function { bytes: u64 },
    ModuleAux { module: ModuleId, when: ModuleWhen },
    Entry { encoding: u8, start: u64, value: Value, attributes: Attributes },
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
            flavour: Flavour::default(),
            version: 0,
            database: 0,
            attributes: Attributes::default(),
            key: Vec::new(),
            aux_value: Vec::new(),
            in_entry: false,
            failed: None,
            checksum: Checksum::Absent,
        }
    }

    /// The next thing the file says; `None` after the end.
    ///
    /// # Errors
    /// The first fault; every further call gives the same.
    pub fn next_event(&mut self) -> Result<Option<Event<'_>>, Fault> {
        if let Some(fault) = &self.failed {
            return Err(fault.clone());
        }
        let step = match self.step() {
            Ok(Some(step)) => step,
            Ok(None) => return Ok(None),
            Err(reason) => return Err(self.fail(*reason)),
        };
        Ok(Some(self.event(step)))
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
        if (1..FIRST_WITH_CHECKSUM).contains(&self.version) {
            return Ok(Checksum::Absent);
        }
        let (stored, computed) = stored.ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(Checksum::judge(stored, computed))
    }

    /// Gives the source back, just behind the last byte read.
    pub fn into_inner(self) -> R {
        self.source.into_inner()
    }

    fn step(&mut self) -> Result<Option<Step>, Box<Reason>> {
        self.in_entry = false;
        match self.phase {
            Phase::Body => self.body().map(Some),
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
        (self.flavour, self.version) = (flavour, version);
        Ok(())
    }

    /// Everything behind the header, one event at a time.
    fn body(&mut self) -> Result<Step, Box<Reason>> {
        // Refused only now: the header's event has told the version.
        if self.flavour != Flavour::Redis || !(1..=NEWEST_VERSION).contains(&self.version) {
            let (flavour, version) = (self.flavour, self.version);
            return Err(Reason::UnsupportedVersion { flavour, version }.into());
        }
        self.source.settle()?;
        give_back(&mut self.key);
        give_back(&mut self.aux_value);
        let start = self.source.offset();
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
                other => return self.record(other, start),
            }
        }
    }

    fn record(&mut self, opcode: u8, start: u64) -> Result<Step, Box<Reason>> {
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
            opcode::FUNCTION => Ok(Step::Function { bytes: self.source.skip_string()? }),
            opcode::FUNCTION_PRE_GA => Err(Reason::PreReleaseFunction.into()),
            opcode::MODULE_AUX => self.module_aux(),
            opcode::END => self.end(),
            opcode::HASH_TEMPLATE | opcode::KEY_META => Err(Reason::UnknownOpcode(opcode).into()),
            encoding => self.entry(encoding, start),
        }
    }

    fn entry(&mut self, encoding: u8, start: u64) -> Result<Step, Box<Reason>> {
        self.key.clear();
        self.key.extend_from_slice(self.source.string()?);
        self.in_entry = true;
        let value = value::check(encoding, &mut self.source, &mut self.seen)?;
        Ok(Step::Entry { encoding, start, value, attributes: std::mem::take(&mut self.attributes) })
    }

    fn aux(&mut self) -> Result<Step, Box<Reason>> {
        self.key.clear();
        self.key.extend_from_slice(self.source.string()?);
        self.aux_value.clear();
        self.aux_value.extend_from_slice(self.source.string()?);
        Ok(Step::Aux)
    }

    /// A module's data outside of keys. The number before `when` is written like a module's own
    /// (Redis `src/rdb.c`, `rdbSaveSingleModuleAux`).
    fn module_aux(&mut self) -> Result<Step, Box<Reason>> {
        const UNSIGNED: u64 = 2;
        let module = ModuleId(self.source.length()?);
        if self.source.length()? != UNSIGNED {
            return Err(Reason::Module("its place is not a number").into());
        }
        let when = match self.source.length()? {
            1 => ModuleWhen::BeforeKeys,
            2 => ModuleWhen::AfterKeys,
            _ => return Err(Reason::Module("its place is neither before nor after the keys").into()),
        };
        value::skip_module_values(&mut self.source)?;
        Ok(Step::ModuleAux { module, when })
    }

    fn end(&mut self) -> Result<Step, Box<Reason>> {
        let computed = self.source.checksum()?;
        if self.version >= FIRST_WITH_CHECKSUM {
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
            Step::Entry { encoding, start, value, attributes } => Event::Entry(Entry {
                database: self.database,
                key: &self.key,
                kind: value.kind,
                encoding,
                expires_ms: attributes.expires_ms,
                idle_seconds: attributes.idle_seconds,
                frequency: attributes.frequency,
                elements: value.elements,
                stored_bytes: self.source.offset() - start,
                module: value.module,
            }),
            Step::Header => Event::Header { flavour: self.flavour, version: self.version },
            Step::Aux => Event::Aux { name: &self.key, value: &self.aux_value },
            Step::Database => Event::Database { index: self.database },
            Step::SizeHint { keys, with_expiry } => Event::SizeHint { keys, with_expiry },
            Step::SlotInfo { slot, keys, with_expiry } => Event::SlotInfo { slot, keys, with_expiry },
            Step::Function { bytes } => Event::Function { bytes },
            Step::ModuleAux { module, when } => Event::ModuleAux { module, when },
            Step::End => Event::End { checksum: self.checksum },
        }
    }

    #[cold]
    fn fail(&mut self, reason: Reason) -> Fault {
        let key = &self.key[..self.key.len().min(Fault::KEY_BYTES)];
        let fault = Fault {
            offset: if reason.is_about_a_string() {
                self.source.latest_string()
            } else {
                self.source.offset()
            },
            key: self.in_entry.then(|| key.to_vec()),
            reason,
        };
        self.failed = Some(fault.clone());
        fault
    }
}
