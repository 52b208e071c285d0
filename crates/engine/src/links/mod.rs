//! Download links: self-contained, signed, expiring. Issuing one writes nothing.

mod claims;
mod memory;
mod spelling;

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_lc_rs::hmac;
use jiff::Timestamp;

use crate::error::Result;

pub use crate::model::AddressRange;
pub use claims::LinkClaims;
pub use spelling::Spelling;

use memory::GoodLinks;

/// Signs links and checks them. Keys are known by number, so that they can change while links live.
pub struct LinkSigner {
    current: u32,
    keys: BTreeMap<u32, hmac::Key>,
    good: GoodLinks,
}

/// Why a link does not open. What it says is safe to show.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkFault {
    /// A parameter is absent, as when a shell cut the link at `&`.
    #[error("the link is incomplete")]
    Incomplete,
    /// A parameter cannot be read.
    #[error("the link cannot be read")]
    Malformed,
    /// Signed by a key that is not known or no longer used.
    #[error("the link was signed by a key that is not in use")]
    UnknownKey,
    /// The signature is not right.
    #[error("the signature does not match")]
    BadSignature,
    /// It has ended.
    #[error("the link has expired")]
    Expired {
        /// When it ended.
        at: Timestamp,
    },
}

impl LinkSigner {
    /// A signer with its keys by number; `current` signs.
    pub fn new(current: u32, keys: impl IntoIterator<Item = (u32, [u8; 32])>) -> Self {
        let keys = keys.into_iter().map(|(number, key)| (number, hmac::Key::new(hmac::HMAC_SHA256, &key)));
        Self { current, keys: keys.collect(), good: GoodLinks::new() }
    }

    /// Number of the key that new links are signed with.
    pub fn current(&self) -> u32 {
        self.current
    }

    /// Path and query of a link, to be put behind a base URL, signed with the key that the claims name.
    pub fn issue(&self, claims: &LinkClaims) -> Result<String> {
        let key = self.keys.get(&claims.signing_key).ok_or_else(|| {
            crate::error::Error::internal(
                "no link can be signed",
                format!("signing key {} is absent", claims.signing_key),
            )
        })?;
        let mac = hmac::sign(key, &claims.signed_bytes());
        Ok(claims.spelling.write(claims, mac.as_ref()))
    }

    /// Reads a link and checks its signature, then its expiry: a wrong signature never learns more.
    pub fn read(&self, path: &str, query: &str, now: Timestamp) -> Result<Arc<LinkClaims>, LinkFault> {
        let claims = match self.good.get(path, query) {
            Some(claims) => claims,
            None => self.check(path, query)?,
        };
        if now.as_second() > claims.expires_at.as_second() {
            return Err(LinkFault::Expired { at: claims.expires_at });
        }
        Ok(claims)
    }

    fn check(&self, path: &str, query: &str) -> Result<Arc<LinkClaims>, LinkFault> {
        let (claims, mac) = spelling::read(path, query)?;
        let key = self.keys.get(&claims.signing_key).ok_or(LinkFault::UnknownKey)?;
        hmac::verify(key, &claims.signed_bytes(), &mac).map_err(|_| LinkFault::BadSignature)?;
        let claims = Arc::new(claims);
        self.good.insert(path, query, &claims);
        Ok(claims)
    }
}

#[cfg(test)]
mod tests;
