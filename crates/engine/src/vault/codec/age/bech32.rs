//! Keys as text: Bech32 (BIP 173), which finds every typing error of up to four characters.

const ALPHABET: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
/// Characters of the checksum.
const CHECKSUM: usize = 6;

fn polymod(values: impl Iterator<Item = u8>) -> u32 {
    const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    values.fold(1, |sum, value| {
        let top = sum >> 25;
        let shifted = ((sum & 0x01ff_ffff) << 5) ^ u32::from(value);
        GENERATOR
            .iter()
            .enumerate()
            .filter(|(bit, _)| (top >> bit) & 1 == 1)
            .fold(shifted, |sum, (_, generator)| sum ^ generator)
    })
}

/// The prefix as the checksum sees it.
fn expanded(prefix: &str) -> impl Iterator<Item = u8> + '_ {
    prefix.bytes().map(|byte| byte >> 5).chain([0]).chain(prefix.bytes().map(|byte| byte & 31))
}

/// Regroups bits; what is left over is filled up with zeros where `pad` says so, and must be zeros otherwise.
fn regroup(values: impl Iterator<Item = u8>, from: u32, to: u32, pad: bool) -> Option<Vec<u8>> {
    let (mut held, mut bits, mut out) = (0_u32, 0, Vec::new());
    let low = |value: u32| u8::try_from(value & ((1 << to) - 1)).unwrap_or(0);
    for value in values {
        held = ((held << from) | u32::from(value)) & 0xfff;
        bits += from;
        while bits >= to {
            bits -= to;
            out.push(low(held >> bits));
        }
    }
    let rest = low(held << (to - bits));
    match pad {
        true if bits > 0 => out.push(rest),
        false if bits >= from || rest != 0 => return None,
        _ => {}
    }
    Some(out)
}

/// Lower-case text of the bytes.
pub(super) fn encode(prefix: &str, bytes: &[u8]) -> String {
    let data = regroup(bytes.iter().copied(), 8, 5, true).unwrap_or_default();
    let sum = polymod(expanded(prefix).chain(data.iter().copied()).chain([0; CHECKSUM])) ^ 1;
    let check = (0..CHECKSUM).map(|at| u8::try_from((sum >> (5 * (CHECKSUM - 1 - at))) & 31).unwrap_or(0));
    let text = data.iter().copied().chain(check).map(|value| char::from(ALPHABET[usize::from(value)]));
    format!("{prefix}1{}", text.collect::<String>())
}

/// The bytes of a text with that lower-case prefix. The text is all in lower or all in upper case.
pub(super) fn decode(prefix: &str, text: &str) -> Option<Vec<u8>> {
    if text.len() > 200 || !text.is_ascii() {
        return None;
    }
    let lower = text.to_ascii_lowercase();
    if lower != text && text.to_ascii_uppercase() != text {
        return None;
    }
    let (found, rest) = lower.rsplit_once('1')?;
    if found != prefix || rest.len() < CHECKSUM {
        return None;
    }
    let index = |byte: u8| ALPHABET.iter().position(|known| *known == byte);
    let values: Vec<u8> =
        rest.bytes().map(|byte| index(byte).and_then(|at| u8::try_from(at).ok())).collect::<Option<_>>()?;
    if polymod(expanded(prefix).chain(values.iter().copied())) != 1 {
        return None;
    }
    regroup(values[..values.len() - CHECKSUM].iter().copied(), 5, 8, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_in_either_case_and_finds_errors() {
        let text = encode("age", &[7; 32]);
        assert_eq!(decode("age", &text).unwrap(), [7; 32]);
        assert_eq!(decode("age", &text.to_ascii_uppercase()).unwrap(), [7; 32]);
        assert_eq!(decode("agE", &text), None);
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'q' { b'p' } else { b'q' };
            assert_eq!(decode("age", &String::from_utf8(changed).unwrap()), None, "at {at}");
        }
        let mut mixed = text.clone();
        mixed.replace_range(..1, "A");
        assert_eq!(decode("age", &mixed), None);
        assert_eq!(decode("age", "age1"), None);
        assert_eq!(decode("age", ""), None);
    }

    #[test]
    fn knows_the_vectors_of_the_standard() {
        for valid in ["a12uel5l", "A12UEL5L"] {
            assert_eq!(decode("a", valid).unwrap(), b"");
        }
        assert_eq!(decode("a", "a12uel5m"), None);
        assert_eq!(encode("a", b""), "a12uel5l");
    }
}
