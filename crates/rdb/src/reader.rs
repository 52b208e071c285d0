//! The frame of a file: header, opcodes, entries, end and checksum. What values look like is not known here.

use std::io::{self, BufRead};

use crate::{
    bytes::{Bytes, Slice},
    event::{Checksum, Entry, Event, Kind, ModuleId, ModuleWhen},
    fault::{Fault, Reason},
    format::{Encoding, Flavour, Format},
    keys::{Keys, Twice},
    length::Lengths,
    limits::{Limits, NotCompared},
    opcode,
    part::{Head, Out, Visitor, Want},
    source::{GROWTH_BYTES, Source, give_back},
    text::Texts,
    value::{self, Seen, Value},
};

/// The first version with a checksum at its end (Redis `src/rdb.c`, `rdbLoadRioWithLoadingCtx`).
const FIRST_WITH_CHECKSUM: u16 = 5;

/// The first version with data of modules at keys (librdb `src/lib/parser.c`).
const FIRST_WITH_KEY_META: u16 = 13;
/// The highest cluster slot.
const LAST_SLOT: u64 = 16_383;
/// More classes of such data than a server keeps.
const MAX_KEY_META: u64 = 8;

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

    /// Reads an entry that lies in one buffer, as most do, without asking at each byte whether there is more.
    /// `None` when it does not, or when anything is wrong with it: it is then read again byte by byte, which
    /// tells where.
    fn whole_entry(&mut self, start: u64) -> Result<Option<Step>, Box<Reason>> {
        let not_compared = self.seen.not_compared();
        let mut decoded = std::mem::take(&mut self.source.decoded);
        let window = self.source.window()?;
        let mut slice = Slice::new(window, &mut decoded, self.limits.max_blob_bytes);
        self.latest.attributes = self.attributes;
        let read =
            read_whole(&mut slice, self.format.flavour, &mut self.key, &mut self.seen, &mut self.latest);
        let taken = window.len() - slice.left();
        self.source.decoded = decoded;
        let Ok(true) = read else {
            self.seen.set_not_compared(not_compared);
            return Ok(None);
        };
        self.latest.start = start;
        self.in_entry = true;
        self.attributes = Attributes::default();
        self.keys.add(self.database, &self.key, start).map_err(|twice| self.twice(twice))?;
        self.source.advance(taken);
        Ok(Some(Step::Entry))
    }

    fn entry<V: Visitor>(&mut self, number: u8, start: u64, visitor: &mut V) -> Result<Step, Box<Reason>> {
        let encoding = Encoding { number, flavour: self.format.flavour };
        self.key.clear();
        self.key.extend_from_slice(self.source.string()?);
        self.in_entry = true;
        self.keys.add(self.database, &self.key, start).map_err(|twice| self.twice(twice))?;
        let attributes = std::mem::take(&mut self.attributes);
        let want = if V::SEES { visitor.begin(&self.head(encoding, attributes)?) } else { Want::Nothing };
        if V::SEES
            && want == Want::Raw
            && let Some(value) = self.whole_value(encoding, visitor)?
        {
            self.latest = Latest { encoding, start, attributes, value };
            return Ok(Step::Entry);
        }
        let value = with_tap(&mut self.source, Out { visitor, want }, |source, out| {
            value::check(encoding, source, &mut self.seen, out)
        })?;
        self.latest = Latest { encoding, start, attributes, value };
        Ok(Step::Entry)
    }

    /// Reads a value of which the bytes are wanted and that lies in one buffer, as most do: then they need not be kept
    /// on the way. `None` when it does not, is long, or when anything is wrong with it.
    fn whole_value<V: Visitor>(
        &mut self,
        encoding: Encoding,
        visitor: &mut V,
    ) -> Result<Option<Value>, Box<Reason>> {
        let not_compared = self.seen.not_compared();
        let mut decoded = std::mem::take(&mut self.source.decoded);
        let window = self.source.window()?;
        // Bytes are handed out in steps of that size.
        let window = &window[..window.len().min(GROWTH_BYTES)];
        let mut slice = Slice::new(window, &mut decoded, self.limits.max_blob_bytes);
        let mut out = Out { visitor: &mut (), want: Want::Nothing };
        let read = value::check(encoding, &mut slice, &mut self.seen, &mut out);
        let taken = window.len() - slice.left();
        if read.is_ok() {
            visitor.raw(&window[..taken]).map_err(|error| Reason::output(&error))?;
        }
        self.source.decoded = decoded;
        let Ok(value) = read else {
            self.seen.set_not_compared(not_compared);
            return Ok(None);
        };
        self.source.advance(taken);
        Ok(Some(value))
    }

    fn head(&self, encoding: Encoding, attributes: Attributes) -> Result<Head<'_>, Box<Reason>> {
        Ok(Head {
            database: self.database,
            key: &self.key,
            kind: encoding.kind().ok_or(Reason::UnknownType(encoding))?,
            encoding,
            expires_ms: attributes.expires_ms,
            idle_seconds: attributes.idle_seconds,
            frequency: attributes.frequency,
            has_key_meta: attributes.has_key_meta,
        })
    }

    /// Whether opcode 243 is the data of modules at the next key.
    fn has_key_meta(&self) -> bool {
        self.format.flavour == Flavour::Redis && self.format.version >= FIRST_WITH_KEY_META
    }

    /// Data of modules at the next key: four bytes for its class, and values as modules write them.
    fn key_meta(&mut self) -> Result<(), Box<Reason>> {
        let classes = self.source.length()?;
        if classes >= MAX_KEY_META {
            return Err(Reason::Module("too much of it at one key").into());
        }
        for _ in 0..classes {
            self.source.skip(4)?;
            value::walk_module_values(&mut self.source, &mut Out { visitor: &mut (), want: Want::Nothing })?;
        }
        self.attributes.has_key_meta = true;
        Ok(())
    }

    /// Slots on their way to the server (Valkey `src/cluster_migrateslots.c`): the job's name and the ranges.
    fn slot_import(&mut self) -> Result<Step, Box<Reason>> {
        const NAME_BYTES: usize = 40;
        self.aux_value.clear();
        self.aux_value.extend_from_slice(self.source.string()?);
        if self.aux_value.len() != NAME_BYTES {
            return Err(Reason::SlotImport.into());
        }
        for _ in 0..self.source.length()? {
            let (first, last) = (self.source.length()?, self.source.length()?);
            if first > last || last > LAST_SLOT {
                return Err(Reason::SlotImport.into());
            }
        }
        Ok(Step::SlotImport)
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
    fn module_aux<V: Visitor>(&mut self, visitor: &mut V) -> Result<Step, Box<Reason>> {
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
        let want = visitor.begin_module_aux(module, when);
        with_tap(&mut self.source, Out { visitor, want }, |source, out| {
            value::walk_module_values(source, out)
        })?;
        Ok(Step::ModuleAux { module, when })
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

/// Reads an entry; `false` if something else comes first.
#[inline]
fn read_whole(
    bytes: &mut Slice<'_>,
    flavour: Flavour,
    key: &mut Vec<u8>,
    seen: &mut Seen,
    latest: &mut Latest,
) -> Result<bool, Box<Reason>> {
    let number = loop {
        match bytes.byte()? {
            opcode::EXPIRY_MS => latest.attributes.expires_ms = Some(bytes.milliseconds()?),
            opcode::IDLE => latest.attributes.idle_seconds = Some(bytes.length()?),
            opcode::FREQUENCY => latest.attributes.frequency = Some(bytes.byte()?),
            other => break other,
        }
    };
    latest.encoding = Encoding { number, flavour };
    if latest.encoding.kind().is_none() {
        return Ok(false);
    }
    key.clear();
    key.extend_from_slice(bytes.string()?);
    let mut out = Out { visitor: &mut (), want: Want::Nothing };
    latest.value = value::check(latest.encoding, bytes, seen, &mut out)?;
    Ok(true)
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
