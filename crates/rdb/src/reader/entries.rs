//! Keys with their values, and what stands before them.

use std::io::BufRead;

use super::{Attributes, Latest, Reader, Step, with_tap};
use crate::{
    bytes::{Bytes, Slice},
    fault::Reason,
    format::{Encoding, Flavour},
    length::Lengths,
    opcode,
    part::{Head, Out, Visitor, Want},
    source::GROWTH_BYTES,
    text::Texts,
    value::{self, Seen, Value},
};

/// More classes of such data than a server keeps.
const MAX_KEY_META: u64 = 8;

impl<R: BufRead> Reader<R> {
    /// Reads an entry that lies in one buffer, as most do, without asking at each byte whether there is more.
    /// `None` when it does not, or when anything is wrong with it: it is then read again byte by byte, which
    /// tells where.
    pub(super) fn whole_entry(&mut self, start: u64) -> Result<Option<Step>, Box<Reason>> {
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

    pub(super) fn entry<V: Visitor>(
        &mut self,
        number: u8,
        start: u64,
        visitor: &mut V,
    ) -> Result<Step, Box<Reason>> {
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

    /// Data of modules at the next key: four bytes for its class, and values as modules write them.
    pub(super) fn key_meta(&mut self) -> Result<(), Box<Reason>> {
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
