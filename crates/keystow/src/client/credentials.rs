//! Whose access key the command line uses.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::Parser;
use clap::builder::NonEmptyStringValueParser;

use crate::api::KeySecret;
use crate::failure::{Exit, Failure};

const DEFAULT_DATA_DIR: &str = "./keystow-data";

/// What the environment says. It is read through clap and nowhere a flag, so that no secret is ever typed into a
/// command line, where every process can read it.
#[derive(Parser)]
#[command(no_binary_name = true, disable_help_flag = true)]
struct Environment {
    #[arg(long, env = "KEYSTOW_ACCESS_KEY_ID", value_parser = NonEmptyStringValueParser::new())]
    id: Option<String>,
    #[arg(long, env = "KEYSTOW_ACCESS_KEY_SECRET", value_parser = NonEmptyStringValueParser::new())]
    secret: Option<String>,
    #[arg(long, env = "KEYSTOW_SESSION_TOKEN", value_parser = NonEmptyStringValueParser::new())]
    session_token: Option<String>,
    #[arg(long, env = "KEYSTOW_DATA_DIR", default_value = DEFAULT_DATA_DIR)]
    data_dir: PathBuf,
}

impl Environment {
    fn read() -> Result<Self, Failure> {
        Self::try_parse_from(std::iter::empty::<&str>()).map_err(|_| {
            let names = "KEYSTOW_ACCESS_KEY_ID, KEYSTOW_ACCESS_KEY_SECRET, KEYSTOW_SESSION_TOKEN";
            Failure::usage(format!("{names} or KEYSTOW_DATA_DIR is empty"))
                .hint("unset it, or give it a value")
        })
    }
}

/// Where a server on this host keeps its keys.
pub(crate) fn data_dir() -> Result<PathBuf, Failure> {
    Ok(Environment::read()?.data_dir)
}

/// The data directory on this host whose `admin.key` has that id, if this user can read it.
pub(crate) fn folder_of_kept(id: &str) -> Result<Option<PathBuf>, Failure> {
    let folder = data_dir()?;
    let kept = Credentials::from_file(&folder.join("admin.key"));
    Ok(kept.is_ok_and(|key| key.id == id).then_some(folder))
}

/// The secret that the environment names, for what is done without a server.
pub(crate) fn secret() -> Result<Option<String>, Failure> {
    Ok(Environment::read()?.secret)
}

/// An access key. No `Debug`: the secret is never printed.
pub(super) struct Credentials {
    pub(super) id: String,
    pub(super) secret: String,
    /// Of temporary credentials.
    pub(super) session_token: Option<String>,
}

impl Credentials {
    /// Those of the environment, else those that the first run of a server on this host left behind.
    pub(super) fn find() -> Result<Self, Failure> {
        let environment = Environment::read()?;
        match (environment.id, environment.secret) {
            (Some(id), Some(secret)) => Ok(Self { id, secret, session_token: environment.session_token }),
            (None, None) => Self::from_file(&environment.data_dir.join("admin.key")),
            (Some(_), None) => Err(half("KEYSTOW_ACCESS_KEY_SECRET")),
            (None, Some(_)) => Err(half("KEYSTOW_ACCESS_KEY_ID")),
        }
    }

    fn from_file(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let text = std::fs::read(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Failure::new(
                Exit::NotInitialised,
                "NOT_INITIALISED",
                "there is no access key to sign in with",
            )
            .because(format!("{shown} does not exist and KEYSTOW_ACCESS_KEY_ID is not set"))
            .hint("start a server with: keystow serve; or point KEYSTOW_DATA_DIR at its data directory"),
            ErrorKind::PermissionDenied => Failure::new(
                Exit::Auth,
                "KEY_UNREADABLE",
                format!("cannot read {shown}"),
            )
            .because(error)
            .hint("run as the server's user, or set KEYSTOW_ACCESS_KEY_ID and KEYSTOW_ACCESS_KEY_SECRET"),
            _ => Failure::file(format!("cannot read {shown}"), &error),
        })?;
        // What stands in the file is a secret: the reason must not quote it.
        let key: KeySecret = serde_json::from_slice(&text).map_err(|_| {
            Failure::new(Exit::Integrity, "KEY_DAMAGED", format!("{shown} is not an access key file"))
                .hint("set KEYSTOW_ACCESS_KEY_ID and KEYSTOW_ACCESS_KEY_SECRET")
        })?;
        Ok(Self { id: key.access_key_id, secret: key.secret, session_token: None })
    }
}

fn half(missing: &str) -> Failure {
    Failure::new(Exit::Auth, "KEY_INCOMPLETE", "half of the access key is missing")
        .because(format!("{missing} is not set"))
        .hint("set both, or neither to use admin.key in KEYSTOW_DATA_DIR")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_key_file_means_not_initialised() {
        let folder = tempfile::tempdir().unwrap();
        let failure = Credentials::from_file(&folder.path().join("admin.key")).err().unwrap();
        assert_eq!((failure.exit, failure.code.as_str()), (Exit::NotInitialised, "NOT_INITIALISED"));
    }

    #[test]
    fn a_damaged_key_file_is_not_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.key");
        std::fs::write(&path, "{\"access_key_id\":\"a\",\"secret\":topsecret}").unwrap();
        let failure = Credentials::from_file(&path).err().unwrap();
        assert_eq!(failure.exit, Exit::Integrity);
        assert!(!failure.to_string().contains("topsecret"));
    }

    #[test]
    fn a_key_file_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.key");
        std::fs::write(&path, r#"{"access_key_id":"KS1","secret":"s"}"#).unwrap();
        let key = Credentials::from_file(&path).ok().unwrap();
        assert_eq!((key.id.as_str(), key.secret.as_str()), ("KS1", "s"));
    }
}
