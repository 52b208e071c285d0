//! Makes, lists, rotates and revokes access keys.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::Engine;
use super::audit::Deed;
use crate::access::principal::{secret_place, token_place};
use crate::access::{Principal, random_text};
use crate::error::{Error, Kind, Result};
use crate::model::{
    AccessKey, Account, AccountId, AddressRange, ProjectId, RevocationScope, Right, Role, Secret,
};

/// An access key that somebody asks for.
#[derive(Debug, Default)]
pub struct NewKey {
    /// Its id; minted if absent.
    pub id: Option<String>,
    /// Its secret; minted if absent.
    pub secret: Option<Secret>,
    /// The session token of temporary credentials.
    pub session_token: Option<Secret>,
    /// What it may do; `operator` if absent.
    pub role: Option<Role>,
    /// The account; the caller's own if absent.
    pub account: Option<AccountId>,
    /// The project that it is bound to.
    pub project: Option<ProjectId>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// Addresses (CIDR) that it may be used from; empty = any.
    pub addresses: Vec<String>,
}

/// A key with its secret, which is shown this once.
#[derive(Debug)]
pub struct IssuedKey {
    /// The id.
    pub id: String,
    /// The secret.
    pub secret: Secret,
}

/// Longest time that a secret stays good after it was replaced.
const LONGEST_GRACE: Duration = Duration::from_hours(30 * 24);
/// Most addresses of one key.
const MOST_ADDRESSES: usize = 100;
/// Bytes of a minted secret before encoding.
const SECRET_BYTES: usize = 30;
/// Bytes of a minted id before encoding.
const ID_BYTES: usize = 10;

impl Engine {
    /// Makes the first account and its admin key, if there is no account yet.
    pub async fn initialise(&self) -> Result<Option<IssuedKey>> {
        // An account without any key is what a kill between the two writes leaves.
        if !self.catalog.accounts().await?.is_empty() && !self.catalog.keys(None).await?.is_empty() {
            return Ok(None);
        }
        let id = minted_id()?;
        let new = NewKey { id: Some(id.clone()), role: Some(Role::Admin), ..NewKey::default() };
        let deed = Deed::new(Right::Administer, "key.create", "key", &id)
            .with(json!({"role": Role::Admin, "first": true}));
        self.audited_as_service(deed, async {
            let account = Account {
                id: AccountId::default(),
                name: "default".to_owned(),
                created_at: self.clock.now(),
            };
            match self.catalog.add_account(&account).await {
                // Another node was first, and shows the key there.
                Err(error) if error.kind == Kind::Conflict => {
                    if !self.catalog.keys(None).await?.is_empty() {
                        return Ok(None);
                    }
                }
                added => added?,
            }
            self.store_key(new, account.id, None).await.map(Some)
        })
        .await
    }

    /// Makes an admin key of the first account, for whoever holds the root key and has lost every admin key.
    pub async fn recover_admin(&self) -> Result<IssuedKey> {
        if let Some(first) = self.initialise().await? {
            return Ok(first);
        }
        let id = minted_id()?;
        let new = NewKey { id: Some(id.clone()), role: Some(Role::Admin), ..NewKey::default() };
        let deed = Deed::new(Right::Administer, "key.create", "key", &id)
            .with(json!({"role": Role::Admin, "recovered": true}));
        self.audited_as_service(deed, self.store_key(new, AccountId::default(), None)).await
    }

    /// Makes or imports an access key.
    pub async fn create_key(&self, who: &Principal, mut new: NewKey) -> Result<IssuedKey> {
        let imported = new.id.is_some();
        let id = match new.id.take() {
            Some(id) => id,
            None => minted_id()?,
        };
        let deed = Deed::new(Right::Administer, "key.create", "key", &id)
            .with(json!({
                "role": new.role.unwrap_or(Role::Operator),
                "project": new.project,
                "expires_at": new.expires_at,
                "imported": imported,
                "temporary": new.session_token.is_some(),
                "addresses": new.addresses,
            }))
            .of(new.account.as_ref());
        self.audited(who, deed, async {
            let scope = who.with_in(Right::Administer, new.account.as_ref())?;
            if new.expires_at.is_some_and(|end| end <= self.clock.now()) {
                return Err(Error::invalid("the key would have ended already"));
            }
            if imported && new.secret.is_none() {
                return Err(Error::invalid("an imported key needs its secret").hint("add --secret-file FILE"));
            }
            if new.addresses.len() > MOST_ADDRESSES {
                return Err(Error::invalid(format!("a key has at most {MOST_ADDRESSES} addresses")));
            }
            for address in &new.addresses {
                address.parse::<AddressRange>()?;
            }
            let project = new.project.clone();
            if project.is_some() && new.role == Some(Role::Admin) {
                return Err(Error::invalid("an admin key cannot be bound to a project")
                    .hint("make an operator key for the project"));
            }
            self.store_key(NewKey { id: Some(id), ..new }, scope.account, project).await
        })
        .await
    }

    pub(super) async fn store_key(
        &self,
        new: NewKey,
        account: AccountId,
        project: Option<ProjectId>,
    ) -> Result<IssuedKey> {
        let id = match new.id {
            Some(id) => checked_id(id)?,
            None => minted_id()?,
        };
        let secret = match new.secret {
            Some(secret) => checked_secret(secret)?,
            None => Secret::new(random_text(SECRET_BYTES)?.replace(['-', '_'], "x")),
        };
        let sealed_session_token = match &new.session_token {
            Some(token) => Some(self.sealer.seal(&token_place(&id), token)?),
            None => None,
        };
        let key = AccessKey {
            previous: None,
            addresses: new.addresses,
            sealed_secret: self.sealer.seal(&secret_place(&id), &secret)?,
            sealed_session_token,
            id: id.clone(),
            account,
            project,
            role: new.role.unwrap_or(Role::Operator),
            created_at: self.clock.now(),
            expires_at: new.expires_at,
            revoked_at: None,
        };
        self.catalog.add_key(&key).await?;
        self.keys.forget(&id);
        Ok(IssuedKey { id, secret })
    }

    /// The access keys of an account, or of all for an admin who names none.
    pub async fn keys(&self, who: &Principal, account: Option<&AccountId>) -> Result<Vec<AccessKey>> {
        who.with(Right::Administer)?;
        self.catalog.keys(account).await
    }

    /// Gives a key a new secret. The old one ends after `grace`; one that is in its own grace ends now.
    pub async fn rotate_key(&self, who: &Principal, id: &str, grace: Option<Duration>) -> Result<IssuedKey> {
        let grace = grace.filter(|grace| !grace.is_zero());
        let deed = Deed::new(Right::Administer, "key.rotate", "key", id)
            .with(json!({"grace_seconds": grace.map(|grace| grace.as_secs())}));
        self.audited(who, deed, async {
            if grace.is_some_and(|grace| grace > LONGEST_GRACE) {
                return Err(Error::invalid("the old secret stays good for at most 30 days"));
            }
            let until = grace.map(|grace| self.clock.now() + grace);
            let secret = Secret::new(random_text(SECRET_BYTES)?.replace(['-', '_'], "x"));
            self.catalog.rotate_key(id, &self.sealer.seal(&secret_place(id), &secret)?, until).await?;
            self.keys.forget(id);
            Ok(IssuedKey { id: id.to_owned(), secret })
        })
        .await
    }

    /// Ends a key, and every link that it asked for.
    pub async fn revoke_key(&self, who: &Principal, id: &str) -> Result<()> {
        self.audited(who, Deed::new(Right::Administer, "key.revoke", "key", id), async {
            if who.key_id() == id {
                return Err(Error::new(Kind::Conflict, "OWN_KEY", "a key cannot revoke itself")
                    .hint("use another admin key"));
            }
            let key = self.catalog.key(id).await?;
            let key = key.ok_or_else(|| no_key(id))?;
            let now = self.clock.now();
            self.catalog.revoke_key(id, now).await?;
            let links = RevocationScope::AccessKey(id.to_owned());
            self.catalog.revoke_links_before(&key.account, &links, now).await?;
            self.keys.forget(id);
            self.key_links.forget(id);
            Ok(())
        })
        .await
    }
}

/// The one answer to a missing and to a foreign access key.
pub(super) fn no_key(id: &str) -> Error {
    Error::new(Kind::NotFound, "NOT_FOUND", format!("no such access key: {id}"))
}

/// base64url may start with '-', which command lines take for an option.
fn minted_id() -> Result<String> {
    Ok(format!("KS{}", random_text(ID_BYTES)?.replace(['-', '_'], "x")))
}

/// An imported id is taken as it is, within what every vendor's requests can carry.
fn checked_id(id: String) -> Result<String> {
    let fits = (1..=128).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_graphic() && !b",;&:\"\\".contains(&b));
    if fits {
        return Ok(id);
    }
    Err(Error::invalid("the access key id is not valid")
        .hint("use 1 to 128 printable ASCII characters without blanks and , ; & : \" \\"))
}

fn checked_secret(secret: Secret) -> Result<Secret> {
    if (8..=256).contains(&secret.expose().len()) {
        return Ok(secret);
    }
    Err(Error::invalid("the secret must have 8 to 256 bytes"))
}
