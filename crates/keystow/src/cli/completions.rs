//! `keystow completions`: scripts that complete commands in a shell.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::output::emit;
use crate::failure::Failure;

/// Flags of `completions`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  keystow completions bash > ~/.local/share/bash-completion/completions/keystow\n  \
    keystow completions zsh > ~/.zfunc/_keystow"
)]
pub(crate) struct CompletionsArgs {
    /// For which shell
    shell: Shell,
}

/// Prints the script.
pub(super) fn run(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::Cli::command(), "keystow", &mut script);
    emit(&script)
}
