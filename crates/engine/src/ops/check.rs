//! Tells whether the service is well.

use super::Engine;
use crate::access::Principal;
use crate::error::Result;
use crate::model::{InstanceFilter, Page, Right};

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

/// How the service is.
#[derive(Debug, Clone)]
pub struct Health {
    /// Everything that was looked at.
    pub findings: Vec<Finding>,
}

impl Engine {
    /// Whether the catalog answers: what a load balancer asks.
    pub async fn is_ready(&self) -> Result<()> {
        self.catalog.note("repository").await.map(drop)
    }

    /// Looks at the catalog, the repository and every instance of the caller.
    pub async fn check(&self, who: &Principal) -> Result<Health> {
        who.with(Right::Operate)?;
        let mut findings = vec![self.check_catalog().await, self.check_repository().await];
        let filter = InstanceFilter { page: Page { offset: 0, limit: 100 }, ..InstanceFilter::default() };
        for instance in self.instances(who, filter).await?.rows {
            let subject = format!("instance {}", instance.id);
            findings.push(match self.test_instance(who, &instance.id).await {
                Ok(found) => {
                    let server = if found.facts.valkey { "valkey" } else { "redis" };
                    let detail = format!("{server} {}", found.facts.version);
                    Finding { subject, ok: true, detail, hint: None }
                }
                Err(error) => failed(subject, &error),
            });
        }
        Ok(Health { findings })
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

    async fn check_repository(&self) -> Finding {
        let subject = "repository".to_owned();
        match self.vault.free_bytes().await {
            Ok(Some(free)) if free < LEAST_FREE_BYTES => Finding {
                subject,
                ok: false,
                detail: format!("only {} MiB free", free >> 20),
                hint: Some("free space on the disk of the repository".to_owned()),
            },
            Ok(Some(free)) => {
                Finding { subject, ok: true, detail: format!("{} GiB free", free >> 30), hint: None }
            }
            Ok(None) => Finding { subject, ok: true, detail: "reachable".to_owned(), hint: None },
            Err(error) => failed(subject, &error),
        }
    }
}

fn failed(subject: String, error: &crate::error::Error) -> Finding {
    let hint = error.hint.as_ref().map(ToString::to_string);
    Finding { subject, ok: false, detail: error.to_string(), hint }
}
