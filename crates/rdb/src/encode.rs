//! Lengths, strings and numbers as servers write them (Redis `src/rdb.c`, `rdbSaveLen`, `rdbSaveRawString`).

use crate::{
    packed::{Digits, Item},
    part::StreamId,
};

/// No longer text is tried as a number: eleven characters hold every one of 32 bits with its sign.
const LONGEST_NUMBER: usize = 11;

/// A count, in its shortest form.
pub(crate) fn length(out: &mut Vec<u8>, length: u64) {
    let [.., b4, b5, b6, b7] = length.to_be_bytes();
    match length {
        0..0x40 => out.push(b7),
        0x40..0x4000 => out.extend([0x40 | b6, b7]),
        0x4000..0x1_0000_0000 => out.extend([0x80, b4, b5, b6, b7]),
        _ => {
            out.push(0x81);
            out.extend(length.to_be_bytes());
        }
    }
}

/// A count of things that are in memory.
pub(crate) fn count(out: &mut Vec<u8>, count: usize) {
    length(out, count as u64);
}

/// A string: a number of 32 bits where it is the decimal text of one, else its bytes.
pub(crate) fn string(out: &mut Vec<u8>, text: &[u8]) {
    item(out, Item::Text(text));
}

/// The same for what may be known as a number already.
pub(crate) fn item(out: &mut Vec<u8>, item: Item<'_>) {
    let number = match item {
        Item::Text(text) if text.len() > LONGEST_NUMBER => item,
        _ => item.canonical(),
    };
    match number {
        Item::Integer(number) if i32::try_from(number).is_ok() => short_number(out, number),
        _ => plain(out, item.bytes(&mut Digits::default())),
    }
}

/// A string as its bytes, for places where nothing else is read.
pub(crate) fn plain(out: &mut Vec<u8>, bytes: &[u8]) {
    count(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn short_number(out: &mut Vec<u8>, number: i64) {
    let [b0, b1, b2, b3, ..] = number.to_le_bytes();
    match number {
        -0x80..0x80 => out.extend([0xc0, b0]),
        -0x8000..0x8000 => out.extend([0xc1, b0, b1]),
        _ => out.extend([0xc2, b0, b1, b2, b3]),
    }
}

/// A Unix time in milliseconds.
pub(crate) fn milliseconds(out: &mut Vec<u8>, ms: i64) {
    out.extend(ms.to_le_bytes());
}

/// A score as a binary double.
pub(crate) fn score(out: &mut Vec<u8>, score: f64) {
    out.extend(score.to_le_bytes());
}

/// An ID as two counts.
pub(crate) fn id(out: &mut Vec<u8>, id: StreamId) {
    length(out, id.ms);
    length(out, id.seq);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{length::Lengths, source::Source, text::Texts};

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out);
        out
    }

    #[test]
    fn lengths_take_their_shortest_form() {
        for (number, bytes) in [(0, 1), (63, 1), (64, 2), (16_383, 2), (16_384, 5), (u64::MAX, 9)] {
            assert_eq!(written(|out| length(out, number)).len(), bytes, "{number}");
        }
        assert_eq!(written(|out| length(out, 700)), [0x42, 0xbc]);
        assert_eq!(written(|out| length(out, 1 << 32)), [0x81, 0, 0, 0, 1, 0, 0, 0, 0]);
    }

    #[test]
    fn only_canonical_numbers_of_32_bits_are_written_as_numbers() {
        for (text, bytes) in [("7", 2), ("-128", 2), ("128", 3), ("-32769", 5), ("-2147483648", 5)] {
            assert_eq!(written(|out| string(out, text.as_bytes())).len(), bytes, "{text}");
        }
        for text in ["", "07", "-0", "2147483648", "1.5", " 1", "-2147483649"] {
            assert_eq!(written(|out| string(out, text.as_bytes())).len(), 1 + text.len(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn lengths_read_as_written(number: u64, shift in 0u32..64) {
            let number = number >> shift;
            let bytes = written(|out| length(out, number));
            prop_assert_eq!(Source::new(&bytes[..], 1 << 20).length().unwrap(), number);
        }

        #[test]
        fn strings_read_as_written(text in proptest::collection::vec(any::<u8>(), 0..100), number: i64, shift in 0u32..64) {
            let number = number >> shift;
            let bytes = written(|out| {
                string(out, &text);
                string(out, number.to_string().as_bytes());
                item(out, Item::Integer(number));
            });
            let mut source = Source::new(&bytes[..], 1 << 20);
            prop_assert_eq!(source.string().unwrap(), &text);
            for _ in 0..2 {
                let read = source.string().unwrap().to_vec();
                prop_assert_eq!(read, number.to_string().into_bytes());
            }
        }
    }
}
