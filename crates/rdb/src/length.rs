//! Lengths and fixed-width numbers (Redis `src/rdb.c`, `rdbLoadLenByRef`).

use std::io::BufRead;

use crate::{fault::Reason, source::Source};

/// What a length's bytes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// A count.
    Plain(u64),
    /// The six bits of a special string encoding; stands only where a string may begin.
    Encoded(u8),
}

impl<R: BufRead> Source<R> {
    /// A count. Servers read the six bits of an encoded string as one; nothing sound writes that.
    #[inline]
    pub(crate) fn length(&mut self) -> Result<u64, Box<Reason>> {
        match self.length_or_encoding()? {
            Length::Plain(length) => Ok(length),
            Length::Encoded(encoding) => Err(Reason::BadLength(0xc0 | encoding).into()),
        }
    }

    /// A count or the mark of a specially encoded string. Longer forms than needed are legal.
    #[inline]
    pub(crate) fn length_or_encoding(&mut self) -> Result<Length, Box<Reason>> {
        // Most lengths are one byte: only this much is worth inlining everywhere.
        if let Some(&first @ 0..0x40) = self.window()?.first() {
            self.advance(1);
            return Ok(Length::Plain(first.into()));
        }
        self.long_length_or_encoding()
    }

    #[inline(never)]
    fn long_length_or_encoding(&mut self) -> Result<Length, Box<Reason>> {
        let first = self.byte()?;
        match first {
            0..0x40 => Ok(Length::Plain(first.into())),
            0x40..0x80 => {
                let second = self.byte()?;
                Ok(Length::Plain(u64::from(first & 63) << 8 | u64::from(second)))
            }
            0x80 => Ok(Length::Plain(u32::from_be_bytes(self.array()?).into())),
            0x81 => Ok(Length::Plain(u64::from_be_bytes(self.array()?))),
            0x82..0xc0 => Err(Reason::BadLength(first).into()),
            0xc0.. => Ok(Length::Encoded(first & 63)),
        }
    }

    /// A Unix time in milliseconds.
    pub(crate) fn milliseconds(&mut self) -> Result<i64, Box<Reason>> {
        Ok(i64::from_le_bytes(self.array()?))
    }
}
