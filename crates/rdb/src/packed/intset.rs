//! Intsets (Redis `src/intset.c`, `intsetValidateIntegrity`), small sets of numbers.

use super::{Item, Packed};
use crate::fault::Reason;

/// The members of an intset, which was proven when it was opened.
#[derive(Debug, Clone)]
pub struct Intset<'a> {
    width: usize,
    rest: &'a [u8],
    len: u64,
}

impl<'a> Intset<'a> {
    /// Proves an intset: its width, its count and the order of its members. Servers refuse an empty one.
    ///
    /// # Errors
    /// [`Reason::Intset`].
    pub fn open(bytes: &'a [u8]) -> Result<Self, Box<Reason>> {
        let (header, body) =
            bytes.split_first_chunk::<8>().ok_or(Reason::Intset("too short for a header"))?;
        let [w0, w1, w2, w3, c0, c1, c2, c3] = *header;
        let (width, is_ascending) = match u32::from_le_bytes([w0, w1, w2, w3]) {
            2 => (2, ascends(body, i16::from_le_bytes)),
            4 => (4, ascends(body, i32::from_le_bytes)),
            8 => (8, ascends(body, i64::from_le_bytes)),
            _ => return Err(Reason::Intset("a width that does not exist").into()),
        };
        let len = u64::from(u32::from_le_bytes([c0, c1, c2, c3]));
        if len * width as u64 != body.len() as u64 {
            return Err(Reason::Intset("the header's count is not that of the members").into());
        }
        match (len, is_ascending) {
            (0, _) => Err(Reason::Intset("it is empty").into()),
            (_, false) => Err(Reason::Intset("its members are not in order").into()),
            (_, true) => Ok(Self { width, rest: body, len }),
        }
    }

    /// How many members it has; never 0.
    #[expect(clippy::len_without_is_empty, reason = "an empty one cannot be opened")]
    pub fn len(&self) -> u64 {
        self.len
    }
}

impl<'a> Packed<'a> for Intset<'a> {
    fn next_item(&mut self) -> Result<Option<Item<'a>>, Box<Reason>> {
        let Some((member, rest)) = self.rest.split_at_checked(self.width) else { return Ok(None) };
        self.rest = rest;
        let number = if let Some(bytes) = member.as_array::<2>() {
            i16::from_le_bytes(*bytes).into()
        } else if let Some(bytes) = member.as_array::<4>() {
            i32::from_le_bytes(*bytes).into()
        } else if let Some(bytes) = member.as_array::<8>() {
            i64::from_le_bytes(*bytes)
        } else {
            return Ok(None);
        };
        Ok(Some(Item::Integer(number)))
    }
}

fn ascends<const WIDTH: usize, N: Ord>(body: &[u8], read: fn([u8; WIDTH]) -> N) -> bool {
    let (members, _) = body.as_chunks::<WIDTH>();
    members.iter().map(|member| read(*member)).is_sorted_by(|a, b| a < b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn intset(width: u32, members: &[i16]) -> Vec<u8> {
        let mut bytes = width.to_le_bytes().to_vec();
        bytes.extend(u32::try_from(members.len()).unwrap().to_le_bytes());
        bytes.extend(members.iter().flat_map(|member| member.to_le_bytes()));
        bytes
    }

    #[test]
    fn members_ascend_strictly() {
        let bytes = intset(2, &[-5, 0, 7]);
        let mut members = Intset::open(&bytes).unwrap();
        assert_eq!(members.len(), 3);
        for expected in [Some(-5), Some(0), Some(7), None] {
            assert_eq!(members.next_item().unwrap(), expected.map(Item::Integer));
        }
        for wrong in [&[1, 1][..], &[2, 1], &[]] {
            assert!(Intset::open(&intset(2, wrong)).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn width_and_length_must_fit() {
        assert!(Intset::open(&intset(3, &[1, 2, 3])).is_err());
        assert!(Intset::open(&intset(4, &[1, 2, 3])).is_err());
        assert!(Intset::open(&intset(2, &[1, 2, 3])[..13]).is_err());
        assert!(Intset::open(&[0; 7]).is_err());
    }
}
