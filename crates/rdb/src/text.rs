//! Strings in their four forms: plain, integer, compressed, and as what they stand for
//! (Redis `src/rdb.c`, `rdbGenericLoadStringObject`).

use std::io::Write;

use crate::{
    bytes::Bytes,
    fault::Reason,
    length::{Length, Lengths},
    lzf,
    packed::Item,
    source::GROWTH_BYTES,
};

/// How a string is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Text {
    /// That many bytes follow.
    Plain(u64),
    /// The decimal text of a number.
    Integer(i64),
    /// `stored` bytes follow, which expand to `plain` bytes.
    Lzf {
        /// Compressed length.
        stored: u64,
        /// Length that it promises to have expanded.
        plain: u64,
    },
}

/// Strings, of any bytes.
pub(crate) trait Texts: Lengths {
    /// The head of a string; its body is still to be read.
    #[inline]
    fn text(&mut self) -> Result<Text, Box<Reason>> {
        self.begin_string();
        match self.length_or_encoding()? {
            Length::Plain(bytes) => Ok(Text::Plain(bytes)),
            Length::Encoded(encoding) => self.encoded_text(encoding),
        }
    }

    /// Proves a string without keeping it, whatever its length. Gives the length that it stands for.
    #[inline]
    fn skip_string(&mut self) -> Result<u64, Box<Reason>> {
        let text = self.text()?;
        self.skip_text(text)
    }

    /// Proves the body of a string whose head was read.
    #[inline]
    fn skip_text(&mut self, text: Text) -> Result<u64, Box<Reason>> {
        match text {
            Text::Plain(bytes) => {
                self.skip(bytes)?;
                Ok(bytes)
            }
            Text::Integer(number) => {
                let digits = number.unsigned_abs().checked_ilog10().unwrap_or(0) + 1;
                Ok(u64::from(digits) + u64::from(number < 0))
            }
            Text::Lzf { stored, plain } => {
                self.prove_lzf(stored, plain)?;
                self.count_expansion(plain.saturating_sub(stored));
                Ok(plain)
            }
        }
    }

    /// The body of a string whose head was read, numbers as numbers.
    #[inline]
    fn item(&mut self, text: Text) -> Result<Item<'_>, Box<Reason>> {
        match text {
            Text::Integer(number) => Ok(Item::Integer(number)),
            Text::Plain(bytes) => self.bytes(bytes).map(Item::Text),
            Text::Lzf { .. } => self.decode(text).map(Item::Text),
        }
    }

    /// A whole string: lent from the source's buffer where it lies there in one piece and uncompressed.
    #[inline]
    fn string(&mut self) -> Result<&[u8], Box<Reason>> {
        match self.text()? {
            Text::Plain(bytes) => self.bytes(bytes),
            encoded => self.decode(encoded),
        }
    }

    /// The body of a string that is not plain, as what it stands for.
    fn decode(&mut self, text: Text) -> Result<&[u8], Box<Reason>> {
        let mut decoded = std::mem::take(self.decoded());
        decoded.clear();
        match text {
            Text::Plain(bytes) => decoded.extend_from_slice(self.bytes(bytes)?),
            Text::Integer(number) => write!(decoded, "{number}")?,
            Text::Lzf { stored, plain } => {
                let limit = self.max_blob_bytes();
                if plain > limit {
                    let bytes = plain;
                    return Err(Reason::TooLarge { bytes, limit }.into());
                }
                lzf::check_ratio(stored, plain)?;
                lzf::expand_into(self.bytes(stored)?, plain, &mut decoded, GROWTH_BYTES)?;
                self.count_expansion(plain.saturating_sub(stored));
            }
        }
        *self.decoded() = decoded;
        Ok(self.decoded())
    }

    fn encoded_text(&mut self, encoding: u8) -> Result<Text, Box<Reason>> {
        match encoding {
            0 => Ok(Text::Integer(i8::from_le_bytes(self.array()?).into())),
            1 => Ok(Text::Integer(i16::from_le_bytes(self.array()?).into())),
            2 => Ok(Text::Integer(i32::from_le_bytes(self.array()?).into())),
            3 => Ok(Text::Lzf { stored: self.length()?, plain: self.length()? }),
            _ => Err(Reason::BadStringEncoding(encoding).into()),
        }
    }
}

impl<B: Bytes> Texts for B {}
