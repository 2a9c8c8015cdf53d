//! `fanwire completions SHELL`.

use clap::{Args, Command};
use clap_complete::Shell;

use crate::failure::Failure;
use crate::output::print;

/// Print completions for a shell
#[derive(Args)]
#[command(after_help = "\
Examples:
  fanwire completions bash > ~/.local/share/bash-completion/completions/fanwire
  fanwire completions zsh  > ~/.zfunc/_fanwire
  fanwire completions fish > ~/.config/fish/completions/fanwire.fish")]
pub(crate) struct Completions {
    /// For which shell
    shell: Shell,
}

/// Prints the script for `command`.
pub(crate) fn run(args: &Completions, mut command: Command) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "fanwire", &mut script);
    print(&script)
}
