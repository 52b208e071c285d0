//! Where the root key is: a file, an environment variable, or what a command prints.

use std::fmt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use zeroize::Zeroizing;

use super::RootKey;
use crate::error::{Error, Kind, Result};

/// Time that a command gets to print the key.
const COMMAND_TIME: Duration = Duration::from_secs(30);
/// Longest output that is read.
const LONGEST_OUTPUT: u64 = 1024;

/// Where the root key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootKeySource {
    /// A file of its own (`file:PATH`).
    File(PathBuf),
    /// An environment variable (`env:NAME`).
    Environment(String),
    /// What a program prints (`command:PROGRAM ARGUMENT…`): a key manager's client, for instance. No shell reads it.
    Command(Vec<String>),
}

impl FromStr for RootKeySource {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::new(Kind::Invalid, "CONFIG_INVALID", "root_key does not say where the root key is")
                .hint("write it as file:/path, env:NAME or command:PROGRAM ARGUMENT…")
        };
        let (kind, rest) = text.split_once(':').ok_or_else(wrong)?;
        let rest = rest.trim();
        match kind {
            _ if rest.is_empty() => Err(wrong()),
            "file" => Ok(Self::File(PathBuf::from(rest))),
            "env" => Ok(Self::Environment(rest.to_owned())),
            "command" => Ok(Self::Command(rest.split_whitespace().map(str::to_owned).collect())),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for RootKeySource {
    /// Never more of a command than its program: arguments may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Environment(name) => write!(f, "env:{name}"),
            Self::Command(words) => write!(f, "command:{}", words.first().map_or("", String::as_str)),
        }
    }
}

impl RootKeySource {
    /// Reads the key; `NOT_INITIALISED` if there is none. Blocks.
    pub fn load(&self) -> Result<RootKey> {
        match self {
            Self::File(path) => RootKey::load(path),
            Self::Environment(name) => match std::env::var_os(name) {
                Some(text) => {
                    let text = Zeroizing::new(text.to_string_lossy().into_owned());
                    RootKey::from_text(&text, &self.to_string())
                }
                None => Err(Error::new(
                    Kind::NotFound,
                    "NOT_INITIALISED",
                    format!("there is no root key: the variable {name} is not set"),
                )),
            },
            Self::Command(words) => RootKey::from_text(&output_of(words)?, &self.to_string()),
        }
    }

    /// Reads the key. A file that is absent is made; others must be there.
    pub fn load_or_create(&self) -> Result<RootKey> {
        match self {
            Self::File(path) => RootKey::load_or_create(path),
            _ => self.load(),
        }
    }
}

/// What a command prints, as text.
fn output_of(words: &[String]) -> Result<Zeroizing<String>> {
    use std::io::Read as _;
    let program = words.first().map_or("", String::as_str);
    let failed = |cause: String| {
        Error::new(Kind::Internal, "ROOT_KEY_COMMAND", format!("the root key's command {program} failed"))
            .because(cause)
            .hint("run it by hand as the user of the service: it must print the key and end with 0")
    };
    let mut child = Command::new(program)
        .args(words.get(1..).unwrap_or_default())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let output = child.stdout.take();
    let (told, heard) = channel();
    std::thread::spawn(move || {
        let mut text = Zeroizing::new(String::new());
        let read = output.map(|output| output.take(LONGEST_OUTPUT).read_to_string(&mut text));
        // Nobody listens any more if it took too long.
        let _ = told.send(read.unwrap_or(Ok(0)).map(|_| text));
    });
    let heard = heard.recv_timeout(COMMAND_TIME);
    if matches!(heard, Err(RecvTimeoutError::Timeout)) {
        let _ = child.kill();
    }
    let status = child.wait().map_err(|error| failed(error.to_string()))?;
    match heard {
        Err(_) => Err(failed(format!("it printed no key within {} s", COMMAND_TIME.as_secs()))),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Ok(Ok(_)) if !status.success() => Err(failed(status.to_string())),
        Ok(Ok(text)) => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> RootKeySource {
        text.parse().unwrap()
    }

    #[test]
    fn a_source_is_a_file_a_variable_or_a_command() {
        assert_eq!(source("file:/etc/keystow/root.key"), RootKeySource::File("/etc/keystow/root.key".into()));
        assert_eq!(source("env:ROOT_KEY"), RootKeySource::Environment("ROOT_KEY".to_owned()));
        let command = source("command:vault kv get -field=key secret/keystow");
        assert_eq!(command.to_string(), "command:vault", "arguments may be secret");
        for wrong in ["", "root.key", "file:", "env: ", "http://x", "command:"] {
            assert_eq!(wrong.parse::<RootKeySource>().unwrap_err().code, "CONFIG_INVALID", "{wrong}");
        }
    }

    #[test]
    fn a_command_prints_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root.key");
        let made = source(&format!("file:{}", path.display())).load_or_create().unwrap();
        let printed = source(&format!("command:cat {}", path.display())).load().unwrap();
        assert_eq!(made.check_value(), printed.check_value());
    }

    #[test]
    fn a_command_that_fails_or_prints_something_else_is_refused() {
        let code = |text: &str| source(text).load_or_create().err().unwrap().code;
        assert_eq!(code("command:false"), "ROOT_KEY_COMMAND");
        assert_eq!(code("command:/no/such/program"), "ROOT_KEY_COMMAND");
        assert_eq!(code("command:echo hello"), "ROOT_KEY_DAMAGED");
        assert_eq!(code("env:KEYSTOW_TEST_NO_SUCH_VARIABLE"), "NOT_INITIALISED");
    }
}
