//! A caller that has proven who it is.

use std::net::IpAddr;

use jiff::Timestamp;

use super::Sealer;
use crate::error::{Error, Kind, Result};
use crate::model::{AccessKey, AccountId, AddressRange, ProjectId, Right, Role, Secret};

/// A caller that has proven who it is. There is no way to make one but by a proof.
#[derive(Debug, Clone)]
pub struct Principal {
    key_id: String,
    account: AccountId,
    project: Option<ProjectId>,
    role: Role,
    address: Option<IpAddr>,
    via: &'static str,
}

/// The part of the catalog that a caller may see.
#[derive(Debug, Clone)]
pub struct Scope {
    /// The account.
    pub account: AccountId,
    /// Only this project, if set.
    pub project: Option<ProjectId>,
}

impl Principal {
    /// Proves a key by its secret as presented (HTTP Basic), from an address as far as that is known. Temporary
    /// credentials need their session token as well; whoever has the secret is told so.
    pub fn from_secret(
        sealer: &Sealer,
        key: &AccessKey,
        (presented, session_token): (&[u8], Option<&[u8]>),
        from: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Self> {
        Self::prove(sealer, key, from, now, |secret, token| {
            if !secret.equals(presented) {
                return Err(unknown_key());
            }
            match (token, session_token) {
                (None, None) => Ok(()),
                (Some(kept), Some(sent)) if kept.equals(sent) => Ok(()),
                _ => Err(other_token()),
            }
        })
        .map(|(principal, ())| principal)
    }

    /// Proves a key by whatever `check` does with its secret and, for temporary credentials, its session token. While
    /// the secret before the last rotation is good, that is tried as well. A key that may not be used from the address
    /// is told so only with a proof.
    pub fn prove<T, E: From<Error>>(
        sealer: &Sealer,
        key: &AccessKey,
        from: Option<IpAddr>,
        now: Timestamp,
        check: impl Fn(&Secret, Option<&Secret>) -> Result<T, E>,
    ) -> Result<(Self, T), E> {
        let place = secret_place(&key.id);
        let secret = sealer.open(&place, &key.sealed_secret)?;
        let token = match &key.sealed_session_token {
            Some(kept) => Some(sealer.open(&token_place(&key.id), kept)?),
            None => None,
        };
        let previous = key.previous.as_ref().filter(|(_, until)| *until > now);
        let proof = match (check(&secret, token.as_ref()), previous) {
            (Err(refused), Some((before, _))) => {
                // What is said is about the present secret.
                check(&sealer.open(&place, before)?, token.as_ref()).map_err(|_| refused)?
            }
            (checked, _) => checked?,
        };
        let over = key.expires_at.is_some_and(|end| end <= now);
        if key.revoked_at.is_some() || (over && token.is_none()) {
            return Err(unknown_key().into());
        }
        if over {
            let error =
                Error::new(Kind::Unauthenticated, "SESSION_OVER", "the temporary credentials have ended")
                    .hint("get new ones");
            return Err(error.into());
        }
        if !admits(key, from) {
            let error = Error::new(
                Kind::Denied,
                "ADDRESS_DENIED",
                "the access key may not be used from this address",
            )
            .hint("use it from one of its addresses, or make a key without --allow-ip");
            return Err(error.into());
        }
        let principal = Self {
            key_id: key.id.clone(),
            account: key.account.clone(),
            project: key.project.clone(),
            role: key.role,
            address: None,
            via: "native",
        };
        Ok((principal, proof))
    }

    /// The access key's id.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// What the key may do.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The same caller, as whom the logs show it: from that address, by that way (`native` or a dialect's name).
    #[must_use]
    pub fn calling(self, address: Option<IpAddr>, via: &'static str) -> Self {
        Self { address, via, ..self }
    }

    /// Where the call came from.
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// How it came: `native`, or a dialect's name.
    pub fn via(&self) -> &'static str {
        self.via
    }

    /// The account that the key acts for.
    pub fn account(&self) -> &AccountId {
        &self.account
    }

    /// The project that the caller is bound to.
    pub fn project(&self) -> Option<&ProjectId> {
        self.project.as_ref()
    }

    /// The same caller, bound to one project; `None` if it is bound to another.
    #[must_use]
    pub fn in_project(&self, project: &ProjectId) -> Option<Self> {
        match &self.project {
            Some(own) if own != project => None,
            _ => Some(Self { project: Some(project.clone()), ..self.clone() }),
        }
    }

    /// The part of the catalog that the caller may see, if its role has the right. What an admin does reaches beyond
    /// every project: no caller that is bound to one may do it.
    pub fn with(&self, right: Right) -> Result<Scope> {
        if let (Right::Administer, Some(project)) = (right, self.project.as_ref())
            && self.role.allows(right)
        {
            let message = format!("the key is bound to project {project}, and this reaches beyond it");
            return Err(Error::new(Kind::Denied, "PROJECT_DENIED", message)
                .hint("use an admin key that is not bound to a project"));
        }
        if self.role.allows(right) {
            return Ok(Scope { account: self.account.clone(), project: self.project.clone() });
        }
        Err(Error::new(Kind::Denied, "ROLE_DENIED", format!("a {} key may not do this", self.role))
            .hint("use an access key with a higher role"))
    }

    /// As [`Principal::with`], in another account if the key is an admin's.
    pub fn with_in(&self, right: Right, account: Option<&AccountId>) -> Result<Scope> {
        let own = self.with(right)?;
        match account {
            Some(other) if *other != own.account => {
                self.with(Right::Administer)?;
                Ok(Scope { account: other.clone(), project: None })
            }
            _ => Ok(own),
        }
    }
}

/// Whether a key may be used from an address. Where that is not known, only a key of any address may.
fn admits(key: &AccessKey, from: Option<IpAddr>) -> bool {
    let holds =
        |range: &String, from: IpAddr| range.parse::<AddressRange>().is_ok_and(|range| range.contains(from));
    key.addresses.is_empty() || from.is_some_and(|from| key.addresses.iter().any(|range| holds(range, from)))
}

/// Where an access key's secret is sealed for.
pub(crate) fn secret_place(key_id: &str) -> String {
    format!("access_key/{key_id}/secret")
}

/// Where an access key's session token is sealed for.
pub(crate) fn token_place(key_id: &str) -> String {
    format!("access_key/{key_id}/session_token")
}

/// The one answer to an unknown, revoked or expired key and to a wrong secret.
pub(crate) fn unknown_key() -> Error {
    Error::new(Kind::Unauthenticated, "BAD_CREDENTIALS", "the access key or its secret is not right")
        .hint("check KEYSTOW_ACCESS_KEY_ID and KEYSTOW_ACCESS_KEY_SECRET, or admin.key if they are not set")
}

/// The answer to a right secret without the session token that belongs to it.
fn other_token() -> Error {
    Error::new(
        Kind::Unauthenticated,
        "BAD_CREDENTIALS",
        "the session token is missing, or is not the access key's",
    )
    .hint("set KEYSTOW_SESSION_TOKEN for a temporary key (header X-Keystow-Session-Token), and only for one")
}
