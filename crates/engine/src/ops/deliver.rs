//! Opens a link: from a URL to bytes.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;

use super::Engine;
use super::access_log::DeliveryNote;
use super::gates::{Busy, Passage};
use crate::error::{Error, Result};
use crate::links::{LinkClaims, LinkFault};
use crate::model::{
    Backup, BackupId, BackupState, InstanceId, Network, Number, Part, RevocationScope, Throughput,
};
use crate::vault::{AttemptKey, ObjectReader};

/// A part that can be delivered.
pub struct Deliverable {
    /// Its open object.
    pub reader: Arc<dyn ObjectReader>,
    /// Plain bytes.
    pub size_bytes: u64,
    /// SHA-256 of the plain bytes, lower-case hex.
    pub sha256: String,
    /// When the backup ended.
    pub modified_at: Timestamp,
    /// Name to deliver it under.
    pub file_name: String,
    /// Whatever its deliverer wants to work out only once, such as the headers that every delivery has.
    pub noted: OnceLock<String>,
    backup: BackupId,
    account: crate::model::AccountId,
    instance: Arc<InstanceId>,
    /// Links to the backup or its instance issued before this moment are over.
    links_from: Option<Timestamp>,
}

/// An open link.
pub struct Delivery {
    /// What the link says.
    pub claims: Arc<LinkClaims>,
    /// What it delivers.
    pub part: Arc<Deliverable>,
    /// Whether its deliveries are counted.
    pub counted: bool,
    /// How fast it delivers, and to how many at once.
    pub throughput: Throughput,
}

/// Why a link delivers nothing.
#[derive(Debug)]
pub enum DeliveryFault {
    /// The link itself is not good.
    Link(LinkFault),
    /// It is for the other listener.
    OtherNetwork,
    /// It does not allow the caller's address.
    Address,
    /// It was revoked.
    Revoked,
    /// It has made all its deliveries.
    UsedUp,
    /// As many downloads as it allows, or as one client may have, are under way.
    Busy,
    /// The backup is gone.
    Gone,
    /// Our own fault.
    Failed(Error),
}

impl DeliveryFault {
    /// Why, for the access log.
    fn why(&self) -> &'static str {
        match self {
            Self::Link(_) => "link",
            Self::OtherNetwork => "network",
            Self::Address => "address",
            Self::Revoked => "revoked",
            Self::UsedUp => "used up",
            Self::Busy => "busy",
            Self::Gone => "gone",
            Self::Failed(error) => error.code,
        }
    }
}

impl From<Busy> for DeliveryFault {
    fn from(_: Busy) -> Self {
        Self::Busy
    }
}

impl From<Error> for DeliveryFault {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Engine {
    /// Opens a link that was asked for on `network` by `address`. What the answer says of the backup depends on a
    /// right signature.
    pub async fn open_link(
        &self,
        path: &str,
        query: &str,
        network: Network,
        address: IpAddr,
    ) -> Result<Delivery, DeliveryFault> {
        let now = self.clock.now();
        let claims = self.signer.read(path, query, now).map_err(DeliveryFault::Link)?;
        let opened = self.admit_link(&claims, network, address, now).await;
        if let Err(fault) = &opened {
            self.journal.note_refusal(&claims, address, fault.why());
        }
        let (part, throughput, counted) = opened?;
        Ok(Delivery { claims, part, counted, throughput })
    }

    /// What a link delivers, if it may, how fast, and whether that is counted.
    async fn admit_link(
        &self,
        claims: &LinkClaims,
        network: Network,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<(Arc<Deliverable>, Throughput, bool), DeliveryFault> {
        if claims.network != network {
            return Err(DeliveryFault::OtherNetwork);
        }
        if !claims.admits(address) {
            return Err(DeliveryFault::Address);
        }
        let part = self.deliverable(claims, now).await?.ok_or(DeliveryFault::Gone)?;
        if part.backup != claims.backup || part.account != claims.account {
            return Err(DeliveryFault::Gone);
        }
        if part.links_from.is_some_and(|from| claims.issued_at <= from)
            || self.key_has_ended(claims, now).await?
        {
            return Err(DeliveryFault::Revoked);
        }
        let (throughput, counted) = match &claims.remembered {
            Some(id) => self.check_remembered(id, now).await?,
            None => (Throughput::default(), false),
        };
        Ok((part, throughput, counted))
    }

    /// Whether a remembered link is still good: how fast it delivers, and whether its deliveries are counted.
    async fn check_remembered(&self, id: &str, now: Timestamp) -> Result<(Throughput, bool), DeliveryFault> {
        let link = if let Some(link) = self.links.get(id, now) {
            link
        } else {
            let link = self.catalog.link(id).await?.ok_or(DeliveryFault::Revoked)?;
            match link.budget {
                // What is left of it changes with every delivery.
                Some(_) => Arc::new(link),
                None => self.links.insert(id.to_owned(), link, now),
            }
        };
        match link.budget {
            _ if link.revoked_at.is_some() => Err(DeliveryFault::Revoked),
            Some(budget) if budget.is_used_up() => Err(DeliveryFault::UsedUp),
            budget => Ok((link.throughput, budget.is_some())),
        }
    }

    /// Whether the access key that asked for a link was revoked or has ended since, or its links were.
    async fn key_has_ended(&self, claims: &LinkClaims, now: Timestamp) -> Result<bool> {
        if self.usable_key(&claims.access_key).await?.is_none_or(|key| key.account != claims.account) {
            return Ok(true);
        }
        let known = if let Some(known) = self.key_links.get(&claims.access_key, now) {
            known
        } else {
            let scope = RevocationScope::AccessKey(claims.access_key.clone());
            let from = self.catalog.links_revoked_before(&claims.account, &[scope]).await?;
            self.key_links.insert(claims.access_key.clone(), from, now)
        };
        Ok(known.is_some_and(|from| claims.issued_at <= from))
    }

    /// Lets a transfer begin, within what its link and its client may have at once.
    pub fn admit_transfer(&self, delivery: &Delivery, address: IpAddr) -> Result<Passage, DeliveryFault> {
        let link = delivery.claims.remembered.as_deref().map(|id| (id, delivery.throughput));
        Ok(self.gates.enter(link, address).inspect_err(|_| {
            self.journal.note_refusal(&delivery.claims, address, DeliveryFault::Busy.why());
        })?)
    }

    /// The record of a transfer of those bytes. It is kept when it is dropped.
    pub fn note_delivery(&self, delivery: &Delivery, address: IpAddr, from: u64, until: u64) -> DeliveryNote {
        self.journal.note_delivery(&delivery.claims, &delivery.part.instance, address, from, until)
    }

    async fn deliverable(&self, claims: &LinkClaims, now: Timestamp) -> Result<Option<Arc<Deliverable>>> {
        let number = claims.part;
        if let Some(repository) = &claims.repository {
            let key = (number, repository.clone());
            if let Some(part) = self.copied_parts.get(&key, now) {
                return Ok(Some(part));
            }
            let opened = self.look_up(number, Some(repository)).await?;
            return Ok(opened.map(|part| self.copied_parts.insert(key, part, now)));
        }
        if let Some(part) = self.deliverables.get(&number, now) {
            return Ok(Some(part));
        }
        let opened = self.look_up(number, None).await?;
        Ok(opened.map(|part| self.deliverables.insert(number, part, now)))
    }

    async fn look_up(&self, number: Number, repository: Option<&str>) -> Result<Option<Deliverable>> {
        match self.catalog.part(number).await? {
            Some((backup, part)) => self.open_part(backup, part, repository).await,
            None => Ok(None),
        }
    }

    /// Forgets the open parts of a backup, because it has changed.
    pub(super) fn forget_parts(&self, backup: &Backup) {
        for part in &backup.parts {
            self.deliverables.forget(&part.number);
        }
        self.copied_parts.clear();
    }

    /// Opens a part: in the repository of that name, or wherever it is whole.
    async fn open_part(
        &self,
        backup: Backup,
        part: Part,
        repository: Option<&str>,
    ) -> Result<Option<Deliverable>> {
        if !matches!(backup.state, BackupState::Available | BackupState::Partial | BackupState::Quarantined) {
            return Ok(None);
        }
        let scopes = [RevocationScope::Backup(backup.id), RevocationScope::Instance(backup.instance.clone())];
        let links_from = self.catalog.links_revoked_before(&backup.account, &scopes).await?;
        let attempt = AttemptKey::of(&backup);
        let found = match repository {
            Some(name) => self.parts.find_in(name, &attempt, &part.sealed).await?,
            None => self.parts.find(&attempt, &part.sealed).await?,
        };
        let Some(reader) = found else {
            tracing::error!(backup = %backup.id, part = part.number, "a listed backup has lost its object");
            return Ok(None);
        };
        if reader.size_bytes() != part.sealed.size_bytes {
            return Err(Error::new(
                crate::error::Kind::Corrupt,
                "OBJECT_DAMAGED",
                "the stored object has changed size",
            )
            .because(format!(
                "{} instead of {} bytes",
                reader.size_bytes(),
                part.sealed.size_bytes
            )));
        }
        Ok(Some(Deliverable {
            reader,
            size_bytes: part.sealed.size_bytes,
            sha256: part.sealed.sha256,
            modified_at: backup.ended_at.unwrap_or(backup.created_at),
            file_name: part.sealed.file_name,
            noted: OnceLock::new(),
            backup: backup.id,
            account: backup.account,
            instance: Arc::new(backup.instance),
            links_from,
        }))
    }
}

impl Deliverable {
    /// The instance whose backup it is.
    pub fn instance(&self) -> &InstanceId {
        &self.instance
    }
}
