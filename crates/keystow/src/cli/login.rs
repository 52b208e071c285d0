//! Flags that say how to sign in at a Redis or Valkey server. Secrets and certificates come from files.

use std::path::{Path, PathBuf};

use clap::Args;

use super::secret::read_secret;
use crate::api::TlsRequest;
use crate::failure::Failure;

/// How to sign in at a server.
#[derive(Debug, Default, Args)]
pub(super) struct LoginArgs {
    /// ACL user
    #[arg(long, value_name = "USER", help_heading = "Signing in")]
    user: Option<String>,
    /// File that holds the password, - for standard input
    #[arg(long, value_name = "FILE", help_heading = "Signing in")]
    password_file: Option<PathBuf>,
    /// User at the Sentinels, if they want one
    #[arg(long, value_name = "USER", help_heading = "Signing in")]
    sentinel_user: Option<String>,
    /// File that holds the password of the Sentinels
    #[arg(long, value_name = "FILE", help_heading = "Signing in")]
    sentinel_password_file: Option<PathBuf>,
    /// PEM file of the authorities to trust; those of the service's system if absent
    #[arg(long, value_name = "FILE", help_heading = "Signing in")]
    tls_ca: Option<PathBuf>,
    /// PEM file of a client certificate, with its chain
    #[arg(long, value_name = "FILE", help_heading = "Signing in")]
    tls_cert: Option<PathBuf>,
    /// PEM file of its key
    #[arg(long, value_name = "FILE", help_heading = "Signing in")]
    tls_key: Option<PathBuf>,
    /// The name that certificates must bear, if it is not the host's
    #[arg(long, value_name = "NAME", help_heading = "Signing in")]
    tls_server_name: Option<String>,
}

/// What the flags say, read from their files.
#[derive(Default)]
pub(super) struct LoginTexts {
    pub(super) username: Option<String>,
    pub(super) password: Option<String>,
    pub(super) sentinel_username: Option<String>,
    pub(super) sentinel_password: Option<String>,
    pub(super) tls: TlsRequest,
}

impl LoginArgs {
    /// Reads the files.
    pub(super) fn read(self) -> Result<LoginTexts, Failure> {
        let secret = |path: Option<PathBuf>| path.as_deref().map(read_secret).transpose();
        let pem = |path: Option<PathBuf>| path.as_deref().map(read_pem).transpose();
        Ok(LoginTexts {
            username: self.user,
            password: secret(self.password_file)?,
            sentinel_username: self.sentinel_user,
            sentinel_password: secret(self.sentinel_password_file)?,
            tls: TlsRequest {
                ca: pem(self.tls_ca)?,
                certificate: pem(self.tls_cert)?,
                key: pem(self.tls_key)?,
                server_name: self.tls_server_name,
            },
        })
    }

    /// Whether none of them was given.
    pub(super) fn is_empty(&self) -> bool {
        let texts = [&self.user, &self.sentinel_user, &self.tls_server_name];
        let files =
            [&self.password_file, &self.sentinel_password_file, &self.tls_ca, &self.tls_cert, &self.tls_key];
        texts.into_iter().all(Option::is_none) && files.into_iter().all(Option::is_none)
    }
}

/// A PEM file goes to the service as it is; a file of something else is found out here.
fn read_pem(path: &Path) -> Result<String, Failure> {
    let text = read_secret(path)?;
    if text.contains("-----BEGIN ") {
        return Ok(text);
    }
    Err(Failure::usage(format!("{} is no PEM file", path.display()))
        .hint("it begins with -----BEGIN CERTIFICATE----- or -----BEGIN PRIVATE KEY-----"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_certificates_are_read_from_their_files() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            Some(path)
        };
        let args = LoginArgs {
            user: Some("u".to_owned()),
            password_file: file("pw", "secret\n"),
            tls_ca: file("ca", "-----BEGIN CERTIFICATE-----\nx\n"),
            ..LoginArgs::default()
        };
        assert!(!args.is_empty() && LoginArgs::default().is_empty());
        let read = args.read().unwrap();
        assert_eq!((read.username.as_deref(), read.password.as_deref()), (Some("u"), Some("secret")));
        assert!(read.tls.ca.unwrap().starts_with("-----BEGIN") && read.tls.key.is_none());
        let wrong = LoginArgs { tls_key: file("der", "\u{30}\u{82}"), ..LoginArgs::default() };
        assert!(wrong.read().is_err());
    }
}
