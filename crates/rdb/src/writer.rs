//! Writes a file: header, opcodes, entries, end and checksum (Redis `src/rdb.c`, `rdbSaveRio`).

use std::io::{self, Write};

use crate::{
    crc::Crc,
    encode,
    event::{ModuleId, ModuleWhen},
    format::{Encoding, Format},
    model::Value,
    opcode,
    part::Head,
    unwritable::{Unwritable, WriteError},
};

/// So many bytes are gathered before they are summed and written: still in the CPU's cache.
const GATHERED_BYTES: usize = 128 << 10;
/// Longer pieces are not copied.
const DIRECT_BYTES: usize = 16 << 10;
/// The first version with functions.
const FIRST_WITH_FUNCTIONS: u16 = 10;

/// Writes one file from its first byte to its checksum.
///
/// Gathers small writes itself; the output needs no buffer of its own. Only [`Writer::end`] makes a whole file of
/// what was written.
///
/// ```
/// use keystow_rdb::{Format, Limits, Record, Value, Writer, verify};
///
/// let mut writer = Writer::new(Vec::new(), Format::REDIS_9)?;
/// writer.aux(b"redis-ver", b"6.2.14")?;
/// writer.database(3)?;
/// let record = Record { expires_ms: Some(4_102_444_800_000), ..Record::new(b"session:1") };
/// writer.value(&record, &Value::Set(vec![b"a".to_vec(), b"b".to_vec()]))?;
/// let file = writer.end()?;
///
/// let report = verify(&file[..], Limits::default())?;
/// assert_eq!((report.magic.as_str(), report.keys), ("REDIS0009", 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Writer<W: Write> {
    out: W,
    format: Format,
    gathered: Vec<u8>,
    crc: Crc,
    bytes: u64,
}

/// What stands before a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Record<'a> {
    /// The key; may be empty and hold any byte.
    pub key: &'a [u8],
    /// Absolute expiry in Unix milliseconds.
    pub expires_ms: Option<i64>,
    /// Seconds since the last access, where the server's eviction policy is LRU.
    pub idle_seconds: Option<u64>,
    /// Access frequency counter, where the server's eviction policy is LFU.
    pub frequency: Option<u8>,
}

impl<'a> Record<'a> {
    /// A key that does not expire.
    pub fn new(key: &'a [u8]) -> Self {
        Self { key, ..Self::default() }
    }
}

impl<'a> From<&Head<'a>> for Record<'a> {
    /// What was read of an entry; data that modules keep at the key is left behind.
    fn from(head: &Head<'a>) -> Self {
        Self {
            key: head.key,
            expires_ms: head.expires_ms,
            idle_seconds: head.idle_seconds,
            frequency: head.frequency,
        }
    }
}

impl<W: Write> Writer<W> {
    /// Begins a file of that format.
    ///
    /// # Errors
    /// [`Unwritable::Format`]: written are those of [`Format::WRITTEN`].
    pub fn new(out: W, format: Format) -> Result<Self, Unwritable> {
        if !format.is_written() {
            return Err(Unwritable::Format(format));
        }
        let gathered = format.magic().into_bytes();
        Ok(Self { out, format, gathered, crc: Crc::new(), bytes: 0 })
    }

    /// The format of the file.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Bytes written so far, those that are still gathered among them.
    pub fn bytes(&self) -> u64 {
        self.bytes + self.gathered.len() as u64
    }

    /// A named note about the file or the server.
    ///
    /// # Errors
    /// The output's own, here and below.
    pub fn aux(&mut self, name: &[u8], value: &[u8]) -> io::Result<()> {
        self.gathered.push(opcode::AUX);
        encode::string(&mut self.gathered, name);
        encode::string(&mut self.gathered, value);
        self.settle()
    }

    /// The entries that follow are of this database. Without it they are of database 0.
    ///
    /// # Errors
    /// The output's own.
    pub fn database(&mut self, index: u64) -> io::Result<()> {
        self.gathered.push(opcode::DATABASE);
        encode::length(&mut self.gathered, index);
        self.settle()
    }

    /// How many keys are to come in this database, so that servers make room at once.
    ///
    /// # Errors
    /// The output's own.
    pub fn size_hint(&mut self, keys: u64, with_expiry: u64) -> io::Result<()> {
        self.gathered.push(opcode::SIZE_HINT);
        encode::length(&mut self.gathered, keys);
        encode::length(&mut self.gathered, with_expiry);
        self.settle()
    }

    /// A function library's source code.
    ///
    /// # Errors
    /// [`Unwritable::Function`] before RDB 10, or the output's own.
    pub fn function(&mut self, code: &[u8]) -> Result<(), WriteError> {
        if self.format.version < FIRST_WITH_FUNCTIONS {
            return Err(Unwritable::Function(self.format).into());
        }
        self.gathered.push(opcode::FUNCTION);
        encode::string(&mut self.gathered, code);
        Ok(self.settle()?)
    }

    /// Begins data that a module keeps outside of keys. Its bytes follow by [`Writer::raw`].
    ///
    /// # Errors
    /// The output's own.
    pub fn module_aux(&mut self, module: ModuleId, when: ModuleWhen) -> io::Result<()> {
        /// The place is written like a module's own number (`RDB_MODULE_OPCODE_UINT` in Redis `src/rdb.h`).
        const UNSIGNED: u64 = 2;
        self.gathered.push(opcode::MODULE_AUX);
        encode::length(&mut self.gathered, module.0);
        encode::length(&mut self.gathered, UNSIGNED);
        let when = match when {
            ModuleWhen::BeforeKeys => 1,
            ModuleWhen::AfterKeys => 2,
        };
        encode::length(&mut self.gathered, when);
        self.settle()
    }

    /// Begins an entry whose value is at hand in its encoding. Its bytes follow by [`Writer::raw`], in any number of
    /// pieces.
    ///
    /// # Errors
    /// [`Unwritable::Encoding`] if servers of the format do not read it, or the output's own.
    pub fn entry(&mut self, record: &Record<'_>, encoding: Encoding) -> Result<(), WriteError> {
        if !self.format.holds(encoding) {
            return Err(Unwritable::Encoding(encoding, self.format).into());
        }
        let out = &mut self.gathered;
        if let Some(ms) = record.expires_ms {
            out.push(opcode::EXPIRY_MS);
            encode::milliseconds(out, ms);
        }
        if let Some(seconds) = record.idle_seconds {
            out.push(opcode::IDLE);
            encode::length(out, seconds);
        }
        if let Some(frequency) = record.frequency {
            out.extend([opcode::FREQUENCY, frequency]);
        }
        out.push(encoding.number);
        encode::string(out, record.key);
        Ok(self.settle()?)
    }

    /// The next bytes of what was begun, as they stand in a file.
    ///
    /// # Errors
    /// The output's own.
    #[inline]
    pub fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() >= DIRECT_BYTES {
            return self.raw_directly(bytes);
        }
        self.gathered.extend_from_slice(bytes);
        self.settle()
    }

    /// An entry with its value.
    ///
    /// # Errors
    /// What [`Value::encode`] finds, then nothing was written; or the output's own.
    pub fn value(&mut self, record: &Record<'_>, value: &Value) -> Result<(), WriteError> {
        let (encoding, bytes) = value.encode(self.format)?;
        self.entry(record, encoding)?;
        Ok(self.raw(&bytes)?)
    }

    /// Writes the end mark and the checksum, and gives the output back.
    ///
    /// # Errors
    /// The output's own.
    pub fn end(mut self) -> io::Result<W> {
        self.gathered.push(opcode::END);
        self.spill()?;
        self.out.write_all(&self.crc.value().to_le_bytes())?;
        self.out.flush()?;
        Ok(self.out)
    }

    /// For callers that encode values piece by piece; [`Writer::settle`] must follow soon.
    pub(crate) fn gathered(&mut self) -> &mut Vec<u8> {
        &mut self.gathered
    }

    /// Writes what was gathered if that is much.
    #[inline]
    pub(crate) fn settle(&mut self) -> io::Result<()> {
        if self.gathered.len() >= GATHERED_BYTES { self.spill() } else { Ok(()) }
    }

    #[cold]
    fn spill(&mut self) -> io::Result<()> {
        self.crc.update(&self.gathered);
        self.out.write_all(&self.gathered)?;
        self.bytes += self.gathered.len() as u64;
        self.gathered.clear();
        self.gathered.shrink_to(2 * GATHERED_BYTES);
        Ok(())
    }

    fn raw_directly(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.spill()?;
        self.crc.update(bytes);
        self.out.write_all(bytes)?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }
}
