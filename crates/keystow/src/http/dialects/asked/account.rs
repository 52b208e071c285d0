//! The caller's account and projects, and tokens that stand for it.

use keystow_dialects::{AccountRow, Fault, IssueToken, IssuedToken, ListProjects, ProjectRow, Reply, Secret};
use keystow_engine::Error;
use keystow_engine::model::{InstanceFilter, Page, Project, Right};

use super::Asking;
use crate::http::dialects::Refused;

impl Asking<'_> {
    pub(super) async fn account(&self) -> Result<AccountRow, Refused> {
        let own = self.who.account();
        let accounts = self.engine().accounts(self.who).await?;
        let account = accounts.into_iter().find(|account| account.id == *own);
        let name = account.map_or_else(|| own.to_string(), |account| account.name);
        Ok(AccountRow { id: own.to_string(), name })
    }

    pub(super) async fn projects(&self, call: ListProjects) -> Result<Reply, Refused> {
        let rows = self.project_rows().await?;
        Ok(Reply::Projects(match call.one_for {
            Some(name) => one_for(rows, &name).into_iter().collect(),
            None => rows,
        }))
    }

    /// The projects that the caller sees, the default one first: all of the account, or the one that it is bound to.
    async fn project_rows(&self) -> Result<Vec<ProjectRow>, Refused> {
        self.who.with(Right::View)?;
        let projects = self.engine().projects(self.who, None).await?;
        let keys = self.engine().key_counts(self.who).await?;
        let members = |project: Option<&Project>| {
            keys.get(&project.map(|project| project.id.clone())).copied().unwrap_or(0)
        };
        let mut rows = Vec::new();
        let own = self.who.account().to_string();
        if self.who.project().is_none() {
            let account = self.account().await?;
            let oldest = projects.iter().map(|project| project.created_at).min();
            rows.push(ProjectRow {
                id: account.id,
                account: own.clone(),
                name: account.name,
                is_default: true,
                instances: self.instances_of(None).await?,
                members: members(None),
                created_at: oldest.map_or(std::time::UNIX_EPOCH, Into::into),
            });
        }
        for project in projects {
            rows.push(ProjectRow {
                instances: self.instances_of(Some(&project)).await?,
                members: members(Some(&project)),
                is_default: self.who.project().is_some(),
                id: project.id.to_string(),
                account: own.clone(),
                name: project.name,
                created_at: project.created_at.into(),
            });
        }
        Ok(rows)
    }

    async fn instances_of(&self, project: Option<&Project>) -> Result<u64, Error> {
        let filter = InstanceFilter {
            project: project.map(|project| project.id.clone()),
            page: Page { offset: 0, limit: 0 },
            ..InstanceFilter::default()
        };
        Ok(self.engine().instances(self.who, filter).await?.total)
    }

    /// The user is the access key, the password its secret, the domain its account.
    pub(super) async fn issue_token(&self, call: IssueToken) -> Result<Reply, Refused> {
        let account = self.account().await?;
        if call.account.is_some_and(|asked| asked != account.id && asked != account.name) {
            return Err(Fault::WrongPassword.into());
        }
        let project = match (&call.project_id, &call.project) {
            (Some(id), _) => {
                let known = self.project_rows().await?.into_iter().find(|row| row.id == *id);
                Some(known.ok_or_else(|| Fault::NoSuchProject(super::short(id)))?)
            }
            (None, Some(name)) => one_for(self.project_rows().await?, name),
            (None, None) => None,
        };
        let narrowed = match &project {
            Some(row) if row.id != account.id => {
                let id = row.id.parse().map_err(Refused::Error)?;
                self.who.in_project(&id).ok_or_else(|| Fault::NoSuchProject(row.id.clone()))?
            }
            _ => self.who.clone(),
        };
        let token = self.engine().issue_token(&narrowed).await?;
        Ok(Reply::Token(IssuedToken {
            token: Secret::new(token.text.expose()),
            issued_at: token.issued_at.into(),
            expires_at: token.expires_at.into(),
            access_key_id: self.who.key_id().to_owned(),
            role: self.who.role().to_string(),
            account,
            project,
        }))
    }
}

/// The project that has this id or name; without one, the default: a client names the region here.
fn one_for(rows: Vec<ProjectRow>, name: &str) -> Option<ProjectRow> {
    let default = rows.iter().find(|row| row.is_default).cloned();
    rows.into_iter().find(|row| row.id == name || row.name == name).or(default)
}
