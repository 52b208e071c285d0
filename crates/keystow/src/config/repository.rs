//! `[repository]`: a folder or an object store, and who we are there.

use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keystow_engine::Result;
use keystow_engine::model::Secret;
use keystow_engine::vault::{Credentials, LocalVault, ObjectVault, StoreOptions, Vault};
use serde::Deserialize;

use super::values::Size;
use super::{Config, LinkMode, invalid, path_of};

/// Where bytes live.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Repository {
    pub(crate) url: String,
    credentials: CredentialSource,
    access_key_id: String,
    /// A file, or `env:NAME`.
    secret_file: String,
    /// The same, for the session token of a temporary key.
    session_token_file: String,
    public_endpoint: String,
    intranet_endpoint: String,
    spool: Size,
    /// Bytes that backups leave free.
    pub(crate) reserve: Size,
    pub(crate) compression: Compression,
    pub(crate) encryption: Encryption,
    pub(crate) verify: Verify,
    identity_file: PathBuf,
    write_only: bool,
}

/// How new parts are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Compression {
    Off,
    Zstd,
}

/// How new parts are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Encryption {
    Off,
    Age,
}

/// How new parts are proven once they are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verify {
    /// As what they are stored as needs it.
    Auto,
    Readback,
    Hash,
}

/// Where credentials come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum CredentialSource {
    Keys,
    Chain,
}

/// Longest secret or token.
const LONGEST_SECRET: usize = 64 * 1024;

impl Repository {
    /// Whether it is a folder.
    pub(crate) fn is_local(&self) -> bool {
        self.url.is_empty() || self.url.starts_with("file:")
    }

    /// Refuses what does not go together.
    pub(super) fn check(&self, links: LinkMode) -> Result<()> {
        if self.is_local() {
            if links == LinkMode::Direct {
                return Err(invalid("links.mode = \"direct\" needs an object store in repository.url"));
            }
            return Ok(());
        }
        self.login().check()
    }

    fn login(&self) -> StoreLogin<'_> {
        StoreLogin {
            section: "repository",
            credentials: self.credentials,
            access_key_id: &self.access_key_id,
            secret_file: &self.secret_file,
            session_token_file: &self.session_token_file,
        }
    }
}

/// Who we are at an object store, as one section of the configuration says.
pub(super) struct StoreLogin<'a> {
    /// The section's name, for messages.
    pub(super) section: &'a str,
    pub(super) credentials: CredentialSource,
    pub(super) access_key_id: &'a str,
    pub(super) secret_file: &'a str,
    pub(super) session_token_file: &'a str,
}

impl StoreLogin<'_> {
    /// Refuses what does not go together.
    pub(super) fn check(&self) -> Result<()> {
        let section = self.section;
        let has_keys = !self.access_key_id.is_empty() && !self.secret_file.is_empty();
        match self.credentials {
            CredentialSource::Keys if !has_keys => Err(invalid(format!(
                "an object store needs {section}.access_key_id and {section}.secret_file",
            ))
            .hint(format!(
                "or {section}.credentials = \"chain\", for the provider's own environment, profile or role"
            ))),
            CredentialSource::Chain if has_keys => {
                Err(invalid(format!("{section}.credentials = \"chain\" and an access key are both set")))
            }
            _ => Ok(()),
        }
    }

    /// Reads the secrets.
    pub(super) fn read(&self) -> Result<Credentials> {
        let secret = |name: &str, place: &str| secret(&format!("{}.{name}", self.section), place);
        Ok(match self.credentials {
            CredentialSource::Chain => Credentials::Chain,
            CredentialSource::Keys => Credentials::Keys {
                id: self.access_key_id.to_owned(),
                secret: secret("secret_file", self.secret_file)?,
                session_token: match self.session_token_file {
                    "" => None,
                    place => Some(secret("session_token_file", place)?),
                },
            },
        })
    }
}

impl Config {
    /// The file with this node's identity; `None` if it is to have none.
    pub(crate) fn identity_file(&self) -> Option<PathBuf> {
        let file = &self.repository.identity_file;
        let default = || self.data_dir.join("node.identity");
        let chosen = if file.as_os_str().is_empty() { default() } else { file.clone() };
        (!self.repository.write_only).then_some(chosen)
    }

    /// Opens the repository. Only on a tokio runtime.
    pub(crate) fn open_vault(&self, work_dir: &Path) -> Result<Arc<dyn Vault>> {
        let repository = &self.repository;
        if repository.is_local() {
            let url = &repository.url;
            let path = path_of(url, "file://", "repository.url", &self.data_dir, "repository")?;
            return Ok(Arc::new(LocalVault::open(&path)?));
        }
        let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        Ok(Arc::new(ObjectVault::open(StoreOptions {
            url: repository.url.clone(),
            credentials: repository.login().read()?,
            direct_links: self.links.mode == LinkMode::Direct,
            public_endpoint: given(&repository.public_endpoint),
            intranet_endpoint: given(&repository.intranet_endpoint),
            spool_bytes: repository.spool.0,
            work_dir: work_dir.to_owned(),
        })?))
    }
}

/// A secret from a file or, for `env:NAME`, from the environment. One line end after it is not part of it.
fn secret(setting: &str, place: &str) -> Result<Secret> {
    let failed = |why: String| {
        invalid(format!("{setting} cannot be read from {place}"))
            .because(why)
            .hint("name a file that holds the secret, or env:NAME")
    };
    let bytes = match place.strip_prefix("env:") {
        Some(name) => std::env::var_os(name)
            .map(OsStringExt::into_vec)
            .ok_or_else(|| failed("it is not set".to_owned()))?,
        None => std::fs::read(place).map_err(|error| failed(error.to_string()))?,
    };
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    if bytes.is_empty() || bytes.len() > LONGEST_SECRET {
        return Err(failed("it holds no secret".to_owned()));
    }
    Ok(Secret::new(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_comes_from_a_file_or_the_environment() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, "s3cret\n").unwrap();
        assert!(secret("x", file.to_str().unwrap()).unwrap().equals(b"s3cret"));
        assert!(!secret("x", "env:PATH").unwrap().expose().is_empty());
        std::fs::write(&file, "\n").unwrap();
        for place in [file.to_str().unwrap(), "env:KEYSTOW_NO_SUCH_VARIABLE", "/nonexistent"] {
            assert_eq!(secret("x", place).unwrap_err().code, "CONFIG_INVALID");
        }
    }
}
