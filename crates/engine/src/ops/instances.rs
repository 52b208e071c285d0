//! Adds, shows, tests and deletes instances.

use std::sync::Arc;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::Engine;
use super::audit::{Deed, shown_url};
use super::login::login_place;
use super::restore::NewLogin;
use super::take_backup::password_place;
use crate::access::{Principal, Scope};
use crate::error::{Error, Kind, Result};
use crate::model::{
    AccountId, CaptureOptions, Instance, InstanceFilter, InstanceId, Listed, NodeFacts, Policy, Prefer,
    ProjectId, Right, ServerFacts,
};
use crate::redis::{Address, Connection, Layout, Login, Timeouts, discover, probe};

/// An instance that somebody adds.
#[derive(Debug, Default)]
pub struct NewInstance {
    /// Where it is, and how to sign in there.
    pub login: NewLogin,
    /// How it is captured.
    pub capture: CaptureOptions,
    /// Its id; minted if absent.
    pub id: Option<InstanceId>,
    /// A person's name for it.
    pub name: Option<String>,
    /// Region.
    pub region: Option<String>,
    /// Zone.
    pub zone: Option<String>,
    /// Zone of the replicas, if it spans two.
    pub replica_zone: Option<String>,
    /// The account; the caller's own if absent.
    pub account: Option<AccountId>,
    /// The project; the caller's own if absent.
    pub project: Option<ProjectId>,
    /// Whether it is left without the usual policy: then backups are taken by hand only.
    pub no_policy: bool,
}

/// An instance as it was found just now.
#[derive(Debug, Clone)]
pub struct InstanceTest {
    /// What one of its servers said of itself.
    pub facts: ServerFacts,
    /// Its servers.
    pub layout: Layout,
    /// Which of a shard's servers a backup asks first.
    pub prefer: Prefer,
}

/// Host and port of an instance's first node, as lists show them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceAddress {
    /// Host name, address or path.
    pub host: String,
    /// Port; 0 for a path.
    pub port: u16,
}

impl Instance {
    /// Host and port of its first node.
    pub fn address(&self) -> InstanceAddress {
        address_of(&self.url)
    }
}

impl NodeFacts {
    /// Host and port.
    pub fn address(&self) -> InstanceAddress {
        address_of(&self.url)
    }
}

fn address_of(url: &str) -> InstanceAddress {
    let (host, port) = url.parse::<Address>().map_or((String::new(), 0), |address| address.host_port());
    InstanceAddress { host, port }
}

impl Engine {
    /// Adds an instance, after asking the server who it is. An unreachable server is an error: a mistyped address
    /// should not wait for the first backup to be found.
    pub async fn add_instance(&self, who: &Principal, mut new: NewInstance) -> Result<Instance> {
        let id = new.id.take().unwrap_or_else(InstanceId::mint);
        let deed = Deed::new(Right::Operate, "instance.add", "instance", &id)
            .with(json!({
                "url": shown_url(&new.login.url),
                "user": new.login.username,
                "name": new.name,
                "region": new.region,
                "zone": new.zone,
                "project": new.project,
                "capture": new.capture,
            }))
            .of(new.account.as_ref());
        self.audited(who, deed, self.add(who, id, new)).await
    }

    async fn add(&self, who: &Principal, id: InstanceId, new: NewInstance) -> Result<Instance> {
        let scope = who.with_in(Right::Operate, new.account.as_ref())?;
        let (address, username, mut secrets) = new.login.read()?;
        check_capture(&new.capture)?;
        if let (Some(own), Some(asked)) = (&scope.project, &new.project)
            && own != asked
        {
            return Err(Error::new(Kind::Denied, "PROJECT_DENIED", "this key is bound to another project"));
        }
        let login = secrets.clone().into_login(username.clone());
        let facts = ask(address.clone(), login, self.settings.timeouts).await?.0;
        let (account, name) = (scope.account.as_str(), id.as_str());
        let password = secrets.password.take();
        let sealed_password = password
            .map(|password| self.sealer.seal(&password_place(account, name), &password))
            .transpose()?;
        let sealed_login = secrets.seal(&self.sealer, &login_place(account, name))?;
        let instance = Instance {
            name: label(new.name)?.unwrap_or_else(|| id.to_string()),
            id,
            account: scope.account,
            project: scope.project.or(new.project),
            url: address.to_string(),
            username,
            sealed_password,
            sealed_login,
            capture: new.capture,
            region: label(new.region)?,
            zone: label(new.zone)?,
            replica_zone: label(new.replica_zone)?,
            created_at: self.clock.now(),
            facts: Some(facts),
        };
        self.catalog.add_instance(&instance).await?;
        if !new.no_policy {
            let usual = Policy::usual(&instance.account, &instance.id);
            self.write_policy(&instance.account, &instance.id, usual, who.key_id(), (0, None)).await?;
        }
        Ok(instance)
    }

    /// One instance.
    pub async fn instance(&self, who: &Principal, id: &InstanceId) -> Result<Arc<Instance>> {
        self.visible_instance(&who.with(Right::View)?, id).await
    }

    /// Instances by id.
    pub async fn instances(&self, who: &Principal, filter: InstanceFilter) -> Result<Listed<Instance>> {
        let scope = who.with(Right::View)?;
        let project = scope.project.or(filter.project.clone());
        self.catalog.instances(&scope.account, &InstanceFilter { project, ..filter }).await
    }

    /// Whether an instance that the caller cannot see is one of its own account, in another project.
    pub async fn is_in_another_project(&self, who: &Principal, id: &InstanceId) -> Result<bool> {
        let scope = who.with(Right::View)?;
        if scope.project.is_none() {
            return Ok(false);
        }
        let found = self.catalog.instance(&scope.account, id).await?;
        Ok(found.is_some_and(|instance| instance.project != scope.project))
    }

    /// Finds the instance's servers now, and asks one of them who it is.
    pub async fn test_instance(&self, who: &Principal, id: &InstanceId) -> Result<InstanceTest> {
        let scope = who.with(Right::Operate)?;
        let instance = self.visible_instance(&scope, id).await?;
        let source = self.source(&instance)?;
        let (facts, layout) = ask(source.address, source.login, source.timeouts).await?;
        self.catalog.record_contact(&scope.account, id, &facts).await?;
        self.instances.clear();
        Ok(InstanceTest { facts, layout, prefer: instance.capture.prefer })
    }

    /// Removes an instance. Its backups stay.
    pub async fn delete_instance(&self, who: &Principal, id: &InstanceId) -> Result<()> {
        self.audited(who, Deed::new(Right::Operate, "instance.delete", "instance", id), async {
            let scope = who.with(Right::Operate)?;
            self.visible_instance(&scope, id).await?;
            self.catalog.delete_instance(&scope.account, id).await?;
            self.instances.clear();
            Ok(())
        })
        .await
    }

    /// An instance of the account, as the catalog had it a moment ago.
    async fn known_row(&self, scope: &Scope, id: &InstanceId) -> Result<Option<Arc<Instance>>> {
        let (place, now) = ([scope.account.as_str(), "/", id.as_str()].concat(), self.clock.now());
        if let Some(known) = self.instances.get(&place, now) {
            return Ok(Some(known));
        }
        let found = self.catalog.instance(&scope.account, id).await?;
        Ok(found.map(|instance| self.instances.insert(place, instance, now)))
    }

    /// An instance that the caller may see; a foreign one looks like a missing one.
    pub(super) async fn visible_instance(&self, scope: &Scope, id: &InstanceId) -> Result<Arc<Instance>> {
        let found = self.known_row(scope, id).await?;
        found.filter(|instance| scope.project.is_none() || instance.project == scope.project).ok_or_else(
            || {
                Error::new(Kind::NotFound, "INSTANCE_NOT_FOUND", format!("no such instance: {id}"))
                    .hint("list the instances with: keystow instance list")
            },
        )
    }
}

/// Finds the instance's servers, and asks one who it is.
pub(super) async fn ask(address: Address, login: Login, timeouts: Timeouts) -> Result<(ServerFacts, Layout)> {
    tokio::task::spawn_blocking(move || {
        let cancel = CancellationToken::new();
        let layout = discover(&address, &login, timeouts, &cancel)?;
        let first = layout
            .shards
            .iter()
            .find_map(|shard| shard.candidates_or_first(Prefer::Primary).into_iter().next());
        let Some(first) = first else {
            return Err(Error::new(
                Kind::Unreachable,
                "SHARD_UNREACHABLE",
                "no server of the instance can be asked",
            )
            .hint("look at its servers' own logs"));
        };
        let facts = probe(&mut Connection::open(&first.node, &login, timeouts, cancel)?)?;
        Ok((layout.described(facts), layout))
    })
    .await
    .unwrap_or_else(|error| Err(Error::internal("the connection test stopped", error)))
}

/// Most shards that may be captured at once.
const MOST_PARALLEL: u32 = 256;
/// Less than this a second would take longer than a source keeps a snapshot waiting.
const LEAST_BYTES_PER_SECOND: u64 = 64 * 1024;

/// Refuses options that no capture could follow.
pub(super) fn check_capture(options: &CaptureOptions) -> Result<()> {
    if !(1..=MOST_PARALLEL).contains(&options.parallel) {
        return Err(Error::invalid(format!("from 1 to {MOST_PARALLEL} shards are taken at a time")));
    }
    if options.bytes_per_second.is_some_and(|rate| rate < LEAST_BYTES_PER_SECOND) {
        return Err(Error::invalid("a limit below 64 KiB a second would never end"));
    }
    Ok(())
}

/// A person's text: trimmed, bounded, without control characters; empty is none.
fn label(text: Option<String>) -> Result<Option<String>> {
    let Some(text) = text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    if text.len() > 256 || text.chars().any(char::is_control) {
        return Err(Error::invalid("a name, region or zone has at most 256 bytes and no control characters"));
    }
    Ok(Some(text))
}
