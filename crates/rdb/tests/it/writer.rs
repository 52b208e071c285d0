//! Writes snapshots for tests, sound or not, as a server would.

/// An RDB 11 file without checksum.
pub(crate) struct Rdb(Vec<u8>);

impl Rdb {
    pub(crate) fn new() -> Self {
        Self(b"REDIS0011\xfe\x00".to_vec())
    }

    /// A record with the key `k` and a value as it is written.
    pub(crate) fn record(mut self, encoding: u8, value: &[u8]) -> Self {
        self.0.extend([encoding, 1, b'k']);
        self.0.extend(value);
        self
    }

    /// Bytes as they are.
    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    pub(crate) fn end(mut self) -> Vec<u8> {
        self.0.extend([0xff, 0, 0, 0, 0, 0, 0, 0, 0]);
        self.0
    }
}

/// A length in its 32-bit form.
pub(crate) fn length(length: usize) -> Vec<u8> {
    let mut bytes = vec![0x80];
    bytes.extend(u32::try_from(length).unwrap().to_be_bytes());
    bytes
}

/// A plain string.
pub(crate) fn string(content: &[u8]) -> Vec<u8> {
    [length(content.len()), content.to_vec()].concat()
}

/// A string compressed by the simplest honest LZF encoder: runs of one byte become references.
pub(crate) fn lzf_string(content: &[u8]) -> Vec<u8> {
    let compressed = lzf(content);
    [vec![0xc3], length(compressed.len()), length(content.len()), compressed].concat()
}

fn lzf(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut literal: Vec<u8> = Vec::new();
    let flush = |literal: &mut Vec<u8>, out: &mut Vec<u8>| {
        for piece in literal.chunks(32) {
            out.push(u8::try_from(piece.len() - 1).unwrap());
            out.extend(piece);
        }
        literal.clear();
    };
    let mut at = 0;
    while at < content.len() {
        let (distance, bytes) = longest_match(content, at);
        if bytes < 3 {
            literal.push(content[at]);
            at += 1;
            continue;
        }
        flush(&mut literal, &mut out);
        let [high, low] = u16::try_from(distance - 1).unwrap().to_be_bytes();
        if bytes - 2 < 7 {
            out.push(u8::try_from(bytes - 2).unwrap() << 5 | high);
        } else {
            out.extend([7 << 5 | high, u8::try_from(bytes - 2 - 7).unwrap()]);
        }
        out.push(low);
        at += bytes;
    }
    flush(&mut literal, &mut out);
    out
}

/// Far enough for tests; the format reaches back 8192 bytes.
const FARTHEST: usize = 40;

fn longest_match(content: &[u8], at: usize) -> (usize, usize) {
    (1..=at.min(FARTHEST))
        .map(|distance| {
            let repeated = content[at - distance..].iter().zip(&content[at..]);
            (distance, repeated.take(264).take_while(|(a, b)| a == b).count())
        })
        .max_by_key(|(_, bytes)| *bytes)
        .unwrap_or((0, 0))
}

/// An element of a listpack.
#[derive(Debug, Clone)]
pub(crate) enum Element {
    Integer(i64),
    Text(Vec<u8>),
}

impl From<i64> for Element {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<&str> for Element {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

/// A listpack with the shortest encoding for each element.
pub(crate) fn listpack(elements: &[Element]) -> Vec<u8> {
    let mut body = Vec::new();
    for element in elements {
        let entry = listpack_entry(element);
        body.extend(&entry);
        body.extend(back_length(entry.len()));
    }
    let total = u32::try_from(6 + body.len() + 1).unwrap();
    let count = u16::try_from(elements.len()).unwrap_or(u16::MAX);
    [&total.to_le_bytes()[..], &count.to_le_bytes(), &body, &[0xff]].concat()
}

fn listpack_entry(element: &Element) -> Vec<u8> {
    match element {
        Element::Integer(number) => {
            let le = number.to_le_bytes();
            match *number {
                0..=127 => vec![le[0]],
                -4096..=4095 => vec![0xc0 | (le[1] & 0x1f), le[0]],
                -32_768..=32_767 => [&[0xf1], &le[..2]].concat(),
                -8_388_608..=8_388_607 => [&[0xf2], &le[..3]].concat(),
                -2_147_483_648..=2_147_483_647 => [&[0xf3], &le[..4]].concat(),
                _ => [&[0xf4], &le[..]].concat(),
            }
        }
        Element::Text(text) => {
            let le = u32::try_from(text.len()).unwrap().to_le_bytes();
            let head = match text.len() {
                0..64 => vec![0x80 | le[0]],
                64..4096 => vec![0xe0 | le[1], le[0]],
                _ => [&[0xf0], &le[..]].concat(),
            };
            [head, text.clone()].concat()
        }
    }
}

fn back_length(size: usize) -> Vec<u8> {
    let groups = match size {
        0..=127 => 1,
        128..16_383 => 2,
        16_383..2_097_151 => 3,
        _ => 4,
    };
    (0..groups)
        .rev()
        .map(|group| {
            let seven = u8::try_from(size >> (7 * group) & 127).unwrap();
            if group == groups - 1 { seven } else { seven | 128 }
        })
        .collect()
}
