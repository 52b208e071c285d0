//! Adds, shows, tests and deletes instances.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::Engine;
use super::take_backup::password_place;
use crate::access::{Principal, Scope};
use crate::error::{Error, Kind, Result};
use crate::model::{
    AccountId, CaptureOptions, Instance, InstanceFilter, InstanceId, Listed, Prefer, ProjectId, Right,
    Secret, ServerFacts,
};
use crate::redis::{Address, Connection, Layout, Login, Timeouts, discover, probe};

/// An instance that somebody adds.
#[derive(Debug, Default)]
pub struct NewInstance {
    /// Where it is; may carry user and password.
    pub url: String,
    /// Its id; minted if absent.
    pub id: Option<InstanceId>,
    /// A person's name for it.
    pub name: Option<String>,
    /// Password, if the URL does not carry it.
    pub password: Option<Secret>,
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
        let (host, port) =
            self.url.parse::<Address>().map_or((String::new(), 0), |address| address.host_port());
        InstanceAddress { host, port }
    }
}

impl Engine {
    /// Adds an instance, after asking the server who it is. An unreachable server is an error: a mistyped address
    /// should not wait for the first backup to be found.
    pub async fn add_instance(&self, who: &Principal, new: NewInstance) -> Result<Instance> {
        let scope = who.with_in(Right::Operate, new.account.as_ref())?;
        let (address, mut credentials) = Address::parse(&new.url)?;
        credentials.password = new.password.or(credentials.password);
        if credentials.username.is_some() && credentials.password.is_none() {
            return Err(Error::invalid("a user without a password").hint("add --password-file FILE"));
        }
        if let (Some(own), Some(asked)) = (&scope.project, &new.project)
            && own != asked
        {
            return Err(Error::new(Kind::Denied, "PROJECT_DENIED", "this key is bound to another project"));
        }
        let id = new.id.unwrap_or_else(InstanceId::mint);
        let login = Login { credentials: credentials.clone(), ..Login::default() };
        let facts = ask(address.clone(), login, self.settings.timeouts).await?.0;
        let place = password_place(scope.account.as_str(), id.as_str());
        let sealed_password = match &credentials.password {
            Some(password) => Some(self.sealer.seal(&place, password)?),
            None => None,
        };
        let instance = Instance {
            name: label(new.name)?.unwrap_or_else(|| id.to_string()),
            id,
            account: scope.account,
            project: scope.project.or(new.project),
            url: address.to_string(),
            username: credentials.username,
            sealed_password,
            sealed_login: None,
            capture: CaptureOptions::default(),
            region: label(new.region)?,
            zone: label(new.zone)?,
            replica_zone: label(new.replica_zone)?,
            created_at: self.clock.now(),
            facts: Some(facts),
        };
        self.catalog.add_instance(&instance).await?;
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

    /// Asks the server who it is, now.
    pub async fn test_instance(&self, who: &Principal, id: &InstanceId) -> Result<ServerFacts> {
        let scope = who.with(Right::Operate)?;
        let instance = self.visible_instance(&scope, id).await?;
        let source = self.source(&instance)?;
        let (facts, _) = ask(source.address, source.login, source.timeouts).await?;
        self.catalog.record_contact(&scope.account, id, &facts).await?;
        self.instances.clear();
        Ok(facts)
    }

    /// Removes an instance. Its backups stay.
    pub async fn delete_instance(&self, who: &Principal, id: &InstanceId) -> Result<()> {
        let scope = who.with(Right::Operate)?;
        self.visible_instance(&scope, id).await?;
        self.catalog.delete_instance(&scope.account, id).await?;
        self.instances.clear();
        Ok(())
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
async fn ask(address: Address, login: Login, timeouts: Timeouts) -> Result<(ServerFacts, Layout)> {
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
        Ok((ServerFacts { topology: layout.topology, ..facts }, layout))
    })
    .await
    .unwrap_or_else(|error| Err(Error::internal("the connection test stopped", error)))
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
