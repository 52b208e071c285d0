//! Turns a proof of a secret into a principal.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::Engine;
use crate::access::Principal;
use crate::access::principal::unknown_key;
use crate::error::{Error, Result};
use crate::model::{AccessKey, Secret};

impl Engine {
    /// Signs in with an id and a secret (HTTP Basic), from an address as far as that is known.
    pub async fn sign_in(&self, key_id: &str, presented: &[u8], from: Option<IpAddr>) -> Result<Principal> {
        self.sign_in_with_session(key_id, presented, None, from).await
    }

    /// As [`Engine::sign_in`], with the session token of temporary credentials if one was presented.
    pub async fn sign_in_with_session(
        &self,
        key_id: &str,
        presented: &[u8],
        session_token: Option<&[u8]>,
        from: Option<IpAddr>,
    ) -> Result<Principal> {
        let Some(key) = self.usable_key(key_id).await? else {
            // As much work as for a key that exists, so that time does not tell which ids do.
            let _ = Secret::new(vec![0; presented.len()]).equals(presented);
            return Err(unknown_key());
        };
        Principal::from_secret(&self.sealer, &key, (presented, session_token), from, self.clock.now())
    }

    /// Signs in by whatever `check` does with the key's secret and session token, such as a vendor's signature.
    /// `None` = there is no such key.
    pub async fn sign_in_by<T, E: From<Error>>(
        &self,
        key_id: &str,
        from: Option<IpAddr>,
        check: impl Fn(&Secret, Option<&Secret>) -> Result<T, E> + Send,
    ) -> Result<Option<(Principal, T)>, E> {
        let Some(key) = self.known_key(key_id).await?.filter(|key| self.may_prove(key)) else {
            return Ok(None);
        };
        Principal::prove(&self.sealer, &key, from, self.clock.now(), check).map(Some)
    }

    /// Takes in a one-time value of the caller's request for `ttl`, on every node. `false` = a copy of a request that
    /// was done before.
    pub async fn admit_nonce(&self, who: &Principal, value: &str, ttl: Duration) -> Result<bool> {
        let now = self.clock.now();
        self.catalog.admit_nonce(who.key_id(), value, now + ttl, now).await
    }

    /// A key that is neither revoked nor over.
    pub(super) async fn usable_key(&self, id: &str) -> Result<Option<Arc<AccessKey>>> {
        let now = self.clock.now();
        let key = self.known_key(id).await?;
        Ok(key.filter(|key| key.revoked_at.is_none() && key.expires_at.is_none_or(|end| end > now)))
    }

    /// A key, whatever became of it.
    async fn known_key(&self, id: &str) -> Result<Option<Arc<AccessKey>>> {
        let now = self.clock.now();
        Ok(match self.keys.get(id, now) {
            Some(key) => Some(key),
            None => self.catalog.key(id).await?.map(|key| self.keys.insert(id.to_owned(), key, now)),
        })
    }

    /// Whether a key is worth a proof: temporary credentials that are over are, so that whoever proves to have them
    /// is told so. Any other key that ended is as good as unknown.
    fn may_prove(&self, key: &AccessKey) -> bool {
        let over = key.expires_at.is_some_and(|end| end <= self.clock.now());
        key.revoked_at.is_none() && (!over || key.sealed_session_token.is_some())
    }
}
