//! Tells whether the service is well.

use std::collections::HashSet;

use futures_util::{StreamExt, stream};
use tokio_util::sync::CancellationToken;

use super::Engine;
use super::instances::InstanceTest;
use crate::access::{Principal, Scope};
use crate::error::{Error, Result};
use crate::model::{CaptureMethod, Instance, InstanceFilter, Page, Right};
use crate::redis::{Connection, check_replication};

/// One thing that was looked at.
#[derive(Debug, Clone)]
pub struct Finding {
    /// What was looked at.
    pub subject: String,
    /// Whether it is as it should be.
    pub ok: bool,
    /// What was found.
    pub detail: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Free bytes under which the disk counts as full.
const LEAST_FREE_BYTES: u64 = 1 << 30;
/// Most instances that one look tries.
const MOST_INSTANCES: u64 = 100;
/// Instances that are tried side by side.
const AT_ONCE: usize = 16;

/// How the service is.
#[derive(Debug, Clone)]
pub struct Health {
    /// Everything that was looked at.
    pub findings: Vec<Finding>,
}

impl Engine {
    /// Looks at the catalog, the repository and every instance of the caller.
    pub async fn check(&self, who: &Principal) -> Result<Health> {
        let scope = who.with(Right::Operate)?;
        let mut findings = vec![self.check_catalog().await, self.check_repository().await];
        findings.extend(self.check_copies().await);
        findings.push(self.check_policies(&scope).await?);
        findings.extend(self.check_keys().await);
        let filter =
            InstanceFilter { page: Page { offset: 0, limit: MOST_INSTANCES }, ..InstanceFilter::default() };
        let listed = self.instances(who, filter).await?;
        let left = listed.total.saturating_sub(listed.rows.len() as u64);
        // Each may take as long as its time-outs allow.
        let checks = listed.rows.into_iter().map(|instance| self.check_instance(who, instance));
        let found: Vec<Finding> = stream::iter(checks).buffered(AT_ONCE).collect().await;
        findings.extend(found);
        if left > 0 {
            findings.push(Finding {
                subject: "instances".to_owned(),
                ok: true,
                detail: format!("{left} more were not looked at"),
                hint: Some("look at one with: keystow instance test INSTANCE".to_owned()),
            });
        }
        Ok(Health { findings })
    }

    async fn check_instance(&self, who: &Principal, instance: Instance) -> Finding {
        let subject = format!("instance {}", instance.id);
        let found = self.test_instance(who, &instance.id).await;
        let allowed = match found {
            Ok(found) => self.check_rights(&instance, &found).await.map(|()| found),
            Err(error) => Err(error),
        };
        match allowed {
            Ok(found) => {
                let server = if found.facts.valkey { "valkey" } else { "redis" };
                let detail = format!("{server} {}", found.facts.version);
                Finding { subject, ok: true, detail, hint: None }
            }
            Err(error) => failed(subject, &error),
        }
    }

    /// Whether the user of an instance may do what its backups do, at the server that would be asked first.
    async fn check_rights(&self, instance: &Instance, found: &InstanceTest) -> Result<()> {
        let choice =
            found.layout.shards.iter().find_map(|shard| shard.candidates(found.prefer).into_iter().next());
        let Some(choice) = choice.filter(|_| instance.capture.method != CaptureMethod::Logical) else {
            return Ok(());
        };
        let source = self.source(instance)?;
        tokio::task::spawn_blocking(move || {
            let cancel = CancellationToken::new();
            let mut connection = Connection::open(&choice.node, &source.login, source.timeouts, cancel)?;
            check_replication(&mut connection)
        })
        .await
        .unwrap_or_else(|error| Err(Error::internal("the look at rights stopped", error)))
    }

    async fn check_catalog(&self) -> Finding {
        match self.catalog.accounts().await {
            Ok(accounts) => Finding {
                subject: "catalog".to_owned(),
                ok: true,
                detail: format!("{} account(s)", accounts.len()),
                hint: None,
            },
            Err(error) => failed("catalog".to_owned(), &error),
        }
    }

    /// Which instances nothing is done for by itself. That may be as it should be.
    async fn check_policies(&self, scope: &Scope) -> Result<Finding> {
        let with: HashSet<_> =
            self.all_policies(scope).await?.into_iter().map(|kept| kept.instance).collect();
        let filter = InstanceFilter {
            project: scope.project.clone(),
            page: Page { offset: 0, limit: 10_000 },
            ..InstanceFilter::default()
        };
        let listed = self.catalog.instances(&scope.account, &filter).await?;
        let without = listed.rows.iter().map(|instance| &instance.id).filter(|id| !with.contains(id));
        let without: Vec<String> = without.take(4).map(ToString::to_string).collect();
        let detail = match without.len() {
            0 => format!("every instance has one ({})", with.len()),
            _ => format!(
                "{} of {} instances have one; keystow policy set gives one to {}",
                with.len(),
                listed.total,
                if without.len() > 3 {
                    format!("{}, …", without[..3].join(", "))
                } else {
                    without.join(", ")
                },
            ),
        };
        Ok(Finding { subject: "policies".to_owned(), ok: true, detail, hint: None })
    }

    async fn check_repository(&self) -> Finding {
        let (subject, place) = ("repository".to_owned(), self.vault.place());
        match self.vault.free_bytes().await {
            Ok(Some(free)) if free < LEAST_FREE_BYTES => Finding {
                subject,
                ok: false,
                detail: format!("only {} MiB free in {place}", free >> 20),
                hint: Some("free space on the disk of the repository".to_owned()),
            },
            Ok(Some(free)) => {
                let detail = format!("{} GiB free in {place}", free >> 30);
                Finding { subject, ok: true, detail, hint: None }
            }
            Ok(None) => Finding { subject, ok: true, detail: format!("{place} answers"), hint: None },
            Err(error) => failed(subject, &error),
        }
    }
}

pub(super) fn failed(subject: String, error: &crate::error::Error) -> Finding {
    let hint = error.hint.as_ref().map(ToString::to_string);
    Finding { subject, ok: false, detail: error.to_string(), hint }
}
