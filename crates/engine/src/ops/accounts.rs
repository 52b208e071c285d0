//! Adds and lists accounts and projects.

use std::collections::BTreeMap;

use serde_json::json;

use super::Engine;
use super::audit::Deed;
use crate::access::Principal;
use crate::error::Result;
use crate::model::{Account, AccountId, Project, ProjectId, Right};

impl Engine {
    /// Adds an account.
    pub async fn add_account(&self, who: &Principal, id: AccountId, name: Option<String>) -> Result<Account> {
        let name = name.unwrap_or_else(|| id.to_string());
        let deed = Deed::new(Right::Administer, "account.add", "account", &id)
            .with(json!({"name": name}))
            .of(Some(&id));
        self.audited(who, deed, async {
            let account = Account { id, name, created_at: self.clock.now() };
            self.catalog.add_account(&account).await?;
            Ok(account)
        })
        .await
    }

    /// All accounts for an admin, the caller's own for others.
    pub async fn accounts(&self, who: &Principal) -> Result<Vec<Account>> {
        let scope = who.with(Right::View)?;
        let mut accounts = self.catalog.accounts().await?;
        if who.with(Right::Administer).is_err() {
            accounts.retain(|account| account.id == scope.account);
        }
        Ok(accounts)
    }

    /// Adds a project.
    pub async fn add_project(
        &self,
        who: &Principal,
        id: ProjectId,
        name: Option<String>,
        account: Option<&AccountId>,
    ) -> Result<Project> {
        let name = name.unwrap_or_else(|| id.to_string());
        let deed = Deed::new(Right::Administer, "project.add", "project", &id)
            .with(json!({"name": name}))
            .of(account);
        self.audited(who, deed, async {
            let scope = who.with_in(Right::Administer, account)?;
            let project = Project { id, account: scope.account, name, created_at: self.clock.now() };
            self.catalog.add_project(&project).await?;
            Ok(project)
        })
        .await
    }

    /// The projects of an account.
    pub async fn projects(&self, who: &Principal, account: Option<&AccountId>) -> Result<Vec<Project>> {
        let scope = who.with_in(Right::View, account)?;
        let mut projects = self.catalog.projects(&scope.account).await?;
        if let Some(own) = &scope.project {
            projects.retain(|project| project.id == *own);
        }
        Ok(projects)
    }

    /// How many access keys of the caller's account are in use, by the project that they are bound to.
    pub async fn key_counts(&self, who: &Principal) -> Result<BTreeMap<Option<ProjectId>, u64>> {
        let scope = who.with(Right::View)?;
        let now = self.clock.now();
        let mut counts = BTreeMap::new();
        for key in self.catalog.keys(Some(&scope.account)).await? {
            if key.revoked_at.is_none() && key.expires_at.is_none_or(|end| end > now) {
                *counts.entry(key.project).or_default() += 1;
            }
        }
        Ok(counts)
    }
}
