//! What it takes to sign in at a server, as it is kept: sealed, as one small JSON document.

use serde::{Deserialize, Serialize};

use super::{Engine, NewLogin};
use crate::access::Sealer;
use crate::error::{Error, Result};
use crate::model::{Instance, Secret};
use crate::redis::{Address, Credentials, Login, TlsOptions};

/// What it takes to sign in, beyond the address and the user's name.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct LoginSecrets {
    /// Password. Of an instance it is kept by itself, and this is empty.
    #[serde(with = "secret", skip_serializing_if = "Option::is_none")]
    pub(super) password: Option<Secret>,
    /// Sentinel's own user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sentinel_username: Option<String>,
    /// Sentinel's own password.
    #[serde(with = "secret", skip_serializing_if = "Option::is_none")]
    pub(super) sentinel_password: Option<Secret>,
    /// Certificates of the authorities to trust, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tls_ca: Option<String>,
    /// Client certificate with its chain, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tls_certificate: Option<String>,
    /// Its key, PEM.
    #[serde(with = "secret", skip_serializing_if = "Option::is_none")]
    pub(super) tls_key: Option<Secret>,
    /// The name that certificates must bear, if it is not the host's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tls_server_name: Option<String>,
}

impl LoginSecrets {
    /// Seals it for a place; `None` if there is nothing to keep.
    pub(super) fn seal(&self, sealer: &Sealer, place: &str) -> Result<Option<Vec<u8>>> {
        let json = serde_json::to_vec(self).map_err(|error| Error::internal("a login has no JSON", error))?;
        if json == b"{}" {
            return Ok(None);
        }
        sealer.seal(place, &Secret::new(json)).map(Some)
    }

    /// Opens what was sealed for that place; nothing sealed is nothing kept.
    pub(super) fn open(sealer: &Sealer, place: &str, kept: Option<&[u8]>) -> Result<Self> {
        let Some(kept) = kept else { return Ok(Self::default()) };
        let json = sealer.open(place, kept)?;
        // The reason might quote what it stumbled over.
        serde_json::from_slice(json.expose())
            .map_err(|_| Error::internal(format!("the secret of {place} is no login"), "not of this version"))
    }

    /// As connections take it.
    pub(super) fn into_login(self, username: Option<String>) -> Login {
        Login {
            credentials: Credentials { username, password: self.password },
            sentinel: Credentials { username: self.sentinel_username, password: self.sentinel_password },
            tls: TlsOptions {
                ca_pem: self.tls_ca,
                certificate_pem: self.tls_certificate,
                key_pem: self.tls_key,
                server_name: self.tls_server_name,
            },
        }
    }
}

impl NewLogin {
    /// Takes the URL apart: where the server is, the user, and what is secret about it.
    pub(super) fn read(self) -> Result<(Address, Option<String>, LoginSecrets)> {
        let (address, credentials) = Address::parse(&self.url)?;
        let username = self.username.or(credentials.username);
        let password = self.password.or(credentials.password);
        if username.is_some() && password.is_none() {
            return Err(Error::invalid("a user without a password").hint("add --password-file FILE"));
        }
        if self.sentinel_username.is_some() && self.sentinel_password.is_none() {
            return Err(Error::invalid("a user of Sentinel without a password")
                .hint("add --sentinel-password-file FILE"));
        }
        if self.tls_certificate.is_some() != self.tls_key.is_some() {
            return Err(Error::invalid("a client certificate and its key go together")
                .hint("give both --tls-cert and --tls-key"));
        }
        let secrets = LoginSecrets {
            password,
            sentinel_username: self.sentinel_username,
            sentinel_password: self.sentinel_password,
            tls_ca: self.tls_ca,
            tls_certificate: self.tls_certificate,
            tls_key: self.tls_key,
            tls_server_name: self.tls_server_name,
        };
        Ok((address, username, secrets))
    }
}

/// Where an instance's login is sealed for, but for its password.
pub(super) fn login_place(account: &str, instance: &str) -> String {
    format!("instance/{account}/{instance}/login")
}

impl Engine {
    /// What it takes to sign in at a registered instance, in clear.
    pub(super) fn login_of(&self, instance: &Instance) -> Result<Login> {
        let (account, id) = (instance.account.as_str(), instance.id.as_str());
        let place = login_place(account, id);
        let mut secrets = LoginSecrets::open(&self.sealer, &place, instance.sealed_login.as_deref())?;
        if let Some(sealed) = &instance.sealed_password {
            let place = super::take_backup::password_place(account, id);
            secrets.password = Some(self.sealer.open(&place, sealed)?);
        }
        Ok(secrets.into_login(instance.username.clone()))
    }
}

impl Engine {
    /// Whether a password is the one that is kept for an instance. One without any takes every password, as its server
    /// asks for none.
    pub fn accepts_password(&self, instance: &Instance, given: &Secret) -> Result<bool> {
        let Some(sealed) = &instance.sealed_password else { return Ok(true) };
        let place = super::take_backup::password_place(instance.account.as_str(), instance.id.as_str());
        Ok(self.sealer.open(&place, sealed)?.equals(given.expose()))
    }
}

/// What is kept of an instance's login, beyond its password, without the secrets themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeptLogin {
    /// Sentinel's own user.
    pub sentinel_username: Option<String>,
    /// Whether a password for its Sentinels is kept.
    pub has_sentinel_password: bool,
    /// Whether authorities of its own are kept for it.
    pub has_tls_ca: bool,
    /// Whether a client certificate with its key is kept for it.
    pub has_tls_certificate: bool,
    /// The name that certificates must bear.
    pub tls_server_name: Option<String>,
}

impl Engine {
    /// What is kept of an instance's login. One that does not open any more looks like none: a list must not fail for
    /// it, and the next backup says so.
    pub fn kept_login(&self, instance: &Instance) -> KeptLogin {
        let place = login_place(instance.account.as_str(), instance.id.as_str());
        let opened = LoginSecrets::open(&self.sealer, &place, instance.sealed_login.as_deref());
        opened.map_or_else(
            |_| KeptLogin::default(),
            |secrets| KeptLogin {
                sentinel_username: secrets.sentinel_username,
                has_sentinel_password: secrets.sentinel_password.is_some(),
                has_tls_ca: secrets.tls_ca.is_some(),
                has_tls_certificate: secrets.tls_certificate.is_some(),
                tls_server_name: secrets.tls_server_name,
            },
        )
    }
}

/// A secret as base64: a password may be any bytes.
mod secret {
    use std::borrow::Cow;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserializer, Serializer, de::Error as _};
    use zeroize::Zeroizing;

    use super::{Deserialize, Secret};

    #[expect(clippy::ref_option, reason = "serde asks so")]
    pub(super) fn serialize<S: Serializer>(secret: &Option<Secret>, to: S) -> Result<S::Ok, S::Error> {
        match secret {
            Some(secret) => to.serialize_str(&Zeroizing::new(STANDARD.encode(secret.expose()))),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Secret>, D::Error> {
        let Some(text) = Option::<Cow<'de, str>>::deserialize(from)? else { return Ok(None) };
        STANDARD
            .decode(&*text)
            .map(|bytes| Some(Secret::new(bytes)))
            .map_err(|_| D::Error::custom("no base64"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::RootKey;

    #[test]
    fn a_login_reads_back_and_shows_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let root = RootKey::load_or_create(&folder.path().join("root.key")).unwrap();
        let sealer = Sealer::new(&root).unwrap();
        let new = NewLogin {
            url: "redis-sentinel://user:p%FFss@h:1/main".to_owned(),
            sentinel_password: Some(Secret::new("watch")),
            tls_ca: Some("-----BEGIN".to_owned()),
            tls_certificate: Some("public".to_owned()),
            tls_key: Some(Secret::new("private")),
            ..NewLogin::default()
        };
        let (address, username, secrets) = new.read().unwrap();
        assert_eq!(
            (address.to_string().as_str(), username.as_deref()),
            ("redis-sentinel://h:1/main", Some("user"))
        );
        assert!(!format!("{secrets:?}").contains("private"));
        let kept = secrets.seal(&sealer, "a").unwrap();
        assert!(LoginSecrets::open(&sealer, "b", kept.as_deref()).is_err());
        let login = LoginSecrets::open(&sealer, "a", kept.as_deref()).unwrap().into_login(username);
        assert!(login.credentials.password.unwrap().equals(b"p\xffss"));
        assert!(login.sentinel.password.unwrap().equals(b"watch"));
        assert!(login.tls.key_pem.unwrap().equals(b"private"));
        assert_eq!((login.tls.ca_pem.as_deref(), login.tls.server_name), (Some("-----BEGIN"), None));
    }

    #[test]
    fn nothing_to_keep_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let root = RootKey::load_or_create(&folder.path().join("root.key")).unwrap();
        let sealer = Sealer::new(&root).unwrap();
        assert_eq!(LoginSecrets::default().seal(&sealer, "a").unwrap(), None);
        assert!(LoginSecrets::open(&sealer, "a", None).unwrap().password.is_none());
    }

    #[test]
    fn halves_of_a_login_are_refused() {
        let new = |url: &str| NewLogin { url: url.to_owned(), ..NewLogin::default() };
        assert!(new("redis://user@h").read().is_err());
        let half = NewLogin { tls_certificate: Some("public".to_owned()), ..new("rediss://h") };
        assert!(half.read().is_err());
        let half = NewLogin { sentinel_username: Some("watcher".to_owned()), ..new("redis-sentinel://h/s") };
        assert!(half.read().is_err());
    }
}
