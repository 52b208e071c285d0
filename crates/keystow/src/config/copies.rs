//! `[copies.<name>]`: other repositories, which hold copies of backups.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use keystow_engine::Result;
use keystow_engine::ops::OtherRepository;
use keystow_engine::vault::{LocalVault, ObjectVault, StoreOptions, Vault};
use serde::Deserialize;

use super::repository::{CredentialSource, StoreLogin};
use super::values::Size;
use super::{Config, invalid, path_of};

/// Longest name.
const LONGEST_NAME: usize = 32;

/// `[copies.<name>]`: where copies are kept, and who we are there.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CopiesConfig {
    url: String,
    /// Empty = it is in none that anybody asks for.
    region: String,
    credentials: CredentialSource,
    access_key_id: String,
    secret_file: String,
    session_token_file: String,
    spool: Size,
}

impl CopiesConfig {
    fn is_local(&self) -> bool {
        self.url.starts_with("file:")
    }

    fn login<'a>(&'a self, section: &'a str) -> StoreLogin<'a> {
        StoreLogin {
            section,
            credentials: self.credentials,
            access_key_id: &self.access_key_id,
            secret_file: &self.secret_file,
            session_token_file: &self.session_token_file,
        }
    }

    /// Refuses a name that is none, and what does not go together.
    pub(super) fn check(&self, name: &str) -> Result<()> {
        let is_letter =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
        if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(is_letter) {
            return Err(invalid(format!(
                "copies.{name}: a name is 1 to {LONGEST_NAME} lower-case letters, digits, - and _"
            )));
        }
        let section = format!("copies.{name}");
        if self.url.is_empty() {
            return Err(invalid(format!("{section}.url is empty"))
                .hint("write it as file:///path, or s3://bucket/prefix?endpoint=…&region=…"));
        }
        if self.is_local() {
            return path_of(&self.url, "file://", &format!("{section}.url"), Path::new(""), "").map(drop);
        }
        self.login(&section).check()
    }

    /// Opens it. Only on a tokio runtime.
    fn open(&self, name: &str, work_dir: &Path) -> Result<Arc<dyn Vault>> {
        let section = format!("copies.{name}");
        if self.is_local() {
            let path = path_of(&self.url, "file://", &format!("{section}.url"), Path::new(""), "")?;
            return Ok(Arc::new(LocalVault::open(&path)?));
        }
        Ok(Arc::new(ObjectVault::open(StoreOptions {
            url: self.url.clone(),
            credentials: self.login(&section).read()?,
            direct_links: false,
            public_endpoint: None,
            intranet_endpoint: None,
            spool_bytes: self.spool.0,
            work_dir: work_dir.to_owned(),
        })?))
    }
}

impl Config {
    /// The other repositories, each to be opened when it can be.
    pub(crate) fn copies(&self, work_dir: &Path) -> Vec<OtherRepository> {
        let other = |(name, config): (&String, &CopiesConfig)| {
            let (said, called, work_dir) = (config.clone(), name.clone(), PathBuf::from(work_dir));
            OtherRepository {
                name: name.clone(),
                region: Some(config.region.clone()).filter(|region| !region.is_empty()),
                open: Box::new(move || said.open(&called, &work_dir)),
            }
        };
        self.copies.iter().map(other).collect()
    }
}
