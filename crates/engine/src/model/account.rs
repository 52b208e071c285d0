//! Who may do what.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{AccountId, ProjectId};
use crate::error::Error;

/// Owns projects, instances and access keys.
#[derive(Debug, Clone, Serialize)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// A person's name for it.
    pub name: String,
    /// When it was added.
    pub created_at: Timestamp,
}

/// Groups instances of an account.
#[derive(Debug, Clone, Serialize)]
pub struct Project {
    /// Its id, unique within the account.
    pub id: ProjectId,
    /// The account that owns it.
    pub account: AccountId,
    /// A person's name for it.
    pub name: String,
    /// When it was added.
    pub created_at: Timestamp,
}

/// What an access key may do. Each role includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// See instances, backups and jobs.
    Viewer,
    /// Make links.
    Downloader,
    /// Take and delete backups, restore, set policies, manage instances.
    Operator,
    /// Manage accounts, projects and keys, in every account.
    Admin,
}

/// One thing that a role allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// See.
    View,
    /// Make and revoke links.
    Link,
    /// Change instances and backups.
    Operate,
    /// Manage accounts, projects and keys.
    Administer,
}

impl Role {
    /// Whether the role allows it.
    pub fn allows(self, right: Right) -> bool {
        self >= match right {
            Right::View => Self::Viewer,
            Right::Link => Self::Downloader,
            Right::Operate => Self::Operator,
            Right::Administer => Self::Admin,
        }
    }

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Downloader => "downloader",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl FromStr for Role {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        [Self::Viewer, Self::Downloader, Self::Operator, Self::Admin]
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| Error::invalid("unknown role").hint("use viewer, downloader, operator or admin"))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An access key as the catalog holds it. The secret is sealed under the root key.
#[derive(Clone)]
pub struct AccessKey {
    /// Its id: what vendors call `SecretId`, `AccessKeyId` or `PublicKey`.
    pub id: String,
    /// The account that it acts for.
    pub account: AccountId,
    /// The project that it is bound to, if any.
    pub project: Option<ProjectId>,
    /// What it may do.
    pub role: Role,
    /// The secret, sealed.
    pub sealed_secret: Vec<u8>,
    /// The session token of temporary credentials, sealed.
    pub sealed_session_token: Option<Vec<u8>>,
    /// The secret before this one, sealed, and until when it is still good.
    pub previous: Option<(Vec<u8>, Timestamp)>,
    /// Addresses (CIDR) that it may be used from; empty = any.
    pub addresses: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_include_those_before_them() {
        assert!(Role::Viewer.allows(Right::View));
        assert!(!Role::Viewer.allows(Right::Link));
        assert!(Role::Downloader.allows(Right::Link));
        assert!(!Role::Downloader.allows(Right::Operate));
        assert!(Role::Operator.allows(Right::Operate));
        assert!(!Role::Operator.allows(Right::Administer));
        assert!(Role::Admin.allows(Right::Administer));
    }
}
