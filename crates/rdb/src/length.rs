//! Lengths and fixed-width numbers (Redis `src/rdb.c`, `rdbLoadLenByRef`).

use crate::{bytes::Bytes, fault::Reason};

/// What a length's bytes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// A count.
    Plain(u64),
    /// The six bits of a special string encoding; stands only where a string may begin.
    Encoded(u8),
}

/// Lengths and times, of any bytes.
pub(crate) trait Lengths: Bytes {
    /// A count. Servers read the six bits of an encoded string as one; nothing sound writes that.
    #[inline]
    fn length(&mut self) -> Result<u64, Box<Reason>> {
        match self.length_or_encoding()? {
            Length::Plain(length) => Ok(length),
            Length::Encoded(encoding) => Err(Reason::BadLength(0xc0 | encoding).into()),
        }
    }

    /// A count or the mark of a specially encoded string. Longer forms than needed are legal.
    #[inline]
    fn length_or_encoding(&mut self) -> Result<Length, Box<Reason>> {
        // Most lengths are one byte: only this much is worth inlining everywhere.
        match self.byte()? {
            short @ 0..0x40 => Ok(Length::Plain(short.into())),
            first => self.long_length_or_encoding(first),
        }
    }

    /// The same behind its first byte.
    #[inline(never)]
    fn long_length_or_encoding(&mut self, first: u8) -> Result<Length, Box<Reason>> {
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
    fn milliseconds(&mut self) -> Result<i64, Box<Reason>> {
        Ok(i64::from_le_bytes(self.array()?))
    }
}

impl<B: Bytes> Lengths for B {}
