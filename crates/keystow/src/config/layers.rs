//! Where each value comes from, and which one wins.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use keystow_engine::{Error, Kind, Result};
use toml::{Table, Value};

use super::settings::{SETTINGS, Setting};

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Built in.
    Default,
    /// A configuration file.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// A command-line flag.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Environment(name) => write!(f, "env {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// Variables that belong to the client.
const CLIENT_VARIABLES: [&str; 5] = [
    "KEYSTOW_SERVER",
    "KEYSTOW_ACCESS_KEY_ID",
    "KEYSTOW_ACCESS_KEY_SECRET",
    "KEYSTOW_SESSION_TOKEN",
    "KEYSTOW_DATA_DIR",
];

/// The values, each with its origin. A later layer wins.
pub(crate) struct Layers(BTreeMap<String, Given>);

/// What a setting is set to.
struct Given {
    setting: &'static Setting,
    value: Value,
    origin: Origin,
}

impl Given {
    fn default(setting: &'static Setting) -> Self {
        Self { setting, value: setting.value(), origin: Origin::Default }
    }
}

/// A setting as it is shown.
pub(crate) struct Shown<'a> {
    /// Its whole name. A pattern that nothing was chosen for is shown as such.
    pub(crate) name: &'a str,
    pub(crate) value: Value,
    pub(crate) origin: Origin,
    pub(crate) help: &'static str,
}

impl Layers {
    /// The defaults.
    pub(crate) fn new() -> Self {
        let fixed = SETTINGS.iter().filter(|setting| !setting.is_pattern());
        Self(fixed.map(|setting| (setting.name.to_owned(), Given::default(setting))).collect())
    }

    /// Adds a file.
    pub(crate) fn add_file(&mut self, path: &Path) -> Result<()> {
        let failed = |cause: String| {
            Error::new(
                Kind::Invalid,
                "CONFIG_INVALID",
                format!("cannot read the configuration {}", path.display()),
            )
            .because(cause)
        };
        let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        let table: Table = text.parse().map_err(|error: toml::de::Error| failed(error.to_string()))?;
        let mut found = Vec::new();
        flatten("", table, &mut found);
        for (name, value) in found {
            self.set(&name, value, Origin::File(path.to_owned()))?;
        }
        Ok(())
    }

    /// Adds the environment: `KEYSTOW_LINKS__PUBLIC_URL` is `links.public_url`.
    pub(crate) fn add_environment(
        &mut self,
        variables: impl Iterator<Item = (String, String)>,
    ) -> Result<()> {
        for (variable, text) in variables {
            if CLIENT_VARIABLES.contains(&variable.as_str()) {
                continue;
            }
            let Some(name) = variable.strip_prefix("KEYSTOW_") else { continue };
            let name = name.to_ascii_lowercase().replace("__", ".");
            self.set_text(&name, &text, Origin::Environment(variable))?;
        }
        Ok(())
    }

    /// Adds a flag that was given.
    pub(crate) fn add_flag(&mut self, name: &str, text: &str, flag: &'static str) -> Result<()> {
        self.set_text(name, text, Origin::Flag(flag))
    }

    /// A text, read as the kind of value that the setting has. The parts of a list have commas between them.
    fn set_text(&mut self, name: &str, text: &str, origin: Origin) -> Result<()> {
        let wrong = |kind: &str| {
            Error::new(Kind::Invalid, "CONFIG_INVALID", format!("{name} is not {kind}: '{text}'"))
                .because(format!("it comes from {origin}"))
        };
        let value = match find(name).map(Setting::value) {
            Some(Value::Boolean(_)) => Value::Boolean(text.parse().map_err(|_| wrong("true or false"))?),
            Some(Value::Integer(_)) => Value::Integer(text.parse().map_err(|_| wrong("a number"))?),
            Some(Value::Array(_)) => {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                parts.map(Value::from).collect::<Vec<_>>().into()
            }
            _ => Value::String(text.to_owned()),
        };
        self.set(name, value, origin)
    }

    fn set(&mut self, name: &str, value: Value, origin: Origin) -> Result<()> {
        let Some(setting) = find(name) else {
            let message = format!("unknown setting '{name}' in {origin}");
            let error = Error::new(Kind::Invalid, "CONFIG_UNKNOWN_KEY", message);
            return Err(match nearest(name) {
                Some(near) => error.hint(format!("did you mean '{near}'?")),
                None => error.hint("see all settings with: keystow config show"),
            });
        };
        for (name, other) in setting.section(name) {
            self.0.entry(name).or_insert_with(|| Given::default(other));
        }
        self.0.insert(name.to_owned(), Given { setting, value, origin });
        Ok(())
    }

    /// Each setting with its value and origin, in the order of the documentation.
    pub(crate) fn values(&self) -> impl Iterator<Item = Shown<'_>> {
        SETTINGS.iter().flat_map(|setting| {
            let given = self.0.iter().filter(|(_, given)| given.setting.name == setting.name);
            let mut shown: Vec<_> = given
                .map(|(name, given)| Shown {
                    name,
                    value: masked(name, &given.value),
                    origin: given.origin.clone(),
                    help: setting.help,
                })
                .collect();
            if shown.is_empty() {
                let (value, origin) = (setting.value(), Origin::Default);
                shown.push(Shown { name: setting.name, value, origin, help: setting.help });
            }
            shown
        })
    }

    /// The values as nested tables.
    pub(crate) fn to_table(&self) -> Table {
        let mut root = Table::new();
        for (name, given) in &self.0 {
            let mut here = &mut root;
            let mut names = name.split('.').peekable();
            while let Some(part) = names.next() {
                if names.peek().is_none() {
                    here.insert(part.to_owned(), given.value.clone());
                    break;
                }
                let next = here.entry(part).or_insert_with(|| Value::Table(Table::new()));
                let Value::Table(table) = next else { break };
                here = table;
            }
        }
        root
    }
}

fn flatten(prefix: &str, table: Table, found: &mut Vec<(String, Value)>) {
    for (key, value) in table {
        let name = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
        match value {
            Value::Table(inner) => flatten(&name, inner, found),
            value => found.push((name, value)),
        }
    }
}

fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.matches(name))
}

/// The known name that is most like this one, if any is like it at all. What the operator names is kept.
fn nearest(name: &str) -> Option<String> {
    let named = SETTINGS.iter().map(|setting| named_as(setting.name, name));
    let (edits, best) = named.map(|known| (distance(name, &known), known)).min()?;
    if edits <= 3.max(name.len() / 4) {
        return Some(best);
    }
    let last = name.rsplit('.').next().unwrap_or(name);
    let same = SETTINGS.iter().find(|setting| setting.name.rsplit('.').next() == Some(last))?;
    Some(same.name.to_owned())
}

/// A pattern with the part of `name` that stands where its `*` is.
fn named_as(pattern: &str, name: &str) -> String {
    let mut parts = name.split('.');
    let chosen = pattern.split('.').map(|part| match parts.next() {
        Some(chosen) if part == "*" && !chosen.is_empty() => chosen,
        _ => part,
    });
    chosen.collect::<Vec<_>>().join(".")
}

/// Edits between two texts (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(200).enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = corner + usize::from(x != *y);
            corner = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}

/// A value as it is shown: a URL may hold a password, and a command's arguments may be secret.
fn masked(name: &str, value: &Value) -> Value {
    let text = value.as_str().unwrap_or_default();
    if name == "catalog.url"
        && let Some((scheme, rest)) = text.split_once("://")
        && let Some((login, place)) = rest.rsplit_once('@')
        && let Some((user, _)) = login.split_once(':')
    {
        return Value::from(format!("{scheme}://{user}:***@{place}"));
    }
    match text.strip_prefix("command:").filter(|_| name == "root_key") {
        Some(command) => {
            let program = command.split_whitespace().next().unwrap_or_default();
            Value::from(format!("command:{program} ***"))
        }
        None => value.clone(),
    }
}
