//! Orders that are sent together, and those that must be sent again.

use crate::redis::Node;

/// A batch is full at so many bytes or orders.
const FULL_BYTES: usize = 256 * 1024;
const FULL_ITEMS: usize = 1000;
/// A buffer that grew beyond this for a huge value is not kept.
const KEPT_BYTES: usize = 1024 * 1024;

/// One order in a batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    /// Its key's place among all keys, from 0.
    pub(super) number: u64,
    /// Where its bytes end in the batch.
    pub(super) end: usize,
    /// Replies that it gives.
    pub(super) replies: u32,
    /// The key's slot.
    pub(super) slot: u16,
    /// Whether it may be sent when nobody knows whether it was carried out.
    pub(super) repeatable: bool,
    /// Whether its key is whole with it.
    pub(super) is_last: bool,
    /// Whether it may have been carried out before.
    pub(super) again: bool,
}

/// Orders for one primary and one database.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) database: u64,
    /// The smallest number in it, as it was noted.
    pub(super) first: u64,
    pub(super) bytes: Vec<u8>,
    pub(super) items: Vec<Item>,
}

/// An order that was not carried out, or of which that is not known.
#[derive(Debug)]
pub(super) struct Leftover {
    pub(super) item: Item,
    pub(super) database: u64,
    pub(super) command: Vec<u8>,
    /// The node that a cluster said to ask, for this time only.
    pub(super) ask: Option<Node>,
}

impl Batch {
    /// An empty one in the same buffers.
    pub(super) fn begin(mut self, database: u64, first: u64) -> Self {
        self.empty();
        Self { database, first, ..self }
    }

    /// Forgets its orders. It is kept for others, and huge buffers of several lanes add up.
    pub(super) fn empty(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.items.clear();
    }

    pub(super) fn add(&mut self, item: Item, command: &[u8]) {
        self.bytes.extend_from_slice(command);
        self.items.push(Item { end: self.bytes.len(), ..item });
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= FULL_BYTES || self.items.len() >= FULL_ITEMS
    }

    /// The bytes of one order.
    pub(super) fn command(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.items[before].end);
        &self.bytes[start..self.items[index].end]
    }

    /// One order by itself.
    pub(super) fn take_out(&self, index: usize, ask: Option<Node>) -> Leftover {
        Leftover {
            item: self.items[index],
            database: self.database,
            command: self.command(index).to_vec(),
            ask,
        }
    }

    /// All orders from one on. `was_sent`: they may have been carried out.
    pub(super) fn leave(&self, from: usize, was_sent: bool) -> Vec<Leftover> {
        let one = |index| {
            let mut left = self.take_out(index, None);
            left.item.again |= was_sent;
            left
        };
        (from..self.items.len()).map(one).collect()
    }
}

/// The key of a command as the Redis protocol writes it: its second word.
pub(super) fn key_of(command: &[u8]) -> Option<&[u8]> {
    let rest = skip_line(command)?;
    let (_, rest) = word(rest)?;
    word(rest).map(|(key, _)| key)
}

fn skip_line(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    Some(&bytes[end + 1..])
}

fn word(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = skip_line(bytes)?;
    let length: usize =
        std::str::from_utf8(bytes.get(1..bytes.len() - rest.len() - 2)?).ok()?.parse().ok()?;
    Some((rest.get(..length)?, rest.get(length + 2..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_a_command_is_found() {
        let mut command = Vec::new();
        crate::redis::encode(&mut command, &[b"RESTORE", b"a\r\nkey", b"0", b"payload"]);
        assert_eq!(key_of(&command), Some(&b"a\r\nkey"[..]));
        for end in 0..20 {
            assert_eq!(key_of(&command[..end]), None);
        }
    }

    #[test]
    fn orders_come_out_as_they_went_in() {
        let mut batch = Batch::default().begin(3, 7);
        let item =
            Item { number: 7, end: 0, replies: 1, slot: 1, repeatable: true, is_last: true, again: false };
        batch.add(item, b"first");
        batch.add(Item { number: 8, ..item }, b"second");
        let left = batch.leave(1, true);
        assert_eq!(
            (left[0].command.as_slice(), left[0].item.number, left[0].item.again),
            (&b"second"[..], 8, true)
        );
        assert_eq!((batch.command(0), left.len(), left[0].database), (&b"first"[..], 1, 3));
    }
}
