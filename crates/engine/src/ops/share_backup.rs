//! Hands out download links.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::Engine;
use super::audit::Deed;
use super::keys::no_key;
use super::list::{no_backup, sees};
use crate::access::{Principal, Scope, random_text};
use crate::error::{Error, Kind, Result};
use crate::links::{AddressRange, LinkClaims, Spelling};
use crate::model::{
    Backup, BackupRef, BackupState, DeliveryBudget, InstanceId, LinkUsage, Listed, Network, Number, Page,
    Part, RememberedLink, RevocationScope, Right, Throughput,
};
use crate::vault::{AttemptKey, ObjectKey};

/// Address ranges of one limit that somebody sets.
pub const MOST_RANGES: usize = 32;
/// Those that a link carries: of two limits that narrow each other. It must stay short enough for a mail, a shell and
/// our own reading of it.
const MOST_OF_A_LINK: usize = 2 * MOST_RANGES;

/// Less than this a second would look as if the link were broken.
const LEAST_BYTES_PER_SECOND: u64 = 1024;

/// The links that somebody asks for.
#[derive(Debug, Clone)]
pub struct LinkOrder {
    /// The side or sides.
    pub networks: Vec<Network>,
    /// How long they live.
    pub ttl: Duration,
    /// How they are written.
    pub spelling: Spelling,
    /// Addresses that may use them; empty = all.
    pub addresses: Vec<AddressRange>,
    /// Addresses that may not use them, whatever `addresses` says.
    pub denied: Vec<AddressRange>,
    /// Only the part of this shard; `None` = every part.
    pub shard: Option<u32>,
    /// How many whole deliveries each may make; `None` = any number.
    pub deliveries: Option<u32>,
    /// How fast each delivers, and to how many at once.
    pub throughput: Throughput,
    /// Whether the catalog keeps them, so that each can be listed and revoked by itself.
    pub remember: bool,
    /// Give links to a backup that is not `available`, knowing that it is not.
    pub unverified: bool,
    /// Deliver the copy in the repository of that name; `None` = the backup, wherever it is whole.
    pub repository: Option<String>,
}

/// A link.
#[derive(Debug, Clone)]
pub struct IssuedLink {
    /// Its id, if it is remembered.
    pub id: Option<String>,
    /// The part's number.
    pub part: Number,
    /// The part's file name.
    pub file_name: String,
    /// Plain bytes of the part.
    pub size_bytes: u64,
    /// The side.
    pub network: Network,
    /// The whole URL.
    pub url: String,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Whether the repository's store serves it itself; nothing but its end can end it then.
    pub direct: bool,
}

impl Engine {
    /// Issues links to every part of a backup.
    pub async fn share_backup(
        &self,
        who: &Principal,
        which: BackupRef,
        order: &LinkOrder,
    ) -> Result<(Backup, Vec<IssuedLink>)> {
        let backup = self.visible_backup(&who.with(Right::Link)?, which).await?;
        let links = self.issue_links(who, &backup, order).await?;
        Ok((backup, links))
    }

    /// Issues links to the parts that a listed backup carries. Writes nothing unless the order wants it remembered.
    pub async fn issue_links(
        &self,
        who: &Principal,
        backup: &Backup,
        order: &LinkOrder,
    ) -> Result<Vec<IssuedLink>> {
        let scope = who.with(Right::Link)?;
        if !sees(&scope, backup) {
            return Err(no_backup(BackupRef::Id(backup.id)));
        }
        check(backup, order, self.settings.longest_link)?;
        self.parts.check_readable(&backup.parts).await?;
        if let Some(name) = &order.repository {
            self.check_copied(backup, name).await?;
        }
        let now = self.clock.now();
        let ends = Timestamp::from_second(now.as_second()).unwrap_or(now) + order.ttl;
        let mut links = Vec::new();
        let wanted = |part: &&Part| order.shard.is_none_or(|shard| part.sealed.shard == shard);
        for part in backup.parts.iter().filter(wanted) {
            let mut claims = LinkClaims {
                spelling: order.spelling,
                signing_key: self.signer.current(),
                issued_at: now,
                expires_at: ends,
                access_key: who.key_id().to_owned(),
                account: backup.account.clone(),
                backup: backup.id,
                part: part.number,
                file_name: part.sealed.file_name.clone(),
                network: Network::Public,
                addresses: order.addresses.clone(),
                denied: order.denied.clone(),
                remembered: None,
                repository: order.repository.clone(),
            };
            for &network in &order.networks {
                claims.network = network;
                if let Some(url) = self.direct_url(backup, part, network, order).await? {
                    links.push(IssuedLink { url, direct: true, ..self.written(&claims, part)? });
                    continue;
                }
                if order.remember || order.deliveries.is_some() || order.throughput.is_limited() {
                    claims.remembered = Some(self.remember(who, &scope, &claims, part, order).await?);
                }
                links.push(self.written(&claims, part)?);
            }
        }
        self.journal.note_links(who, backup, order, &links, ends);
        Ok(links)
    }

    /// Refuses a copy that is not whole.
    async fn check_copied(&self, backup: &Backup, name: &str) -> Result<()> {
        let copies = self.catalog.copies(backup.id).await?;
        if copies.iter().any(|copy| copy.repository == name && copy.is_whole()) {
            return Ok(());
        }
        let message = format!("the backup {} has no whole copy in {name}", backup.id);
        Err(Error::new(Kind::Conflict, "COPY_MISSING", message)
            .hint(format!("make one: keystow backup copy {} --to {name}", backup.id)))
    }

    fn written(&self, claims: &LinkClaims, part: &Part) -> Result<IssuedLink> {
        let base = match claims.network {
            Network::Public => &self.settings.public_url,
            Network::Intranet => &self.settings.intranet_url,
        };
        Ok(IssuedLink {
            url: [base, self.signer.issue(claims)?.as_str()].concat(),
            id: claims.remembered.clone(),
            part: part.number,
            file_name: claims.file_name.clone(),
            size_bytes: part.sealed.size_bytes,
            network: claims.network,
            expires_at: claims.expires_at,
            direct: false,
        })
    }

    /// The store's own URL of a part, if it gives one. It knows no limits and no plain bytes of a part that is stored
    /// in another form, so such links are ours.
    async fn direct_url(
        &self,
        backup: &Backup,
        part: &Part,
        network: Network,
        order: &LinkOrder,
    ) -> Result<Option<String>> {
        let limited = !order.addresses.is_empty()
            || !order.denied.is_empty()
            || order.deliveries.is_some()
            || order.throughput.is_limited();
        let sealed = &part.sealed;
        if limited || !sealed.encoding.is_plain() || order.repository.is_some() {
            return Ok(None);
        }
        let attempt = AttemptKey::of(backup);
        let key = ObjectKey::Part(attempt, sealed.shard, sealed.encoding);
        self.vault.presigned(&key, network, order.ttl, &sealed.file_name).await
    }

    async fn remember(
        &self,
        who: &Principal,
        scope: &Scope,
        claims: &LinkClaims,
        part: &Part,
        order: &LinkOrder,
    ) -> Result<String> {
        let id = format!("lnk-{}", random_text(9)?);
        let link = RememberedLink {
            id: id.clone(),
            account: scope.account.clone(),
            backup: claims.backup,
            part: part.number,
            file_name: claims.file_name.clone(),
            network: claims.network,
            access_key: claims.access_key.clone(),
            created_at: claims.issued_at,
            expires_at: claims.expires_at,
            revoked_at: None,
            addresses: (claims.addresses.iter().map(ToString::to_string))
                .chain(claims.denied.iter().map(|range| format!("!{range}")))
                .collect(),
            budget: order.deliveries.map(|deliveries| DeliveryBudget {
                deliveries,
                size_bytes: part.sealed.size_bytes,
                sent_bytes: 0,
                forgiven_bytes: 0,
            }),
            throughput: order.throughput,
            usage: LinkUsage::default(),
        };
        let deed = Deed::new(Right::Link, "link.create", "link", &id).with(json!({
            "backup": link.backup,
            "part": link.part,
            "network": link.network,
            "expires_at": link.expires_at,
            "addresses": link.addresses,
            "downloads": order.deliveries,
            "bytes_per_second": order.throughput.bytes_per_second,
            "connections": order.throughput.connections,
        }));
        self.audited(who, deed, self.catalog.remember_link(&link)).await?;
        Ok(id)
    }

    /// A remembered link of the caller's account.
    pub async fn link(&self, who: &Principal, id: &str) -> Result<RememberedLink> {
        self.visible_link(&who.with(Right::Link)?, id).await
    }

    /// A link that the caller may see; a foreign one looks like a missing one.
    async fn visible_link(&self, scope: &Scope, id: &str) -> Result<RememberedLink> {
        let missing = || Error::new(Kind::NotFound, "NOT_FOUND", format!("no such link: {id}"));
        let link = self.catalog.link(id).await?.filter(|link| link.account == scope.account);
        let link = link.ok_or_else(missing)?;
        if scope.project.is_some() {
            let backup = self.catalog.backup(&scope.account, BackupRef::Id(link.backup)).await?;
            backup.filter(|backup| backup.project == scope.project).ok_or_else(missing)?;
        }
        Ok(link)
    }

    /// The remembered links of the caller's account, newest first. A key that is bound to a project sees those of
    /// its project only.
    pub async fn links(&self, who: &Principal, page: Page) -> Result<Listed<RememberedLink>> {
        let scope = who.with(Right::Link)?;
        self.catalog.links(&scope.account, scope.project.as_ref(), page).await
    }

    /// Ends one remembered link.
    pub async fn revoke_link(&self, who: &Principal, id: &str) -> Result<()> {
        self.audited(who, Deed::new(Right::Link, "link.revoke", "link", id), async {
            let scope = who.with(Right::Link)?;
            self.visible_link(&scope, id).await?;
            self.catalog.revoke_link(&scope.account, id, self.clock.now()).await?;
            self.links.forget(id);
            Ok(())
        })
        .await
    }

    /// Ends every link to a backup that was issued before now.
    pub async fn revoke_backup_links(&self, who: &Principal, which: BackupRef) -> Result<()> {
        self.audited(who, Deed::new(Right::Link, "link.revoke_all", "backup", which), async {
            let scope = who.with(Right::Link)?;
            let backup = self.visible_backup(&scope, which).await?;
            self.revoke(&scope, &RevocationScope::Backup(backup.id)).await
        })
        .await
    }

    /// Ends every link to any backup of an instance that was issued before now.
    pub async fn revoke_instance_links(&self, who: &Principal, id: &InstanceId) -> Result<()> {
        self.audited(who, Deed::new(Right::Link, "link.revoke_all", "instance", id), async {
            let scope = who.with(Right::Link)?;
            // An instance's backups, and their links, outlive it.
            self.known_instance(&scope, id).await?;
            self.revoke(&scope, &RevocationScope::Instance(id.clone())).await
        })
        .await
    }

    /// Ends every link that an access key asked for before now. The key itself goes on. A key that is bound to a
    /// project reaches those of its project only.
    pub async fn revoke_key_links(&self, who: &Principal, id: &str) -> Result<()> {
        self.audited(who, Deed::new(Right::Link, "link.revoke_all", "key", id), async {
            let scope = who.with(Right::Link)?;
            let key = self.catalog.key(id).await?.filter(|key| key.account == scope.account);
            key.filter(|key| scope.project.is_none() || key.project == scope.project)
                .ok_or_else(|| no_key(id))?;
            self.revoke(&scope, &RevocationScope::AccessKey(id.to_owned())).await
        })
        .await
    }

    async fn revoke(&self, scope: &Scope, what: &RevocationScope) -> Result<()> {
        self.catalog.revoke_links_before(&scope.account, what, self.clock.now()).await?;
        self.deliverables.clear();
        self.key_links.clear();
        Ok(())
    }
}

/// Only what is verified is linked without being asked twice, and nothing for ever.
fn check(backup: &Backup, order: &LinkOrder, longest: Duration) -> Result<()> {
    let deliverable = match backup.state {
        BackupState::Available => true,
        BackupState::Partial | BackupState::Quarantined => order.unverified,
        _ => false,
    };
    if !deliverable {
        let message = format!("the backup {} is {}, not available", backup.id, backup.state);
        let error = Error::new(Kind::Conflict, "BACKUP_NOT_AVAILABLE", message);
        return Err(match &backup.failure {
            Some(failure) => error.because(&failure.message),
            None => error.hint("wait until it is done: keystow job list"),
        });
    }
    if order.ttl.is_zero() || order.ttl > longest {
        let message = format!("a link lives from 1 second to {} hours", longest.as_secs() / 3600);
        return Err(Error::invalid(message).hint("choose another --ttl, or raise links.max_ttl"));
    }
    if order.addresses.len() + order.denied.len() > MOST_OF_A_LINK {
        return Err(Error::invalid(format!("a link carries at most {MOST_OF_A_LINK} address ranges")));
    }
    if order.networks.is_empty() || order.deliveries == Some(0) {
        return Err(Error::invalid("a link needs a network and at least one delivery"));
    }
    let Throughput { bytes_per_second, connections } = order.throughput;
    if connections == Some(0) || bytes_per_second.is_some_and(|rate| rate < LEAST_BYTES_PER_SECOND) {
        return Err(Error::invalid("a link needs at least 1 KiB a second and one connection"));
    }
    Ok(())
}
