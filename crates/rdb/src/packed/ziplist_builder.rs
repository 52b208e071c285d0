//! Builds ziplists (Redis `src/ziplist.c`, `ziplistPush`).

use super::{Item, TooLong};

const HEADER: [u8; 10] = [0; 10];
const END: u8 = 0xff;
/// Announces a previous length of four more bytes.
const LONG_PREVIOUS: u8 = 254;

/// A ziplist that grows entry by entry.
#[derive(Debug, Clone)]
pub struct ZiplistBuilder {
    bytes: Vec<u8>,
    items: usize,
    /// Where the last entry begins.
    tail: usize,
}

impl Default for ZiplistBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl ZiplistBuilder {
    /// An empty one.
    pub fn new() -> Self {
        Self { bytes: HEADER.to_vec(), items: 0, tail: HEADER.len() }
    }

    /// Starts anew, keeping the memory.
    pub fn clear(&mut self) {
        self.bytes.truncate(HEADER.len());
        (self.items, self.tail) = (0, HEADER.len());
    }

    /// Bytes so far, the end mark not among them.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Appends an entry.
    ///
    /// # Errors
    /// [`TooLong`].
    pub fn push(&mut self, item: Item<'_>) -> Result<(), TooLong> {
        let start = self.bytes.len();
        let previous = u32::try_from(start - self.tail).map_err(|_| TooLong)?;
        match u8::try_from(previous) {
            Ok(short) if short < LONG_PREVIOUS => self.bytes.push(short),
            _ => {
                self.bytes.push(LONG_PREVIOUS);
                self.bytes.extend(previous.to_le_bytes());
            }
        }
        match item {
            Item::Integer(number) => self.integer(number),
            Item::Text(text) => self.text(text)?,
        }
        self.tail = start;
        self.items += 1;
        Ok(())
    }

    /// Writes header and end mark. Further entries may not follow without [`ZiplistBuilder::clear`].
    ///
    /// # Errors
    /// [`TooLong`].
    pub fn finish(&mut self) -> Result<&[u8], TooLong> {
        self.bytes.push(END);
        let total = u32::try_from(self.bytes.len()).map_err(|_| TooLong)?;
        let tail = u32::try_from(self.tail).map_err(|_| TooLong)?;
        // The highest count stands for "walk".
        let items = u16::try_from(self.items).unwrap_or(u16::MAX);
        self.bytes[..4].copy_from_slice(&total.to_le_bytes());
        self.bytes[4..8].copy_from_slice(&tail.to_le_bytes());
        self.bytes[8..10].copy_from_slice(&items.to_le_bytes());
        Ok(&self.bytes)
    }

    fn integer(&mut self, number: i64) {
        let [b0, b1, b2, b3, ..] = number.to_le_bytes();
        match number {
            0..13 => self.bytes.push(0xf1 + b0),
            -0x80..0x80 => self.bytes.extend([0xfe, b0]),
            -0x8000..0x8000 => self.bytes.extend([0xc0, b0, b1]),
            -0x80_0000..0x80_0000 => self.bytes.extend([0xf0, b0, b1, b2]),
            -0x8000_0000..0x8000_0000 => self.bytes.extend([0xd0, b0, b1, b2, b3]),
            _ => {
                self.bytes.push(0xe0);
                self.bytes.extend(number.to_le_bytes());
            }
        }
    }

    fn text(&mut self, text: &[u8]) -> Result<(), TooLong> {
        let length = u32::try_from(text.len()).map_err(|_| TooLong)?.to_be_bytes();
        let [.., b2, b3] = length;
        match text.len() {
            0..0x40 => self.bytes.push(b3),
            0x40..0x4000 => self.bytes.extend([0x40 | b2, b3]),
            _ => {
                self.bytes.push(0x80);
                self.bytes.extend(length);
            }
        }
        self.bytes.extend_from_slice(text);
        Ok(())
    }
}
