//! Changes where an instance is, how to sign in there and how it is captured.

use serde_json::{Value, json};

use super::Engine;
use super::audit::{Deed, shown_url};
use super::instances::{ask, check_capture};
use super::login::{LoginSecrets, login_place};
use super::restore::NewLogin;
use super::take_backup::password_place;
use crate::access::Principal;
use crate::error::{Error, Result};
use crate::model::{CaptureMethod, CaptureOptions, Checks, Instance, InstanceId, Prefer, Right, Secret};
use crate::redis::Address;

/// What is to be different about an instance; what is absent stays. An empty text or secret takes away what was kept.
#[derive(Debug, Default)]
pub struct InstanceChange {
    /// Where it is; may carry user and password.
    pub url: Option<String>,
    /// ACL user.
    pub username: Option<String>,
    /// Password.
    pub password: Option<Secret>,
    /// Sentinel's own user.
    pub sentinel_username: Option<String>,
    /// Sentinel's own password.
    pub sentinel_password: Option<Secret>,
    /// Certificates of the authorities to trust, PEM.
    pub tls_ca: Option<String>,
    /// Client certificate with its chain, PEM.
    pub tls_certificate: Option<String>,
    /// Its key, PEM.
    pub tls_key: Option<Secret>,
    /// The name that certificates must bear.
    pub tls_server_name: Option<String>,
    /// How it is captured.
    pub capture: CaptureChange,
}

/// What is to be different about captures; what is absent stays.
#[derive(Debug, Default)]
pub struct CaptureChange {
    /// By replication, key by key, or as the source allows.
    pub method: Option<CaptureMethod>,
    /// Which node of a shard is asked first.
    pub prefer: Option<Prefer>,
    /// What a doubt about the source's health does.
    pub checks: Option<Checks>,
    /// Most bytes a second from one node; 0 = as fast as it sends.
    pub bytes_per_second: Option<u64>,
    /// Most keys a second from one node; 0 = as fast as it answers.
    pub keys_per_second: Option<u64>,
    /// Most shards at a time.
    pub parallel: Option<u32>,
    /// Whether `rdbcompression` is switched off around the fork.
    pub uncompressed: Option<bool>,
}

impl CaptureChange {
    /// The options after the change.
    pub fn apply(self, options: &CaptureOptions) -> CaptureOptions {
        let limit = |new: Option<u64>, old| new.map_or(old, |rate| Some(rate).filter(|rate| *rate > 0));
        CaptureOptions {
            method: self.method.unwrap_or(options.method),
            prefer: self.prefer.unwrap_or(options.prefer),
            checks: self.checks.unwrap_or(options.checks),
            bytes_per_second: limit(self.bytes_per_second, options.bytes_per_second),
            keys_per_second: limit(self.keys_per_second, options.keys_per_second),
            parallel: self.parallel.unwrap_or(options.parallel),
            uncompressed: self.uncompressed.unwrap_or(options.uncompressed),
        }
    }
}

impl InstanceChange {
    /// What it says, without secrets; of those it says only that they change.
    fn told(&self) -> Value {
        let capture = &self.capture;
        let given = [
            ("url", self.url.as_deref().map(|url| json!(shown_url(url)))),
            ("user", self.username.as_ref().map(|user| json!(user))),
            ("sentinel_user", self.sentinel_username.as_ref().map(|user| json!(user))),
            ("password", self.password.as_ref().map(|_| json!("changed"))),
            ("sentinel_password", self.sentinel_password.as_ref().map(|_| json!("changed"))),
            ("tls_ca", self.tls_ca.as_ref().map(|_| json!("changed"))),
            ("tls_cert", self.tls_certificate.as_ref().map(|_| json!("changed"))),
            ("tls_key", self.tls_key.as_ref().map(|_| json!("changed"))),
            ("tls_server_name", self.tls_server_name.as_ref().map(|name| json!(name))),
            ("method", capture.method.as_ref().map(|method| json!(method))),
            ("prefer", capture.prefer.as_ref().map(|prefer| json!(prefer))),
            ("checks", capture.checks.as_ref().map(|checks| json!(checks))),
            ("bytes_per_second", capture.bytes_per_second.map(|rate| json!(rate))),
            ("keys_per_second", capture.keys_per_second.map(|rate| json!(rate))),
            ("parallel", capture.parallel.map(|shards| json!(shards))),
            ("uncompressed", capture.uncompressed.map(|wanted| json!(wanted))),
        ];
        let said = given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Value::Object(said.collect())
    }

    /// Whether it says anything about reaching the instance.
    fn touches_login(&self) -> bool {
        let texts = [
            &self.url,
            &self.username,
            &self.sentinel_username,
            &self.tls_ca,
            &self.tls_certificate,
            &self.tls_server_name,
        ];
        let secrets = [&self.password, &self.sentinel_password, &self.tls_key];
        texts.into_iter().any(Option::is_some) || secrets.into_iter().any(Option::is_some)
    }

    /// The login after the change, as if it were given for the first time.
    fn onto(self, url: &str, username: Option<String>, kept: LoginSecrets) -> Result<NewLogin> {
        let given = self.url.as_deref().map(Address::parse).transpose()?;
        let moved = given.as_ref().is_some_and(|(address, _)| address.to_string() != url);
        let carried = given.map(|(_, credentials)| credentials).unwrap_or_default();
        let password = self.password.or(carried.password);
        // Whoever may change the address must not get to see, at an address of theirs, a password that they do not
        // know.
        let leaks = |new: &Option<Secret>, old: &Option<Secret>| moved && new.is_none() && old.is_some();
        if leaks(&password, &kept.password) || leaks(&self.sentinel_password, &kept.sentinel_password) {
            return Err(Error::invalid("the address changes, and a password that is kept would go there")
                .hint("give the passwords again with --password-file and --sentinel-password-file"));
        }
        let text =
            |new: Option<String>, old| new.map_or(old, |text| Some(text).filter(|text| !text.is_empty()));
        let secret = |new: Option<Secret>, old| {
            new.map_or(old, |secret| Some(secret).filter(|secret| !secret.expose().is_empty()))
        };
        Ok(NewLogin {
            url: self.url.unwrap_or_else(|| url.to_owned()),
            username: text(self.username.or(carried.username), username),
            password: secret(password, kept.password),
            sentinel_username: text(self.sentinel_username, kept.sentinel_username),
            sentinel_password: secret(self.sentinel_password, kept.sentinel_password),
            tls_ca: text(self.tls_ca, kept.tls_ca),
            tls_certificate: text(self.tls_certificate, kept.tls_certificate),
            tls_key: secret(self.tls_key, kept.tls_key),
            tls_server_name: text(self.tls_server_name, kept.tls_server_name),
        })
    }
}

impl Engine {
    /// Changes an instance. A new address or login is tried before it is kept: a wrong password must not wait for the
    /// next backup to be found.
    pub async fn set_instance(
        &self,
        who: &Principal,
        id: &InstanceId,
        mut change: InstanceChange,
    ) -> Result<Instance> {
        let deed = Deed::new(Right::Operate, "instance.set", "instance", id).with(change.told());
        self.audited(who, deed, async {
            let scope = who.with(Right::Operate)?;
            let seen = self.visible_instance(&scope, id).await?;
            // What was seen may be two seconds old.
            let row = self.catalog.instance(&scope.account, id).await?;
            let mut instance = row.unwrap_or_else(|| (*seen).clone());
            instance.capture = std::mem::take(&mut change.capture).apply(&instance.capture);
            check_capture(&instance.capture)?;
            if change.touches_login() {
                self.change_login(&mut instance, change).await?;
            }
            self.catalog.set_instance(&instance).await?;
            self.instances.clear();
            Ok(instance)
        })
        .await
    }

    async fn change_login(&self, instance: &mut Instance, change: InstanceChange) -> Result<()> {
        let (account, id) = (instance.account.as_str(), instance.id.as_str());
        let (login_place, password_place) = (login_place(account, id), password_place(account, id));
        let mut kept = LoginSecrets::open(&self.sealer, &login_place, instance.sealed_login.as_deref())?;
        if let Some(sealed) = &instance.sealed_password {
            kept.password = Some(self.sealer.open(&password_place, sealed)?);
        }
        let login = change.onto(&instance.url, instance.username.clone(), kept)?;
        let (address, username, mut secrets) = login.read()?;
        let login = secrets.clone().into_login(username.clone());
        let (facts, _) = ask(address.clone(), login, self.settings.timeouts).await?;
        self.catalog.record_contact(&instance.account, &instance.id, &facts).await?;
        let password = secrets.password.take();
        instance.sealed_password =
            password.map(|password| self.sealer.seal(&password_place, &password)).transpose()?;
        instance.sealed_login = secrets.seal(&self.sealer, &login_place)?;
        instance.url = address.to_string();
        instance.username = username;
        instance.facts = Some(facts);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept() -> LoginSecrets {
        LoginSecrets {
            password: Some(Secret::new("old")),
            tls_ca: Some("ca".to_owned()),
            ..LoginSecrets::default()
        }
    }

    #[test]
    fn what_is_not_said_stays_and_what_is_empty_goes() {
        let change = InstanceChange { username: Some("new".to_owned()), ..InstanceChange::default() };
        let login = change.onto("redis://h:1", Some("old".to_owned()), kept()).unwrap();
        assert_eq!((login.url.as_str(), login.username.as_deref()), ("redis://h:1", Some("new")));
        assert!(login.password.unwrap().equals(b"old"));
        assert_eq!(login.tls_ca.as_deref(), Some("ca"));
        let change = InstanceChange {
            username: Some(String::new()),
            password: Some(Secret::new("")),
            tls_ca: Some(String::new()),
            ..InstanceChange::default()
        };
        let login = change.onto("redis://h:1", Some("old".to_owned()), kept()).unwrap();
        assert!(login.username.is_none() && login.password.is_none() && login.tls_ca.is_none());
    }

    #[test]
    fn a_kept_password_never_goes_to_another_address() {
        let to = |url: &str, password: Option<&str>| {
            let change = InstanceChange {
                url: Some(url.to_owned()),
                password: password.map(Secret::new),
                ..InstanceChange::default()
            };
            change.onto("redis://h:1", None, kept())
        };
        assert!(to("redis://elsewhere:1", None).is_err());
        assert!(to("redis://h:2", None).is_err());
        assert!(to("rediss://h:1", None).is_err());
        assert!(to("redis://h:1", None).unwrap().password.unwrap().equals(b"old"), "the same address");
        assert!(to("redis://h:2", Some("new")).unwrap().password.unwrap().equals(b"new"));
        assert!(to("redis://h:2", Some("")).unwrap().password.is_none());
        let carried = to("redis://user:given@h:2", None).unwrap();
        assert_eq!(carried.username.as_deref(), Some("user"));
        assert!(carried.password.unwrap().equals(b"given"));
        let watched =
            LoginSecrets { sentinel_password: Some(Secret::new("watch")), ..LoginSecrets::default() };
        let change =
            InstanceChange { url: Some("redis-sentinel://x:1/s".to_owned()), ..InstanceChange::default() };
        assert!(change.onto("redis-sentinel://h:1/s", None, watched).is_err());
    }

    #[test]
    fn a_rate_of_nothing_is_no_limit() {
        let limited = CaptureOptions {
            bytes_per_second: Some(5),
            keys_per_second: Some(6),
            ..CaptureOptions::default()
        };
        let change =
            CaptureChange { bytes_per_second: Some(0), parallel: Some(2), ..CaptureChange::default() };
        let changed = change.apply(&limited);
        assert_eq!((changed.bytes_per_second, changed.keys_per_second, changed.parallel), (None, Some(6), 2));
    }
}
