//! Key pairs: who may open a file.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use zeroize::Zeroizing;

use super::{AgeFault, bech32};
use crate::error::{Error, Kind};
use crate::model::Secret;

/// Bytes of either half of an X25519 key pair (RFC 7748).
const KEY_BYTES: usize = 32;
const RECIPIENT_PREFIX: &str = "age";
const IDENTITY_PREFIX: &str = "age-secret-key-";

/// The public half: to whom something is encrypted. Its text is `age1…`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Recipient([u8; KEY_BYTES]);

/// The secret half: who may open it. Its text is `AGE-SECRET-KEY-1…`.
#[derive(Clone)]
pub struct Identity {
    secret: Zeroizing<[u8; KEY_BYTES]>,
    recipient: Recipient,
}

impl Identity {
    /// A new one.
    pub fn generate() -> Result<Self, AgeFault> {
        let mut secret = Zeroizing::new([0; KEY_BYTES]);
        aws_lc_rs::rand::fill(secret.as_mut_slice()).map_err(|_| AgeFault::Unusable)?;
        Self::new(secret)
    }

    fn new(secret: Zeroizing<[u8; KEY_BYTES]>) -> Result<Self, AgeFault> {
        let public = private_key(&secret)?.compute_public_key().map_err(|_| AgeFault::Unusable)?;
        let recipient = Recipient(public.as_ref().try_into().map_err(|_| AgeFault::Unusable)?);
        Ok(Self { secret, recipient })
    }

    /// The identities of a file as `age-keygen` writes it: one a line; empty lines and those with `#` say nothing.
    pub fn read_all(text: &str) -> Result<Vec<Self>, AgeFault> {
        text.lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(Self::read)
            .collect()
    }

    /// One identity's text.
    fn read(text: &str) -> Result<Self, AgeFault> {
        const WRONG: AgeFault = AgeFault::Malformed("that is no AGE-SECRET-KEY-1…");
        let bytes = Zeroizing::new(bech32::decode(IDENTITY_PREFIX, text).ok_or(WRONG)?);
        Self::new(Zeroizing::new(bytes.as_slice().try_into().map_err(|_| WRONG)?))
    }

    /// Its text.
    pub fn expose(&self) -> Secret {
        let text = Zeroizing::new(bech32::encode(IDENTITY_PREFIX, self.secret.as_slice()));
        Secret::new(text.to_ascii_uppercase())
    }

    /// The public half.
    pub fn recipient(&self) -> Recipient {
        self.recipient
    }

    /// What both ends of an exchange with that other key know (X25519). Refuses keys that give zero.
    pub(super) fn agree(&self, other: &[u8]) -> Result<Zeroizing<Vec<u8>>, AgeFault> {
        let peer = UnparsedPublicKey::new(&X25519, other);
        agree(&private_key(&self.secret)?, peer, AgeFault::Malformed("a bad key share"), |shared| {
            Ok(Zeroizing::new(shared.to_vec()))
        })
    }
}

fn private_key(secret: &[u8; KEY_BYTES]) -> Result<PrivateKey, AgeFault> {
    PrivateKey::from_private_key(&X25519, secret).map_err(|_| AgeFault::Unusable)
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.recipient)
    }
}

impl Recipient {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&bech32::encode(RECIPIENT_PREFIX, &self.0))
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Recipient {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bytes = bech32::decode(RECIPIENT_PREFIX, text).and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| {
            let shown: String = text.chars().take(80).collect();
            Error::new(Kind::Invalid, "RECIPIENT_INVALID", format!("'{shown}' is no recipient of age"))
                .hint("make a key pair with age-keygen, and give its public key: age1…")
        })
    }
}
