//! The header: the file key, wrapped to each recipient, and a code that authenticates it all.

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{hkdf, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use zeroize::Zeroizing;

use super::payload::TAG_BYTES;
use super::{AgeFault, Identity, LONGEST_HEADER, Recipient};

const VERSION: &str = "age-encryption.org/v1";
const X25519: &str = "X25519";
const X25519_INFO: &[u8] = b"age-encryption.org/v1/X25519";
/// Characters of a line of a stanza's body; the last line is shorter.
const LINE: usize = 64;
/// Most stanzas that are tried: each costs an exchange of keys for each identity.
const MOST_STANZAS: usize = 512;

const FILE_KEY_BYTES: usize = 16;

/// The key of one file. Every other key of the file is derived from it.
#[derive(Clone)]
pub struct FileKey(Zeroizing<[u8; FILE_KEY_BYTES]>);

impl FileKey {
    pub(super) fn random() -> Result<Self, AgeFault> {
        let mut key = Zeroizing::new([0; FILE_KEY_BYTES]);
        aws_lc_rs::rand::fill(key.as_mut_slice()).map_err(|_| AgeFault::Unusable)?;
        Ok(Self(key))
    }

    /// 32 bytes for one purpose (HKDF-SHA-256).
    pub(super) fn derive(&self, salt: &[u8], info: &[u8]) -> Result<Zeroizing<[u8; 32]>, AgeFault> {
        derive(self.0.as_slice(), salt, info)
    }

    /// The key, sealed under another one that is used this once.
    pub(super) fn wrapped(&self, key: &[u8; 32]) -> Result<Vec<u8>, AgeFault> {
        let mut body = self.0.to_vec();
        once(key)?
            .seal_in_place_append_tag(zero(), Aad::empty(), &mut body)
            .map_err(|_| AgeFault::Unusable)?;
        Ok(body)
    }

    /// Opens a wrapped key; `None` if it is another's.
    pub(super) fn unwrap_with(key: &[u8; 32], body: &[u8]) -> Result<Option<Self>, AgeFault> {
        if body.len() != FILE_KEY_BYTES + TAG_BYTES {
            return Err(AgeFault::Malformed("a wrapped key of another length"));
        }
        let mut body = Zeroizing::new(body.to_vec());
        let Ok(opened) = once(key)?.open_in_place(zero(), Aad::empty(), &mut body) else { return Ok(None) };
        let mut file_key = Zeroizing::new([0; FILE_KEY_BYTES]);
        file_key.copy_from_slice(opened);
        Ok(Some(Self(file_key)))
    }

    fn authenticator(&self) -> Result<hmac::Key, AgeFault> {
        Ok(hmac::Key::new(hmac::HMAC_SHA256, self.derive(&[], b"header")?.as_slice()))
    }
}

fn once(key: &[u8; 32]) -> Result<LessSafeKey, AgeFault> {
    UnboundKey::new(&CHACHA20_POLY1305, key).map(LessSafeKey::new).map_err(|_| AgeFault::Unusable)
}

/// The nonce of a key that seals one thing in its life.
fn zero() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

fn derive(secret: &[u8], salt: &[u8], info: &[u8]) -> Result<Zeroizing<[u8; 32]>, AgeFault> {
    let mut key = Zeroizing::new([0; 32]);
    hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
        .extract(secret)
        .expand(&[info], hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(key.as_mut_slice()))
        .map_err(|_| AgeFault::Unusable)?;
    Ok(key)
}

/// One way to the file key.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stanza {
    pub(super) words: Vec<String>,
    pub(super) body: Vec<u8>,
}

/// A stanza for each recipient.
pub(super) fn wrap(file_key: &FileKey, recipients: &[Recipient]) -> Result<Vec<Stanza>, AgeFault> {
    recipients
        .iter()
        .map(|recipient| {
            let own = Identity::generate()?;
            let share = own.recipient();
            let key = wrapping_key(&own, recipient.bytes(), share.bytes(), recipient.bytes())?;
            let words = vec![X25519.to_owned(), STANDARD_NO_PAD.encode(share.bytes())];
            Ok(Stanza { words, body: file_key.wrapped(&key)? })
        })
        .collect()
}

/// The key that wraps a file key for one recipient, as either side computes it.
fn wrapping_key(
    own: &Identity,
    other: &[u8],
    share: &[u8],
    recipient: &[u8],
) -> Result<Zeroizing<[u8; 32]>, AgeFault> {
    derive(&own.agree(other)?, &[share, recipient].concat(), X25519_INFO)
}

/// The header's bytes.
pub(super) fn write(file_key: &FileKey, stanzas: &[Stanza]) -> Result<Vec<u8>, AgeFault> {
    let mut text = format!("{VERSION}\n");
    for stanza in stanzas {
        text.push_str("-> ");
        text.push_str(&stanza.words.join(" "));
        text.push('\n');
        let body = STANDARD_NO_PAD.encode(&stanza.body);
        let mut rest = body.as_str();
        // The last line is shorter than the others, and may be empty.
        while rest.len() >= LINE {
            let (line, next) = rest.split_at(LINE);
            text.push_str(line);
            text.push('\n');
            rest = next;
        }
        text.push_str(rest);
        text.push('\n');
    }
    text.push_str("---");
    let code = hmac::sign(&file_key.authenticator()?, text.as_bytes());
    text.push(' ');
    text.push_str(&STANDARD_NO_PAD.encode(code.as_ref()));
    text.push('\n');
    Ok(text.into_bytes())
}

/// A header as it was read; nothing of it is proven yet.
pub(super) struct Header<'a> {
    pub(super) stanzas: Vec<Stanza>,
    /// What is authenticated.
    authenticated: &'a [u8],
    code: Vec<u8>,
    /// Bytes of the whole header.
    pub(super) length: usize,
}

/// Reads a header from the start of a file. [`AgeFault::Incomplete`] if more bytes are needed.
pub(super) fn read(bytes: &[u8]) -> Result<Header<'_>, AgeFault> {
    let mut lines = Lines { bytes, at: 0 };
    if lines.next()? != VERSION {
        return Err(AgeFault::Malformed("it does not begin with age-encryption.org/v1"));
    }
    let mut stanzas = Vec::new();
    loop {
        let begin = lines.at;
        let line = lines.next()?;
        if let Some(code) = line.strip_prefix("--- ") {
            let code = base64(code)?;
            if stanzas.is_empty() {
                return Err(AgeFault::Malformed("no recipient"));
            }
            return Ok(Header { stanzas, authenticated: &bytes[..begin + 3], code, length: lines.at });
        }
        let words = line.strip_prefix("-> ").ok_or(AgeFault::Malformed("a line that is no recipient"))?;
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        if words.iter().any(|word| word.is_empty() || !word.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(AgeFault::Malformed("a recipient with an empty word"));
        }
        if stanzas.len() == MOST_STANZAS {
            return Err(AgeFault::Malformed("too many recipients"));
        }
        stanzas.push(Stanza { words, body: lines.body()? });
    }
}

/// Canonical base64, as the format demands it.
fn base64(text: &str) -> Result<Vec<u8>, AgeFault> {
    STANDARD_NO_PAD.decode(text).map_err(|_| AgeFault::Malformed("bad base64"))
}

struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Result<&'a str, AgeFault> {
        let rest = &self.bytes[self.at..];
        let Some(length) = rest.iter().position(|byte| *byte == b'\n') else {
            let too_long = self.bytes.len() >= LONGEST_HEADER;
            return Err(if too_long { AgeFault::Malformed("too long") } else { AgeFault::Incomplete });
        };
        self.at += length + 1;
        if self.at > LONGEST_HEADER {
            return Err(AgeFault::Malformed("too long"));
        }
        str::from_utf8(&rest[..length]).map_err(|_| AgeFault::Malformed("not text"))
    }

    fn body(&mut self) -> Result<Vec<u8>, AgeFault> {
        let mut text = String::new();
        loop {
            let line = self.next()?;
            if line.len() > LINE {
                return Err(AgeFault::Malformed("a line that is too long"));
            }
            text.push_str(line);
            if line.len() < LINE {
                return base64(&text);
            }
        }
    }
}

impl Header<'_> {
    /// The file key, if one of the identities is meant and the header is as it was written.
    pub(super) fn open(&self, identities: &[Identity]) -> Result<FileKey, AgeFault> {
        for stanza in self.stanzas.iter().filter(|stanza| stanza.words[0] == X25519) {
            for identity in identities {
                if let Some(file_key) = unwrap(stanza, identity)? {
                    return self.prove(file_key);
                }
            }
        }
        Err(AgeFault::NoIdentity)
    }

    /// The key, if it authenticates the header.
    pub(super) fn prove(&self, file_key: FileKey) -> Result<FileKey, AgeFault> {
        hmac::verify(&file_key.authenticator()?, self.authenticated, &self.code)
            .map_err(|_| AgeFault::HeaderChanged)?;
        Ok(file_key)
    }
}

fn unwrap(stanza: &Stanza, identity: &Identity) -> Result<Option<FileKey>, AgeFault> {
    let [_, share] = stanza.words.as_slice() else {
        return Err(AgeFault::Malformed("a recipient with other words"));
    };
    let share = base64(share)?;
    if share.len() != 32 {
        return Err(AgeFault::Malformed("a key share of another length"));
    }
    let key = wrapping_key(identity, &share, &share, identity.recipient().bytes())?;
    FileKey::unwrap_with(&key, &stanza.body)
}
