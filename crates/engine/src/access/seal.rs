//! Secrets at rest: AES-256-GCM under a key derived from the root key, bound to where they stand.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use zeroize::Zeroizing;

use super::RootKey;
use crate::error::{Error, Kind, Result};
use crate::model::Secret;

/// Seals secrets for the catalog.
pub struct Sealer {
    current: RandomizedNonceKey,
    /// Of root keys that were replaced: they only open.
    retired: Vec<RandomizedNonceKey>,
}

impl Sealer {
    /// A sealer whose key is derived from the root key. What was sealed under a root key before it opens as well.
    pub fn new(root: &RootKey) -> Result<Self> {
        let key = |bytes: &zeroize::Zeroizing<[u8; 32]>| {
            RandomizedNonceKey::new(&AES_256_GCM, bytes.as_slice())
                .map_err(|error| Error::internal("the sealing key is not usable", error))
        };
        let all = root.derive_all("seal/1");
        let mut keys = all.iter().map(key);
        let current = keys.next().unwrap_or_else(|| key(&root.derive("seal/1")))?;
        Ok(Self { current, retired: keys.collect::<Result<_>>()? })
    }

    /// Seals a secret for one place, such as `access_key/AK1/secret`: moved to another row it does not open.
    pub fn seal(&self, place: &str, secret: &Secret) -> Result<Vec<u8>> {
        let mut body = secret.expose().to_vec();
        let nonce = self
            .current
            .seal_in_place_append_tag(Aad::from(place.as_bytes()), &mut body)
            .map_err(|error| Error::internal("a secret cannot be sealed", error))?;
        let mut sealed = nonce.as_ref().to_vec();
        sealed.append(&mut body);
        Ok(sealed)
    }

    /// Opens what was sealed for that place.
    pub fn open(&self, place: &str, sealed: &[u8]) -> Result<Secret> {
        let failed = || {
            Error::new(Kind::Corrupt, "SECRET_UNREADABLE", format!("the secret of {place} does not open"))
                .hint("the root key is another one than when it was kept, or the catalog was changed")
        };
        let (nonce, body) = sealed.split_at_checked(NONCE_LEN).ok_or_else(failed)?;
        for key in std::iter::once(&self.current).chain(&self.retired) {
            let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| failed())?;
            let mut body = Zeroizing::new(body.to_vec());
            if let Ok(clear) = key.open_in_place(nonce, Aad::from(place.as_bytes()), &mut body) {
                return Ok(Secret::new(&*clear));
            }
        }
        Err(failed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_replaced_key_sealed_still_opens_but_not_the_other_way_round() {
        let (old, new) = (RootKey::mint().unwrap(), RootKey::mint().unwrap());
        let place = "access_key/A/secret";
        let before = Sealer::new(&old).unwrap();
        let kept = before.seal(place, &Secret::new("hush")).unwrap();
        assert!(Sealer::new(&new).unwrap().open(place, &kept).is_err());
        let retired = old.retire(jiff::Timestamp::UNIX_EPOCH);
        let after = Sealer::new(&new.after(2, vec![retired])).unwrap();
        assert!(after.open(place, &kept).unwrap().equals(b"hush"));
        assert!(before.open(place, &after.seal(place, &Secret::new("hush")).unwrap()).is_err());
    }

    #[test]
    fn a_secret_opens_only_in_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let root = RootKey::load_or_create(&folder.path().join("root.key")).unwrap();
        let sealer = Sealer::new(&root).unwrap();
        let kept = sealer.seal("access_key/A/secret", &Secret::new("hush")).unwrap();
        assert!(!kept.windows(4).any(|w| w == b"hush"));
        assert!(sealer.open("access_key/A/secret", &kept).unwrap().equals(b"hush"));
        assert!(sealer.open("access_key/B/secret", &kept).is_err());
        for at in 0..kept.len() {
            let mut changed = kept.clone();
            changed[at] ^= 1;
            assert!(sealer.open("access_key/A/secret", &changed).is_err());
        }
    }
}
