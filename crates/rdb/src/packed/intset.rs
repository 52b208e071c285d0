//! Intsets (Redis `src/intset.c`, `intsetValidateIntegrity`), small sets of numbers.

use crate::fault::Reason;

/// Proves an intset and counts its members. Servers refuse an empty one.
pub(crate) fn check(bytes: &[u8]) -> Result<u64, Box<Reason>> {
    let (header, body) = bytes.split_first_chunk::<8>().ok_or(Reason::Intset("too short for a header"))?;
    let [w0, w1, w2, w3, c0, c1, c2, c3] = *header;
    let width = u32::from_le_bytes([w0, w1, w2, w3]);
    let count = u64::from(u32::from_le_bytes([c0, c1, c2, c3]));
    if !matches!(width, 2 | 4 | 8) {
        return Err(Reason::Intset("a width that does not exist").into());
    }
    if count * u64::from(width) != body.len() as u64 {
        return Err(Reason::Intset("the header's count is not that of the members").into());
    }
    let is_ascending = match width {
        2 => ascends(body, i16::from_le_bytes),
        4 => ascends(body, i32::from_le_bytes),
        _ => ascends(body, i64::from_le_bytes),
    };
    match (count, is_ascending) {
        (0, _) => Err(Reason::Intset("it is empty").into()),
        (_, false) => Err(Reason::Intset("its members are not in order").into()),
        (_, true) => Ok(count),
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
        assert_eq!(check(&intset(2, &[-5, 0, 7])), Ok(3));
        for wrong in [&[1, 1][..], &[2, 1], &[]] {
            assert!(check(&intset(2, wrong)).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn width_and_length_must_fit() {
        assert!(check(&intset(3, &[1, 2, 3])).is_err());
        assert!(check(&intset(4, &[1, 2, 3])).is_err());
        assert!(check(&intset(2, &[1, 2, 3])[..13]).is_err());
        assert!(check(&[0; 7]).is_err());
    }
}
