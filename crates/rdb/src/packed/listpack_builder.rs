//! Builds listpacks (Redis `src/listpack.c`, `lpInsert`).

use super::{Item, TooLong, listpack::back_length_bytes};

const HEADER: [u8; 6] = [0; 6];
const END: u8 = 0xff;

/// A listpack that grows entry by entry.
///
/// ```
/// use keystow_rdb::packed::{Item, Listpack, ListpackBuilder, Packed};
///
/// let mut builder = ListpackBuilder::new();
/// builder.push(Item::Text(b"field"))?;
/// builder.push(Item::Integer(7))?;
/// let bytes = builder.finish()?;
/// let mut items = Listpack::open(bytes).map_err(|reason| *reason)?;
/// assert_eq!(items.next_item().map_err(|reason| *reason)?, Some(Item::Text(b"field")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct ListpackBuilder {
    bytes: Vec<u8>,
    items: usize,
}

impl Default for ListpackBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl ListpackBuilder {
    /// An empty one.
    pub fn new() -> Self {
        Self { bytes: HEADER.to_vec(), items: 0 }
    }

    /// Starts anew, keeping the memory.
    pub fn clear(&mut self) {
        self.bytes.truncate(HEADER.len());
        self.items = 0;
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
        match item {
            Item::Integer(number) => self.integer(number),
            Item::Text(text) => self.text(text)?,
        }
        self.back_length(self.bytes.len() - start);
        self.items += 1;
        Ok(())
    }

    /// Writes header and end mark. Further entries may not follow without [`ListpackBuilder::clear`].
    ///
    /// # Errors
    /// [`TooLong`].
    pub fn finish(&mut self) -> Result<&[u8], TooLong> {
        self.bytes.push(END);
        let total = u32::try_from(self.bytes.len()).map_err(|_| TooLong)?;
        // The highest count stands for "walk".
        let items = u16::try_from(self.items).unwrap_or(u16::MAX);
        self.bytes[..4].copy_from_slice(&total.to_le_bytes());
        self.bytes[4..6].copy_from_slice(&items.to_le_bytes());
        Ok(&self.bytes)
    }

    fn integer(&mut self, number: i64) {
        let [b0, b1, b2, b3, ..] = number.to_le_bytes();
        match number {
            0..0x80 => self.bytes.push(b0),
            -0x1000..0x1000 => self.bytes.extend([0xc0 | (b1 & 0x1f), b0]),
            -0x8000..0x8000 => self.bytes.extend([0xf1, b0, b1]),
            -0x80_0000..0x80_0000 => self.bytes.extend([0xf2, b0, b1, b2]),
            -0x8000_0000..0x8000_0000 => self.bytes.extend([0xf3, b0, b1, b2, b3]),
            _ => {
                self.bytes.push(0xf4);
                self.bytes.extend(number.to_le_bytes());
            }
        }
    }

    fn text(&mut self, text: &[u8]) -> Result<(), TooLong> {
        let length = u32::try_from(text.len()).map_err(|_| TooLong)?.to_le_bytes();
        let [b0, b1, ..] = length;
        match text.len() {
            0..0x40 => self.bytes.push(0x80 | b0),
            0x40..0x1000 => self.bytes.extend([0xe0 | b1, b0]),
            _ => {
                self.bytes.push(0xf0);
                self.bytes.extend(length);
            }
        }
        self.bytes.extend_from_slice(text);
        Ok(())
    }

    /// The entry's size for walking backwards: seven bits a byte, all but the first marked.
    fn back_length(&mut self, size: usize) {
        let bytes = back_length_bytes(size);
        for place in (0..bytes).rev() {
            let [seven, ..] = (size >> (7 * place)).to_le_bytes();
            let mark = if place == bytes - 1 { 0 } else { 0x80 };
            self.bytes.push(seven & 0x7f | mark);
        }
    }
}
