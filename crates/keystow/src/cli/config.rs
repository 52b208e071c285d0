//! `keystow config`: what is set, and where it comes from.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use super::output;
use super::serve::ServeArgs;
use crate::config::Config;
use crate::failure::Failure;

/// Verbs of `config`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Show every setting with its value
    #[command(after_help = "Example:\n  keystow config show --config /etc/keystow/keystow.toml")]
    Show(ShowArgs),
    /// Check a configuration without starting anything
    #[command(after_help = "Example:\n  keystow config check --config /etc/keystow/keystow.toml")]
    Check(FileArgs),
}

/// Which configuration.
#[derive(Debug, Clone, Args)]
pub(crate) struct FileArgs {
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// Flags of `config show`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    file: FileArgs,
    /// Say where each value comes from
    #[arg(long)]
    origin: bool,
}

/// Shows or checks the configuration that `serve` would use.
pub(crate) fn run(command: &ConfigCommand, json: bool) -> Result<(), Failure> {
    let (ConfigCommand::Show(ShowArgs { file, .. }) | ConfigCommand::Check(file)) = command;
    let args = ServeArgs {
        roles: Vec::new(),
        config: file.config.clone(),
        data_dir: None,
        api: None,
        download: None,
        intranet: None,
        insecure_http: false,
    };
    let layers = args.layers()?;
    match command {
        ConfigCommand::Check(_) => {
            Config::read(&layers)?;
            if json { output::json(&json!({"ok": true})) } else { output::line("the configuration is valid") }
        }
        ConfigCommand::Show(show) => {
            let rows: Vec<_> = layers.values().collect();
            if json {
                let list: Vec<_> = rows
                    .iter()
                    .map(|row| {
                        json!({"name": row.name, "value": row.value, "origin": row.origin.to_string(), "help": row.help})
                    })
                    .collect();
                return output::json(&list);
            }
            let head: &[&str] =
                if show.origin { &["SETTING", "VALUE", "ORIGIN"] } else { &["SETTING", "VALUE", "HELP"] };
            let lines = rows.iter().map(|row| {
                let last = if show.origin { row.origin.to_string() } else { row.help.to_owned() };
                vec![row.name.to_owned(), row.value.to_string(), last]
            });
            output::table(head, lines.collect())
        }
    }
}
