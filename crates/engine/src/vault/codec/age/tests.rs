use proptest::prelude::*;

use super::*;
use crate::model::Secret;

fn stock(name: &str) -> Vec<u8> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/age").join(name);
    std::fs::read(path).unwrap()
}

fn identity(name: &str) -> Identity {
    Identity::read_all(&String::from_utf8(stock(name)).unwrap()).unwrap().remove(0)
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| u8::try_from((i * 7 + i / 251) % 256).unwrap()).collect()
}

#[test]
fn opens_what_the_stock_program_wrote() {
    let (first, second) = (identity("first.txt"), identity("second.txt"));
    for who in [&first, &second] {
        assert_eq!(**open(std::slice::from_ref(who), &stock("two.age")).unwrap(), *b"hello, age");
    }
    assert!(open(std::slice::from_ref(&first), &stock("empty.age")).unwrap().is_empty());
    assert_eq!(*open(std::slice::from_ref(&first), &stock("chunk1.age")).unwrap(), pattern(65_537));
    assert_eq!(open(&[second], &stock("chunk1.age")).unwrap_err(), AgeFault::NoIdentity);
    let text = String::from_utf8(stock("first.txt")).unwrap();
    assert!(text.contains(&first.recipient().to_string()));
    assert!(text.contains(str::from_utf8(first.expose().expose()).unwrap()));
    assert_eq!(format!("{first:?}"), format!("Identity({})", first.recipient()), "secrets are not printed");
}

#[test]
fn what_is_sealed_opens_again_at_every_edge_of_a_chunk() {
    let own = Identity::generate().unwrap();
    for length in [0, 1, 65_535, 65_536, 65_537, 131_072, 200_000] {
        let sealed = seal(&[own.recipient()], &pattern(length)).unwrap();
        assert_eq!(*open(std::slice::from_ref(&own), &sealed).unwrap(), pattern(length), "{length}");
        let (_, start) = read_header(&sealed, std::slice::from_ref(&own)).unwrap();
        let payload = sealed.len() - start - Payload::NONCE_BYTES;
        assert_eq!(payload, length + 16 * length.div_ceil(CHUNK_BYTES).max(1), "{length}");
    }
}

#[test]
fn every_flipped_bit_and_every_cut_is_found() {
    let own = [Identity::generate().unwrap()];
    let sealed = seal(&[own[0].recipient()], b"some bytes").unwrap();
    for at in 0..sealed.len() {
        for bit in 0..8 {
            let mut changed = sealed.clone();
            changed[at] ^= 1 << bit;
            assert!(open(&own, &changed).is_err(), "byte {at} bit {bit}");
        }
        assert!(open(&own, &sealed[..at]).is_err(), "cut at {at}");
    }
    assert!(open(&own, &[&sealed[..], b"x"].concat()).is_err(), "bytes behind the end");
}

#[test]
fn chunks_cannot_be_moved_or_cut_or_ended_by_an_empty_one() {
    let own = [Identity::generate().unwrap()];
    let sealed = seal(&[own[0].recipient()], &pattern(3 * CHUNK_BYTES)).unwrap();
    let (file_key, start) = read_header(&sealed, &own).unwrap();
    let first = start + Payload::NONCE_BYTES;
    let cut = &sealed[..first + 2 * SEALED_CHUNK_BYTES];
    assert_eq!(
        open(&own, cut).unwrap_err(),
        AgeFault::ChunkChanged(1),
        "a chunk that is not the last ends it"
    );
    let mut moved = sealed.clone();
    moved.copy_within(first..first + SEALED_CHUNK_BYTES, first + SEALED_CHUNK_BYTES);
    assert_eq!(open(&own, &moved).unwrap_err(), AgeFault::ChunkChanged(1));
    // An empty last chunk behind a full one, as only a bad writer makes it.
    let nonce = &sealed[start..first];
    let mut sealer = ChunkSealer::new(&file_key, nonce).unwrap();
    let mut bad = sealed[..first].to_vec();
    sealer.push(&pattern(CHUNK_BYTES + 1), &mut bad).unwrap();
    bad.truncate(first + SEALED_CHUNK_BYTES);
    bad.extend_from_slice(&[0; TAG_BYTES]);
    assert!(matches!(open(&own, &bad).unwrap_err(), AgeFault::Malformed(_)));
}

#[test]
fn a_hostile_header_is_refused_in_bounds() {
    let own = [Identity::generate().unwrap()];
    let share = "A".repeat(43);
    let begin = "age-encryption.org/v1\n";
    let stanza = format!("-> X25519 {share}\n{share}\n");
    let mac = format!("--- {share}\n");
    let malformed = |text: &str| {
        let fault = read_header(text.as_bytes(), &own).err().unwrap();
        assert!(matches!(fault, AgeFault::Malformed(_)), "{fault}: {}", &text[..text.len().min(80)]);
    };
    for text in [
        "age-encryption.org/v2\n".to_owned(),
        format!("{begin}{mac}"),
        format!("{begin}-> \n\n{mac}"),
        format!("{begin}-> X25519  {share}\n{share}\n{mac}"),
        format!("{begin}-> X25519\n{share}\n{mac}"),
        format!("{begin}-> X25519 {share} more\n{share}\n{mac}"),
        format!("{begin}-> X25519 AAAA\n{share}\n{mac}"),
        format!("{begin}-> X25519 {share}\nAAAA\n{mac}"),
        format!("{begin}-> X25519 {share}\n{}\n{mac}", "A".repeat(65)),
        format!("{begin}-> X25519 {share}\nAAA=\n{mac}"),
        // The share of order one: nothing secret would come of it.
        format!("{begin}{stanza}{mac}"),
        format!("{begin}{}{mac}", stanza.repeat(600)),
        format!("{begin}-> other {}\n\n{mac}", "x".repeat(LONGEST_HEADER)),
    ] {
        malformed(&text);
    }
    for text in ["", "age-encryption.org/v1", begin, &format!("{begin}{stanza}")] {
        assert_eq!(read_header(text.as_bytes(), &own).err().unwrap(), AgeFault::Incomplete);
    }
    // Words that this program does not know are somebody else's.
    let unknown = format!("{begin}-> grease a b\n\n{mac}");
    assert_eq!(read_header(unknown.as_bytes(), &own).err().unwrap(), AgeFault::NoIdentity);
}

#[test]
fn a_passphrase_opens_what_it_wrapped_and_no_other_does() {
    let wrapped = wrap_with_passphrase(&Secret::new("three random words"), b"secret").unwrap();
    let opened = passphrase::open_with_passphrase(&Secret::new("three random words"), &wrapped).unwrap();
    assert_eq!(**opened, *b"secret");
    let other = passphrase::open_with_passphrase(&Secret::new("three random wordz"), &wrapped);
    assert_eq!(other.unwrap_err(), AgeFault::NoIdentity);
    assert!(wrapped.starts_with(b"age-encryption.org/v1\n-> scrypt "));
}

proptest! {
    #[test]
    fn any_bytes_are_taken_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let own = [identity("first.txt")];
        let _ = open(&own, &bytes);
        let _ = open(&own, &[b"age-encryption.org/v1\n-> X25519 ".as_slice(), &bytes].concat());
        let _ = Identity::read_all(&String::from_utf8_lossy(&bytes));
    }
}
