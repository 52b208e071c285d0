//! What `DUMP` gives and `RESTORE` takes: one value without its key, and a footer with version and checksum
//! (Redis `src/cluster.c`, `createDumpPayload`).

use std::io::BufRead;

use crate::{
    bytes::Bytes,
    crc::{self, Crc},
    event::{Kind, ModuleId},
    fault::{Fault, Reason},
    format::{Encoding, Format},
    limits::Limits,
    model::{Collector, Value},
    opcode,
    part::{Head, Out, Visitor},
    source::Source,
    unwritable::Unwritable,
    value::{self, Seen},
};

/// Two bytes of version and eight of checksum.
const FOOTER_BYTES: usize = 10;

/// A value as `DUMP` gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payload<'a> {
    encoding: Encoding,
    format: Format,
    /// All between the type byte and the footer.
    value: &'a [u8],
    stored: u64,
    computed: u64,
}

/// What is known of a payload's value once every byte of it was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checked {
    /// What the value is to its users.
    pub kind: Kind,
    /// Members, fields or stream entries; 1 for a string or a module value.
    pub elements: u64,
    /// The module that wrote the value, for [`Kind::Module`].
    pub module: Option<ModuleId>,
}

impl<'a> Payload<'a> {
    /// Takes a payload apart; the value is not looked at.
    ///
    /// # Errors
    /// It is too short, or begins with data of modules at the key, which is not read here.
    pub fn open(bytes: &'a [u8]) -> Result<Self, Fault> {
        let (body, footer) =
            bytes.split_last_chunk::<FOOTER_BYTES>().ok_or_else(|| fault(bytes.len(), Reason::Truncated))?;
        let [v0, v1, stored @ ..] = *footer;
        let format = Format::of_payload(u16::from_le_bytes([v0, v1]));
        let (&number, value) = body.split_first().ok_or_else(|| fault(0, Reason::Truncated))?;
        if number == opcode::KEY_META_OR_SLOT_IMPORT {
            return Err(fault(0, Reason::UnknownOpcode(number)));
        }
        let mut crc = Crc::new();
        crc.update(&bytes[..bytes.len() - stored.len()]);
        Ok(Self {
            encoding: Encoding { number, flavour: format.flavour },
            format,
            value,
            stored: u64::from_le_bytes(stored),
            computed: crc.value(),
        })
    }

    /// How the value is written.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Which servers take the payload: those of this family and version, and later ones.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The value's bytes: what follows the key in a file.
    pub fn value(&self) -> &'a [u8] {
        self.value
    }

    /// Proves the checksum. Unlike in a file, a zero is not "none" but wrong.
    ///
    /// # Errors
    /// [`Reason::Checksum`].
    pub fn check_sum(&self) -> Result<(), Fault> {
        let (stored, computed) = (self.stored, self.computed);
        if stored == computed {
            Ok(())
        } else {
            Err(fault(self.value.len() + 1, Reason::Checksum { stored, computed }))
        }
    }

    /// Proves the value's structure, whatever the checksum says.
    ///
    /// # Errors
    /// What a server would refuse, or might crash on later. Offsets count from the payload's type byte.
    pub fn check(&self, limits: Limits) -> Result<Checked, Fault> {
        self.visit(limits, &mut ())
    }

    /// The same, with the value handed to a visitor. The key is empty, the database 0.
    ///
    /// # Errors
    /// As [`Payload::check`], or what the visitor made of it.
    pub fn visit<V: Visitor>(&self, limits: Limits, visitor: &mut V) -> Result<Checked, Fault> {
        if !self.format.is_read() {
            return Err(fault(self.value.len() + 1, Reason::UnsupportedVersion { format: self.format }));
        }
        let mut source = Source::new(self.value, limits.max_blob_bytes);
        let checked = self.walk(&mut source, visitor);
        checked.map_err(|reason| fault(1 + usize::try_from(source.offset()).unwrap_or(usize::MAX), *reason))
    }

    /// The value, held in memory up to so many bytes.
    ///
    /// # Errors
    /// As [`Payload::check`], or the value is larger.
    pub fn decode(&self, limits: Limits, max_bytes: u64) -> Result<Value, Fault> {
        let mut collector = Collector::new(max_bytes);
        self.visit(limits, &mut collector)?;
        // A value whose reading went well has been begun.
        collector.take().ok_or_else(|| fault(0, Reason::UnknownType(self.encoding)))
    }

    fn walk<V: Visitor>(&self, source: &mut Source<&[u8]>, visitor: &mut V) -> Result<Checked, Box<Reason>> {
        let kind = self.encoding.kind().ok_or(Reason::UnknownType(self.encoding))?;
        let head = Head {
            database: 0,
            key: b"",
            kind,
            encoding: self.encoding,
            expires_ms: None,
            idle_seconds: None,
            frequency: None,
            has_key_meta: false,
        };
        let mut out = Out { want: visitor.begin(&head), visitor };
        let wants_raw = out.wants_raw();
        if wants_raw {
            source.tap();
        }
        let value::Value { elements, module, .. } =
            value::check(self.encoding, source, &mut Seen::new(), &mut out)?;
        if !source.fill_buf_is_empty()? {
            return Err(Reason::TrailingBytes.into());
        }
        // In a file servers pass over an empty collection; here they refuse it.
        if elements == 0 && kind != Kind::Stream {
            return Err(Reason::Empty.into());
        }
        if wants_raw {
            source.drain_tap(|bytes| out.visitor.raw(bytes))?;
        }
        Ok(Checked { kind, elements, module })
    }
}

impl Value {
    /// The value as `RESTORE` of that format's servers takes it.
    ///
    /// ```
    /// use keystow_rdb::{Format, Limits, Value, dump::Payload};
    ///
    /// let value = Value::Set(vec![b"a".to_vec(), b"b".to_vec()]);
    /// let bytes = value.to_payload(Format::VALKEY_80)?;
    ///
    /// let payload = Payload::open(&bytes)?;
    /// payload.check_sum()?;
    /// assert_eq!(payload.decode(Limits::default(), 1 << 20)?, value);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Value::encode`]. An empty collection is written, but no server takes it.
    pub fn to_payload(&self, format: Format) -> Result<Vec<u8>, Unwritable> {
        let (encoding, bytes) = self.encode(format)?;
        let mut payload = Vec::with_capacity(1 + bytes.len() + FOOTER_BYTES);
        payload.push(encoding.number);
        payload.extend(bytes);
        seal(&mut payload, format);
        Ok(payload)
    }
}

/// Appends the footer that makes a payload out of a type byte and a value.
pub fn seal(payload: &mut Vec<u8>, format: Format) {
    seal_from(payload, 0, format);
}

/// The same for a payload that begins at some place of a buffer.
#[inline]
pub(crate) fn seal_from(buffer: &mut Vec<u8>, start: usize, format: Format) {
    buffer.extend(format.version.to_le_bytes());
    let sum = crc::of(&buffer[start..]);
    buffer.extend(sum.to_le_bytes());
}

fn fault(offset: usize, reason: Reason) -> Fault {
    Fault { offset: offset as u64, key: None, reason }
}

impl<R: BufRead> Source<R> {
    /// Whether nothing is left.
    fn fill_buf_is_empty(&mut self) -> Result<bool, Box<Reason>> {
        Ok(self.window()?.is_empty())
    }
}
