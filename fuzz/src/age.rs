//! The age format and its keys as text, whatever the bytes: nothing panics, nothing is read beyond its bounds, and what
//! opens is what was sealed.

use keystow_engine::vault::codec::age::{
    AgeFault, Identity, LONGEST_HEADER, Payload, Recipient, open, read_header, seal,
};

/// Whom the seeds are sealed to.
const OWN: &str = include_str!("../../crates/engine/tests/age/first.txt");

/// Any bytes as a file, and as text that holds keys.
///
/// # Panics
/// An invariant does not hold.
pub fn age(bytes: &[u8]) {
    let own = Identity::read_all(OWN).expect("the identity of the seeds");
    match read_header(bytes, &own) {
        Ok((file_key, at)) => {
            assert!(at <= bytes.len().min(LONGEST_HEADER), "the header is within the file and its bounds");
            let (nonce, sealed) = bytes[at..].split_at((bytes.len() - at).min(Payload::NONCE_BYTES));
            for length in [sealed.len() as u64, u64::from(u32::MAX), u64::MAX] {
                let Ok(payload) = Payload::new(&file_key, nonce, length) else { continue };
                assert!(payload.plain_bytes() < length);
                for plain in [0..0, 0..payload.plain_bytes(), payload.plain_bytes()..payload.plain_bytes()] {
                    let stretch = payload.sealed_range(&payload.chunks_of(&plain));
                    assert!(stretch.start < stretch.end && stretch.end <= length, "{plain:?} of {length}");
                }
            }
        }
        Err(AgeFault::Incomplete) => assert!(bytes.len() < LONGEST_HEADER, "more bytes may help"),
        Err(_) => {}
    }
    if let Ok(plain) = open(&own, bytes) {
        let again = seal(&[own[0].recipient()], &plain).expect("what opens can be sealed");
        assert_eq!(open(&own, &again).as_ref(), Ok(&plain), "and opens again");
    }
    text(&String::from_utf8_lossy(bytes));
}

/// Keys read back from what is shown of them.
fn text(text: &str) {
    for identity in Identity::read_all(text).unwrap_or_default() {
        let shown = identity.expose();
        let shown = std::str::from_utf8(shown.expose()).expect("a key's text is text");
        let again = Identity::read_all(shown).expect("it reads back");
        assert_eq!(again[0].recipient(), identity.recipient());
    }
    for word in text.split_whitespace() {
        if let Ok(recipient) = word.parse::<Recipient>() {
            assert_eq!(recipient.to_string(), word.to_lowercase());
        }
    }
}
